//! Threads run through sites at every offset a line allows, while another changes them.
//!
//! The code watches itself. A call leaves its return address, on x86-64 below the stack pointer, elsewhere in
//! a register, where the code puts zero before each site: a call that was half made, or went elsewhere, shows at
//! the pass where it happens. After each round over all sites the code compares every register with what it put
//! there. In the end, the calls that the threads saw are the counts of the hooks.
//!
//! `NOPAL_TORTURE_TOGGLES` sets the number of site changes per protocol.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::common;
use super::common::watched::{self, Fields};
use super::common::{PROTOCOLS, config, space};
use nopal_live::{Code, CodeSpace, CountHook, Counters, Protocol, SiteId};

/// On x86-64 and s390x, a site may start anywhere in a line, and end in the next.
const SITES: usize = 64;
/// Threads that run the code.
const RUNNERS: usize = 2;
const DEFAULT_TOGGLES: u64 = 200_000;

fn toggles() -> u64 {
    match std::env::var("NOPAL_TORTURE_TOGGLES") {
        Ok(text) => text.parse().expect("NOPAL_TORTURE_TOGGLES is a number"),
        Err(_) => DEFAULT_TOGGLES,
    }
}

/// What a thread writes down; the calls come first.
#[repr(C)]
struct Report {
    /// Calls seen at each site.
    calls: [AtomicU64; SITES],
    /// Passes of a site that called from elsewhere.
    wrong_calls: AtomicU64,
    /// Registers that were not what they should be.
    wrong_registers: AtomicU64,
    /// Rounds over all sites.
    rounds: AtomicU64,
}

impl Report {
    fn new() -> Report {
        Report {
            calls: std::array::from_fn(|_| AtomicU64::new(0)),
            wrong_calls: AtomicU64::new(0),
            wrong_registers: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
        }
    }
}

const FIELDS: Fields = Fields {
    wrong_calls: offset_of!(Report, wrong_calls) as u32,
    wrong_registers: offset_of!(Report, wrong_registers) as u32,
    rounds: offset_of!(Report, rounds) as u32,
};

/// The code, two hooks to change between, and what is expected of them.
struct Torture {
    space: Arc<CodeSpace>,
    code: Code,
    hooks: [CountHook; 2],
    sites: Vec<SiteId>,
    reports: [Report; RUNNERS],
    rounds: u64,
}

impl Torture {
    fn new(protocol: Protocol, counters: Counters) -> Torture {
        let mut config = config();
        config
            .reserve(64 << 20)
            .protocol(protocol)
            .counters(counters);
        let space = CodeSpace::new(&config).unwrap();
        let asm = watched::code(SITES, &FIELDS);
        for (site, description) in asm.sites.iter().enumerate() {
            let end = description.ret_offset as usize % 64;
            assert_eq!(end, watched::end_in_line(site));
        }
        let code = asm.publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        assert_eq!(sites.len(), SITES);
        Torture {
            hooks: [space.count_hook().unwrap(), space.count_hook().unwrap()],
            space,
            code,
            sites,
            reports: std::array::from_fn(|_| Report::new()),
            rounds: 0,
        }
    }

    fn run(&self, runner: usize, rounds: u64) {
        // SAFETY: `watched::code` is a function of this type; the report's fields are atomic.
        let function: extern "C" fn(u64, *const Report) =
            unsafe { std::mem::transmute(self.code.base()) };
        function(rounds, &self.reports[runner]);
    }

    /// Changes sites until `budget` changes are made, while threads run through them, all of them for some time.
    fn change_under_fire(&mut self, budget: u64, random: &mut u64) {
        const RUNS: u64 = 3;
        let stop = AtomicBool::new(false);
        let runs: [AtomicU64; RUNNERS] = Default::default();
        let (this, stopped, runs) = (&*self, &stop, &runs);
        let rounds: u64 = std::thread::scope(|scope| {
            let runners: Vec<_> = (0..RUNNERS)
                .map(|runner| {
                    scope.spawn(move || {
                        let mut rounds = 0;
                        while !stopped.load(Ordering::Relaxed) {
                            this.run(runner, 100);
                            rounds += 100;
                            runs[runner].fetch_add(1, Ordering::Relaxed);
                        }
                        rounds
                    })
                })
                .collect();
            let mut changed = 0;
            let few = |runs: &AtomicU64| runs.load(Ordering::Relaxed) < RUNS;
            while changed < budget || runs.iter().any(few) {
                changed += this.change_some(random);
            }
            stop.store(true, Ordering::Relaxed);
            let ends = runners.into_iter().map(|runner| runner.join());
            ends.map(|rounds| rounds.expect("the runner ends")).sum()
        });
        self.rounds += rounds;
    }

    /// One commit of random operations on all sites.
    fn change_some(&self, random: &mut u64) -> u64 {
        let mut patch = self.space.patch();
        for &site in &self.sites {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            match *random >> 61 {
                0..=2 => patch.disable(site),
                3..=4 => patch.retarget(site, &self.hooks[0]),
                5..=6 => patch.retarget(site, &self.hooks[1]),
                _ => &mut patch,
            };
        }
        let commit = patch.commit().expect("the commit succeeds");
        assert!(commit.broadcasts <= 3);
        commit.changed as u64
    }

