//! What came out.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// How a check ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected; the text says what came and what was expected.
    Failed(String),
    /// Not checked; the text names the reason in few words, the same for all that share it.
    Skipped(String),
}

/// A run line, a directive that compares, a golden comparison, or a whole file that is not usable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Its line in the file, from 1.
    pub line: u32,
    /// Its column, from 1, if that is known.
    pub column: Option<u32>,
    /// What was checked.
    pub what: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What came out of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// How many functions it has.
    pub functions: usize,
    /// Its checks, by line.
    pub checks: Vec<Check>,
    /// Whether its expectations were rewritten.
    pub blessed: bool,
}

/// Numbers of checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Files tested.
    pub files: usize,
    /// Functions in them.
    pub functions: usize,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks that were skipped.
    pub skipped: usize,
}

/// What came out of all files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The files, in the order they were given.
    pub files: Vec<FileReport>,
}

impl FileReport {
    fn add_to(&self, summary: &mut Summary) {
        summary.files += 1;
        summary.functions += self.functions;
        for check in &self.checks {
            match check.outcome {
                Outcome::Passed => summary.passed += 1,
                Outcome::Failed(_) => summary.failed += 1,
                Outcome::Skipped(_) => summary.skipped += 1,
            }
        }
    }

    fn skips(&self, into: &mut BTreeMap<String, usize>) {
        for check in &self.checks {
            if let Outcome::Skipped(reason) = &check.outcome {
                *into.entry(reason.clone()).or_default() += 1;
            }
        }
    }

    fn to_json(&self) -> Value {
        let mut summary = Summary::default();
        self.add_to(&mut summary);
        let failures: Vec<Value> = (self.checks.iter())
            .filter_map(|check| match &check.outcome {
                Outcome::Failed(message) => Some(json!({
                    "line": check.line,
                    "column": check.column,
                    "what": check.what,
                    "message": message,
                })),
                _ => None,
            })
            .collect();
        let mut skips = BTreeMap::new();
        self.skips(&mut skips);
        json!({
            "path": self.path.display().to_string(),
            "functions": summary.functions,
            "passed": summary.passed,
            "failed": summary.failed,
            "skipped": summary.skipped,
            "failures": failures,
            "skips": skips,
            "blessed": self.blessed,
        })
    }
}

impl Report {
    /// The numbers.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for file in &self.files {
            file.add_to(&mut summary);
        }
        summary
    }

    /// Reasons of skipping, and how many checks each concerns.
    pub fn skips(&self) -> BTreeMap<String, usize> {
        let mut skips = BTreeMap::new();
        for file in &self.files {
            file.skips(&mut skips);
        }
        skips
    }

    /// For people: failures with their lines, reasons of skipping, and the numbers.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            if file.blessed {
                let _ = writeln!(text, "{}: rewritten", file.path.display());
            }
            for check in &file.checks {
                if let Outcome::Failed(message) = &check.outcome {
                    let column = check.column.map_or_else(String::new, |c| format!(":{c}"));
                    let _ = writeln!(
                        text,
                        "{}:{}{column}: {}\n    {}",
                        file.path.display(),
                        check.line,
                        check.what,
                        message.trim_end().replace('\n', "\n    ")
                    );
                }
            }
        }
        for (reason, count) in self.skips() {
            let _ = writeln!(text, "skipped {count}: {reason}");
        }
        let s = self.summary();
        let _ = writeln!(
            text,
            "{} files, {} functions: {} passed, {} failed, {} skipped",
            s.files, s.functions, s.passed, s.failed, s.skipped
        );
        text
    }

    /// For programs: one object with `summary`, `skips` and `files`.
    pub fn to_json(&self) -> Value {
        let s = self.summary();
        json!({
            "summary": {
                "files": s.files,
                "functions": s.functions,
                "passed": s.passed,
                "failed": s.failed,
                "skipped": s.skipped,
            },
            "skips": self.skips(),
            "files": self.files.iter().map(FileReport::to_json).collect::<Vec<_>>(),
        })
    }
}
