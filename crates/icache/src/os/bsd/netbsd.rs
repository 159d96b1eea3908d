//! NetBSD's threads: `kern.lwp`, `_lwp_kill`.

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;

use super::threads::Errno;
use super::{check, snapshot};

unsafe extern "C" {
    fn _lwp_kill(lwp: c_int, signal: c_int) -> c_int;
    fn _lwp_getname(lwp: c_int, name: *mut c_char, length: usize) -> c_int;
}

/// Real-time signals are 33 to 63 (`sys/signal.h`); from the middle downwards, then upwards.
pub(in crate::os) fn candidates() -> impl Iterator<Item = c_int> {
    (33..=47).rev().chain(48..=63)
}

pub(in crate::os) fn current() -> u32 {
    // SAFETY: takes nothing and never fails.
    unsafe { libc::_lwp_self() as u32 }
}

pub(in crate::os) fn send(tid: u32, signal: c_int) -> Result<(), i32> {
    // SAFETY: takes integers.
    check(unsafe { _lwp_kill(tid as c_int, signal) })
}

pub(in crate::os) fn exists(tid: u32) -> bool {
    let mut name = [0; 32];
    // SAFETY: the call writes at most as many bytes as it is told.
    check(unsafe { _lwp_getname(tid as c_int, name.as_mut_ptr(), name.len()) }) != Err(libc::ESRCH)
}

/// Threads that fit into one snapshot, on the caller's stack. More are an error: `ENOMEM`.
const MOST: usize = 256;

/// Calls `visit` with every thread of a snapshot.
pub(in crate::os) fn each<E: From<Errno>>(
    mut visit: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut entries = [const { MaybeUninit::<libc::kinfo_lwp>::zeroed() }; MOST];
    let size = size_of::<libc::kinfo_lwp>() as c_int;
    // SAFETY: takes nothing.
    let process = unsafe { libc::getpid() };
    let name = [libc::CTL_KERN, libc::KERN_LWP, process, size, MOST as c_int];
    let count = snapshot(&name, &mut entries).map_err(Errno)?;
    for entry in &entries[..count] {
        // SAFETY: filled by the call, and made of integers.
        visit(unsafe { entry.assume_init_ref() }.l_lid as u32)?;
    }
    Ok(())
}
