//! The limit of the stack, which is a global value.

use super::{Cx, emit_down};
use crate::RegClass;
use crate::context::CodegenError;
use crate::isa::x64::inst::{Alu, Cc, Inst, Mem, Size};
use crate::isa::x64::regs::{R11, RBP, RSP};
use crate::select::AbiLoc;
use nopal_ir::{GlobalValue, GlobalValueData, SourceLoc, TrapCode, Type};

/// How deep global values may refer to each other here.
const MAX_DEPTH: usize = 16;

/// Trap if the stack pointer is below `limit`, at the start of a function. `r11` is neither an argument
/// nor preserved.
pub(crate) fn check_stack(
    cx: &mut Cx<'_>,
    limit: GlobalValue,
    vmctx: Option<AbiLoc>,
) -> Result<(), CodegenError> {
    let mut insts = Vec::new();
    load_global(cx, limit, vmctx, &mut insts, 0)?;
    insts.push(Inst::AluRR {
        op: Alu::Cmp,
        size: Size::S64,
        dst: RSP,
        src: R11,
    });
    insts.push(Inst::TrapIf {
        cc: Cc::B,
        code: TrapCode::STACK_OVERFLOW,
        srcloc: SourceLoc::NONE,
    });
    emit_down(cx, &insts);
    Ok(())
}

/// Bring a global value to `r11`, from above to below.
fn load_global(
    cx: &Cx<'_>,
    global: GlobalValue,
    vmctx: Option<AbiLoc>,
    insts: &mut Vec<Inst>,
    depth: usize,
) -> Result<(), CodegenError> {
    let unsupported = || {
        Err(CodegenError::Unsupported(format!(
            "{global} as a limit of the stack"
        )))
    };
    if depth > MAX_DEPTH {
        return unsupported();
    }
    let size = Size::S64;
    match *cx.func.global_value(global) {
        GlobalValueData::VMContext => match vmctx {
            Some(AbiLoc::Reg(src)) if src.class() == RegClass::Int => insts.push(Inst::MovRR {
                size,
                dst: R11,
                src,
            }),
            Some(AbiLoc::Stack(at)) => insts.push(load(Mem::base(RBP, at as i32 + 16))),
            _ => return unsupported(),
        },
        GlobalValueData::Load {
            base,
            offset,
            ty: Type::I64,
            ..
        } => {
            load_global(cx, base, vmctx, insts, depth + 1)?;
            insts.push(load(Mem::base(R11, offset)));
        }
        GlobalValueData::IaddImm {
            base,
            offset,
            ty: Type::I64,
        } => {
            let Ok(disp) = i32::try_from(offset) else {
                return unsupported();
            };
            load_global(cx, base, vmctx, insts, depth + 1)?;
            insts.push(Inst::Lea {
                size,
                dst: R11,
                mem: Mem::base(R11, disp),
            });
        }
        GlobalValueData::Symbol { tls: false, .. } => insts.push(Inst::SymbolAddr {
            dst: R11,
            global: global.as_u32(),
        }),
        _ => return unsupported(),
    }
    Ok(())
}

fn load(mem: Mem) -> Inst {
    Inst::LoadZx {
        from: Size::S64,
        dst: R11,
        mem,
    }
}
