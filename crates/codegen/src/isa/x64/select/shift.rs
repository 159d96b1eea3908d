//! Shifts and rotates.

use super::{Cx, emit_mov, int, mem_size, op_size, result};
use crate::RegClass;
use crate::isa::x64::inst::{Alu, Inst, Mem, Shift, Size};
use crate::isa::x64::regs::RCX;
use nopal_ir::{Opcode, Type, Value};

pub(super) fn shift(cx: &mut Cx<'_>, inst: nopal_ir::Inst, opcode: Opcode, x: Value, y: Value) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let op = match opcode {
        Opcode::Ishl => Shift::Shl,
        Opcode::Ushr => Shift::Shr,
        Opcode::Sshr => Shift::Sar,
        Opcode::Rotl => Shift::Rol,
        Opcode::Rotr => Shift::Ror,
        _ => unreachable!("{opcode} is no shift"),
    };
    let narrow = matches!(ty, Type::I8 | Type::I16);
    match cx.const_of(y) {
        Some(c) => by_constant(
            cx,
            v,
            x,
            op,
            (c as u64 & u64::from(ty.bits() - 1)) as u8,
            ty,
        ),
        None if narrow => narrow_variable(cx, v, x, y, op, ty),
        None => variable(cx, v, x, y, op, op_size(ty)),
    }
}

/// What a narrow right shift brings in at the top must be the extension of the value.
fn needs_extension(op: Shift, ty: Type) -> bool {
    matches!(op, Shift::Shr | Shift::Sar) && matches!(ty, Type::I8 | Type::I16)
}

/// The size of the instruction: rotates are of the value's own width.
fn shift_size(op: Shift, ty: Type) -> Size {
    if matches!(op, Shift::Rol | Shift::Ror) {
        mem_size(ty)
    } else {
        op_size(ty)
    }
}

fn by_constant(cx: &mut Cx<'_>, v: Value, x: Value, op: Shift, imm: u8, ty: Type) {
    let size = shift_size(op, ty);
    let dst = cx.def(v);
    if needs_extension(op, ty) {
        let src = cx.use_reg(x);
        cx.emit(Inst::ShiftRI { op, size, dst, imm });
        return cx.emit(int::extend(ty, op == Shift::Sar, dst, src));
    }
    if op == Shift::Shl && (1..=3).contains(&imm) && !cx.dies_here(x) {
        let src = cx.use_reg(x);
        let mem = if imm == 1 {
            Mem::base_index(src, src, 0, 0)
        } else {
            let index = Some(crate::isa::x64::inst::PRegIndex::new(src, imm));
            Mem {
                disp: 0,
                base: crate::isa::x64::inst::Base::None,
                index,
            }
        };
        return cx.emit(Inst::Lea { size, dst, mem });
    }
    if matches!(op, Shift::Rol | Shift::Ror)
        && cx.flags.cpu.bmi2
        && !cx.dies_here(x)
        && matches!(size, Size::S32 | Size::S64)
    {
        let bits = ty.bits() as u8;
        let imm = if op == Shift::Rol {
            (bits - imm) & (bits - 1)
        } else {
            imm
        };
        let src = cx.use_reg(x);
        return cx.emit(Inst::Rorx {
            size,
            dst,
            src,
            imm,
        });
    }
    let tied = cx.tie(dst, x);
    if imm != 0 {
        cx.emit(Inst::ShiftRI { op, size, dst, imm });
    }
    cx.finish_tie(tied);
}

fn variable(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, op: Shift, size: Size) {
    if cx.flags.cpu.bmi2 && matches!(op, Shift::Shl | Shift::Shr | Shift::Sar) {
        let dst = cx.def(v);
        let src = cx.use_reg(x);
        let amount = cx.use_reg(y);
        return cx.emit(Inst::ShiftX {
            op,
            size,
            dst,
            src,
            amount,
        });
    }
    by_cl(
        cx,
        v,
        x,
        y,
        |cx, dst| cx.emit(Inst::ShiftRC { op, size, dst }),
        None,
    );
}

/// Shift by `cl`: `emit` the shift, with the amount masked above it by `mask` if given.
fn by_cl(
    cx: &mut Cx<'_>,
    v: Value,
    x: Value,
    y: Value,
    emit: impl FnOnce(&mut Cx<'_>, crate::PReg),
    mask: Option<i32>,
) {
    let mut dst = cx.def(v);
    if dst == RCX {
        // The amount has that register.
        cx.lock(RCX);
        let other = cx.scratch(RegClass::Int);
        emit_mov(cx, RCX, other);
        dst = other;
    }
    cx.lock(dst);
    // A mask overwrites the amount, so it must not be the register the value lives in.
    let amount = match mask {
        None => cx.use_fixed(y, RCX),
        Some(_) => {
            cx.scratch_fixed(RCX);
            cx.use_copy(y, RCX)
        }
    };
    let tied = cx.tie(dst, x);
    emit(cx, dst);
    cx.finish_tie(tied);
    if let Some(imm) = mask {
        cx.emit(Inst::AluRI {
            op: Alu::And,
            size: Size::S32,
            dst: RCX,
            imm,
        });
    }
    cx.finish_tie(amount);
}

/// Narrow values: extend, mask the amount, and shift in 32 bits. Rotates work in their own width,
/// which divides the 32 that the hardware takes the amount modulo of.
fn narrow_variable(cx: &mut Cx<'_>, v: Value, x: Value, y: Value, op: Shift, ty: Type) {
    let size = shift_size(op, ty);
    let mask = (!matches!(op, Shift::Rol | Shift::Ror)).then_some(ty.bits() as i32 - 1);
    let extend = needs_extension(op, ty);
    let shift = |cx: &mut Cx<'_>, dst| {
        cx.emit(Inst::ShiftRC { op, size, dst });
        if extend {
            cx.emit(int::extend(ty, op == Shift::Sar, dst, dst));
        }
    };
    by_cl(cx, v, x, y, shift, mask);
}
