//! The registers of a guest that is inside a call hook.

use std::fmt;

/// What the call stub and the entry code save; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(8))]
pub(crate) struct RawFrame {
    /// What every called function may use (ELF ABI s390x supplement, "Register save area"), for the
    /// dispatcher. The first word is the back chain: the guest's stack pointer.
    save_area: [u64; 20],
    /// `%r0` to `%r15`; the last is the value at the site.
    gpr: [u64; 16],
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

/// `%r14` and the stack pointer, which cannot be set.
const FIXED: [u8; 2] = [14, SP];
const FP: u8 = 11;
const SP: u8 = 15;

/// A guest at a site, inside a [call hook](crate::CallHook): its registers, which may be read and
/// written, and its stack.
///
/// Written registers take effect when the guest goes on. `%r14` holds no value at a site: the call in it
/// overwrites it. Nor does the condition code.
pub struct SiteFrame {
    raw: *mut RawFrame,
}

impl SiteFrame {
    /// # Safety
    /// `raw` was filled by the entry code, and outlives the frame.
    pub(crate) unsafe fn new(raw: *mut RawFrame) -> SiteFrame {
        SiteFrame { raw }
    }

    fn gpr_ptr(&self, number: u8) -> *mut u64 {
        assert!(number < 16, "s390x has no general register {number}");
        // SAFETY: by the invariant of `new`, `raw` is valid; the number was just checked.
        unsafe {
            (&raw mut (*self.raw).gpr)
                .cast::<u64>()
                .add(usize::from(number))
        }
    }

    /// A general register: `%r0` to `%r15` by their numbers. 14 is the return address, 15 the stack pointer at
    /// the site.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn gpr(&self, number: u8) -> u64 {
        // SAFETY: gpr_ptr points to an initialized word of the frame.
        unsafe { self.gpr_ptr(number).read() }
    }

    /// Sets a general register; setting `%r14` or the stack pointer has no effect.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn set_gpr(&mut self, number: u8, value: u64) {
        let register = self.gpr_ptr(number);
        if !FIXED.contains(&number) {
            // SAFETY: gpr_ptr points to a word of the frame.
            unsafe { register.write(value) };
        }
    }

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

    /// The stack pointer at the site.
    pub fn sp(&self) -> usize {
        self.gpr(SP) as usize
    }

    /// The frame pointer at the site: `%r11`, where the code has one.
    pub fn fp(&self) -> usize {
        self.gpr(FP) as usize
    }
}

impl fmt::Debug for SiteFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("SiteFrame");
        text.field(
            "return_address",
            &format_args!("{:#x}", self.return_address()),
        );
        for number in 0..16 {
            let value = format_args!("{:#x}", self.gpr(number)).to_string();
            text.field(&format!("r{number}"), &format_args!("{value}"));
        }
        text.finish_non_exhaustive()
    }
}
