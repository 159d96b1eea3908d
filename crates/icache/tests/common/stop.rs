//! Loops of other threads.

use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the loops of other threads even if an assertion fails.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
