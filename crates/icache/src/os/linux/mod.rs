//! Linux and Android: the best mechanism that the kernel and its sandboxes let through, found by
//! trying.
//!
//! | order | mechanism | where |
//! |---|---|---|
//! | 1 | `membarrier(PRIVATE_EXPEDITED_SYNC_CORE)` | x86, ARM, AArch64, PowerPC, s390x; RISC-V since Linux 6.9 |
//! | 2 | `riscv_flush_icache`, all harts | RISC-V |
//! | 3 | signal handshake | where a barrier executed by a thread follows it from core to core |
//!
//! What is found out is kept for the process and its children. A mechanism that stops working,
//! because a sandbox was entered later, is left for the next one in the same call.

use core::ffi::{c_int, c_long};
use core::sync::atomic::{AtomicU32, Ordering};

use crate::os::{ClearCache, handshake};
use crate::{Broadcast, Error, Preference, Reason, isa};

mod list;
mod membarrier;
pub(in crate::os) mod threads;

pub(crate) const CACHE_CALL: Option<ClearCache> = None;

/// What the C library's `syscall` returned, or the error number it left.
pub(crate) fn check(result: c_long) -> Result<c_long, i32> {
    if result == -1 {
        Err(errno())
    } else {
        Ok(result)
    }
}

pub(in crate::os) fn errno() -> i32 {
    #[cfg(target_os = "linux")]
    let place = libc::__errno_location;
    #[cfg(target_os = "android")]
    let place = libc::__errno;
    // SAFETY: the C library's errno of the calling thread is always readable.
    unsafe { *place() }
}

#[derive(Clone, Copy)]
enum Mechanism {
    Membarrier,
    FlushCall(fn() -> Result<(), i32>),
    Handshake,
}

/// In the order in which they are tried. An index into it is what `CHOICE` holds.
const MECHANISMS: [Option<Mechanism>; 3] = [
    Some(Mechanism::Membarrier), // FIRST
    match isa::FLUSH_CALL {
        Some(call) => Some(Mechanism::FlushCall(call)),
        None => None,
    },
    if isa::BARRIER_FOLLOWS_THREAD {
        Some(Mechanism::Handshake)
    } else {
        None
    },
];

/// The index of `membarrier`.
const FIRST: usize = 0;

/// The mechanism in use, in one word: bits 0–7 its index, bit 8 whether it is [`PREFERRED`], bits
/// 16–31 the `errno` with which the one before it was refused.
static CHOICE: AtomicU32 = AtomicU32::new(0);

/// `prefer` said so.
const PREFERRED: u32 = 1 << 8;

#[derive(Clone, Copy)]
struct Choice(u32);

impl Choice {
    #[inline]
    fn load() -> Choice {
        Choice(CHOICE.load(Ordering::Relaxed))
    }

    fn store(self) {
        CHOICE.store(self.0, Ordering::Relaxed);
    }

    /// Replaces this choice, unless another thread has, with `prefer` for instance. The choice
    /// that holds.
    fn replace_by(self, next: Choice) -> Choice {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        match CHOICE.compare_exchange(self.0, next.0, success, failure) {
            Ok(_) => next,
            Err(other) => Choice(other),
        }
    }

    #[inline]
    fn index(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// Only indices of existing mechanisms are ever stored.
    fn mechanism(self) -> Mechanism {
        MECHANISMS[self.index()].unwrap_or(Mechanism::Membarrier)
    }

    /// The first mechanism from `index` on, having been led there by `errno`.
    fn from(index: usize, errno: i32) -> Option<Choice> {
        let index = (index..MECHANISMS.len()).find(|&index| MECHANISMS[index].is_some())?;
        let errno = u32::from(u16::try_from(errno).unwrap_or(0));
        Some(Choice(index as u32 | errno << 16))
    }

    /// The one to fall back to when this one is refused.
    fn next(self, errno: i32) -> Option<Choice> {
        if self.0 & PREFERRED != 0 {
            return None;
        }
        Choice::from(self.index() + 1, errno)
    }

    fn reason(self) -> Reason {
        match (self.0 >> 16).cast_signed() {
            _ if self.0 & PREFERRED != 0 => Reason::Preferred,
            0 => Reason::Offered,
            errno => Reason::Refused { errno },
        }
    }
}

impl Mechanism {
    fn register(self) -> Result<(), Error> {
        match self {
            Mechanism::Membarrier => membarrier::register(),
            Mechanism::FlushCall(call) => call().map_err(|errno| Error::Unsupported { errno }),
            Mechanism::Handshake => handshake::prepare(),
        }
    }

    fn sync_core(self) -> Result<(), Error> {
        match self {
            Mechanism::Membarrier => membarrier::sync_core(),
            Mechanism::FlushCall(call) => call().map_err(|errno| Error::Unsupported { errno }),
            Mechanism::Handshake => handshake::sync_core(),
        }
    }

    /// Whether it seems to be there, without using it.
    fn offered(self) -> Result<Broadcast, Error> {
        match self {
            Mechanism::Membarrier => membarrier::offered().map(|()| Broadcast::Membarrier),
            Mechanism::FlushCall(call) => match call() {
                Ok(()) => Ok(Broadcast::RiscvFlushIcache),
                Err(errno) => Err(Error::Unsupported { errno }),
            },
            Mechanism::Handshake => {
                handshake::offered().map(|signal| Broadcast::SignalHandshake { signal })
            }
        }
    }
}

/// Does `attempt` with the chosen mechanism, and with those after it as long as each is refused.
#[cold]
fn with_fallback(attempt: fn(Mechanism) -> Result<(), Error>) -> Result<(), Error> {
    let mut choice = Choice::load();
    loop {
        let failure = match attempt(choice.mechanism()) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let Error::Unsupported { errno } = failure else {
            return Err(failure);
        };
        choice = choice.replace_by(choice.next(errno).ok_or(failure)?);
    }
}

pub(crate) fn register() -> Result<(), Error> {
    with_fallback(Mechanism::register)
}

#[inline]
pub(crate) fn sync_core() -> Result<(), Error> {
    // What mostly happens takes little more than the system call.
    if Choice::load().index() == FIRST && membarrier::try_sync_core() {
        return Ok(());
    }
    with_fallback(Mechanism::sync_core)
}

/// Reports the choice, or what it would be: the first mechanism that seems to be there.
pub(crate) fn broadcast() -> (Broadcast, Reason) {
    let mut choice = Choice::load();
    loop {
        let failure = match choice.mechanism().offered() {
            Ok(broadcast) => return (broadcast, choice.reason()),
            Err(failure) => failure,
        };
        match choice.next(failure.errno()) {
            Some(next) => choice = next,
            None => return (Broadcast::Unavailable(failure), choice.reason()),
        }
    }
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    if preference == Preference::Automatic {
        Choice(0).store();
        return register();
    }
    let wanted = |mechanism: &Option<Mechanism>| {
        matches!(
            (preference, mechanism),
            (Preference::Membarrier, Some(Mechanism::Membarrier))
                | (Preference::RiscvFlushIcache, Some(Mechanism::FlushCall(_)))
                | (Preference::SignalHandshake, Some(Mechanism::Handshake))
        )
    };
    let index = MECHANISMS
        .iter()
        .position(wanted)
        .ok_or(Error::NoSuchMechanism)?;
    let choice = Choice(index as u32 | PREFERRED);
    choice.mechanism().register()?;
    choice.store();
    Ok(())
}

/// `c_int` is what signals and commands are passed as; the kernel takes words.
pub(in crate::os) fn word(value: c_int) -> c_long {
    c_long::from(value)
}
