//! The registers of a guest that is inside a call hook.

use std::fmt;

/// What the entry code saves; the layout is known to the assembly in `entry.rs`.
#[repr(C, align(64))]
pub(crate) struct RawFrame {
    /// By hardware number; `rsp` is the value at the site.
    gpr: [u64; 16],
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

const RSP: usize = 4;
const RBP: usize = 5;

/// A guest at a site, inside a [call hook](crate::CallHook): its registers, which may be read and
/// written, and its stack.
///
/// Written registers take effect when the guest goes on. Flags hold no value at a site and are not
/// preserved.
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
        assert!(number < 16, "x86-64 has no general register {number}");
        // SAFETY: by the invariant of `new`, `raw` is valid; the number was just checked.
        unsafe {
            (&raw mut (*self.raw).gpr)
                .cast::<u64>()
                .add(usize::from(number))
        }
    }

    /// A general register, by hardware number: `rax` 0, `rcx` 1, `rdx` 2, `rbx` 3, `rsp` 4, `rbp` 5,
    /// `rsi` 6, `rdi` 7, `r8` to `r15`. `rsp` has its value at the site.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn gpr(&self, number: u8) -> u64 {
        // SAFETY: gpr_ptr points to an initialized word of the frame.
        unsafe { self.gpr_ptr(number).read() }
    }

    /// Sets a general register; setting `rsp` has no effect.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn set_gpr(&mut self, number: u8, value: u64) {
        let register = self.gpr_ptr(number);
        if usize::from(number) != RSP {
            // SAFETY: gpr_ptr points to a word of the frame.
            unsafe { register.write(value) };
        }
    }

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

    /// The stack pointer at the site.
    pub fn sp(&self) -> usize {
        self.gpr(RSP as u8) as usize
    }

    /// The frame pointer at the site.
    pub fn fp(&self) -> usize {
        self.gpr(RBP as u8) as usize
    }
}

impl fmt::Debug for SiteFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
            "r12", "r13", "r14", "r15",
        ];
        let mut text = f.debug_struct("SiteFrame");
        text.field(
            "return_address",
            &format_args!("{:#x}", self.return_address()),
        );
        for (number, name) in NAMES.iter().enumerate() {
            text.field(name, &format_args!("{:#x}", self.gpr(number as u8)));
        }
        text.finish_non_exhaustive()
    }
}
