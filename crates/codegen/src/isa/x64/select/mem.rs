//! Loads, stores and addresses.

use super::bits::swap_bytes;
use super::{Cx, MayTrap, emit_down, emit_trapping, fsize, mem_size, op_size, result};
use crate::isa::x64::frame::{STACK_ALIGNMENT, excess_alignment};
use crate::isa::x64::inst::{Alu, Base, Inst, Mem, PRegIndex, Size};
use crate::{PReg, RegClass};
use nopal_ir::{Endianness, InstData, MemFlags, Opcode, StackSlot, Type, Value};

/// A register or a memory operand.
#[derive(Clone, Copy)]
pub(super) enum Rm {
    Reg(PReg),
    Mem(Mem, MayTrap),
}

/// An address as it is put together.
#[derive(Clone, Copy)]
enum Part {
    Value(Value),
    Slot(i32),
}

/// The memory operand for `addr + offset`: additions, shifts of up to 3 and constants that are
/// used only here are merged.
pub(super) fn address(cx: &mut Cx<'_>, addr: Value, offset: i32) -> Mem {
    let mut disp = offset;
    let mut base = addr;
    let mut index = None;
    // Peel constants and one sum.
    while let Some(InstData::Binary { args: [x, y], .. }) = cx.fusible_op(base, Opcode::Iadd) {
        if let Some(sum) = cx.imm32(y).and_then(|c| disp.checked_add(c)) {
            cx.mark_fused(base);
            disp = sum;
            base = x;
            continue;
        }
        if index.is_some() {
            break;
        }
        cx.mark_fused(base);
        base = x;
        index = Some(y);
    }
    if index.is_none()
        && let Some((v, 1)) = scaled(cx, base)
    {
        // `x << 1` is `x + x`, which needs no 32-bit displacement.
        cx.mark_fused(base);
        let r = cx.use_reg(v);
        return Mem {
            disp,
            base: Base::Reg(r),
            index: Some(PRegIndex::new(r, 0)),
        };
    }
    let mut shift = 0;
    if let Some(i) = index {
        if let Some((v, s)) = scaled(cx, i) {
            cx.mark_fused(i);
            index = Some(v);
            shift = s;
        } else if let Some((v, s)) = scaled(cx, base) {
            cx.mark_fused(base);
            base = i;
            index = Some(v);
            shift = s;
        }
    }
    let base = match part(cx, base, disp) {
        Part::Value(v) => Base::Reg(cx.use_reg(v)),
        Part::Slot(sum) => {
            cx.mark_fused(base);
            disp = sum;
            Base::StackSlots
        }
    };
    let index = index.map(|v| PRegIndex::new(cx.use_reg(v), shift));
    Mem { disp, base, index }
}

/// A base that is a stack slot's address is folded into the displacement.
fn part(cx: &Cx<'_>, v: Value, disp: i32) -> Part {
    if let Some(def) = cx.fusible(v)
        && let InstData::StackAddr { slot, offset, .. } = *cx.func.inst(def)
        && excess_alignment(cx.func.stack_slot(slot)).is_none()
        && let Some(sum) = slot_offset(cx, slot)
            .checked_add(offset)
            .and_then(|o| o.checked_add(disp))
    {
        return Part::Slot(sum);
    }
    Part::Value(v)
}

fn slot_offset(cx: &Cx<'_>, slot: StackSlot) -> i32 {
    cx.slot_offset(slot) as i32
}

/// `x` and `k` if `v` is `x << k` with `k` of 1 to 3, 64 bits wide and used only here.
fn scaled(cx: &Cx<'_>, v: Value) -> Option<(Value, u8)> {
    if cx.ty(v) != Type::I64 {
        return None;
    }
    let InstData::Binary { args: [x, y], .. } = cx.fusible_op(v, Opcode::Ishl)? else {
        return None;
    };
    match cx.const_of(y)? & 63 {
        k @ 1..=3 => Some((x, k as u8)),
        _ => None,
    }
}

pub(super) fn may_trap(cx: &Cx<'_>, flags: MemFlags, inst: nopal_ir::Inst) -> MayTrap {
    flags.trap_code().map(|code| (code, cx.func.srcloc(inst)))
}

