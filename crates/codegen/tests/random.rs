//! Random functions: compiled code does what the interpreter does.
//!
//! `NOPAL_FUZZ_SEEDS` is the number of seeds, `NOPAL_FUZZ_START` the first, `NOPAL_FUZZ_SIZE` the
//! largest size. With `NOPAL_FUZZ_TIME`, no seed is begun after so many seconds.

mod support;

use nopal_codegen::{Target, X64Features};
use nopal_fuzzgen::{Options, generate, reduce};
use nopal_ir::Function;
use std::time::{Duration, Instant};
use support::check::{Checker, INVALID, report};

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}

/// What fails, but for the numbers in it.
fn kind(error: &str) -> String {
    error
        .chars()
        .take(24)
        .filter(|c| !c.is_ascii_digit())
        .collect()
}

const INPUTS: usize = 3;

fn check_seed(checker: &mut Checker, target: &Target, seed: u64, largest: usize) {
    let options = Options {
        largest,
        ..Options::default()
    };
    let funcs = generate(seed, &options);
    let Err(error) = checker.check(&funcs, target, seed, INPUTS) else {
        return;
    };
    let (reduced, now) = smallest(checker, target, &funcs, seed, &error);
    let text = report(&reduced, target, &now);
    let first = error.lines().next().unwrap_or_default();
    panic!("seed {seed} with {target:?}, originally: {first}\n{text}");
}

/// The smallest module found that still fails like `error`, and how it fails.
fn smallest(
    checker: &mut Checker,
    target: &Target,
    funcs: &[Function],
    seed: u64,
    error: &str,
) -> (Vec<Function>, String) {
    // What does not compile fails on its own.
    for func in funcs {
        let func = std::slice::from_ref(func);
        let mut error_of = |funcs: &[Function]| checker.compile(funcs, target).err();
        if let Some(error) = error_of(func) {
            let fails =
                |funcs: &[Function]| error_of(funcs).is_some_and(|e| kind(&e) == kind(&error));
            let reduced = reduce(func, false, fails);
            let now = error_of(&reduced).expect("it still fails");
            return (reduced, now);
        }
    }
    let mut error_of = |funcs: &[Function]| checker.check(funcs, target, seed, INPUTS).err();
    let reduced = reduce(funcs, true, |funcs| {
        error_of(funcs).is_some_and(|e| !e.starts_with(INVALID) && kind(&e) == kind(error))
    });
    let now = error_of(&reduced).expect("it still fails");
    (reduced, now)
}

fn check_seeds(target: &Target, start: u64, seeds: u64) {
    let largest = setting("NOPAL_FUZZ_SIZE", 60) as usize;
    let mut checker = Checker::new();
    let begin = Instant::now();
    let limit = Duration::from_secs(setting("NOPAL_FUZZ_TIME", u64::MAX));
    let mut done = 0;
    for seed in start..start + seeds {
        if begin.elapsed() >= limit {
            break;
        }
        done += 1;
        check_seed(&mut checker, target, seed, largest);
        if (seed + 1 - start).is_multiple_of(5000) {
            println!("{} seeds", seed + 1 - start);
        }
    }
    // The programs are not trivial.
    assert!(checker.runs > 2 * done, "{} runs", checker.runs);
    println!(
        "{done} seeds: {} runs, {} traps, {} out of fuel, {} hooks, {} bytes of code",
        checker.runs, checker.traps, checker.out_of_fuel, checker.hooks, checker.code_bytes
    );
}

#[test]
fn with_the_features_of_this_machine() {
    let target = Target::host().expect("a machine with a back end");
    let start = setting("NOPAL_FUZZ_START", 0);
    check_seeds(&target, start, setting("NOPAL_FUZZ_SEEDS", 600));
}

#[test]
fn without_cpu_features() {
    let target = Target::x64(X64Features::default());
    let start = setting("NOPAL_FUZZ_START", 0);
    check_seeds(&target, start, setting("NOPAL_FUZZ_SEEDS", 600) / 2);
}
