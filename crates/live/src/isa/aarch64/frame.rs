//! The registers of a guest that is inside a call hook.

use crate::isa::frame::{Registers, SiteFrame};

/// What the entry code saves; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(16))]
pub(crate) struct RawFrame {
    /// `x0` to `x30`, and the stack pointer at the site.
    pub(in crate::isa) gpr: [u64; 32],
    return_address: u64,
    flags: u64,
    /// Bytes from one saved vector register to the next.
    vector_stride: u64,
    unused: u64,
    /// `q0..31`; with SVE, `z0..31`, which take more room, and the predicate registers.
    vectors: [u8; 32 * 16],
}

/// Offsets for the assembly.
pub(super) mod offset {
    use super::RawFrame;
    use std::mem::offset_of;

    pub(crate) const RETURN_ADDRESS: usize = offset_of!(RawFrame, return_address);
    pub(crate) const FLAGS: usize = offset_of!(RawFrame, flags);
    pub(crate) const VECTOR_STRIDE: usize = offset_of!(RawFrame, vector_stride);
    pub(crate) const VECTORS: usize = offset_of!(RawFrame, vectors);
    /// Bytes to reserve when `q0..31` are saved.
    pub(crate) const SIZE: usize = size_of::<RawFrame>();

    // Stored as a pair.
    const _: () = assert!(FLAGS == RETURN_ADDRESS + 8);
}

pub(in crate::isa) const REGISTERS: Registers<32> = Registers {
    names: [
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
        "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
        "x27", "x28", "x29", "x30", "sp",
    ],
    fixed: &[30, 31],
    sp: 31,
    fp: 29,
};

impl SiteFrame {
    fn vector_ptr(&self, number: u8) -> *mut [u8; 16] {
        assert!(number < 32, "no vector register {number} in the frame");
        // SAFETY: by the invariant of `new`, `raw` is valid, and as many registers as there are follow
        // each other by their stride, with the low 128 bits first.
        unsafe {
            let stride = (*self.raw).vector_stride as usize;
            let vectors = self.raw.byte_add(offset::VECTORS);
            vectors.byte_add(usize::from(number) * stride).cast()
        }
    }

    /// The low 128 bits of a vector register, `q0` to `q31`, in memory order.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn vector(&self, number: u8) -> [u8; 16] {
        // SAFETY: vector_ptr points to initialized bytes of the frame.
        unsafe { self.vector_ptr(number).read() }
    }

    /// Sets the low 128 bits of a vector register; bits above stay as they were.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn set_vector(&mut self, number: u8, value: [u8; 16]) {
        // SAFETY: vector_ptr points to bytes of the frame.
        unsafe { self.vector_ptr(number).write(value) };
    }

    /// The address after the site.
    pub fn return_address(&self) -> usize {
        // SAFETY: by the invariant of `new`.
        unsafe { (*self.raw).return_address as usize }
    }
}
