//! Threads that block all signals. Alone in its process, because such threads hold up every
//! handshake.
#![cfg(all(target_os = "linux", not(miri), not(target_arch = "riscv64")))]

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use nopal_icache::{Error, Preference};

#[path = "common/stop.rs"]
mod stop;
use stop::StopOnDrop;

fn block_all_signals() {
    // SAFETY: the set is filled by the call; sets of signals are integers.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        let result = libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        assert_eq!(result, 0);
    }
}

/// Runs `body` in a thread that blocks signals, and tells what a broadcast says meanwhile.
fn broadcast_beside(body: fn(&AtomicBool)) -> (u32, Result<(), Error>) {
    let (stop, tid) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            block_all_signals();
            // SAFETY: gettid takes nothing.
            tid.store(
                unsafe { libc::syscall(libc::SYS_gettid) } as u32,
                Ordering::Release,
            );
            body(&stop);
        });
        let _stop = StopOnDrop(&stop);
        while tid.load(Ordering::Acquire) == 0 {
            spin_loop();
        }
        (tid.load(Ordering::Relaxed), nopal_icache::sync_core_mt())
    })
}

#[test]
fn blocking_threads_are_named_unless_the_kernel_has_synchronized_them() {
    assert_eq!(nopal_icache::prefer(Preference::SignalHandshake), Ok(()));

    let (tid, result) = broadcast_beside(|stop| {
        while !stop.load(Ordering::Relaxed) {
            spin_loop();
        }
    });
    assert_eq!(result, Err(Error::Unresponsive { thread: tid }));

    // Asleep, it has to come back through the kernel.
    let (tid, result) = broadcast_beside(|stop| {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    if cfg!(any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "loongarch64"
    )) {
        assert_eq!(result, Err(Error::Unresponsive { thread: tid }));
    } else {
        assert_eq!(result, Ok(()));
    }

    // Without them, all is as before.
    assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
}
