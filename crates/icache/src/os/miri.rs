//! Miri executes no machine code, and interprets none of the system calls of the others.

use core::sync::atomic::{Ordering, fence};

use crate::os::ClearCache;
use crate::{Broadcast, Error, Preference, Reason};

pub(crate) const CACHE_CALL: Option<ClearCache> = None;

pub(crate) fn register() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn sync_core() -> Result<(), Error> {
    fence(Ordering::SeqCst);
    Ok(())
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    (Broadcast::Interpreter, Reason::Only)
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic => Ok(()),
        _ => Err(Error::NoSuchMechanism),
    }
}
