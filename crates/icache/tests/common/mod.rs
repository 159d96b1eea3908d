//! What several test files need.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

pub(crate) mod stop;
use stop::StopOnDrop;

/// Two threads each store to a variable of their own, then load the other's. Between the two, one
/// executes nothing but a compiler fence, the other broadcasts. If the broadcast reaches the first
/// thread and is the full barrier that it claims to be, never do both load what was there before.
///
/// The threads start each round together, so that loads and stores do meet.
pub(crate) fn store_buffering(rounds: usize) {
    let (x, y, seen) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let (start, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                wait_for(&start, round);
                x.store(round, Ordering::Relaxed);
                compiler_fence(Ordering::SeqCst);
                seen.store(y.load(Ordering::Relaxed), Ordering::Relaxed);
                done.store(round, Ordering::Release);
            }
        });
        for round in 1..=rounds {
            start.store(round, Ordering::Release);
            y.store(round, Ordering::Relaxed);
            assert_eq!(nopal_icache::sync_core_mt(), Ok(()), "round {round}");
            let other = x.load(Ordering::Relaxed);
            wait_for(&done, round);
            let seen = seen.load(Ordering::Relaxed);
            assert!(
                other == round || seen == round,
                "round {round}: neither thread saw the other's store: {other}, {seen}"
            );
        }
    });
}

fn wait_for(variable: &AtomicUsize, value: usize) {
    let mut spins = 0u32;
    while variable.load(Ordering::Acquire) != value {
        spins += 1;
        if spins.is_multiple_of(1000) {
            std::thread::yield_now();
        }
        spin_loop();
    }
}

/// Runs `work` while other threads are busy in user mode.
pub(crate) fn with_busy_threads(count: usize, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        work();
    });
}