    /// With nobody changing anything, every pass is a call or none is.
    fn check_when_quiet(&mut self) {
        const ROUNDS: u64 = 500;
        for (on, hook) in self.hooks.iter().enumerate() {
            let before = self.counts();
            let mut patch = self.space.patch();
            patch.retarget_all(self.sites.iter().copied(), hook);
            patch.commit().unwrap();
            self.run(0, ROUNDS);
            for (now, before) in self.counts().iter().zip(&before) {
                assert_eq!(now[on], before[on] + ROUNDS);
                assert_eq!(now[1 - on], before[1 - on]);
            }
        }
        let before = self.counts();
        let mut patch = self.space.patch();
        patch.disable_all(self.sites.iter().copied());
        assert_eq!(patch.commit().unwrap().changed, SITES);
        self.run(0, ROUNDS);
        assert_eq!(self.counts(), before);
        self.rounds += 3 * ROUNDS;
    }

    fn counts(&self) -> Vec<[u64; 2]> {
        let count = |&site: &SiteId| self.hooks.each_ref().map(|hook| hook.count(site));
        self.sites.iter().map(count).collect()
    }

    fn check_reports(&self) {
        let sum = |field: fn(&Report) -> &AtomicU64| -> u64 {
            let reports = self.reports.iter();
            reports.map(|r| field(r).load(Ordering::Relaxed)).sum()
        };
        assert_eq!(sum(|report| &report.wrong_calls), 0);
        assert_eq!(sum(|report| &report.wrong_registers), 0);
        assert_eq!(sum(|report| &report.rounds), self.rounds);
        for (site, counts) in self.counts().iter().enumerate() {
            let seen = self.reports.iter().map(|report| &report.calls[site]);
            let seen: u64 = seen.map(|calls| calls.load(Ordering::Relaxed)).sum();
            // Every call was counted once.
            assert_eq!(seen, counts.iter().sum::<u64>());
        }
    }
}

fn torture(protocol: Protocol, counters: Counters) {
    const PARTS: u64 = 8;
    let mut torture = Torture::new(protocol, counters);
    let mut random = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..PARTS {
        torture.change_under_fire(toggles().div_ceil(PARTS), &mut random);
        torture.check_when_quiet();
        torture.check_reports();
    }
    let quiet_calls = PARTS * 2 * 500;
    let calls: u64 = torture.counts().iter().flatten().sum();
    let under_fire = calls - quiet_calls * SITES as u64;
    let passes = (torture.rounds - PARTS * 3 * 500) * SITES as u64;
    assert!(0 < under_fire && under_fire < passes);
}

#[test]
fn direct() {
    torture(Protocol::Direct, any_counters());
}

#[test]
fn strict() {
    torture(Protocol::Strict, any_counters());
}

#[test]
fn direct_with_shared_counters() {
    torture(Protocol::Direct, Counters::Shared);
}

/// The code watches its registers around calls of a hook that uses many.
#[test]
fn call_hooks_keep_registers() {
    const ROUNDS: u64 = 20;
    let torture = Torture::new(Protocol::Direct, any_counters());
    let seen = Arc::new(AtomicU64::new(0));
    let hook = torture.space.call_hook({
        let seen = Arc::clone(&seen);
        move |site, frame| {
            let text = format!("{site}: {frame:?}");
            seen.fetch_add(u64::from(!text.is_empty()), Ordering::Relaxed);
        }
    });
    let hook = hook.unwrap();
    let mut patch = torture.space.patch();
    patch.enable_all(torture.sites.iter().copied(), &hook);
    patch.commit().unwrap();
    torture.run(0, ROUNDS);
    let report = &torture.reports[0];
    for count in &report.calls {
        assert_eq!(count.load(Ordering::Relaxed), ROUNDS);
    }
    assert_eq!(report.wrong_calls.load(Ordering::Relaxed), 0);
    assert_eq!(report.wrong_registers.load(Ordering::Relaxed), 0);
    assert_eq!(seen.load(Ordering::Relaxed), ROUNDS * SITES as u64);
}

/// The best this system can do.
fn any_counters() -> Counters {
    space(Protocol::Direct).counters()
}

/// Two threads in the code, call hooks that come and go, and the closures they own.
#[test]
fn call_hooks_come_and_go_under_two_threads() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = common::loop_over(20).publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        let stop = AtomicBool::new(false);
        let calls = Arc::new(AtomicU64::new(0));
        let late_calls = Arc::new(AtomicU64::new(0));
        let generations = (toggles() / 1000).max(20);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        common::call(&code, 10);
                    }
                });
            }
            for generation in 0..generations {
                // Poisoned when dropped, so that a call after that is noticed.
                let alive = Poisoned(AtomicU64::new(generation));
                let (made, late) = (Arc::clone(&calls), Arc::clone(&late_calls));
                let hook = space.call_hook(move |_, _| {
                    if alive.0.load(Ordering::Relaxed) != generation {
                        late.fetch_add(1, Ordering::Relaxed);
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                });
                let hook = hook.unwrap();
                let before = calls.load(Ordering::Relaxed);
                let mut patch = space.patch();
                patch.enable_all(sites.iter().copied(), &hook);
                assert_eq!(patch.commit().unwrap().changed, sites.len());
                // Some hooks go at once, some after they were seen in use.
                while generation % 4 == 0 && calls.load(Ordering::Relaxed) == before {
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(calls.load(Ordering::Relaxed) >= generations / 4);
        assert_eq!(late_calls.load(Ordering::Relaxed), 0);
        for &site in &sites {
            assert_eq!(space.is_enabled(site), Some(false));
        }
    }
}

struct Poisoned(AtomicU64);

impl Drop for Poisoned {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}
