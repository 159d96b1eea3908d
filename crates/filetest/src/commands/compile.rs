//! `test compile`.

use super::bless::expected;
use super::{Bless, disasm, expect};
use crate::config::{self, Config};
use crate::file::beyond;
use crate::report::{FileReport, Outcome};
use nopal_codegen::{CompiledCode, Context};
use nopal_ir::reader::{TestCommand, TestFile, TestFunction};
use nopal_ir::{Function, verify};
use std::panic::{AssertUnwindSafe, catch_unwind};

const WHAT: &str = "test compile";

/// Compile each function, and compare the listings.
pub(crate) fn compile(
    file: &TestFile<'_>,
    command: &TestCommand<'_>,
    report: &mut FileReport,
    _text: &str,
    bless: &mut Bless,
) {
    let precise = command.options.iter().any(|o| o.name == "precise-output");
    let configs = config::configs(file);
    for (n, function) in file.functions.iter().enumerate() {
        let config = match (&configs, &beyond(file, n)) {
            // The listing is that of the first target.
            (Ok(configs), None) => configs[0],
            (Err(reason), _) | (_, Some(reason)) => {
                report.check(function.line, WHAT, Outcome::Skipped(reason.clone()));
                continue;
            }
        };
        match compile_one(&function.function, config) {
            Ok(code) => {
                let listing = disasm::listing(&function.function, &code);
                if precise {
                    compare(function, &listing, report, bless);
                } else {
                    expect(function, WHAT, &listing, report);
                }
            }
            Err(message) => report.check(function.line, WHAT, Outcome::Failed(message)),
        }
    }
}

/// Compile a function that may be wrong in any way.
pub(crate) fn compile_one(func: &Function, config: Config) -> Result<CompiledCode, String> {
    if let Err(errors) = verify(func) {
        let more = match errors.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        return Err(format!("not valid: {}{more}", errors[0]));
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut context = Context::new();
        context.settings = config.settings;
        context.compile(func, &config.target).cloned()
    }));
    match result {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(format!("the compiler panics: {}", text.unwrap_or_default()))
        }
    }
}

fn compare(function: &TestFunction<'_>, listing: &str, report: &mut FileReport, bless: &mut Bless) {
    let listing = format!("Disassembled:\n{listing}");
    let trimmed = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let block = expected(function);
    if bless.is_on() {
        if block.is_none_or(|b| trimmed(&b.text) != trimmed(&listing)) {
            bless.expect(function, &listing);
        }
        return report.check(function.line, WHAT, Outcome::Passed);
    }
    let Some(block) = block else {
        let message = format!("no listing is expected; with --bless it becomes\n{listing}");
        return report.check(function.line, WHAT, Outcome::Failed(message));
    };
    if trimmed(&block.text) == trimmed(&listing) {
        return report.check(block.line, WHAT, Outcome::Passed);
    }
    let pairs = block
        .text
        .lines()
        .map(str::trim_end)
        .zip(listing.lines().map(str::trim_end));
    let same = pairs.take_while(|(want, got)| want == got).count();
    let line = |text: &str| {
        text.lines()
            .nth(same)
            .unwrap_or("the end")
            .trim_end()
            .to_string()
    };
    let message = format!(
        "line {} of the listing is\n    {}\ninstead of\n    {}\nthe listing is\n{listing}",
        same + 1,
        line(&listing),
        line(&block.text)
    );
    report.check(block.line + same as u32, WHAT, Outcome::Failed(message));
}
