//! The lines of a function as it is printed: where values are defined, and which may be used where.

use nopal_fuzzgen::Rng;
use nopal_ir::{EntityRef, Function, Type, Value};
use std::collections::HashMap;
use std::ops::Range;

/// A function in lines.
pub(super) struct Lines {
    pub(super) lines: Vec<String>,
    types: HashMap<u32, Type>,
    next_value: u32,
    next_block: u32,
}

impl Lines {
    pub(super) fn new(func: &Function) -> Lines {
        let types = (0..func.num_values()).map(|n| (n as u32, func.value_type(Value::new(n))));
        Lines {
            // Comments of constants would be in the way.
            lines: (func.to_string().lines())
                .map(|l| l.split("  ; ").next().unwrap_or_default().to_string())
                .collect(),
            types: types.collect(),
            next_value: func.num_values() as u32,
            next_block: func.num_blocks() as u32,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    /// A value of this type that is not defined yet.
    pub(super) fn fresh(&mut self, ty: Type) -> u32 {
        self.types.insert(self.next_value, ty);
        self.next_value += 1;
        self.next_value - 1
    }

    pub(super) fn fresh_block(&mut self) -> u32 {
        self.next_block += 1;
        self.next_block - 1
    }

    pub(super) fn ty(&self, value: u32) -> Option<Type> {
        self.types.get(&value).copied()
    }

    pub(super) fn is_header(line: &str) -> bool {
        line.starts_with("block")
    }

    /// Whether a line is an instruction or the header of a block: the preamble has `=` as well, but
    /// stands before all blocks.
    pub(super) fn body(&self) -> Range<usize> {
        let start = self.lines.iter().position(|l| Lines::is_header(l));
        let start = start.unwrap_or(self.lines.len());
        start..self.lines.len().saturating_sub(1).max(start)
    }

    /// The lines of the block that a line is in, its header first, without empty lines at the end.
    pub(super) fn block_of(&self, line: usize) -> Range<usize> {
        let start = (0..=line).rev().find(|&n| Lines::is_header(&self.lines[n]));
        let start = start.unwrap_or(line);
        let len = self.lines[start..].iter().skip(1);
        let len = 1 + len.take_while(|l| l.starts_with("    ")).count();
        start..start + len
    }

    /// The line of some instruction; none if the function has no blocks any more.
    pub(super) fn any_inst(&self, rng: &mut Rng) -> Option<usize> {
        let insts: Vec<usize> = self
            .body()
            .filter(|&n| self.lines[n].starts_with("    "))
            .collect();
        (!insts.is_empty()).then(|| insts[rng.below(insts.len())])
    }

    pub(super) fn any_header(&self, rng: &mut Rng) -> Option<usize> {
        let headers: Vec<usize> = self
            .body()
            .filter(|&n| Lines::is_header(&self.lines[n]))
            .collect();
        (!headers.is_empty()).then(|| headers[rng.below(headers.len())])
    }

    /// What an instruction or the header of a block defines.
    pub(super) fn defined(line: &str) -> Vec<u32> {
        if Lines::is_header(line) {
            let params = line.split_once('(').map_or("", |l| l.1);
            let names = params.split(',').filter_map(|p| p.split(':').next());
            return names.filter_map(|n| number(n.trim(), "v")).collect();
        }
        match line.split_once(" = ") {
            Some((results, _)) => (results.split([' ', ',']))
                .filter_map(|w| number(w, "v"))
                .collect(),
            None => Vec::new(),
        }
    }

    /// The values that may be used in a line: those of the entry block, which comes first, and those
    /// that stand before it in its block.
    pub(super) fn in_scope(&self, line: usize) -> Vec<u32> {
        let body = self.body();
        if body.is_empty() {
            return Vec::new();
        }
        let entry = self.block_of(body.start);
        let own = self.block_of(line);
        let before = match own.start == entry.start {
            true => entry.start..line,
            false => entry,
        };
        let mut values = Vec::new();
        for n in before.chain(own.start.max(body.start)..line) {
            values.extend(Lines::defined(&self.lines[n]));
        }
        values
    }

    /// A value of a type for which `wanted` holds that may be used in a line, a late one rather than
    /// an early one.
    pub(super) fn pick(
        &self,
        line: usize,
        rng: &mut Rng,
        wanted: impl Fn(Type) -> bool,
    ) -> Option<u32> {
        let mut values = self.in_scope(line);
        values.retain(|v| self.ty(*v).is_some_and(&wanted));
        let len = values.len();
        match len {
            0 => None,
            _ if rng.chance(50) => Some(values[len - 1 - rng.below(len.min(4))]),
            _ => Some(values[rng.below(len)]),
        }
    }

    /// Where blocks are, by number, with the types of their parameters.
    pub(super) fn blocks(&self) -> Vec<(u32, Vec<Type>)> {
        let of = |line: &String| {
            let end = line.find(['(', ' ', ':'])?;
            let block = number(&line[..end], "block")?;
            let params = Lines::defined(line);
            let types = params.iter().map(|&v| self.ty(v).unwrap_or(Type::I32));
            Some((block, types.collect()))
        };
        self.body().filter_map(|n| of(&self.lines[n])).collect()
    }
}

/// The number of a reference, e.g. 7 for `v7`.
pub(super) fn number(word: &str, prefix: &str) -> Option<u32> {
    word.strip_prefix(prefix)?.parse().ok()
}

/// The words of a line: references, names and numbers, as ranges.
pub(super) fn words(line: &str) -> Vec<Range<usize>> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|b| is_word(**b)).count();
        if len > 0 {
            words.push(at..at + len);
        }
        at += len.max(1);
    }
    words
}
