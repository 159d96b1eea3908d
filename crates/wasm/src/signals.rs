//! Signals that faults of the guest raise.
//!
//! The handlers are installed once per process. A fault that is not the guest's goes to the
//! handler that was there before.

use crate::activation::handle_fault;
use crate::mmap::{PAGE, Reservation};
use crate::{Error, Result, arch};
use libc::{c_int, c_void, sigaction, siginfo_t};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::{io, ptr};

const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// The actions that the handler replaced, or the error that prevented it.
static PREVIOUS: OnceLock<Result<[sigaction; 4], c_int>> = OnceLock::new();

/// Install the handlers, unless they are.
pub(crate) fn install() -> Result<()> {
    match PREVIOUS.get_or_init(install_all) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::system(format!(
            "cannot install signal handlers: {}",
            io::Error::from_raw_os_error(*errno)
        ))),
    }
}

fn install_all() -> Result<[sigaction; 4], c_int> {
    // SAFETY: all zeros is a valid action: the default one.
    let mut previous: [sigaction; 4] = unsafe { MaybeUninit::zeroed().assume_init() };
    for (&signal, previous) in SIGNALS.iter().zip(&mut previous) {
        // SAFETY: the action is completely set up, and the handler follows the rules of handlers.
        // Between this call and the end of the initialization, `on_signal` finds no previous
        // action; no guest code runs yet, so only a fault of the host itself could notice.
        let result = unsafe {
            let mut action: sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = on_signal as *const () as usize;
            // The handler must be able to run when the stack is exhausted, and must not block the
            // signal: the guest's next fault may come before it is returned from, in a handler
            // that this one passes the signal on to.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, previous)
        };
        if result != 0 {
            return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
        }
    }
    Ok(previous)
}

/// # Safety
/// Called by the system.
unsafe extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes valid pointers; the signals are raised by faulting instructions of
    // this thread, or sent by someone, in which case the program counter decides.
    unsafe {
        let mut stopped = arch::Stopped::new(context);
        let fault =
            matches!(signal, libc::SIGSEGV | libc::SIGBUS).then(|| (*info).si_addr() as usize);
        // A code of 0 or less means that the signal was sent by a process.
        if (*info).si_code > 0 && handle_fault(&mut stopped, fault) {
            return;
        }
        pass_on(signal, info, context);
    }
}

/// Do what would have been done without this crate's handler.
///
/// # Safety
/// Called by the handler with its own arguments.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = SIGNALS
        .iter()
        .position(|&s| s == signal)
        .and_then(|i| PREVIOUS.get()?.as_ref().ok()?.get(i));
    // SAFETY: the previous action is what the system reported, so its handler has the type that
    // its flags say.
    unsafe {
        match previous {
            Some(action) if action.sa_sigaction == libc::SIG_IGN => {}
            Some(action) if action.sa_sigaction != libc::SIG_DFL => {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: unsafe extern "C" fn(c_int) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            // The default is to end the process. A faulting instruction is executed again and
            // meets it; a signal that was sent has to be repeated.
            _ => {
                let action: sigaction = MaybeUninit::zeroed().assume_init();
                libc::sigaction(signal, &action, ptr::null_mut());
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
        }
    }
}

/// The least size of an alternate signal stack that is good enough.
const MIN_ALTERNATE: usize = 64 << 10;

/// An alternate signal stack of a thread; a guard page precedes it.
struct AlternateStack(Reservation);

thread_local! {
    /// None until the thread was prepared; then the stack that was made for it, if it needed one.
    static ALTERNATE: RefCell<Option<Option<AlternateStack>>> = const { RefCell::new(None) };
}

/// See to it that this thread has a large enough alternate signal stack.
pub(crate) fn prepare_thread() -> Result<()> {
    ALTERNATE.with(|slot| {
        if slot.borrow().is_some() {
            return Ok(());
        }
        let made = AlternateStack::for_thread()
            .map_err(|error| Error::system(format!("no alternate signal stack: {error}")))?;
        *slot.borrow_mut() = Some(made);
        Ok(())
    })
}

impl AlternateStack {
    /// Make and use a new one, unless the present one is large enough.
    fn for_thread() -> io::Result<Option<AlternateStack>> {
        let present = present()?;
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= MIN_ALTERNATE {
            return Ok(None);
        }
        let memory = Reservation::new(PAGE + MIN_ALTERNATE)?;
        memory.open(PAGE, MIN_ALTERNATE)?;
        let stack = libc::stack_t {
            // SAFETY: inside the reservation.
            ss_sp: unsafe { memory.base().add(PAGE) }.cast(),
            ss_flags: 0,
            ss_size: MIN_ALTERNATE,
        };
        // SAFETY: the memory stays until `drop` takes the stack out of use.
        if unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Some(AlternateStack(memory)))
    }
}

/// The alternate stack the thread has.
fn present() -> io::Result<libc::stack_t> {
    let mut stack = MaybeUninit::uninit();
    // SAFETY: only asks, and fills the structure when it succeeds.
    unsafe {
        if libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack.assume_init())
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let Ok(present) = present() else { return };
        if present.ss_sp.cast::<u8>() != self.0.base().wrapping_add(PAGE) {
            return;
        }
        let disable = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: 0,
        };
        // SAFETY: takes out of use what is about to be unmapped.
        unsafe { libc::sigaltstack(&disable, ptr::null_mut()) };
    }
}
