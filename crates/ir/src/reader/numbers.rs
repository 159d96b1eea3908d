//! Numbers as they are written in CLIF.

/// The value of an integer of `bits` bits (8 to 128), in their low bits, the others being zero.
///
/// Decimal or, after `0x`, hexadecimal, with `_` anywhere between the digits; negative down to the
/// smallest signed number, positive up to the largest unsigned one.
pub(super) fn integer(text: &str, bits: u32) -> Result<u128, &'static str> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    let (mut value, mut any) = (0u128, false);
    for c in digits.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(radix).ok_or(match radix {
            16 => "not a hexadecimal integer",
            _ => "not a decimal integer",
        })?;
        any = true;
        value = value
            .checked_mul(radix.into())
            .and_then(|v| v.checked_add(digit.into()))
            .ok_or("too large a number")?;
    }
    if !any {
        return Err("no digits");
    }
    let max = u128::MAX >> (128 - bits);
    match negative {
        false if value > max => Err("too large a number"),
        true if value > 1 << (bits - 1) => Err("too small a number"),
        false => Ok(value),
        true => Ok(value.wrapping_neg() & max),
    }
}

/// The bits of a number in a binary interchange format of IEEE 754 of `bits` bits: `0x1.8p3`,
/// `0.0`, `+Inf`, `-NaN:0x1`, `sNaN:0x1`.
pub(super) fn float(text: &str, bits: u32) -> Result<u128, &'static str> {
    let w: u32 = match bits {
        16 => 5,
        32 => 8,
        64 => 11,
        _ => 15,
    };
    let t = bits - 1 - w;
    let (sign, text) = match text.as_bytes().first() {
        Some(b'-') => (1u128 << (bits - 1), &text[1..]),
        Some(b'+') => (0, &text[1..]),
        _ => (0, text),
    };
    let infinity = ((1u128 << w) - 1) << t;
    let quiet = 1u128 << (t - 1);
    let payload = |digits: &str| match u128::from_str_radix(digits, 16) {
        Ok(n) if n < quiet => Ok(n),
        _ => Err("the payload of a NaN of this type cannot be this"),
    };
    let magnitude = match text {
        "0.0" => 0,
        "Inf" => infinity,
        "NaN" => infinity | quiet,
        "sNaN" => infinity | 1,
        _ => {
            if let Some(digits) = text.strip_prefix("NaN:0x") {
                infinity | quiet | payload(digits)?
            } else if let Some(digits) = text.strip_prefix("sNaN:0x") {
                match payload(digits)? {
                    0 => return Err("a signaling NaN has a payload other than 0"),
                    n => infinity | n,
                }
            } else if let Some(digits) = text.strip_prefix("0x") {
                finite(digits, w, t)?
            } else {
                return Err("floats but 0.0 are written in hexadecimal, e.g. 0x1.8p3");
            }
        }
    };
    Ok(sign | magnitude)
}

