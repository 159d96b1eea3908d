//! Selection rules.
//!
//! A rule reads bottom-up: it asks where its result is wanted, then for its operands, emits the
//! instruction, and then what must stand above it.

pub(crate) mod branch;
mod cond;
mod convert;
mod div;
mod float;
mod int;
mod mem;
mod shift;

use super::abi::X64;
use super::inst::{FSize, Inst, Mem, Size};
use crate::PReg;
use crate::context::CodegenError;
use crate::select::{Operand, Selector};
use mem::Rm;
use nopal_ir::{InstData, Opcode, SourceLoc, TrapCode, Type, Value};

/// The walk, on x86-64.
pub(crate) type Cx<'a> = Selector<'a, X64>;

/// Why and where the next instruction above may trap.
pub(crate) type MayTrap = Option<(TrapCode, SourceLoc)>;

/// The operand size for arithmetic on an integer type: the upper bits of narrow ones are free.
fn op_size(ty: Type) -> Size {
    if ty == Type::I64 {
        Size::S64
    } else {
        Size::S32
    }
}

/// The size of an integer type in memory.
fn mem_size(ty: Type) -> Size {
    match ty {
        Type::I8 => Size::S8,
        Type::I16 => Size::S16,
        Type::I64 => Size::S64,
        _ => Size::S32,
    }
}

fn fsize(ty: Type) -> FSize {
    if ty == Type::F32 {
        FSize::F32
    } else {
        FSize::F64
    }
}

/// Emit an instruction that may trap.
fn emit_trapping(cx: &mut Cx<'_>, inst: Inst, trap: MayTrap) {
    cx.emit(inst);
    if let Some((code, srcloc)) = trap {
        cx.emit(Inst::MayTrap { code, srcloc });
    }
}

/// The operand in a register or in memory: a load that is used only here is merged.
fn use_rm(cx: &mut Cx<'_>, v: Value) -> Rm {
    if let Some(rm) = mem::fused_load(cx, v) {
        return rm;
    }
    match cx.use_any(v) {
        Operand::Reg(r) => Rm::Reg(r),
        Operand::Place(p) => Rm::Mem(super::abi::place_mem(p), None),
        Operand::Const(_) => match cx.float_const(v) {
            Some(bits) if bits != 0 => {
                let ty = cx.ty(v);
                Rm::Mem(super::abi::float_constant(cx.out, bits, ty), None)
            }
            _ => Rm::Reg(cx.use_reg(v)),
        },
    }
}

/// The result of the instruction being selected.
fn result(cx: &Cx<'_>, inst: nopal_ir::Inst) -> Value {
    cx.func.first_result(inst)
}

/// Select one instruction.
pub(crate) fn lower(cx: &mut Cx<'_>, inst: nopal_ir::Inst) -> Result<(), CodegenError> {
    use Opcode::*;
    let data = *cx.func.inst(inst);
    match data {
        InstData::Load {
            opcode,
            flags,
            arg,
            offset,
        } => {
            mem::load(cx, inst, opcode, flags, arg, offset);
        }
        InstData::Store {
            opcode,
            flags,
            args,
            offset,
        } => {
            mem::store(cx, opcode, flags, args, offset);
        }
        InstData::StackAddr { slot, offset, .. } => mem::stack_addr(cx, inst, slot, offset),
        InstData::IntCompare { .. } | InstData::FloatCompare { .. } => cond::materialize(cx, inst),
        InstData::Trap { code, .. } => {
            let srcloc = cx.srcloc();
            cx.emit(Inst::Ud2 { code, srcloc });
        }
        InstData::CondTrap { opcode, arg, code } => {
            branch::cond_trap(cx, arg, code, opcode == Trapz);
        }
        InstData::Ternary {
            opcode: Select,
            args,
        } => cond::select(cx, inst, args),
        InstData::Binary {
            opcode,
            args: [x, y],
        } => match opcode {
            Iadd | Isub | Imul | Band | Bor | Bxor | Umulhi | Smulhi => {
                int::binary(cx, inst, opcode, x, y);
            }
            Udiv | Sdiv | Urem | Srem => div::divide(cx, inst, opcode, x, y),
            Ishl | Ushr | Sshr | Rotl | Rotr => shift::shift(cx, inst, opcode, x, y),
            _ => float::binary(cx, inst, opcode, x, y),
        },
        InstData::Unary { opcode, arg } => match opcode {
            Ineg | Bnot | Clz | Ctz | Popcnt => int::unary(cx, inst, opcode, arg),
            Sqrt | Fneg | Fabs | Ceil | Floor | Trunc | Nearest => {
                float::unary(cx, inst, opcode, arg);
            }
            _ => {
                convert::check(opcode, cx.ty(result(cx, inst)))?;
                convert::convert(cx, inst, opcode, arg);
            }
        },
        _ => {
            return Err(CodegenError::Unsupported(format!(
                "{} on x86-64",
                data.opcode()
            )));
        }
    }
    Ok(())
}

/// `mov dst, src` of 64 bits, or nothing.
fn emit_mov(cx: &mut Cx<'_>, dst: PReg, src: PReg) {
    if dst != src {
        cx.emit(<X64 as crate::select::Isa>::mov(dst, src));
    }
}

/// A float constant in memory.
fn float_mem(cx: &mut Cx<'_>, value: f64, ty: Type) -> Mem {
    let bits = if ty == Type::F32 {
        (value as f32).to_bits().into()
    } else {
        value.to_bits()
    };
    super::abi::float_constant(cx.out, bits, ty)
}
