//! The test commands that look at functions one by one, without running them.

mod bless;
mod compile;
mod disasm;
mod graph;
mod verifier;

pub(crate) use bless::Bless;
pub(crate) use compile::{compile, compile_one};
pub(crate) use graph::{domtree, print_cfg};
pub(crate) use verifier::verifier;

use crate::file::comments;
use crate::filecheck::{self, Verdict};
use crate::report::{FileReport, Outcome};
use nopal_ir::reader::{TestFile, TestFunction};

/// Compare text with the expectations in a function's comments.
fn expect(function: &TestFunction<'_>, what: &str, text: &str, report: &mut FileReport) {
    let comments = comments(function).map(|c| (c.line, c.text));
    match filecheck::check(comments, text) {
        Verdict::Nothing | Verdict::Met => report.check(function.line, what, Outcome::Passed),
        Verdict::Unmet(line, message) => report.check(line, what, Outcome::Failed(message)),
        Verdict::NotUnderstood(reason) => {
            report.check(function.line, what, Outcome::Skipped(reason.into()));
        }
    }
}

/// `test cat`: the printed text of each function, which must also read as the same function.
pub(crate) fn cat(file: &TestFile<'_>, report: &mut FileReport) {
    for function in &file.functions {
        let text = function.function.to_string();
        match nopal_ir::reader::parse_functions(&text) {
            Ok(again) if again.len() == 1 && again[0].to_string() == text => {
                expect(function, "test cat", &text, report);
            }
            Ok(_) => {
                let message = format!("what is printed reads as another function:\n{text}");
                report.check(function.line, "test cat", Outcome::Failed(message));
            }
            Err(e) => {
                let message = format!("what is printed is not read: {e}\n{text}");
                report.check(function.line, "test cat", Outcome::Failed(message));
            }
        }
    }
}
