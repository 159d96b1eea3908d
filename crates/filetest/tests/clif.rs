//! The files in `tests/clif` pass, those in `tests/failing` fail where they say, and those in
//! `tests/skipped` are skipped for the reasons that they give.

use nopal_filetest::{Check, FileReport, Options, Outcome, Report, run};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn report(path: &Path) -> Report {
    run(&[path.to_path_buf()], &Options::default()).expect("the folder exists")
}

#[test]
fn files_pass() {
    let report = report(&folder("clif"));
    let summary = report.summary();
    assert_eq!(summary.failed, 0, "{}", report.to_text());
    assert!(summary.passed > 100, "{}", report.to_text());
}

/// Lines followed by one that begins with `prefix`, from 1, and the rest of that.
fn marked<'a>(text: &'a str, prefix: &str) -> Vec<(u32, &'a str)> {
    let lines = (0..).zip(text.lines());
    lines
        .filter_map(|(n, line)| Some((n, line.strip_prefix(prefix)?)))
        .collect()
}

/// A line followed by one with `; fails: TEXT` fails with that text, and no others do.
fn check_failing(file: &FileReport) {
    let text = std::fs::read_to_string(&file.path).expect("the file was read before");
    let mut wanted = marked(&text, "; fails: ");
    if text.is_empty() {
        wanted.push((1, "there is no `test` command"));
    }
    for check in &file.checks {
        let Outcome::Failed(message) = &check.outcome else {
            continue;
        };
        let at = wanted
            .iter()
            .position(|w| w.0 == check.line && message.contains(w.1));
        let at = at.unwrap_or_else(|| panic!("{}:{}: {message}", file.path.display(), check.line));
        wanted.remove(at);
    }
    assert!(
        wanted.is_empty(),
        "{}: {wanted:?} did not fail",
        file.path.display()
    );
}

#[test]
fn failures_are_reported_in_their_lines() {
    let report = report(&folder("failing"));
    assert!(report.files.len() > 3);
    for file in &report.files {
        check_failing(file);
    }
}

#[test]
fn skips_give_their_reasons() {
    let report = report(&folder("skipped"));
    assert!(report.files.len() > 3);
    for file in &report.files {
        let text = std::fs::read_to_string(&file.path).expect("the file was read before");
        let skipped = |check: &Check| match &check.outcome {
            Outcome::Skipped(reason) => Some((check.line, reason.clone())),
            Outcome::Passed => None,
            Outcome::Failed(e) => panic!("{}:{}: {e}", file.path.display(), check.line),
        };
        let reasons: Vec<_> = file.checks.iter().filter_map(skipped).collect();
        let wanted: Vec<_> = marked(&text, "; skipped: ")
            .into_iter()
            .map(|(line, reason)| (line, reason.to_owned()))
            .collect();
        assert_eq!(reasons, wanted, "{}", file.path.display());
    }
}
