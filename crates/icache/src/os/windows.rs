//! Windows: `FlushInstructionCache` and `FlushProcessWriteBuffers`.
//!
//! The latter is documented to interrupt every processor that runs a thread of the process. A
//! return from an interrupt is a context synchronization event on every architecture that Windows
//! runs on; for a thread that was not running, so is its next return to user mode. The
//! documentation names the visibility of writes only: the effect on instruction fetch is inferred.

use core::ffi::c_void;

use crate::os::ClearCache;
use crate::{Broadcast, Error, Preference, Reason, isa};

#[link(name = "kernel32")]
unsafe extern "system" {
    safe fn GetCurrentProcess() -> *mut c_void;
    safe fn GetLastError() -> u32;
    fn FlushInstructionCache(process: *mut c_void, base: *const c_void, size: usize) -> i32;
    safe fn FlushProcessWriteBuffers();
}

pub(crate) const CACHE_CALL: Option<ClearCache> = Some(clear);

unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    // SAFETY: the call changes no memory contents, and checks the range itself.
    let done =
        unsafe { FlushInstructionCache(GetCurrentProcess(), start as *const c_void, len) != 0 };
    if done {
        return Ok(());
    }
    Err(Error::Cache {
        errno: GetLastError().cast_signed(),
    })
}

pub(crate) fn register() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn sync_core() -> Result<(), Error> {
    FlushProcessWriteBuffers();
    isa::barrier();
    Ok(())
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    (Broadcast::ProcessWriteBuffers, Reason::Only)
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic => Ok(()),
        _ => Err(Error::NoSuchMechanism),
    }
}
