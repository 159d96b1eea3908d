//! FreeBSD and DragonFly: every thread is suspended by the threading library, and resumed.
//!
//! `pthread_suspend_all_np` signals every thread and returns when each of them waits in the kernel,
//! inside the library's handler. A thread that goes on returns through `sigreturn`, and from that
//! to what it was doing: by an exception return, which is `IRET` on x86. Nothing is done between
//! suspending and resuming, so no lock of a suspended thread is waited for. Threads that begin
//! meanwhile enter user mode for the first time.
//!
//! A thread that the program itself had suspended is resumed, too.
//! Sources: `lib/libthr/thread/thr_suspend_np.c`, `thr_sig.c` (`check_suspend`).

use core::sync::atomic::{Ordering, fence};

use crate::os::ClearCache;
use crate::{Broadcast, Error, Preference, Reason, isa};

#[link(name = "pthread")]
unsafe extern "C" {
    safe fn pthread_suspend_all_np();
    safe fn pthread_resume_all_np();
}

#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)))]
compile_error!(
    "nopal-icache knows no instruction-cache maintenance for this architecture on FreeBSD and DragonFly; supported: \
     x86, x86_64, aarch64, powerpc, powerpc64"
);

pub(crate) const CACHE_CALL: Option<ClearCache> = None;

pub(crate) fn register() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn sync_core() -> Result<(), Error> {
    fence(Ordering::SeqCst);
    pthread_suspend_all_np();
    pthread_resume_all_np();
    isa::barrier();
    Ok(())
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    (Broadcast::SuspendAll, Reason::Only)
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic => Ok(()),
        _ => Err(Error::NoSuchMechanism),
    }
}
