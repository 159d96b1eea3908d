//! The registers of a guest that is inside a call hook.

use std::fmt;

/// What the entry code saves; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(16))]
pub(crate) struct RawFrame {
    /// `x0` to `x30`, and the stack pointer at the site.
    gpr: [u64; 32],
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

/// `x30` and the stack pointer, which cannot be set.
const FIXED: [u8; 2] = [30, 31];
const FP: u8 = 29;
const SP: u8 = 31;

/// A guest at a site, inside a [call hook](crate::CallHook): its registers, which may be read and
/// written, and its stack.
///
/// Written registers take effect when the guest goes on. `x30` holds no value at a site: the call in it
/// overwrites it.
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
        assert!(number < 32, "AArch64 has no general register {number}");
        // SAFETY: by the invariant of `new`, `raw` is valid; the number was just checked.
        unsafe {
            (&raw mut (*self.raw).gpr)
                .cast::<u64>()
                .add(usize::from(number))
        }
    }

    /// A general register: `x0` to `x30` by their numbers, and 31 for the stack pointer at the site.
    /// `x30` is the return address.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn gpr(&self, number: u8) -> u64 {
        // SAFETY: gpr_ptr points to an initialized word of the frame.
        unsafe { self.gpr_ptr(number).read() }
    }

    /// Sets a general register; setting `x30` or the stack pointer has no effect.
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

    /// The stack pointer at the site.
    pub fn sp(&self) -> usize {
        self.gpr(SP) as usize
    }

    /// The frame pointer at the site, `x29`.
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
        for number in 0..30 {
            let value = format_args!("{:#x}", self.gpr(number)).to_string();
            text.field(&format!("x{number}"), &format_args!("{value}"));
        }
        text.field("sp", &format_args!("{:#x}", self.sp()));
        text.finish_non_exhaustive()
    }
}
