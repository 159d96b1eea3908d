//! Conversions between types.

use super::int::extend;
use super::{Cx, bits, emit_mov, emit_trapping, float_mem, fsize, mem, mem_size, op_size, result};
use crate::isa::x64::abi::test;
use crate::isa::x64::inst::{Alu, Cc, FAlu, FSize, Inst, Mem, Shift, Size};
use crate::{PReg, RegClass};
use nopal_ir::{Opcode, TrapCode, Type, Value};

pub(super) fn convert(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value) {
    let v = result(cx, inst);
    let (from, to) = (cx.ty(x), cx.ty(v));
    match opcode {
        Opcode::Uextend => {
            let dst = cx.def(v);
            let src = cx.use_reg(x);
            cx.emit(Inst::MovzxRR {
                from: mem_size(from),
                dst,
                src,
            });
        }
        Opcode::Sextend => sextend(cx, v, x, from, to),
        Opcode::Ireduce => {
            let dst = cx.def(v);
            let src = cx.use_reg(x);
            cx.emit(Inst::MovRR {
                size: Size::S32,
                dst,
                src,
            });
        }
        Opcode::Bitcast => bitcast(cx, v, x, from, to),
        Opcode::Fpromote | Opcode::Fdemote => {
            let dst = cx.def(v);
            let src = cx.use_reg(x);
            cx.emit(Inst::CvtFToF {
                from: fsize(from),
                dst,
                src,
            });
        }
        Opcode::FcvtFromSint => from_sint(cx, v, x, from, to),
        Opcode::FcvtFromUint => from_uint(cx, v, x, from, to),
        Opcode::Bmask => bits::bmask(cx, v, x),
        Opcode::FcvtToSint | Opcode::FcvtToUint | Opcode::FcvtToSintSat | Opcode::FcvtToUintSat => {
            let signed = matches!(opcode, Opcode::FcvtToSint | Opcode::FcvtToSintSat);
            let saturate = matches!(opcode, Opcode::FcvtToSintSat | Opcode::FcvtToUintSat);
            let dst = cx.def(v);
            cx.lock(dst);
            if matches!(to, Type::I8 | Type::I16) {
                narrow(cx, dst, to, signed, saturate);
                to_sint(cx, dst, x, from, Type::I32, saturate);
            } else if signed {
                to_sint(cx, dst, x, from, to, saturate);
            } else {
                to_uint(cx, dst, x, from, to, saturate);
            }
        }
        _ => unreachable!("{opcode} is no conversion"),
    }
}

/// Bring a number of 32 bits into the range of a narrow type, or trap if it is not.
fn narrow(cx: &mut Cx<'_>, dst: PReg, to: Type, signed: bool, saturate: bool) {
    let size = Size::S32;
    let temp = cx.scratch(RegClass::Int);
    if !saturate {
        overflow_if(cx, Cc::Ne);
        cx.emit(Inst::AluRR {
            op: Alu::Cmp,
            size,
            dst,
            src: temp,
        });
        return cx.emit(extend(to, signed, temp, dst));
    }
    let largest = (1 << (to.bits() - u32::from(signed))) - 1;
    let smallest = if signed { !largest } else { 0 };
    for (cc, limit) in [(Cc::G, largest), (Cc::L, smallest)] {
        cx.emit(Inst::CmovRR {
            cc,
            size,
            dst,
            src: temp,
        });
        cx.emit(Inst::AluRR {
            op: Alu::Cmp,
            size,
            dst,
            src: temp,
        });
        let imm = u64::from(limit as u32);
        cx.emit(Inst::MovRI { dst: temp, imm });
    }
}

fn sextend(cx: &mut Cx<'_>, v: Value, x: Value, from: Type, to: Type) {
    let dst = cx.def(v);
    let size = op_size(to);
    if let Some((mem, trap)) = mem::load_operand(cx, x) {
        let inst = Inst::LoadSx {
            from: mem_size(from),
            to: size,
            dst,
            mem,
        };
        return emit_trapping(cx, inst, trap);
    }
    let src = cx.use_reg(x);
    cx.emit(Inst::MovsxRR {
        from: mem_size(from),
        to: size,
        dst,
        src,
    });
}

