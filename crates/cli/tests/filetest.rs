//! `nopal filetest` as it is used.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "test run
function %double(i32) -> i32 {
    fn0 = colocated patchable %hook() preserve_all
block0(v0: i32):
    call fn0(), observe=[v0]
    v1 = iadd v0, v0
    return v1
}
; run: %double(4) == 8
; patch: on 0 call
; run: %double(5) == 10
; observed: 0 == 5
";
const BAD: &str = "test run
test interpret
function %one() -> i8 {
block0:
    v0 = iconst.i8 1
    return v0
}
; run: %one() == 2
";
const LISTING: &str = "test compile precise-output
target x86_64
function %empty() {
block0:
    return
}
";

fn filetest(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nopal"));
    let output = command
        .arg("filetest")
        .args(args)
        .current_dir(folder)
        .output();
    output.expect("nopal can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/good.clif"), GOOD).unwrap();
    fs::write(folder.path().join("sub/other.txt"), "not a test").unwrap();
    let output = filetest(&["sub"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let text = stdout(&output);
    assert!(
        text.ends_with("1 files, 1 functions: 3 passed, 0 failed, 0 skipped\n"),
        "{text}"
    );

    fs::write(folder.path().join("bad.clif"), BAD).unwrap();
    fs::write(
        folder.path().join("broken.clif"),
        "test run\nfunction %f( {",
    )
    .unwrap();
    let output = filetest(&["."], folder.path());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("bad.clif:8: run: %one() == 2\n    got 1, expected 2\n"),
        "{text}"
    );
    assert!(
        text.contains("broken.clif:2:14: parsing the file"),
        "{text}"
    );
    assert!(text.contains("skipped 1: test interpret\n"), "{text}");
    assert!(text.contains("3 passed, 2 failed, 1 skipped"), "{text}");
}

#[test]
fn one_object_of_json() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.clif"), BAD).unwrap();
    fs::write(folder.path().join("good.clif"), GOOD).unwrap();
    let output = filetest(&["--json", "."], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let summary = serde_json::json!({
        "files": 2, "functions": 2, "passed": 3, "failed": 1, "skipped": 1
    });
    assert_eq!(json["summary"], summary);
    assert_eq!(json["skips"]["test interpret"], 1);
    assert_eq!(json["files"][0]["failures"][0]["line"], 8);
}

#[test]
fn listings_are_rewritten_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("listing.clif");
    fs::write(&path, LISTING).unwrap();
    assert_eq!(filetest(&["."], folder.path()).status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), LISTING);
    assert_eq!(
        filetest(&["--bless", "."], folder.path()).status.code(),
        Some(0)
    );
    let blessed = fs::read_to_string(&path).unwrap();
    assert!(
        blessed.starts_with(LISTING.trim_end()) && blessed.contains("; Disassembled:"),
        "{blessed}"
    );
    assert_eq!(filetest(&["."], folder.path()).status.code(), Some(0));
    filetest(&["--bless", "."], folder.path());
    assert_eq!(fs::read_to_string(&path).unwrap(), blessed);
}

#[test]
fn what_makes_no_sense_is_an_error_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let output = filetest(&["nowhere.clif"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.contains("nowhere.clif"), "{text}");
    assert_eq!(filetest(&[], folder.path()).status.code(), Some(2));
}
