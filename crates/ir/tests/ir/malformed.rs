//! Functions whose instructions refer to anything: the verifier refuses them, the printer writes them.

use crate::common::Rng;
use crate::reader::{FILES, read};
use crate::samples::signature;
use nopal_ir::{
    AliasRegion, AtomicRmwOp, Block, BlockCall, CallConv, Constant, DebugTag, DynamicStackSlot,
    Endianness, EntityRef, ExceptionItem, ExceptionTable, ExceptionTableData, ExternalName,
    FloatCC, Format, FuncRef, Function, GlobalValue, Inst, InstData, IntCC, JumpTable, MemFlags,
    Opcode, ShuffleMask, SigRef, SiteAttr, StackMapEntry, StackSlot, TrapCode, Type, Value,
    ValueList, verify,
};

struct Anything<'a> {
    rng: &'a mut Rng,
    foreign: ValueList,
}

impl Anything<'_> {
    fn n(&mut self) -> u32 {
        let large = [9, 40, 90, 300, u32::MAX - 1];
        match self.rng.below(3) {
            0 => self.rng.pick(&large),
            _ => self.rng.below(6) as u32,
        }
    }

    fn entity<T: EntityRef>(&mut self) -> T {
        T::new(self.n() as usize)
    }

    fn values<const N: usize>(&mut self) -> [Value; N] {
        [(); N].map(|()| self.entity())
    }

    fn list(&mut self) -> ValueList {
        self.rng.pick(&[self.foreign, ValueList::default()])
    }

    fn flags(&mut self) -> MemFlags {
        self.rng
            .pick(&[MemFlags::new(), MemFlags::trusted().with_readonly()])
    }

    /// An instruction; its opcode has the right format if `fitting`.
    fn inst(&mut self, fitting: bool) -> InstData {
        let shape = self.rng.pick(Opcode::ALL);
        let opcode = match fitting {
            true => shape,
            false => self.rng.pick(Opcode::ALL),
        };
        let code = TrapCode::STACK_OVERFLOW;
        let imm = self.n() as u8;
        let (offset, flags) = (self.n() as i32, self.flags());
        match shape.format() {
            Format::NullAry => InstData::NullAry { opcode },
            Format::UnaryImm => InstData::UnaryImm { opcode, imm: -7 },
            Format::UnaryIeee16 => InstData::UnaryIeee16 { opcode, bits: 1 },
            Format::UnaryIeee32 => InstData::UnaryIeee32 { opcode, bits: 1 },
            Format::UnaryIeee64 => InstData::UnaryIeee64 { opcode, bits: 1 },
            Format::UnaryConst => {
                let constant: Constant = self.entity();
                InstData::UnaryConst { opcode, constant }
            }
            Format::UnaryGlobalValue => {
                let global: GlobalValue = self.entity();
                InstData::UnaryGlobalValue { opcode, global }
            }
            Format::Unary => InstData::Unary {
                opcode,
                arg: self.entity(),
            },
            Format::Binary => InstData::Binary {
                opcode,
                args: self.values(),
            },
            Format::BinaryImm8 => InstData::BinaryImm8 {
                opcode,
                arg: self.entity(),
                imm,
            },
            Format::Ternary => InstData::Ternary {
                opcode,
                args: self.values(),
            },
            Format::TernaryImm8 => InstData::TernaryImm8 {
                opcode,
                args: self.values(),
                imm,
            },
            Format::Shuffle => {
                let mask: ShuffleMask = self.entity();
                InstData::Shuffle {
                    opcode,
                    args: self.values(),
                    mask,
                }
            }
            Format::IntCompare => {
                let cond = IntCC::Equal;
                InstData::IntCompare {
                    opcode,
                    cond,
                    args: self.values(),
                }
            }
            Format::FloatCompare => {
                let cond = FloatCC::Equal;
                InstData::FloatCompare {
                    opcode,
                    cond,
                    args: self.values(),
                }
            }
            Format::IntAddTrap => InstData::IntAddTrap {
                opcode,
                args: self.values(),
                code,
            },
            Format::Load => InstData::Load {
                opcode,
                flags,
                arg: self.entity(),
                offset,
            },
            Format::LoadNoOffset => InstData::LoadNoOffset {
                opcode,
                flags,
                arg: self.entity(),
            },
            Format::Store => InstData::Store {
                opcode,
                flags,
                args: self.values(),
                offset,
            },
            Format::StoreNoOffset => InstData::StoreNoOffset {
                opcode,
                flags,
                args: self.values(),
            },
            Format::AtomicRmw => {
                let op = AtomicRmwOp::Nand;
                InstData::AtomicRmw {
                    opcode,
                    op,
                    flags,
                    args: self.values(),
                }
            }
            Format::AtomicCas => InstData::AtomicCas {
                opcode,
                flags,
                args: self.values(),
            },
            Format::StackAddr => {
                let slot: StackSlot = self.entity();
                InstData::StackAddr {
                    opcode,
                    slot,
                    offset,
                }
            }
            Format::DynamicStackAddr => {
                let slot: DynamicStackSlot = self.entity();
                InstData::DynamicStackAddr { opcode, slot }
            }
            Format::FuncAddr => InstData::FuncAddr {
                opcode,
                func: self.entity(),
            },
            _ => self.control(opcode, shape.format()),
        }
    }

    fn control(&mut self, opcode: Opcode, format: Format) -> InstData {
        let code = TrapCode::STACK_OVERFLOW;
        let args = self.list();
        match format {
            Format::ExceptionHandlerAddress => {
                let (block, index): (Block, _) = (self.entity(), i64::from(self.n()) - 1);
                InstData::ExceptionHandlerAddress {
                    opcode,
                    block,
                    index,
                }
            }
            Format::Jump => InstData::Jump {
                opcode,
                dest: self.entity(),
            },
            Format::Brif => {
                let dests: [BlockCall; 2] = [self.entity(), self.entity()];
                InstData::Brif {
                    opcode,
                    arg: self.entity(),
                    dests,
                }
            }
            Format::BranchTable => {
                let table: JumpTable = self.entity();
                InstData::BranchTable {
                    opcode,
                    arg: self.entity(),
                    table,
                }
            }
            Format::Trap => InstData::Trap { opcode, code },
            Format::CondTrap => InstData::CondTrap {
                opcode,
                arg: self.entity(),
                code,
            },
            Format::Call => {
                let (func, attrs): (FuncRef, SiteAttr) = (self.entity(), self.entity());
                InstData::Call {
                    opcode,
                    func,
                    args,
                    attrs: attrs.into(),
                }
            }
            Format::CallIndirect => {
                let sig: SigRef = self.entity();
                InstData::CallIndirect { opcode, sig, args }
            }
            Format::TryCall => {
                let table: ExceptionTable = self.entity();
                InstData::TryCall {
                    opcode,
                    func: self.entity(),
                    args,
                    table,
                }
            }
            Format::TryCallIndirect => {
                let table: ExceptionTable = self.entity();
                InstData::TryCallIndirect {
                    opcode,
                    args,
                    table,
                }
            }
            _ => InstData::MultiAry { opcode, args },
        }
    }

    fn exception_table(&mut self) -> ExceptionTableData {
        ExceptionTableData {
            sig: self.entity(),
            normal: self.entity(),
            items: vec![
                ExceptionItem::Tag(3, self.entity()),
                ExceptionItem::Context(self.entity()),
                ExceptionItem::Default(self.entity()),
            ],
            attrs: self.entity::<SiteAttr>().into(),
        }
    }

    /// Something beside an instruction.
    fn note(&mut self, func: &mut Function, at: Inst) {
        let slot = self.entity();
        match self.rng.below(5) {
            0 => func.set_alias_region(at, Some(self.entity::<AliasRegion>())),
            1 => func.set_bitcast_order(at, Some(Endianness::Big)),
            2 => func.set_debug_tags(at, &[DebugTag::Slot(slot)]),
            3 => {
                let (ty, offset) = (Type::I64, self.n());
                func.set_stack_map(at, Some(&[StackMapEntry { ty, slot, offset }]));
            }
            _ => {}
        }
    }
}

