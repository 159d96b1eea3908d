//! What instructions mean to the checker.

use super::effects::effects;
use super::inst::{Base, FSize, Inst, Mem, Size};
use super::regs::{RBP, RSP};
use crate::RegSet;
use crate::checker::{Check, CheckLoc, FlagUse, Symbolic};
use crate::select::INCOMING;
use crate::selected::Selected;

/// The top of the stack between a push and the pop that follows it.
const PUSHED: CheckLoc = CheckLoc::Outgoing(u32::MAX);

/// The location of a memory operand, if its content is followed.
fn location(mem: Mem) -> Option<CheckLoc> {
    if mem.index.is_some() {
        return None;
    }
    match mem.base {
        Base::Spill => Some(CheckLoc::Slot(mem.disp as u32)),
        Base::StackSlots => Some(CheckLoc::StackArea(mem.disp as u32)),
        Base::Reg(RBP) => Some(CheckLoc::Slot(INCOMING | mem.disp as u32)),
        Base::Reg(RSP) => Some(CheckLoc::Outgoing(mem.disp as u32)),
        _ => None,
    }
}

impl Check for Inst {
    const OMITTED: Inst = Inst::Omitted;
    const ALWAYS_READABLE: RegSet = RegSet::from_slice(&[RSP, RBP]);

    fn flags(&self) -> FlagUse {
        let e = effects(self);
        FlagUse {
            reads: e.reads_flags,
            writes: e
                .writes_flags
                .then_some(!matches!(self, Inst::ZeroR { .. })),
        }
    }

    fn symbolic(&self, out: &Selected<Self>) -> Symbolic {
        use CheckLoc::Reg;
        let other = || {
            let e = effects(self);
            Symbolic::Other {
                reads: e.reads,
                writes: e.writes,
            }
        };
        let copy = |dst, src| match (dst, src) {
            (Some(dst), Some(src)) => Symbolic::Copy { dst, src },
            _ => other(),
        };
        let constant = |mem: Mem, size: FSize| match mem.base {
            Base::Const => {
                let bytes = out.constants[mem.disp as usize].bytes;
                let bits = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
                Some(if size == FSize::F32 {
                    bits & 0xffff_ffff
                } else {
                    bits
                })
            }
            _ => None,
        };
        match *self {
            Inst::MovRR {
                size: Size::S64,
                dst,
                src,
            }
            | Inst::FMovRR { dst, src } => Symbolic::Copy {
                dst: Reg(dst),
                src: Reg(src),
            },
            Inst::MovRR { dst, src, .. } if dst == src => Symbolic::Copy {
                dst: Reg(dst),
                src: Reg(src),
            },
            Inst::MovRI { dst, imm } => Symbolic::Const {
                dst: Reg(dst),
                bits: imm,
            },
            Inst::ZeroR { dst } | Inst::FZero { dst } => Symbolic::Const {
                dst: Reg(dst),
                bits: 0,
            },
            Inst::LoadZx {
                from: Size::S32 | Size::S64,
                dst,
                mem,
            } => copy(Some(Reg(dst)), location(mem)),
            Inst::FLoad { size, dst, mem } => match constant(mem, size) {
                Some(bits) => Symbolic::Const {
                    dst: Reg(dst),
                    bits,
                },
                None => copy(Some(Reg(dst)), location(mem)),
            },
            Inst::StoreMR {
                size: Size::S64,
                mem,
                src,
            } => copy(location(mem), Some(Reg(src))),
            Inst::FStore {
                size: FSize::F64,
                mem,
                src,
            } => copy(location(mem), Some(Reg(src))),
            Inst::StoreMI {
                size: Size::S64,
                mem,
                imm,
            } => match location(mem) {
                Some(dst) => Symbolic::Const {
                    dst,
                    bits: imm as i64 as u64,
                },
                None => other(),
            },
            Inst::CopySlot { dst, src, via, .. } => {
                let (dst, src) = (CheckLoc::Slot(dst), CheckLoc::Slot(src));
                match via {
                    Some(via) => Symbolic::CopyVia { dst, src, via },
                    None => Symbolic::Copy { dst, src },
                }
            }
            Inst::PushM { mem } => copy(Some(PUSHED), location(mem)),
            Inst::PopM { mem } => copy(location(mem), Some(PUSHED)),
            Inst::Jcc { target, .. } => Symbolic::Branch {
                target,
                reads: effects(self).reads,
            },
            Inst::Jmp { target } => Symbolic::Jump { target },
            Inst::JmpTable { table, .. } => Symbolic::Table {
                number: table,
                reads: effects(self).reads,
            },
            Inst::Ret | Inst::Ud2 { .. } | Inst::JmpFunc { .. } | Inst::JmpR { .. } => {
                Symbolic::End
            }
            _ => other(),
        }
    }
}
