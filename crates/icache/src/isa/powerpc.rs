//! PowerPC: store the block to memory, then invalidate it in every instruction cache.
//!
//! Source: Power ISA 3.1, book II, §1.8 "Shared Storage" and §4.3 "Cache Management Instructions"
//! (programming note on instruction storage); `isync` and `rfid` are context synchronizing (book
//! III, "Synchronization").

use core::arch::asm;

use crate::{CacheMaintenance, Error};

/// Bytes from one operation to the next: the smallest cache block among the processors that Linux
/// supports. Where blocks are larger, some operations are redundant, and none is missing.
const STEP: usize = 32;

/// Other cores may hold prefetched instructions.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = true;

/// `rfid` and its kin, with which the kernel returns, are context synchronizing.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = true;

/// By the event at each exit from the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Makes stores to `[start, start + len)` visible to instruction fetch of every core.
///
/// # Safety
/// The range must be mapped and readable.
pub(crate) unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    let first = start & !(STEP - 1);
    let end = start.saturating_add(len);
    for block in (first..end).step_by(STEP) {
        // SAFETY: the caller promises that the range is mapped and readable; storing a block that
        // is modified in the cache changes no memory contents.
        unsafe { asm!("dcbst 0, {}", in(reg) block, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier: the blocks are stored before any is invalidated.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
    for block in (first..end).step_by(STEP) {
        // SAFETY: as above; invalidating an instruction cache block changes no memory contents.
        unsafe { asm!("icbi 0, {}", in(reg) block, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier: the invalidations are done before what follows.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
    barrier();
    Ok(())
}

/// Discards what this core has prefetched.
pub(crate) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("isync", options(nostack, preserves_flags)) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::ByAddress {
        data_line: Some(STEP),
        instruction_line: Some(STEP),
    }
}
