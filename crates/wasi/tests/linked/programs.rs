//! Programs that use what they import.

use crate::{run, run_wat};
use nopal_wasi::WasiCtxBuilder;
use nopal_wasm::TrapKind;

/// Functions the small programs below share: `write` prints a string, `check` ends the program
/// with the number of a call that went wrong.
const PRELUDE: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (func $check (param $outcome i32)
        (if (local.get $outcome) (then (call $proc_exit (local.get $outcome)))))
    (func $write (param $fd i32) (param $at i32) (param $len i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (call $check (call $fd_write
            (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
"#;

fn program(imports: &str, body: &str) -> String {
    format!("(module {imports} {PRELUDE} {body})")
}

#[test]
fn hello_world() {
    let wat = program(
        "",
        r#"(data (i32.const 16) "hello, world\n")
        (func (export "_start") (call $write (i32.const 1) (i32.const 16) (i32.const 13)))"#,
    );
    let (code, output) = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!((code, output.as_str()), (0, "hello, world\n"));
}

#[test]
fn an_exit_code_ends_the_program() {
    for code in [0, 1, 42, 255, -1] {
        let wat = program(
            "",
            &format!(
                r#"(func $deep (call $proc_exit (i32.const {code})) unreachable)
                (func (export "_start") (call $deep) unreachable)"#
            ),
        );
        let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
        assert_eq!(outcome, (code, String::new()));
    }
}

#[test]
fn a_trap_is_no_exit() {
    let wat = program("", r#"(func (export "_start") unreachable)"#);
    let error = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap_err();
    assert!(error.trap().is_some());
}

#[test]
fn calls_from_the_bottom_of_the_stack_do_no_harm() {
    let wat = program(
        "",
        r#"(data (i32.const 16) "x")
        (func $deeper
            (call $write (i32.const 1) (i32.const 16) (i32.const 1))
            (call $deeper)
            (call $write (i32.const 1) (i32.const 16) (i32.const 1)))
        (func (export "_start") (call $deeper))"#,
    );
    let error = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap_err();
    let trap = error.trap().expect("the stack is exhausted");
    assert_eq!(trap.kind(), TrapKind::StackOverflow);
}

#[test]
fn bad_addresses_come_back_as_error_numbers() {
    // 21 is `fault`.
    let wat = program(
        "",
        r#"(func (export "_start")
            (call $write (i32.const 1) (i32.const 65530) (i32.const 7)))"#,
    );
    let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!(outcome, (21, String::new()));
    let wat = program(
        "",
        r#"(func (export "_start")
            (call $check (call $fd_write
                (i32.const 1) (i32.const -8) (i32.const -1) (i32.const -1))))"#,
    );
    assert_eq!(run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap().0, 21);
}

#[test]
fn arguments_are_printed() {
    let wat = program(
        r#"(import "wasi_snapshot_preview1" "args_sizes_get"
            (func $args_sizes_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get"
            (func $args_get (param i32 i32) (result i32)))"#,
        r#"(func (export "_start")
            (call $check (call $args_sizes_get (i32.const 100) (i32.const 104)))
            (call $check (call $args_get (i32.const 200) (i32.const 1000)))
            ;; All of them at once, with their NULs.
            (call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 104))))"#,
    );
    let outcome = run_wat(&wat, WasiCtxBuilder::new().args(["prog", "x y"])).unwrap();
    assert_eq!(outcome, (0, "prog\0x y\0".into()));
}

#[test]
fn a_file_is_written_and_read_back() {
    let wat = program(
        r#"(import "wasi_snapshot_preview1" "path_open" (func $path_open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_seek"
            (func $fd_seek (param i32 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read"
            (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))"#,
        r#"(data (i32.const 16) "file.txt")
        (data (i32.const 32) "some text")
        (func (export "_start") (local $fd i32)
            ;; Create it, to read, seek and write.
            (call $check (call $path_open (i32.const 3) (i32.const 0)
                (i32.const 16) (i32.const 8) (i32.const 1)
                (i64.const 0x46) (i64.const 0) (i32.const 0) (i32.const 60)))
            (local.set $fd (i32.load (i32.const 60)))
            (call $write (local.get $fd) (i32.const 32) (i32.const 9))
            (call $check (call $fd_seek
                (local.get $fd) (i64.const -4) (i32.const 2) (i32.const 64)))
            (i32.store (i32.const 0) (i32.const 100))
            (i32.store (i32.const 4) (i32.const 50))
            (call $check (call $fd_read
                (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 60)))
            (call $write (i32.const 1) (i32.const 100) (i32.load (i32.const 60)))
            (call $check (call $fd_close (local.get $fd)))
            ;; Closing it twice is error 8, `badf`.
            (call $check (call $fd_close (local.get $fd))))"#,
    );
    let host = tempfile::tempdir().unwrap();
    let builder = &mut WasiCtxBuilder::new();
    let outcome = run_wat(&wat, builder.preopened_dir(host.path(), ".").unwrap()).unwrap();
    assert_eq!(outcome, (8, "text".into()));
    assert_eq!(
        std::fs::read(host.path().join("file.txt")).unwrap(),
        b"some text"
    );
}

#[test]
fn memory_that_has_grown_is_seen() {
    let wat = program(
        "",
        r#"(func (export "_start")
            (drop (memory.grow (i32.const 3)))
            (i32.store (i32.const 200000) (i32.const 0x21216968))
            (call $write (i32.const 1) (i32.const 200000) (i32.const 4)))"#,
    );
    let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!(outcome, (0, "hi!!".into()));
}

#[test]
fn a_rust_program_runs() {
    let host = tempfile::tempdir().unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(["files", "a", "b c"])
        .env("K", "v")
        .stdin(Box::new(&b"first\nsecond\nthird"[..]))
        .preopened_dir(host.path(), ".")
        .unwrap();
    let (code, output) = run(include_bytes!("../programs/files.wasm"), &mut builder).unwrap();
    assert_eq!(output, include_str!("../programs/files.expected"));
    assert_eq!(code, 42);
    assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 0);
}
