//! Code for the example, on x86-64.

/// A site, off.
pub(crate) const SITE: &[u8] = &[0x3d, 0, 0, 0, 0];
/// A NOP of the same size.
pub(crate) const NOP: &[u8] = &[0x0f, 0x1f, 0x44, 0, 0];
/// From one of many sites to the next.
pub(crate) const STRIDE: usize = 8;

/// `fn(n)`: a loop of `n` rounds over `middle`, and where that ends.
pub(crate) fn loop_over(middle: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = vec![0x53, 0x48, 0x89, 0xfb]; // push rbx; mov rbx, rdi
    bytes.resize(32, 0x90);
    bytes.extend_from_slice(middle);
    let end = bytes.len();
    bytes.extend([0x48, 0xff, 0xcb]); // dec rbx
    let back = -(middle.len() as i8) - 5;
    bytes.extend([0x75, back as u8]); // jnz
    bytes.extend([0x5b, 0xc3]); // pop rbx; ret
    (bytes, end)
}
