//! What every opcode without control flow or memory computes, on bits of `u64`.

use nopal_ir::{AtomicRmwOp, FloatCC, IntCC, Opcode, TrapCode, Type};

/// The low bits of `x` that a value of type `ty` has.
pub fn mask(ty: Type, x: u64) -> u64 {
    x & (u64::MAX >> (64 - ty.bits()))
}

/// `x` of type `ty` as a signed number.
pub fn signed(ty: Type, x: u64) -> i64 {
    let unused = 64 - ty.bits();
    (x << unused) as i64 >> unused
}

fn f32_of(x: u64) -> f32 {
    f32::from_bits(x as u32)
}

fn f64_of(x: u64) -> f64 {
    f64::from_bits(x)
}

/// Whether `x` of type `ty` is a NaN.
pub fn is_nan(ty: Type, x: u64) -> bool {
    match ty {
        Type::F32 => f32_of(x).is_nan(),
        Type::F64 => f64_of(x).is_nan(),
        _ => false,
    }
}

/// Whether two values are the same, as far as that is determined: all NaNs are.
pub fn same(ty: Type, x: u64, y: u64) -> bool {
    mask(ty, x) == mask(ty, y) || (is_nan(ty, x) && is_nan(ty, y))
}

/// A binary operation on operands whose first is of type `ty`.
pub fn binary(opcode: Opcode, ty: Type, x: u64, y: u64) -> Result<u64, TrapCode> {
    if ty.is_float() {
        return Ok(match ty {
            Type::F32 => u64::from(float_binary32(opcode, f32_of(x), f32_of(y)).to_bits()),
            _ => float_binary64(opcode, f64_of(x), f64_of(y)).to_bits(),
        });
    }
    int_binary(opcode, ty, x, y).map(|r| mask(ty, r))
}

fn int_binary(opcode: Opcode, ty: Type, x: u64, y: u64) -> Result<u64, TrapCode> {
    let (sx, sy) = (signed(ty, x), signed(ty, y));
    let bits = ty.bits();
    let k = (y & u64::from(bits - 1)) as u32;
    let divides = || match y {
        0 => Err(TrapCode::INTEGER_DIVISION_BY_ZERO),
        _ => Ok(()),
    };
    Ok(match opcode {
        Opcode::Iadd => x.wrapping_add(y),
        Opcode::Isub => x.wrapping_sub(y),
        Opcode::Imul => x.wrapping_mul(y),
        Opcode::Umulhi => ((u128::from(x) * u128::from(y)) >> bits) as u64,
        Opcode::Smulhi => ((i128::from(sx) * i128::from(sy)) >> bits) as u64,
        Opcode::Udiv => {
            divides()?;
            x / y
        }
        Opcode::Urem => {
            divides()?;
            x % y
        }
        Opcode::Sdiv => {
            divides()?;
            if sy == -1 && x == 1 << (bits - 1) {
                return Err(TrapCode::INTEGER_OVERFLOW);
            }
            (sx / sy) as u64
        }
        Opcode::Srem => {
            divides()?;
            sx.wrapping_rem(sy) as u64
        }
        Opcode::Band => x & y,
        Opcode::Bor => x | y,
        Opcode::Bxor => x ^ y,
        Opcode::Ishl => x << k,
        Opcode::Ushr => x >> k,
        Opcode::Sshr => (sx >> k) as u64,
        Opcode::Umin => x.min(y),
        Opcode::Umax => x.max(y),
        Opcode::Smin => sx.min(sy) as u64,
        Opcode::Smax => sx.max(sy) as u64,
        Opcode::Rotl => rotate_left(bits, x, k),
        Opcode::Rotr => rotate_left(bits, x, (bits - k) % bits),
        _ => unreachable!("{opcode} is not an integer operation of two operands"),
    })
}

fn rotate_left(bits: u32, x: u64, k: u32) -> u64 {
    if k == 0 { x } else { x << k | x >> (bits - k) }
}

