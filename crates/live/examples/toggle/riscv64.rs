//! Code for the example, on RISC-V.

/// A site, off: of 8 bytes, so that the distance to its island does not matter.
pub(crate) const SITE: &[u8] = &[0x13, 0, 0, 0, 0x13, 0, 0, 0];
/// NOPs of the same size.
pub(crate) const NOP: &[u8] = SITE;
/// From one of many sites to the next.
pub(crate) const STRIDE: usize = 8;

/// `fn(n)`: a loop of `n` rounds over `middle`, and where that ends.
pub(crate) fn loop_over(middle: &[u8]) -> (Vec<u8>, usize) {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut bytes = words(&[
        0xff01_0113, // addi sp, sp, -16
        0x0011_3423, // sd ra, 8(sp)
        0x0091_3023, // sd s1, 0(sp)
        0x0005_0493, // mv s1, a0
    ]);
    while bytes.len() != 32 {
        bytes.extend_from_slice(&NOP[..4]);
    }
    bytes.extend_from_slice(middle);
    let end = bytes.len();
    let back = (middle.len() as u32 + 4).wrapping_neg();
    let offset = (back >> 5 & 0x7f) << 25 | (back >> 1 & 15) << 8 | (back >> 11 & 1) << 7;
    bytes.extend(words(&[
        0xfff4_8493,          // addi s1, s1, -1
        0x0004_9063 | offset, // bnez s1, again
        0x0081_3083,          // ld ra, 8(sp)
        0x0001_3483,          // ld s1, 0(sp)
        0x0101_0113,          // addi sp, sp, 16
        0x0000_8067,          // ret
    ]));
    (bytes, end)
}
