//! `nopal run` as its users see it.

mod common;

use common::{Files, corpus, nopal, printing, run};
use std::fs;
use std::process::Stdio;

/// Prints its arguments and variables, NUL-terminated each.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get"
        (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get"
        (func $env_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $print
        ;; The number of bytes is at 4; the bytes are at 4096.
        (i32.store (i32.const 8) (i32.const 4096))
        (i32.store (i32.const 12) (i32.load (i32.const 4)))
        (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))
    (func (export "_start")
        (drop (call $args_sizes (i32.const 0) (i32.const 4)))
        (drop (call $args (i32.const 1024) (i32.const 4096)))
        (call $print)
        (drop (call $env_sizes (i32.const 0) (i32.const 4)))
        (drop (call $env (i32.const 1024) (i32.const 4096)))
        (call $print)))"#;

#[test]
fn the_exit_code_is_the_programs() {
    let files = Files::new();
    for (code, seen) in [(0, 0), (3, 3), (134, 134), (255, 255), (256, 0), (-1, 255)] {
        let rest = format!(
            r#"(func (export "_start") (call $print) (call $proc_exit (i32.const {code})))"#
        );
        let path = files.wasm("exit.wasm", &printing("hi", &rest));
        assert_eq!(run(["run".as_ref(), path.as_os_str()]).printed(seen), "hi");
    }
    let path = files.wasm(
        "return.wasm",
        &printing("hi", r#"(func (export "_start") (call $print))"#),
    );
    assert_eq!(run(["run".as_ref(), path.as_os_str()]).printed(0), "hi");
}

#[test]
fn arguments_and_variables_reach_the_program_verbatim() {
    let files = Files::new();
    let path = files.wasm("echo.wasm", ECHO);
    let path = path.to_str().unwrap();
    let outcome = run([
        "run", "--env", "A=1=2", "--env", "B=", "--env", "A=3", path, "--dir", "-x", "--", "",
        "--help", "ä b",
    ]);
    assert_eq!(
        outcome.printed(0),
        "echo.wasm\0--dir\0-x\0--\0\0--help\0ä b\0A=3\0B=\0"
    );
}

#[test]
fn directories_are_those_given() {
    let files = Files::new();
    // Exits with the error of opening `name` in the first preopened directory.
    let open = |name: &str| {
        let len = name.len();
        format!(
            r#"(module
            (import "wasi_snapshot_preview1" "path_open" (func $open
                (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{name}")
            (func (export "_start")
                (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const {len})
                    (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))))"#
        )
    };
    let path = files.wasm("open.wasm", &open("file.txt"));
    let path = path.to_str().unwrap();
    files.file("file.txt", "x");
    let dir = files.path("").to_str().unwrap().to_owned();
    run(["run", "--dir", &dir, path]).printed(0);
    run(["run", "--dir", &format!("{dir}::/data"), path]).printed(0);
    // Without a directory there is no descriptor 3: BADF.
    run(["run", path]).printed(8);
    let outside = files.wasm("outside.wasm", &open("../file.txt"));
    fs::create_dir(files.path("sub")).unwrap();
    let sub = files.path("sub").to_str().unwrap().to_owned();
    // PERM
    run(["run", "--dir", &sub, outside.to_str().unwrap()]).printed(63);
}

#[test]
fn functions_are_called_by_name() {
    let files = Files::new();
    let path = files.wasm(
        "lib.wasm",
        r#"(module
            (global $ready (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $ready (i32.const 1)))
            (func (export "ready") (result i32) (global.get $ready))
            (func (export "add") (param i32 i32) (result i32)
                (i32.add (local.get 0) (local.get 1)))
            (func (export "swap") (param i64 f64) (result f64 i64)
                (local.get 1) (local.get 0))
            (func (export "half") (param f32) (result f32)
                (f32.mul (local.get 0) (f32.const 0.5)))
            (func (export "is_null") (param externref) (result i32)
                (ref.is_null (local.get 0))))"#,
    );
    let path = path.to_str().unwrap();
    let invoke = |f: &str, args: &[&str]| {
        let mut line = vec!["run", "--invoke", f, path];
        line.extend(args);
        run(line)
    };
    assert_eq!(invoke("ready", &[]).printed(0), "1\n");
    assert_eq!(invoke("add", &["-5", "0x10"]).printed(0), "11\n");
    assert_eq!(
        invoke("swap", &["-7", "1e300"]).printed(0).lines().last(),
        Some("-7")
    );
    assert_eq!(invoke("half", &["-3"]).printed(0), "-1.5\n");
    assert_eq!(invoke("is_null", &["null"]).printed(0), "1\n");
    assert!(
        invoke("add", &["1"])
            .error(2)
            .ends_with("`add` has type (i32, i32) -> (i32) and takes 2 arguments, not 1")
    );
    assert!(
        invoke("add", &["1", "x"])
            .error(2)
            .ends_with("`add` takes an i32 as argument 2, which `x` is not")
    );
    let missing = invoke("mul", &[]);
    assert!(
        missing
            .error(1)
            .contains("no function `mul` is exported; it exports `_initialize`, `ready`")
    );
}

#[test]
fn text_is_a_module_too() {
    let files = Files::new();
    let text = printing("from text", r#"(func (export "_start") (call $print))"#);
    let path = files.file("a.wat", &text);
    assert_eq!(
        run(["run".as_ref(), path.as_os_str()]).printed(0),
        "from text"
    );
    let path = files.file("no-extension", format!("  {text}"));
    assert_eq!(
        run(["run".as_ref(), path.as_os_str()]).printed(0),
        "from text"
    );
    let path = files.file("bad.wat", "(module\n  (func (export \"f\") i32.nonsense))");
    let outcome = run(["run".as_ref(), path.as_os_str()]);
    let expected = format!("{}:2:22: ", path.display());
    assert!(outcome.error(1).starts_with(&expected), "{outcome:?}");
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let files = Files::new();
    // Prints until it fails, and exits with the error.
    let path = files.wasm(
        "yes.wasm",
        &printing(
            "y\\n",
            r#"(func (export "_start") (local $error i32)
                (i32.store (i32.const 20) (i32.const 2))
                (loop $again
                    (local.set $error
                        (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
                    (br_if $again (i32.eqz (local.get $error))))
                (call $proc_exit (local.get $error)))"#,
        ),
    );
    let mut child = nopal(["run".as_ref(), path.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    // The guest saw EPIPE.
    assert_eq!(output.status.code(), Some(64));
    // The command's own output.
    let fib = files.wasm(
        "one.wasm",
        r#"(module (func (export "one") (result i32) i32.const 1))"#,
    );
    for args in [vec!["run", "--invoke", "one"], vec!["compile"]] {
        let mut child = nopal(args)
            .arg(&fib)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_corpus_prints_what_it_should() {
    for (path, expected) in corpus() {
        let outcome = run(["run".as_ref(), path.as_os_str()]);
        assert_eq!(outcome.printed(0), expected, "{}", path.display());
    }
}
