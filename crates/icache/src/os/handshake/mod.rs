//! A signal to every thread of the process, whose handler executes the architecture's barrier.
//!
//! # What is shown
//!
//! Let *t₀* be the call, before which the caller has stored its code and maintained caches. When
//! [`sync_core`] returns successfully, every thread that will run in user mode has executed a
//! context synchronization event after t₀. A thread has done so if
//!
//! 1. it executed the barrier in the handler, after it found a request that was posted after t₀; or
//! 2. the architecture makes every exit from the kernel such an event
//!    ([`isa::KERNEL_EXIT_SYNCHRONIZES`]), and it was seen inside the kernel and off its core after
//!    t₀: whatever it executes next in user mode comes after the event. This covers threads that
//!    block the signal; or
//! 3. it was created after t₀. It first runs when a core's kernel switches to it, as if it came
//!    there from another core: see below.
//!
//! So the broadcast is over when the threads that the system had at one time after t₀ have been
//! asked and have answered, or have ended. How they are found, and none of them missed, is up to
//! `each` in the system's module `threads`; however fast others come and go, they are left alone.
//! A thread that is not among them was added to the system's table of threads later, under the lock
//! under which that was read, and so sees what was stored before t₀.
//!
//! # Moving between cores
//!
//! The barrier is an act of the core on which a thread happens to be. Before the thread runs on
//! another core, that core has passed through the kernel's switch to it, and fetches its
//! instructions after that. What that core did before, or which thread ran there, makes no
//! difference; nor does it for a new thread, of which no core has fetched anything before the
//! switch to it. On architectures of case 2 this is an event by the manual. On x86 the
//! return may be a `SYSRET`, which vendors do not call serializing; there this mechanism relies on
//! what a core has in flight belonging to one stream of instructions, and on the switch being
//! longer than any pipeline. On RISC-V it would be wrong, for an instruction cache stays behind
//! with the hart: [`isa::BARRIER_FOLLOWS_THREAD`] is false, and this mechanism is not used.
//!
//! # Signals
//!
//! One is chosen at the first use, from those that nobody handles, and its handler stays installed.
//! The handler is checked at every use, in case the program has taken the signal. While a thread
//! broadcasts, or waits for its turn to, it blocks all other signals, so that nothing can broadcast
//! from within.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering, fence};

use super::system::threads::{self, Errno};
use crate::{Error, isa};

mod tids;
mod turn;
mod wait;

use tids::TIDS;
use turn::Turn;
use wait::Patience;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os) enum Presence {
    /// It will never be in user mode again.
    Gone,
    /// It is in the kernel: asleep, or stopped there.
    #[cfg_attr(
        any(target_os = "netbsd", target_os = "openbsd"),
        allow(dead_code, reason = "these systems are not asked for it")
    )]
    InKernel,
    /// It may be in user mode.
    Running,
}

/// Requests under way at once.
const BATCH: usize = 64;

/// What is asked of a thread: its number in the low bits, and a count of broadcasts above, by which
/// a handler that comes too late for one request does not answer another. Zero: nothing.
static REQUESTS: [AtomicUsize; BATCH] = [const { AtomicUsize::new(0) }; BATCH];

/// The count of broadcasts, in place for a request.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

