//! Absolute values, minima and maxima of integers.

use super::int::extend;
use super::{Cx, emit_down, emit_mov, mem_size, op_size};
use crate::RegClass;
use crate::isa::x64::inst::{Alu, Cc, Inst, Unary};
use nopal_ir::{Opcode, Type, Value};

/// The negated value, or the value again if that is negative.
pub(super) fn iabs(cx: &mut Cx<'_>, v: Value, x: Value) {
    let ty = cx.ty(v);
    let size = op_size(ty);
    let narrow = matches!(ty, Type::I8 | Type::I16);
    let dst = cx.def(v);
    cx.lock(dst);
    let extended = narrow.then(|| cx.scratch(RegClass::Int));
    let src = cx.use_reg(x);
    let positive = extended.unwrap_or(src);
    emit_down(
        cx,
        &[
            Inst::UnaryR {
                op: Unary::Neg,
                size,
                dst,
            },
            Inst::CmovRR {
                cc: Cc::S,
                size,
                dst,
                src: positive,
            },
        ],
    );
    emit_mov(cx, dst, positive);
    if let Some(temp) = extended {
        cx.emit(extend(ty, true, temp, src));
    }
}

pub(super) fn min_max(cx: &mut Cx<'_>, v: Value, opcode: Opcode, x: Value, y: Value) {
    let ty = cx.ty(v);
    // When the second operand is taken.
    let cc = match opcode {
        Opcode::Smin => Cc::G,
        Opcode::Smax => Cc::L,
        Opcode::Umin => Cc::A,
        Opcode::Umax => Cc::B,
        _ => unreachable!("{opcode} is no minimum or maximum"),
    };
    let (x, y) = if cx.const_of(x).is_some() || (!cx.dies_here(x) && cx.dies_here(y)) {
        (y, x)
    } else {
        (x, y)
    };
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let src = cx.use_reg(y);
    emit_down(
        cx,
        &[
            Inst::AluRR {
                op: Alu::Cmp,
                size: mem_size(ty),
                dst,
                src,
            },
            Inst::CmovRR {
                cc,
                size: op_size(ty),
                dst,
                src,
            },
        ],
    );
    cx.finish_tie(tied);
}
