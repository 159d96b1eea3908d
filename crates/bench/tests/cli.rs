//! The command line: what it prints, where, and its exit code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nopal-bench"))
        .args(args)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write_module(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), wat::parse_str(text).unwrap()).unwrap();
}

const STARTS: &str = r#"(module (func (export "_start")))"#;

#[test]
fn a_missing_folder_is_one_clear_line() {
    let output = bench(&["--corpus", "/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with("nopal-bench: cannot read /no/such/folder: "),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = text(dir.path());
    for wrong in [
        &["--rounds", "3"][..],
        &["--corpus", corpus, "--rounds", "0"],
        &["--corpus", corpus, "--engines", "v8"],
        &["--corpus", corpus, "--seconds", "-1"],
    ] {
        assert_eq!(bench(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn an_unwritable_output_is_reported_before_measuring() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let output = bench(&[
        "--corpus",
        text(dir.path()),
        "--json",
        "/no/such/folder/out.json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with("nopal-bench: cannot write /no/such/folder/out.json: "),
        "{message}"
    );
}

#[test]
fn a_measurement_prints_the_tables_and_writes_json() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let json = dir.path().join("out.json");
    let args = [
        "--rounds",
        "1",
        "--engines",
        "cranelift-speed,wasmi",
        "--json",
        text(&json),
    ];
    let output = bench(&[&["--corpus", text(dir.path())], &args[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        table.contains("| module | Cranelift `speed` | wasmi |"),
        "{table}"
    );
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["modules"][0]["name"], "a");
    assert!(
        report["modules"][0]["engines"]["wasmi"]["run"]["median_seconds"]
            .as_f64()
            .unwrap()
            > 0.0
    );
}

#[test]
fn a_wrong_output_is_listed_and_exits_with_three() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    fs::write(dir.path().join("a.expected"), "something\n").unwrap();
    let output = bench(&[
        "--corpus",
        text(dir.path()),
        "--rounds",
        "1",
        "--engines",
        "wasmi",
    ]);
    assert_eq!(output.status.code(), Some(3));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(table.contains("- a, wasmi: wrong output: "), "{table}");
}
