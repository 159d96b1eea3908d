//! One file.

use crate::report::{Check, FileReport, Outcome};
use crate::{Options, commands, config, run};
use nopal_ir::reader::{Comment, TestFile, TestFunction, parse_test};
use nopal_ir::{EntityRef, Type, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Test a file.
pub(crate) fn test(path: &Path, options: &Options) -> FileReport {
    let mut report = FileReport {
        path: path.to_path_buf(),
        ..FileReport::default()
    };
    let result = catch_unwind(AssertUnwindSafe(|| test_text(path, options, &mut report)));
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        let message = format!("panic: {}", text.unwrap_or_default());
        report.fail(1, None, "the file", message);
    }
    report.checks.sort_by_key(|c| c.line);
    report
}

impl FileReport {
    pub(crate) fn fail(&mut self, line: u32, column: Option<u32>, what: &str, message: String) {
        self.checks.push(Check {
            line,
            column,
            what: what.into(),
            outcome: Outcome::Failed(message),
        });
    }

    pub(crate) fn check(&mut self, line: u32, what: &str, outcome: Outcome) {
        self.checks.push(Check {
            line,
            column: None,
            what: what.into(),
            outcome,
        });
    }
}

fn test_text(path: &Path, options: &Options, report: &mut FileReport) {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => return report.fail(1, None, "reading the file", e.to_string()),
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(e) => {
            let before = &bytes[..e.valid_up_to()];
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            return report.fail(line as u32, None, "reading the file", e.to_string());
        }
    };
    let file = match parse_test(text) {
        Ok(file) => file,
        Err(e) => return report.fail(e.line, Some(e.column), "parsing the file", e.message),
    };
    report.functions = file.functions.len();
    if file.commands.is_empty() {
        return report.fail(1, None, "the file", "there is no `test` command".into());
    }
    if let Err((line, message)) = config::check(&file) {
        return report.fail(line, None, "the head of the file", message);
    }
    let mut bless = commands::Bless::new(options.bless);
    for command in &file.commands {
        match command.name {
            "run" => run::test(&file, report),
            "compile" => commands::compile(&file, command, report, text, &mut bless),
            "verifier" => commands::verifier(&file, report),
            "cat" => commands::cat(&file, report),
            "print-cfg" => commands::print_cfg(&file, report),
            "domtree" => commands::domtree(&file, report),
            name => {
                for function in &file.functions {
                    let reason = Outcome::Skipped(format!("test {name}"));
                    report.check(function.line, &format!("test {name}"), reason);
                }
            }
        }
    }
    if let Some(text) = bless.apply(text) {
        match std::fs::write(path, text) {
            Ok(()) => report.blessed = true,
            Err(e) => report.fail(1, None, "rewriting the file", e.to_string()),
        }
    }
}

/// All comments of a function, with their lines.
pub(crate) fn comments<'a>(
    function: &'a TestFunction<'a>,
) -> impl Iterator<Item = &'a Comment<'a>> + Clone {
    let inside = function.comments_inside.iter();
    inside.chain(&function.comments_after)
}

/// Why a function is beyond the compiler, if it is for a reason that is named.
pub(crate) fn beyond(file: &TestFile<'_>, n: usize) -> Option<String> {
    let func = &file.functions[n].function;
    let own = std::iter::once(&func.signature).chain(func.sigs());
    let params = own
        .flat_map(|s| s.params.iter().chain(&s.returns))
        .map(|p| p.ty);
    let values = (0..func.num_values()).map(|n| {
        let value: Value = EntityRef::new(n);
        func.value_type(value)
    });
    params.chain(values).find_map(|ty| {
        if ty.is_dynamic() {
            Some("dynamic vectors".into())
        } else if ty.is_vector() {
            Some("vectors".into())
        } else if ty == Type::F16 || ty == Type::F128 {
            Some(ty.to_string())
        } else {
            None
        }
    })
}
