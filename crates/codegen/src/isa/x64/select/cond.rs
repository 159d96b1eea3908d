//! Conditions: comparisons as flags and as values, and selects.

use super::mem::Rm;
use super::{
    Cx, MayTrap, emit_mov, emit_trapping, fsize, mem, mem_size, op_size, overflow, result, use_rm,
};
use crate::checker::Check;
use crate::isa::x64::abi::test;
use crate::isa::x64::inst::{Alu, Cc, Inst, Size};
use crate::{PReg, RegClass};
use nopal_ir::{FloatCC, InstData, IntCC, Opcode, Type, Value, ValueDef};

/// Which flags make a condition true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flags {
    One(Cc),
    /// Both.
    And(Cc, Cc),
    /// Either.
    Or(Cc, Cc),
}

impl Flags {
    pub(super) fn invert(self) -> Flags {
        match self {
            Flags::One(a) => Flags::One(a.invert()),
            Flags::And(a, b) => Flags::Or(a.invert(), b.invert()),
            Flags::Or(a, b) => Flags::And(a.invert(), b.invert()),
        }
    }
}

/// How the flags are brought about.
#[derive(Clone, Copy)]
enum Compare {
    Int {
        op: Alu,
        x: Value,
        y: Value,
    },
    /// Compare with zero.
    Zero {
        x: Value,
    },
    /// `ucomis x, y`
    Float {
        x: Value,
        y: Value,
    },
    /// The flags an instruction leaves that also has another result.
    Flag {
        inst: nopal_ir::Inst,
    },
}

/// A condition that has been decided on: what to compare and which flags to look at.
#[derive(Clone, Copy)]
pub(super) struct Cond {
    pub(super) flags: Flags,
    compare: Compare,
}

fn int_cc(cc: IntCC) -> Cc {
    match cc {
        IntCC::Equal => Cc::E,
        IntCC::NotEqual => Cc::Ne,
        IntCC::SignedLessThan => Cc::L,
        IntCC::SignedGreaterThanOrEqual => Cc::Ge,
        IntCC::SignedGreaterThan => Cc::G,
        IntCC::SignedLessThanOrEqual => Cc::Le,
        IntCC::UnsignedLessThan => Cc::B,
        IntCC::UnsignedGreaterThanOrEqual => Cc::Ae,
        IntCC::UnsignedGreaterThan => Cc::A,
        IntCC::UnsignedLessThanOrEqual => Cc::Be,
    }
}

/// The flags after `ucomis x, y` for a condition, and whether the operands are to be swapped.
/// Unordered operands set ZF, PF and CF.
fn float_cc(cc: FloatCC) -> (Flags, bool) {
    use Flags::*;
    use FloatCC::*;
    match cc {
        Ordered => (One(Cc::Np), false),
        Unordered => (One(Cc::P), false),
        Equal => (And(Cc::E, Cc::Np), false),
        NotEqual => (Or(Cc::Ne, Cc::P), false),
        OrderedNotEqual => (One(Cc::Ne), false),
        UnorderedOrEqual => (One(Cc::E), false),
        LessThan => (One(Cc::A), true),
        LessThanOrEqual => (One(Cc::Ae), true),
        GreaterThan => (One(Cc::A), false),
        GreaterThanOrEqual => (One(Cc::Ae), false),
        UnorderedOrLessThan => (One(Cc::B), false),
        UnorderedOrLessThanOrEqual => (One(Cc::Be), false),
        UnorderedOrGreaterThan => (One(Cc::B), true),
        UnorderedOrGreaterThanOrEqual => (One(Cc::Be), true),
    }
}

/// Decide how to test whether `v` is not zero; a comparison used only here is merged.
pub(super) fn plan(cx: &mut Cx<'_>, v: Value) -> Cond {
    if let Some((inst, cc)) = overflow::flag(cx, v, cx.current()) {
        cx.mark_flag_fused(v);
        return Cond {
            flags: Flags::One(cc),
            compare: Compare::Flag { inst },
        };
    }
    if let Some(def) = cx.fusible_any(v)
        && matches!(cx.func.opcode(def), Opcode::Icmp | Opcode::Fcmp)
    {
        cx.mark_fused(v);
        return plan_compare(cx, def);
    }
    if let Some(InstData::Binary { args: [x, y], .. }) = cx.fusible_op(v, Opcode::Band)
        && wide(cx, v)
    {
        cx.mark_fused(v);
        return Cond {
            flags: Flags::One(Cc::Ne),
            compare: Compare::Int {
                op: Alu::Test,
                x,
                y,
            },
        };
    }
    Cond {
        flags: Flags::One(Cc::Ne),
        compare: Compare::Zero { x: v },
    }
}

