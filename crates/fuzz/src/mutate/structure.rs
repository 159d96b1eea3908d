//! Mutations of functions that keep to the grammar and, if asked to, nearly to the rules of the IR.

use super::lines::{Lines, number, words};
use super::rows::Row;
use nopal_fuzzgen::Rng;
use nopal_ir::{FloatCC, Function, IntCC, Opcode, Type};
use std::fmt::Write;

/// A function being mutated.
pub(super) struct Sample<'a> {
    func: &'a Function,
    lines: Lines,
}

impl Sample<'_> {
    pub(super) fn new(func: &Function) -> Sample<'_> {
        Sample {
            func,
            lines: Lines::new(func),
        }
    }

    /// The text of the function with a few mutations, which keep it valid if possible.
    pub(super) fn mutate(mut self, rng: &mut Rng, valid: bool) -> Vec<u8> {
        let most = rng.pick(&[2, 4, 8, 30]);
        for _ in 0..1 + rng.below(most) {
            // A mutation that finds nothing to change is left out.
            _ = match valid {
                true => self.sensible(rng),
                false if rng.chance(50) => self.sensible(rng),
                false => self.senseless(rng),
            };
        }
        self.lines.text().into_bytes()
    }

    fn sensible(&mut self, rng: &mut Rng) -> Option<()> {
        match rng.below(24) {
            0..=6 => self.operand(rng, true),
            7..=11 => self.insert(rng, false),
            12 => self.many(rng),
            13 | 14 => self.terminator(rng),
            15 => self.split(rng),
            16 => self.parameter(rng),
            17 => self.immediate(rng),
            18 => self.condition(rng),
            19 => self.opcode(rng, true),
            20 => self.repeat(rng),
            21 => self.declare(rng),
            22 => self.mark(rng),
            _ => self.remove(rng, true),
        }
    }

    fn senseless(&mut self, rng: &mut Rng) -> Option<()> {
        match rng.below(12) {
            0..=2 => self.operand(rng, false),
            3 => self.insert(rng, true),
            4 => self.opcode(rng, false),
            5 => self.remove(rng, false),
            6 => self.exchange(rng),
            7 => self.ty(rng),
            8 | 9 => self.reference(rng),
            10 => self.results(rng),
            _ => self.convention(rng),
        }
    }

    /// Use another value, of the same type and one that is defined there if it is to be valid.
    fn operand(&mut self, rng: &mut Rng, valid: bool) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let line = &self.lines.lines[at];
        let uses_from = line.find(" = ").unwrap_or(0);
        let uses: Vec<_> = (words(line).into_iter())
            .filter(|w| w.start >= uses_from && number(&line[w.clone()], "v").is_some())
            .collect();
        if uses.is_empty() {
            return None;
        }
        let word = uses[rng.below(uses.len())].clone();
        let old = number(&line[word.clone()], "v")?;
        let new = match valid {
            true => {
                let ty = self.lines.ty(old)?;
                self.lines.pick(at, rng, |t| t == ty)?
            }
            false => rng.below(self.lines.fresh(Type::I32) as usize + 1) as u32,
        };
        self.lines.lines[at].replace_range(word, &format!("v{new}"));
        Some(())
    }

    /// Insert an instruction before some other.
    fn insert(&mut self, rng: &mut Rng, any_type: bool) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        self.row(at, rng, any_type).insert()
    }

    fn row<'s>(&'s mut self, at: usize, rng: &'s mut Rng, any_type: bool) -> Row<'s> {
        Row {
            lines: &mut self.lines,
            func: self.func,
            rng,
            at,
            any_type,
        }
    }

    /// Insert many instructions in one place, so that there are more values than registers.
    fn many(&mut self, rng: &mut Rng) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let mut row = self.row(at, rng, false);
        let most = row.rng.pick(&[10, 40, 120]);
        for _ in 0..row.rng.below(most) {
            // Some rows need declarations that are not there.
            _ = row.insert();
        }
        Some(())
    }

    /// End a block in another way.
    fn terminator(&mut self, rng: &mut Rng) -> Option<()> {
        let header = self.lines.any_header(rng)?;
        let at = self.lines.block_of(header).end - 1;
        let blocks = self.lines.blocks();
        // Nothing goes to the entry.
        let targets = blocks.get(1..).filter(|b| !b.is_empty());
        let returns: Vec<Type> = self.func.signature.returns.iter().map(|r| r.ty).collect();
        let mut row = self.row(at, rng, false);
        let edge = |row: &mut Row<'_>| {
            let (block, types) = &targets?[row.rng.below(targets?.len())];
            let args: Vec<String> = row.values(types).iter().map(|v| format!("v{v}")).collect();
            Some(match args.is_empty() {
                true => format!("block{block}"),
                false => format!("block{block}({})", args.join(", ")),
            })
        };
        let text = match row.rng.below(9) {
            0 => {
                let args: Vec<String> = (row.values(&returns).iter())
                    .map(|v| format!("v{v}"))
                    .collect();
                format!("return {}", args.join(", "))
            }
            1 => format!("trap {}", row.rng.pick(&["user1", "int_ovf", "heap_oob"])),
            2..=4 => format!("jump {}", edge(&mut row)?),
            5..=7 => {
                let to = [edge(&mut row)?, edge(&mut row)?];
                let int = row.lines.pick(row.at, row.rng, Type::is_int);
                let v = int.unwrap_or_else(|| row.make(Type::I32));
                let ty = row.lines.ty(v)?;
                format!("brif.{ty} v{v}, {}, {}", to[0], to[1])
            }
            _ => {
                let default = edge(&mut row)?;
                let edges: Option<Vec<String>> =
                    (0..row.rng.below(9)).map(|_| edge(&mut row)).collect();
                let v = row.values(&[Type::I32])[0];
                format!("br_table v{v}, {default}, [{}]", edges?.join(", "))
            }
        };
        let at = row.at;
        self.lines.lines[at] = format!("    {text}");
        Some(())
    }

    /// Make two blocks of one, the second one with parameters.
    fn split(&mut self, rng: &mut Rng) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let mut args = Vec::new();
        let mut params = Vec::new();
        let mut renamed = Vec::new();
        for _ in 0..rng.below(6) {
            if let Some(v) = self.lines.pick(at, rng, |_| true) {
                let ty = self.lines.ty(v)?;
                let p = self.lines.fresh(ty);
                args.push(format!("v{v}"));
                params.push(format!("v{p}: {ty}"));
                renamed.push((v, p));
            }
        }
        let list = |l: &[String]| match l.is_empty() {
            true => String::new(),
            false => format!("({})", l.join(", ")),
        };
        let block = self.lines.fresh_block();
        let cold = if rng.chance(10) { " cold" } else { "" };
        let end = self.lines.block_of(at).end.max(at);
        for line in &mut self.lines.lines[at..end] {
            for &(v, p) in &renamed {
                if rng.chance(60) {
                    rename(line, v, p);
                }
            }
        }
        let new = [
            format!("    jump block{block}{}", list(&args)),
            String::new(),
            format!("block{block}{}{cold}:", list(&params)),
        ];
        self.lines.lines.splice(at..at, new);
        Some(())
    }

    /// Give a block one more parameter, and an argument to all edges to it.
    fn parameter(&mut self, rng: &mut Rng) -> Option<()> {
        let header = self.lines.any_header(rng)?;
        if header == self.lines.body().start {
            return None;
        }
        let line = self.lines.lines[header].clone();
        let name = line[..line.find(['(', ' ', ':'])?].to_string();
        let ty = rng.pick(&[
            Type::I8,
            Type::I32,
            Type::I64,
            Type::F32,
            Type::F64,
            Type::I128,
        ]);
        let p = self.lines.fresh(ty);
        self.lines.lines[header] = match line.split_once('(') {
            Some((_, rest)) => format!("{name}(v{p}: {ty}, {rest}"),
            None => line.replacen(&name, &format!("{name}(v{p}: {ty})"), 1),
        };
        let mut at = self.lines.body().start;
        while at < self.lines.body().end {
            let line = self.lines.lines[at].clone();
            let to_it = |w: &std::ops::Range<usize>| line[w.clone()] == *name;
            let edges = words(&line).iter().filter(|w| to_it(w)).count();
            if line.starts_with("    ") && edges > 0 {
                let mut row = self.row(at, rng, false);
                let v = row.values(&[ty])[0];
                at = row.at;
                self.lines.lines[at] = with_argument(&line, &name, v);
            }
            at += 1;
        }
        Some(())
    }

    /// Another number.
    fn immediate(&mut self, rng: &mut Rng) -> Option<()> {
        let at = rng.below(self.lines.lines.len());
        let line = &self.lines.lines[at];
        let numbers: Vec<_> = (words(line).into_iter())
            .filter(|w| line.as_bytes()[w.start].is_ascii_digit())
            .collect();
        if numbers.is_empty() {
            return None;
        }
        let word = numbers[rng.below(numbers.len())].clone();
        let bits = rng.pick(&[8, 16, 32, 64]);
        let new = rng.int(bits).unsigned_abs().to_string();
        self.lines.lines[at].replace_range(word, &new);
        Some(())
    }

    /// Another condition.
    fn condition(&mut self, rng: &mut Rng) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let line = &self.lines.lines[at];
        let word = words(line).into_iter().find_map(|w| {
            let text = &line[w.clone()];
            let int = IntCC::from_name(text).is_some() && line.contains("icmp");
            let float = FloatCC::from_name(text).is_some() && line.contains("fcmp");
            (int || float).then_some((w, int))
        });
        let (word, int) = word?;
        let new = match int {
            true => rng.pick(IntCC::ALL).name(),
            false => rng.pick(FloatCC::ALL).name(),
        };
        self.lines.lines[at].replace_range(word, new);
        Some(())
    }

    /// Another opcode: one with the same shape, and with the same types if it is to be valid.
    fn opcode(&mut self, rng: &mut Rng, valid: bool) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let line = &self.lines.lines[at];
        let (word, old) = words(line).into_iter().find_map(|w| {
            let name = line[w.clone()].split('.').next()?;
            let opcode = Opcode::from_name(name)?;
            Some((w.start..w.start + name.len(), opcode))
        })?;
        let fits = |new: &&Opcode| {
            let types = new.operands() == old.operands()
                && new.results() == old.results()
                && new.control() == old.control();
            new.format() == old.format() && (types || !valid)
        };
        let others: Vec<Opcode> = Opcode::ALL.iter().filter(fits).copied().collect();
        let new = rng.pick(&others).to_string();
        self.lines.lines[at].replace_range(word, &new);
        Some(())
    }

    /// An instruction once more, with results of its own.
    fn repeat(&mut self, rng: &mut Rng) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let block = self.lines.block_of(at);
        if at + 1 >= block.end {
            return None;
        }
        let mut line = self.lines.lines[at].clone();
        for v in Lines::defined(&line.clone()) {
            let ty = self.lines.ty(v)?;
            let new = self.lines.fresh(ty);
            rename(&mut line, v, new);
        }
        let to = at + 1 + rng.below(block.end - at - 1);
        self.lines.lines.insert(to, line);
        Some(())
    }

    /// Leave out an instruction; something else is used in place of its results if possible.
    fn remove(&mut self, rng: &mut Rng, valid: bool) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        if valid && at + 1 == self.lines.block_of(at).end {
            return None;
        }
        let line = self.lines.lines.remove(at);
        if !valid {
            return Some(());
        }
        for v in Lines::defined(&line) {
            let ty = self.lines.ty(v)?;
            let mut row = self.row(at, rng, false);
            let instead = row.values(&[ty])[0];
            self.lines
                .lines
                .iter_mut()
                .for_each(|l| rename(l, v, instead));
        }
        Some(())
    }

    /// Exchange two lines.
    fn exchange(&mut self, rng: &mut Rng) -> Option<()> {
        let (a, b) = (self.lines.any_inst(rng)?, self.lines.any_inst(rng)?);
        self.lines.lines.swap(a, b);
        Some(())
    }

    /// One more declaration.
    fn declare(&mut self, rng: &mut Rng) -> Option<()> {
        let func = self.func;
        let int = rng.int(32).unsigned_abs() % 100_000;
        let conv = rng.pick(&["system_v", "fast", "tail"]);
        let types: Vec<Type> = (0..rng.below(10))
            .map(|_| {
                rng.pick(&[
                    Type::I8,
                    Type::I32,
                    Type::I64,
                    Type::F32,
                    Type::F64,
                    Type::I128,
                ])
            })
            .collect();
        let list: Vec<String> = types.iter().map(Type::to_string).collect();
        let list = list.join(", ");
        let line = match rng.below(8) {
            0 | 1 => {
                let align = 1 << rng.below(8);
                format!(
                    "ss{} = explicit_slot {int}, align = {align}",
                    func.stack_slots().len()
                )
            }
            2 => format!(
                "fn{} = %callee({list}) -> i64, f64 {conv}",
                func.ext_funcs().len()
            ),
            3 => format!(
                "fn{} = colocated patchable %hook({list}) preserve_all",
                func.ext_funcs().len()
            ),
            4 => format!(
                "fn{} = colocated %near(i64) -> {list} {conv}",
                func.ext_funcs().len()
            ),
            5 => format!("sig{} = ({list}) -> i32 {conv}", func.sigs().len()),
            6 => format!(
                "gv{} = symbol colocated %data+{int}",
                func.global_values().len()
            ),
            _ => format!(
                "const{} = 0x{:032x}",
                func.constants().len(),
                u128::from(int)
            ),
        };
        self.lines.lines.insert(1, format!("    {line}"));
        Some(())
    }

    /// What changes no type: source locations, cold blocks, what is observed.
    fn mark(&mut self, rng: &mut Rng) -> Option<()> {
        match rng.below(3) {
            0 => {
                let at = self.lines.any_header(rng)?;
                let line = &mut self.lines.lines[at];
                match line.contains(" cold:") {
                    true => *line = line.replace(" cold:", ":"),
                    false => *line = format!("{} cold:", line.strip_suffix(':')?),
                }
            }
            1 => {
                let at = self.lines.any_inst(rng)?;
                let line = self.lines.lines[at].trim_start().to_string();
                if line.starts_with(['@', '<']) {
                    return None;
                }
                let loc = rng.int(16).unsigned_abs();
                self.lines.lines[at] = format!("    @{loc:04x} {line}");
            }
            _ => {
                let at = self.lines.any_inst(rng)?;
                let seen = self.lines.pick(at, rng, |_| true)?;
                let line = &mut self.lines.lines[at];
                let to = line.find("observe=[")? + "observe=[".len();
                let comma = if line[to..].starts_with(']') {
                    ""
                } else {
                    ", "
                };
                line.insert_str(to, &format!("v{seen}{comma}"));
            }
        }
        Some(())
    }

    /// Another type somewhere.
    fn ty(&mut self, rng: &mut Rng) -> Option<()> {
        let at = rng.below(self.lines.lines.len());
        let line = &self.lines.lines[at];
        let types: Vec<_> = (words(line).into_iter())
            .filter_map(|w| {
                let text = &line[w.clone()];
                let from = text.rfind('.').map_or(0, |n| n + 1);
                Type::from_name(&text[from..]).map(|_| w.start + from..w.end)
            })
            .collect();
        if types.is_empty() {
            return None;
        }
        let every: Vec<Type> = Type::every().collect();
        let new = match rng.chance(50) {
            true => rng.pick(&Type::SCALARS),
            false => rng.pick(&every),
        };
        let word = types[rng.below(types.len())].clone();
        self.lines.lines[at].replace_range(word, &new.to_string());
        Some(())
    }

    /// Another block, function, signature, slot or global value.
    fn reference(&mut self, rng: &mut Rng) -> Option<()> {
        let at = rng.below(self.lines.lines.len());
        let line = &self.lines.lines[at];
        let kinds = [
            "block", "fn", "sig", "ss", "gv", "const", "dt", "dss", "region",
        ];
        let references: Vec<_> = (words(line).into_iter())
            .filter_map(|w| {
                let of_kind = |k: &&&str| number(&line[w.clone()], k).is_some();
                kinds.iter().find(of_kind).map(|k| (w.clone(), *k))
            })
            .collect();
        if references.is_empty() {
            return None;
        }
        let (word, kind) = references[rng.below(references.len())].clone();
        let most = rng.pick(&[2, 4, 20]);
        let new = format!("{kind}{}", rng.below(most));
        self.lines.lines[at].replace_range(word, &new);
        Some(())
    }

    /// One result more or less than there is.
    fn results(&mut self, rng: &mut Rng) -> Option<()> {
        let at = self.lines.any_inst(rng)?;
        let new = self.lines.fresh(Type::I32);
        let line = self.lines.lines[at].trim_start().to_string();
        self.lines.lines[at] = match line.split_once(" = ") {
            Some((_, rest)) if rng.chance(50) => format!("    {rest}"),
            Some(_) => format!("    v{new}, {line}"),
            None => format!("    v{new} = {line}"),
        };
        Some(())
    }

    /// Other attributes of declarations, and other conventions.
    fn convention(&mut self, rng: &mut Rng) -> Option<()> {
        let from = [
            "system_v",
            "fast",
            "tail",
            "preserve_all",
            "patchable ",
            "colocated ",
            " notrap",
            " aligned",
            " readonly",
            " cold",
            " uext",
            " sext",
            "notrap ",
        ];
        let mut to = from.to_vec();
        to.extend([
            "",
            " sret",
            " vmctx",
            " sarg(16)",
            "windows_fastcall",
            "winch",
            " can_move",
        ]);
        let at = rng.below(self.lines.lines.len());
        let line = &self.lines.lines[at];
        let there: Vec<&str> = from.into_iter().filter(|w| line.contains(w)).collect();
        let new = match there.is_empty() {
            false => line.replacen(rng.pick(&there), rng.pick(&to), 1),
            // A parameter with something behind its type.
            true => {
                let word = (words(line).into_iter())
                    .find(|w| Type::from_name(&line[w.clone()]).is_some())?;
                let mut new = line.clone();
                new.insert_str(
                    word.end,
                    rng.pick(&[" uext", " sext", " sret", " vmctx", " sarg(8)"]),
                );
                new
            }
        };
        self.lines.lines[at] = new;
        Some(())
    }
}

/// Replace a value in a line.
fn rename(line: &mut String, from: u32, to: u32) {
    for word in words(line).into_iter().rev() {
        if number(&line[word.clone()], "v") == Some(from) {
            line.replace_range(word, &format!("v{to}"));
        }
    }
}

/// The line with `v` as first argument of all edges to a block.
fn with_argument(line: &str, block: &str, v: u32) -> String {
    let mut line = line.to_string();
    for word in words(&line).into_iter().rev() {
        if line[word.clone()] == *block {
            let (at, mut text) = (word.end, String::new());
            let _ = match line[at..].starts_with('(') {
                true => write!(text, "v{v}, "),
                false => write!(text, "(v{v})"),
            };
            let at = if text.ends_with(' ') { at + 1 } else { at };
            line.insert_str(at, &text);
        }
    }
    line
}
