//! Integer arithmetic and bit counts.

use super::cond::emit_arithmetic;
use super::mem::Rm;
use super::{Cx, bits, emit_mov, emit_trapping, minmax, op_size, result, use_rm};
use crate::isa::x64::abi::test;
use crate::isa::x64::inst::{Alu, Base, BitCount, Cc, Inst, Mem, PRegIndex, Shift, Size, Unary};
use crate::isa::x64::regs::{RAX, RDX};
use crate::{PReg, RegClass};
use nopal_ir::{InstData, Opcode, Type, Value};

pub(super) fn binary(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value, y: Value) {
    let v = result(cx, inst);
    // A constant is best on the right.
    let commutes = opcode != Opcode::Isub;
    let (x, y) = if commutes && cx.const_of(x).is_some() {
        (y, x)
    } else {
        (x, y)
    };
    match opcode {
        Opcode::Iadd => add(cx, v, x, y),
        Opcode::Isub => sub(cx, v, x, y),
        Opcode::Imul => mul(cx, v, x, y),
        Opcode::Umulhi | Opcode::Smulhi => mul_high(cx, v, x, y, opcode == Opcode::Smulhi),
        Opcode::Band => and(cx, v, x, y),
        Opcode::Bor => two_address(cx, Alu::Or, v, x, y, true),
        Opcode::Bxor => two_address(cx, Alu::Xor, v, x, y, true),
        _ => unreachable!("{opcode} is not arithmetic of integers"),
    }
}

/// `dst op= y` with `x` in the register of the result.
fn two_address(cx: &mut Cx<'_>, op: Alu, v: Value, x: Value, y: Value, commutes: bool) {
    let size = op_size(cx.ty(v));
    let dst = cx.def(v);
    if let Some(imm) = cx.imm32(y) {
        let tied = cx.tie(dst, x);
        emit_arithmetic(cx, size, dst, Inst::AluRI { op, size, dst, imm }, None);
        return cx.finish_tie(tied);
    }
    // The operand that ends here takes the result's register; a load is best the other one.
    let swap = commutes
        && (is_op(cx, x, Opcode::Load)
            || (cx.tie_affinity(dst, x) < cx.tie_affinity(dst, y) && !is_op(cx, y, Opcode::Load)));
    let (x, y) = if swap { (y, x) } else { (x, y) };
    let tied = cx.tie(dst, x);
    match use_rm(cx, y) {
        Rm::Reg(src) => {
            emit_arithmetic(cx, size, dst, Inst::AluRR { op, size, dst, src }, None);
        }
        Rm::Mem(mem, trap) => {
            emit_arithmetic(cx, size, dst, Inst::AluRM { op, size, dst, mem }, trap);
        }
    }
    cx.finish_tie(tied);
}

fn add(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    let size = op_size(cx.ty(v));
    let three_operand = |cx: &Cx<'_>, v: Value| !cx.dies_here(v) || is_shift(cx, v);
    if let Some(imm) = cx.imm32(y) {
        // A sum or shift below the constant makes one `lea`.
        if three_operand(cx, x) || is_op(cx, x, Opcode::Iadd) {
            return lea(cx, v, size, x, None, imm);
        }
        return two_address(cx, Alu::Add, v, x, y, true);
    }
    let load = |cx: &Cx<'_>, v: Value| is_op(cx, v, Opcode::Load);
    if !load(cx, x)
        && !load(cx, y)
        && ((!cx.dies_here(x) && !cx.dies_here(y)) || is_shift(cx, x) || is_shift(cx, y))
    {
        return lea(cx, v, size, x, Some(y), 0);
    }
    two_address(cx, Alu::Add, v, x, y, true);
}

fn is_op(cx: &Cx<'_>, v: Value, opcode: Opcode) -> bool {
    cx.fusible(v).is_some_and(|d| cx.func.opcode(d) == opcode)
}

/// Whether `v` is a shift that an address can express, used only here.
fn is_shift(cx: &Cx<'_>, v: Value) -> bool {
    matches!(cx.fusible_op(v, Opcode::Ishl), Some(InstData::Binary { args, .. })
        if matches!(cx.const_of(args[1]), Some(1..=3)))
}

