//! Blocks and their instructions.

use super::error::{Result, error};
use super::function::FunctionReader;
use super::lexer::Kind;
use crate::{
    AliasRegion, Control, DebugTag, Endianness, EntityRef, InstData, MemFlags, Opcode, SourceLoc,
    StackMapEntry, TrapCode, Type, Value, ValueDef,
};

/// What stands beside the operands of an instruction.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) region: Option<AliasRegion>,
    pub(super) order: Option<Endianness>,
    pub(super) stack_map: Option<Vec<StackMapEntry>>,
    pub(super) site: Option<u32>,
    pub(super) observe: Option<Vec<Value>>,
}

impl FunctionReader<'_> {
    /// The blocks up to the closing brace.
    pub(super) fn read_body(&mut self) -> Result<()> {
        while !self.cur.looking_at("}") {
            self.read_block()?;
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<()> {
        if self.cur.peek_numbered("block").is_none() {
            return self.cur.expected("a declaration, a block or `}`");
        }
        let block = self.new_block()?;
        if self.cur.optional("(") {
            while !self.cur.looking_at(")") {
                let (v, _) = self.new_value()?;
                self.cur.sign(":")?;
                let ty = self.value_type()?;
                self.func.define_param(block, v, ty);
                if !self.cur.optional(",") {
                    break;
                }
            }
            self.cur.sign(")")?;
        }
        if self.cur.optional_word("cold") {
            self.func.set_cold(block);
        }
        self.cur.sign(":")?;
        while self.at_instruction() {
            self.read_line()?;
        }
        Ok(())
    }

    /// A type, or the number of a dynamic one.
    fn value_type(&mut self) -> Result<Type> {
        let at = self.cur.start();
        let Some(n) = self.cur.peek_numbered("dt") else {
            return self.cur.ty();
        };
        self.cur.advance();
        let ty = Self::find(at, &self.declared.dynamic_types, "dt", n)?;
        match self.func.dynamic_vector(ty) {
            Some(ty) => Ok(ty),
            None => error(at, format!("`dt{n}` is too large a vector")),
        }
    }

    fn at_instruction(&self) -> bool {
        match self.cur.kind() {
            Kind::Word => self.cur.peek_numbered("block").is_none(),
            Kind::SourceLoc => true,
            _ => self.cur.looking_at("<"),
        }
    }

    /// An instruction or an alias.
    fn read_line(&mut self) -> Result<()> {
        let at = self.cur.start();
        let (mut tags, mut loc) = (Vec::new(), None);
        loop {
            if self.cur.looking_at("<") {
                tags = self.debug_tags()?;
            } else if let Some(n) = self.cur.optional_srcloc()? {
                loc = Some(n);
            } else {
                break;
            }
        }
        let mut names = Vec::new();
        if self.cur.peek_numbered("v").is_some() {
            if self.try_alias()? {
                return Ok(());
            }
            loop {
                names.push(self.new_value()?);
                if !self.cur.optional(",") {
                    break;
                }
            }
            if !self.cur.optional("=") {
                return self.cur.expected("`,`, `=` or `->`");
            }
        }
        self.places.insts.push(at as u32);
        let loc = loc.map_or(SourceLoc::NONE, SourceLoc::new);
        let inst = self.next_inst();
        self.read_instruction(&names, loc)?;
        self.func.set_debug_tags(inst, &tags);
        Ok(())
    }

    /// `<1, ss0>`
    fn debug_tags(&mut self) -> Result<Vec<DebugTag>> {
        self.cur.sign("<")?;
        let mut tags = Vec::new();
        while !self.cur.looking_at(">") {
            let at = self.cur.start();
            if let Some(n) = self.cur.peek_numbered("ss") {
                self.cur.advance();
                let slot = Self::find(at, &self.declared.slots, "ss", n)?;
                tags.push(DebugTag::Slot(slot));
            } else {
                let n = self.cur.unsigned(32, "a number or a stack slot")?;
                tags.push(DebugTag::User(n as u32));
            }
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign(">")?;
        Ok(tags)
    }

    fn read_instruction(&mut self, names: &[(Value, usize)], loc: SourceLoc) -> Result<()> {
        let at = self.cur.start();
        let patchable = self.cur.peek_word() == Some("patchable_call");
        let opcode = self.cur.named("an opcode", |name| match name {
            "patchable_call" => Some(Opcode::Call),
            _ => Opcode::from_name(name),
        })?;
        let written = match self.cur.optional(".") {
            true => Some(self.value_type()?),
            false => None,
        };
        if written.is_some() && opcode.control() == Control::Fixed {
            return error(at, format!("`{opcode}` takes no type"));
        }
        let mut extras = Extras::default();
        let data = self.read_operands(opcode, written, &mut extras)?;
        if patchable {
            self.check_patchable(&data, at)?;
        }
        let data = self.read_attributes(data, &mut extras)?;
        let control = self.control_type(at, &data, written)?;
        let inst = self.func.push_inst(data, loc);
        let types = self.result_types(&data, control);
        self.name_results(at, &data, names, &types)?;
        self.func.set_alias_region(inst, extras.region);
        self.func.set_bitcast_order(inst, extras.order);
        self.func.set_stack_map(inst, extras.stack_map.as_deref());
        Ok(())
    }

    /// The type that the others depend on.
    fn control_type(&self, at: usize, data: &InstData, written: Option<Type>) -> Result<Type> {
        let opcode = data.opcode();
        let missing = |why: String| {
            let example = opcode.control_set().example();
            error(at, format!("{why}, e.g. `{opcode}.{example}`"))
        };
        match (opcode.control(), written) {
            (Control::Fixed, _) => Ok(Type::INVALID),
            (_, Some(ty)) => Ok(ty),
            (Control::Written, None) => missing(format!("`{opcode}` needs a type")),
            (Control::Infer, None) => {
                let operand = match data.value_list() {
                    Some(list) => self.func.lists.iter(list).next(),
                    None => data.control_operand(),
                };
                match operand {
                    Some(v) if self.func.value_def(v) == ValueDef::None => missing(format!(
                        "`{opcode}` needs a type, as `{v}` is not defined before it"
                    )),
                    Some(v) => Ok(self.func.value_type(v)),
                    None => Ok(Type::INVALID),
                }
            }
        }
    }

    fn result_types(&self, data: &InstData, control: Type) -> Vec<Type> {
        let opcode = data.opcode();
        let mut types = Vec::new();
        if opcode.has_signature_results() {
            self.func.for_each_call_result(data, |ty| types.push(ty));
            return types;
        }
        let rules = opcode.results().iter();
        types.extend(rules.map(|rule| rule.only(control).unwrap_or(Type::INVALID)));
        types
    }

    /// Define the results of the instruction appended last.
    fn name_results(
        &mut self,
        at: usize,
        data: &InstData,
        names: &[(Value, usize)],
        types: &[Type],
    ) -> Result<()> {
        let inst = crate::Inst::new(self.func.num_insts() - 1);
        let hidden = data.opcode().is_branch();
        let count = if hidden { 0 } else { types.len() };
        if names.len() != count {
            let (n, opcode) = (names.len(), data.opcode());
            let s = if count == 1 { "" } else { "s" };
            let message = format!("`{opcode}` has {count} result{s}, but {n} are named");
            return error(at, message);
        }
        if hidden {
            self.count_nameless(at, types.len())?;
            self.settle_try(inst, data, types);
            return Ok(());
        }
        self.define_results(inst, names, types)
    }

    /// Flags and a region, in any order.
    pub(super) fn mem_flags(
        &mut self,
        mut flags: MemFlags,
    ) -> Result<(MemFlags, Option<(usize, u32)>)> {
        let mut region = None;
        loop {
            let at = self.cur.start();
            let Some(word) = self.cur.peek_word() else {
                return Ok((flags, region));
            };
            flags = match word {
                "notrap" => flags.with_trap_code(None),
                "aligned" => flags.with_aligned(),
                "readonly" => flags.with_readonly(),
                "can_move" => flags.with_can_move(),
                "little" | "big" => {
                    let order = match word {
                        "little" => Endianness::Little,
                        _ => Endianness::Big,
                    };
                    if flags.explicit_endianness().is_some_and(|e| e != order) {
                        return error(at, "both `little` and `big`");
                    }
                    flags.with_endianness(order)
                }
                _ => {
                    if let Some(n) = self.cur.peek_numbered("region") {
                        if region.replace((at, n)).is_some() {
                            return error(at, "more than one region");
                        }
                        flags
                    } else if let Some(code) = TrapCode::from_name(word) {
                        flags.with_trap_code(Some(code))
                    } else {
                        return Ok((flags, region));
                    }
                }
            };
            self.cur.advance();
        }
    }
}
