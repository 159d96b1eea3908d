//! Value types.

use core::fmt;

/// The type of a value.
///
/// One byte: the lane type in the low nibble, log2 of the number of lanes in the high one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type(u8);

impl Type {
    /// No type: what an instruction without a result has.
    pub const INVALID: Type = Type(0);
    /// 8-bit integer.
    pub const I8: Type = Type(1);
    /// 16-bit integer.
    pub const I16: Type = Type(2);
    /// 32-bit integer.
    pub const I32: Type = Type(3);
    /// 64-bit integer.
    pub const I64: Type = Type(4);
    /// IEEE 754 binary32.
    pub const F32: Type = Type(7);
    /// IEEE 754 binary64.
    pub const F64: Type = Type(8);

    /// Every type a value can have.
    pub const ALL: [Type; 6] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
    ];

    /// Whether this is an integer type.
    #[inline]
    pub const fn is_int(self) -> bool {
        self.0 >= 1 && self.0 <= 5
    }

    /// Whether this is a floating-point type.
    #[inline]
    pub const fn is_float(self) -> bool {
        self.0 >= 6 && self.0 <= 9
    }

    /// Size in bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        match self.0 {
            1 => 8,
            2 => 16,
            3 | 7 => 32,
            4 | 8 => 64,
            _ => 0,
        }
    }

    /// Size in bytes.
    #[inline]
    pub const fn bytes(self) -> u32 {
        self.bits() / 8
    }

    /// The integer type of `bits` bits.
    pub const fn int(bits: u32) -> Option<Type> {
        match bits {
            8 => Some(Self::I8),
            16 => Some(Self::I16),
            32 => Some(Self::I32),
            64 => Some(Self::I64),
            _ => None,
        }
    }

    /// The byte that [`Type::from_raw`] turns back into this type.
    #[inline]
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// The type whose [`Type::raw`] byte is `raw`.
    #[inline]
    pub const fn from_raw(raw: u8) -> Type {
        Type(raw)
    }

    /// The type's name in the text format.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "i8",
            2 => "i16",
            3 => "i32",
            4 => "i64",
            7 => "f32",
            8 => "f64",
            _ => "invalid",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
