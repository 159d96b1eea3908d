//! The registers of a guest that is inside a call hook.

use std::slice;

use crate::isa::frame::{Registers, SiteFrame};

/// What the entry code saves; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(16))]
pub(crate) struct RawFrame {
    /// `x0` to `x31`.
    pub(in crate::isa) gpr: [u64; 32],
    /// `f0` to `f31`.
    fpr: [u64; 32],
    fcsr: u64,
    /// Bytes of a vector register, if they are saved.
    vlenb: u64,
    /// `vl`, `vtype`, `vstart` and `vcsr`, if vector registers are saved.
    vector_state: [u64; 4],
    /// `v0` to `v31`, which take room that only the processor knows.
    vectors: [u8; 0],
}

/// Offsets for the assembly.
pub(super) mod offset {
    use super::RawFrame;
    use std::mem::offset_of;

    pub(crate) const FPR: usize = offset_of!(RawFrame, fpr);
    pub(crate) const FCSR: usize = offset_of!(RawFrame, fcsr);
    pub(crate) const VLENB: usize = offset_of!(RawFrame, vlenb);
    pub(crate) const VL: usize = offset_of!(RawFrame, vector_state);
    pub(crate) const VECTORS: usize = offset_of!(RawFrame, vectors);
    /// Bytes to reserve without vectors.
    pub(crate) const SIZE: usize = size_of::<RawFrame>();

    const _: () = assert!(VECTORS == SIZE);
}

const RA: u8 = 1;

pub(in crate::isa) const REGISTERS: Registers<32> = Registers {
    names: [
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
        "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
        "x27", "x28", "x29", "x30", "x31",
    ],
    fixed: &[0, RA, 2],
    sp: 2,
    fp: 8,
};

impl SiteFrame {
    fn fpr_ptr(&self, number: u8) -> *mut u64 {
        assert!(
            number < 32,
            "RISC-V has no floating-point register {number}"
        );
        // SAFETY: by the invariant of `new`, `raw` is valid; the number was just checked.
        unsafe {
            (&raw mut (*self.raw).fpr)
                .cast::<u64>()
                .add(usize::from(number))
        }
    }

    /// The bits of a floating-point register, `f0` to `f31`. Above an `f32`, they are ones.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn fpr(&self, number: u8) -> u64 {
        // SAFETY: fpr_ptr points to an initialized word of the frame.
        unsafe { self.fpr_ptr(number).read() }
    }

    /// Sets the bits of a floating-point register.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn set_fpr(&mut self, number: u8, value: u64) {
        // SAFETY: fpr_ptr points to a word of the frame.
        unsafe { self.fpr_ptr(number).write(value) };
    }

    fn vector_range(&self, number: u8) -> (*mut u8, usize) {
        assert!(number < 32, "RISC-V has no vector register {number}");
        // SAFETY: by the invariant of `new`, `raw` is valid, and is followed by as many registers as there
        // are if their size is not zero.
        unsafe {
            let len = (*self.raw).vlenb as usize;
            let vectors = (&raw mut (*self.raw).vectors).cast::<u8>();
            (vectors.add(usize::from(number) * len), len)
        }
    }

    /// A vector register, `v0` to `v31`, in memory order: as many bytes as it has, none if vector registers
    /// are not saved, because there are none or because of
    /// [`VectorState::Xmm`](crate::VectorState::Xmm).
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn vector(&self, number: u8) -> &[u8] {
        let (start, len) = self.vector_range(number);
        // SAFETY: initialized bytes of the frame, which are borrowed as long as `self`.
        unsafe { slice::from_raw_parts(start, len) }
    }

    /// The same, to be written.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn vector_mut(&mut self, number: u8) -> &mut [u8] {
        let (start, len) = self.vector_range(number);
        // SAFETY: initialized bytes of the frame, which are borrowed as long as `self`.
        unsafe { slice::from_raw_parts_mut(start, len) }
    }

    /// The address after the site.
    pub fn return_address(&self) -> usize {
        self.gpr(RA) as usize
    }
}