/// Whether the whole 32- or 64-bit register counts.
fn wide(cx: &Cx<'_>, v: Value) -> bool {
    matches!(cx.ty(v), Type::I32 | Type::I64)
}

fn plan_compare(cx: &mut Cx<'_>, def: nopal_ir::Inst) -> Cond {
    match *cx.func.inst(def) {
        InstData::IntCompare { cond, args, .. } => plan_int(cx, cond, args),
        InstData::FloatCompare {
            cond, args: [x, y], ..
        } => {
            let (flags, swap) = float_cc(cond);
            let (x, y) = if swap { (y, x) } else { (x, y) };
            Cond {
                flags,
                compare: Compare::Float { x, y },
            }
        }
        _ => unreachable!("not a comparison"),
    }
}

fn plan_int(cx: &mut Cx<'_>, cond: IntCC, [x, y]: [Value; 2]) -> Cond {
    let (cond, x, y) = if cx.const_of(x).is_some() {
        (cond.swap_args(), y, x)
    } else {
        (cond, x, y)
    };
    let cc = int_cc(cond);
    if cx.const_of(y) != Some(0) || matches!(cc, Cc::A | Cc::Be | Cc::B | Cc::Ae) {
        return Cond {
            flags: Flags::One(cc),
            compare: Compare::Int { op: Alu::Cmp, x, y },
        };
    }
    // `x & y == 0` is one instruction; a comparison of a comparison is that comparison.
    if matches!(cc, Cc::E | Cc::Ne) {
        if wide(cx, x)
            && let Some(InstData::Binary { args: [a, b], .. }) = cx.fusible_op(x, Opcode::Band)
        {
            cx.mark_fused(x);
            let compare = Compare::Int {
                op: Alu::Test,
                x: a,
                y: b,
            };
            return Cond {
                flags: Flags::One(cc),
                compare,
            };
        }
        if let Some((inst, set)) = overflow::flag(cx, x, cx.current()) {
            cx.mark_flag_fused(x);
            let cc = if cc == Cc::E { set.invert() } else { set };
            return Cond {
                flags: Flags::One(cc),
                compare: Compare::Flag { inst },
            };
        }
        if let Some(def) = cx.fusible_any(x)
            && matches!(cx.func.opcode(def), Opcode::Icmp | Opcode::Fcmp)
        {
            cx.mark_fused(x);
            let inner = plan_compare(cx, def);
            let flags = if cc == Cc::E {
                inner.flags.invert()
            } else {
                inner.flags
            };
            return Cond { flags, ..inner };
        }
    }
    // The sign alone says the same, and other instructions leave it too.
    let cc = match cc {
        Cc::L => Cc::S,
        Cc::Ge => Cc::Ns,
        cc => cc,
    };
    Cond {
        flags: Flags::One(cc),
        compare: Compare::Zero { x },
    }
}

/// Emit the comparison, above the instructions that look at the flags.
pub(super) fn compare(cx: &mut Cx<'_>, cond: Cond) {
    cx.flags_live = true;
    match cond.compare {
        Compare::Zero { x } => {
            let of_result = matches!(cond.flags, Flags::One(Cc::E | Cc::Ne | Cc::S | Cc::Ns));
            zero_test(cx, x, of_result);
        }
        Compare::Flag { inst } => overflow::arithmetic(cx, inst),
        Compare::Int { op, x, y } => int_compare(cx, op, x, y),
        Compare::Float { x, y } => {
            let size = fsize(cx.ty(x));
            let a = cx.use_reg(x);
            match use_rm(cx, y) {
                Rm::Reg(b) => cx.emit(Inst::UcomisRR { size, a, b }),
                Rm::Mem(mem, trap) => emit_trapping(cx, Inst::UcomisRM { size, a, mem }, trap),
            }
        }
    }
    cx.flags_live = false;
}

/// The size at which to compare a value: comparisons come zero-extended.
fn compare_size(cx: &Cx<'_>, v: Value) -> Size {
    match cx.ty(v) {
        Type::I8 if is_bool(cx, v) => Size::S32,
        ty => mem_size(ty),
    }
}

fn is_bool(cx: &Cx<'_>, v: Value) -> bool {
    matches!(cx.func.value_def(cx.repr(v)), ValueDef::Result(i, _)
        if matches!(cx.func.opcode(i), Opcode::Icmp | Opcode::Fcmp))
}

