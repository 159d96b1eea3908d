//! The interrupted thread's registers, as far as they are needed, and what interrupted it.

use libc::{c_void, siginfo_t};

/// Sets the program counter in a signal handler's context.
///
/// # Safety
/// `ucontext` is the third argument of a running SA_SIGINFO handler.
pub(super) unsafe fn set_program_counter(ucontext: *mut c_void, address: usize) {
    // SAFETY: the caller's promise.
    unsafe { arch::program_counter(ucontext).write(address as _) };
}

/// The program counter after a breakpoint instruction, if that is what raised the signal.
///
/// # Safety
/// The arguments are those of a running SA_SIGINFO handler for the signal of breakpoints.
pub(super) unsafe fn after_breakpoint(
    info: *const siginfo_t,
    ucontext: *mut c_void,
) -> Option<usize> {
    // SAFETY: the caller's promise.
    unsafe {
        let breakpoint = (*info).si_code == arch::BREAKPOINT;
        breakpoint.then(|| arch::program_counter(ucontext).read() as usize)
    }
}

/// The flags that conditional branches depend on, where branches are ever changed.
///
/// # Safety
/// As for [`set_program_counter`].
pub(super) unsafe fn flags(ucontext: *mut c_void) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { (*ucontext).uc_mcontext.gregs[libc::REG_EFL as usize] as u64 }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = ucontext;
        0
    }
}

/// Whether the signal was raised because the instruction at `si_addr` could not be fetched.
///
/// # Safety
/// The arguments are those of a running SA_SIGINFO handler for SIGSEGV.
pub(super) unsafe fn is_fetch(info: *const siginfo_t, ucontext: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    unsafe { arch::is_fetch(info, ucontext) }
}

/// Source: `arch/x86/kernel/traps.c`.
#[cfg(target_arch = "x86_64")]
mod arch {
    use super::{c_void, siginfo_t};

    /// The `si_code` of `int3`.
    pub(super) const BREAKPOINT: libc::c_int = libc::SI_KERNEL;

    /// # Safety
    /// As for [`set_program_counter`](super::set_program_counter).
    pub(super) unsafe fn program_counter(ucontext: *mut c_void) -> *mut libc::greg_t {
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { &raw mut (*ucontext).uc_mcontext.gregs[libc::REG_RIP as usize] }
    }

    /// # Safety
    /// As for [`is_fetch`](super::is_fetch).
    pub(super) unsafe fn is_fetch(_: *const siginfo_t, ucontext: *mut c_void) -> bool {
        /// Bit 4 of the page fault's error code (Intel SDM vol. 3A §4.7).
        const FETCH: libc::greg_t = 1 << 4;
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { (*ucontext).uc_mcontext.gregs[libc::REG_ERR as usize] & FETCH != 0 }
    }
}

/// Source: `arch/arm64/kernel/debug-monitors.c`, `arch/arm64/mm/fault.c`.
#[cfg(target_arch = "aarch64")]
mod arch {
    use super::{c_void, siginfo_t};

    /// The `si_code` of `brk`.
    pub(super) const BREAKPOINT: libc::c_int = libc::TRAP_BRKPT;

    /// # Safety
    /// As for [`set_program_counter`](super::set_program_counter).
    pub(super) unsafe fn program_counter(ucontext: *mut c_void) -> *mut u64 {
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { &raw mut (*ucontext).uc_mcontext.pc }
    }

    /// An instruction is aligned, so that it is its own address that cannot be fetched; an instruction that
    /// was fetched does not load from its own address, which code does not know, nor store to it.
    ///
    /// # Safety
    /// As for [`is_fetch`](super::is_fetch).
    pub(super) unsafe fn is_fetch(info: *const siginfo_t, ucontext: *mut c_void) -> bool {
        // SAFETY: the caller's promise.
        unsafe { (*info).si_addr() as u64 == program_counter(ucontext).read() }
    }
}

/// Source: `arch/s390/kernel/traps.c`, `arch/s390/mm/fault.c`.
#[cfg(target_arch = "s390x")]
mod arch {
    use super::{c_void, siginfo_t};

    /// The `si_code` of an invalid operation; absent from the `libc` crate's list for some C libraries.
    pub(super) const BREAKPOINT: libc::c_int = 1;

    /// # Safety
    /// As for [`set_program_counter`](super::set_program_counter).
    pub(super) unsafe fn program_counter(ucontext: *mut c_void) -> *mut u64 {
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { &raw mut (*ucontext).uc_mcontext.psw.addr }
    }

    /// The processor reports the page of an address only, so that code that stores to the page it is in cannot
    /// be told from code that is not executable for the moment: a function that does so faults for ever.
    ///
    /// # Safety
    /// As for [`is_fetch`](super::is_fetch).
    pub(super) unsafe fn is_fetch(info: *const siginfo_t, ucontext: *mut c_void) -> bool {
        const PAGE_BITS: u32 = 12;
        // SAFETY: the caller's promise.
        unsafe {
            let page = (*info).si_addr() as u64 >> PAGE_BITS;
            page == program_counter(ucontext).read() >> PAGE_BITS
        }
    }
}

/// Source: `arch/riscv/kernel/traps.c`, `arch/riscv/mm/fault.c`.
#[cfg(target_arch = "riscv64")]
mod arch {
    use super::{c_void, siginfo_t};

    /// The `si_code` of `ebreak`.
    pub(super) const BREAKPOINT: libc::c_int = libc::TRAP_BRKPT;

    /// # Safety
    /// As for [`set_program_counter`](super::set_program_counter).
    pub(super) unsafe fn program_counter(ucontext: *mut c_void) -> *mut libc::c_ulong {
        let ucontext = ucontext.cast::<libc::ucontext_t>();
        // SAFETY: the caller's promise.
        unsafe { &raw mut (*ucontext).uc_mcontext.__gregs[libc::REG_PC] }
    }

    /// An instruction that cannot be fetched has itself or, if it begins on the page before, its second half
    /// on the page that faults (RISC-V ISA vol. II, `stval`). One that was fetched does not load from there,
    /// as code does not know its own address, nor store to it.
    ///
    /// # Safety
    /// As for [`is_fetch`](super::is_fetch).
    pub(super) unsafe fn is_fetch(info: *const siginfo_t, ucontext: *mut c_void) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let pc = program_counter(ucontext).read() as usize;
            [pc, pc.wrapping_add(2)].contains(&((*info).si_addr() as usize))
        }
    }
}
