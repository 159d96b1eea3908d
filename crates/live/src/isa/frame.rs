//! What a call hook can do with a guest, whatever its registers are. The folder of each instruction set adds how it saves
//! them, and its vector registers.

use std::fmt;

use super::current::{REGISTERS, RawFrame};

/// The general registers of an instruction set.
pub(super) struct Registers<const N: usize> {
    /// By number.
    pub(super) names: [&'static str; N],
    /// Numbers of those that cannot be set.
    pub(super) fixed: &'static [u8],
    /// The stack pointer's number.
    pub(super) sp: u8,
    /// The frame pointer's.
    pub(super) fp: u8,
}

/// A guest at a site, inside a [call hook](crate::CallHook): its registers, which may be read and
/// written, and its stack.
///
/// Written registers take effect when the guest goes on. Flags hold no value at a site and are not
/// preserved, nor is the register in which the site's call leaves the return address, where it does.
pub struct SiteFrame {
    pub(super) raw: *mut RawFrame,
}

impl SiteFrame {
    /// # Safety
    /// `raw` was filled by the entry code, and outlives the frame.
    pub(crate) unsafe fn new(raw: *mut RawFrame) -> SiteFrame {
        SiteFrame { raw }
    }

    fn gpr_ptr(&self, number: u8) -> *mut u64 {
        const COUNT: usize = REGISTERS.names.len();
        assert!(
            usize::from(number) < COUNT,
            "{} has no general register {number}",
            std::env::consts::ARCH
        );
        // SAFETY: by the invariant of `new`, `raw` is valid; the number was just checked.
        unsafe {
            let gpr: *mut [u64; COUNT] = &raw mut (*self.raw).gpr;
            gpr.cast::<u64>().add(usize::from(number))
        }
    }

    /// A general register, by its number in instructions.
    ///
    /// | instruction set | registers | return address | stack pointer at the site |
    /// |---|---|---|---|
    /// | x86-64 | `rax` 0, `rcx` 1, `rdx` 2, `rbx` 3, `rsp` 4, `rbp` 5, `rsi` 6, `rdi` 7, `r8` to `r15` | | 4 |
    /// | AArch64 | `x0` to `x30`, `sp` 31 | 30 | 31 |
    /// | RISC-V | `x0` to `x31` | 1 | 2 |
    /// | s390x | `%r0` to `%r15` | 14 | 15 |
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn gpr(&self, number: u8) -> u64 {
        // SAFETY: gpr_ptr points to an initialized word of the frame.
        unsafe { self.gpr_ptr(number).read() }
    }

    /// Sets a general register. Setting the stack pointer, the register of the return address, or RISC-V's `x0`
    /// has no effect.
    ///
    /// # Panics
    /// If there is no register of this number.
    pub fn set_gpr(&mut self, number: u8, value: u64) {
        let register = self.gpr_ptr(number);
        if !REGISTERS.fixed.contains(&number) {
            // SAFETY: gpr_ptr points to a word of the frame.
            unsafe { register.write(value) };
        }
    }

    /// The stack pointer at the site.
    pub fn sp(&self) -> usize {
        self.gpr(REGISTERS.sp) as usize
    }

    /// The frame pointer at the site, where the code has one: `rbp`, `x29`, `s0` or `%r11`.
    pub fn fp(&self) -> usize {
        self.gpr(REGISTERS.fp) as usize
    }

    /// Reads a value in the guest's frame, at `offset` bytes from its frame pointer.
    ///
    /// # Safety
    /// The frame pointer must be one, and `[fp + offset, + size of T)` must be memory of the guest's
    /// frame that holds a valid `T`.
    pub unsafe fn slot<T: Copy>(&self, offset: i32) -> T {
        let address = self.fp().wrapping_add_signed(offset as isize);
        // SAFETY: the caller's promise.
        unsafe { (address as *const T).read_unaligned() }
    }

    /// Writes a value in the guest's frame, at `offset` bytes from its frame pointer.
    ///
    /// # Safety
    /// As for [`slot`](Self::slot); and the guest must stand the change.
    pub unsafe fn set_slot<T: Copy>(&mut self, offset: i32, value: T) {
        let address = self.fp().wrapping_add_signed(offset as isize);
        // SAFETY: the caller's promise.
        unsafe { (address as *mut T).write_unaligned(value) };
    }
}

impl fmt::Debug for SiteFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("SiteFrame");
        text.field(
            "return_address",
            &format_args!("{:#x}", self.return_address()),
        );
        for (number, name) in REGISTERS.names.iter().enumerate() {
            text.field(name, &format_args!("{:#x}", self.gpr(number as u8)));
        }
        text.finish_non_exhaustive()
    }
}