/// `v = x + y + imm`, with a shift by a constant merged into either.
fn lea(cx: &mut Cx<'_>, v: Value, size: Size, x: Value, y: Option<Value>, imm: i32) {
    let dst = cx.def(v);
    let (mut x, mut y, mut shift) = (x, y, 0);
    if y.is_none()
        && let Some(InstData::Binary { args, .. }) = cx.fusible_op(x, Opcode::Iadd)
        && cx.const_of(args[1]).is_none()
        && cx.const_of(args[0]).is_none()
    {
        cx.mark_fused(x);
        x = args[0];
        y = Some(args[1]);
    }
    let mut unscale = |cx: &mut Cx<'_>, v: Value| {
        if !is_shift(cx, v) {
            return v;
        }
        let Some(InstData::Binary { args, .. }) = cx.fusible_op(v, Opcode::Ishl) else {
            return v;
        };
        cx.mark_fused(v);
        shift = cx.const_of(args[1]).expect("a shift by a constant") as u8;
        args[0]
    };
    let mem = match y {
        None if is_shift(cx, x) => {
            let x = unscale(cx, x);
            let r = cx.use_reg(x);
            Mem {
                disp: imm,
                base: Base::None,
                index: Some(PRegIndex::new(r, shift)),
            }
        }
        None => Mem::base(cx.use_reg(x), imm),
        Some(mut other) => {
            if is_shift(cx, x) {
                core::mem::swap(&mut x, &mut other);
            }
            let other = unscale(cx, other);
            let base = cx.use_reg(x);
            let index = cx.use_reg(other);
            Mem::base_index(base, index, shift, imm)
        }
    };
    cx.emit(Inst::Lea { size, dst, mem });
}

fn sub(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    let size = op_size(cx.ty(v));
    if let Some(imm) = cx.imm32(y).and_then(i32::checked_neg) {
        if !cx.dies_here(x) {
            return lea(cx, v, size, x, None, imm);
        }
        let dst = cx.def(v);
        let tied = cx.tie(dst, x);
        let op = Alu::Add;
        emit_arithmetic(cx, size, dst, Inst::AluRI { op, size, dst, imm }, None);
        return cx.finish_tie(tied);
    }
    if cx.const_of(x) == Some(0) {
        return in_place(
            cx,
            v,
            y,
            Inst::UnaryR {
                op: Unary::Neg,
                size,
                dst: RAX,
            },
        );
    }
    two_address(cx, Alu::Sub, v, x, y, false);
}

/// The high half of the same product, if the instruction right above computes it, unsigned, and it is
/// wanted.
fn high_half(cx: &Cx<'_>, x: Value, y: Value) -> Option<Value> {
    let above = cx.above()?;
    let InstData::Binary {
        opcode: Opcode::Umulhi,
        args,
    } = *cx.func.inst(above)
    else {
        return None;
    };
    let high = cx.func.first_result(above);
    let same = args.map(|a| cx.repr(a)) == [x, y].map(|a| cx.repr(a));
    (same && cx.ty(high) == Type::I64 && cx.is_wanted(high)).then_some(high)
}

/// Both halves by one instruction.
fn mul_both(cx: &mut Cx<'_>, low: Value, high: Value, x: Value, y: Value) {
    cx.def_fixed(low, RAX);
    cx.def_fixed(high, RDX);
    cx.mark_fused(high);
    let tied = cx.tie(RAX, x);
    let src = cx.use_reg(y);
    cx.emit(Inst::MulWide {
        signed: false,
        size: Size::S64,
        src,
    });
    cx.finish_tie(tied);
}

fn mul(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    if cx.ty(v) == Type::I64
        && let Some(high) = high_half(cx, x, y)
    {
        return mul_both(cx, v, high, x, y);
    }
    let size = op_size(cx.ty(v));
    let dst = cx.def(v);
    if let Some(imm) = cx.imm32(y) {
        if imm > 0 && imm & (imm - 1) == 0 {
            let tied = cx.tie(dst, x);
            let imm = imm.trailing_zeros() as u8;
            if imm != 0 {
                cx.emit(Inst::ShiftRI {
                    op: Shift::Shl,
                    size,
                    dst,
                    imm,
                });
            }
            return cx.finish_tie(tied);
        }
        if let 3 | 5 | 9 = imm {
            let r = cx.use_reg(x);
            let mem = Mem::base_index(r, r, (imm - 1).trailing_zeros() as u8, 0);
            return cx.emit(Inst::Lea { size, dst, mem });
        }
        let src = cx.use_reg(x);
        return cx.emit(Inst::ImulRRI {
            size,
            dst,
            src,
            imm,
        });
    }
    let swap = is_op(cx, x, Opcode::Load)
        || (cx.tie_affinity(dst, x) < cx.tie_affinity(dst, y) && !is_op(cx, y, Opcode::Load));
    let (x, y) = if swap { (y, x) } else { (x, y) };
    let tied = cx.tie(dst, x);
    match use_rm(cx, y) {
        Rm::Reg(src) => cx.emit(Inst::ImulRR { size, dst, src }),
        Rm::Mem(mem, trap) => emit_trapping(cx, Inst::ImulRM { size, dst, mem }, trap),
    }
    cx.finish_tie(tied);
}