/// Compare with zero. `of_result`: the flags that are looked at are those that arithmetic sets by its
/// result.
fn zero_test(cx: &mut Cx<'_>, x: Value, of_result: bool) {
    let size = compare_size(cx, x);
    if let Some((mem, trap)) = mem::load_operand(cx, x) {
        return emit_trapping(
            cx,
            Inst::AluMI {
                op: Alu::Cmp,
                size: mem_size(cx.ty(x)),
                mem,
                imm: 0,
            },
            trap,
        );
    }
    let r = cx.use_reg(x);
    if of_result {
        cx.zero_test = Some(cx.out.insts.len() as u32);
    }
    cx.emit(test(size, r));
}

/// Emit arithmetic of integers. If right below it the result is compared with zero, that comparison is
/// struck out: the arithmetic leaves the same flags.
pub(super) fn emit_arithmetic(cx: &mut Cx<'_>, size: Size, dst: PReg, inst: Inst, trap: MayTrap) {
    let last = cx.out.insts.len().wrapping_sub(1);
    if cx.zero_test == Some(last as u32) && cx.out.insts[last] == test(size, dst) {
        cx.out.insts[last] = Inst::OMITTED;
    }
    emit_trapping(cx, inst, trap);
}

fn int_compare(cx: &mut Cx<'_>, op: Alu, x: Value, y: Value) {
    let size = mem_size(cx.ty(x));
    if let Some(imm) = cx.imm32(y) {
        if let Some((mem, trap)) = mem::load_operand(cx, x) {
            return emit_trapping(cx, Inst::AluMI { op, size, mem, imm }, trap);
        }
        let dst = cx.use_reg(x);
        return cx.emit(Inst::AluRI { op, size, dst, imm });
    }
    // `cmp [mem], r` if the left side is a load, else `cmp r, r/m`.
    let left_load = cx
        .fusible(x)
        .is_some_and(|d| cx.func.opcode(d) == Opcode::Load);
    if left_load && let Some((mem, trap)) = mem::load_operand(cx, x) {
        let src = cx.use_reg(y);
        return emit_trapping(cx, Inst::AluMR { op, size, mem, src }, trap);
    }
    let dst = cx.use_reg(x);
    let right = mem::load_operand(cx, y).map(|(mem, trap)| Rm::Mem(mem, trap));
    match right.unwrap_or_else(|| use_rm(cx, y)) {
        Rm::Reg(src) => cx.emit(Inst::AluRR { op, size, dst, src }),
        Rm::Mem(mem, trap) if op == Alu::Test => {
            emit_trapping(
                cx,
                Inst::AluMR {
                    op,
                    size,
                    mem,
                    src: dst,
                },
                trap,
            );
        }
        Rm::Mem(mem, trap) => emit_trapping(cx, Inst::AluRM { op, size, dst, mem }, trap),
    }
}

/// A comparison whose result is wanted as 0 or 1, zero-extended.
pub(super) fn materialize(cx: &mut Cx<'_>, inst: nopal_ir::Inst) {
    let v = result(cx, inst);
    let dst = cx.def(v);
    cx.lock(dst);
    let cond = plan_compare(cx, inst);
    match cond.flags {
        Flags::One(cc) => {
            cx.emit(Inst::Setcc { cc, dst });
            compare(cx, cond);
            cx.emit(Inst::ZeroR { dst });
        }
        Flags::And(a, b) | Flags::Or(a, b) => {
            let other = cx.scratch(RegClass::Int);
            let op = if matches!(cond.flags, Flags::And(..)) {
                Alu::And
            } else {
                Alu::Or
            };
            cx.emit(Inst::AluRR {
                op,
                size: Size::S32,
                dst,
                src: other,
            });
            cx.emit(Inst::Setcc { cc: b, dst: other });
            cx.emit(Inst::Setcc { cc: a, dst });
            compare(cx, cond);
            cx.emit(Inst::ZeroR { dst: other });
            cx.emit(Inst::ZeroR { dst });
        }
    }
}

