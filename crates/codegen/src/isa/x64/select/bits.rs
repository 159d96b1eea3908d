//! Bits in another order, runs of equal bits, masks, and values put together of halves.

use super::int::extend;
use super::{Cx, emit_down, emit_mov, mem_size, op_size};
use crate::isa::x64::inst::{Alu, BitCount, FLogic, Inst, Mem, Shift, Size, Unary};
use crate::{PReg, RegClass};
use nopal_ir::{Type, Value};

/// Reverse the bytes of `dst`, in the width of `size`.
pub(super) fn swap_bytes(dst: PReg, size: Size) -> Inst {
    match size {
        Size::S8 => unreachable!("a byte has no order"),
        Size::S16 => Inst::ShiftRI {
            op: Shift::Rol,
            size,
            dst,
            imm: 8,
        },
        Size::S32 | Size::S64 => Inst::UnaryR {
            op: Unary::Bswap,
            size,
            dst,
        },
    }
}

pub(super) fn bswap(cx: &mut Cx<'_>, v: Value, x: Value) {
    let size = mem_size(cx.ty(v));
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    cx.emit(swap_bytes(dst, size));
    cx.finish_tie(tied);
}

/// Neighbouring bits change places, then pairs, then halves of bytes; then bytes are reversed.
pub(super) fn bitrev(cx: &mut Cx<'_>, v: Value, x: Value) {
    let ty = cx.ty(v);
    let size = op_size(ty);
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let upper = cx.scratch(RegClass::Int);
    let mask = (size == Size::S64).then(|| cx.scratch(RegClass::Int));
    if ty != Type::I8 {
        cx.emit(swap_bytes(dst, mem_size(ty)));
    }
    for (by, pattern) in [(4, 0x0f), (2, 0x33), (1, 0x55)] {
        let pattern = 0x0101_0101_0101_0101u64 * pattern;
        let and = |dst| match mask {
            Some(src) => Inst::AluRR {
                op: Alu::And,
                size,
                dst,
                src,
            },
            None => Inst::AluRI {
                op: Alu::And,
                size,
                dst,
                imm: pattern as u32 as i32,
            },
        };
        let shift = |op, dst| Inst::ShiftRI {
            op,
            size,
            dst,
            imm: by,
        };
        emit_down(
            cx,
            &[
                Inst::MovRR {
                    size,
                    dst: upper,
                    src: dst,
                },
                shift(Shift::Shr, upper),
                and(dst),
                and(upper),
                shift(Shift::Shl, dst),
                Inst::AluRR {
                    op: Alu::Or,
                    size,
                    dst,
                    src: upper,
                },
            ],
        );
        if let Some(dst) = mask {
            cx.emit(Inst::MovRI { dst, imm: pattern });
        }
    }
    cx.finish_tie(tied);
}

/// Bits that equal the one above them are clear in `x ^ x >> 1` with the sign kept; with a one
/// below, the leading zeros of `x ^ (x >> all)`, shifted up by one, are what is asked for.
pub(super) fn cls(cx: &mut Cx<'_>, v: Value, x: Value) {
    let ty = cx.ty(v);
    let size = op_size(ty);
    let width = if size == Size::S64 { 64 } else { 32 };
    let dst = cx.def(v);
    cx.lock(dst);
    let sign = cx.scratch(RegClass::Int);
    let src = cx.use_reg(x);
    if ty.bits() < width {
        cx.emit(Inst::AluRI {
            op: Alu::Sub,
            size,
            dst,
            imm: (width - ty.bits()) as i32,
        });
    }
    if cx.flags.cpu.lzcnt {
        cx.emit(Inst::BitCountRR {
            op: BitCount::Lzcnt,
            size,
            dst,
            src: dst,
        });
    } else {
        emit_down(
            cx,
            &[
                Inst::BitCountRR {
                    op: BitCount::Bsr,
                    size,
                    dst,
                    src: dst,
                },
                Inst::AluRI {
                    op: Alu::Xor,
                    size,
                    dst,
                    imm: width as i32 - 1,
                },
            ],
        );
    }
    emit_down(
        cx,
        &[
            Inst::ShiftRI {
                op: Shift::Sar,
                size,
                dst: sign,
                imm: width as u8 - 1,
            },
            Inst::AluRR {
                op: Alu::Xor,
                size,
                dst,
                src: sign,
            },
            Inst::Lea {
                size,
                dst,
                mem: Mem::base_index(dst, dst, 0, 1),
            },
        ],
    );
    emit_mov(cx, sign, dst);
    if ty.bits() < 32 {
        cx.emit(extend(ty, true, dst, src));
    } else {
        emit_mov(cx, dst, src);
    }
}

