//! Code for the example, on s390x.

/// A site, off.
pub(crate) const SITE: &[u8] = &[0xc0, 0x04, 0, 0, 0, 0];
/// A NOP of the same size: the same.
pub(crate) const NOP: &[u8] = SITE;
/// From one of many sites to the next.
pub(crate) const STRIDE: usize = 8;

/// `fn(n)`: a loop of `n` rounds over `middle`, and where that ends.
pub(crate) fn loop_over(middle: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = vec![
        0xeb, 0xcf, 0xf0, 0x60, 0x00, 0x24, // stmg %r12, %r15, 96(%r15)
        0xa7, 0xfb, 0xff, 0x60, // aghi %r15, -160
        0xb9, 0x04, 0x00, 0xc2, // lgr %r12, %r2
    ];
    while bytes.len() != 32 {
        bytes.extend_from_slice(&[0x07, 0x00]); // nopr
    }
    bytes.extend_from_slice(middle);
    let end = bytes.len();
    let [high, low] = (-(middle.len() as i16) / 2).to_be_bytes();
    bytes.extend_from_slice(&[
        0xa7, 0xc7, high, low, // brctg %r12, again
        0xeb, 0xcf, 0xf1, 0x00, 0x00, 0x04, // lmg %r12, %r15, 256(%r15)
        0x07, 0xfe, // br %r14
    ]);
    (bytes, end)
}
