//! Counters have no rows for CPUs here: one atomic instruction counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::PerCpu;

/// The number of the CPU the thread runs on, if it can be used to count by: never.
///
/// # Safety
/// As on other architectures, where the thread's area is read.
pub(crate) unsafe fn current_cpu(_area: i32) -> u32 {
    u32::MAX
}

/// Adds one to a counter, in the shared row.
///
/// # Safety
/// `shared` is the address of the counter's word in the shared row.
pub(crate) unsafe fn increment<const ROW_SHIFT: u32>(shared: *mut u64, _per_cpu: PerCpu) {
    // SAFETY: the caller's promise; threads access the word atomically.
    unsafe { AtomicU64::from_ptr(shared) }.fetch_add(1, Ordering::SeqCst);
}
