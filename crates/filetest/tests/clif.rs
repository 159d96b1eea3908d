//! The files in `tests/clif` pass, and those in `tests/failing` fail where they say.

use nopal_filetest::{FileReport, Options, Outcome, Report, run};
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

/// A line followed by one with `; fails: TEXT` fails with that text, and no others do.
fn check_failing(file: &FileReport) {
    let text = std::fs::read_to_string(&file.path).expect("the file was read before");
    let mut wanted: Vec<(u32, &str)> = (0..)
        .zip(text.lines())
        .filter_map(|(n, line)| Some((n, line.strip_prefix("; fails: ")?)))
        .collect();
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
