//! Code for the example, on AArch64.

/// A site, off.
pub(crate) const SITE: &[u8] = &[0x1f, 0x20, 0x03, 0xd5];
/// A NOP of the same size: the same.
pub(crate) const NOP: &[u8] = SITE;
/// From one of many sites to the next.
pub(crate) const STRIDE: usize = 4;

/// `fn(n)`: a loop of `n` rounds over `middle`, and where that ends.
pub(crate) fn loop_over(middle: &[u8]) -> (Vec<u8>, usize) {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut bytes = words(&[
        0xa9be_7bfd, // stp x29, x30, [sp, #-32]!
        0xf900_0bf3, // str x19, [sp, #16]
        0xaa00_03f3, // mov x19, x0
    ]);
    while bytes.len() != 32 {
        bytes.extend_from_slice(NOP);
    }
    bytes.extend_from_slice(middle);
    let end = bytes.len();
    let back = (middle.len() as u32 / 4 + 1).wrapping_neg() & 0x7_ffff;
    bytes.extend(words(&[
        0xd100_0673,             // sub x19, x19, #1
        0xb500_0013 | back << 5, // cbnz x19, again
        0xf940_0bf3,             // ldr x19, [sp, #16]
        0xa8c2_7bfd,             // ldp x29, x30, [sp], #32
        0xd65f_03c0,             // ret
    ]));
    (bytes, end)
}
