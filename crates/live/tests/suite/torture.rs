//! Threads run through sites at every offset a line allows, while another changes them.
//!
//! The code watches itself. A call leaves its return address below the stack pointer, where the code
//! puts zero before each site: a call that was half made, or went elsewhere, shows at the pass where it
//! happens. After each round over all sites the code compares every register with what it put
//! there. In the end, the calls that the threads saw are the counts of the hooks.
//!
//! `NOPAL_TORTURE_TOGGLES` sets the number of site changes per protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::common;
use super::common::{Asm, PROTOCOLS, config, space};
use nopal_live::{Code, CodeSpace, CountHook, Counters, Protocol, SiteId};

/// A site may start anywhere in a line, and end in the next.
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

/// What a thread writes down; offsets are known to `watched_code`.
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

const WRONG_CALLS: u32 = SITES as u32 * 8;
const WRONG_REGISTERS: u32 = WRONG_CALLS + 8;
const ROUNDS: u32 = WRONG_CALLS + 16;

/// Appends a 32-bit displacement to an instruction.
fn with_disp(asm: &mut Asm, opcode: &[u8], displacement: u32) {
    asm.emit(opcode).emit(&displacement.to_le_bytes());
}

/// `[r14 + field] += (flag set)`, where `setcc` is the second byte of a `setcc al`.
fn count_if(asm: &mut Asm, setcc: u8, field: u32) {
    asm.emit(&[0x0f, setcc, 0xc0]); // setcc al
    asm.emit(&[0x0f, 0xb6, 0xc0]); // movzx eax, al
    with_disp(asm, &[0x49, 0x01, 0x86], field); // add [r14 + field], rax
}

/// Registers that hold a pattern across a round: `mov reg, imm64` and `cmp rax, reg`.
const WATCHED: [([u8; 2], [u8; 3]); 9] = [
    ([0x48, 0xb9], [0x48, 0x39, 0xc8]), // rcx
    ([0x48, 0xba], [0x48, 0x39, 0xd0]), // rdx
    ([0x48, 0xbe], [0x48, 0x39, 0xf0]), // rsi
    ([0x48, 0xbf], [0x48, 0x39, 0xf8]), // rdi
    ([0x49, 0xb8], [0x4c, 0x39, 0xc0]), // r8
    ([0x49, 0xb9], [0x4c, 0x39, 0xc8]), // r9
    ([0x49, 0xba], [0x4c, 0x39, 0xd0]), // r10
    ([0x49, 0xbb], [0x4c, 0x39, 0xd8]), // r11
    ([0x48, 0xbd], [0x48, 0x39, 0xe8]), // rbp
];

fn pattern(register: usize) -> u64 {
    0x0123_4567_89ab_cdef_u64.rotate_left(7 * register as u32)
}

