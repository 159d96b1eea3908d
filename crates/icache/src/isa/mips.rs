//! MIPS: `SYNCI` need not reach other cores, the kernel's `cacheflush` does.
//!
//! Sources: MIPS64 architecture, vol. II-A, `SYNCI` and `ERET` (both clear instruction hazards);
//! Linux `arch/mips/mm/cache.c`, `arch/mips/mm/c-r4k.c`.

use core::ffi::{c_int, c_long};

use crate::os::check;
use crate::{CacheMaintenance, Error};

/// `BCACHE` of `asm/cachectl.h`: write back the data cache and invalidate the instruction cache.
const BOTH_CACHES: c_int = 3;

/// Other cores may hold prefetched instructions.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = true;

/// `ERET` clears execution and instruction hazards.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = true;

/// By the hazard barrier at each exit from the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Writes back and invalidates the range on all cores.
///
/// # Safety
/// The range must be mapped and readable.
pub(crate) unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    // SAFETY: the call changes no memory contents, and checks the range itself.
    let result: c_long = unsafe { libc::syscall(libc::SYS_cacheflush, start, len, BOTH_CACHES) };
    check(result).map_err(|errno| Error::Cache { errno })?;
    Ok(())
}

/// Any system call will do: the kernel returns from it with `ERET`.
pub(crate) fn barrier() {
    // SAFETY: gettid takes nothing and touches no memory.
    unsafe { libc::syscall(libc::SYS_gettid) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::System
}
