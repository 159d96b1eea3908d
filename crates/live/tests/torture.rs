//! One thread runs through sites at every offset a line allows, while another changes them.
//!
//! The code watches itself: around each site it reads the site's counters, so that a call that was
//! lost, made twice or half made shows at the pass where it happens; and after each round over all
//! sites it compares every register with what it put there.
//!
//! `NOPAL_TORTURE_TOGGLES` sets the number of site changes per protocol.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Asm, PROTOCOLS, space};
use nopal_live::{Code, CodeSpace, CountHook, Protocol, SiteId};

/// A site may start at 0 to 59 in its line.
const SITES: usize = 60;
const DEFAULT_TOGGLES: u64 = 200_000;

fn toggles() -> u64 {
    match std::env::var("NOPAL_TORTURE_TOGGLES") {
        Ok(text) => text.parse().expect("NOPAL_TORTURE_TOGGLES is a number"),
        Err(_) => DEFAULT_TOGGLES,
    }
}

/// What the code writes down; offsets are known to `watched_code`.
#[repr(C)]
struct Report {
    /// Calls seen at each site.
    calls: [AtomicU64; SITES],
    /// Passes of a site that called more than one hook once.
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

/// `fn(rounds, counters: *const [*const u64; 2 * SITES], report: *mut Report)`.
///
/// In it, `rbx` counts rounds down, `r12` is `counters`, `r14` is `report`, `r13` is the sum of a
/// site's two counters before the pass; `[rsp]` holds `rsp` itself.
fn watched_code() -> Asm {
    let mut asm = Asm::new();
    // push rbx; push rbp; push r12; push r13; push r14; push r15
    asm.emit(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
    // mov rbx, rdi; mov r12, rsi; mov r14, rdx; push rsp (to find it moved)
    asm.emit(&[0x48, 0x89, 0xfb, 0x49, 0x89, 0xf4, 0x49, 0x89, 0xd6]);
    asm.emit(&[0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0x24, 0x24]); // sub rsp, 8; mov [rsp], rsp
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

/// A site at offset `site` of a line, between two readings of its counters.
fn watched_site(asm: &mut Asm, site: usize) {
    let counters = site as u32 * 16;
    with_disp(asm, &[0x49, 0x8b, 0x84, 0x24], counters); // mov rax, [r12 + counters]
    with_disp(asm, &[0x4d, 0x8b, 0xbc, 0x24], counters + 8); // mov r15, [r12 + counters + 8]
    asm.emit(&[0x4c, 0x8b, 0x28]); // mov r13, [rax]
    asm.emit(&[0x4d, 0x03, 0x2f]); // add r13, [r15]
    asm.pad_to(site);
    asm.site();
    // rax and r15 must have survived, or what follows reads elsewhere.
    asm.emit(&[0x48, 0x8b, 0x00]); // mov rax, [rax]
    asm.emit(&[0x49, 0x03, 0x07]); // add rax, [r15]
    asm.emit(&[0x4c, 0x29, 0xe8]); // sub rax, r13
    with_disp(asm, &[0x49, 0x01, 0x86], site as u32 * 8); // add [r14 + 8 * site], rax
    asm.emit(&[0x48, 0x83, 0xf8, 0x01]); // cmp rax, 1
    count_if(asm, 0x97, WRONG_CALLS); // seta
}

/// The code, two hooks to change between, and what is expected of them.
struct Torture {
    space: Arc<CodeSpace>,
    code: Code,
    hooks: [CountHook; 2],
    sites: Vec<SiteId>,
    /// The two counters of each site.
    counters: Vec<usize>,
    report: Report,
    rounds: u64,
}

impl Torture {
    fn new(protocol: Protocol) -> Torture {
        let space = space(protocol);
        let asm = watched_code();
        for (site, description) in asm.sites.iter().enumerate() {
            assert_eq!(description.ret_offset as usize % 64, (site + 5) % 64);
        }
        let code = asm.publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        assert_eq!(sites.len(), SITES);
        let hooks = [space.count_hook().unwrap(), space.count_hook().unwrap()];
        // Enabling each hook once gives it a counter at every site.
        for hook in &hooks {
            let mut patch = space.patch();
            patch.retarget_all(sites.iter().copied(), hook);
            assert_eq!(patch.commit().unwrap().changed, SITES);
        }
        let counters = sites
            .iter()
            .flat_map(|&site| hooks.each_ref().map(|hook| hook.counter_address(site)))
            .map(|address| address.unwrap() as usize)
            .collect();
        Torture {
            space,
            code,
            hooks,
            sites,
            counters,
            report: Report::new(),
            rounds: 0,
        }
    }

    fn run(&self, rounds: u64) {
        // SAFETY: `watched_code` is a function of this type; the counters live as long as the
        // hooks, and the report's fields are atomic.
        let function: extern "C" fn(u64, *const usize, *const Report) =
            unsafe { std::mem::transmute(self.code.base()) };
        function(rounds, self.counters.as_ptr(), &self.report);
    }

    /// Changes sites until `budget` changes are made, while a thread runs through them.
    fn change_under_fire(&mut self, budget: u64, random: &mut u64) {
        let stop = AtomicBool::new(false);
        let this = &*self;
        let rounds = std::thread::scope(|scope| {
            let runner = scope.spawn(|| {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    this.run(100);
                    rounds += 100;
                }
                rounds
            });
            let mut changed = 0;
            while changed < budget {
                changed += this.change_some(random);
            }
            stop.store(true, Ordering::Relaxed);
            runner.join().expect("the runner ends")
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
            self.run(ROUNDS);
            for (now, before) in self.counts().iter().zip(&before) {
                assert_eq!(now[on], before[on] + ROUNDS);
                assert_eq!(now[1 - on], before[1 - on]);
            }
        }
        let before = self.counts();
        let mut patch = self.space.patch();
        patch.disable_all(self.sites.iter().copied());
        assert_eq!(patch.commit().unwrap().changed, SITES);
        self.run(ROUNDS);
        assert_eq!(self.counts(), before);
        self.rounds += 3 * ROUNDS;
    }

    fn counts(&self) -> Vec<[u64; 2]> {
        let count = |&site: &SiteId| self.hooks.each_ref().map(|hook| hook.count(site));
        self.sites.iter().map(count).collect()
    }

    fn check_report(&self) {
        let report = &self.report;
        assert_eq!(report.wrong_calls.load(Ordering::Relaxed), 0);
        assert_eq!(report.wrong_registers.load(Ordering::Relaxed), 0);
        assert_eq!(report.rounds.load(Ordering::Relaxed), self.rounds);
        for (seen, counts) in report.calls.iter().zip(self.counts()) {
            // Every increment was seen by the code, in the pass that made it.
            assert_eq!(seen.load(Ordering::Relaxed), counts.iter().sum::<u64>());
        }
    }
}

fn torture(protocol: Protocol) {
    const PARTS: u64 = 8;
    let mut torture = Torture::new(protocol);
    let mut random = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..PARTS {
        torture.change_under_fire(toggles().div_ceil(PARTS), &mut random);
        torture.check_when_quiet();
        torture.check_report();
    }
    let quiet_calls = PARTS * 2 * 500;
    let calls: u64 = torture.counts().iter().flatten().sum();
    let under_fire = calls - quiet_calls * SITES as u64;
    let passes = (torture.rounds - PARTS * 3 * 500) * SITES as u64;
    assert!(0 < under_fire && under_fire < passes);
}

#[test]
fn direct() {
    torture(Protocol::Direct);
}

#[test]
fn strict() {
    torture(Protocol::Strict);
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
