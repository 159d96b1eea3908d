//! Selection rules.
//!
//! A rule reads bottom-up: it asks where its result is wanted, then for its operands, emits the
//! instruction, and then what must stand above it.

mod atomic;
mod bits;
pub(crate) mod branch;
mod cond;
mod convert;
mod div;
mod float;
mod int;
mod mem;
mod minmax;
mod overflow;
mod round;
mod shift;
mod special;
mod stack_limit;

pub(crate) use stack_limit::check_stack;

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
pub(super) fn mem_size(ty: Type) -> Size {
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

/// Emit instructions that are written as they stand, from above to below.
fn emit_down(cx: &mut Cx<'_>, insts: &[Inst]) {
    for &inst in insts.iter().rev() {
        cx.emit(inst);
    }
}

/// The result of the instruction being selected.
fn result(cx: &Cx<'_>, inst: nopal_ir::Inst) -> Value {
    cx.func.first_result(inst)
}

/// The operands of an instruction that has `N` of them.
fn operands<const N: usize>(data: &InstData) -> [Value; N] {
    let args = data.value_operands();
    args.try_into()
        .expect("the number of operands its opcode has")
}

/// Select one instruction. Every opcode has an arm; types that no register holds have been refused.
pub(crate) fn lower(cx: &mut Cx<'_>, inst: nopal_ir::Inst) -> Result<(), CodegenError> {
    use Opcode::*;
    let data = *cx.func.inst(inst);
    let opcode = data.opcode();
    match opcode {
        Load | Uload8 | Sload8 | Uload16 | Sload16 | Uload32 | Sload32 | Store | Istore8
        | Istore16 | Istore32 | StackAddr | AtomicRmw | AtomicCas | AtomicLoad | AtomicStore => {
            memory_access(cx, inst, data)?;
        }
        Fence => cx.emit(Inst::Mfence),
        Icmp | Fcmp => cond::materialize(cx, inst),
        Select => cond::select(cx, inst, operands(&data)),
        SelectSpectreGuard => cond::select_guarded(cx, inst, operands(&data)),
        Trap | Trapz | Trapnz | UaddOverflowTrap | Debugtrap => trap(cx, inst, data),

        Iadd | Isub | Imul | Band | Bor | Bxor | Umulhi | Smulhi => {
            let [x, y] = operands(&data);
            let v = result(cx, inst);
            if cx.ty(v).is_float() {
                float::bitwise(cx, v, opcode, x, y);
            } else {
                int::binary(cx, inst, opcode, x, y);
            }
        }
        Udiv | Sdiv | Urem | Srem => {
            let [x, y] = operands(&data);
            div::divide(cx, inst, opcode, x, y);
        }
        Ishl | Ushr | Sshr | Rotl | Rotr => {
            let [x, y] = operands(&data);
            shift::shift(cx, inst, opcode, x, y);
        }
        Smin | Umin | Smax | Umax => {
            let ([x, y], v) = (operands(&data), result(cx, inst));
            minmax::min_max(cx, v, opcode, x, y);
        }
        Ineg | Iabs | Bnot | Clz | Ctz | Popcnt | Bitrev | Cls | Bswap => {
            let [x] = operands(&data);
            let v = result(cx, inst);
            if cx.ty(v).is_float() {
                float::not(cx, v, x);
            } else {
                int::unary(cx, inst, opcode, x);
            }
        }
        UaddOverflow | SaddOverflow | UsubOverflow | SsubOverflow | UmulOverflow | SmulOverflow
        | UaddOverflowCin | SaddOverflowCin | UsubOverflowBin | SsubOverflowBin => {
            overflow::lower(cx, inst)
        }
        Bitselect => bits::bitselect(cx, result(cx, inst), operands(&data)),
        Isplit => {
            let [x] = operands(&data);
            bits::isplit(cx, inst, x);
        }
        Iconcat => {
            let ([lo, hi], v) = (operands(&data), result(cx, inst));
            bits::iconcat(cx, v, lo, hi);
        }

        Fadd | Fsub | Fmul | Fdiv | Fcopysign | Fmin | Fmax => {
            let [x, y] = operands(&data);
            float::binary(cx, inst, opcode, x, y);
        }
        Sqrt | Fneg | Fabs | Ceil | Floor | Trunc | Nearest => {
            let [x] = operands(&data);
            float::unary(cx, inst, opcode, x);
        }
        Fma => float::fma(cx, inst, operands(&data)),
        Bitcast | Ireduce | Uextend | Sextend | Bmask | Fpromote | Fdemote | FcvtToUint
        | FcvtToSint | FcvtToUintSat | FcvtToSintSat | FcvtFromUint | FcvtFromSint => {
            let [x] = operands(&data);
            convert::convert(cx, inst, opcode, x);
        }

        FuncAddr | SymbolValue | GetPinnedReg | SetPinnedReg | GetFramePointer
        | GetStackPointer | GetReturnAddress => special::lower(cx, inst, data)?,
        Nop | SequencePoint => {}

        TlsValue
        | StackSwitch
        | DynamicStackAddr
        | GetExceptionHandlerAddress
        | F16const
        | F128const
        | Vconst
        | Shuffle
        | Swizzle
        | X86Pshufb
        | Blendv
        | VanyTrue
        | VallTrue
        | VhighBits
        | Splat
        | ScalarToVector
        | Insertlane
        | Extractlane
        | ExtractVector
        | AvgRound
        | UaddSat
        | SaddSat
        | UsubSat
        | SsubSat
        | SqmulRoundSat
        | X86Pmulhrsw
        | X86Pmaddubsw
        | IaddPairwise
        | Snarrow
        | Unarrow
        | Uunarrow
        | SwidenLow
        | SwidenHigh
        | UwidenLow
        | UwidenHigh
        | Fvdemote
        | FvpromoteLow
        | X86Cvtt2dq
        | Uload8x8
        | Sload8x8
        | Uload16x4
        | Sload16x4
        | Uload32x2
        | Sload32x2 => {
            return Err(CodegenError::Unsupported(format!("{opcode} on x86-64")));
        }
        Iconst | F32const | F64const => unreachable!("constants are made where they are wanted"),
        Jump | Brif | BrTable | Return | ReturnCall | ReturnCallIndirect | TryCall
        | TryCallIndirect => unreachable!("terminators are selected with their blocks"),
        Call | CallIndirect => unreachable!("calls are selected by the walk"),
    }
    Ok(())
}

/// Loads, stores, addresses of stack slots, atomic accesses.
fn memory_access(
    cx: &mut Cx<'_>,
    inst: nopal_ir::Inst,
    data: InstData,
) -> Result<(), CodegenError> {
    match data {
        InstData::Load {
            opcode,
            flags,
            arg,
            offset,
        } => mem::load(cx, inst, opcode, flags, arg, offset),
        InstData::Store {
            opcode,
            flags,
            args,
            offset,
        } => mem::store(cx, opcode, flags, args, offset),
        InstData::StackAddr { slot, offset, .. } => mem::stack_addr(cx, inst, slot, offset),
        InstData::AtomicRmw {
            op, flags, args, ..
        } => atomic::rmw(cx, inst, op, flags, args)?,
        InstData::AtomicCas { flags, args, .. } => atomic::cas(cx, inst, flags, args)?,
        InstData::LoadNoOffset { flags, arg, .. } => atomic::load(cx, inst, flags, arg)?,
        InstData::StoreNoOffset {
            flags,
            args: [value, addr],
            ..
        } => atomic::store(cx, inst, flags, value, addr)?,
        _ => unreachable!("not an access to memory"),
    }
    Ok(())
}

fn trap(cx: &mut Cx<'_>, inst: nopal_ir::Inst, data: InstData) {
    match data {
        InstData::Trap { code, .. } => {
            let srcloc = cx.srcloc();
            cx.emit(Inst::Ud2 { code, srcloc });
        }
        InstData::CondTrap { opcode, arg, code } => {
            branch::cond_trap(cx, arg, code, opcode == Opcode::Trapz);
        }
        InstData::IntAddTrap {
            args: [x, y], code, ..
        } => overflow::add_trap(cx, inst, x, y, code),
        _ => cx.emit(Inst::Int3),
    }
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
