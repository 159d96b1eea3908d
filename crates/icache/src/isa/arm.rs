//! ARM (32 bits): user mode cannot maintain caches, so the kernel does it.
//!
//! Sources: ARM ARM (DDI 0406) A3.8.2, "Context synchronization operation" in the glossary; Linux
//! `arch/arm/kernel/traps.c` (`__ARM_NR_cacheflush`).

use core::ffi::c_long;

use crate::os::check;
use crate::{CacheMaintenance, Error};

/// `__ARM_NR_cacheflush`, from the range of system calls that are private to ARM.
const CACHEFLUSH: c_long = 0xf_0002;

/// Other cores may hold prefetched instructions.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = true;

/// Exception return is a context synchronization operation.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = true;

/// By the event at each exit from the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Cleans and invalidates the range on all cores.
///
/// # Safety
/// The range must be mapped and readable.
pub(crate) unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    let flags: c_long = 0;
    // SAFETY: the call changes no memory contents, and checks the range itself.
    let result = unsafe { libc::syscall(CACHEFLUSH, start, start.saturating_add(len), flags) };
    check(result).map_err(|errno| Error::Cache { errno })?;
    Ok(())
}

/// Any system call will do, for its return is the event; `ISB` is unknown to processors before
/// ARMv7, which this must run on too.
pub(crate) fn barrier() {
    // SAFETY: gettid takes nothing and touches no memory.
    unsafe { libc::syscall(libc::SYS_gettid) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::System
}
