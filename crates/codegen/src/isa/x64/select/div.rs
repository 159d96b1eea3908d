//! Division and remainder.

use super::{Cx, int, op_size, result};
use crate::isa::x64::abi::test;
use crate::isa::x64::inst::{Alu, Cc, Inst, Size};
use crate::isa::x64::regs::{RAX, RDX};
use crate::{PReg, RegClass};
use nopal_ir::{Opcode, TrapCode, Type, Value};

pub(super) fn divide(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value, y: Value) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let signed = matches!(opcode, Opcode::Sdiv | Opcode::Srem);
    let remainder = matches!(opcode, Opcode::Urem | Opcode::Srem);
    let wanted = if remainder { RDX } else { RAX };
    cx.def_fixed(v, wanted);
    cx.scratch_fixed(if remainder { RAX } else { RDX });
    if matches!(ty, Type::I8 | Type::I16) {
        return narrow(cx, x, y, ty, signed, remainder);
    }
    let size = op_size(ty);
    let tied = cx.tie(RAX, x);
    let divisor = cx.use_reg(y);
    let known = cx.const_of(y);
    emit_division(cx, size, divisor, signed, remainder, known);
    if known.is_none_or(|c| c == 0) {
        zero_check(cx, size, divisor);
    }
    cx.finish_tie(tied);
}

fn zero_check(cx: &mut Cx<'_>, size: Size, divisor: PReg) {
    let srcloc = cx.srcloc();
    cx.emit(Inst::TrapIf {
        cc: Cc::E,
        code: TrapCode::INTEGER_DIVISION_BY_ZERO,
        srcloc,
    });
    cx.emit(test(size, divisor));
}

/// Divide `rdx:rax`; the dividend is in `rax`.
fn emit_division(
    cx: &mut Cx<'_>,
    size: Size,
    divisor: PReg,
    signed: bool,
    remainder: bool,
    known: Option<i64>,
) {
    let srcloc = cx.srcloc();
    if !signed {
        cx.emit(Inst::Div {
            signed,
            size,
            src: divisor,
        });
        return cx.emit(Inst::ZeroR { dst: RDX });
    }
    if !remainder {
        // The smallest number divided by -1 makes the instruction itself trap.
        cx.emit(Inst::Div {
            signed,
            size,
            src: divisor,
        });
        cx.emit(Inst::MayTrap {
            code: TrapCode::INTEGER_OVERFLOW,
            srcloc,
        });
        return cx.emit(Inst::SignRax { size });
    }
    // The remainder by -1 is 0, and must not trap.
    let (divide, done) = (cx.out.new_label(), cx.out.new_label());
    let check = known.is_none_or(|c| c == -1);
    if check {
        cx.emit(Inst::Bind { label: done });
    }
    cx.emit(Inst::Div {
        signed,
        size,
        src: divisor,
    });
    cx.emit(Inst::SignRax { size });
    if check {
        cx.emit(Inst::Bind { label: divide });
        cx.emit(Inst::Jmp { target: done });
        cx.emit(Inst::ZeroR { dst: RDX });
        cx.emit(Inst::Jcc {
            cc: Cc::Ne,
            target: divide,
        });
        cx.emit(Inst::AluRI {
            op: Alu::Cmp,
            size,
            dst: divisor,
            imm: -1,
        });
    }
}

/// Divide 8- or 16-bit numbers in 32 bits, where the quotient cannot overflow: that is checked.
fn narrow(cx: &mut Cx<'_>, x: Value, y: Value, ty: Type, signed: bool, remainder: bool) {
    let divisor = cx.scratch(RegClass::Int);
    let (x, y) = (cx.use_reg(x), cx.use_reg(y));
    let srcloc = cx.srcloc();
    let size = Size::S32;
    if signed && !remainder {
        // The quotient does not fit in one case only: it is the negated smallest number.
        let code = TrapCode::INTEGER_OVERFLOW;
        cx.emit(Inst::TrapIf {
            cc: Cc::E,
            code,
            srcloc,
        });
        let imm = 1 << (ty.bits() - 1);
        cx.emit(Inst::AluRI {
            op: Alu::Cmp,
            size,
            dst: RAX,
            imm,
        });
    }
    cx.emit(Inst::Div {
        signed,
        size,
        src: divisor,
    });
    cx.emit(if signed {
        Inst::SignRax { size }
    } else {
        Inst::ZeroR { dst: RDX }
    });
    zero_check(cx, size, divisor);
    cx.emit(int::extend(ty, signed, RAX, x));
    cx.emit(int::extend(ty, signed, divisor, y));
}
