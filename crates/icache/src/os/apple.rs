//! macOS and iOS: `sys_icache_invalidate`, and a handshake with every thread by reading its state.
//!
//! There is no broadcast in the kernel's interface. `thread_get_state` for another thread first
//! stops it: it waits until that thread is in the kernel, off its core or about to be. The thread
//! comes back by an exception return, which is a context synchronization event on AArch64; that
//! this holds for instruction fetch, and not for memory only, follows from the architecture and
//! from how the kernel does it (XNU, `osfmk/kern/thread_act.c`), not from a promise in its
//! documentation.
//!
//! `task_threads` is a snapshot. Threads that begin after it enter user mode for the first time, by
//! an exception return as well; they are looked for nevertheless until a snapshot has none.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::slice;
use core::sync::atomic::{Ordering, fence};

use crate::os::ClearCache;
use crate::{Broadcast, Error, Preference, Reason, isa};

type Port = u32;

/// `KERN_SUCCESS`.
const SUCCESS: c_int = 0;

/// `ARM_THREAD_STATE64` and its size in words.
#[cfg(target_arch = "aarch64")]
const STATE: (c_int, u32) = (6, 68);

/// `x86_THREAD_STATE64` and its size in words.
#[cfg(target_arch = "x86_64")]
const STATE: (c_int, u32) = (4, 42);

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
compile_error!(
    "nopal-icache knows no thread state for this architecture; supported: aarch64, x86_64"
);

/// How often threads that end or begin meanwhile are looked for again.
const PASSES: usize = 1000;

unsafe extern "C" {
    static mach_task_self_: Port;
    fn sys_icache_invalidate(start: *mut c_void, len: usize);
    safe fn mach_thread_self() -> Port;
    fn task_threads(task: Port, threads: *mut *mut Port, count: *mut u32) -> c_int;
    fn thread_get_state(thread: Port, flavor: c_int, state: *mut u32, count: *mut u32) -> c_int;
    fn mach_port_deallocate(task: Port, name: Port) -> c_int;
    fn vm_deallocate(task: Port, address: usize, size: usize) -> c_int;
}

pub(crate) const CACHE_CALL: Option<ClearCache> = Some(clear);

unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    // SAFETY: the caller promises that the range is mapped; its contents do not change.
    unsafe { sys_icache_invalidate(start as *mut c_void, len) };
    Ok(())
}

fn this_task() -> Port {
    // SAFETY: the system library sets it before any code of the program runs, and in children.
    unsafe { mach_task_self_ }
}

/// A snapshot of the threads of this process, with a send right to each: while it lives, a name
/// means the same thread in any other snapshot.
struct Threads {
    ports: *mut Port,
    count: u32,
}

impl Threads {
    fn snapshot() -> Result<Threads, Error> {
        let mut threads = Threads {
            ports: ptr::null_mut(),
            count: 0,
        };
        // SAFETY: the call fills both, with memory that then belongs to this process.
        match unsafe { task_threads(this_task(), &mut threads.ports, &mut threads.count) } {
            SUCCESS => Ok(threads),
            errno => Err(Error::Unsupported { errno }),
        }
    }

    fn ports(&self) -> &[Port] {
        if self.ports.is_null() {
            return &[];
        }
        // SAFETY: the kernel put `count` ports there, and they live as long as `self`.
        unsafe { slice::from_raw_parts(self.ports, self.count as usize) }
    }

    /// Stops each thread but `me` for a moment. The last failure, if any: of a thread that has
    /// ended, or of one that must be tried again.
    fn stop_each(&self, me: Port) -> c_int {
        let mut failure = SUCCESS;
        for &port in self.ports().iter().filter(|&&port| port != me) {
            let (flavor, words) = STATE;
            let mut state = [0u32; STATE.1 as usize];
            let mut count = words;
            // SAFETY: the buffer has as many words as `count` says.
            match unsafe { thread_get_state(port, flavor, state.as_mut_ptr(), &mut count) } {
                SUCCESS => {}
                error => failure = error,
            }
        }
        failure
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for &port in self.ports() {
            // SAFETY: gives back the right that the snapshot got.
            unsafe { mach_port_deallocate(this_task(), port) };
        }
        let size = self.count as usize * size_of::<Port>();
        // SAFETY: gives back the memory that the snapshot got; nothing refers to it any more.
        unsafe { vm_deallocate(this_task(), self.ports as usize, size) };
    }
}

pub(crate) fn register() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn sync_core() -> Result<(), Error> {
    fence(Ordering::SeqCst);
    let me = mach_thread_self();
    let result = stop_all(me);
    // SAFETY: gives back the right that `mach_thread_self` got.
    unsafe { mach_port_deallocate(this_task(), me) };
    isa::barrier();
    result
}

/// Stops the threads of one snapshot after the other until one has succeeded with all of them, and
/// the next has no others.
fn stop_all(me: Port) -> Result<(), Error> {
    let mut failure = SUCCESS;
    let mut threads = Threads::snapshot()?;
    for _ in 0..PASSES {
        failure = threads.stop_each(me);
        let next = Threads::snapshot()?;
        let known = next
            .ports()
            .iter()
            .all(|port| threads.ports().contains(port));
        if failure == SUCCESS && known {
            return Ok(());
        }
        threads = next;
    }
    Err(Error::Broadcast { errno: failure })
}

pub(crate) fn broadcast() -> (Broadcast, Reason) {
    (Broadcast::ThreadStates, Reason::Only)
}

pub(crate) fn prefer(preference: Preference) -> Result<(), Error> {
    match preference {
        Preference::Automatic => Ok(()),
        _ => Err(Error::NoSuchMechanism),
    }
}
