//! Branches that lead around sites while these are off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::common::{Asm, PROTOCOLS, call, effective, space};
use nopal_live::{Bypass, BypassDefect, Code, CodeSpace, Error, Patch, Protocol, SiteId};

/// How a loop goes round.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Bytes in it, which decide between the short and the long form of the branch.
    filler: usize,
    /// `jmp`, under which a `jz` leaves, and not `jnz`.
    jump: bool,
}

const FORMS: [Form; 4] = [
    Form::new(0, false),
    Form::new(0, true),
    Form::new(200, false),
    Form::new(200, true),
];

impl Form {
    const fn new(filler: usize, jump: bool) -> Form {
        Form { filler, jump }
    }
}

/// `fn(n) -> n`: counts how often it goes round, past a site at the top of each loop in turn.
fn loops() -> (Asm, Vec<Bypass>) {
    let mut asm = Asm::new();
    let mut bypasses = Vec::new();
    asm.emit(&[0x53, 0x31, 0xd2]); // push rbx; xor edx, edx
    for form in FORMS {
        asm.emit(&[0x48, 0x89, 0xfb]); // mov rbx, rdi
        let top = asm.site().here() - 5;
        asm.emit(&[0x48, 0xff, 0xc2]); // inc rdx
        asm.emit(&[0x90].repeat(form.filler));
        asm.emit(&[0x48, 0xff, 0xcb]); // dec rbx
        if form.jump {
            let len = if form.filler == 0 { 2 } else { 5 };
            asm.emit(&[0x74, len]); // jz out
        }
        let branch = asm.here();
        let opcode: &[u8] = match (form.jump, form.filler) {
            (false, 0) => &[0x75],
            (true, 0) => &[0xeb],
            (false, _) => &[0x0f, 0x85],
            (true, _) => &[0xe9],
        };
        let displacement_len = if form.filler == 0 { 1 } else { 4 };
        let displacement = top as i32 - (branch + opcode.len() + displacement_len) as i32;
        asm.emit(opcode);
        asm.emit(&displacement.to_le_bytes()[..displacement_len]);
        bypasses.push(Bypass {
            branch: branch as u32,
            around: top as u32 + 5,
            ret_offset: top as u32 + 5,
        });
    }
    asm.emit(&[0x48, 0x8d, 0x02, 0x5b, 0xc3]); // lea rax, [rdx]; pop rbx; ret
    (asm, bypasses)
}

fn publish(space: &Arc<CodeSpace>) -> (Code, Vec<SiteId>) {
    let (asm, bypasses) = loops();
    let allocation = space.allocate(asm.bytes.len(), 64).unwrap();
    let code = allocation.publish_with(&asm.bytes, &asm.sites, &bypasses);
    let code = code.unwrap();
    let sites = code.sites().collect();
    (code, sites)
}

const ROUNDS: u64 = FORMS.len() as u64;

#[test]
fn sites_are_met_only_while_they_are_on() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (code, sites) = publish(&space);
        let hook = space.count_hook().unwrap();
        for on in 0..1u32 << sites.len() {
            let is_on = |site: &SiteId| on >> (site.index() - sites[0].index()) & 1 != 0;
            let (enabled, disabled): (Vec<_>, Vec<_>) = sites.iter().partition(|s| is_on(s));
            let mut patch = space.patch();
            patch.enable_all(enabled.iter().copied(), &hook);
            patch.disable_all(disabled.iter().copied());
            patch.commit().unwrap();
            hook.reset();
            assert_eq!(call(&code, 9), 9 * ROUNDS);
            for site in &enabled {
                assert_eq!(hook.count(*site), 9, "{site} of {on:b}");
            }
            assert_eq!(
                disabled.iter().map(|site| hook.count(*site)).sum::<u64>(),
                0
            );
        }
    }
}

