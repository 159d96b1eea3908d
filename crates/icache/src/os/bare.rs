//! Bare metal with one core: no thread runs anywhere else.
//!
//! On a machine with several cores this is not enough: the other cores have to execute the
//! architecture's own barrier, in an interrupt handler of the program, for instance.

use core::sync::atomic::{Ordering, fence};

use crate::os::ClearCache;
use crate::{Broadcast, Error, Preference, Reason, isa};

#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "s390x"
)))]
compile_error!(
    "nopal-icache knows no cache maintenance for this architecture without an operating system (on ARM and MIPS \
     it depends on the processor)"
);

pub(crate) const CACHE_CALL: Option<ClearCache> = None;

pub(crate) fn register() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn sync_core() -> Result<(), Error> {
    fence(Ordering::SeqCst);
    isa::barrier();
    Ok(())
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    (Broadcast::OneCore, Reason::Only)
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic => Ok(()),
        _ => Err(Error::NoSuchMechanism),
    }
}