/// Whether the bytes of an access are in the other order.
fn reversed(flags: MemFlags) -> bool {
    flags.explicit_endianness() == Some(Endianness::Big)
}

/// The memory operand of a `load` of any width that only the current instruction uses.
pub(super) fn load_operand(cx: &mut Cx<'_>, v: Value) -> Option<(Mem, MayTrap)> {
    let def = cx.fusible(v)?;
    let InstData::Load {
        opcode: Opcode::Load,
        flags,
        arg,
        offset,
    } = *cx.func.inst(def)
    else {
        return None;
    };
    if reversed(flags) {
        return None;
    }
    cx.mark_fused(v);
    let trap = may_trap(cx, flags, def);
    Some((address(cx, arg, offset), trap))
}

/// Like [`load_operand`], for instructions that compute narrow integers in 32 bits, which the
/// memory may not have.
pub(super) fn fused_load(cx: &mut Cx<'_>, v: Value) -> Option<Rm> {
    if matches!(cx.ty(v), Type::I8 | Type::I16) {
        return None;
    }
    load_operand(cx, v).map(|(mem, trap)| Rm::Mem(mem, trap))
}

/// The instruction for a load of type `ty`.
fn load_inst(opcode: Opcode, ty: Type, dst: PReg, mem: Mem) -> Inst {
    let to = if ty == Type::I64 {
        Size::S64
    } else {
        Size::S32
    };
    match opcode {
        Opcode::Uload8 => Inst::LoadZx {
            from: Size::S8,
            dst,
            mem,
        },
        Opcode::Uload16 => Inst::LoadZx {
            from: Size::S16,
            dst,
            mem,
        },
        Opcode::Uload32 => Inst::LoadZx {
            from: Size::S32,
            dst,
            mem,
        },
        Opcode::Sload8 => Inst::LoadSx {
            from: Size::S8,
            to,
            dst,
            mem,
        },
        Opcode::Sload16 => Inst::LoadSx {
            from: Size::S16,
            to,
            dst,
            mem,
        },
        Opcode::Sload32 => Inst::LoadSx {
            from: Size::S32,
            to: Size::S64,
            dst,
            mem,
        },
        _ if ty.is_float() => Inst::FLoad {
            size: fsize(ty),
            dst,
            mem,
        },
        _ => Inst::LoadZx {
            from: mem_size(ty),
            dst,
            mem,
        },
    }
}

pub(super) fn load(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    opcode: Opcode,
    flags: MemFlags,
    arg: Value,
    offset: i32,
) {
    let v = result(cx, inst);
    let ty = cx.ty(v);
    let trap = may_trap(cx, flags, inst);
    if reversed(flags) {
        return load_reversed(cx, opcode, v, arg, offset, trap);
    }
    let dst = cx.def(v);
    let mem = address(cx, arg, offset);
    emit_trapping(cx, load_inst(opcode, ty, dst, mem), trap);
}

/// The size of what is read or written.
fn access_size(opcode: Opcode, ty: Type) -> Size {
    match opcode {
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => Size::S8,
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => Size::S16,
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => Size::S32,
        _ if ty == Type::F64 => Size::S64,
        _ => mem_size(ty),
    }
}

/// Load, reverse the bytes, and extend.
fn load_reversed(
    cx: &mut Cx<'_>,
    opcode: Opcode,
    v: Value,
    arg: Value,
    offset: i32,
    trap: MayTrap,
) {
    let ty = cx.ty(v);
    let from = access_size(opcode, ty);
    let wanted = cx.def(v);
    let dst = if ty.is_float() {
        cx.scratch(RegClass::Int)
    } else {
        wanted
    };
    let mem = address(cx, arg, offset);
    if ty.is_float() {
        cx.emit(Inst::MovIntToF {
            size: from,
            dst: wanted,
            src: dst,
        });
    } else if let Opcode::Sload8 | Opcode::Sload16 | Opcode::Sload32 = opcode {
        let to = op_size(ty);
        cx.emit(Inst::MovsxRR {
            from,
            to,
            dst,
            src: dst,
        });
    }
    if from != Size::S8 {
        cx.emit(swap_bytes(dst, from));
    }
    emit_trapping(cx, Inst::LoadZx { from, dst, mem }, trap);
}

