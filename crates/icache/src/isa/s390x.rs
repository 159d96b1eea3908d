//! s390x: instruction fetch is coherent; what was prefetched is discarded by serialization.
//!
//! Source: z/Architecture Principles of Operation (SA22-7832), chapter 5, "Conceptual Sequence" and
//! "Serialization".

use core::arch::asm;

use crate::{CacheMaintenance, Error};

/// A core that has never fetched from a range sees what was stored there before it learnt the
/// address.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

/// Every `LOAD PSW EXTENDED`, with which the kernel returns, performs serialization.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = true;

/// By the serialization at each exit from the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Serializes this core: what it stored through another mapping of the same memory is then seen by
/// its own instruction fetch.
pub(crate) unsafe fn clear(_start: usize, _len: usize) -> Result<(), Error> {
    barrier();
    Ok(())
}

/// `BCR 15,0`: a branch that is not taken and serializes.
pub(crate) fn barrier() {
    // SAFETY: with register zero there is no branch; nothing but serialization is left.
    unsafe { asm!("bcr 15, %r0", options(nostack, preserves_flags)) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::Coherent
}
