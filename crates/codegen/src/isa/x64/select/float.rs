//! Floating-point arithmetic.

use super::mem::Rm;
use super::{Cx, emit_mov, emit_trapping, fsize, result, use_rm};
use crate::RegClass;
use crate::isa::x64::abi::vector_constant;
use crate::isa::x64::inst::{Cc, FAlu, FLogic, Inst, RoundMode};
use nopal_ir::{Opcode, Type, Value};

/// The sign bit of a float type.
pub(super) fn sign_bit(ty: Type) -> u64 {
    1 << (ty.bits() - 1)
}

/// All other bits.
pub(super) fn magnitude_bits(ty: Type) -> u64 {
    sign_bit(ty) - 1
}

pub(super) fn binary(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value, y: Value) {
    let v = result(cx, inst);
    match opcode {
        Opcode::Fadd => arithmetic(cx, v, FAlu::Add, x, y, true),
        Opcode::Fsub => arithmetic(cx, v, FAlu::Sub, x, y, false),
        Opcode::Fmul => arithmetic(cx, v, FAlu::Mul, x, y, true),
        Opcode::Fdiv => arithmetic(cx, v, FAlu::Div, x, y, false),
        Opcode::Fcopysign => copysign(cx, v, x, y),
        Opcode::Fmin => min_max(cx, v, x, y, FAlu::Min),
        Opcode::Fmax => min_max(cx, v, x, y, FAlu::Max),
        _ => unreachable!("{opcode} is not arithmetic of floats"),
    }
}

fn arithmetic(cx: &mut Cx<'_>, v: Value, op: FAlu, x: Value, y: Value, commutes: bool) {
    let size = fsize(cx.ty(v));
    let load = |cx: &Cx<'_>, v| {
        cx.fusible(v)
            .is_some_and(|d| cx.func.opcode(d) == Opcode::Load)
    };
    let memory = |cx: &Cx<'_>, v| load(cx, v) || cx.float_const(v).is_some();
    let swap = commutes
        && ((memory(cx, x) && !memory(cx, y))
            || (!cx.flags.cpu.avx && !cx.dies_here(x) && cx.dies_here(y) && !load(cx, y)));
    let (x, y) = if swap { (y, x) } else { (x, y) };
    let dst = cx.def(v);
    if cx.flags.cpu.avx && !cx.dies_here(x) {
        let a = cx.use_reg(x);
        return match use_rm(cx, y) {
            Rm::Reg(b) => cx.emit(Inst::FAluRRR {
                op,
                size,
                dst,
                a,
                b,
            }),
            Rm::Mem(mem, trap) => emit_trapping(
                cx,
                Inst::FAluRRM {
                    op,
                    size,
                    dst,
                    a,
                    mem,
                },
                trap,
            ),
        };
    }
    let tied = cx.tie(dst, x);
    match use_rm(cx, y) {
        Rm::Reg(src) => cx.emit(Inst::FAluRR { op, size, dst, src }),
        Rm::Mem(mem, trap) => emit_trapping(cx, Inst::FAluRM { op, size, dst, mem }, trap),
    }
    cx.finish_tie(tied);
}

/// `minsd` alone gives its second operand for NaNs and zeros of either sign:
/// equal operands are combined bit by bit, and NaNs by an addition.
fn min_max(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, op: FAlu) {
    let size = fsize(cx.ty(v));
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let src = cx.use_reg(y);
    let (differ, nan, done) = (cx.out.new_label(), cx.out.new_label(), cx.out.new_label());
    let logic = if op == FAlu::Min {
        FLogic::Or
    } else {
        FLogic::And
    };
    cx.emit(Inst::Bind { label: done });
    cx.emit(Inst::FAluRR { op, size, dst, src });
    cx.emit(Inst::Bind { label: differ });
    cx.emit(Inst::Jmp { target: done });
    cx.emit(Inst::FAluRR {
        op: FAlu::Add,
        size,
        dst,
        src,
    });
    cx.emit(Inst::Bind { label: nan });
    cx.emit(Inst::Jmp { target: done });
    cx.emit(Inst::FLogicRR {
        op: logic,
        dst,
        src,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::P,
        target: nan,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::Ne,
        target: differ,
    });
    cx.emit(Inst::UcomisRR {
        size,
        a: dst,
        b: src,
    });
    cx.finish_tie(tied);
}

