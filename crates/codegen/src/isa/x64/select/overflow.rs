//! Sums, differences and products that tell whether they overflow.
//!
//! The flag is a result like others: made by `setcc` if it is wanted in a register. Where the next
//! instruction is all that looks at it, a branch, trap, select or the next step of a longer sum,
//! it stays in the flags of the processor.

use super::mem::{self, Rm};
use super::{Cx, emit_trapping, mem_size, result, use_rm};
use crate::RegClass;
use crate::isa::x64::inst::{Alu, Cc, Inst, Size};
use crate::isa::x64::regs::{RAX, RDX};
use nopal_ir::{Opcode, TrapCode, Type, Value};

/// The condition that tells of an overflow after the instruction of `opcode`.
fn overflow_cc(opcode: Opcode) -> Option<Cc> {
    use Opcode::*;
    match opcode {
        UaddOverflow | UsubOverflow | UaddOverflowCin | UsubOverflowBin => Some(Cc::B),
        SaddOverflow | SsubOverflow | UmulOverflow | SmulOverflow | SaddOverflowCin
        | SsubOverflowBin => Some(Cc::O),
        _ => None,
    }
}

/// If the instruction being selected can take `v` from the flags: the instruction that leaves it
/// there, and the condition.
pub(super) fn flag(cx: &Cx<'_>, v: Value, user: nopal_ir::Inst) -> Option<(nopal_ir::Inst, Cc)> {
    let def = cx.flag_producer(v, user)?;
    Some((def, overflow_cc(cx.func.opcode(def))?))
}

/// Select an instruction whose flag was not taken by another one.
pub(super) fn lower(cx: &mut Cx<'_>, inst: nopal_ir::Inst) {
    let flag = cx.func.inst_results(inst).nth(1).expect("two results");
    let cc = overflow_cc(cx.func.opcode(inst)).expect("an operation that can overflow");
    if !cx.is_wanted(flag) {
        return arithmetic(cx, inst);
    }
    let dst = cx.def(flag);
    cx.lock(dst);
    // The product overwrites these registers.
    let multiplies = matches!(
        cx.func.opcode(inst),
        Opcode::UmulOverflow | Opcode::SmulOverflow
    );
    let late = multiplies && (dst == RAX || dst == RDX);
    if late {
        cx.emit(Inst::MovzxRR {
            from: Size::S8,
            dst,
            src: dst,
        });
    }
    cx.emit(Inst::Setcc { cc, dst });
    cx.flags_live = true;
    arithmetic(cx, inst);
    cx.flags_live = false;
    if !late {
        cx.emit(Inst::ZeroR { dst });
    }
}

/// The addition that traps.
pub(super) fn add_trap(cx: &mut Cx<'_>, inst: nopal_ir::Inst, x: Value, y: Value, code: TrapCode) {
    let srcloc = cx.srcloc();
    let cc = Cc::B;
    cx.emit(Inst::TrapIf { cc, code, srcloc });
    let v = result(cx, inst);
    cx.flags_live = true;
    add_sub(cx, Alu::Add, v, x, y);
    cx.flags_live = false;
}

/// The result other than the flag, which is left in the processor's.
pub(super) fn arithmetic(cx: &mut Cx<'_>, inst: nopal_ir::Inst) {
    use Opcode::*;
    let data = *cx.func.inst(inst);
    let v = cx.func.first_result(inst);
    match (data.opcode(), data.value_operands()) {
        (UaddOverflow | SaddOverflow, &[x, y]) => add_sub(cx, Alu::Add, v, x, y),
        (UsubOverflow | SsubOverflow, &[x, y]) => add_sub(cx, Alu::Sub, v, x, y),
        (UaddOverflowCin | SaddOverflowCin, &[x, y, carry]) => {
            with_carry(cx, inst, Alu::Adc, v, [x, y, carry]);
        }
        (UsubOverflowBin | SsubOverflowBin, &[x, y, borrow]) => {
            with_carry(cx, inst, Alu::Sbb, v, [x, y, borrow]);
        }
        (SmulOverflow, &[x, y]) if cx.ty(v) != Type::I8 => multiply(cx, v, x, y),
        (opcode @ (UmulOverflow | SmulOverflow), &[x, y]) => {
            multiply_wide(cx, v, x, y, opcode == SmulOverflow);
        }
        (opcode, _) => unreachable!("{opcode} cannot overflow"),
    }
}

