//! The registers of a guest that is inside a call hook.

use crate::isa::frame::{Registers, SiteFrame};

/// What the call stub and the entry code save; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(8))]
pub(crate) struct RawFrame {
    /// What every called function may use (ELF ABI s390x supplement, "Register save area"), for the
    /// dispatcher. The first word is the back chain: the guest's stack pointer.
    save_area: [u64; 20],
    /// `%r0` to `%r15`; the last is the value at the site.
    pub(in crate::isa) gpr: [u64; 16],
    return_address: u64,
    /// Floating-point control.
    fpc: u32,
    /// How many registers are in `vectors`: 32, or the 16 whose first halves are floating-point registers, with
    /// zeros in the others.
    vector_count: u32,
    /// `%v0` to `%v31`. The first halves of `%v0` to `%v15` are `%f0` to `%f15`.
    vectors: [[u8; 16]; 32],
}

/// Offsets for the stubs and the assembly.
pub(super) mod offset {
    use super::RawFrame;
    use std::mem::offset_of;

    pub(crate) const GPR: usize = offset_of!(RawFrame, gpr);
    pub(crate) const RETURN_ADDRESS: usize = offset_of!(RawFrame, return_address);
    pub(crate) const FPC: usize = offset_of!(RawFrame, fpc);
    pub(crate) const VECTOR_COUNT: usize = offset_of!(RawFrame, vector_count);
    pub(crate) const VECTORS: usize = offset_of!(RawFrame, vectors);
    /// Bytes that a call stub takes from the stack.
    pub(crate) const SIZE: usize = size_of::<RawFrame>();

    // Displacements have twelve bits, and the stack is aligned to eight bytes.
    const _: () = assert!(SIZE < 4096 && SIZE.is_multiple_of(8));
}

pub(in crate::isa) const REGISTERS: Registers<16> = Registers {
    names: [
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15",
    ],
    fixed: &[14, 15],
    sp: 15,
    fp: 11,
};

impl SiteFrame {
    fn vector_ptr(&self, number: u8) -> *mut [u8; 16] {
        // SAFETY: by the invariant of `new`, `raw` is valid, and `vectors` has at least as many registers as
        // were saved.
        unsafe {
            let count = (*self.raw).vector_count;
            assert!(
                u32::from(number) < count,
                "no vector register {number} in the frame"
            );
            (&raw mut (*self.raw).vectors)
                .cast::<[u8; 16]>()
                .add(usize::from(number))
        }
    }

    /// A vector register, `%v0` to `%v31`, in memory order. The first eight bytes of the first sixteen are the
    /// floating-point registers, `%f0` to `%f15`; where only these are preserved, the rest is zero.
    ///
    /// # Panics
    /// If no register of this number is preserved.
    pub fn vector(&self, number: u8) -> [u8; 16] {
        // SAFETY: vector_ptr points to initialized bytes of the frame.
        unsafe { self.vector_ptr(number).read() }
    }

    /// Sets a vector register, or what is preserved of it.
    ///
    /// # Panics
    /// If no register of this number is preserved.
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
