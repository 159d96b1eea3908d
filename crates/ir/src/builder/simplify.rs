//! Simplifications of one instruction while it is being appended.
//!
//! Each looks at the instruction and at most at what defines its operands, never makes code longer,
//! and never lets a value be used where it was not before, except as the operand of an operand.

use crate::{Function, InstData, IntCC, Opcode, Type, TypeSet, Value, ValueDef};

/// What to have instead of an instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Simplified {
    /// A value that exists already.
    Value(Value),
    /// An integer constant of the type the result has.
    Const(i64),
    /// Another instruction with a result of the same type.
    Inst(InstData),
}

use Simplified::{Const, Inst};

/// The simpler form of `data`, whose result type is `ty` if that is written.
#[inline]
pub(super) fn simplify(func: &Function, data: &InstData, ty: Type) -> Option<Simplified> {
    let simpler = simplify_any(func, data, ty)?;
    // There are no constants of other types.
    match simpler {
        Const(_) if !TypeSet::INT64.contains(ty) => None,
        _ => Some(simpler),
    }
}

#[inline]
fn simplify_any(func: &Function, data: &InstData, ty: Type) -> Option<Simplified> {
    match *data {
        InstData::Unary { opcode, arg } => unary(func, opcode, arg, ty),
        InstData::Binary { opcode, args } => binary(func, opcode, args),
        InstData::IntCompare { cond, args, .. } => compare(func, cond, args),
        InstData::Ternary {
            opcode: Opcode::Select,
            args: [c, x, y],
        } => select(func, c, x, y),
        _ => None,
    }
}

/// A value that is zero exactly if `v` is, without the extension that made `v`.
#[inline]
pub(super) fn condition(func: &Function, v: Value) -> Value {
    match def(func, v) {
        Some(&InstData::Unary {
            opcode: Opcode::Uextend | Opcode::Sextend,
            arg,
        }) => arg,
        _ => v,
    }
}

/// The instruction that `v` is the only or first result of.
#[inline]
fn def(func: &Function, v: Value) -> Option<&InstData> {
    match func.value_def(func.resolve(v)) {
        ValueDef::Result(inst, 0) => Some(func.inst(inst)),
        _ => None,
    }
}

#[inline]
fn constant(func: &Function, v: Value) -> Option<i64> {
    match def(func, v) {
        Some(&InstData::UnaryImm { imm, .. }) => Some(imm),
        _ => None,
    }
}

/// The low bits of `n` that a value of type `ty` has, the others being zero.
fn unsigned(ty: Type, n: i64) -> u64 {
    let unused = 64 - ty.bits().clamp(1, 64);
    (n as u64) << unused >> unused
}

/// The low bits of `n` that a value of type `ty` has, as a signed number.
pub(super) fn signed(ty: Type, n: i64) -> i64 {
    let unused = 64 - ty.bits().clamp(1, 64);
    n << unused >> unused
}

fn unary(func: &Function, opcode: Opcode, arg: Value, ty: Type) -> Option<Simplified> {
    let from = func.value_type(arg);
    match opcode {
        Opcode::Ireduce | Opcode::Uextend | Opcode::Sextend => convert(func, opcode, arg, ty),
        Opcode::Bitcast if from == ty => Some(Simplified::Value(arg)),
        Opcode::Ineg | Opcode::Bnot | Opcode::Clz | Opcode::Ctz | Opcode::Popcnt => {
            let n = constant(func, arg)?;
            let bits = unsigned(from, n);
            Some(Const(match opcode {
                Opcode::Ineg => signed(from, n.wrapping_neg()),
                Opcode::Bnot => !n,
                Opcode::Clz => signed(from, i64::from(bits.leading_zeros() + from.bits()) - 64),
                Opcode::Ctz => signed(from, i64::from(bits.trailing_zeros().min(from.bits()))),
                _ => signed(from, i64::from(bits.count_ones())),
            }))
        }
        _ => None,
    }
}