macro_rules! float_binary {
    ($name:ident, $t:ty, $bits:ty) => {
        fn $name(opcode: Opcode, x: $t, y: $t) -> $t {
            match opcode {
                Opcode::Fadd => x + y,
                Opcode::Fsub => x - y,
                Opcode::Fmul => x * y,
                Opcode::Fdiv => x / y,
                Opcode::Fcopysign => x.copysign(y),
                Opcode::Fmin | Opcode::Fmax if x.is_nan() || y.is_nan() => <$t>::NAN,
                Opcode::Fmin if x == y => <$t>::from_bits(x.to_bits() | y.to_bits()),
                Opcode::Fmax if x == y => <$t>::from_bits(x.to_bits() & y.to_bits()),
                Opcode::Fmin => {
                    if x < y {
                        x
                    } else {
                        y
                    }
                }
                Opcode::Fmax => {
                    if x > y {
                        x
                    } else {
                        y
                    }
                }
                _ => unreachable!("{opcode} is not a float operation of two operands"),
            }
        }
    };
}
float_binary!(float_binary32, f32, u32);
float_binary!(float_binary64, f64, u64);

macro_rules! float_unary {
    ($name:ident, $t:ty) => {
        fn $name(opcode: Opcode, x: $t) -> $t {
            match opcode {
                Opcode::Sqrt => x.sqrt(),
                Opcode::Ceil => x.ceil(),
                Opcode::Floor => x.floor(),
                Opcode::Trunc => x.trunc(),
                Opcode::Nearest => x.round_ties_even(),
                _ => unreachable!("{opcode} is not a float operation of one operand"),
            }
        }
    };
}
float_unary!(float_unary32, f32);
float_unary!(float_unary64, f64);

/// An operation on one operand of type `from` with a result of type `to`.
pub fn unary(opcode: Opcode, from: Type, to: Type, x: u64) -> Result<u64, TrapCode> {
    let bits = from.bits();
    let wide = |x: u64| match from {
        Type::F32 => f64::from(f32_of(x)),
        _ => f64_of(x),
    };
    Ok(match opcode {
        Opcode::Ineg => mask(from, x.wrapping_neg()),
        Opcode::Bnot => mask(from, !x),
        Opcode::Clz => u64::from(x.leading_zeros() - (64 - bits)),
        Opcode::Ctz => u64::from(x.trailing_zeros().min(bits)),
        Opcode::Popcnt => u64::from(x.count_ones()),
        Opcode::Iabs => mask(from, signed(from, x).unsigned_abs()),
        Opcode::Cls => {
            let s = signed(from, x);
            u64::from((s ^ (s >> 63)).leading_zeros() - (64 - bits) - 1)
        }
        Opcode::Bitrev => x.reverse_bits() >> (64 - bits),
        Opcode::Bswap => x.swap_bytes() >> (64 - bits),
        Opcode::Bmask if x != 0 => mask(to, u64::MAX),
        Opcode::Bmask => 0,
        Opcode::Fneg => x ^ 1 << (bits - 1),
        Opcode::Fabs => x & !(1 << (bits - 1)),
        Opcode::Bitcast | Opcode::Uextend => x,
        Opcode::Ireduce => mask(to, x),
        Opcode::Sextend => mask(to, signed(from, x) as u64),
        Opcode::Fpromote => f64::from(f32_of(x)).to_bits(),
        Opcode::Fdemote => u64::from((f64_of(x) as f32).to_bits()),
        Opcode::FcvtFromSint => match to {
            Type::F32 => u64::from((signed(from, x) as f32).to_bits()),
            _ => (signed(from, x) as f64).to_bits(),
        },
        Opcode::FcvtFromUint => match to {
            Type::F32 => u64::from((x as f32).to_bits()),
            _ => (x as f64).to_bits(),
        },
        Opcode::FcvtToSint | Opcode::FcvtToUint => {
            let signed = opcode == Opcode::FcvtToSint;
            to_int_in_range(wide(x), signed, to.bits())?;
            to_int(wide(x), signed, to)
        }
        Opcode::FcvtToSintSat => to_int(wide(x), true, to),
        Opcode::FcvtToUintSat => to_int(wide(x), false, to),
        _ => match from {
            Type::F32 => u64::from(float_unary32(opcode, f32_of(x)).to_bits()),
            _ => float_unary64(opcode, f64_of(x)).to_bits(),
        },
    })
}

