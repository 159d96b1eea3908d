//! Atomic accesses. All are sequentially consistent, which loads and read-modify-write instructions
//! are by themselves; a store is an exchange.

use super::{Cx, emit_down, emit_mov, emit_trapping, mem, mem_size, op_size, result};
use crate::context::CodegenError;
use crate::isa::x64::inst::{Alu, Cc, Inst, Mem, Size, Unary};
use crate::isa::x64::regs::{RAX, RBX, RCX, RDX};
use crate::{PReg, RegClass};
use nopal_ir::{AtomicRmwOp, Endianness, InstData, MemFlags, Opcode, Type, Value};

/// The other byte order would need a loop for most operations.
fn check_order(flags: MemFlags) -> Result<(), CodegenError> {
    match flags.explicit_endianness() {
        Some(Endianness::Big) => {
            let what = "a big-endian atomic access on x86-64";
            Err(CodegenError::Unsupported(what.into()))
        }
        Some(Endianness::Little) | None => Ok(()),
    }
}

pub(super) fn load(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    flags: MemFlags,
    addr: Value,
) -> Result<(), CodegenError> {
    check_order(flags)?;
    let v = result(cx, inst);
    let from = mem_size(cx.ty(v));
    let dst = cx.def(v);
    let mem = mem::address(cx, addr, 0);
    let trap = mem::may_trap(cx, flags, inst);
    emit_trapping(cx, Inst::LoadZx { from, dst, mem }, trap);
    Ok(())
}

pub(super) fn store(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    flags: MemFlags,
    value: Value,
    addr: Value,
) -> Result<(), CodegenError> {
    check_order(flags)?;
    let size = mem_size(cx.ty(value));
    let reg = cx.scratch(RegClass::Int);
    let copy = cx.tie(reg, value);
    let mem = mem::address(cx, addr, 0);
    let trap = mem::may_trap(cx, flags, inst);
    emit_trapping(cx, Inst::XchgMR { size, mem, reg }, trap);
    cx.finish_tie(copy);
    Ok(())
}

pub(super) fn cas(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    flags: MemFlags,
    [addr, expected, new]: [Value; 3],
) -> Result<(), CodegenError> {
    check_order(flags)?;
    if cx.ty(expected) == Type::I128 {
        cas_16(cx, inst, flags, addr, [expected, new]);
        return Ok(());
    }
    let v = result(cx, inst);
    let size = mem_size(cx.ty(v));
    cx.def_fixed(v, RAX);
    let tied = cx.tie(RAX, expected);
    let src = cx.use_reg(new);
    let mem = mem::address(cx, addr, 0);
    let trap = mem::may_trap(cx, flags, inst);
    emit_trapping(cx, Inst::LockCmpxchg { size, mem, src }, trap);
    cx.finish_tie(tied);
    Ok(())
}

/// The two results are halves; the operands are put together right above, and taken apart here.
fn cas_16(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    flags: MemFlags,
    addr: Value,
    operands: [Value; 2],
) {
    let mut results = cx.func.inst_results(inst);
    for r in [RAX, RDX] {
        let half = results.next().expect("two halves");
        cx.def_fixed(half, r);
    }
    let [[e0, e1], [n0, n1]] = operands.map(|v| {
        let Some(InstData::Binary { args, .. }) = cx.fusible_op(v, Opcode::Iconcat) else {
            unreachable!("the halves are put together right above")
        };
        cx.mark_fused(v);
        args
    });
    let ties = [
        cx.tie(RAX, e0),
        cx.tie(RDX, e1),
        cx.use_fixed(n0, RBX),
        cx.use_fixed(n1, RCX),
    ];
    let mem = mem::address(cx, addr, 0);
    let trap = mem::may_trap(cx, flags, inst);
    emit_trapping(cx, Inst::LockCmpxchg16b { mem }, trap);
    for tied in ties {
        cx.finish_tie(tied);
    }
}