/// The signal, zero before it is chosen. Changed by the holder of the turn only.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Runs in any thread, at any point of its execution. It must leave `errno` alone: it calls nothing
/// that can fail.
extern "C" fn answer(_signal: c_int) {
    let me = threads::current() as usize;
    for request in &REQUESTS {
        let asked = request.load(Ordering::Acquire);
        if asked & tids::MASK == me && asked != 0 {
            isa::barrier();
            // A request that has changed meanwhile is a later one, which the barrier does not
            // answer; it has its own signal.
            let _ = request.compare_exchange(asked, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

/// The address by which the kernel knows the handler.
fn handler() -> libc::sighandler_t {
    answer as extern "C" fn(c_int) as libc::sighandler_t
}

/// Exchanges the handler of a signal; `None` only reads it.
fn exchange_handler(signal: c_int, new: Option<libc::sighandler_t>) -> Option<libc::sighandler_t> {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all fields are integers, sets of bits or optional function pointers, for which zeros
    // are valid.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let action = match new {
        Some(new) => {
            action.sa_sigaction = new;
            action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            &raw const action
        }
        None => ptr::null(),
    };
    // SAFETY: both are of the type that the call takes; `answer` may be called at any time, and
    // other handlers that are put here were there before.
    let result = unsafe { libc::sigaction(signal, action, old.as_mut_ptr()) };
    // SAFETY: filled by the call, and zeros before it.
    (result == 0).then(|| unsafe { old.assume_init() }.sa_sigaction)
}

/// Sees to it that the handler is installed. The turn must be held.
fn install() -> Result<c_int, Error> {
    let signal = SIGNAL.load(Ordering::Relaxed);
    if signal != 0 && exchange_handler(signal, None) == Some(handler()) {
        return Ok(signal);
    }
    for signal in threads::candidates() {
        if exchange_handler(signal, None) != Some(libc::SIG_DFL) {
            continue;
        }
        match exchange_handler(signal, Some(handler())) {
            Some(libc::SIG_DFL) => {
                SIGNAL.store(signal, Ordering::Relaxed);
                return Ok(signal);
            }
            // Another thread of the program was faster.
            Some(other) => exchange_handler(signal, Some(other)),
            None => continue,
        };
    }
    Err(Error::Unsupported { errno: libc::EBUSY })
}

/// Chooses and installs, so that the first broadcast need not.
pub(super) fn prepare() -> Result<(), Error> {
    threads::offered().map_err(|errno| Error::Unsupported { errno })?;
    let turn = Turn::take();
    let signal = install()?;
    turn.answer_to(signal);
    Ok(())
}

/// The signal if it has been chosen; an error if threads cannot be listed.
pub(super) fn offered() -> Result<Option<c_int>, Error> {
    threads::offered().map_err(|errno| Error::Unsupported { errno })?;
    let signal = SIGNAL.load(Ordering::Relaxed);
    Ok((signal != 0).then_some(signal))
}

/// Every thread of the process executes a context synchronization event before this returns.
pub(super) fn sync_core() -> Result<(), Error> {
    let turn = Turn::take();
    let signal = install()?;
    turn.answer_to(signal);
    fence(Ordering::SeqCst);
    isa::barrier();

    // A process that was forked during another thread's broadcast inherits its remains.
    TIDS.clear();
    for request in &REQUESTS {
        request.store(0, Ordering::Relaxed);
    }
    let mut broadcast = Broadcast {
        me: threads::current(),
        signal,
        generation: GENERATION.fetch_add(tids::MASK + 1, Ordering::Relaxed),
        patience: Patience::new(),
        pending: 0,
    };
    threads::each(|tid| broadcast.visit(tid))?;
    broadcast.wait_for_all()?;
    if !TIDS.contains(broadcast.me) {
        // The list is of another PID namespace than system calls are.
        return Err(Error::Unsupported { errno: libc::ESRCH });
    }
    fence(Ordering::SeqCst);
    Ok(())
}

/// The state of one broadcast.
struct Broadcast {
    me: u32,
    signal: c_int,
    generation: usize,
    patience: Patience,
    /// Requests that have not been waited for.
    pending: usize,
}

impl From<Errno> for Error {
    /// Threads cannot be listed.
    fn from(Errno(errno): Errno) -> Error {
        match errno {
            libc::ENOENT | libc::ENOSYS | libc::EPERM | libc::EACCES | libc::ESRCH => {
                Error::Unsupported { errno }
            }
            _ => Error::Broadcast { errno },
        }
    }
}

impl Broadcast {
    /// Asks a thread that has not been asked before.
    fn visit(&mut self, tid: u32) -> Result<(), Error> {
        if !TIDS
            .insert(tid)
            .map_err(|errno| Error::Unsupported { errno })?
        {
            return Ok(());
        }
        let needless =
            tid == self.me || isa::KERNEL_EXIT_SYNCHRONIZES && presence(tid)? != Presence::Running;
        if needless {
            return Ok(());
        }
        if self.pending == BATCH {
            self.wait_for_all()?;
        }
        let asked = self.generation | tid as usize;
        REQUESTS[self.pending].store(asked, Ordering::Release);
        loop {
            match threads::send(tid, self.signal) {
                Ok(()) => break,
                Err(libc::ESRCH) => {
                    REQUESTS[self.pending].store(0, Ordering::Relaxed);
                    return Ok(());
                }
                // The queue of signals is full.
                Err(libc::EAGAIN) if !self.patience.is_over() => self.patience.pause(),
                Err(errno) => return Err(Error::Broadcast { errno }),
            }
        }
        self.pending += 1;
        Ok(())
    }

    /// Waits until all threads that were asked have answered, or need not any more.
    fn wait_for_all(&mut self) -> Result<(), Error> {
        for request in &REQUESTS[..self.pending] {
            self.patience.rest();
            let mut blocked = None;
            loop {
                let asked = request.load(Ordering::Acquire);
                if asked == 0 {
                    break;
                }
                let tid = (asked & tids::MASK) as u32;
                if self.patience.is_time_to_look() && needs_no_answer(tid)? {
                    request.store(0, Ordering::Relaxed);
                    break;
                }
                if self.patience.pause_is_long()
                    && (self.patience.is_over() || blocks(tid, self.signal, &mut blocked)?)
                {
                    return Err(Error::Unresponsive { thread: tid });
                }
                self.patience.pause();
            }
        }
        self.pending = 0;
        Ok(())
    }
}

/// Whether a thread blocks the signal, and has done so since `blocked`, for long enough. Threads
/// do so for a moment at times, when they create others for instance; after that they answer.
fn blocks(tid: u32, signal: c_int, blocked: &mut Option<Patience>) -> Result<bool, Error> {
    match threads::blocks(tid, signal) {
        Ok(true) => Ok(blocked.get_or_insert_with(Patience::new).is_short()),
        Ok(false) => {
            *blocked = None;
            Ok(false)
        }
        Err(errno) => Err(Error::Broadcast { errno }),
    }
}

fn presence(tid: u32) -> Result<Presence, Error> {
    threads::presence(tid).map_err(|errno| Error::Broadcast { errno })
}

/// Whether a thread that has been asked will never be in user mode without having synchronized.
fn needs_no_answer(tid: u32) -> Result<bool, Error> {
    Ok(match presence(tid)? {
        Presence::Gone => true,
        Presence::InKernel => isa::KERNEL_EXIT_SYNCHRONIZES,
        Presence::Running => false,
    })
}
