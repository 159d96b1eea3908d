//! One instruction as text.

use super::immediates::{Bytes, Ieee16, Ieee32, Ieee64, Ieee128, Imm64, Offset32};
use super::{Access, write_list};
use crate::{
    BlockCall, Control, EntityRef, ExceptionItem, ExceptionTable, Function, Inst, InstData,
    PackedOption, SiteAttr, Type, Value, ValueDef, ValueList,
};
use core::fmt::{Display, Formatter, Result, Write};

pub(super) struct DisplayInst<'a> {
    pub(super) func: &'a Function,
    pub(super) inst: Inst,
}

impl Display for DisplayInst<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let data = self.func.inst(self.inst);
        // The results of a `try_call` have no names; its edges call them `ret0` and so on.
        if !data.opcode().is_terminator() {
            let results = self.func.inst_results(self.inst);
            write_list(f, "", results, " = ", |f, v| write!(f, "{v}"))?;
        }
        write!(f, "{}", data.opcode())?;
        if let Some(ty) = self.type_suffix(data) {
            write!(f, ".{}", self.func.display_type(ty))?;
        }
        self.write_operands(f, data)?;
        self.write_stack_map(f)?;
        if !f.alternate() {
            self.write_site(f, data)?;
        }
        self.write_constants(f)
    }
}

