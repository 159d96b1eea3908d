//! Values and blocks by the numbers they have in the text.
//!
//! A number in the text is the number of the value, so that a function can be found again in what
//! is written about it. This takes memory for every number up to the largest; so a number that is
//! out of all proportion to how many there are gets another one, past all others. What is printed
//! mentions as many, so it is read with the same numbers.

use super::cursor::Cursor;
use super::error::{Result, error};
use super::function::FunctionReader;
use super::lexer::{Kind, numbered};
use crate::{Block, EntityRef, Inst, Type, Value, ValueDef};
use std::collections::HashMap;

/// The values of the text.
#[derive(Default)]
pub(super) struct Values {
    /// Numbers below this stand for themselves.
    direct: u32,
    others: HashMap<u32, Value>,
    /// The first byte where each of the former is mentioned.
    mentioned: HashMap<u32, u32>,
    /// Whether some value is an alias.
    aliases: bool,
    /// How many results without names there may still be.
    nameless: usize,
}

/// The blocks of the text.
#[derive(Default)]
pub(super) struct Blocks {
    direct: u32,
    others: HashMap<u32, Block>,
    /// The first byte where each block that has not begun is mentioned.
    mentioned: HashMap<Block, usize>,
}

/// Numbers below this stand for themselves in functions of any length.
const SMALL: usize = 1000;

/// Look at the numbers up to the end of the function that the cursor is in.
pub(super) fn survey(cur: &Cursor<'_>) -> (Values, Blocks) {
    let tokens = &cur.tokens()[cur.index()..];
    let closing = |t: &&super::lexer::Token| t.kind == Kind::Sign && cur.text_of(**t) == "}";
    let end = tokens.iter().find(closing).or(tokens.last());
    let length = end.map_or(0, |t| t.start as usize - cur.start());
    let nameless = u32::try_from(8 * length + 64).unwrap_or(u32::MAX / 2);
    let words = |prefix| {
        let tokens = tokens.iter().enumerate();
        let tokens = tokens.take_while(move |(_, t)| end.is_none_or(|e| t.start < e.start));
        tokens.filter_map(move |(i, t)| match numbered(cur.text_of(*t)) {
            Some((p, n)) if t.kind == Kind::Word && p == prefix => Some((i, n)),
            _ => None,
        })
    };
    // What an alias is written for is the same when it is not printed.
    let arrow = |i: usize| tokens.get(i).is_some_and(|t| cur.text_of(*t) == "->");
    let is_alias = |i: usize| arrow(i + 1) || i > 0 && arrow(i - 1);
    let uses = words("v").filter(|&(i, _)| !is_alias(i)).count();
    let direct = |words: &mut dyn Iterator<Item = (usize, u32)>, uses: usize| {
        let limit = u32::try_from(SMALL + 8 * uses).unwrap_or(u32::MAX / 2);
        let below = words.map(|(_, n)| n).filter(|&n| n < limit);
        below.max().map_or(0, |n| n + 1)
    };
    let values = direct(&mut words("v"), uses);
    let blocks = direct(&mut words("block"), words("block").count());
    let values = Values {
        direct: values,
        nameless: nameless as usize,
        ..Values::default()
    };
    let blocks = Blocks {
        direct: blocks,
        ..Blocks::default()
    };
    (values, blocks)
}