/// Store a copy whose bytes are reversed.
fn store_reversed(
    cx: &mut Cx<'_>,
    opcode: Opcode,
    value: Value,
    addr: Value,
    offset: i32,
    trap: MayTrap,
) {
    let ty = cx.ty(value);
    let size = access_size(opcode, ty);
    let src = cx.scratch(RegClass::Int);
    // The address, which may depend on the value, is read after its bytes have been reversed.
    let copy = (!ty.is_float()).then(|| cx.use_copy(value, src));
    let float = ty.is_float().then(|| cx.use_reg(value));
    let mem = address(cx, addr, offset);
    emit_trapping(cx, Inst::StoreMR { size, mem, src }, trap);
    if size != Size::S8 {
        cx.emit(swap_bytes(src, size));
    }
    if let Some(float) = float {
        cx.emit(Inst::MovFToInt {
            size,
            dst: src,
            src: float,
        });
    }
    if let Some(copy) = copy {
        cx.finish_tie(copy);
    }
}

pub(super) fn store(
    cx: &mut Cx<'_>,
    opcode: Opcode,
    flags: MemFlags,
    [value, addr]: [Value; 2],
    offset: i32,
) {
    let ty = cx.ty(value);
    let size = match opcode {
        Opcode::Istore8 => Size::S8,
        Opcode::Istore16 => Size::S16,
        Opcode::Istore32 => Size::S32,
        _ => mem_size(ty),
    };
    let srcloc = cx.srcloc();
    let trap = flags.trap_code().map(|code| (code, srcloc));
    if reversed(flags) {
        return store_reversed(cx, opcode, value, addr, offset, trap);
    }
    let inst = if let Some(imm) = store_immediate(cx, value, size) {
        let mem = address(cx, addr, offset);
        let size = if ty == Type::F64 { Size::S64 } else { size };
        Inst::StoreMI { size, mem, imm }
    } else {
        let src = cx.use_reg(value);
        let mem = address(cx, addr, offset);
        if ty.is_float() {
            Inst::FStore {
                size: fsize(ty),
                mem,
                src,
            }
        } else {
            Inst::StoreMR { size, mem, src }
        }
    };
    emit_trapping(cx, inst, trap);
}

/// The immediate to store for a constant, if one instruction can store it.
fn store_immediate(cx: &Cx<'_>, value: Value, size: Size) -> Option<i32> {
    if let Some(bits) = cx.float_const(value) {
        return match cx.ty(value) {
            Type::F32 => Some(bits as u32 as i32),
            _ => i32::try_from(bits as i64).ok(),
        };
    }
    let c = cx.const_of(value)?;
    match size {
        Size::S64 => i32::try_from(c).ok(),
        Size::S32 => Some(c as i32),
        Size::S16 => Some(c as i16 as i32),
        Size::S8 => Some(c as i8 as i32),
    }
}

pub(super) fn stack_addr(cx: &mut Cx<'_>, inst: nopal_ir::Inst, slot: StackSlot, offset: i32) {
    let v = result(cx, inst);
    let dst = cx.def(v);
    let at = slot_offset(cx, slot);
    let size = Size::S64;
    let lea = |disp, base| {
        let index = None;
        let mem = Mem { disp, base, index };
        Inst::Lea { size, dst, mem }
    };
    let Some(excess) = excess_alignment(cx.func.stack_slot(slot)) else {
        return cx.emit(lea(at.wrapping_add(offset), Base::StackSlots));
    };
    if offset != 0 {
        cx.emit(lea(offset, Base::Reg(dst)));
    }
    // The last multiple of the alignment that leaves room for the slot.
    emit_down(
        cx,
        &[
            lea(at + excess, Base::StackSlots),
            Inst::AluRI {
                op: Alu::And,
                size,
                dst,
                imm: -(excess + STACK_ALIGNMENT as i32),
            },
        ],
    );
}
