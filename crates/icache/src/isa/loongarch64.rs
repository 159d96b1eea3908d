//! LoongArch: hardware keeps instruction and data caches coherent; `IBAR 0` makes the executing
//! core fetch again.
//!
//! Sources: LoongArch reference manual vol. 1, §2.2.8 "Barrier Instructions"; Linux
//! `arch/loongarch/mm/cache.c`.

use core::arch::asm;

use crate::{CacheMaintenance, Error};

/// Other cores may hold prefetched instructions; `IBAR` is local.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = true;

/// The manual does not say that `ERTN` is an instruction barrier.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = false;

/// What a core has in flight belongs to the instruction stream it executes. A thread that comes
/// from another core is fetched anew after the switch in the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Completes this core's stores and discards what it has prefetched.
pub(crate) unsafe fn clear(_start: usize, _len: usize) -> Result<(), Error> {
    // SAFETY: a barrier.
    unsafe { asm!("dbar 0", options(nostack, preserves_flags)) };
    barrier();
    Ok(())
}

/// Discards what this core has prefetched.
pub(crate) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("ibar 0", options(nostack, preserves_flags)) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::Barrier
}