/// `ireduce`, `uextend` and `sextend`, of a constant or of one of them.
fn convert(func: &Function, opcode: Opcode, arg: Value, ty: Type) -> Option<Simplified> {
    let inner = match *def(func, arg)? {
        InstData::UnaryImm { imm, .. } => {
            return Some(Const(match opcode {
                Opcode::Uextend => unsigned(func.value_type(arg), imm) as i64,
                _ => signed(ty, imm),
            }));
        }
        InstData::Unary { opcode, arg } => (opcode, arg),
        _ => return None,
    };
    let (inner, x) = inner;
    let source = func.value_type(x);
    let opcode = match (opcode, inner) {
        (Opcode::Ireduce, Opcode::Uextend | Opcode::Sextend) => {
            if source == ty {
                return Some(Simplified::Value(x));
            }
            if source.bits() < ty.bits() {
                inner
            } else {
                Opcode::Ireduce
            }
        }
        // The top bit of what was extended with zeros is zero.
        (Opcode::Sextend, Opcode::Uextend) => Opcode::Uextend,
        (outer, inner) if outer == inner => outer,
        _ => return None,
    };
    Some(Inst(InstData::Unary { opcode, arg: x }))
}

fn binary(func: &Function, opcode: Opcode, [x, y]: [Value; 2]) -> Option<Simplified> {
    let ty = func.value_type(x);
    if !ty.is_int() {
        return None;
    }
    match (constant(func, x), constant(func, y)) {
        (Some(a), Some(b)) => fold(opcode, ty, a, b).map(Const),
        (None, Some(b)) => right_constant(opcode, ty, x, b),
        (Some(a), None) if commutes(opcode) => {
            let swapped = InstData::Binary {
                opcode,
                args: [y, x],
            };
            Some(right_constant(opcode, ty, y, a).unwrap_or(Inst(swapped)))
        }
        _ if x == y => match opcode {
            Opcode::Isub | Opcode::Bxor => Some(Const(0)),
            Opcode::Band | Opcode::Bor => Some(Simplified::Value(x)),
            _ => None,
        },
        _ => None,
    }
}

fn commutes(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iadd | Opcode::Imul | Opcode::Band | Opcode::Bor | Opcode::Bxor
    )
}

/// `x op b` for a neutral or absorbing `b`.
fn right_constant(opcode: Opcode, ty: Type, x: Value, b: i64) -> Option<Simplified> {
    let neutral = match opcode {
        Opcode::Iadd | Opcode::Isub | Opcode::Bor | Opcode::Bxor => b == 0,
        Opcode::Imul | Opcode::Udiv | Opcode::Sdiv => b == 1,
        Opcode::Band => b == -1,
        Opcode::Ishl | Opcode::Ushr | Opcode::Sshr | Opcode::Rotl | Opcode::Rotr => {
            (b as u32).is_multiple_of(ty.bits())
        }
        _ => false,
    };
    let absorbing = match opcode {
        Opcode::Imul | Opcode::Band => b == 0,
        Opcode::Bor => b == -1,
        _ => false,
    };
    if neutral {
        Some(Simplified::Value(x))
    } else {
        absorbing.then_some(Const(b))
    }
}

