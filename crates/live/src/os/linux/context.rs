//! The interrupted thread's registers, as far as they are needed.

use libc::c_void;

/// The program counter in a signal handler's context.
///
/// # Safety
/// `ucontext` is the third argument of a running SA_SIGINFO handler.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn program_counter(ucontext: *mut c_void) -> *mut libc::greg_t {
    let ucontext = ucontext.cast::<libc::ucontext_t>();
    // SAFETY: the caller's promise.
    unsafe { &raw mut (*ucontext).uc_mcontext.gregs[libc::REG_RIP as usize] }
}

/// Whether the signal was raised because an instruction could not be fetched.
///
/// # Safety
/// As for [`program_counter`]; the signal is SIGSEGV.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn is_fetch(ucontext: *mut c_void) -> bool {
    /// Bit 4 of the page fault's error code (Intel SDM vol. 3A §4.7).
    const FETCH: libc::greg_t = 1 << 4;
    let ucontext = ucontext.cast::<libc::ucontext_t>();
    // SAFETY: the caller's promise.
    unsafe { (*ucontext).uc_mcontext.gregs[libc::REG_ERR as usize] & FETCH != 0 }
}
