//! `nopal trace` as its users see it.

mod common;

use common::{Files, Outcome, corpus, nopal, printing, run};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fib.wat")
}

/// Run `nopal trace` with these options, FILE and `-o`; returns the outcome and the trace.
fn trace(options: &[&str], file: &Path) -> (Outcome, String) {
    let files = Files::new();
    let out = files.path("trace.out");
    let outcome = nopal(["trace"])
        .args(options)
        .arg("-o")
        .arg(&out)
        .arg(file)
        .output()
        .expect("nopal starts");
    (outcome.into(), fs::read_to_string(out).unwrap_or_default())
}

/// The events of a text trace: depth and text, without the duration.
fn events(trace: &str) -> Vec<(usize, String)> {
    let lines = trace.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let time: f64 = words.next().unwrap().parse().expect("a time");
            assert!(time >= 0.0);
            assert_eq!(words.next(), Some("1"), "the thread of {line}");
            let depth = words.next().unwrap().parse().expect("a depth");
            let rest: Vec<&str> = words.collect();
            let rest = rest.join(" ");
            let duration = rest.rfind(" (").filter(|_| rest.ends_with(" us)"));
            (depth, rest[..duration.unwrap_or(rest.len())].to_owned())
        })
        .collect()
}

/// Check that calls nest; returns how many began by name.
fn check_chrome(trace: &str) -> HashMap<String, u64> {
    let json: Json = serde_json::from_str(trace).expect("JSON");
    let mut stacks: HashMap<u64, Vec<&str>> = HashMap::new();
    let mut calls = HashMap::new();
    let mut last = 0.0;
    for event in json["traceEvents"].as_array().expect("events") {
        let name = event["name"].as_str().expect("a name");
        let stack = stacks
            .entry(event["tid"].as_u64().unwrap_or(0))
            .or_default();
        match event["ph"].as_str().expect("a phase") {
            "B" => {
                stack.push(name);
                *calls.entry(name.to_owned()).or_default() += 1;
            }
            "E" => assert_eq!(stack.pop(), Some(name)),
            "i" => assert_eq!(event["s"], "t"),
            "M" => continue,
            other => panic!("phase {other}"),
        }
        let time = event["ts"].as_f64().expect("a time");
        assert!(time >= last, "{time} after {last}");
        last = time;
    }
    assert!(stacks.values().all(Vec::is_empty), "calls that do not end");
    calls
}

#[test]
fn values_and_nesting_are_right() {
    let files = Files::new();
    let path = files.wasm(
        "values.wasm",
        r#"(module
            (global $g (mut i32) (i32.const 0))
            (func $leaf (param i32 i64 f32 f64 externref funcref)
                (result f64 i32 i64 f32 funcref)
                (global.set $g (i32.add (global.get $g) (local.get 0)))
                (local.get 3) (local.get 0) (local.get 1) (local.get 2) (local.get 5))
            (func $many (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32)
                (i32.add (local.get 0) (local.get 8)))
            (func $skipped (param i32) (result i32)
                (call $leaf (local.get 0) (i64.const -9223372036854775808) (f32.const 0.1)
                    (f64.const -0) (ref.null extern) (ref.func $leaf))
                drop drop drop drop drop
                (call $many (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)
                    (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8) (i32.const -9)
                    (i64.const 9223372036854775807)))
            (elem declare func $leaf)
            (func $main (export "_start") (drop (call $skipped (i32.const -1)))))"#,
    );
    let options = ["--args", "-f", "{leaf,many}", "-f", "#3"];
    let (outcome, text) = trace(&options, &path);
    outcome.printed(0);
    assert_eq!(
        events(&text),
        [
            (0, "> main()".into()),
            (
                1,
                "> leaf(-1, -9223372036854775808, 0.1, -0, null, funcref)".into()
            ),
            (
                1,
                "< leaf = (-0, -1, -9223372036854775808, 0.1, funcref)".into()
            ),
            (
                1,
                "> many(1, 2, 3, 4, 5, 6, 7, 8, -9, 9223372036854775807)".into()
            ),
            (1, "< many = -8".into()),
            (0, "< main".into()),
        ] as [(usize, String); 6]
    );
    assert!(text.ends_with("# 6 records\n"), "{text}");

    let (outcome, text) = trace(&[&options[..], &["--format", "chrome"]].concat(), &path);
    outcome.printed(0);
    check_chrome(&text);
    let json: Json = serde_json::from_str(&text).unwrap();
    let many = json["traceEvents"].as_array().unwrap().iter();
    let args: Vec<&Json> = many
        .filter(|e| e["name"] == "many")
        .map(|e| &e["args"])
        .collect();
    assert_eq!(
        args,
        [
            &json!({"func": 1, "params": [1, 2, 3, 4, 5, 6, 7, 8, -9, "9223372036854775807"]}),
            &json!({"results": [-8]})
        ]
    );
}