/// Whether `x` truncates to an integer of `bits` bits.
fn to_int_in_range(x: f64, signed: bool, bits: u32) -> Result<(), TrapCode> {
    if x.is_nan() {
        return Err(TrapCode::BAD_CONVERSION_TO_INTEGER);
    }
    let (low, high) = if signed {
        let limit = 2f64.powi(bits as i32 - 1);
        (-limit, limit)
    } else {
        (0.0, 2f64.powi(bits as i32))
    };
    let x = x.trunc();
    if x >= low && x < high {
        Ok(())
    } else {
        Err(TrapCode::INTEGER_OVERFLOW)
    }
}

/// `x` truncated and saturated; 0 for a NaN.
fn to_int(x: f64, signed: bool, to: Type) -> u64 {
    let bits = to.bits();
    let r = if signed {
        let (low, high) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
        (x as i64).clamp(low, high) as u64
    } else {
        (x as u64).min(u64::MAX >> (64 - bits))
    };
    mask(to, r)
}

/// An integer comparison.
pub fn icmp(cond: IntCC, ty: Type, x: u64, y: u64) -> bool {
    let (sx, sy) = (signed(ty, x), signed(ty, y));
    match cond {
        IntCC::Equal => x == y,
        IntCC::NotEqual => x != y,
        IntCC::SignedLessThan => sx < sy,
        IntCC::SignedGreaterThanOrEqual => sx >= sy,
        IntCC::SignedGreaterThan => sx > sy,
        IntCC::SignedLessThanOrEqual => sx <= sy,
        IntCC::UnsignedLessThan => x < y,
        IntCC::UnsignedGreaterThanOrEqual => x >= y,
        IntCC::UnsignedGreaterThan => x > y,
        IntCC::UnsignedLessThanOrEqual => x <= y,
    }
}

/// A float comparison.
pub fn fcmp(cond: FloatCC, ty: Type, x: u64, y: u64) -> bool {
    let (x, y) = match ty {
        Type::F32 => (f64::from(f32_of(x)), f64::from(f32_of(y))),
        _ => (f64_of(x), f64_of(y)),
    };
    let unordered = x.is_nan() || y.is_nan();
    match cond {
        FloatCC::Ordered => !unordered,
        FloatCC::Unordered => unordered,
        FloatCC::Equal => x == y,
        FloatCC::NotEqual => x != y,
        FloatCC::OrderedNotEqual => x.partial_cmp(&y).is_some_and(|o| o.is_ne()),
        FloatCC::UnorderedOrEqual => unordered || x == y,
        FloatCC::LessThan => x < y,
        FloatCC::LessThanOrEqual => x <= y,
        FloatCC::GreaterThan => x > y,
        FloatCC::GreaterThanOrEqual => x >= y,
        FloatCC::UnorderedOrLessThan => unordered || x < y,
        FloatCC::UnorderedOrLessThanOrEqual => unordered || x <= y,
        FloatCC::UnorderedOrGreaterThan => unordered || x > y,
        FloatCC::UnorderedOrGreaterThanOrEqual => unordered || x >= y,
    }
}

/// `x · y + z` with one rounding.
pub fn fma(ty: Type, [x, y, z]: [u64; 3]) -> u64 {
    match ty {
        Type::F32 => f32_of(x).mul_add(f32_of(y), f32_of(z)).to_bits().into(),
        _ => f64_of(x).mul_add(f64_of(y), f64_of(z)).to_bits(),
    }
}

/// What an atomic operation leaves in memory.
pub fn atomic(op: AtomicRmwOp, ty: Type, old: u64, x: u64) -> u64 {
    let (so, sx) = (signed(ty, old), signed(ty, x));
    let new = match op {
        AtomicRmwOp::Add => old.wrapping_add(x),
        AtomicRmwOp::Sub => old.wrapping_sub(x),
        AtomicRmwOp::And => old & x,
        AtomicRmwOp::Nand => !(old & x),
        AtomicRmwOp::Or => old | x,
        AtomicRmwOp::Xor => old ^ x,
        AtomicRmwOp::Xchg => x,
        AtomicRmwOp::Umin => old.min(x),
        AtomicRmwOp::Umax => old.max(x),
        AtomicRmwOp::Smin => so.min(sx) as u64,
        AtomicRmwOp::Smax => so.max(sx) as u64,
    };
    mask(ty, new)
}
