//! The handlers for breakpoints and SIGSEGV.
//!
//! Source: `sigaction(2)`.

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t};

use super::context;
use crate::{Error, Result, trap};

type Action = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// A signal that this crate handles.
pub(crate) struct Handler {
    signal: c_int,
    action: Action,
    /// What the signal did before.
    previous: OnceLock<libc::sigaction>,
    outcome: OnceLock<Result<(), c_int>>,
}

/// What a breakpoint in a site raises: on s390x it is an invalid instruction, since what Linux has for a
/// breakpoint raises SIGTRAP only under a debugger.
const BREAKPOINT: c_int = if cfg!(target_arch = "s390x") {
    libc::SIGILL
} else {
    libc::SIGTRAP
};

/// For sites under change.
pub(crate) static TRAP: Handler = Handler::new(BREAKPOINT, on_trap);
/// For code memory that is being written.
pub(crate) static FAULT: Handler = Handler::new(libc::SIGSEGV, on_fault);

impl Handler {
    const fn new(signal: c_int, action: Action) -> Handler {
        Handler {
            signal,
            action,
            previous: OnceLock::new(),
            outcome: OnceLock::new(),
        }
    }

    /// Installs the handler once; later calls return the first outcome.
    pub(crate) fn install(&self) -> Result<()> {
        let outcome = self.outcome.get_or_init(|| {
            let outcome = self.try_install();
            outcome.map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))
        });
        outcome.map_err(|errno| Error::SignalHandler {
            signal: match self.signal {
                libc::SIGTRAP => "SIGTRAP",
                libc::SIGILL => "SIGILL",
                _ => "SIGSEGV",
            },
            source: io::Error::from_raw_os_error(errno),
        })
    }

    fn try_install(&self) -> io::Result<()> {
        let mut previous = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: querying the action fills `previous` and changes nothing.
        if unsafe { libc::sigaction(self.signal, ptr::null(), previous.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // Known before the handler can run.
        // SAFETY: filled by the successful call above.
        self.previous
            .get_or_init(|| unsafe { previous.assume_init() });
        // SAFETY: an all-zero sigaction is valid: no flags, empty mask.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = self.action as *const () as usize;
        // On the alternate stack if the thread has one: the guest's may be nearly used up.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // SAFETY: the handler is async-signal-safe and has the type that SA_SIGINFO asks for.
        if unsafe { libc::sigaction(self.signal, &action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

unsafe extern "C" fn on_trap(signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to a SA_SIGINFO handler.
    unsafe {
        let pc = context::after_breakpoint(info, ucontext);
        let flags = context::flags(ucontext);
        if let Some(resume) = pc.and_then(|pc| trap::resume_address(pc, flags)) {
            context::set_program_counter(ucontext, resume);
            return;
        }
        pass_on(&TRAP, signal, info, ucontext);
    }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    /// The page is mapped, but does not allow the access; absent from the `libc` crate.
    const SEGV_ACCERR: c_int = 2;
    // SAFETY: the kernel passes valid pointers to a SA_SIGINFO handler.
    unsafe {
        if (*info).si_code == SEGV_ACCERR
            && context::is_fetch(info, ucontext)
            && trap::wait_for_code((*info).si_addr() as usize)
        {
            return;
        }
        pass_on(&FAULT, signal, info, ucontext);
    }
}

/// Keeps signals from the thread as long as it lives, except those that it raises itself.
pub(crate) struct SignalMask(libc::sigset_t);

impl SignalMask {
    pub(crate) fn block() -> SignalMask {
        const OWN: [c_int; 5] = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
        ];
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: fills both sets; with these arguments nothing can fail.
        unsafe {
            libc::sigfillset(mask.as_mut_ptr());
            for signal in OWN {
                libc::sigdelset(mask.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, mask.as_ptr(), before.as_mut_ptr());
            SignalMask(before.assume_init())
        }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// Does with a signal that is not ours what would have been done without us.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(handler: &Handler, signal: c_int, info: *mut siginfo_t, ucontext: *mut c_void) {
    let Some(previous) = handler.previous.get() else {
        return;
    };
    // SAFETY: the caller's promise.
    let sent_by_a_process = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent_by_a_process => {}
        // The kernel does not let a thread ignore what it raised itself either.
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
