//! What the user sees of a trap.

mod common;

use common::{Files, Outcome, run};

/// Run a module with this function body as `_start`, called through two other functions.
fn trap(declarations: &str, body: &str) -> Outcome {
    let files = Files::new();
    let path = files.wasm(
        "trap.wasm",
        &format!(
            r#"(module $name (memory 1) {declarations}
                (func $inner {body})
                (func $_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE (call $inner))
                (func $start (export "_start")
                    (call $_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE)))"#
        ),
    );
    run(["run".as_ref(), path.as_os_str()])
}

#[test]
fn every_kind_is_named_with_a_backtrace() {
    let table = "(table 2 funcref) (elem (i32.const 0) $other) (type $v (func)) \
                 (func $other (param i32))";
    let cases = [
        ("unreachable", "", "unreachable"),
        (
            "integer divide by zero",
            "",
            "(drop (i32.div_s (i32.const 1) (i32.load (i32.const 0))))",
        ),
        (
            "integer overflow",
            "",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1))))",
        ),
        (
            "invalid conversion to integer",
            "",
            "(drop (i32.trunc_f64_s (f64.div (f64.const 0) (f64.load (i32.const 0)))))",
        ),
        (
            "out of bounds memory access",
            "",
            "(i32.store offset=0xffffffff (i32.const -1) (i32.const 1))",
        ),
        (
            "out of bounds memory access",
            "",
            "(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))",
        ),
        (
            "out of bounds table access",
            table,
            "(table.set (i32.const 2) (ref.null func))",
        ),
        (
            "undefined element",
            table,
            "(call_indirect (type $v) (i32.const 2))",
        ),
        (
            "uninitialized element",
            table,
            "(call_indirect (type $v) (i32.const 1))",
        ),
        (
            "indirect call type mismatch",
            table,
            "(call_indirect (type $v) (i32.const 0))",
        ),
    ];
    for (kind, declarations, body) in cases {
        let outcome = trap(declarations, body);
        assert_eq!(outcome.code, Some(134), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!(lines[0], format!("nopal: trap: {kind}"));
        assert_eq!(lines.len(), 4, "{outcome:?}");
        assert!(lines[1].starts_with("0: inner (function "), "{outcome:?}");
        assert!(
            lines[2].starts_with("1: core::fmt::Write::write_fmt (function "),
            "{outcome:?}"
        );
        assert!(lines[3].starts_with("2: start (function "), "{outcome:?}");
        assert!(
            lines[1..].iter().all(|line| line.contains(", offset 0x")),
            "{outcome:?}"
        );
    }
}

#[test]
fn endless_recursion_ends() {
    let outcome = trap(
        "(func $forever (param i32) (result i32)
            (i32.add (local.get 0) (call $forever (i32.add (local.get 0) (i32.const 1)))))",
        "(drop (call $forever (i32.const 0)))",
    );
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .starts_with("nopal: trap: call stack exhausted\n0: forever (function 0"),
        "{outcome:?}"
    );
    let last = outcome.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("and ") && last.ends_with(" more frames"),
        "{outcome:?}"
    );
}

#[test]
fn a_trap_in_the_start_function_is_a_trap() {
    let files = Files::new();
    let path = files.wasm(
        "start.wasm",
        r#"(module (start $init) (func $init unreachable) (func (export "_start")))"#,
    );
    let outcome = run(["run".as_ref(), path.as_os_str()]);
    assert_eq!(outcome.code, Some(134));
    assert!(
        outcome
            .stderr
            .starts_with("nopal: trap: unreachable\n0: init (function 0")
    );
}