fn bitcast(cx: &mut Cx<'_>, v: Value, x: Value, from: Type, to: Type) {
    let dst = cx.def(v);
    let size = if from.bits() == 64 {
        Size::S64
    } else {
        Size::S32
    };
    match (from.is_float(), to.is_float()) {
        (false, true) => {
            let src = cx.use_reg(x);
            cx.emit(Inst::MovIntToF { size, dst, src });
        }
        (true, false) => {
            let src = cx.use_reg(x);
            cx.emit(Inst::MovFToInt { size, dst, src });
        }
        _ => {
            let tied = cx.tie(dst, x);
            cx.finish_tie(tied);
        }
    }
}

/// `dst = src` as a float; the register is cleared first, as the instruction would otherwise wait
/// for its old content.
fn int_to_float(cx: &mut Cx<'_>, from: Size, to: Type, dst: PReg, src: PReg) {
    cx.emit(Inst::CvtIntToF {
        from,
        to: fsize(to),
        dst,
        src,
    });
    cx.emit(Inst::FZero { dst });
}

fn from_sint(cx: &mut Cx<'_>, v: Value, x: Value, from: Type, to: Type) {
    let dst = cx.def(v);
    if matches!(from, Type::I8 | Type::I16) {
        let wide = cx.scratch(RegClass::Int);
        let src = cx.use_reg(x);
        int_to_float(cx, Size::S32, to, dst, wide);
        return cx.emit(extend(from, true, wide, src));
    }
    let src = cx.use_reg(x);
    int_to_float(cx, op_size(from), to, dst, src);
}

fn from_uint(cx: &mut Cx<'_>, v: Value, x: Value, from: Type, to: Type) {
    let dst = cx.def(v);
    if matches!(from, Type::I8 | Type::I16) {
        let wide = cx.scratch(RegClass::Int);
        let src = cx.use_reg(x);
        int_to_float(cx, Size::S32, to, dst, wide);
        return cx.emit(extend(from, false, wide, src));
    }
    if from == Type::I32 {
        // Zero-extended in its register, it is a positive number of 64 bits.
        let src = cx.use_reg(x);
        return int_to_float(cx, Size::S64, to, dst, src);
    }
    // A number with the top bit set is halved, its lowest bit kept for rounding, and doubled.
    let half = cx.scratch(RegClass::Int);
    let low = cx.scratch(RegClass::Int);
    let src = cx.use_reg(x);
    let (large, done) = (cx.out.new_label(), cx.out.new_label());
    let size = Size::S64;
    cx.emit(Inst::Bind { label: done });
    cx.emit(Inst::FAluRR {
        op: FAlu::Add,
        size: fsize(to),
        dst,
        src: dst,
    });
    int_to_float(cx, size, to, dst, half);
    cx.emit(Inst::AluRR {
        op: Alu::Or,
        size,
        dst: half,
        src: low,
    });
    cx.emit(Inst::AluRI {
        op: Alu::And,
        size,
        dst: low,
        imm: 1,
    });
    emit_mov(cx, low, src);
    cx.emit(Inst::ShiftRI {
        op: Shift::Shr,
        size,
        dst: half,
        imm: 1,
    });
    emit_mov(cx, half, src);
    cx.emit(Inst::Bind { label: large });
    cx.emit(Inst::Jmp { target: done });
    int_to_float(cx, size, to, dst, src);
    cx.emit(Inst::Jcc {
        cc: Cc::S,
        target: large,
    });
    cx.emit(test(size, src));
}

/// Trap unless the float is a number.
fn nan_check(cx: &mut Cx<'_>, size: FSize, x: PReg) {
    let srcloc = cx.srcloc();
    cx.emit(Inst::TrapIf {
        cc: Cc::P,
        code: TrapCode::BAD_CONVERSION_TO_INTEGER,
        srcloc,
    });
    cx.emit(Inst::UcomisRR { size, a: x, b: x });
}

fn overflow_if(cx: &mut Cx<'_>, cc: Cc) {
    let srcloc = cx.srcloc();
    cx.emit(Inst::TrapIf {
        cc,
        code: TrapCode::INTEGER_OVERFLOW,
        srcloc,
    });
}

fn always_overflow(cx: &mut Cx<'_>) {
    let srcloc = cx.srcloc();
    cx.emit(Inst::Ud2 {
        code: TrapCode::INTEGER_OVERFLOW,
        srcloc,
    });
}

