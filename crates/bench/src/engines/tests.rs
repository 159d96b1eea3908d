//! Every engine must treat a program the same way; what is asserted here holds for each.

use std::fs;

use super::*;

/// Prints its own first argument, then exits with the code given as the number of further arguments.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
        (drop (call $args_get (i32.const 64) (i32.const 1024)))
        ;; One vector: argument 1, five bytes.
        (i32.store (i32.const 16) (i32.load (i32.const 68)))
        (i32.store (i32.const 20) (i32.const 5))
        (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (call $proc_exit (i32.sub (i32.load (i32.const 0)) (i32.const 2)))))"#;

/// Exits with the error number of opening `data.txt` in the first preopened folder, 0 if it is there.
const OPEN: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "data.txt")
    (func (export "_start")
        (call $proc_exit (call $path_open
            (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))))"#;

fn command(dir: &tempfile::TempDir, args: &[&str]) -> Command {
    let argv = ["program.wasm"]
        .iter()
        .chain(args)
        .map(|&arg| arg.to_owned())
        .collect();
    Command {
        argv,
        dir: dir.path().to_owned(),
        expected: None,
    }
}

/// Compiles and runs `text` on every engine and hands the outcome and standard output to `check`.
fn on_each(text: &str, command: &Command, check: impl Fn(&str, Result<i32>, Vec<u8>)) {
    let wasm = wat::parse_str(text).unwrap();
    let (engines, refusals) = all(|_| true);
    assert!(refusals.is_empty(), "{refusals:?}");
    for engine in engines {
        let compiled = engine.compile(&wasm).unwrap();
        let mut prepared = compiled.prepare(command).unwrap();
        let exit = prepared.run();
        check(engine.id(), exit, prepared.finish().unwrap());
    }
}

#[test]
fn arguments_output_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    on_each(
        ECHO,
        &command(&dir, &["hello", "1", "2", "3"]),
        |engine, exit, stdout| {
            assert_eq!(
                (exit, stdout.as_slice()),
                (Ok(3), &b"hello"[..]),
                "{engine}"
            );
        },
    );
    on_each(ECHO, &command(&dir, &["world"]), |engine, exit, stdout| {
        assert_eq!(
            (exit, stdout.as_slice()),
            (Ok(0), &b"world"[..]),
            "{engine}"
        );
    });
}

#[test]
fn the_folder_is_preopened() {
    let dir = tempfile::tempdir().unwrap();
    let no_such_file = 44;
    on_each(OPEN, &command(&dir, &[]), |engine, exit, _| {
        assert_eq!(exit, Ok(no_such_file), "{engine}")
    });
    fs::write(dir.path().join("data.txt"), "x").unwrap();
    on_each(OPEN, &command(&dir, &[]), |engine, exit, _| {
        assert_eq!(exit, Ok(0), "{engine}")
    });
}

#[test]
fn a_return_is_success_and_a_trap_is_an_error_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let returns = r#"(module (func (export "_start")))"#;
    on_each(returns, &command(&dir, &[]), |engine, exit, _| {
        assert_eq!(exit, Ok(0), "{engine}")
    });
    let traps = r#"(module (func (export "_start") unreachable))"#;
    on_each(traps, &command(&dir, &[]), |engine, exit, _| {
        let message = exit.unwrap_err();
        assert!(
            message.contains("unreachable") && !message.contains('\n'),
            "{engine}: {message}"
        );
    });
}

#[test]
fn an_invalid_module_is_refused() {
    let invalid = wat::parse_str("(module (func (result i32) (f32.const 0)))").unwrap();
    for engine in all(|_| true).0 {
        assert!(engine.compile(&invalid).is_err(), "{}", engine.id());
    }
}

#[test]
fn compiled_code_has_a_size_and_interpreted_code_has_none() {
    let wasm = wat::parse_str(ECHO).unwrap();
    for engine in all(|_| true).0 {
        let size = engine.compile(&wasm).unwrap().code_bytes();
        assert_eq!(
            size.is_some_and(|bytes| bytes > 50),
            engine.id() != id::WASMI,
            "{}: {size:?}",
            engine.id()
        );
    }
}

/// Needs a host for everything that a module can import.
const DEPENDENT: &str = r#"(module
    (import "host" "log" (func $log (param i32) (result i64)))
    (import "host" "memory" (memory 2))
    (import "host" "table" (table 3 funcref))
    (import "host" "base" (global $base i32))
    (import "host" "counter" (global (mut i64)))
    (data (i32.const 8) "data")
    (elem (global.get $base) $log))"#;

#[test]
fn a_module_is_instantiated_without_its_host() {
    let wasm = wat::parse_str(DEPENDENT).unwrap();
    for engine in all(|_| true).0 {
        let compiled = engine.compile(&wasm).unwrap();
        assert_eq!(compiled.instantiate_alone(), Ok(()), "{}", engine.id());
    }
}

#[test]
fn what_a_module_imports_traps_when_called() {
    let text = r#"(module (import "host" "log" (func $log)) (start $log))"#;
    let wasm = wat::parse_str(text).unwrap();
    for engine in all(|_| true).0 {
        let compiled = engine.compile(&wasm).unwrap();
        let message = compiled.instantiate_alone().unwrap_err();
        assert!(message.contains("log"), "{}: {message}", engine.id());
    }
}

#[test]
fn every_engine_can_be_had_with_all_threads() {
    let wasm = wat::parse_str(ECHO).unwrap();
    for id in id::ALL {
        let engine = one(id, Threads::All).unwrap();
        assert_eq!(engine.id(), id);
        assert!(engine.compile(&wasm).is_ok(), "{id}");
    }
    assert!(one("v8", Threads::One).is_err());
}

#[test]
fn engines_can_be_chosen() {
    let (engines, refusals) = all(|id| id == id::WASMI);
    assert!(refusals.is_empty());
    assert_eq!(
        engines.iter().map(|engine| engine.id()).collect::<Vec<_>>(),
        [id::WASMI]
    );
}

#[test]
fn reported_versions_are_those_built_in() {
    let lock = include_str!("../../../../Cargo.lock");
    for runtime in all(|_| true).0.iter().map(|engine| engine.runtime()) {
        let (name, version) = runtime.split_once(' ').unwrap();
        let entry = format!(
            "name = \"{}\"\nversion = \"{version}\"",
            name.to_lowercase()
        );
        assert!(lock.contains(&entry), "{runtime}");
    }
}