fn copysign(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    let ty = cx.ty(v);
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let sign = cx.scratch(RegClass::Float);
    let y = cx.use_reg(y);
    let magnitude = vector_constant(cx.out, magnitude_bits(ty), ty);
    let mask = vector_constant(cx.out, sign_bit(ty), ty);
    cx.emit(Inst::FLogicRR {
        op: FLogic::Or,
        dst,
        src: sign,
    });
    cx.emit(Inst::FLogicRM {
        op: FLogic::And,
        dst,
        mem: magnitude,
    });
    cx.finish_tie(tied);
    cx.emit(Inst::FLogicRM {
        op: FLogic::And,
        dst: sign,
        mem: mask,
    });
    emit_mov(cx, sign, y);
}

/// The bits of two floats, combined.
pub(super) fn bitwise(cx: &mut Cx<'_>, v: Value, opcode: Opcode, x: Value, y: Value) {
    let op = match opcode {
        Opcode::Band => FLogic::And,
        Opcode::Bor => FLogic::Or,
        Opcode::Bxor => FLogic::Xor,
        _ => unreachable!("{opcode} does not combine bits"),
    };
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let src = cx.use_reg(y);
    cx.emit(Inst::FLogicRR { op, dst, src });
    cx.finish_tie(tied);
}

/// The complement of the bits of a float.
pub(super) fn not(cx: &mut Cx<'_>, v: Value, x: Value) {
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let mem = vector_constant(cx.out, u64::MAX, Type::F64);
    let op = FLogic::Xor;
    cx.emit(Inst::FLogicRM { op, dst, mem });
    cx.finish_tie(tied);
}

pub(super) fn unary(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let size = fsize(ty);
    let dst = cx.def(v);
    let mode = match opcode {
        Opcode::Fneg | Opcode::Fabs => {
            let (op, bits) = if opcode == Opcode::Fneg {
                (FLogic::Xor, sign_bit(ty))
            } else {
                (FLogic::And, magnitude_bits(ty))
            };
            let tied = cx.tie(dst, x);
            let mem = vector_constant(cx.out, bits, ty);
            cx.emit(Inst::FLogicRM { op, dst, mem });
            return cx.finish_tie(tied);
        }
        Opcode::Sqrt => {
            return match use_rm(cx, x) {
                Rm::Reg(src) => cx.emit(Inst::FAluRR {
                    op: FAlu::Sqrt,
                    size,
                    dst,
                    src,
                }),
                Rm::Mem(mem, trap) => {
                    emit_trapping(
                        cx,
                        Inst::FAluRM {
                            op: FAlu::Sqrt,
                            size,
                            dst,
                            mem,
                        },
                        trap,
                    );
                }
            };
        }
        Opcode::Ceil => RoundMode::Ceil,
        Opcode::Floor => RoundMode::Floor,
        Opcode::Trunc => RoundMode::Trunc,
        Opcode::Nearest => RoundMode::Nearest,
        _ => unreachable!("{opcode} is not an operation on one float"),
    };
    super::round::round(cx, dst, x, ty, mode);
}

/// `x * y + z`; without the instruction, it has become a call.
pub(super) fn fma(cx: &mut Cx<'_>, inst: nopal_ir::Inst, [x, y, z]: [Value; 3]) {
    let v = result(cx, inst);
    let size = fsize(cx.ty(v));
    let (x, y) = if !cx.dies_here(x) && cx.dies_here(y) {
        (y, x)
    } else {
        (x, y)
    };
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let (a, b) = (cx.use_reg(y), cx.use_reg(z));
    cx.emit(Inst::FmaRRR { size, dst, a, b });
    cx.finish_tie(tied);
}
