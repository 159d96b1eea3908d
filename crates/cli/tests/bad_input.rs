//! Bad input gets one clear line and a stable exit code.

mod common;

use common::{Files, printing, run};
use std::fs;

fn error(files: &Files, wasm: &[u8]) -> String {
    let path = files.file("a.wasm", wasm);
    let outcome = run(["run".as_ref(), path.as_os_str()]);
    let message = outcome.error(1);
    let prefix = format!("{}: ", path.display());
    message
        .strip_prefix(&prefix)
        .unwrap_or_else(|| panic!("the file is not named: {message}"))
        .to_owned()
}

/// Where the sections of a module end.
fn section_ends(wasm: &[u8]) -> Vec<usize> {
    let mut ends = vec![8];
    let mut at = 8;
    while at < wasm.len() {
        // All sections here are shorter than 128 bytes, or than 16 KiB.
        let (first, second) = (usize::from(wasm[at + 1]), usize::from(wasm[at + 2]));
        at += match first {
            0..128 => 2 + first,
            _ => 3 + (first & 0x7f | second << 7),
        };
        ends.push(at);
    }
    assert_eq!(at, wasm.len());
    ends
}

#[test]
fn modules_cut_off_anywhere_are_refused() {
    let files = Files::new();
    let text = printing("x", r#"(func (export "_start") (call $print))"#);
    let wasm = wat::parse_str(text).unwrap();
    let ends = section_ends(&wasm);
    for len in 0..wasm.len() {
        let path = files.file("a.wasm", &wasm[..len]);
        let outcome = run(["run".as_ref(), path.as_os_str()]);
        if ends.contains(&len) && outcome.code == Some(0) {
            // Without the sections that were lost, it is a module all the same.
            continue;
        }
        let message = outcome.error(1);
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        match len {
            0..4 => assert!(message.contains("not a WebAssembly module"), "{message}"),
            _ if ends.contains(&len) => {
                let reasons = ["invalid module: ", "no function `_start`"];
                assert!(
                    reasons.iter().any(|reason| message.contains(reason)),
                    "{message}"
                );
            }
            _ => {
                assert!(message.contains("invalid module: "), "{len}: {message}");
                assert!(message.contains("(at offset 0x"), "{len}: {message}");
            }
        }
    }
}

#[test]
fn corrupt_modules_are_refused_or_run() {
    let files = Files::new();
    let text = printing("x", r#"(func (export "_start") (call $print))"#);
    let wasm = wat::parse_str(text).unwrap();
    for at in 0..wasm.len() {
        let mut corrupt = wasm.clone();
        corrupt[at] ^= 0x55;
        let path = files.file("a.wasm", &corrupt);
        let outcome = run(["run".as_ref(), path.as_os_str()]);
        match outcome.code {
            Some(0) => assert_eq!(outcome.stderr, ""),
            Some(1) => assert!(!outcome.error(1).is_empty()),
            Some(134) => assert!(outcome.stderr.starts_with("nopal: trap: ")),
            _ => panic!("byte {at}: {outcome:?}"),
        }
    }
}

#[test]
fn unsupported_features_are_named() {
    let files = Files::new();
    let cases = [
        (
            "simd",
            "(module (func (drop (v128.const i32x4 0 0 0 0))))",
            "SIMD",
        ),
        ("threads", "(module (memory 1 1 shared))", "threads"),
        ("memory64", "(module (memory i64 1))", "memory64"),
        (
            "tail calls",
            "(module (func $f (return_call $f)))",
            "tail-call",
        ),
        (
            "exceptions",
            "(module (tag $e) (func (throw $e)))",
            "exceptions",
        ),
        (
            "multiple memories",
            "(module (memory 1) (memory 1))",
            "multi",
        ),
        ("gc", "(module (type (struct (field i32))))", "gc"),
    ];
    for (name, text, feature) in cases {
        let message = error(&files, &wat::parse_str(text).unwrap());
        assert!(message.starts_with("unsupported: "), "{name}: {message}");
        let lower = message.to_lowercase();
        assert!(lower.contains(&feature.to_lowercase()), "{name}: {message}");
        assert!(message.contains("(at offset 0x"), "{name}: {message}");
    }
}

#[test]
fn components_and_other_files_are_told_apart() {
    let files = Files::new();
    let component = error(&files, b"\0asm\x0d\0\x01\0");
    assert!(component.starts_with("this is a component"), "{component}");
    for other in [&b"\x7fELF\x02\x01\x01"[..], b"hello", b"\xff\xfe"] {
        let message = error(&files, other);
        assert!(message.starts_with("not a WebAssembly module"), "{message}");
    }
}

#[test]
fn huge_declarations_end_in_one_line() {
    let files = Files::new();
    let cases = [
        // Four GiB are legal and cost nothing until they are touched.
        (r#"(module (memory 65536) (func (export "_start")))"#, 0),
        (
            r#"(module (table 4294967295 funcref) (func (export "_start")))"#,
            1,
        ),
        (
            r#"(module (memory 1) (data (i32.const 65535) "ab") (func (export "_start")))"#,
            134,
        ),
        (
            r#"(module (table 1 funcref) (elem (i32.const 1) $f) (func $f (export "_start")))"#,
            134,
        ),
    ];
    for (text, code) in cases {
        let path = files.wasm("huge.wasm", text);
        let outcome = run(["run".as_ref(), path.as_os_str()]);
        match code {
            1 => assert!(outcome.error(1).contains("table"), "{outcome:?}"),
            134 => {
                assert_eq!(outcome.code, Some(134), "{text}: {outcome:?}");
                assert!(outcome.stderr.starts_with("nopal: trap: out of bounds "));
            }
            _ => assert_eq!(outcome.printed(0), ""),
        }
    }
    // A function body of 2^32 - 1 bytes, and as many types, functions and locals.
    for section in [1u8, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend([section, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
        let message = error(&files, &wasm);
        assert!(
            message.contains("(at offset 0x") || message.starts_with("limit"),
            "{message}"
        );
    }
    let mut locals = wat::parse_str("(module (func))").unwrap();
    let body = locals.iter().rposition(|&byte| byte == 0x0b).unwrap();
    // One group of 2^32 - 1 locals: section and body grow by six bytes.
    locals.splice(body - 1..body, [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f]);
    locals[body - 2] += 6;
    locals[body - 4] += 6;
    assert!(error(&files, &locals).starts_with("invalid module: "));
}

#[test]
fn missing_files_imports_and_entry_points_are_named() {
    let files = Files::new();
    let missing = run(["run", "/nonexistent/a.wasm"]);
    assert_eq!(
        missing.error(1),
        "cannot read /nonexistent/a.wasm: No such file or directory (os error 2)"
    );
    let folder = files.path("");
    let folder = run(["run".as_ref(), folder.as_os_str()]);
    assert!(folder.error(1).contains("Is a directory"), "{folder:?}");

    let import =
        r#"(module (import "env" "print" (func (param i32 f64))) (func (export "_start")))"#;
    let message = error(&files, &wat::parse_str(import).unwrap());
    for part in ["env", "print", "(i32, f64) -> ()", "wasi_snapshot_preview1"] {
        assert!(message.contains(part), "{message}");
    }
    let wrong_type = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "_start")))"#;
    let message = error(&files, &wat::parse_str(wrong_type).unwrap());
    assert!(
        message.contains("fd_write") && message.contains("() -> ()"),
        "{message}"
    );

    let library = r#"(module (func (export "f")) (func (export "g")))"#;
    let message = error(&files, &wat::parse_str(library).unwrap());
    assert_eq!(
        message,
        "no function `_start` is exported; call a function with `--invoke F`; it exports `f`, `g`"
    );
    let message = error(&files, &wat::parse_str("(module)").unwrap());
    assert!(
        message.ends_with("it exports no function at all"),
        "{message}"
    );
    let odd = r#"(module (func (export "_start") (param i32)))"#;
    let message = error(&files, &wat::parse_str(odd).unwrap());
    assert!(message.contains("instead of () -> ()"), "{message}");
}

#[test]
fn a_program_without_memory_cannot_use_wasi_and_is_told_so() {
    let files = Files::new();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $w (param i32 i32 i32 i32) (result i32)))
        (func (export "_start")
            (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))))"#;
    let message = error(&files, &wat::parse_str(text).unwrap());
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn wrong_command_lines_are_explained() {
    let files = Files::new();
    let path = files.wasm("a.wasm", r#"(module (func (export "_start")))"#);
    let path = path.to_str().unwrap();
    assert_eq!(
        run([""; 0]).error(2),
        "no command given; see `nopal --help`"
    );
    for (line, part) in [
        (&["walk"][..], "walk"),
        (&["run"], "FILE"),
        (&["run", "--unknown", path], "--unknown"),
        (&["run", "--env", "A", path], "--env A: expected NAME=VALUE"),
        (&["compile", "--json", path], "--emit sites"),
        (&["compile", "--emit", "pdf", path], "pdf"),
    ] {
        let outcome = run(line);
        assert!(outcome.error(2).contains(part), "{outcome:?}");
    }
    let outcome = run(["run", "--dir", "/nonexistent", path]);
    assert!(
        outcome
            .error(1)
            .starts_with("cannot open directory /nonexistent")
    );
    let outcome = run(["run", "--env", "=x", path]);
    assert!(outcome.error(1).contains("environment variable"));
}

#[test]
fn help_lists_the_exit_codes() {
    for line in [&["--help"][..], &["run", "--help"], &["trace", "--help"]] {
        let outcome = run(line);
        assert!(
            outcome.printed(0).contains("134  the program trapped"),
            "{outcome:?}"
        );
    }
    assert!(run(["--version"]).printed(0).starts_with("nopal "));
}

#[test]
fn unwritable_output_is_one_line() {
    let files = Files::new();
    let path = files.wasm(
        "a.wasm",
        r#"(module (func (export "f") (result i32) i32.const 1))"#,
    );
    for options in [&["run", "--invoke", "f"][..], &["compile"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = common::nopal(options)
            .arg(&path)
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("nopal: error: cannot write to standard output: "),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1);
    }
}
