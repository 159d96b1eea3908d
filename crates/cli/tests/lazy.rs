//! `--compile`: functions compiled before the program starts, or when they are called.

mod common;

use common::{Files, Outcome, arguments, corpus, nopal, printing, run};
use std::path::Path;

const WHEN: [&str; 2] = ["eager", "lazy"];

/// A program that prints, computes, and traps in a function that nothing else calls.
fn program() -> String {
    printing(
        "hello",
        r#"(func $even (export "even") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (call $odd (i32.sub (local.get 0) (i32.const 1))))
                (else (i32.const 1))))
        (func $odd (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (call $even (i32.sub (local.get 0) (i32.const 1))))
                (else (i32.const 0))))
        (func $never (result i32) (call $even (i32.const -1)))
        (func $divide (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
        (func (export "trap") (result i32) (call $divide (i32.const 0)))
        (func (export "_start") (call $print))"#,
    )
}

/// The outcomes of a command with either way of compiling.
fn both(args: &[&str], file: &Path, rest: &[&str]) -> [Outcome; 2] {
    WHEN.map(|when| {
        let mut command = nopal(args);
        command.args(["--compile", when]).arg(file).args(rest);
        command.output().expect("nopal starts").into()
    })
}

#[test]
fn programs_do_the_same() {
    let files = Files::new();
    let file = files.wasm("program.wasm", &program());
    for outcome in both(&["run"], &file, &[]) {
        assert_eq!(outcome.printed(0), "hello");
    }
    for outcome in both(&["run", "--invoke", "even"], &file, &["1001"]) {
        assert_eq!(outcome.printed(0), "0\n");
    }
    for (file, expected) in corpus() {
        let args = arguments(&file);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for outcome in both(&["run"], &file, &args) {
            assert_eq!(outcome.printed(0), expected, "{}", file.display());
        }
    }
}

#[test]
fn failures_are_the_same() {
    let files = Files::new();
    let file = files.wasm("program.wasm", &program());
    let [eager, lazy] = both(&["run", "--invoke", "trap"], &file, &[]);
    assert_eq!((eager.code, &eager.stderr), (lazy.code, &lazy.stderr));
    assert_eq!(lazy.code, Some(134));
    assert!(lazy.stderr.contains("integer divide by zero"), "{lazy:?}");
    assert!(lazy.stderr.contains("divide"), "{lazy:?}");
    // Also if nothing calls what is invalid.
    let wasm = wat::parse_str(r#"(module (func (export "_start")) (func (result i32)))"#);
    let invalid = files.file("invalid.wasm", wasm.expect("text"));
    let [eager, lazy] = both(&["run"], &invalid, &[]);
    assert_eq!(eager.error(1), lazy.error(1));
    assert!(lazy.stderr.contains("invalid module"), "{lazy:?}");
}

#[test]
fn traces_are_the_same() {
    let files = Files::new();
    let file = files.wasm("program.wasm", &program());
    // Calls and results, without times.
    let calls = |outcome: &Outcome| -> Vec<String> {
        let from_arrow = |line: &str| line.find(['>', '<']).map(|at| line[at..].to_owned());
        let lines = outcome.stderr.lines().filter_map(from_arrow);
        lines
            .map(|line| match line.strip_prefix('<') {
                Some(exit) => exit.split(" (").next().unwrap_or_default().to_owned(),
                None => line,
            })
            .collect()
    };
    for (pattern, records) in [("*", 2 * 6), ("odd", 2 * 3)] {
        let trace = ["trace", "-f", pattern, "--args", "--invoke", "even"];
        let [eager, lazy] = both(&trace, &file, &["5"]);
        assert_eq!((eager.code, lazy.code), (Some(0), Some(0)), "{lazy:?}");
        assert_eq!(calls(&eager), calls(&lazy));
        assert_eq!(calls(&lazy).len(), records, "{lazy:?}");
    }
}

#[test]
fn a_running_program_is_traced() {
    let text = r#"(module
        (func $step (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
        (func (export "spin") (param i32)
            (loop $next (br_if $next (local.tee 0 (call $step (local.get 0)))))))"#;
    let files = Files::new();
    let file = files.wasm("spin.wasm", text);
    let trace = [
        "trace", "-f", "*", "--after", "20ms", "--limit", "100", "--invoke", "spin",
    ];
    for outcome in both(&trace, &file, &["200000000"]) {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let steps = outcome.stderr.matches("> step").count();
        assert!((40..=100).contains(&steps), "{steps}");
    }
}

#[test]
fn the_option_is_described() {
    let help = run(["help", "run"]);
    let help = help.printed(0);
    assert!(help.contains("--compile <WHEN>"), "{help}");
    for when in WHEN {
        assert!(help.contains(&format!("- {when}:")), "{help}");
    }
    let wrong = run(["run", "--compile", "never", "x.wasm"]);
    assert!(wrong.error(2).contains("never"), "{wrong:?}");
}
