//! The registers of a guest that is inside a call hook.

use crate::isa::frame::{Registers, SiteFrame};

/// What the entry code saves; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(64))]
pub(crate) struct RawFrame {
    /// By hardware number; `rsp` is the value at the site.
    pub(in crate::isa) gpr: [u64; 16],
    return_address: u64,
    /// Bytes from one saved vector register to the next: 16, 32 or 64.
    vector_stride: u64,
    /// State components that were in use.
    in_use: u64,
    unused: [u64; 5],
    /// `xmm0..15`, `ymm0..15` or `zmm0..15`.
    vectors: [u8; 16 * 64],
    /// `zmm16..31`.
    high_vectors: [u8; 16 * 64],
    masks: [u64; 8],
}

/// Offsets for the assembly.
pub(super) mod offset {
    use super::RawFrame;
    use std::mem::offset_of;

    pub(crate) const RETURN_ADDRESS: usize = offset_of!(RawFrame, return_address);
    pub(crate) const VECTOR_STRIDE: usize = offset_of!(RawFrame, vector_stride);
    pub(crate) const IN_USE: usize = offset_of!(RawFrame, in_use);
    pub(crate) const VECTORS: usize = offset_of!(RawFrame, vectors);
    pub(crate) const HIGH_VECTORS: usize = offset_of!(RawFrame, high_vectors);
    pub(crate) const MASKS: usize = offset_of!(RawFrame, masks);
    /// Bytes to reserve when all vector state is saved.
    pub(crate) const FULL_SIZE: usize = size_of::<RawFrame>();
    /// Bytes to reserve when only `xmm0..15` are.
    pub(crate) const XMM_SIZE: usize = VECTORS + 16 * 16;
}

pub(in crate::isa) const REGISTERS: Registers<16> = Registers {
    names: [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ],
    fixed: &[4],
    sp: 4,
    fp: 5,
};

impl SiteFrame {
    fn vector_ptr(&self, number: u8) -> *mut [u8; 16] {
        assert!(number < 16, "no vector register {number} in the frame");
        // SAFETY: by the invariant of `new`, `raw` is valid and `vector_stride` is at most 64, so
        // that the register lies inside `vectors`.
        unsafe {
            let stride = (*self.raw).vector_stride as usize;
            let vectors = (&raw mut (*self.raw).vectors).cast::<u8>();
            vectors.add(usize::from(number) * stride).cast()
        }
    }

    /// The low 128 bits of a vector register, `xmm0` to `xmm15`, in memory order.
    ///
    /// # Panics
    /// If `number` is 16 or more.
    pub fn vector(&self, number: u8) -> [u8; 16] {
        // SAFETY: vector_ptr points to initialized bytes of the frame.
        unsafe { self.vector_ptr(number).read() }
    }

    /// Sets the low 128 bits of a vector register; bits above stay as they were.
    ///
    /// # Panics
    /// If `number` is 16 or more.
    pub fn set_vector(&mut self, number: u8, value: [u8; 16]) {
        // SAFETY: vector_ptr points to bytes of the frame.
        unsafe { self.vector_ptr(number).write(value) };
    }

    /// [`vector`](Self::vector) by its name on x86-64.
    pub fn xmm(&self, number: u8) -> [u8; 16] {
        self.vector(number)
    }

    /// [`set_vector`](Self::set_vector) by its name on x86-64.
    pub fn set_xmm(&mut self, number: u8, value: [u8; 16]) {
        self.set_vector(number, value);
    }

    /// The address after the site.
    pub fn return_address(&self) -> usize {
        // SAFETY: by the invariant of `new`.
        unsafe { (*self.raw).return_address as usize }
    }
}
