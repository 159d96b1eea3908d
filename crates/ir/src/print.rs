//! Functions as text: CLIF as Cranelift's reader takes it.
//!
//! Two attributes are our own, at the end of calls of patchable functions: `site=7`, a number of
//! the front end's, and `observe=[v1, v2]`, values to be found at the site. A value that is an
//! alias is written as the value it stands for. A reference that leads nowhere is written all the
//! same, so that a malformed function can be looked at.

mod immediates;

use crate::{
    Block, BlockCall, ExtFunc, Function, Inst, InstData, Opcode, PackedOption, ResultType,
    SiteAttr, StackSlotData, Type, Value, ValueDef, ValueList,
};
use core::fmt::{self, Display, Formatter, Result, Write};
use immediates::{Ieee32, Ieee64, Imm64, Offset32};

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "function {}{} {{", self.name, self.signature)?;
        let mut first = !write_preamble(self, f)?;
        let located = self
            .layout()
            .iter()
            .flat_map(|&b| self.block_insts(b))
            .any(|i| !self.srcloc(i).is_none());
        for &block in self.layout() {
            if !std::mem::take(&mut first) {
                writeln!(f)?;
            }
            write_block_header(self, block, f)?;
            for inst in self.block_insts(block) {
                let loc = match self.srcloc(inst) {
                    loc if loc.is_none() => String::new(),
                    loc => format!("@{:04x}", loc.bits()),
                };
                let width = if located { 8 } else { 0 };
                writeln!(f, "    {loc:width$}{}", self.display_inst(inst))?;
            }
        }
        writeln!(f, "}}")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Display::fmt(self, f)
    }
}

impl Function {
    /// An instruction as text, without its source location.
    pub fn display_inst(&self, inst: Inst) -> impl Display + '_ {
        DisplayInst { func: self, inst }
    }
}

impl Display for StackSlotData {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "explicit_slot {}", self.size)?;
        if self.align_shift != 0 {
            write!(f, ", align = {}", 1u128 << self.align_shift.min(127))?;
        }
        Ok(())
    }
}

impl Display for ExtFunc {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let colocated = if self.colocated { "colocated " } else { "" };
        let patchable = if self.patchable { "patchable " } else { "" };
        write!(f, "{colocated}{patchable}{} {}", self.name, self.signature)
    }
}

/// Whether there was anything to write.
fn write_preamble(
    func: &Function,
    f: &mut Formatter<'_>,
) -> core::result::Result<bool, fmt::Error> {
    for (n, slot) in func.stack_slots().iter().enumerate() {
        writeln!(f, "    ss{n} = {slot}")?;
    }
    for (n, sig) in func.sigs().iter().enumerate() {
        writeln!(f, "    sig{n} = {sig}")?;
    }
    for (n, callee) in func.ext_funcs().iter().enumerate() {
        writeln!(f, "    fn{n} = {callee}")?;
    }
    Ok(!(func.stack_slots().is_empty() && func.sigs().is_empty() && func.ext_funcs().is_empty()))
}

fn write_block_header(func: &Function, block: Block, f: &mut Formatter<'_>) -> Result {
    write!(f, "{block}")?;
    let data = func.block(block);
    let params = func.lists.get_list(data.params).into_iter().flatten();
    let params = params.map(|v| (v, func.get_value(v).map_or(Type::INVALID, |(ty, _)| ty)));
    write_list(f, "(", params, ")", |f, (v, ty)| write!(f, "{v}: {ty}"))?;
    let cold = if data.cold { " cold" } else { "" };
    writeln!(f, "{cold}:")
}

/// `open`, the items with commas between them, `close`; nothing if there are no items.
fn write_list<T>(
    f: &mut Formatter<'_>,
    open: &str,
    items: impl Iterator<Item = T>,
    close: &str,
    mut write: impl FnMut(&mut Formatter<'_>, T) -> Result,
) -> Result {
    let mut any = false;
    for item in items {
        f.write_str(if any { ", " } else { open })?;
        write(f, item)?;
        any = true;
    }
    f.write_str(if any { close } else { "" })
}

struct DisplayInst<'a> {
    func: &'a Function,
    inst: Inst,
}