/// All ones unless `x` is zero: `neg` sets the carry flag then.
pub(super) fn bmask(cx: &mut Cx<'_>, v: Value, x: Value) {
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    cx.emit(Inst::AluRR {
        op: Alu::Sbb,
        size: op_size(cx.ty(v)),
        dst,
        src: dst,
    });
    cx.emit(Inst::UnaryR {
        op: Unary::Neg,
        size: mem_size(cx.ty(x)),
        dst,
    });
    cx.finish_tie(tied);
}

/// `(x ^ y) & c ^ y`
pub(super) fn bitselect(cx: &mut Cx<'_>, v: Value, [c, x, y]: [Value; 3]) {
    let ty = cx.ty(v);
    let size = op_size(ty);
    let dst = cx.def(v);
    // The others are read after `dst` has been written.
    let apart = [c, y].iter().any(|&o| cx.repr(o) == cx.repr(x));
    let tied = if apart {
        cx.lock(dst);
        cx.use_copy(x, dst)
    } else {
        cx.tie(dst, x)
    };
    let (c, y) = (cx.use_reg(c), cx.use_reg(y));
    if ty.is_float() {
        let logic = |op, src| Inst::FLogicRR { op, dst, src };
        emit_down(
            cx,
            &[
                logic(FLogic::Xor, y),
                logic(FLogic::And, c),
                logic(FLogic::Xor, y),
            ],
        );
    } else {
        let alu = |op, src| Inst::AluRR { op, size, dst, src };
        emit_down(cx, &[alu(Alu::Xor, y), alu(Alu::And, c), alu(Alu::Xor, y)]);
    }
    cx.finish_tie(tied);
}

/// The lower and the upper half.
pub(super) fn isplit(cx: &mut Cx<'_>, inst: nopal_ir::Inst, x: Value) {
    let results: Vec<Value> = cx.func.inst_results(inst).collect();
    let half = cx.ty(results[0]);
    let emit_half = |cx: &mut Cx<'_>, v: Value, by: u32| {
        if !cx.is_wanted(v) {
            return;
        }
        let dst = cx.def(v);
        cx.lock(dst);
        let src = cx.use_reg(x);
        if by != 0 {
            cx.emit(Inst::ShiftRI {
                op: Shift::Shr,
                size: op_size(cx.ty(x)),
                dst,
                imm: by as u8,
            });
            emit_mov(cx, dst, src);
        } else {
            cx.emit(Inst::MovRR {
                size: Size::S32,
                dst,
                src,
            });
        }
    };
    emit_half(cx, results[1], half.bits());
    emit_half(cx, results[0], 0);
}

/// `hi << width | lo`
pub(super) fn iconcat(cx: &mut Cx<'_>, v: Value, lo: Value, hi: Value) {
    let half = cx.ty(lo);
    let size = op_size(cx.ty(v));
    let dst = cx.def(v);
    let tied = cx.tie(dst, hi);
    let low = cx.scratch(RegClass::Int);
    let src = cx.use_reg(lo);
    emit_down(
        cx,
        &[
            Inst::MovzxRR {
                from: mem_size(half),
                dst: low,
                src,
            },
            Inst::ShiftRI {
                op: Shift::Shl,
                size,
                dst,
                imm: half.bits() as u8,
            },
            Inst::AluRR {
                op: Alu::Or,
                size,
                dst,
                src: low,
            },
        ],
    );
    cx.finish_tie(tied);
}
