//! `test run`: what functions compute, and what hooks see while sites are switched.

mod directive;
mod session;
mod sites;
mod symbols;
mod throw;
mod unit;

use crate::config::{self, Config};
use crate::file::comments;
use crate::report::{FileReport, Outcome};
use directive::Directive;
use nopal_ir::reader::TestFile;
use session::Session;
use std::collections::BTreeMap;

/// A directive and where it is.
struct Step<'a> {
    line: u32,
    /// The function whose comment it is.
    function: usize,
    /// The comment without its semicolons.
    text: &'a str,
    directive: Result<Directive<'a>, String>,
}

/// Run the file with each of its targets. A line that fails with one has failed.
pub(crate) fn test(file: &TestFile<'_>, report: &mut FileReport) {
    let steps = steps(file);
    let configs = match config::configs(file) {
        Ok(configs) => configs,
        Err(reason) => {
            for step in steps.iter().filter(|s| s.counts()) {
                report.check(step.line, step.text, Outcome::Skipped(reason.clone()));
            }
            return;
        }
    };
    let mut outcomes: BTreeMap<(u32, &str), Outcome> = BTreeMap::new();
    for (n, config) in configs.iter().enumerate() {
        if configs[..n].iter().any(|c| c == config) {
            continue;
        }
        run(file, *config, &steps, |step, outcome| {
            let outcome = match outcome {
                Outcome::Failed(e) if configs.len() > 1 => {
                    Outcome::Failed(format!("{e} (target {})", n + 1))
                }
                outcome => outcome,
            };
            let old = outcomes
                .entry((step.line, step.text))
                .or_insert(Outcome::Passed);
            if matches!(old, Outcome::Passed) || matches!(outcome, Outcome::Failed(_)) {
                *old = outcome;
            }
        });
    }
    for ((line, what), outcome) in outcomes {
        report.check(line, what, outcome);
    }
}

/// Run the file with one target.
fn run<'a>(
    file: &TestFile<'_>,
    config: Config,
    steps: &[Step<'a>],
    mut out: impl FnMut(&Step<'a>, Outcome),
) {
    let mut session = match Session::new(file, config) {
        Ok(session) => session,
        Err(e) => {
            for step in steps.iter().filter(|s| s.counts()) {
                out(step, Outcome::Failed(e.clone()));
            }
            return;
        }
    };
    for step in steps {
        let outcome = match &step.directive {
            Ok(directive) => session.step(step.function, directive),
            Err(e) => Outcome::Failed(e.clone()),
        };
        if step.counts() || outcome != Outcome::Passed {
            out(step, outcome);
        }
    }
}

impl Step<'_> {
    /// Whether it is a check of its own.
    fn counts(&self) -> bool {
        self.directive.as_ref().map_or(true, Directive::is_check)
    }
}

/// The directives of the file, in its order.
fn steps<'a>(file: &'a TestFile<'a>) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for (function, f) in file.functions.iter().enumerate() {
        for comment in comments(f) {
            let text = comment.text.trim_start_matches(';').trim();
            if let Some(directive) = directive::parse(text) {
                steps.push(Step {
                    line: comment.line,
                    function,
                    text,
                    directive,
                });
            }
        }
    }
    steps
}