impl Display for DisplayInst<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let results = self.func.inst_results(self.inst);
        write_list(f, "", results, " = ", |f, v| write!(f, "{v}"))?;
        let data = self.func.inst(self.inst);
        write!(f, "{}", data.opcode())?;
        if let Some(ty) = self.type_suffix(data) {
            write!(f, ".{ty}")?;
        }
        self.write_operands(f, data)?;
        self.write_constants(f)
    }
}

impl DisplayInst<'_> {
    /// The type that a reader needs to know the type of everything else: that of the result if it
    /// does not follow from the operands, else that of the controlling operand, unless this is
    /// defined in the same block and so before the instruction.
    fn type_suffix(&self, data: &InstData) -> Option<Type> {
        match data.opcode().result_type() {
            // There is just one type wider than what these load.
            _ if matches!(data.opcode(), Opcode::Uload32 | Opcode::Sload32) => return None,
            ResultType::Written | ResultType::WrittenInt | ResultType::WrittenFloat => {
                let result = self.func.inst_results(self.inst).next()?;
                return Some(self.func.value_type(result));
            }
            _ => {}
        }
        let controlling = match *data {
            InstData::Unary { arg, .. }
            | InstData::CondTrap { arg, .. }
            | InstData::Brif { arg, .. } => arg,
            InstData::Binary { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::Store { args, .. } => args[0],
            InstData::Ternary { args, .. } => args[1],
            InstData::CallIndirect { args, .. } => self.func.lists.get_list(args)?.next()?,
            _ => return None,
        };
        let (ty, def) = self.func.get_value(controlling)?;
        let def_block = match def {
            ValueDef::Param(block, _) => Some(block),
            ValueDef::Result(def, _) if def < self.inst => self.func.inst_block(def),
            _ => None,
        };
        let here = def_block.is_some() && def_block == self.func.inst_block(self.inst);
        (!here).then_some(ty)
    }

    fn value(&self, v: Value) -> Value {
        match self.func.get_value(v) {
            Some(_) => self.func.resolve(v),
            None => v,
        }
    }

    fn write_values(
        &self,
        f: &mut Formatter<'_>,
        open: &str,
        list: ValueList,
        close: &str,
    ) -> Result {
        match self.func.lists.get_list(list) {
            Some(values) => write_list(f, open, values, close, |f, v| {
                write!(f, "{}", self.value(v))
            }),
            None => write!(f, "{open}<no such list>{close}"),
        }
    }

    fn write_call_args(&self, f: &mut Formatter<'_>, args: ValueList) -> Result {
        match self.func.lists.is_empty(args) {
            true => f.write_str("()"),
            false => self.write_values(f, "(", args, ")"),
        }
    }

    fn write_edge(&self, f: &mut Formatter<'_>, edge: BlockCall) -> Result {
        match self.func.get_block_call(edge) {
            Some(data) => {
                write!(f, "{}", data.block)?;
                self.write_values(f, "(", data.args, ")")
            }
            None => write!(f, "{edge}"),
        }
    }

    /// The operands with a space before them.
    fn write_operands(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        let v = |v| self.value(v);
        match *data {
            InstData::UnaryImm { imm, .. } => write!(f, " {}", Imm64(imm)),
            InstData::UnaryIeee32 { bits, .. } => write!(f, " {}", Ieee32(bits)),
            InstData::UnaryIeee64 { bits, .. } => write!(f, " {}", Ieee64(bits)),
            InstData::Unary { arg, .. } => write!(f, " {}", v(arg)),
            InstData::Binary { args: [x, y], .. } => write!(f, " {}, {}", v(x), v(y)),
            InstData::Ternary {
                args: [x, y, z], ..
            } => write!(f, " {}, {}, {}", v(x), v(y), v(z)),
            InstData::IntCompare {
                cond, args: [x, y], ..
            } => write!(f, " {cond} {}, {}", v(x), v(y)),
            InstData::FloatCompare {
                cond, args: [x, y], ..
            } => write!(f, " {cond} {}, {}", v(x), v(y)),
            InstData::Load {
                flags, arg, offset, ..
            } => write!(f, "{flags} {}{}", v(arg), Offset32(offset)),
            InstData::Store {
                flags,
                args: [x, addr],
                offset,
                ..
            } => write!(f, "{flags} {}, {}{}", v(x), v(addr), Offset32(offset)),
            InstData::StackAddr { slot, offset, .. } => {
                write!(f, " {slot}{}", Offset32(offset))
            }
            InstData::Trap { code, .. } => write!(f, " {code}"),
            InstData::CondTrap { arg, code, .. } => write!(f, " {}, {code}", v(arg)),
            InstData::MultiAry { args, .. } => self.write_values(f, " ", args, ""),
            _ => self.write_control_operands(f, data),
        }
    }

    /// Those of branches and calls.
    fn write_control_operands(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        match *data {
            InstData::Jump { dest, .. } => {
                f.write_char(' ')?;
                self.write_edge(f, dest)
            }
            InstData::Brif { arg, dests, .. } => {
                write!(f, " {}, ", self.value(arg))?;
                self.write_edge(f, dests[0])?;
                f.write_str(", ")?;
                self.write_edge(f, dests[1])
            }
            InstData::BranchTable { arg, table, .. } => {
                write!(f, " {}, ", self.value(arg))?;
                let Some(data) = self.func.get_jump_table(table) else {
                    return write!(f, "{table}");
                };
                self.write_edge(f, data.default)?;
                f.write_str(", [")?;
                write_list(f, "", data.table.iter(), "", |f, &e| self.write_edge(f, e))?;
                f.write_char(']')
            }
            InstData::Call {
                func, args, attrs, ..
            } => {
                write!(f, " {func}")?;
                self.write_call_args(f, args)?;
                self.write_site(f, attrs)
            }
            InstData::CallIndirect { sig, args, .. } => {
                write!(f, " {sig}, ")?;
                let Some(mut values) = self.func.lists.get_list(args) else {
                    return f.write_str("<no such list>");
                };
                match values.next() {
                    Some(callee) => write!(f, "{}(", self.value(callee))?,
                    None => f.write_str("<no callee>(")?,
                }
                write_list(f, "", values, "", |f, v| write!(f, "{}", self.value(v)))?;
                f.write_char(')')
            }
            _ => unreachable!("other formats are written by the caller"),
        }
    }

    fn write_site(&self, f: &mut Formatter<'_>, attrs: PackedOption<SiteAttr>) -> Result {
        let Some(attr) = attrs.expand() else {
            return Ok(());
        };
        let Some(data) = self.func.get_site_attr(attr) else {
            return write!(f, ", {attr}");
        };
        write!(f, ", site={}", data.site)?;
        self.write_values(f, ", observe=[", data.observe, "]")
    }

    /// The first few operands that are constants, as a comment.
    fn write_constants(&self, f: &mut Formatter<'_>) -> Result {
        let mut seen = Vec::new();
        let mut result = Ok(());
        self.func.for_each_valid_operand(self.inst, |v| {
            let Some((_, ValueDef::Result(def, _))) = self.func.get_value(v) else {
                return;
            };
            let v = self.value(v);
            let number: &dyn Display = match *self.func.inst(def) {
                InstData::UnaryImm { imm, .. } => &Imm64(imm),
                InstData::UnaryIeee32 { bits, .. } => &Ieee32(bits),
                InstData::UnaryIeee64 { bits, .. } => &Ieee64(bits),
                _ => return,
            };
            if seen.len() < 8 && !seen.contains(&v) {
                let open = if seen.is_empty() { "  ; " } else { ", " };
                result = result.and(write!(f, "{open}{v} = {number}"));
                seen.push(v);
            }
        });
        result
    }
}
