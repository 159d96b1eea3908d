//! Miri executes no machine code: there is no instruction fetch to be coherent with, and neither
//! assembly nor these system calls could be interpreted.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::{CacheMaintenance, Error};

pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

pub(crate) unsafe fn clear(_start: usize, _len: usize) -> Result<(), Error> {
    compiler_fence(Ordering::SeqCst);
    Ok(())
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::Coherent
}
