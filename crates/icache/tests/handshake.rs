//! The signal handshake, preferred to what the kernel may offer.
#![cfg(all(target_os = "linux", not(miri), not(target_arch = "riscv64")))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nopal_icache::{Broadcast, Preference, Reason, requirements};

mod common;
use common::stop::StopOnDrop;
use common::{store_buffering, with_busy_threads};

fn sync_core() {
    assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
}

fn prefer_handshake() {
    assert_eq!(nopal_icache::prefer(Preference::SignalHandshake), Ok(()));
}

/// The signal that it says it uses.
fn signal() -> i32 {
    let needs = requirements();
    assert_eq!(needs.reason, Reason::Preferred);
    match needs.broadcast {
        Broadcast::SignalHandshake {
            signal: Some(signal),
        } => signal,
        other => panic!("not the handshake: {other:?}"),
    }
}

#[test]
fn reaches_a_thread_that_does_nothing_for_it() {
    prefer_handshake();
    store_buffering(200);
    assert!((libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal()));
}

/// More than are asked at once.
#[test]
fn many_threads() {
    prefer_handshake();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..150 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        for _ in 0..5 {
            sync_core();
        }
    });
}

#[test]
fn several_threads_broadcast_at_once() {
    prefer_handshake();
    with_busy_threads(1, || {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..30).for_each(|_| sync_core()));
            }
        });
    });
}

/// A thread that broadcasts answers others even if it blocks all signals.
#[test]
fn a_broadcaster_that_blocks_signals_answers_others() {
    prefer_handshake();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let before = block_all_signals();
                (0..30).for_each(|_| sync_core());
                // Without its turn it would not answer any more, which the others would wait for.
                restore_signals(&before);
            });
        }
    });
}

fn block_all_signals() -> libc::sigset_t {
    // SAFETY: both sets are filled by the calls; sets of signals are integers.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        assert_eq!(
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before),
            0
        );
        before
    }
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: reads the set.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// However fast threads come and go, broadcasts end.
#[test]
fn threads_come_and_go() {
    /// The most threads that may have started when the last broadcast ends: then no more do.
    const THREADS: usize = 100_000;
    prefer_handshake();
    let (stop, started) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let more = || started.fetch_add(2, Ordering::Relaxed) < THREADS;
                while !stop.load(Ordering::Relaxed) && more() {
                    let child = thread::spawn(|| {
                        // Its own child outlives it.
                        thread::spawn(|| thread::sleep(Duration::from_micros(200)))
                    });
                    child.join().unwrap().join().unwrap();
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        let mut broadcasts = 0;
        while broadcasts < 200 || started.load(Ordering::Relaxed) < 1000 {
            sync_core();
            broadcasts += 1;
        }
        assert!(started.load(Ordering::Relaxed) < THREADS);
    });
    store_buffering(50);
}

/// Children are forked while another thread of the parent has the turn, or chooses.
#[test]
fn children_of_fork() {
    prefer_handshake();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sync_core();
            }
        });
        let _stop = StopOnDrop(&stop);
        for _ in 0..30 {
            // SAFETY: the child calls nothing that allocates or locks, then ends.
            let child = unsafe { libc::fork() };
            assert!(child >= 0);
            if child == 0 {
                let broadcast = || (0..3).all(|_| nopal_icache::sync_core_mt() == Ok(()));
                let done = std::panic::catch_unwind(broadcast);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) };
            }
            let mut status = -1;
            // SAFETY: the status is an integer.
            let waited = unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    });
}

/// With the program's own handler on the signal, another signal is chosen, and the handler left.
#[test]
fn a_signal_that_the_program_takes_is_given_up() {
    static PROGRAM: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn own(_signal: i32) {
        PROGRAM.fetch_add(1, Ordering::Relaxed);
    }
    // In a child, for other tests broadcast meanwhile.
    // SAFETY: the child calls nothing that allocates or locks, then ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let same = std::panic::catch_unwind(|| {
            prefer_handshake();
            let first = signal();
            // SAFETY: the handler only counts.
            unsafe { libc::signal(first, own as extern "C" fn(i32) as libc::sighandler_t) };
            sync_core();
            let second = signal();
            // SAFETY: the signal has a handler.
            unsafe { libc::raise(first) };
            first != second && PROGRAM.load(Ordering::Relaxed) == 1
        });
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if matches!(same, Ok(true)) { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: the status is an integer.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0));
}

#[test]
fn errno_is_left_alone() {
    prefer_handshake();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let changed = scope.spawn(|| {
            let mut changed = 0;
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the calling thread's own.
                unsafe { *libc::__errno_location() = 77 };
                for _ in 0..1000 {
                    std::hint::spin_loop();
                }
                // SAFETY: as above.
                changed += u32::from(unsafe { *libc::__errno_location() } != 77);
            }
            changed
        });
        {
            let _stop = StopOnDrop(&stop);
            (0..30).for_each(|_| sync_core());
        }
        assert_eq!(changed.join().unwrap(), 0);
    });
}