#[test]
fn recursion_is_complete_and_standard_error_is_the_default() {
    let outcome = nopal(["trace", "-f", "fib*", "--args"])
        .arg(example())
        .output();
    let outcome = Outcome::from(outcome.unwrap());
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, "55\n");
    let events = events(&outcome.stderr);
    assert_eq!(events.len(), 2 * 177);
    assert_eq!(events[0], (0, "> fib(10)".into()));
    assert_eq!(events[1], (1, "> fib(9)".into()));
    assert_eq!(events[353], (0, "< fib = 55".into()));
    assert_eq!(events.iter().map(|(depth, _)| depth).max(), Some(&9));
    assert!(events.iter().all(|(_, text)| !text.contains("before")));

    let (outcome, text) = trace(&["--format", "chrome"], &example());
    assert_eq!(outcome.printed(0), "55\n");
    let calls = check_chrome(&text);
    assert_eq!((calls["fib"], calls["print"], calls["main"]), (177, 1, 1));
}

#[test]
fn exit_codes_and_traps_are_those_of_run() {
    let files = Files::new();
    let exit = r#"(func $main (export "_start") (call $print) (call $proc_exit (i32.const 7)))"#;
    let path = files.wasm("exit.wasm", &printing("hi", exit));
    let (outcome, text) = trace(&[], &path);
    assert_eq!(outcome.printed(7), "hi");
    // `proc_exit` does not return.
    assert!(
        text.contains("# still open: main (thread 1, depth 0"),
        "{text}"
    );
    let (_, text) = trace(&["--format=chrome"], &path);
    check_chrome(&text);

    let trap = r#"(func $bad unreachable) (func $main (export "_start") (call $bad))"#;
    let path = files.wasm("trap.wasm", &format!("(module {trap})"));
    let (outcome, text) = trace(&[], &path);
    assert_eq!(outcome.code, Some(134));
    assert!(
        outcome
            .stderr
            .starts_with("nopal: trap: unreachable\n0: bad (function 0")
    );
    assert!(
        text.contains("# still open: bad (thread 1, depth 1"),
        "{text}"
    );
    let (_, text) = trace(&["--format=chrome"], &path);
    assert_eq!(check_chrome(&text).len(), 2);
}

#[test]
fn a_stack_overflow_under_a_trace_is_a_trap() {
    let files = Files::new();
    let path = files.wasm(
        "deep.wasm",
        r#"(module (func $deep (param i32) (result i32)
                (i32.add (i32.const 1) (call $deep (local.get 0))))
            (func (export "_start") (drop (call $deep (i32.const 5)))))"#,
    );
    let (outcome, text) = trace(&["--args"], &path);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .starts_with("nopal: trap: call stack exhausted\n0: deep")
    );
    assert!(events(&text).len() > 1000);
    assert!(
        text.contains("# still open: ") && text.contains(" more\n"),
        "{outcome:?}"
    );
}

/// Calls `tick` 300 million times, then prints.
fn ticking() -> String {
    printing(
        "done",
        r#"(func $tick (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func $wait (export "_start") (local $i i32)
            (loop $again
                (local.set $i (call $tick (local.get $i)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 300000000))))
            (call $print))"#,
    )
}

