//! The cache of compiled code as the users of the command meet it.

mod common;

use common::{Files, Outcome, nopal, printing};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that prints, computes and traps when asked to.
fn program(files: &Files) -> PathBuf {
    let rest = r#"
        (func $fib (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add
                    (call $fib (i32.sub (local.get 0) (i32.const 1)))
                    (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func $divide (export "divide") (param i32) (result i32)
            (i32.div_s (i32.const 6) (local.get 0)))
        (func (export "_start") (drop (call $fib (i32.const 5))) (call $print))"#;
    files.wasm("program.wasm", &printing("hello", rest))
}

/// The command with the user's cache directory in `files`.
fn cached(files: &Files, args: &[&str]) -> Command {
    let mut command = nopal(args);
    command.env("XDG_CACHE_HOME", files.path("xdg"));
    command
}

fn outcome(command: &mut Command) -> Outcome {
    command.output().expect("nopal starts").into()
}

/// The files in a directory of a cache: name, and what changes when it is written again.
fn entries(dir: &Path) -> Vec<(PathBuf, u64)> {
    let files = fs::read_dir(dir).expect("the directory of the cache");
    let mut entries: Vec<(PathBuf, u64)> = files
        .map(|file| {
            let file = file.expect("a file");
            (file.path(), file.metadata().expect("metadata").ino())
        })
        .collect();
    entries.sort();
    entries
}

/// The only entry in a directory of a cache.
fn entry(dir: &Path) -> PathBuf {
    let entries = entries(dir).into_iter().map(|(path, _)| path);
    let entries: Vec<PathBuf> = entries.filter(|path| !path.ends_with("secret")).collect();
    match &entries[..] {
        [entry] => entry.clone(),
        other => panic!("not one entry: {other:?}"),
    }
}

#[test]
fn the_second_run_writes_nothing() {
    let files = Files::new();
    let program = program(&files);
    let run = |args: &[&str]| outcome(cached(&files, &["run"]).args(args).arg(&program));
    assert_eq!(run(&[]).printed(0), "hello");
    let dir = files.path("xdg/nopal");
    let first = entries(&dir);
    assert_eq!(first.len(), 2, "the secret and one entry: {first:?}");
    assert_eq!(run(&[]).printed(0), "hello");
    let invoke = cached(&files, &["run", "--invoke", "fib"])
        .arg(&program)
        .arg("10")
        .output();
    let invoke = Outcome::from(invoke.expect("nopal starts"));
    assert_eq!(invoke.printed(0), "55\n");
    assert_eq!(entries(&dir), first, "what is there is used");
}

#[test]
fn without_cache_nothing_is_written() {
    let files = Files::new();
    let program = program(&files);
    for command in ["run", "trace"] {
        let mut command = cached(&files, &[command, "--no-cache"]);
        let outcome = outcome(command.arg(&program));
        assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "hello"));
    }
    let compiled = outcome(cached(&files, &["compile"]).arg(&program));
    assert!(compiled.printed(0).contains("fib"));
    assert!(!files.path("xdg").exists());
}

#[test]
fn the_directory_can_be_chosen() {
    let files = Files::new();
    let program = program(&files);
    let dir = files.path("a/b");
    let mut command = cached(&files, &["run", "--cache-dir"]);
    let outcome = outcome(command.arg(&dir).arg(&program));
    assert_eq!(outcome.printed(0), "hello");
    assert_eq!(entries(&dir).len(), 2);
    assert!(!files.path("xdg").exists());
}

#[test]
fn one_choice_excludes_the_other() {
    let outcome = outcome(&mut nopal(["run", "--no-cache", "--cache-dir", "x", "y"]));
    let message = outcome.error(2);
    assert!(message.contains("--cache-dir"), "{message}");
}