/// `v = x op y` in the width of the type, as the flags depend on it.
fn add_sub(cx: &mut Cx<'_>, op: Alu, v: Value, x: Value, y: Value) {
    let size = mem_size(cx.ty(v));
    let commutes = matches!(op, Alu::Add | Alu::Adc);
    let (x, y) = if commutes && cx.const_of(x).is_some() {
        (y, x)
    } else {
        (x, y)
    };
    let imm = cx.imm32(y);
    if op == Alu::Sub && !cx.is_wanted(v) {
        // Only the flags count.
        let op = Alu::Cmp;
        let dst = cx.use_reg(x);
        return match imm {
            Some(imm) => cx.emit(Inst::AluRI { op, size, dst, imm }),
            None => match operand(cx, y) {
                Rm::Reg(src) => cx.emit(Inst::AluRR { op, size, dst, src }),
                Rm::Mem(mem, trap) => emit_trapping(cx, Inst::AluRM { op, size, dst, mem }, trap),
            },
        };
    }
    let dst = cx.def(v);
    let swap = commutes && imm.is_none() && !cx.dies_here(x) && cx.dies_here(y);
    let (x, y) = if swap { (y, x) } else { (x, y) };
    let tied = cx.tie(dst, x);
    match imm {
        Some(imm) => cx.emit(Inst::AluRI { op, size, dst, imm }),
        None => match operand(cx, y) {
            Rm::Reg(src) => cx.emit(Inst::AluRR { op, size, dst, src }),
            Rm::Mem(mem, trap) => emit_trapping(cx, Inst::AluRM { op, size, dst, mem }, trap),
        },
    }
    cx.finish_tie(tied);
}

/// An operand that is used in its own width: also narrow loads can be merged.
fn operand(cx: &mut Cx<'_>, v: Value) -> Rm {
    match mem::load_operand(cx, v) {
        Some((mem, trap)) => Rm::Mem(mem, trap),
        None => use_rm(cx, v),
    }
}

/// `adc` or `sbb`. The carry comes from the flags if the instruction before leaves it there; else
/// adding all ones to it gives the flag.
fn with_carry(cx: &mut Cx<'_>, inst: nopal_ir::Inst, op: Alu, v: Value, [x, y, c]: [Value; 3]) {
    let outer = core::mem::replace(&mut cx.flags_live, true);
    if let Some((def, Cc::B)) = flag(cx, c, inst) {
        cx.mark_flag_fused(c);
        add_sub(cx, op, v, x, y);
        // What gives way to its operands is made anew below it, too.
        arithmetic(cx, def);
        cx.flags_live = outer;
        return;
    }
    let carry = cx.scratch(RegClass::Int);
    add_sub(cx, op, v, x, y);
    cx.emit(Inst::AluRI {
        op: Alu::Add,
        size: Size::S8,
        dst: carry,
        imm: -1,
    });
    cx.flags_live = outer;
    let copy = cx.use_copy(c, carry);
    cx.finish_tie(copy);
}

fn multiply(cx: &mut Cx<'_>, v: Value, x: Value, y: Value) {
    let size = mem_size(cx.ty(v));
    let dst = cx.def(v);
    let (x, y) = if !cx.dies_here(x) && cx.dies_here(y) {
        (y, x)
    } else {
        (x, y)
    };
    let tied = cx.tie(dst, x);
    match operand(cx, y) {
        Rm::Reg(src) => cx.emit(Inst::ImulRR { size, dst, src }),
        Rm::Mem(mem, trap) => emit_trapping(cx, Inst::ImulRM { size, dst, mem }, trap),
    }
    cx.finish_tie(tied);
}

/// A product of twice the width, whose flags tell whether the upper half counts.
fn multiply_wide(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, signed: bool) {
    let size = mem_size(cx.ty(v));
    cx.def_fixed(v, RAX);
    if size != Size::S8 {
        cx.scratch_fixed(RDX);
    }
    let tied = cx.tie(RAX, x);
    let src = cx.use_reg(y);
    cx.emit(Inst::MulWide { signed, size, src });
    cx.finish_tie(tied);
}