#[test]
fn malformed_functions_are_refused_without_panic() {
    let empty = signature(&[], &[], CallConv::Fast);
    let mut other = Function::new(ExternalName::Named("g".into()), empty);
    other.lists.list(&[Value::from_u32(u32::MAX - 1); 900]);
    let foreign = other.lists.list(&[Value::from_u32(3); 3]);
    let originals: Vec<Function> = FILES.iter().flat_map(|(_, text)| read(text)).collect();
    let (mut refused, mut all) = (0, 0);
    for seed in 0..800 {
        for original in &originals {
            let mut rng = Rng(seed);
            let mut func = original.clone();
            let mut any = Anything {
                rng: &mut rng,
                foreign,
            };
            func.create_exception_table(any.exception_table());
            for _ in 0..1 + any.rng.below(3) {
                let at = Inst::new(any.rng.below(func.num_insts()));
                let fitting = any.rng.below(2) == 0;
                func.replace_inst(at, any.inst(fitting));
                any.note(&mut func, at);
            }
            if rng.below(20) == 0 {
                func.lists.clear();
            }
            if rng.below(20) == 0 {
                let far = Value::from_u32(99_999);
                func.create_block_call(Block::from_u32(99), &[far]);
            }
            all += 1;
            if let Err(errors) = verify(&func) {
                refused += 1;
                assert!(errors.iter().all(|e| !e.to_string().is_empty()));
            }
            assert!(func.to_string().starts_with("function "));
        }
    }
    assert!(refused * 100 > all * 95, "{refused} of {all}");
}