#[test]
fn programs_run_where_no_cache_can_be() {
    let files = Files::new();
    let program = program(&files);
    let file = files.file("file", "");
    let open = files.path("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("permissions");

    for dir in [&file, &file.join("below"), &open] {
        let mut command = cached(&files, &["run", "--cache-dir"]);
        let asked = outcome(command.arg(dir).arg(&program));
        assert_eq!((asked.code, &*asked.stdout), (Some(0), "hello"));
        let expected = format!("nopal: note: no cache: {}: ", dir.display());
        assert!(asked.stderr.starts_with(&expected), "{asked:?}");
        assert_eq!(asked.stderr.lines().count(), 1, "{asked:?}");

        // Who did not ask for a cache does not miss it.
        let mut command = nopal(["run"]);
        let default = outcome(command.arg(&program).env("XDG_CACHE_HOME", file.join("x")));
        assert_eq!(default.printed(0), "hello");
    }
    let mut command = nopal(["run"]);
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    assert_eq!(outcome(command.arg(&program)).printed(0), "hello");
    assert_eq!(fs::read_dir(&open).expect("the folder").count(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_to_does_no_harm() {
    let files = Files::new();
    let program = program(&files);
    let dir = files.path("xdg/nopal");
    fs::create_dir_all(&dir).expect("a folder");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).expect("permissions");
    for _ in 0..2 {
        let outcome = outcome(cached(&files, &["run"]).arg(&program));
        assert_eq!(outcome.printed(0), "hello");
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("permissions");
}

#[test]
fn damaged_entries_are_replaced() {
    let files = Files::new();
    let program = program(&files);
    let run = || outcome(cached(&files, &["run"]).arg(&program));
    assert_eq!(run().printed(0), "hello");
    let file = entry(&files.path("xdg/nopal"));
    let good = fs::read(&file).expect("an entry");
    let mut damaged = vec![Vec::new(), good[..good.len() / 2].to_vec(), vec![0; 100]];
    for at in (0..good.len()).step_by(good.len() / 20) {
        let mut bad = good.clone();
        bad[at] = !bad[at];
        damaged.push(bad);
    }
    for bad in damaged {
        fs::write(&file, bad).expect("a damaged entry");
        assert_eq!(run().printed(0), "hello");
        assert_eq!(fs::read(&file).expect("an entry"), good);
    }
}

/// A trace without times.
fn trace(files: &Files, program: &Path, args: &[&str]) -> (Outcome, Vec<String>) {
    let out = files.path("trace.out");
    let mut command = cached(files, &["trace", "--args", "-o"]);
    let invoked = ["--invoke", args[0]];
    let command = command.arg(&out).args(invoked).arg(program);
    let outcome = outcome(command.args(&args[1..]));
    let trace = fs::read_to_string(out).expect("the trace");
    let events = trace.lines().filter(|line| !line.starts_with('#'));
    let events = events.map(|line| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let words = words.join(" ");
        let end = words.rfind(" (").filter(|_| words.ends_with(" us)"));
        words[..end.unwrap_or(words.len())].to_owned()
    });
    (outcome, events.collect())
}

#[test]
fn a_trace_of_cached_code_is_that_of_compiled_code() {
    let files = Files::new();
    let program = program(&files);
    for args in [&["fib", "6"][..], &["divide", "2"], &["divide", "0"]] {
        let _ = fs::remove_dir_all(files.path("xdg"));
        let (missed, first) = trace(&files, &program, args);
        let written = entries(&files.path("xdg/nopal"));
        let (hit, second) = trace(&files, &program, args);
        assert_eq!(entries(&files.path("xdg/nopal")), written);
        assert!(first.iter().any(|event| event.contains(args[0])));
        assert_eq!(first, second);
        assert_eq!(
            (missed.code, missed.stdout, missed.stderr),
            (hit.code, hit.stdout, hit.stderr)
        );
    }
}

#[test]
fn processes_share_a_directory() {
    let files = Files::new();
    let program = program(&files);
    for _ in 0..3 {
        let _ = fs::remove_dir_all(files.path("xdg"));
        let start = |_| {
            let mut command = cached(&files, &["run"]);
            let command = command.arg(&program).stdout(Stdio::piped());
            command
                .stderr(Stdio::piped())
                .spawn()
                .expect("nopal starts")
        };
        let running: Vec<_> = (0..6).map(start).collect();
        for child in running {
            let outcome = Outcome::from(child.wait_with_output().expect("an outcome"));
            assert_eq!(outcome.printed(0), "hello");
        }
        let dir = files.path("xdg/nopal");
        let written = entries(&dir);
        assert_eq!(written.len(), 2, "the secret and one entry: {written:?}");
        let outcome = outcome(cached(&files, &["run"]).arg(&program));
        assert_eq!(outcome.printed(0), "hello");
        assert_eq!(entries(&dir), written, "the entry is one that can be used");
    }
}
