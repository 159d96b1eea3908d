//! Ways to switch sites, measured in turns.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::code::Function;
use crate::clock::thread_time;

/// A sample is at least this long: shorter ones are repeated.
const SAMPLE: Duration = Duration::from_micros(400);

/// How many places of the stack rounds are made at.
const DEPTHS: usize = 16;

/// A way to switch a number of sites.
pub(super) trait Way {
    /// Its name in the results.
    fn id(&self) -> &'static str;

    /// The code with the sites, if others may execute it meanwhile.
    fn code(&self) -> Option<Function>;

    /// Switches all sites one way and back, `pairs` times.
    fn toggle(&mut self, pairs: u32) -> Result<(), String>;

    /// Broadcasts to switch all sites one way, and back, if it is known.
    fn broadcasts(&self) -> Option<[u32; 2]> {
        None
    }
}

/// A thread that executes what it is given, again and again.
pub(super) struct Runner<'a> {
    shared: &'a Shared,
}

#[derive(Default)]
struct Shared {
    /// The address of the function to execute, or zero.
    wanted: AtomicUsize,
    /// The one being executed.
    executed: AtomicUsize,
    /// Nanoseconds of processor time that the thread has used.
    used: AtomicU64,
    stop: AtomicBool,
}

impl Runner<'_> {
    /// Does `work` beside such a thread.
    pub(super) fn with<R>(passes: u32, work: impl FnOnce(&Runner<'_>) -> R) -> R {
        let shared = Shared::default();
        thread::scope(|scope| {
            scope.spawn(|| shared.run(passes));
            // Also if `work` panics, so that the scope ends.
            let runner = Runner { shared: &shared };
            let _stop = Stop(&shared);
            work(&runner)
        })
    }

    /// From the time this returns, the thread executes `function`, which must stay until it executes something
    /// else or ends.
    fn execute(&self, function: Option<Function>) {
        let address = function.map_or(0, |function| function as usize);
        self.shared.wanted.store(address, Ordering::SeqCst);
        while self.shared.executed.load(Ordering::SeqCst) != address {
            thread::yield_now();
        }
    }
}

struct Stop<'a>(&'a Shared);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    /// Looks for something else to do after so many calls.
    fn run(&self, passes: u32) {
        while !self.stop.load(Ordering::Relaxed) {
            let wanted = self.wanted.load(Ordering::SeqCst);
            self.executed.store(wanted, Ordering::SeqCst);
            if wanted == 0 {
                thread::yield_now();
                continue;
            }
            // SAFETY: the address of a function of this type, which stays while it is wanted.
            let function: Function = unsafe { std::mem::transmute(wanted) };
            for _ in 0..passes {
                function();
            }
            let used = thread_time().as_nanos() as u64;
            self.used.store(used, Ordering::Relaxed);
        }
    }
}

/// What was measured of a way.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    /// By round: nanoseconds to switch all sites once.
    pub(super) nanoseconds: Vec<f64>,
    /// By round: how many processors its threads used meanwhile.
    pub(super) processors: Vec<f64>,
}

/// Measures ways in turns, each round starting with another. With a runner, ways whose code others may not execute
/// have no rounds. A sample is taken again if not all threads got a processor all the time.
pub(super) fn measure(
    ways: &mut [Box<dyn Way>],
    rounds: usize,
    runner: Option<&Runner<'_>>,
) -> Result<Vec<Samples>, String> {
    let mut samples = vec![Samples::default(); ways.len()];
    let mut pairs = vec![1; ways.len()];
    // The first round finds out how often to repeat, and is not counted.
    for round in 0..=rounds {
        for turn in 0..ways.len() {
            let index = (turn + round) % ways.len();
            let way = &mut ways[index];
            if let Some(runner) = runner {
                let code = way.code();
                if code.is_none() {
                    continue;
                }
                runner.execute(code);
            }
            if round == 0 {
                pairs[index] = long_enough(&mut **way)?;
                continue;
            }
            // Where the stack lies, relative to other memory, is worth a tenth: every round has it elsewhere.
            let mut taken = Ok((Duration::ZERO, 0.0));
            deeper(round % DEPTHS, &mut || {
                taken = sample(&mut **way, pairs[index], runner);
            });
            let (elapsed, processors) = taken?;
            let switches = 2.0 * f64::from(pairs[index]);
            let samples = &mut samples[index];
            (samples.nanoseconds).push(elapsed.as_secs_f64() * 1e9 / switches);
            samples.processors.push(processors);
        }
    }
    if let Some(runner) = runner {
        runner.execute(None);
    }
    Ok(samples)
}

/// Does `work` with the stack pointer lower by so many frames.
#[inline(never)]
fn deeper(frames: usize, work: &mut dyn FnMut()) {
    let frame = [0u8; 80];
    match frames {
        0 => work(),
        _ => deeper(frames - 1, work),
    }
    black_box(&frame);
}

/// A sample, and how many processors were used: of several samples, if others took some of them away, the one with
/// the most.
fn sample(
    way: &mut dyn Way,
    pairs: u32,
    runner: Option<&Runner<'_>>,
) -> Result<(Duration, f64), String> {
    const TRIES: u32 = 10;
    const ENOUGH: f64 = 0.95;
    let used = || {
        let runner = runner.map_or(0, |runner| runner.shared.used.load(Ordering::Relaxed));
        thread_time() + Duration::from_nanos(runner)
    };
    let threads = if runner.is_some() { 2.0 } else { 1.0 };
    let mut best = (Duration::ZERO, 0.0);
    for _ in 0..TRIES {
        let before = used();
        let elapsed = timed(way, pairs)?;
        let used = used().saturating_sub(before);
        let processors = used.as_secs_f64() / elapsed.as_secs_f64();
        if processors > best.1 {
            best = (elapsed, processors);
        }
        if processors >= ENOUGH * threads {
            break;
        }
    }
    Ok(best)
}

fn timed(way: &mut dyn Way, pairs: u32) -> Result<Duration, String> {
    let start = Instant::now();
    way.toggle(pairs)?;
    Ok(start.elapsed())
}

/// How many pairs make a sample.
fn long_enough(way: &mut dyn Way) -> Result<u32, String> {
    let mut pairs = 1;
    while timed(way, pairs)? < SAMPLE {
        pairs *= 2;
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count() {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until its code was executed once more.
    struct Waits(Option<Function>);

    impl Way for Waits {
        fn id(&self) -> &'static str {
            "waits"
        }

        fn code(&self) -> Option<Function> {
            self.0
        }

        fn toggle(&mut self, pairs: u32) -> Result<(), String> {
            let before = CALLS.load(Ordering::SeqCst);
            while CALLS.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(u64::from(pairs)));
            Ok(())
        }
    }

    #[test]
    fn the_runner_executes_the_way_whose_turn_it_is() {
        let mut ways: Vec<Box<dyn Way>> = vec![Box::new(Waits(Some(count))), Box::new(Waits(None))];
        let samples = Runner::with(3, |runner| measure(&mut ways, 2, Some(runner))).unwrap();
        let rounds: Vec<usize> = samples.iter().map(|way| way.nanoseconds.len()).collect();
        assert_eq!(rounds, [2, 0]);
        assert!(samples[0].nanoseconds.iter().all(|&time| time > 0.0));
        assert_eq!(samples[0].processors.len(), 2);
        assert!(CALLS.load(Ordering::SeqCst) >= 3);
    }
}
