//! What opcodes compute on `i128`, and those with two results on any integer.

use crate::ops;
use nopal_ir::{IntCC, Opcode, Type};

/// The low bits of `x` that a value of type `ty` has.
pub(crate) fn mask(ty: Type, x: u128) -> u128 {
    x & (u128::MAX >> (128 - ty.bits()))
}

/// `x` of type `ty` as a signed number.
pub(crate) fn signed(ty: Type, x: u128) -> i128 {
    let unused = 128 - ty.bits();
    (x << unused) as i128 >> unused
}

/// A binary operation on `i128`.
pub(crate) fn binary(opcode: Opcode, x: u128, y: u128) -> u128 {
    let k = (y & 127) as u32;
    match opcode {
        Opcode::Iadd => x.wrapping_add(y),
        Opcode::Isub => x.wrapping_sub(y),
        Opcode::Imul => x.wrapping_mul(y),
        Opcode::Band => x & y,
        Opcode::Bor => x | y,
        Opcode::Bxor => x ^ y,
        Opcode::Ishl => x << k,
        Opcode::Ushr => x >> k,
        Opcode::Sshr => ((x as i128) >> k) as u128,
        Opcode::Rotl => x.rotate_left(k),
        Opcode::Rotr => x.rotate_right(k),
        Opcode::Umin => x.min(y),
        Opcode::Umax => x.max(y),
        Opcode::Smin => (x as i128).min(y as i128) as u128,
        Opcode::Smax => (x as i128).max(y as i128) as u128,
        _ => unreachable!("{opcode} is not generated for i128"),
    }
}

/// An operation on an integer of type `from` with a result of type `to`, one of which is `i128`.
pub(crate) fn unary(opcode: Opcode, from: Type, to: Type, x: u128) -> u128 {
    let result = match opcode {
        Opcode::Ineg => x.wrapping_neg(),
        Opcode::Iabs => (x as i128).unsigned_abs(),
        Opcode::Bnot => !x,
        Opcode::Clz => x.leading_zeros().into(),
        Opcode::Cls => u128::from((x ^ ((x as i128) >> 127) as u128).leading_zeros() - 1),
        Opcode::Ctz => x.trailing_zeros().into(),
        Opcode::Popcnt => x.count_ones().into(),
        Opcode::Bitrev => x.reverse_bits(),
        Opcode::Bswap => x.swap_bytes(),
        Opcode::Bmask if x != 0 => u128::MAX,
        Opcode::Bmask => 0,
        Opcode::Uextend | Opcode::Ireduce => x,
        Opcode::Sextend => signed(from, x) as u128,
        _ => unreachable!("{opcode} is not generated for i128"),
    };
    mask(to, result)
}

/// An integer comparison.
pub(crate) fn icmp(cond: IntCC, ty: Type, x: u128, y: u128) -> bool {
    if ty.bits() <= 64 {
        return ops::icmp(cond, ty, x as u64, y as u64);
    }
    let (sx, sy) = (x as i128, y as i128);
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

/// A result of type `ty` of up to 64 bits, and whether it does not fit.
pub(crate) fn overflow(opcode: Opcode, ty: Type, args: &[u128]) -> (u128, u128) {
    let (x, y) = (args[0] as i128, args[1] as i128);
    let carry = args.get(2).map_or(0, |&c| i128::from(c != 0));
    let (sx, sy) = (signed(ty, args[0]), signed(ty, args[1]));
    let (exact, is_signed) = match opcode {
        Opcode::UaddOverflow | Opcode::UaddOverflowCin => (x + y + carry, false),
        Opcode::SaddOverflow | Opcode::SaddOverflowCin => (sx + sy + carry, true),
        Opcode::UsubOverflow | Opcode::UsubOverflowBin => (x - y - carry, false),
        Opcode::SsubOverflow | Opcode::SsubOverflowBin => (sx - sy - carry, true),
        // The product of the largest does not fit into the signed type.
        Opcode::UmulOverflow => {
            let exact = args[0] * args[1];
            let result = mask(ty, exact);
            return (result, u128::from(result != exact));
        }
        Opcode::SmulOverflow => (sx * sy, true),
        _ => unreachable!("{opcode} does not tell of overflow"),
    };
    let result = mask(ty, exact as u128);
    let fits = match is_signed {
        true => signed(ty, result) == exact,
        false => result as i128 == exact,
    };
    (result, u128::from(!fits))
}