pub(super) fn select(cx: &mut Cx<'_>, inst: nopal_ir::Inst, [c, x, y]: [Value; 3]) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let dst = cx.def(v);
    if ty.is_float() {
        return select_float(cx, dst, c, x, y);
    }
    let cond = plan(cx, c);
    let size = op_size(ty);
    // `dst` starts out as one side and is replaced by the other.
    let (mut flags, mut keep, mut other) = (cond.flags, y, x);
    if let Flags::And(..) = flags {
        flags = flags.invert();
        core::mem::swap(&mut keep, &mut other);
    } else if matches!(flags, Flags::One(_)) && !cx.dies_here(keep) && cx.dies_here(other) {
        flags = flags.invert();
        core::mem::swap(&mut keep, &mut other);
    }
    let tied = cx.tie(dst, keep);
    cx.flags_live = true;
    let source = use_rm_untrapping(cx, other);
    let cmov = |cx: &mut Cx<'_>, cc| match source {
        Rm::Reg(src) => cx.emit(Inst::CmovRR { cc, size, dst, src }),
        Rm::Mem(mem, _) => cx.emit(Inst::CmovRM { cc, size, dst, mem }),
    };
    match flags {
        Flags::One(cc) => cmov(cx, cc),
        Flags::Or(a, b) => {
            cmov(cx, b);
            cmov(cx, a);
        }
        Flags::And(..) => unreachable!("inverted above"),
    }
    cx.finish_tie(tied);
    compare(cx, cond);
}

/// The operand in a register or its slot: a load must not be made conditional, and one that is
/// executed all the same gains nothing by being merged.
fn use_rm_untrapping(cx: &mut Cx<'_>, v: Value) -> Rm {
    match cx.use_any(v) {
        crate::select::Operand::Place(p) => Rm::Mem(crate::isa::x64::abi::place_mem(p), None),
        crate::select::Operand::Reg(r) => Rm::Reg(r),
        crate::select::Operand::Const(_) => Rm::Reg(cx.use_reg(v)),
    }
}

/// A float is selected by a branch around a move.
fn select_float(cx: &mut Cx<'_>, dst: PReg, c: Value, x: Value, y: Value) {
    let cond = plan(cx, c);
    let (mut flags, mut keep, mut other) = (cond.flags, x, y);
    if !cx.dies_here(keep) && cx.dies_here(other) {
        flags = flags.invert();
        core::mem::swap(&mut keep, &mut other);
    }
    // If the condition holds, `dst` keeps the first value, else it gets the other.
    let tied = cx.tie(dst, keep);
    cx.flags_live = true;
    let src = cx.use_reg(other);
    let done = cx.out.new_label();
    cx.emit(Inst::Bind { label: done });
    emit_mov(cx, dst, src);
    jump_if(cx, flags, done);
    cx.finish_tie(tied);
    compare(cx, cond);
}

/// Like [`select`], without a branch that could be predicted.
pub(super) fn select_guarded(cx: &mut Cx<'_>, inst: nopal_ir::Inst, args: [Value; 3]) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    if !ty.is_float() {
        return select(cx, inst, args);
    }
    let [c, x, y] = args;
    let size = if ty == Type::F64 {
        Size::S64
    } else {
        Size::S32
    };
    let cond = plan(cx, c);
    let dst = cx.def(v);
    cx.lock(dst);
    let chosen = cx.scratch(RegClass::Int);
    let other = cx.scratch(RegClass::Int);
    let (x, y) = (cx.use_reg(x), cx.use_reg(y));
    cx.emit(Inst::MovIntToF {
        size,
        dst,
        src: chosen,
    });
    let choose = |cx: &mut Cx<'_>, cc, dst, src| cx.emit(Inst::CmovRR { cc, size, dst, src });
    match cond.flags {
        Flags::One(cc) => choose(cx, cc, chosen, other),
        Flags::Or(a, b) => {
            choose(cx, b, chosen, other);
            choose(cx, a, chosen, other);
        }
        Flags::And(a, b) => {
            // Taken back if either does not hold.
            let back = cx.scratch(RegClass::Int);
            choose(cx, b.invert(), chosen, back);
            choose(cx, a.invert(), chosen, back);
            emit_mov(cx, chosen, other);
            emit_mov(cx, back, chosen);
        }
    }
    cx.flags_live = true;
    compare(cx, cond);
    for (dst, src) in [(chosen, y), (other, x)] {
        cx.emit(Inst::MovFToInt { size, dst, src });
    }
}

/// Jump if the flags say so; emitted upwards.
pub(super) fn jump_if(cx: &mut Cx<'_>, flags: Flags, target: crate::label::Label) {
    match flags {
        Flags::One(cc) => cx.emit(Inst::Jcc { cc, target }),
        Flags::Or(a, b) => {
            cx.emit(Inst::Jcc { cc: b, target });
            cx.emit(Inst::Jcc { cc: a, target });
        }
        Flags::And(a, b) => {
            let skip = cx.out.new_label();
            cx.emit(Inst::Bind { label: skip });
            cx.emit(Inst::Jcc { cc: b, target });
            cx.emit(Inst::Jcc {
                cc: a.invert(),
                target: skip,
            });
        }
    }
}