pub(super) fn rmw(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    op: AtomicRmwOp,
    flags: MemFlags,
    [addr, operand]: [Value; 2],
) -> Result<(), CodegenError> {
    check_order(flags)?;
    let v = result(cx, inst);
    let trap = mem::may_trap(cx, flags, inst);
    let size = mem_size(cx.ty(v));
    let alu = match op {
        AtomicRmwOp::Add => Some(Alu::Add),
        AtomicRmwOp::Sub => Some(Alu::Sub),
        AtomicRmwOp::And => Some(Alu::And),
        AtomicRmwOp::Or => Some(Alu::Or),
        AtomicRmwOp::Xor => Some(Alu::Xor),
        _ => None,
    };
    match (op, alu) {
        // Nobody asks what was there.
        (_, Some(op)) if !cx.is_wanted(v) => {
            let src = cx.use_reg(operand);
            let mem = mem::address(cx, addr, 0);
            emit_trapping(cx, Inst::LockAluMR { op, size, mem, src }, trap);
        }
        (AtomicRmwOp::Add | AtomicRmwOp::Sub | AtomicRmwOp::Xchg, _) => {
            let reg = cx.def(v);
            // The address is read after the operand has been negated.
            let tied = if op == AtomicRmwOp::Sub {
                cx.lock(reg);
                cx.use_copy(operand, reg)
            } else {
                cx.tie(reg, operand)
            };
            let mem = mem::address(cx, addr, 0);
            let exchange = if op == AtomicRmwOp::Xchg {
                Inst::XchgMR { size, mem, reg }
            } else {
                Inst::LockXadd { size, mem, reg }
            };
            emit_trapping(cx, exchange, trap);
            if op == AtomicRmwOp::Sub {
                cx.emit(Inst::UnaryR {
                    op: Unary::Neg,
                    size: op_size(cx.ty(v)),
                    dst: reg,
                });
            }
            cx.finish_tie(tied);
        }
        _ => compare_and_swap_loop(cx, v, op, [addr, operand], size, trap),
    }
    Ok(())
}

/// Compute the new value from the old one until nobody has changed that meanwhile.
fn compare_and_swap_loop(
    cx: &mut Cx<'_>,
    v: Value,
    op: AtomicRmwOp,
    [addr, operand]: [Value; 2],
    size: Size,
    trap: super::MayTrap,
) {
    cx.def_fixed(v, RAX);
    let new = cx.scratch(RegClass::Int);
    let operand = cx.use_reg(operand);
    let mem: Mem = mem::address(cx, addr, 0);
    let again = cx.out.new_label();
    cx.emit(Inst::Jcc {
        cc: Cc::Ne,
        target: again,
    });
    emit_trapping(
        cx,
        Inst::LockCmpxchg {
            size,
            mem,
            src: new,
        },
        trap,
    );
    combine(cx, op, new, operand, size);
    emit_mov(cx, new, RAX);
    cx.emit(Inst::Bind { label: again });
    emit_trapping(
        cx,
        Inst::LoadZx {
            from: size,
            dst: RAX,
            mem,
        },
        trap,
    );
}

/// `new`, a copy of `rax`, combined with the operand.
fn combine(cx: &mut Cx<'_>, op: AtomicRmwOp, new: PReg, operand: PReg, size: Size) {
    let wide = if size == Size::S64 {
        Size::S64
    } else {
        Size::S32
    };
    let alu = |op| Inst::AluRR {
        op,
        size: wide,
        dst: new,
        src: operand,
    };
    let replace_if = |cc| {
        let compare = Inst::AluRR {
            op: Alu::Cmp,
            size,
            dst: new,
            src: operand,
        };
        let replace = Inst::CmovRR {
            cc,
            size: wide,
            dst: new,
            src: operand,
        };
        [compare, replace]
    };
    match op {
        AtomicRmwOp::Add => cx.emit(alu(Alu::Add)),
        AtomicRmwOp::Sub => cx.emit(alu(Alu::Sub)),
        AtomicRmwOp::And => cx.emit(alu(Alu::And)),
        AtomicRmwOp::Or => cx.emit(alu(Alu::Or)),
        AtomicRmwOp::Xor => cx.emit(alu(Alu::Xor)),
        AtomicRmwOp::Nand => emit_down(
            cx,
            &[
                alu(Alu::And),
                Inst::UnaryR {
                    op: Unary::Not,
                    size: wide,
                    dst: new,
                },
            ],
        ),
        AtomicRmwOp::Xchg => emit_mov(cx, new, operand),
        AtomicRmwOp::Umin => emit_down(cx, &replace_if(Cc::A)),
        AtomicRmwOp::Umax => emit_down(cx, &replace_if(Cc::B)),
        AtomicRmwOp::Smin => emit_down(cx, &replace_if(Cc::G)),
        AtomicRmwOp::Smax => emit_down(cx, &replace_if(Cc::L)),
    }
}
