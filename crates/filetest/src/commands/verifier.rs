//! `test verifier`.

use crate::file::comments;
use crate::report::{FileReport, Outcome};
use nopal_ir::reader::{TestFile, TestFunction};
use nopal_ir::{Block, Entity, EntityRef, verify};

/// Compare the errors of each function with its `error:` comments.
///
/// A comment is about what precedes it: an instruction, a block, an entity of the preamble, or the
/// function.
pub(crate) fn verifier(file: &TestFile<'_>, report: &mut FileReport) {
    for function in &file.functions {
        let failures = failures(function);
        if failures.is_empty() {
            report.check(function.line, "test verifier", Outcome::Passed);
        }
        for (line, message) in failures {
            report.check(line, "test verifier", Outcome::Failed(message));
        }
    }
}

fn failures(function: &TestFunction<'_>) -> Vec<(u32, String)> {
    let mut failures = Vec::new();
    let errors = match verify(&function.function) {
        Ok(()) => Vec::new(),
        Err(errors) => errors,
    };
    let line_of = |entity| function.line_of(entity).unwrap_or(function.line);
    let mut errors: Vec<(u32, String)> = errors
        .iter()
        .map(|e| (line_of(e.entity), e.to_string()))
        .collect();
    let lines = lines(function);
    for comment in comments(function) {
        let text = comment.text.trim_start_matches(';').trim();
        let Some(wanted) = text.strip_prefix("error:").map(str::trim) else {
            continue;
        };
        let about = lines.iter().rev().find(|&&l| l <= comment.line);
        let about = about.copied().unwrap_or(function.line);
        let found = errors
            .iter()
            .position(|e| e.0 == about && e.1.contains(wanted));
        match found {
            Some(n) => _ = errors.swap_remove(n),
            None => {
                let there = errors.iter().find(|e| e.0 == about);
                let instead = there.map_or("no error", |e| &e.1);
                failures.push((comment.line, format!("expected `{wanted}`, got {instead}")));
            }
        }
    }
    // What is explained by a failure above is not one more.
    errors.retain(|e| failures.is_empty() || !failures.iter().any(|f| f.1.ends_with(&e.1)));
    failures.extend(
        errors
            .into_iter()
            .map(|(line, e)| (line, format!("unexpected error: {e}"))),
    );
    failures
}

/// The lines with something a comment can be about, in order.
fn lines(function: &TestFunction<'_>) -> Vec<u32> {
    let func = &function.function;
    let mut entities = vec![Entity::Function];
    entities.extend((0..func.sigs().len()).map(|n| Entity::Signature(EntityRef::new(n))));
    entities.extend((0..func.ext_funcs().len()).map(|n| Entity::Callee(EntityRef::new(n))));
    entities.extend((0..func.stack_slots().len()).map(|n| Entity::StackSlot(EntityRef::new(n))));
    entities.extend((0..func.num_blocks()).map(|n| Entity::Block(Block::new(n))));
    entities.extend((0..func.num_insts()).map(|n| Entity::Inst(EntityRef::new(n))));
    let mut lines: Vec<u32> = entities
        .into_iter()
        .filter_map(|e| function.line_of(e))
        .collect();
    lines.push(function.line);
    lines.sort_unstable();
    lines
}
