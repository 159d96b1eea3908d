#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::ffi::c_void;
use core::fmt;

mod error;
mod isa;
mod maintenance;
mod os;

pub use error::Error;
pub use maintenance::Operation;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "nopal-icache knows no instruction-cache maintenance for this architecture; \
     supported: x86_64, aarch64"
);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
compile_error!(
    "nopal-icache knows no way to reach all threads on this operating system; \
     supported: linux, android"
);

/// Makes newly written code in `[ptr, ptr + len)` visible to instruction fetch.
///
/// After it returns, any core that then executes a context synchronization event fetches the new
/// bytes; the calling core has executed one if the architecture needs it. Follow it with
/// [`pipeline_flush_mt`] (fresh code) or [`sync_core_mt`] (modified code).
///
/// `ptr` is the address the code will be *executed* at: where the same memory is mapped twice,
/// cache maintenance by the writable address is not enough.
///
/// # Cost
/// Nothing on x86-64; a few nanoseconds a cache line on AArch64.
///
/// # Errors
/// None on the targets supported so far; on others the operating system may refuse.
///
/// # Safety
/// The range must be mapped and readable, and must not wrap around the address space.
#[inline]
pub unsafe fn clear_cache(ptr: *const c_void, len: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise is the one `clear` asks for.
    unsafe { isa::clear(ptr as usize, len) };
    Ok(())
}

/// Every thread of this process executes a context synchronization event before this returns,
/// where the architecture needs one before *freshly published* code is run.
///
/// "Fresh" means that no thread can have fetched from the range since it last held other code.
/// x86-64 needs nothing then. For code that replaces code, use [`sync_core_mt`].
///
/// # Errors
/// The broadcast of [`sync_core_mt`] failed. Do not run the code.
pub fn pipeline_flush_mt() -> Result<(), Error> {
    if isa::FRESH_CODE_NEEDS_BROADCAST {
        os::sync_core()
    } else {
        Ok(())
    }
}

/// Every thread of this process executes a context synchronization event (x86: a serializing
/// instruction; AArch64: ISB or an exception) before this returns, on every architecture.
///
/// This is what code needs that *modifies instructions others may be executing*. The call is also
/// a full memory barrier between the caller and every other thread.
///
/// # Cost
/// One system call and an interrupt to each core that runs a thread of the process: 0.3 µs alone,
/// around 2 µs with a busy peer. The first call of a process that did not [`register`] pays for
/// that too.
///
/// # Errors
/// [`Error::Unsupported`] where the kernel has no mechanism with this guarantee: nothing weaker is
/// used in its place (`MEMBARRIER_CMD_GLOBAL` orders memory accesses only).
pub fn sync_core_mt() -> Result<(), Error> {
    os::sync_core()
}

/// Registers the process for the broadcast, so that the first one does not pay for it.
///
/// Registration in a process that already has threads can take milliseconds: call it at start-up.
/// Calling it again is harmless.
///
/// # Errors
/// As for [`sync_core_mt`].
pub fn register() -> Result<(), Error> {
    os::register()
}

/// What this machine needs, and which mechanism will be used: for logs and tests.
pub fn requirements() -> Requirements {
    Requirements {
        cache: isa::cache_maintenance(),
        fresh_code_needs_broadcast: isa::FRESH_CODE_NEEDS_BROADCAST,
        broadcast: os::broadcast(),
    }
}

/// The answer of [`requirements`]. Its `Display` is one line for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirements {
    /// What [`clear_cache`] does.
    pub cache: CacheMaintenance,
    /// Whether [`pipeline_flush_mt`] broadcasts.
    pub fresh_code_needs_broadcast: bool,
    /// What [`sync_core_mt`] uses.
    pub broadcast: Broadcast,
}

/// Cache operations needed after writing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMaintenance {
    /// None: instruction fetch snoops stores.
    Coherent,
    /// By address; a line size in bytes where the operation is needed, `None` where the hardware
    /// makes it unnecessary.
    ByAddress {
        /// Data-cache clean to the point of unification.
        data_line: Option<usize>,
        /// Instruction-cache invalidation.
        instruction_line: Option<usize>,
    },
}

/// How all threads are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broadcast {
    /// Linux `membarrier(PRIVATE_EXPEDITED_SYNC_CORE)`.
    Membarrier,
    /// There is no way; [`sync_core_mt`] will fail.
    Unavailable(Error),
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cache {
            CacheMaintenance::Coherent => f.write_str("caches: coherent")?,
            CacheMaintenance::ByAddress {
                data_line,
                instruction_line,
            } => {
                f.write_str("caches:")?;
                match data_line {
                    Some(line) => write!(f, " clean data by {line} bytes,")?,
                    None => f.write_str(" data coherent,")?,
                }
                match instruction_line {
                    Some(line) => write!(f, " invalidate instructions by {line} bytes")?,
                    None => f.write_str(" instructions coherent")?,
                }
            }
        }
        let when = if self.fresh_code_needs_broadcast {
            "fresh and modified code"
        } else {
            "modified code"
        };
        match self.broadcast {
            Broadcast::Membarrier => write!(f, "; broadcast for {when}: membarrier SYNC_CORE"),
            Broadcast::Unavailable(why) => write!(f, "; broadcast for {when}: none: {why}"),
        }
    }
}