#[test]
fn hooks_are_switched_while_the_program_runs() {
    let files = Files::new();
    let path = files.wasm("tick.wasm", &ticking());
    let options = [
        "--args",
        "-f",
        "{tick,wait}",
        "--after",
        "30ms",
        "--for",
        "100ms",
    ];
    let (outcome, text) = trace(&options, &path);
    assert_eq!(outcome.printed(0), "done");
    let events = events(&text);
    assert!(events.len() > 10, "{}", events.len());
    // `wait` was entered before and left after the hooks were on.
    assert!(
        events
            .iter()
            .all(|(depth, text)| *depth == 0 && text.contains("tick"))
    );
    // Within the window nothing is missing: each call has the parameter that follows the last.
    let param = |text: &str| {
        text.strip_prefix("> tick(")?
            .strip_suffix(')')?
            .parse::<u32>()
            .ok()
    };
    let entries: Vec<u32> = events.iter().filter_map(|(_, text)| param(text)).collect();
    assert!(entries[0] > 0);
    assert!(entries.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let first: f64 = text.lines().find(|line| !line.starts_with('#')).unwrap()[..11]
        .parse()
        .unwrap();
    assert!(first >= 0.030, "{first}");

    let (outcome, text) = trace(&[&options[..], &["--format", "chrome"]].concat(), &path);
    assert_eq!(outcome.printed(0), "done");
    assert!(check_chrome(&text)["tick"] > 5);
}

#[test]
fn the_limit_ends_the_trace_honestly() {
    let (outcome, text) = trace(&["--limit", "10"], &example());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "55\n"));
    assert_eq!(events(&text).len(), 10);
    assert!(
        text.contains("# 10 records; the limit was reached at 0."),
        "{text}"
    );
    assert!(outcome.stderr.starts_with("nopal: note: "), "{outcome:?}");
    assert!(
        outcome.stderr.contains("limit of 10 records"),
        "{outcome:?}"
    );
    let (_, text) = trace(&["--limit", "10", "--format", "chrome"], &example());
    assert_eq!(check_chrome(&text).values().sum::<u64>(), 10);
    let json: Json = serde_json::from_str(&text).unwrap();
    assert!(json["otherData"]["limit_reached_us"].is_f64());
}

#[test]
fn functions_can_be_invoked_under_a_trace() {
    let files = Files::new();
    let path = files.wasm(
        "add.wasm",
        r#"(module (func (export "add") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1))))"#,
    );
    let out = files.path("out");
    let outcome = nopal(["trace", "--args", "--invoke", "add", "-o"])
        .arg(&out)
        .arg(&path)
        .args(["-2", "5"])
        .output()
        .unwrap();
    assert_eq!(Outcome::from(outcome).printed(0), "3\n");
    let expected: [(usize, String); 2] = [(0, "> add(-2, 5)".into()), (0, "< add = 3".into())];
    assert_eq!(events(&fs::read_to_string(out).unwrap()), expected);
}

#[test]
fn the_corpus_prints_the_same_under_a_trace() {
    for (path, expected) in corpus() {
        for format in ["text", "chrome"] {
            let options = ["-f", "*", "--for", "200ms", "--format", format];
            let (outcome, text) = trace(&options, &path);
            assert_eq!(
                (outcome.code, &outcome.stdout),
                (Some(0), &expected),
                "{}",
                path.display()
            );
            match format {
                "text" => assert!(!events(&text).is_empty()),
                _ => assert!(!check_chrome(&text).is_empty()),
            }
        }
    }
}

#[test]
fn wrong_options_are_named() {
    let example = example();
    let example = example.to_str().unwrap();
    let error = |options: &[&str], code| {
        let mut line = vec!["trace"];
        line.extend(options);
        line.push(example);
        run(line).error(code).to_owned()
    };
    assert!(error(&["-f", "["], 2).starts_with("bad pattern `[`: "));
    assert!(error(&["-f", "nothing*"], 1).contains("none of its 3 functions matches `nothing*`"));
    assert!(error(&["--for", "5"], 2).contains("expected a number and a unit"));
    assert!(error(&["--format", "xml"], 2).contains("chrome"));
    assert!(error(&["-o", "-"], 2).contains("standard output"));
    assert!(error(&["-o", "/nonexistent/x"], 1).starts_with("cannot write /nonexistent/x: "));
}

#[test]
fn a_full_disk_does_not_disturb_the_program() {
    let outcome = nopal(["trace", "-o", "/dev/full"]).arg(example()).output();
    let outcome = Outcome::from(outcome.unwrap());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.stdout, "55\n");
    assert!(
        outcome
            .stderr
            .starts_with("nopal: error: cannot write /dev/full: "),
        "{outcome:?}"
    );
    assert_eq!(outcome.stderr.lines().count(), 1);
}
