//! `test print-cfg` and `test domtree`.

use super::expect;
use crate::file::comments;
use crate::report::{FileReport, Outcome};
use nopal_ir::reader::{TestFile, TestFunction};
use nopal_ir::{Block, Dominators, Entity, EntityRef, Function, verify};
use std::fmt::Write;

/// The control flow graph of each function, as a graph for `dot`.
pub(crate) fn print_cfg(file: &TestFile<'_>, report: &mut FileReport) {
    for function in &file.functions {
        expect(function, "test print-cfg", &dot(&function.function), report);
    }
}

fn dot(func: &Function) -> String {
    let mut out = format!("digraph \"{}\" {{\n", func.name);
    let entry = func.layout().first();
    for &block in func.layout() {
        let params: Vec<String> = func
            .block_params(block)
            .map(|p| format!("{p}: {}", func.value_type(p)))
            .collect();
        let params = match params.is_empty() {
            true => String::new(),
            false => format!("({})", params.join(", ")),
        };
        if Some(&block) == entry {
            out.push_str("    {rank=min; ");
            let _ = writeln!(out, "{block}}}");
        }
        let _ = write!(out, "    {block} [shape=record, label=\"{{{block}{params}:");
        let term = func.terminator(block);
        if let Some(term) = term {
            let text = func.display_inst(term).to_string();
            let text = text.split("  ;").next().unwrap_or_default().trim();
            let _ = write!(out, " | <{term}>{text}");
        }
        out.push_str("}\"]\n");
    }
    for &block in func.layout() {
        if let Some(term) = func.terminator(block) {
            func.for_each_edge(term, |edge| {
                let _ = writeln!(out, "    {block}:{term} -> {}", func.block_call(edge).block);
            });
        }
    }
    out.push_str("}\n");
    out
}

/// The immediate dominators of each function: a comment `; dominates: block1 block2` after a block
/// names the blocks it immediately dominates.
pub(crate) fn domtree(file: &TestFile<'_>, report: &mut FileReport) {
    for function in &file.functions {
        if let Err(errors) = verify(&function.function) {
            let message = format!("not valid: {}", errors[0]);
            report.check(function.line, "test domtree", Outcome::Failed(message));
            continue;
        }
        match dominates(function) {
            Ok(()) => report.check(function.line, "test domtree", Outcome::Passed),
            Err((line, message)) => report.check(line, "test domtree", Outcome::Failed(message)),
        }
    }
}

fn dominates(function: &TestFunction<'_>) -> Result<(), (u32, String)> {
    let func = &function.function;
    let tree = Dominators::of(func);
    let mut blocks: Vec<(u32, Block)> = (func.layout().iter())
        .filter_map(|&b| {
            let line = function.line_of(Entity::Block(b))?;
            Some((line, b))
        })
        .collect();
    blocks.sort_unstable_by_key(|b| b.0);
    let mut seen = vec![false; func.num_blocks()];
    let mut any = false;
    for comment in comments(function) {
        let text = comment.text.trim_start_matches(';').trim();
        let Some(names) = text.strip_prefix("dominates:") else {
            continue;
        };
        any = true;
        let above = blocks
            .iter()
            .rev()
            .find(|b| b.0 <= comment.line)
            .map(|b| b.1);
        let Some(above) = above else {
            return Err((comment.line, "the comment follows no block".into()));
        };
        for name in names.split_whitespace() {
            let number = name
                .strip_prefix("block")
                .and_then(|n| n.parse::<usize>().ok());
            let block = number.filter(|&n| n < func.num_blocks()).map(Block::new);
            let Some(block) = block else {
                return Err((comment.line, format!("there is no {name}")));
            };
            seen[block.index()] = true;
            let got = tree.idom(block);
            if got != Some(above) {
                let got = got.map_or("nothing".into(), |b| b.to_string());
                let message = format!("{block} is immediately dominated by {got}, not {above}");
                return Err((comment.line, message));
            }
        }
    }
    let missing = func
        .layout()
        .iter()
        .find(|b| tree.idom(**b).is_some() && !seen[b.index()]);
    match missing {
        Some(&block) if any => {
            let by = tree.idom(block).map_or(String::new(), |b| b.to_string());
            Err((
                function.line,
                format!("{block}, dominated by {by}, is not mentioned"),
            ))
        }
        _ => Ok(()),
    }
}
