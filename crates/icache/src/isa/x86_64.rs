//! x86-64: instruction caches snoop stores, so there is no cache operation to perform.
//!
//! Sources: Intel SDM vol. 3A §13.6 "Self-Modifying Code" and §10.1.3 "Handling Self- and
//! Cross-Modifying Code"; AMD APM vol. 2 §7.6.1.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::CacheMaintenance;

/// A core that has never fetched from a range sees what was stored there before it learnt the
/// address, by the ordinary ordering of loads and stores.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

/// Keeps the compiler from moving stores of code past this point.
#[inline]
pub(crate) unsafe fn clear(_start: usize, _len: usize) {
    compiler_fence(Ordering::SeqCst);
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::Coherent
}
