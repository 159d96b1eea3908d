//! Processor time.
//!
//! On a machine that others use too, elapsed time says little. What is measured here is what this process used, all its
//! threads together, so that work handed to a helper thread is not lost.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time used by this process so far.
pub(crate) fn cpu_time() -> Duration {
    time(ClockId::ProcessCPUTime)
}

/// Processor time used by the calling thread so far.
pub(crate) fn thread_time() -> Duration {
    time(ClockId::ThreadCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    // The clock starts at zero with the process, so neither part is negative.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// What `work` returns, and the processor time it took.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = cpu_time();
    let result = work();
    (result, cpu_time().saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_advance_with_work() {
        let (sum, _) = timed(|| (0..1000u64).sum::<u64>());
        assert_eq!(sum, 499_500);
        let start = cpu_time();
        while cpu_time() == start {}
        assert!(cpu_time() > start);
        let start = thread_time();
        while thread_time() == start {}
        assert!(thread_time() > start);
    }
}
