//! The SIGTRAP handler.
//!
//! Sources: `sigaction(2)`; `arch/x86/kernel/traps.c` (`int3` is reported with `SI_KERNEL` and the
//! address after the instruction).

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t};

use super::context;
use crate::{Error, Result, trap};

/// What SIGTRAP did before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler once; later calls return the first outcome.
pub(crate) fn install() -> Result<()> {
    static OUTCOME: OnceLock<Result<(), c_int>> = OnceLock::new();
    let outcome = OUTCOME.get_or_init(|| {
        try_install().map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))
    });
    outcome.map_err(|errno| Error::TrapHandler(io::Error::from_raw_os_error(errno)))
}

fn try_install() -> io::Result<()> {
    let mut previous = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: querying the action fills `previous` and changes nothing.
    if unsafe { libc::sigaction(libc::SIGTRAP, ptr::null(), previous.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Known before the handler can run.
    // SAFETY: filled by the successful call above.
    PREVIOUS.get_or_init(|| unsafe { previous.assume_init() });
    // SAFETY: an all-zero sigaction is valid: no flags, empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    // On the alternate stack if the thread has one: the guest's may be nearly used up.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe and has the type that SA_SIGINFO asks for.
    if unsafe { libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to a SA_SIGINFO handler.
    unsafe {
        if (*info).si_code == libc::SI_KERNEL {
            let pc = context::program_counter(ucontext);
            if let Some(after) = trap::resume_address(*pc as usize) {
                *pc = after as _;
                return;
            }
        }
        pass_on(signal, info, ucontext);
    }
}

/// Does with a signal that is not ours what would have been done without us.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    let Some(previous) = PREVIOUS.get() else {
        return;
    };
    // SAFETY: the caller's promise.
    let sent_by_a_process = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent_by_a_process => {}
        // The kernel does not let a thread ignore its own breakpoints either.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: both calls are async-signal-safe. The signal is blocked until the handler
            // returns, and then ends the process.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: installed by someone as a handler of this type.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, ucontext);
        }
        handler => {
            // SAFETY: as above.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}
