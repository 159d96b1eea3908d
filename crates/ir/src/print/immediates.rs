//! Numbers as they are written in CLIF.

use core::fmt;

/// An integer: decimal up to four digits, else hexadecimal in groups of four digits.
pub(super) struct Imm64(pub(super) i64);

impl fmt::Display for Imm64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 10_000 {
            write!(f, "{}", self.0)
        } else {
            write_hex(self.0 as u64, f)
        }
    }
}

/// An offset: a sign and a number, nothing for zero.
pub(super) struct Offset32(pub(super) i32);

impl fmt::Display for Offset32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Imm64(i64::from(self.0).abs()))
    }
}

fn write_hex(n: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let groups = (64 - n.leading_zeros()).div_ceil(16).max(1);
    for group in (0..groups).rev() {
        let prefix = if group + 1 == groups { "0x" } else { "_" };
        write!(f, "{prefix}{:04x}", (n >> (group * 16)) & 0xffff)?;
    }
    Ok(())
}

/// The bits of an `f16`.
pub(crate) struct Ieee16(pub(crate) u16);

impl fmt::Display for Ieee16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_float(self.0.into(), 5, 10, f)
    }
}

/// The bits of an `f128`.
pub(crate) struct Ieee128(pub(crate) u128);

impl fmt::Display for Ieee128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_float(self.0, 15, 112, f)
    }
}

/// Bytes, the lowest first, as one hexadecimal number.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().rev().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The bits of an `f32`.
pub(crate) struct Ieee32(pub(crate) u32);

impl fmt::Display for Ieee32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_float(self.0.into(), 8, 23, f)
    }
}

/// The bits of an `f64`.
pub(crate) struct Ieee64(pub(crate) u64);

impl fmt::Display for Ieee64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_float(self.0.into(), 11, 52, f)
    }
}

/// A binary interchange format of IEEE 754 with `w` bits of exponent and `t` bits of trailing
/// significand: `0x1.8p3`, `0.0`, `+Inf`, `-NaN:0x1`, `+sNaN:0x1`.
fn write_float(bits: u128, w: u32, t: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let significand = bits & ((1 << t) - 1);
    let max_exponent = (1u128 << w) - 1;
    let exponent = bits >> t & max_exponent;
    let bias = (1i32 << (w - 1)) - 1;
    let negative = bits >> (w + t) & 1 != 0;
    // The significand as a fraction: as many hexadecimal digits as hold `t` bits.
    let digits = t.div_ceil(4) as usize;
    let fraction = significand << (4 * digits as u32 - t);
    if exponent == max_exponent {
        f.write_str(if negative { "-" } else { "+" })?;
        let quiet = 1 << (t - 1);
        let payload = significand & (quiet - 1);
        return match (significand, significand & quiet != 0, payload) {
            (0, ..) => f.write_str("Inf"),
            (_, true, 0) => f.write_str("NaN"),
            (_, true, _) => write!(f, "NaN:{payload:#x}"),
            (_, false, _) => write!(f, "sNaN:{payload:#x}"),
        };
    }
    if negative {
        f.write_str("-")?;
    }
    match (exponent, significand) {
        (0, 0) => f.write_str("0.0"),
        (0, _) => write!(f, "0x0.{fraction:0digits$x}p{}", 1 - bias),
        _ => write!(f, "0x1.{fraction:0digits$x}p{}", exponent as i32 - bias),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (n, text) in [
            (0, "0"),
            (-1, "-1"),
            (9999, "9999"),
            (10_000, "0x2710"),
            (0x1_0000, "0x0001_0000"),
            (0x7fff_ffff, "0x7fff_ffff"),
            (-0x8000_0000, "-2147483648"),
            (i64::MAX, "0x7fff_ffff_ffff_ffff"),
        ] {
            assert_eq!(Imm64(n).to_string(), text);
        }
        for (n, text) in [
            (0, ""),
            (8, "+8"),
            (-8, "-8"),
            (65536, "+0x0001_0000"),
            (i32::MIN, "-0x8000_0000"),
        ] {
            assert_eq!(Offset32(n).to_string(), text);
        }
    }

    #[test]
    fn floats() {
        for (x, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "0x1.000000p0"),
            (-0.75, "-0x1.800000p-1"),
            (f32::MIN_POSITIVE, "0x1.000000p-126"),
            (f32::from_bits(1), "0x0.000002p-126"),
            (f32::MAX, "0x1.fffffep127"),
            (f32::INFINITY, "+Inf"),
            (f32::NEG_INFINITY, "-Inf"),
            (f32::from_bits(0x7fc0_0000), "+NaN"),
            (f32::from_bits(0xffc0_0001), "-NaN:0x1"),
            (f32::from_bits(0x7f80_0001), "+sNaN:0x1"),
        ] {
            assert_eq!(Ieee32(x.to_bits()).to_string(), text);
        }
        for (x, text) in [
            (1.5, "0x1.8000000000000p0"),
            (f64::from_bits(1), "0x0.0000000000001p-1022"),
            (f64::from_bits(0xfff8_0000_0000_0000), "-NaN"),
            (-f64::MAX, "-0x1.fffffffffffffp1023"),
        ] {
            assert_eq!(Ieee64(x.to_bits()).to_string(), text);
        }
    }
}