impl FunctionReader<'_> {
    /// Make all values and blocks whose numbers stand for themselves.
    pub(super) fn create_values_and_blocks(&mut self) {
        for _ in 0..self.values.direct {
            self.func.create_unused_value();
        }
        for _ in 0..self.blocks.direct {
            self.func.create_block();
        }
        self.places.blocks.resize(self.func.num_blocks(), u32::MAX);
    }

    fn numbered_value(&mut self, n: u32) -> Value {
        if n < self.values.direct {
            return Value::from_u32(n);
        }
        let func = &mut self.func;
        let others = &mut self.values.others;
        *others
            .entry(n)
            .or_insert_with(|| func.create_unused_value())
    }

    /// The value here, which may be defined later on; stepped over.
    pub(super) fn value(&mut self) -> Result<Value> {
        let at = self.cur.start();
        let n = self.cur.numbered("v", "a value")?;
        let v = self.numbered_value(n);
        if self.func.value_def(v) == ValueDef::None {
            let mentioned = &mut self.values.mentioned;
            mentioned.entry(v.as_u32()).or_insert(at as u32);
        }
        Ok(v)
    }

    /// The value here, which is defined by what it is part of, and where it is; stepped over.
    pub(super) fn new_value(&mut self) -> Result<(Value, usize)> {
        let at = self.cur.start();
        let n = self.cur.numbered("v", "a value")?;
        let v = self.numbered_value(n);
        if self.func.value_def(v) != ValueDef::None {
            return error(at, format!("`v{n}` is defined already"));
        }
        Ok((v, at))
    }

    /// Give the instruction appended last the results with these names, the first of these types.
    ///
    /// Results have consecutive numbers. If their names have not, they get new numbers, of which
    /// the names are aliases.
    pub(super) fn define_results(
        &mut self,
        inst: Inst,
        names: &[(Value, usize)],
        types: &[Type],
    ) -> Result<()> {
        let consecutive = names
            .windows(2)
            .all(|pair| pair[0].0.as_u32() + 1 == pair[1].0.as_u32());
        if consecutive && names.len() == types.len() {
            let first = names.first().map(|name| name.0);
            self.func.define_results(inst, first, types);
            return Ok(());
        }
        for &ty in types {
            self.func.push_result(inst, ty);
        }
        let results: Vec<Value> = self.func.inst_results(inst).collect();
        for (&(name, at), result) in names.iter().zip(results) {
            if self.func.value_def(name) != ValueDef::None {
                return error(at, format!("`{name}` is defined already"));
            }
            self.func.define_alias(name, result);
            self.values.aliases = true;
        }
        Ok(())
    }

    /// Read `v3 -> v4`, if this is here. An alias may be defined again as the same.
    pub(super) fn try_alias(&mut self) -> Result<bool> {
        let mut ahead = self.cur.clone();
        ahead.advance();
        if !ahead.looking_at("->") {
            return Ok(false);
        }
        let start = self.cur.start();
        let n = self.cur.numbered("v", "a value")?;
        let v = self.numbered_value(n);
        self.cur.sign("->")?;
        let at = self.cur.start();
        let to = self.value()?;
        match self.func.value_def(to) {
            ValueDef::None => return error(at, format!("`{to}` is not defined before its alias")),
            _ if self.func.resolve(to) == v => {
                return error(at, format!("`v{n}` would be an alias of itself"));
            }
            _ => {}
        }
        match self.func.value_def(v) {
            ValueDef::None => self.func.define_alias(v, to),
            ValueDef::Alias(old) if old == self.func.resolve(to) => {}
            _ => return error(start, format!("`v{n}` is defined already")),
        }
        self.values.aliases = true;
        Ok(true)
    }

    /// Make sure that results without names take no more memory than in proportion to the text.
    pub(super) fn count_nameless(&mut self, at: usize, count: usize) -> Result<()> {
        match self.values.nameless.checked_sub(count) {
            Some(left) => {
                self.values.nameless = left;
                Ok(())
            }
            None => error(at, "too many results for a text of this length"),
        }
    }

    fn numbered_block(&mut self, n: u32) -> Block {
        if n < self.blocks.direct {
            return Block::from_u32(n);
        }
        let func = &mut self.func;
        let others = &mut self.blocks.others;
        let block = *others.entry(n).or_insert_with(|| func.create_block());
        self.places.blocks.resize(self.func.num_blocks(), u32::MAX);
        block
    }

    /// The block here, which may begin later on; stepped over.
    pub(super) fn block(&mut self) -> Result<Block> {
        let at = self.cur.start();
        let n = self.cur.numbered("block", "a block")?;
        let block = self.numbered_block(n);
        if self.places.blocks[block.index()] == u32::MAX {
            self.blocks.mentioned.entry(block).or_insert(at);
        }
        Ok(block)
    }

    /// The block whose header is here; the number is stepped over.
    pub(super) fn new_block(&mut self) -> Result<Block> {
        let at = self.cur.start();
        let n = self.cur.numbered("block", "a block")?;
        let block = self.numbered_block(n);
        if self.places.blocks[block.index()] != u32::MAX {
            return error(at, format!("`block{n}` is there already"));
        }
        self.places.blocks[block.index()] = at as u32;
        self.blocks.mentioned.remove(&block);
        self.func.begin_block(block);
        Ok(block)
    }

    /// The token that begins at this byte.
    fn word_at(&self, at: usize) -> &str {
        let tokens = self.cur.tokens();
        let n = tokens.partition_point(|t| (t.start as usize) < at);
        self.cur.text_of(tokens[n])
    }

    /// The body has been read: everything that is mentioned must be there.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some(&at) = self.blocks.mentioned.values().min() {
            return error(at, format!("there is no `{}`", self.word_at(at)));
        }
        let undefined =
            |&(&v, _): &(&u32, &u32)| self.func.value_def(Value::from_u32(v)) == ValueDef::None;
        let mentioned = self.values.mentioned.iter().filter(undefined);
        if let Some((_, &at)) = mentioned.min_by_key(|(_, at)| **at) {
            let at = at as usize;
            return error(at, format!("`{}` is not defined", self.word_at(at)));
        }
        if self.values.aliases {
            self.func.resolve_all_aliases();
        }
        Ok(())
    }
}