impl DisplayInst<'_> {
    /// The controlling type, if a reader cannot know it: it is written, or that of an operand that
    /// is not defined in the same block and so before the instruction.
    fn type_suffix(&self, data: &InstData) -> Option<Type> {
        match data.opcode().control() {
            Control::Fixed => return None,
            Control::Written => {
                let result = self.func.inst_results(self.inst).next()?;
                return Some(self.func.value_type(result));
            }
            Control::Infer => {}
        }
        let controlling = match data.value_list() {
            Some(list) => self.func.lists.get_list(list)?.next()?,
            None => data.control_operand()?,
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

    /// The callee and the arguments of an indirect call.
    fn write_indirect_args(&self, f: &mut Formatter<'_>, args: ValueList) -> Result {
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

    fn write_edge(&self, f: &mut Formatter<'_>, edge: BlockCall) -> Result {
        self.write_edge_with(f, edge, |f, v| write!(f, "{v}"))
    }

    fn write_edge_with(
        &self,
        f: &mut Formatter<'_>,
        edge: BlockCall,
        write: impl Fn(&mut Formatter<'_>, Value) -> Result,
    ) -> Result {
        let Some(data) = self.func.get_block_call(edge) else {
            return write!(f, "{edge}");
        };
        write!(f, "{}", data.block)?;
        match self.func.lists.get_list(data.args) {
            Some(values) => write_list(f, "(", values, ")", |f, v| write(f, self.value(v))),
            None => f.write_str("(<no such list>)"),
        }
    }

    /// The operands with a space before them.
    fn write_operands(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        let v = |v| self.value(v);
        match *data {
            InstData::NullAry { .. } => Ok(()),
            InstData::UnaryImm { imm, .. } => write!(f, " {}", Imm64(imm)),
            InstData::UnaryIeee16 { bits, .. } => write!(f, " {}", Ieee16(bits)),
            InstData::UnaryIeee32 { bits, .. } => write!(f, " {}", Ieee32(bits)),
            InstData::UnaryIeee64 { bits, .. } => write!(f, " {}", Ieee64(bits)),
            InstData::UnaryConst { constant, .. } => write!(f, " {constant}"),
            InstData::UnaryGlobalValue { global, .. } => write!(f, " {global}"),
            InstData::Unary { arg, .. } => {
                if let Some(order) = self.func.bitcast_order(self.inst) {
                    write!(f, " {order}")?;
                }
                write!(f, " {}", v(arg))
            }
            InstData::Binary { args: [x, y], .. } => write!(f, " {}, {}", v(x), v(y)),
            InstData::BinaryImm8 { arg, imm, .. } => write!(f, " {}, {imm}", v(arg)),
            InstData::Ternary {
                args: [x, y, z], ..
            } => write!(f, " {}, {}, {}", v(x), v(y), v(z)),
            InstData::TernaryImm8 {
                args: [x, y], imm, ..
            } => write!(f, " {}, {}, {imm}", v(x), v(y)),
            InstData::Shuffle {
                args: [x, y], mask, ..
            } => match self.func.get_shuffle_mask(mask) {
                Some(bytes) => write!(f, " {}, {}, {}", v(x), v(y), Bytes(bytes)),
                None => write!(f, " {}, {}, {mask}", v(x), v(y)),
            },
            InstData::IntCompare {
                cond, args: [x, y], ..
            } => write!(f, " {cond} {}, {}", v(x), v(y)),
            InstData::FloatCompare {
                cond, args: [x, y], ..
            } => write!(f, " {cond} {}, {}", v(x), v(y)),
            InstData::IntAddTrap {
                args: [x, y], code, ..
            } => write!(f, " {}, {}, {code}", v(x), v(y)),
            InstData::StackAddr { slot, offset, .. } => {
                write!(f, " {slot}{}", Offset32(offset))
            }
            InstData::DynamicStackAddr { slot, .. } => write!(f, " {slot}"),
            InstData::FuncAddr { func, .. } => write!(f, " {func}"),
            InstData::ExceptionHandlerAddress { block, index, .. } => {
                write!(f, " {block}, {}", Imm64(index))
            }
            InstData::Trap { code, .. } => write!(f, " {code}"),
            InstData::CondTrap { arg, code, .. } => write!(f, " {}, {code}", v(arg)),
            InstData::MultiAry { args, .. } => self.write_values(f, " ", args, ""),
            _ => self.write_memory_operands(f, data),
        }
    }

    /// Those of memory accesses.
    fn write_memory_operands(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        let v = |v| self.value(v);
        let region = self.func.alias_region(self.inst);
        match *data {
            InstData::Load {
                flags, arg, offset, ..
            } => {
                let access = Access(flags, region);
                write!(f, "{access} {}{}", v(arg), Offset32(offset))
            }
            InstData::LoadNoOffset { flags, arg, .. } => {
                write!(f, "{} {}", Access(flags, region), v(arg))
            }
            InstData::Store {
                flags,
                args: [x, addr],
                offset,
                ..
            } => {
                let access = Access(flags, region);
                write!(f, "{access} {}, {}{}", v(x), v(addr), Offset32(offset))
            }
            InstData::StoreNoOffset {
                flags,
                args: [x, addr],
                ..
            } => write!(f, "{} {}, {}", Access(flags, region), v(x), v(addr)),
            InstData::AtomicRmw {
                op,
                flags,
                args: [addr, x],
                ..
            } => {
                let access = Access(flags, region);
                write!(f, "{access} {op} {}, {}", v(addr), v(x))
            }
            InstData::AtomicCas {
                flags,
                args: [addr, old, new],
                ..
            } => {
                let access = Access(flags, region);
                write!(f, "{access} {}, {}, {}", v(addr), v(old), v(new))
            }
            _ => self.write_control_operands(f, data),
        }
    }

    /// Those of branches and calls.
    fn write_control_operands(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        f.write_char(' ')?;
        match *data {
            InstData::Jump { dest, .. } => self.write_edge(f, dest),
            InstData::Brif { arg, dests, .. } => {
                write!(f, "{}, ", self.value(arg))?;
                self.write_edge(f, dests[0])?;
                f.write_str(", ")?;
                self.write_edge(f, dests[1])
            }
            InstData::BranchTable { arg, table, .. } => {
                write!(f, "{}, ", self.value(arg))?;
                let Some(data) = self.func.get_jump_table(table) else {
                    return write!(f, "{table}");
                };
                self.write_edge(f, data.default)?;
                f.write_str(", [")?;
                write_list(f, "", data.table.iter(), "", |f, &e| self.write_edge(f, e))?;
                f.write_char(']')
            }
            InstData::Call { func, args, .. } => {
                write!(f, "{func}")?;
                self.write_call_args(f, args)
            }
            InstData::CallIndirect { sig, args, .. } => {
                write!(f, "{sig}, ")?;
                self.write_indirect_args(f, args)
            }
            InstData::TryCall {
                func, args, table, ..
            } => {
                write!(f, "{func}")?;
                self.write_call_args(f, args)?;
                self.write_exception_table(f, table)
            }
            InstData::TryCallIndirect { args, table, .. } => {
                self.write_indirect_args(f, args)?;
                self.write_exception_table(f, table)
            }
            _ => unreachable!("other formats are written by the caller"),
        }
    }

    fn write_exception_table(&self, f: &mut Formatter<'_>, table: ExceptionTable) -> Result {
        let Some(data) = self.func.get_exception_table(table) else {
            return write!(f, ", {table}");
        };
        write!(f, ", {}, ", data.sig)?;
        let returns = self.func.get_sig(data.sig).map_or(0, |s| s.returns.len());
        let arg = |f: &mut Formatter<'_>, v: Value| match self.func.get_value(v) {
            Some((_, ValueDef::Result(inst, n))) if inst == self.inst => {
                match (n as usize).checked_sub(returns) {
                    None => write!(f, "ret{n}"),
                    Some(n) => write!(f, "exn{n}"),
                }
            }
            _ => write!(f, "{v}"),
        };
        self.write_edge_with(f, data.normal, arg)?;
        f.write_str(", [")?;
        let items = data.items.iter();
        write_list(f, " ", items, " ", |f, item| match *item {
            ExceptionItem::Tag(tag, edge) => {
                write!(f, "tag{tag}: ")?;
                self.write_edge_with(f, edge, arg)
            }
            ExceptionItem::Default(edge) => {
                f.write_str("default: ")?;
                self.write_edge_with(f, edge, arg)
            }
            ExceptionItem::Context(v) => write!(f, "context {}", self.value(v)),
        })?;
        f.write_char(']')
    }

    fn write_stack_map(&self, f: &mut Formatter<'_>) -> Result {
        let Some(entries) = self.func.stack_map(self.inst) else {
            return Ok(());
        };
        f.write_str(", stack_map=[")?;
        write_list(f, "", entries.iter(), "", |f, e| {
            write!(f, "{} @ {}+{}", e.ty, e.slot, e.offset)
        })?;
        f.write_char(']')
    }

    fn write_site(&self, f: &mut Formatter<'_>, data: &InstData) -> Result {
        let attrs: PackedOption<SiteAttr> = match *data {
            InstData::Call { attrs, .. } => attrs,
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => self
                .func
                .get_exception_table(table)
                .map_or(PackedOption::NONE, |t| t.attrs),
            _ => return Ok(()),
        };
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
            if def.index() >= self.func.num_insts() {
                return;
            }
            let v = self.value(v);
            let number: &dyn Display = match *self.func.inst(def) {
                InstData::UnaryImm { imm, .. } => &Imm64(imm),
                InstData::UnaryIeee16 { bits, .. } => &Ieee16(bits),
                InstData::UnaryIeee32 { bits, .. } => &Ieee32(bits),
                InstData::UnaryIeee64 { bits, .. } => &Ieee64(bits),
                InstData::UnaryConst { constant, .. } => match self.func.get_constant(constant) {
                    Some(bytes) => match <[u8; 16]>::try_from(&**bytes) {
                        Ok(bytes) if self.func.value_type(v) == Type::F128 => {
                            &Ieee128(u128::from_le_bytes(bytes))
                        }
                        _ => &Bytes(bytes),
                    },
                    None => return,
                },
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
