//! Rounding to integers that remain floats.

use super::float::{magnitude_bits, sign_bit};
use super::{Cx, emit_down, float_mem, fsize};
use crate::isa::x64::abi::vector_constant;
use crate::isa::x64::inst::{Cc, FAlu, FLogic, Inst, RoundMode};
use crate::{PReg, RegClass};
use nopal_ir::{Type, Value};

/// `dst` is `x`, rounded.
pub(super) fn round(cx: &mut Cx<'_>, dst: PReg, x: Value, ty: Type, mode: RoundMode) {
    if !cx.flags.cpu.sse41 {
        return by_addition(cx, dst, x, ty, mode);
    }
    let src = cx.use_reg(x);
    cx.emit(Inst::Round {
        size: fsize(ty),
        mode,
        dst,
        src,
    });
}

/// Without SSE4.1. From 2^52 (2^23) up, floats have no fraction; below, adding that number and
/// subtracting it rounds to the nearest integer, which is at most one off.
fn by_addition(cx: &mut Cx<'_>, dst: PReg, x: Value, ty: Type, mode: RoundMode) {
    let size = fsize(ty);
    cx.lock(dst);
    let tied = cx.tie(dst, x);
    let rounded = cx.scratch(RegClass::Float);
    let temp = cx.scratch(RegClass::Float);
    let (done, exact) = (cx.out.new_label(), cx.out.new_label());
    let limit = if ty == Type::F32 {
        8_388_608.0
    } else {
        4_503_599_627_370_496.0
    };
    let limit = float_mem(cx, limit, ty);
    let one = float_mem(cx, 1.0, ty);
    let magnitude = vector_constant(cx.out, magnitude_bits(ty), ty);
    let sign = vector_constant(cx.out, sign_bit(ty), ty);
    let mov = |dst, src| Inst::FMovRR { dst, src };
    let (and, or) = (FLogic::And, FLogic::Or);
    let masked = |dst, mem| Inst::FLogicRM { op: and, dst, mem };
    let combined = |dst, src| Inst::FLogicRR { op: or, dst, src };
    let add = |op, dst, src| Inst::FAluRR { op, size, dst, src };
    let by_one = |op, dst| {
        let mem = one;
        Inst::FAluRM { op, size, dst, mem }
    };
    // Go on if `a > b`, which also holds for no NaN.
    let unless_above = |a, b, target| {
        [
            Inst::UcomisRR { size, a, b },
            Inst::Jcc { cc: Cc::Be, target },
        ]
    };
    let with_sign = [masked(dst, sign), combined(dst, rounded)];
    let bind = |label| Inst::Bind { label };

    cx.emit(bind(done));
    match mode {
        RoundMode::Nearest => emit_down(cx, &with_sign),
        RoundMode::Trunc => {
            emit_down(cx, &with_sign);
            emit_down(cx, &[by_one(FAlu::Sub, rounded), bind(exact)]);
            emit_down(cx, &unless_above(rounded, temp, exact));
            emit_down(cx, &[mov(temp, dst), masked(temp, magnitude)]);
        }
        RoundMode::Floor => {
            cx.emit(mov(dst, rounded));
            emit_down(cx, &[by_one(FAlu::Sub, rounded), bind(exact)]);
            emit_down(cx, &unless_above(rounded, dst, exact));
            cx.emit(combined(rounded, temp));
            emit_down(cx, &[mov(temp, dst), masked(temp, sign)]);
        }
        RoundMode::Ceil => {
            emit_down(cx, &[combined(rounded, temp), mov(dst, rounded)]);
            emit_down(cx, &[by_one(FAlu::Add, rounded), bind(exact)]);
            emit_down(cx, &unless_above(dst, rounded, exact));
            cx.emit(combined(rounded, temp));
            emit_down(cx, &[mov(temp, dst), masked(temp, sign)]);
        }
    }
    emit_down(
        cx,
        &[add(FAlu::Add, rounded, temp), add(FAlu::Sub, rounded, temp)],
    );
    emit_down(cx, &unless_above(temp, rounded, done));
    emit_down(
        cx,
        &[
            mov(rounded, dst),
            masked(rounded, magnitude),
            Inst::FLoad {
                size,
                dst: temp,
                mem: limit,
            },
        ],
    );
    cx.finish_tie(tied);
}