/// What is executed while a site is off: the branch leads around, and back where it led.
#[test]
fn branches_lead_around() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (code, sites) = publish(&space);
        let (asm, bypasses) = loops();
        let bytes = || {
            // SAFETY: published code can be read, and nobody changes it here meanwhile.
            unsafe { std::slice::from_raw_parts(code.base() as *const u8, code.len()) }.to_vec()
        };
        // The first displacement byte of each: all have their opcodes before it.
        let displacement_at = |bypass: &Bypass| {
            let first = asm.bytes[bypass.branch as usize];
            bypass.branch as usize + if first == 0x0f { 2 } else { 1 }
        };
        let hook = space.count_hook().unwrap();
        for _ in 0..2 {
            let off = bytes();
            for bypass in &bypasses {
                let at = displacement_at(bypass);
                assert_eq!(off[at], asm.bytes[at] + 5);
            }
            space
                .patch()
                .enable_all(sites.iter().copied(), &hook)
                .commit()
                .unwrap();
            let on = bytes();
            for bypass in &bypasses {
                let branch = bypass.branch as usize..displacement_at(bypass) + 1;
                assert_eq!(on[branch.clone()], asm.bytes[branch]);
            }
            space
                .patch()
                .disable_all(sites.iter().copied())
                .commit()
                .unwrap();
        }
    }
}

/// Switching a site that is off takes a broadcast more if there are branches to be changed strictly; moving one from
/// hook to hook leaves them alone.
#[test]
fn broadcasts_are_few() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (_code, sites) = publish(&space);
        let hooks = [space.count_hook().unwrap(), space.count_hook().unwrap()];
        let all = || sites.iter().copied();
        let made = |patch: &mut Patch<'_>| patch.commit().unwrap().broadcasts;
        let expected = match effective(&space, protocol) {
            Protocol::Direct => [2, 1, 1, 3],
            Protocol::Strict => [3, 3, 3, 3],
        };
        let mut patch = space.patch();
        let seen = [
            made(patch.enable_all(all(), &hooks[0])),
            made(patch.disable_all(all())),
            made(patch.enable_all(all(), &hooks[0])),
            made(all().fold(&mut patch, |patch, site| patch.retarget(site, &hooks[1]))),
        ];
        assert_eq!(seen, expected);
    }
}

/// Threads go round while sites are switched: they go round as often as they should, whatever they meet, and a commit
/// that has returned is in force.
#[test]
fn switched_under_running_threads() {
    let toggles: u64 = match std::env::var("NOPAL_TORTURE_TOGGLES") {
        Ok(text) => text.parse().expect("NOPAL_TORTURE_TOGGLES is a number"),
        Err(_) => 20_000,
    };
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (code, sites) = publish(&space);
        let hook = space.count_hook().unwrap();
        let stop = AtomicBool::new(false);
        let started = Barrier::new(3);
        thread::scope(|scope| {
            let runners: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        started.wait();
                        while !stop.load(Ordering::Relaxed) {
                            for n in 1..100 {
                                assert_eq!(call(&code, n), n * ROUNDS);
                            }
                        }
                    })
                })
                .collect();
            started.wait();
            for n in 0..toggles / 4 {
                let some: Vec<SiteId> = match n % 5 {
                    4 => sites.clone(),
                    one => vec![sites[one as usize]],
                };
                space
                    .patch()
                    .enable_all(some.iter().copied(), &hook)
                    .commit()
                    .unwrap();
                if n % 100 == 0 {
                    let before: Vec<u64> = some.iter().map(|site| hook.count(*site)).collect();
                    assert_eq!(call(&code, 7), 7 * ROUNDS);
                    for (site, before) in some.iter().zip(before) {
                        assert!(hook.count(*site) >= before + 7);
                    }
                }
                space
                    .patch()
                    .disable_all(some.iter().copied())
                    .commit()
                    .unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            for runner in runners {
                runner.join().unwrap();
            }
        });
        // Off means off.
        hook.reset();
        assert_eq!(call(&code, 50), 50 * ROUNDS);
        assert!(sites.iter().all(|site| hook.count(*site) == 0));
    }
}

#[test]
fn wrong_branches_are_refused_and_named() {
    let space = space(Protocol::Direct);
    let (asm, mut bypasses) = loops();
    bypasses[1].ret_offset += 1;
    let allocation = space.allocate(asm.bytes.len(), 64).unwrap();
    let outcome = allocation.publish_with(&asm.bytes, &asm.sites, &bypasses);
    let error = outcome.expect_err("no site ends there");
    let branch = bypasses[1].branch;
    match error {
        Error::BadBypass { index, defect, .. } => {
            assert_eq!((index, defect), (1, BypassDefect::NoSite));
        }
        ref other => panic!("unexpected {other}"),
    }
    let text = format!("bypass 1 (branch at offset {branch}) goes with no site of the code");
    assert_eq!(error.to_string(), text);
}