/// `a op b`; none if it traps or is not folded.
fn fold(opcode: Opcode, ty: Type, a: i64, b: i64) -> Option<i64> {
    let (ua, ub) = (unsigned(ty, a), unsigned(ty, b));
    let bits = ty.bits();
    let amount = b as u32 % bits;
    let n = match opcode {
        Opcode::Iadd => a.wrapping_add(b),
        Opcode::Isub => a.wrapping_sub(b),
        Opcode::Imul => a.wrapping_mul(b),
        Opcode::Udiv => ua.checked_div(ub)? as i64,
        Opcode::Urem => ua.checked_rem(ub)? as i64,
        // The quotient of the smallest number and -1 has no representation, and traps.
        Opcode::Sdiv if b == -1 && a == signed(ty, 1 << (bits - 1)) => return None,
        Opcode::Sdiv => a.checked_div(b)?,
        Opcode::Srem if b == 0 => return None,
        Opcode::Srem => a.wrapping_rem(b),
        Opcode::Band => a & b,
        Opcode::Bor => a | b,
        Opcode::Bxor => a ^ b,
        Opcode::Ishl => a << amount,
        Opcode::Ushr => (ua >> amount) as i64,
        Opcode::Sshr => a >> amount,
        Opcode::Rotl => rotl(ua, amount, bits) as i64,
        Opcode::Rotr => rotl(ua, (bits - amount) % bits, bits) as i64,
        _ => return None,
    };
    Some(signed(ty, n))
}

fn rotl(n: u64, amount: u32, bits: u32) -> u64 {
    if amount == 0 {
        n
    } else {
        n << amount | n >> (bits - amount)
    }
}

fn compare(func: &Function, cond: IntCC, [x, y]: [Value; 2]) -> Option<Simplified> {
    let ty = func.value_type(x);
    match (constant(func, x), constant(func, y)) {
        (Some(a), Some(b)) => Some(Const(i64::from(holds(cond, ty, a, b)))),
        (Some(_), None) => Some(Inst(InstData::IntCompare {
            opcode: Opcode::Icmp,
            cond: cond.swap_args(),
            args: [y, x],
        })),
        (None, Some(0)) => compare_with_zero(func, cond, x),
        _ if x == y => Some(Const(i64::from(holds(cond, ty, 0, 0)))),
        _ => None,
    }
}

/// `x == 0` and `x != 0` where `x` is the outcome of another comparison.
fn compare_with_zero(func: &Function, cond: IntCC, x: Value) -> Option<Simplified> {
    let negate = match cond {
        IntCC::Equal => true,
        IntCC::NotEqual => false,
        _ => return None,
    };
    let x = condition(func, x);
    let data = *def(func, x)?;
    match data {
        InstData::IntCompare { .. } | InstData::FloatCompare { .. } if !negate => {
            Some(Simplified::Value(x))
        }
        InstData::IntCompare { opcode, cond, args } => Some(Inst(InstData::IntCompare {
            opcode,
            cond: cond.complement(),
            args,
        })),
        InstData::FloatCompare { opcode, cond, args } => Some(Inst(InstData::FloatCompare {
            opcode,
            cond: cond.complement(),
            args,
        })),
        _ => None,
    }
}

/// Whether the condition holds for two constants of type `ty`.
fn holds(cond: IntCC, ty: Type, a: i64, b: i64) -> bool {
    let (ua, ub) = (unsigned(ty, a), unsigned(ty, b));
    match cond {
        IntCC::Equal => a == b,
        IntCC::NotEqual => a != b,
        IntCC::SignedLessThan => a < b,
        IntCC::SignedGreaterThanOrEqual => a >= b,
        IntCC::SignedGreaterThan => a > b,
        IntCC::SignedLessThanOrEqual => a <= b,
        IntCC::UnsignedLessThan => ua < ub,
        IntCC::UnsignedGreaterThanOrEqual => ua >= ub,
        IntCC::UnsignedGreaterThan => ua > ub,
        IntCC::UnsignedLessThanOrEqual => ua <= ub,
    }
}

fn select(func: &Function, c: Value, x: Value, y: Value) -> Option<Simplified> {
    if x == y {
        return Some(Simplified::Value(x));
    }
    match constant(func, c) {
        Some(0) => Some(Simplified::Value(y)),
        Some(_) => Some(Simplified::Value(x)),
        None => {
            let stripped = condition(func, c);
            let data = InstData::Ternary {
                opcode: Opcode::Select,
                args: [stripped, x, y],
            };
            (stripped != c).then_some(Inst(data))
        }
    }
}