/// The conversion instruction gives the smallest integer for everything it cannot convert; only
/// then a closer look is taken.
fn to_sint(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type, to: Type, saturate: bool) {
    let (fs, size) = (fsize(from), op_size(to));
    let zero = cx.scratch(RegClass::Float);
    let src = cx.use_reg(x);
    let done = cx.out.new_label();
    cx.emit(Inst::Bind { label: done });
    if saturate {
        saturate_sint(cx, fs, dst, src, zero, to, done);
    } else {
        // Out of range: above if not negative; below if below the lowest number that truncates
        // into the range.
        overflow_if(cx, Cc::Be);
        cx.emit(Inst::UcomisRR {
            size: fs,
            a: zero,
            b: src,
        });
        cx.emit(Inst::FZero { dst: zero });
        if from == Type::F64 && to == Type::I32 {
            overflow_if(cx, Cc::Be);
            let mem = float_mem(cx, -2_147_483_649.0, from);
            cx.emit(Inst::UcomisRM {
                size: fs,
                a: src,
                mem,
            });
        } else {
            overflow_if(cx, Cc::B);
            let lowest = if to == Type::I32 {
                -2_147_483_648.0
            } else {
                -9_223_372_036_854_775_808.0
            };
            let mem = float_mem(cx, lowest, from);
            cx.emit(Inst::UcomisRM {
                size: fs,
                a: src,
                mem,
            });
        }
        nan_check(cx, fs, src);
    }
    // The smallest integer is the only one from which 1 cannot be subtracted.
    cx.emit(Inst::Jcc {
        cc: Cc::No,
        target: done,
    });
    cx.emit(Inst::AluRI {
        op: Alu::Cmp,
        size,
        dst,
        imm: 1,
    });
    cx.emit(Inst::CvtFToInt {
        from: fs,
        to: size,
        dst,
        src,
    });
}

/// NaN to zero, large to the largest; small is what it is already.
fn saturate_sint(
    cx: &mut Cx<'_>,
    fs: FSize,
    dst: PReg,
    src: PReg,
    zero: PReg,
    to: Type,
    done: crate::label::Label,
) {
    let number = cx.out.new_label();
    let largest = if to == Type::I32 {
        i32::MAX as u64
    } else {
        i64::MAX as u64
    };
    cx.emit(Inst::MovRI { dst, imm: largest });
    cx.emit(Inst::Jcc {
        cc: Cc::Ae,
        target: done,
    });
    cx.emit(Inst::UcomisRR {
        size: fs,
        a: zero,
        b: src,
    });
    cx.emit(Inst::FZero { dst: zero });
    cx.emit(Inst::Bind { label: number });
    cx.emit(Inst::Jmp { target: done });
    cx.emit(Inst::ZeroR { dst });
    cx.emit(Inst::Jcc {
        cc: Cc::Np,
        target: number,
    });
    cx.emit(Inst::UcomisRR {
        size: fs,
        a: src,
        b: src,
    });
}

fn to_uint(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type, to: Type, saturate: bool) {
    match (to, saturate) {
        (Type::I32, false) => to_u32(cx, dst, x, from),
        (Type::I32, true) => to_u32_sat(cx, dst, x, from),
        (_, false) => to_u64(cx, dst, x, from),
        (_, true) => to_u64_sat(cx, dst, x, from),
    }
}

/// Through a signed number of 64 bits, whose upper half must come out zero.
fn to_u32(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type) {
    let fs = fsize(from);
    let upper = cx.scratch(RegClass::Int);
    let src = cx.use_reg(x);
    let done = cx.out.new_label();
    cx.emit(Inst::Bind { label: done });
    always_overflow(cx);
    nan_check(cx, fs, src);
    cx.emit(Inst::Jcc {
        cc: Cc::E,
        target: done,
    });
    cx.emit(Inst::ShiftRI {
        op: Shift::Shr,
        size: Size::S64,
        dst: upper,
        imm: 32,
    });
    emit_mov(cx, upper, dst);
    cx.emit(Inst::CvtFToInt {
        from: fs,
        to: Size::S64,
        dst,
        src,
    });
}