/// The bits of a positive number from its hexadecimal digits and exponent.
fn finite(text: &str, w: u32, t: u32) -> Result<u128, &'static str> {
    let (digits, exponent) = match text.split_once('p') {
        Some((digits, e)) => (digits, e.parse::<i16>().map_err(|_| "not an exponent")?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() > 32 {
        return Err("too many digits");
    }
    let mut significand = 0u128;
    for c in whole.chars().chain(fraction.chars()) {
        let digit = c.to_digit(16).ok_or("not a hexadecimal digit")?;
        significand = significand << 4 | u128::from(digit);
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err("no digits");
    }
    if significand == 0 {
        return Ok(0);
    }
    // The number is `significand * 2^scale`. Let the lowest bit of `significand` stand for the
    // place of the lowest bit of the result: that of a subnormal number at least.
    let scale = i32::from(exponent) - 4 * fraction.len() as i32;
    let bias = (1i32 << (w - 1)) - 1;
    let top = scale + 127 - significand.leading_zeros() as i32;
    let lowest = (top - t as i32).max(1 - bias - t as i32);
    let significand = match lowest - scale {
        drop @ 1.. if drop >= 128 || significand & ((1 << drop) - 1) != 0 => {
            return Err("too precise a number for this type");
        }
        drop @ 1.. => significand >> drop,
        up => significand << -up,
    };
    if top > bias {
        return Err("too large a number for this type");
    }
    match significand >> t {
        0 => Ok(significand),
        _ => Ok(((top + bias) as u128) << t | (significand & ((1 << t) - 1))),
    }
}

/// The bytes of a hexadecimal number with two digits for each byte, the lowest first.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let digits = text.strip_prefix("0x").ok_or("not a hexadecimal number")?;
    let nibbles: Option<Vec<u8>> = digits
        .chars()
        .rev()
        .filter(|&c| c != '_')
        .map(|c| Some(c.to_digit(16)? as u8))
        .collect();
    let nibbles = nibbles.ok_or("not a hexadecimal number")?;
    match nibbles.len() {
        0 => Err("no digits"),
        n if n % 2 != 0 => Err("an odd number of digits"),
        _ => Ok(nibbles.chunks(2).map(|n| n[0] | n[1] << 4).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, bits, want) in [
            ("0", 8, Ok(0)),
            ("-1", 8, Ok(255)),
            ("255", 8, Ok(255)),
            ("-128", 8, Ok(128)),
            ("+0x8_0", 8, Ok(128)),
            ("-0x80", 8, Ok(128)),
            ("1_000", 16, Ok(1000)),
            ("-0x8000_0000_0000_0000", 64, Ok(1 << 63)),
            ("0xffffffffffffffffffffffffffffffff", 128, Ok(u128::MAX)),
            ("256", 8, Err("too large a number")),
            ("-129", 8, Err("too small a number")),
            ("0x", 8, Err("no digits")),
            (
                "0x1_ffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff",
                128,
                Err("too large a number"),
            ),
            ("12a", 32, Err("not a decimal integer")),
            ("1.0", 32, Err("not a decimal integer")),
        ] {
            assert_eq!(integer(text, bits), want, "{text}");
        }
    }

    #[test]
    fn floats_are_what_rust_makes_of_them() {
        for (text, want) in [
            ("0x1.0p0", 1.0),
            ("-0x1.8p1", -3.0),
            ("0x1p3", 8.0),
            ("0x10", 16.0),
            ("0x0.8", 0.5),
            ("0.0", 0.0),
            ("-0.0", -0.0),
            ("0x1.fffffep127", f32::MAX),
            ("0x0.000002p-126", f32::from_bits(1)),
            ("0x1p-149", f32::from_bits(1)),
            ("0x1.000000p-126", f32::MIN_POSITIVE),
            ("0x0.fffffep-126", f32::from_bits(0x7f_ffff)),
            ("-Inf", f32::NEG_INFINITY),
            ("NaN", f32::from_bits(0x7fc0_0000)),
            ("-NaN:0x3", f32::from_bits(0xffc0_0003)),
            ("sNaN:0x3", f32::from_bits(0x7f80_0003)),
        ] {
            assert_eq!(float(text, 32), Ok(want.to_bits().into()), "{text}");
        }
        assert_eq!(
            float("0x1.fffffffffffffp1023", 64),
            Ok(f64::MAX.to_bits().into())
        );
        assert_eq!(float("0x1.0p-24", 16), Ok(1));
        assert_eq!(float("0x1.ffcp15", 16), Ok(0x7bff));
        assert_eq!(float("0x1.0p0", 128), Ok(0x3fff << 112));
        for text in [
            "0x1.0000001p0",
            "0x1p128",
            "0x1p-150",
            "0x",
            "1.5",
            "0x1.p",
            "NaN:0x400000",
            "sNaN:0x0",
            "0x.p1",
            "0x1p99999",
            "0x1..0",
            "0x111111111111111111111111111111111",
        ] {
            assert!(float(text, 32).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_of_hexadecimal_numbers() {
        assert_eq!(bytes("0x0001_02"), Ok(vec![2, 1, 0]));
        for text in ["0x", "0x1", "12", "0x1g"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
