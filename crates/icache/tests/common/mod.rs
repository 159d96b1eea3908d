//! What several test files need.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

pub(crate) mod stop;
use stop::StopOnDrop;

/// A variable that has its cache line to itself.
#[derive(Default)]
#[repr(align(128))]
struct Alone(AtomicUsize);

/// Two threads each store to a variable of their own, then load the other's. Between the two, one
/// executes nothing but a compiler fence, the other broadcasts. If the broadcast reaches the first
/// thread and is the full barrier that it claims to be, never do both load what was there before.
///
/// The threads meet before each round, and one sets off earlier by some steps more in each, so
/// that the stores and loads of the two do overlap in some.
pub(crate) fn store_buffering(rounds: usize) {
    let [x, y, seen, start, done] = &<[Alone; 5]>::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                if wait_for(start, round) == STOP {
                    return;
                }
                x.0.store(round, Ordering::Relaxed);
                compiler_fence(Ordering::SeqCst);
                let other = y.0.load(Ordering::Relaxed);
                seen.0.store(other, Ordering::Relaxed);
                done.0.store(round, Ordering::Release);
            }
        });
        let _stop = StopRounds(start);
        for round in 1..=rounds {
            start.0.store(round, Ordering::Release);
            for step in 0..round % 512 {
                black_box(step);
            }
            y.0.store(round, Ordering::Relaxed);
            let result = nopal_icache::sync_core_mt();
            let other = x.0.load(Ordering::Relaxed);
            assert_eq!(result, Ok(()), "round {round}");
            wait_for(done, round);
            let seen = seen.0.load(Ordering::Relaxed);
            assert!(
                other == round || seen == round,
                "round {round}: neither thread saw the other's store: {other}, {seen}"
            );
        }
    });
}

/// In place of a round: there are no more.
const STOP: usize = usize::MAX;

/// Ends the other thread even if an assertion fails.
struct StopRounds<'a>(&'a Alone);

impl Drop for StopRounds<'_> {
    fn drop(&mut self) {
        self.0.0.store(STOP, Ordering::Release);
    }
}

/// Waits until the variable has the value, or `STOP`.
fn wait_for(variable: &Alone, value: usize) -> usize {
    let mut spins = 0u32;
    loop {
        let found = variable.0.load(Ordering::Acquire);
        if found == value || found == STOP {
            return found;
        }
        spins = spins.wrapping_add(1);
        if spins.is_multiple_of(100_000) {
            std::thread::yield_now();
        }
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
