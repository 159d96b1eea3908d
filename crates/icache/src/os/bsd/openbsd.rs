//! OpenBSD's threads: `kern.proc` with threads, `thrkill`.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

use super::threads::Errno;
use super::{check, snapshot};

unsafe extern "C" {
    fn thrkill(thread: libc::pid_t, signal: c_int, tcb: *mut c_void) -> c_int;
}

/// There are no real-time signals. `SIGURG` is first, for programs expect it without cause.
pub(in crate::os) fn candidates() -> impl Iterator<Item = c_int> {
    [libc::SIGURG, libc::SIGUSR2, libc::SIGUSR1].into_iter()
}

pub(in crate::os) fn current() -> u32 {
    // SAFETY: takes nothing and never fails.
    unsafe { libc::getthrid() as u32 }
}

/// Sends a signal to a thread of this process; signal 0 only asks whether it is there.
pub(in crate::os) fn send(tid: u32, signal: c_int) -> Result<(), i32> {
    // SAFETY: takes integers; without an address of the thread's block none is compared.
    check(unsafe { thrkill(tid as c_int, signal, ptr::null_mut()) })
}

pub(in crate::os) fn exists(tid: u32) -> bool {
    send(tid, 0) != Err(libc::ESRCH)
}

/// Entries that fit into one snapshot, on the caller's stack. More are an error: `ENOMEM`.
const MOST: usize = 64;

/// Calls `visit` with every thread of a snapshot.
pub(in crate::os) fn each<E: From<Errno>>(
    mut visit: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut entries = [const { MaybeUninit::<libc::kinfo_proc>::zeroed() }; MOST];
    let size = size_of::<libc::kinfo_proc>() as c_int;
    // SAFETY: takes nothing.
    let process = unsafe { libc::getpid() };
    let which = libc::KERN_PROC_PID | libc::KERN_PROC_SHOW_THREADS;
    let name = [
        libc::CTL_KERN,
        libc::KERN_PROC,
        which,
        process,
        size,
        MOST as c_int,
    ];
    let count = snapshot(&name, &mut entries).map_err(Errno)?;
    for entry in &entries[..count] {
        // SAFETY: filled by the call, and made of integers.
        let tid = unsafe { entry.assume_init_ref() }.p_tid;
        // The entry of the process as a whole has -1.
        if let Ok(tid) = u32::try_from(tid) {
            visit(tid)?;
        }
    }
    Ok(())
}
