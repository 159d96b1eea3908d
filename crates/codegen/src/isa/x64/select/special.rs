//! Addresses of functions and symbols, and registers with a purpose.

use super::{Cx, result};
use crate::context::CodegenError;
use crate::isa::x64::abi::PINNED;
use crate::isa::x64::inst::{Inst, Mem, Size};
use crate::isa::x64::regs::{RBP, RSP};
use nopal_ir::{GlobalValueData, InstData, Opcode, Type};

pub(super) fn lower(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    data: InstData,
) -> Result<(), CodegenError> {
    let size = Size::S64;
    if let InstData::Unary {
        opcode: Opcode::SetPinnedReg,
        arg,
    } = data
    {
        check_pinned(cx)?;
        let src = cx.use_reg(arg);
        cx.emit(Inst::SetPinned { src });
        return Ok(());
    }
    let v = result(cx, inst);
    if cx.ty(v) != Type::I64 {
        let what = format!("{}.{} on x86-64", data.opcode(), cx.ty(v));
        return Err(CodegenError::Unsupported(what));
    }
    let dst = cx.def(v);
    match data {
        InstData::FuncAddr { func, .. } => {
            let func = func.as_u32();
            cx.emit(Inst::FuncAddr { dst, func });
        }
        InstData::UnaryGlobalValue { global, .. } => {
            let GlobalValueData::Symbol { tls: false, .. } = cx.func.global_value(global) else {
                return Err(CodegenError::Unsupported(format!(
                    "symbol_value of {global}, which is no symbol"
                )));
            };
            let global = global.as_u32();
            cx.emit(Inst::SymbolAddr { dst, global });
        }
        _ => match data.opcode() {
            Opcode::GetPinnedReg => {
                check_pinned(cx)?;
                cx.emit(Inst::GetPinned { dst });
            }
            Opcode::GetFramePointer => cx.emit(Inst::MovRR {
                size,
                dst,
                src: RBP,
            }),
            Opcode::GetStackPointer => cx.emit(Inst::MovRR {
                size,
                dst,
                src: RSP,
            }),
            Opcode::GetReturnAddress => cx.emit(Inst::LoadZx {
                from: size,
                dst,
                mem: Mem::base(RBP, 8),
            }),
            opcode => unreachable!("{opcode} is not about a register or symbol"),
        },
    }
    Ok(())
}

fn check_pinned(cx: &Cx<'_>) -> Result<(), CodegenError> {
    if cx.flags.pinned_reg {
        return Ok(());
    }
    let what = format!("the pinned register, {PINNED:?}, without the setting that enables it");
    Err(CodegenError::Unsupported(what))
}