/// `max` with its operands in this order gives zero for NaN; doubles hold every bound exactly.
fn to_u32_sat(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type) {
    let clamped = cx.scratch(RegClass::Float);
    let zero = cx.scratch(RegClass::Float);
    let src = cx.use_reg(x);
    let size = FSize::F64;
    cx.emit(Inst::CvtFToInt {
        from: size,
        to: Size::S64,
        dst,
        src: clamped,
    });
    let mem = float_mem(cx, 4_294_967_295.0, Type::F64);
    cx.emit(Inst::FAluRM {
        op: FAlu::Min,
        size,
        dst: clamped,
        mem,
    });
    cx.emit(Inst::FAluRR {
        op: FAlu::Max,
        size,
        dst: clamped,
        src: zero,
    });
    cx.emit(Inst::FZero { dst: zero });
    if from == Type::F32 {
        cx.emit(Inst::CvtFToF {
            from: FSize::F32,
            dst: clamped,
            src,
        });
    } else {
        emit_mov(cx, clamped, src);
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// From 2^63 up, 2^63 less is converted and the top bit set afterwards.
fn to_u64(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type) {
    let fs = fsize(from);
    let rest = cx.scratch(RegClass::Float);
    let top = cx.scratch(RegClass::Int);
    let src = cx.use_reg(x);
    let (large, done) = (cx.out.new_label(), cx.out.new_label());
    let size = Size::S64;
    cx.emit(Inst::Bind { label: done });
    cx.emit(Inst::AluRR {
        op: Alu::Add,
        size,
        dst,
        src: top,
    });
    cx.emit(Inst::MovRI {
        dst: top,
        imm: 1 << 63,
    });
    overflow_if(cx, Cc::S);
    convert_rest(cx, fs, dst, src, rest, from);
    cx.emit(Inst::Bind { label: large });
    always_overflow(cx);
    nan_check(cx, fs, src);
    cx.emit(Inst::Jcc {
        cc: Cc::Ns,
        target: done,
    });
    convert_small(cx, fs, dst, src, from, large);
}

/// `dst = src - 2^63`, and set the flags by it.
fn convert_rest(cx: &mut Cx<'_>, fs: FSize, dst: PReg, src: PReg, rest: PReg, from: Type) {
    cx.emit(test(Size::S64, dst));
    cx.emit(Inst::CvtFToInt {
        from: fs,
        to: Size::S64,
        dst,
        src: rest,
    });
    let mem: Mem = float_mem(cx, TWO_63, from);
    cx.emit(Inst::FAluRM {
        op: FAlu::Sub,
        size: fs,
        dst: rest,
        mem,
    });
    emit_mov(cx, rest, src);
}

/// Go to `large` from 2^63 up, else `dst = src`, and set the flags by it.
fn convert_small(
    cx: &mut Cx<'_>,
    fs: FSize,
    dst: PReg,
    src: PReg,
    from: Type,
    large: crate::label::Label,
) {
    cx.emit(test(Size::S64, dst));
    cx.emit(Inst::CvtFToInt {
        from: fs,
        to: Size::S64,
        dst,
        src,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::Ae,
        target: large,
    });
    let mem = float_mem(cx, TWO_63, from);
    cx.emit(Inst::UcomisRM {
        size: fs,
        a: src,
        mem,
    });
}

fn to_u64_sat(cx: &mut Cx<'_>, dst: PReg, x: Value, from: Type) {
    let fs = fsize(from);
    let rest = cx.scratch(RegClass::Float);
    let top = cx.scratch(RegClass::Int);
    let src = cx.use_reg(x);
    let size = Size::S64;
    let (large, done, in_range) = (cx.out.new_label(), cx.out.new_label(), cx.out.new_label());
    cx.emit(Inst::Bind { label: done });
    cx.emit(Inst::AluRR {
        op: Alu::Add,
        size,
        dst,
        src: top,
    });
    cx.emit(Inst::MovRI {
        dst: top,
        imm: 1 << 63,
    });
    cx.emit(Inst::Bind { label: in_range });
    cx.emit(Inst::Jmp { target: done });
    cx.emit(Inst::MovRI { dst, imm: u64::MAX });
    cx.emit(Inst::Jcc {
        cc: Cc::Ns,
        target: in_range,
    });
    convert_rest(cx, fs, dst, src, rest, from);
    cx.emit(Inst::Bind { label: large });
    cx.emit(Inst::Jmp { target: done });
    cx.emit(Inst::ZeroR { dst });
    cx.emit(Inst::Jcc {
        cc: Cc::Ns,
        target: done,
    });
    convert_small(cx, fs, dst, src, from, large);
}
