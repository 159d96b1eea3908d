//! What [`requirements`](crate::requirements) answers.

use core::fmt;

use crate::Error;

/// What this machine needs, and how it will get it. Its `Display` is one line for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirements {
    /// What [`clear_cache`](crate::clear_cache) does.
    pub cache: CacheMaintenance,
    /// Whether [`pipeline_flush_mt`](crate::pipeline_flush_mt) broadcasts.
    pub fresh_code_needs_broadcast: bool,
    /// What [`sync_core_mt`](crate::sync_core_mt) uses.
    pub broadcast: Broadcast,
    /// Why it uses that.
    pub reason: Reason,
}

/// Cache operations needed after writing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMaintenance {
    /// None: instruction fetch snoops stores.
    Coherent,
    /// None by address: a barrier of the executing core does it.
    Barrier,
    /// By address; a line size in bytes where the operation is needed, `None` where the hardware
    /// makes it unnecessary.
    ByAddress {
        /// Data-cache clean to the point of unification.
        data_line: Option<usize>,
        /// Instruction-cache invalidation.
        instruction_line: Option<usize>,
    },
    /// What the operating system's own function or system call does.
    System,
}

/// How all threads are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broadcast {
    /// Linux `membarrier(PRIVATE_EXPEDITED_SYNC_CORE)`.
    Membarrier,
    /// Linux `riscv_flush_icache` for all harts.
    RiscvFlushIcache,
    /// A signal to every thread, whose handler executes the barrier.
    SignalHandshake {
        /// The signal; `None` before the first use.
        signal: Option<i32>,
    },
    /// Every thread is suspended and resumed (FreeBSD, DragonFly: `pthread_suspend_all_np`).
    SuspendAll,
    /// The state of every thread is read, which makes it enter the kernel (macOS, iOS:
    /// `thread_get_state`).
    ThreadStates,
    /// Windows `FlushProcessWriteBuffers`.
    ProcessWriteBuffers,
    /// Bare metal with one core: its own barrier.
    OneCore,
    /// Miri, which executes no machine code: nothing to reach.
    Interpreter,
    /// There is no way; [`sync_core_mt`](crate::sync_core_mt) will fail.
    Unavailable(Error),
}

/// Why a mechanism was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is the best one of this target, and the system offers it.
    Offered,
    /// [`prefer`](crate::prefer) said so.
    Preferred,
    /// The better ones of this target are missing, or a sandbox refuses them.
    Refused {
        /// The `errno` value that said so.
        errno: i32,
    },
    /// This target has no other.
    Only,
}

/// What [`prefer`](crate::prefer) takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preference {
    /// The best mechanism that the system offers, found at run time.
    Automatic,
    /// [`Broadcast::Membarrier`].
    Membarrier,
    /// [`Broadcast::RiscvFlushIcache`].
    RiscvFlushIcache,
    /// [`Broadcast::SignalHandshake`].
    SignalHandshake,
}

impl fmt::Display for CacheMaintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CacheMaintenance::Coherent => f.write_str("coherent"),
            CacheMaintenance::Barrier => f.write_str("coherent after a barrier"),
            CacheMaintenance::System => f.write_str("by the operating system"),
            CacheMaintenance::ByAddress {
                data_line,
                instruction_line,
            } => {
                match data_line {
                    Some(line) => write!(f, "clean data by {line} bytes, ")?,
                    None => f.write_str("data coherent, ")?,
                }
                match instruction_line {
                    Some(line) => write!(f, "invalidate instructions by {line} bytes"),
                    None => f.write_str("instructions coherent"),
                }
            }
        }
    }
}

impl fmt::Display for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Broadcast::Membarrier => f.write_str("membarrier SYNC_CORE"),
            Broadcast::RiscvFlushIcache => f.write_str("riscv_flush_icache"),
            Broadcast::SignalHandshake { signal: None } => f.write_str("signal handshake"),
            Broadcast::SignalHandshake {
                signal: Some(signal),
            } => write!(f, "signal handshake by signal {signal}"),
            Broadcast::SuspendAll => f.write_str("suspending all threads"),
            Broadcast::ThreadStates => f.write_str("reading the state of all threads"),
            Broadcast::ProcessWriteBuffers => f.write_str("FlushProcessWriteBuffers"),
            Broadcast::OneCore => f.write_str("the barrier of the only core"),
            Broadcast::Interpreter => f.write_str("none in an interpreter"),
            Broadcast::Unavailable(why) => write!(f, "none: {why}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::Offered => f.write_str("offered by the system"),
            Reason::Preferred => f.write_str("preferred by the program"),
            Reason::Refused { errno } => write!(f, "better ones refused with errno {errno}"),
            Reason::Only => f.write_str("the only one of this target"),
        }
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.fresh_code_needs_broadcast {
            "fresh and modified code"
        } else {
            "modified code"
        };
        write!(
            f,
            "caches: {}; broadcast for {when}: {}; {}",
            self.cache, self.broadcast, self.reason
        )
    }
}