fn mul_high(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, signed: bool) {
    let ty = cx.ty(v);
    if matches!(ty, Type::I8 | Type::I16) {
        return narrow_mul_high(cx, v, x, y, ty, signed);
    }
    cx.def_fixed(v, RDX);
    cx.scratch_fixed(RAX);
    let tied = cx.tie(RAX, x);
    let src = cx.use_reg(y);
    cx.emit(Inst::MulWide {
        signed,
        size: op_size(ty),
        src,
    });
    cx.finish_tie(tied);
}

/// The high half of a product that fits in 32 bits.
fn narrow_mul_high(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, ty: Type, signed: bool) {
    let dst = cx.def(v);
    cx.lock(dst);
    let temp = cx.scratch(RegClass::Int);
    let (x, y) = (cx.use_reg(x), cx.use_reg(y));
    cx.emit(Inst::ShiftRI {
        op: Shift::Shr,
        size: Size::S32,
        dst,
        imm: ty.bits() as u8,
    });
    cx.emit(Inst::ImulRR {
        size: Size::S32,
        dst,
        src: temp,
    });
    cx.emit(extend(ty, signed, dst, x));
    cx.emit(extend(ty, signed, temp, y));
}

/// Extend a narrow integer to 32 bits.
pub(super) fn extend(ty: Type, signed: bool, dst: PReg, src: PReg) -> Inst {
    let from = super::mem_size(ty);
    if signed {
        Inst::MovsxRR {
            from,
            to: Size::S32,
            dst,
            src,
        }
    } else {
        Inst::MovzxRR { from, dst, src }
    }
}

fn and(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    let from = match (cx.const_of(y), cx.ty(v)) {
        (Some(0xff), _) => Size::S8,
        (Some(0xffff), _) => Size::S16,
        (Some(0xffff_ffff), Type::I64) => Size::S32,
        _ => return and_not(cx, v, x, y),
    };
    let dst = cx.def(v);
    let src = cx.use_reg(x);
    cx.emit(Inst::MovzxRR { from, dst, src });
}

/// An `and`, with the complement of an operand merged into it.
fn and_not(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    if cx.flags.cpu.bmi1 {
        for (inverse, other) in [(x, y), (y, x)] {
            if let Some(inverted) = complement(cx, inverse) {
                cx.mark_fused(inverse);
                let size = op_size(cx.ty(v));
                let dst = cx.def(v);
                let inverted = cx.use_reg(inverted);
                let src = cx.use_reg(other);
                let inst = Inst::Andn {
                    size,
                    dst,
                    inverted,
                    src,
                };
                return emit_arithmetic(cx, size, dst, inst, None);
            }
        }
    }
    two_address(cx, Alu::And, v, x, y, true);
}

/// What `v` is the complement of, used only here.
fn complement(cx: &Cx<'_>, v: Value) -> Option<Value> {
    match *cx.func.inst(cx.fusible(v)?) {
        InstData::Unary {
            opcode: Opcode::Bnot,
            arg,
        } => Some(arg),
        InstData::Binary {
            opcode: Opcode::Bxor,
            args: [x, y],
        } if cx.const_of(y) == Some(-1) => Some(x),
        _ => None,
    }
}

/// An instruction that overwrites its only operand; the register in `template` is replaced.
fn in_place(cx: &mut Cx<'_>, v: Value, x: Value, template: Inst) {
    let dst = cx.def(v);
    let tied = cx.tie(dst, x);
    let inst = match template {
        Inst::UnaryR { op, size, .. } => Inst::UnaryR { op, size, dst },
        _ => unreachable!("not a one-operand instruction"),
    };
    cx.emit(inst);
    cx.finish_tie(tied);
}

pub(super) fn unary(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let size = op_size(ty);
    match opcode {
        Opcode::Ineg => in_place(
            cx,
            v,
            x,
            Inst::UnaryR {
                op: Unary::Neg,
                size,
                dst: RAX,
            },
        ),
        Opcode::Bnot => in_place(
            cx,
            v,
            x,
            Inst::UnaryR {
                op: Unary::Not,
                size,
                dst: RAX,
            },
        ),
        Opcode::Clz => clz(cx, v, x, ty),
        Opcode::Ctz => ctz(cx, v, x, ty),
        Opcode::Popcnt => popcnt(cx, v, x, ty),
        Opcode::Iabs => minmax::iabs(cx, v, x),
        Opcode::Bitrev => bits::bitrev(cx, v, x),
        Opcode::Bswap => bits::bswap(cx, v, x),
        Opcode::Cls => bits::cls(cx, v, x),
        _ => unreachable!("{opcode} is not an operation on one integer"),
    }
}