/// `fn(rounds, report: *mut Report)`.
///
/// In it, `rbx` counts rounds down, `r14` is `report`, `r12` and `r13` hold patterns, of which `rax`
/// and `r15` are copies at each site; `[rsp]` holds `rsp` itself.
fn watched_code() -> Asm {
    let mut asm = Asm::new();
    // push rbx; push rbp; push r12; push r13; push r14; push r15
    asm.emit(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
    // mov rbx, rdi; mov r14, rsi
    asm.emit(&[0x48, 0x89, 0xfb, 0x49, 0x89, 0xf6]);
    asm.emit(&[0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0x24, 0x24]); // sub rsp, 8; mov [rsp], rsp
    asm.emit_u64(&[0x49, 0xbc], pattern(20)); // mov r12, imm64
    asm.emit_u64(&[0x49, 0xbd], pattern(21)); // mov r13, imm64
    let round = asm.here();
    for (register, (load, _)) in WATCHED.iter().enumerate() {
        asm.emit_u64(load, pattern(register));
    }
    // movq xmm0..7, r8; movq xmm8..15, r9
    for xmm in 0..8u8 {
        asm.emit(&[0x66, 0x49, 0x0f, 0x6e, 0xc0 | xmm << 3]);
        asm.emit(&[0x66, 0x4d, 0x0f, 0x6e, 0xc1 | xmm << 3]);
    }
    for site in 0..SITES {
        watched_site(&mut asm, site);
    }
    for (register, (_, compare)) in WATCHED.iter().enumerate() {
        asm.emit_u64(&[0x48, 0xb8], pattern(register)).emit(compare);
        count_if(&mut asm, 0x95, WRONG_REGISTERS); // setne
    }
    for xmm in 0..8u8 {
        asm.emit(&[0x66, 0x48, 0x0f, 0x7e, 0xc0 | xmm << 3]); // movq rax, xmm
        asm.emit(&[0x4c, 0x39, 0xc0]); // cmp rax, r8
        count_if(&mut asm, 0x95, WRONG_REGISTERS);
        asm.emit(&[0x66, 0x4c, 0x0f, 0x7e, 0xc0 | xmm << 3]); // movq rax, xmm + 8
        asm.emit(&[0x4c, 0x39, 0xc8]); // cmp rax, r9
        count_if(&mut asm, 0x95, WRONG_REGISTERS);
    }
    asm.emit(&[0x48, 0x39, 0x24, 0x24]); // cmp [rsp], rsp
    count_if(&mut asm, 0x95, WRONG_REGISTERS);
    with_disp(&mut asm, &[0x49, 0xff, 0x86], ROUNDS); // inc qword [r14 + ROUNDS]
    asm.emit(&[0x48, 0xff, 0xcb]).jnz(round); // dec rbx; jnz round
    asm.emit(&[0x48, 0x83, 0xc4, 0x08]); // add rsp, 8
    // pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
    asm.emit(&[
        0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
    ]);
    asm
}

/// A site at offset `site` of a line, with zero where a call would leave its return address.
fn watched_site(asm: &mut Asm, site: usize) {
    asm.emit(&[0x48, 0xc7, 0x44, 0x24, 0xf8, 0, 0, 0, 0]); // mov qword [rsp - 8], 0
    asm.emit(&[0x4c, 0x89, 0xe0, 0x4d, 0x89, 0xef]); // mov rax, r12; mov r15, r13
    asm.pad_to(site);
    asm.site_here();
    let end = asm.here();
    asm.emit(&[0x4c, 0x39, 0xe0]); // cmp rax, r12
    count_if(asm, 0x95, WRONG_REGISTERS); // setne
    asm.emit(&[0x4d, 0x39, 0xef]); // cmp r15, r13
    count_if(asm, 0x95, WRONG_REGISTERS);
    let back = end as i64 - (asm.here() as i64 + 7);
    with_disp(asm, &[0x4c, 0x8d, 0x3d], back as u32); // lea r15, [rip + end of the site]
    asm.emit(&[0x4c, 0x39, 0x7c, 0x24, 0xf8]); // cmp [rsp - 8], r15
    count_if(asm, 0x94, site as u32 * 8); // sete
    asm.emit(&[0x4c, 0x39, 0x7c, 0x24, 0xf8]); // cmp [rsp - 8], r15
    asm.emit(&[0x0f, 0x95, 0xc0]); // setne al
    asm.emit(&[0x48, 0x83, 0x7c, 0x24, 0xf8, 0x00]); // cmp qword [rsp - 8], 0
    asm.emit(&[0x41, 0x0f, 0x95, 0xc7]); // setne r15b
    asm.emit(&[0x44, 0x20, 0xf8]); // and al, r15b
    count_if(asm, 0x95, WRONG_CALLS);
}

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
        let asm = watched_code();
        for (site, description) in asm.sites.iter().enumerate() {
            assert_eq!(description.ret_offset as usize % 64, (site + 5) % 64);
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
        // SAFETY: `watched_code` is a function of this type; the report's fields are atomic.
        let function: extern "C" fn(u64, *const Report) =
            unsafe { std::mem::transmute(self.code.base()) };
        function(rounds, &self.reports[runner]);
    }

    /// Changes sites until `budget` changes are made, while threads run through them.
    fn change_under_fire(&mut self, budget: u64, random: &mut u64) {
        let stop = AtomicBool::new(false);
        let (this, stopped) = (&*self, &stop);
        let rounds: u64 = std::thread::scope(|scope| {
            let runners: Vec<_> = (0..RUNNERS)
                .map(|runner| {
                    scope.spawn(move || {
                        let mut rounds = 0;
                        while !stopped.load(Ordering::Relaxed) {
                            this.run(runner, 100);
                            rounds += 100;
                        }
                        rounds
                    })
                })
                .collect();
            let mut changed = 0;
            while changed < budget {
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
