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