/// The operand zero-extended, if it is narrow: the register, and what to emit above its use.
fn zero_extended(cx: &mut Cx<'_>, x: Value, ty: Type) -> (PReg, Option<Inst>) {
    let src = cx.use_reg(x);
    if !matches!(ty, Type::I8 | Type::I16) {
        return (src, None);
    }
    let temp = cx.scratch(RegClass::Int);
    (temp, Some(extend(ty, false, temp, src)))
}

fn clz(cx: &mut Cx<'_>, v: Value, x: Value, ty: Type) {
    let size = op_size(ty);
    let dst = cx.def(v);
    cx.lock(dst);
    let (src, above) = zero_extended(cx, x, ty);
    let width = ty.bits() as i32;
    if cx.flags.cpu.lzcnt {
        if width < 32 {
            cx.emit(Inst::AluRI {
                op: Alu::Sub,
                size,
                dst,
                imm: 32 - width,
            });
        }
        cx.emit(Inst::BitCountRR {
            op: BitCount::Lzcnt,
            size,
            dst,
            src,
        });
    } else {
        // `bsr` gives the index of the highest bit; with none, -1 makes the width.
        let none = cx.scratch(RegClass::Int);
        cx.emit(Inst::AluRI {
            op: Alu::Add,
            size,
            dst,
            imm: width - 1,
        });
        cx.emit(Inst::UnaryR {
            op: Unary::Neg,
            size,
            dst,
        });
        cx.emit(Inst::CmovRR {
            cc: Cc::E,
            size,
            dst,
            src: none,
        });
        cx.emit(Inst::BitCountRR {
            op: BitCount::Bsr,
            size,
            dst,
            src,
        });
        cx.emit(Inst::MovRI {
            dst: none,
            imm: u64::MAX,
        });
    }
    above.into_iter().for_each(|i| cx.emit(i));
}

fn ctz(cx: &mut Cx<'_>, v: Value, x: Value, ty: Type) {
    let size = op_size(ty);
    let dst = cx.def(v);
    cx.lock(dst);
    let src = cx.use_reg(x);
    let narrow = matches!(ty, Type::I8 | Type::I16);
    // A bit above the narrow value stops the count.
    let counted = if narrow {
        cx.scratch(RegClass::Int)
    } else {
        src
    };
    if cx.flags.cpu.bmi1 {
        cx.emit(Inst::BitCountRR {
            op: BitCount::Tzcnt,
            size,
            dst,
            src: counted,
        });
    } else {
        let none = cx.scratch(RegClass::Int);
        cx.emit(Inst::CmovRR {
            cc: Cc::E,
            size,
            dst,
            src: none,
        });
        cx.emit(Inst::BitCountRR {
            op: BitCount::Bsf,
            size,
            dst,
            src: counted,
        });
        cx.emit(Inst::MovRI {
            dst: none,
            imm: ty.bits().into(),
        });
    }
    if narrow {
        let imm = 1 << ty.bits();
        cx.emit(Inst::AluRI {
            op: Alu::Or,
            size,
            dst: counted,
            imm,
        });
        emit_mov(cx, counted, src);
    }
}

fn popcnt(cx: &mut Cx<'_>, v: Value, x: Value, ty: Type) {
    let size = op_size(ty);
    let dst = cx.def(v);
    cx.lock(dst);
    let (src, above) = zero_extended(cx, x, ty);
    if cx.flags.cpu.popcnt {
        cx.emit(Inst::BitCountRR {
            op: BitCount::Popcnt,
            size,
            dst,
            src,
        });
    } else {
        popcnt_by_bits(cx, dst, src, size);
    }
    above.into_iter().for_each(|i| cx.emit(i));
}

/// Clear the lowest bit until none is left.
fn popcnt_by_bits(cx: &mut Cx<'_>, dst: PReg, src: PReg, size: Size) {
    let rest = cx.scratch(RegClass::Int);
    let less = cx.scratch(RegClass::Int);
    let (again, done) = (cx.out.new_label(), cx.out.new_label());
    cx.emit(Inst::Bind { label: done });
    cx.emit(Inst::Jmp { target: again });
    cx.emit(Inst::AluRR {
        op: Alu::And,
        size,
        dst: rest,
        src: less,
    });
    cx.emit(Inst::Lea {
        size,
        dst: less,
        mem: Mem::base(rest, -1),
    });
    cx.emit(Inst::AluRI {
        op: Alu::Add,
        size: Size::S32,
        dst,
        imm: 1,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::E,
        target: done,
    });
    cx.emit(test(size, rest));
    cx.emit(Inst::Bind { label: again });
    cx.emit(Inst::ZeroR { dst });
    emit_mov(cx, rest, src);
}
