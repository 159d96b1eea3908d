//! NetBSD and OpenBSD: the kernel offers no broadcast, so threads are reached by signals.

use crate::os::{ClearCache, handshake};
use crate::{Broadcast, Error, Preference, Reason, isa};

#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)))]
compile_error!(
    "nopal-icache knows no instruction-cache maintenance for this architecture on NetBSD and OpenBSD; supported: \
     x86, x86_64, aarch64, powerpc, powerpc64"
);

#[cfg_attr(target_os = "netbsd", path = "netbsd.rs")]
#[cfg_attr(target_os = "openbsd", path = "openbsd.rs")]
mod system;

/// The threads of this process.
pub(in crate::os) mod threads {
    pub(in crate::os) use super::system::{candidates, current, each, exists, send};

    use crate::os::handshake::Presence;

    /// An error number on its way to becoming an error.
    pub(in crate::os) struct Errno(pub(in crate::os) i32);

    /// Whether threads can be listed: that takes nothing that could be missing.
    pub(in crate::os) fn offered() -> Result<(), i32> {
        Ok(())
    }

    /// Not asked of the kernel: whoever does not answer is waited for.
    pub(in crate::os) fn blocks(_tid: u32, _signal: core::ffi::c_int) -> Result<bool, i32> {
        Ok(false)
    }

    /// A thread that exists counts as running.
    pub(in crate::os) fn presence(tid: u32) -> Result<Presence, i32> {
        Ok(if exists(tid) {
            Presence::Running
        } else {
            Presence::Gone
        })
    }
}

/// What the handshake relies on.
const _: () = assert!(isa::BARRIER_FOLLOWS_THREAD && isa::FLUSH_CALL.is_none());

pub(crate) const CACHE_CALL: Option<ClearCache> = None;

fn errno() -> i32 {
    // SAFETY: the C library's errno of the calling thread is always readable.
    unsafe { *libc::__errno() }
}

/// What the C library returned, or the error number it left.
fn check(result: core::ffi::c_int) -> Result<(), i32> {
    if result == -1 { Err(errno()) } else { Ok(()) }
}

/// A snapshot of the system's table of threads, which `sysctl` takes while nothing changes it.
fn snapshot<T, const N: usize>(name: &[i32], entries: &mut [T; N]) -> Result<usize, i32> {
    let mut size = size_of_val(entries);
    let buffer = entries.as_mut_ptr().cast();
    // SAFETY: the call writes at most `size` bytes to the buffer, entries of plain integers.
    let result = unsafe {
        libc::sysctl(
            name.as_ptr(),
            name.len() as u32,
            buffer,
            &mut size,
            core::ptr::null_mut(),
            0,
        )
    };
    check(result)?;
    Ok(size / size_of::<T>())
}

pub(crate) fn register() -> Result<(), Error> {
    handshake::prepare()
}

pub(crate) fn sync_core() -> Result<(), Error> {
    handshake::sync_core()
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    match handshake::offered() {
        Ok(signal) => (Broadcast::SignalHandshake { signal }, Reason::Only),
        Err(failure) => (Broadcast::Unavailable(failure), Reason::Only),
    }
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic | Preference::SignalHandshake => handshake::prepare(),
        _ => Err(Error::NoSuchMechanism),
    }
}
