//! The operands of instructions, by format.

use super::body::Extras;
use super::error::{Result, error};
use super::function::FunctionReader;
use crate::{
    AliasRegion, AtomicRmwOp, FloatCC, Format, InstData, IntCC, JumpTableData, MemFlags, Opcode,
    PackedOption, TrapCode, Type, Value, ValueList,
};

impl FunctionReader<'_> {
    /// What follows an opcode and the type written after it, if there is one.
    pub(super) fn read_operands(
        &mut self,
        opcode: Opcode,
        written: Option<Type>,
        extras: &mut Extras,
    ) -> Result<InstData> {
        Ok(match opcode.format() {
            Format::NullAry => InstData::NullAry { opcode },
            Format::UnaryImm
            | Format::UnaryIeee16
            | Format::UnaryIeee32
            | Format::UnaryIeee64
            | Format::UnaryConst
            | Format::UnaryGlobalValue => self.read_constant(opcode, written)?,
            Format::Unary => {
                if opcode == Opcode::Bitcast {
                    let at = self.cur.start();
                    let (flags, region) = self.mem_flags(MemFlags::new())?;
                    extras.order = flags.explicit_endianness();
                    let plain = extras.order.map_or(MemFlags::new(), |order| {
                        MemFlags::new().with_endianness(order)
                    });
                    if flags != plain || region.is_some() {
                        return error(at, "`bitcast` takes no flags but `little` and `big`");
                    }
                }
                let arg = self.value()?;
                InstData::Unary { opcode, arg }
            }
            Format::Binary => {
                let args = self.values()?;
                InstData::Binary { opcode, args }
            }
            Format::Ternary => {
                let args = self.values()?;
                InstData::Ternary { opcode, args }
            }
            Format::MultiAry => {
                let mut values = Vec::new();
                if self.cur.peek_numbered("v").is_some() {
                    values.push(self.value()?);
                    while self.cur.optional(",") {
                        values.push(self.value()?);
                    }
                }
                let args = self.func.lists.list(&values);
                InstData::MultiAry { opcode, args }
            }
            Format::Trap => {
                let code = self.trap_code()?;
                InstData::Trap { opcode, code }
            }
            Format::CondTrap => {
                let arg = self.value()?;
                self.cur.sign(",")?;
                let code = self.trap_code()?;
                InstData::CondTrap { opcode, arg, code }
            }
            Format::Jump | Format::Brif | Format::BranchTable => self.read_branch(opcode)?,
            Format::Call | Format::CallIndirect | Format::TryCall | Format::TryCallIndirect => {
                self.read_call(opcode)?
            }
            Format::BinaryImm8
            | Format::TernaryImm8
            | Format::Shuffle
            | Format::IntCompare
            | Format::FloatCompare
            | Format::IntAddTrap => self.read_mixed(opcode)?,
            _ => self.read_memory(opcode, extras)?,
        })
    }

    /// Values with something else before or after them.
    fn read_mixed(&mut self, opcode: Opcode) -> Result<InstData> {
        Ok(match opcode.format() {
            Format::BinaryImm8 => {
                let arg = self.value()?;
                self.cur.sign(",")?;
                let imm = self.cur.unsigned(8, "the number of a lane")? as u8;
                InstData::BinaryImm8 { opcode, arg, imm }
            }
            Format::TernaryImm8 => {
                let args = self.values()?;
                self.cur.sign(",")?;
                let imm = self.cur.unsigned(8, "the number of a lane")? as u8;
                InstData::TernaryImm8 { opcode, args, imm }
            }
            Format::Shuffle => {
                let args = self.values()?;
                self.cur.sign(",")?;
                let bytes = self.cur.data(Type::I8X16)?;
                let mut mask = [0; 16];
                mask.copy_from_slice(&bytes);
                let mask = self.func.create_shuffle_mask(mask);
                InstData::Shuffle { opcode, args, mask }
            }
            Format::IntCompare => {
                let cond = self.cur.named("a condition", IntCC::from_name)?;
                let args = self.values()?;
                InstData::IntCompare { opcode, cond, args }
            }
            Format::FloatCompare => {
                let cond = self.cur.named("a condition", FloatCC::from_name)?;
                let args = self.values()?;
                InstData::FloatCompare { opcode, cond, args }
            }
            _ => {
                let args = self.values()?;
                self.cur.sign(",")?;
                let code = self.trap_code()?;
                InstData::IntAddTrap { opcode, args, code }
            }
        })
    }

    fn trap_code(&mut self) -> Result<TrapCode> {
        self.cur
            .named("a trap code, e.g. `user1`", TrapCode::from_name)
    }

    /// Values with commas between them.
    fn values<const N: usize>(&mut self) -> Result<[Value; N]> {
        let mut values = [Value::from_u32(0); N];
        for (n, value) in values.iter_mut().enumerate() {
            if n > 0 {
                self.cur.sign(",")?;
            }
            *value = self.value()?;
        }
        Ok(values)
    }

    fn read_constant(&mut self, opcode: Opcode, written: Option<Type>) -> Result<InstData> {
        Ok(match opcode.format() {
            Format::UnaryImm => {
                let Some(ty) = written.filter(|ty| opcode.control_set().contains(*ty)) else {
                    let what = opcode.control_set().name();
                    return self
                        .cur
                        .expected(&format!("the type of {what} before the number"));
                };
                let what = format!("an integer of type {ty}");
                let bits = self.cur.integer(ty.bits(), &what)?;
                let unused = 64 - ty.bits();
                let imm = (bits as u64 as i64) << unused >> unused;
                InstData::UnaryImm { opcode, imm }
            }
            Format::UnaryIeee16 => {
                let bits = self.cur.float(16)? as u16;
                InstData::UnaryIeee16 { opcode, bits }
            }
            Format::UnaryIeee32 => {
                let bits = self.cur.float(32)? as u32;
                InstData::UnaryIeee32 { opcode, bits }
            }
            Format::UnaryIeee64 => {
                let bits = self.cur.float(64)? as u64;
                InstData::UnaryIeee64 { opcode, bits }
            }
            Format::UnaryGlobalValue => {
                let at = self.cur.start();
                let n = self.cur.numbered("gv", "a global value")?;
                let global = Self::find(at, &self.declared.globals, "gv", n)?;
                InstData::UnaryGlobalValue { opcode, global }
            }
            _ => {
                let at = self.cur.start();
                let constant = if let Some(n) = self.cur.peek_numbered("const") {
                    self.cur.advance();
                    Self::find(at, &self.declared.constants, "const", n)?
                } else if opcode == Opcode::F128const {
                    let bits = self.cur.float(128)?;
                    self.func.create_constant(bits.to_le_bytes().into())
                } else if let Some(ty) = written {
                    let data = self.cur.data(ty)?;
                    self.func.create_constant(data.into())
                } else {
                    return self.cur.expected("a constant, e.g. `const0`");
                };
                InstData::UnaryConst { opcode, constant }
            }
        })
    }

    fn read_branch(&mut self, opcode: Opcode) -> Result<InstData> {
        if opcode.format() == Format::Jump {
            let dest = self.edge()?;
            return Ok(InstData::Jump { opcode, dest });
        }
        let arg = self.value()?;
        self.cur.sign(",")?;
        let first = self.edge()?;
        self.cur.sign(",")?;
        if opcode.format() == Format::Brif {
            let dests = [first, self.edge()?];
            return Ok(InstData::Brif { opcode, arg, dests });
        }
        self.cur.sign("[")?;
        let mut table = Vec::new();
        while !self.cur.looking_at("]") {
            table.push(self.edge()?);
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign("]")?;
        let default = first;
        let table = self
            .func
            .create_jump_table(JumpTableData { default, table });
        Ok(InstData::BranchTable { opcode, arg, table })
    }

    fn read_call(&mut self, opcode: Opcode) -> Result<InstData> {
        let at = self.cur.start();
        match opcode.format() {
            Format::Call | Format::TryCall => {
                let func = self.callee()?;
                let args = self.call_args(None)?;
                if opcode.format() == Format::Call {
                    let attrs = PackedOption::NONE;
                    return Ok(InstData::Call {
                        opcode,
                        func,
                        args,
                        attrs,
                    });
                }
                let table = self.exception_table()?;
                Ok(InstData::TryCall {
                    opcode,
                    func,
                    args,
                    table,
                })
            }
            Format::CallIndirect => {
                let n = self.cur.numbered("sig", "a signature")?;
                let sig = Self::find(at, &self.declared.sigs, "sig", n)?;
                self.cur.sign(",")?;
                let callee = self.value()?;
                let args = self.call_args(Some(callee))?;
                Ok(InstData::CallIndirect { opcode, sig, args })
            }
            _ => {
                let callee = self.value()?;
                let args = self.call_args(Some(callee))?;
                let table = self.exception_table()?;
                Ok(InstData::TryCallIndirect {
                    opcode,
                    args,
                    table,
                })
            }
        }
    }

    fn call_args(&mut self, callee: Option<Value>) -> Result<ValueList> {
        let mut args: Vec<Value> = callee.into_iter().collect();
        self.cur.sign("(")?;
        while !self.cur.looking_at(")") {
            args.push(self.value()?);
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign(")")?;
        Ok(self.func.lists.list(&args))
    }

    /// Flags of a memory access, whose region is kept apart.
    fn access_flags(&mut self, extras: &mut Extras) -> Result<MemFlags> {
        let (flags, region) = self.mem_flags(MemFlags::new())?;
        if let Some((_, n)) = region {
            // A region that is not declared is for the verifier to refuse.
            let none = n.max(self.func.alias_regions().len() as u32);
            let region = self.declared.regions.get(&n).copied();
            extras.region = Some(region.unwrap_or(AliasRegion::from_u32(none)));
        }
        Ok(flags)
    }

    /// Memory accesses and addresses.
    fn read_memory(&mut self, opcode: Opcode, extras: &mut Extras) -> Result<InstData> {
        let at = self.cur.start();
        match opcode.format() {
            Format::StackAddr => {
                let n = self.cur.numbered("ss", "a stack slot")?;
                let slot = Self::find(at, &self.declared.slots, "ss", n)?;
                let offset = self.cur.optional_offset(32)? as i32;
                return Ok(InstData::StackAddr {
                    opcode,
                    slot,
                    offset,
                });
            }
            Format::DynamicStackAddr => {
                let n = self.cur.numbered("dss", "a stack slot of dynamic size")?;
                let slot = Self::find(at, &self.declared.dynamic_slots, "dss", n)?;
                return Ok(InstData::DynamicStackAddr { opcode, slot });
            }
            Format::FuncAddr => {
                let func = self.callee()?;
                return Ok(InstData::FuncAddr { opcode, func });
            }
            Format::ExceptionHandlerAddress => {
                let block = self.block()?;
                self.cur.sign(",")?;
                let index = self.cur.imm64("the number of a handler")?;
                return Ok(InstData::ExceptionHandlerAddress {
                    opcode,
                    block,
                    index,
                });
            }
            _ => {}
        }
        let flags = self.access_flags(extras)?;
        Ok(match opcode.format() {
            Format::Load => InstData::Load {
                opcode,
                flags,
                arg: self.value()?,
                offset: self.cur.optional_offset(32)? as i32,
            },
            Format::Store => InstData::Store {
                opcode,
                flags,
                args: self.values()?,
                offset: self.cur.optional_offset(32)? as i32,
            },
            Format::LoadNoOffset => InstData::LoadNoOffset {
                opcode,
                flags,
                arg: self.value()?,
            },
            Format::StoreNoOffset => InstData::StoreNoOffset {
                opcode,
                flags,
                args: self.values()?,
            },
            Format::AtomicRmw => InstData::AtomicRmw {
                opcode,
                op: self
                    .cur
                    .named("an operation, e.g. `add`", AtomicRmwOp::from_name)?,
                flags,
                args: self.values()?,
            },
            Format::AtomicCas => InstData::AtomicCas {
                opcode,
                flags,
                args: self.values()?,
            },
            _ => unreachable!("other formats are read by the caller"),
        })
    }
}
