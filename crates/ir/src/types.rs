//! Value types.

use core::fmt;

/// The type of a value.
///
/// One byte: the lane type in the low nibble; in the high nibble log2 of the number of lanes, or 8
/// more than that for a dynamic vector, whose number of lanes is a multiple of the written one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type(u8);

/// Bits of the lane types.
const LANE_BITS: [u16; 16] = [0, 8, 16, 32, 64, 128, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0];
const LANE_NAMES: [&str; 10] = [
    "invalid", "i8", "i16", "i32", "i64", "i128", "f16", "f32", "f64", "f128",
];
/// What the high nibble of a dynamic vector has more than that of a fixed one.
const DYNAMIC: u8 = 8;
/// The largest log2 of the number of lanes.
const MAX_LANES_LOG2: u8 = 8;
/// The most bits that a dynamic vector has for each unit of its scale.
const MAX_DYNAMIC_BITS: u32 = 256;

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
    /// 128-bit integer.
    pub const I128: Type = Type(5);
    /// IEEE 754 binary16.
    pub const F16: Type = Type(6);
    /// IEEE 754 binary32.
    pub const F32: Type = Type(7);
    /// IEEE 754 binary64.
    pub const F64: Type = Type(8);
    /// IEEE 754 binary128.
    pub const F128: Type = Type(9);
    /// 16 lanes of `i8`.
    pub const I8X16: Type = Type(0x41);
    /// 8 lanes of `i16`.
    pub const I16X8: Type = Type(0x32);
    /// 4 lanes of `i32`.
    pub const I32X4: Type = Type(0x23);
    /// 2 lanes of `i64`.
    pub const I64X2: Type = Type(0x14);
    /// 4 lanes of `f32`.
    pub const F32X4: Type = Type(0x27);
    /// 2 lanes of `f64`.
    pub const F64X2: Type = Type(0x18);

    /// The types that every target holds in one register.
    pub const ALL: [Type; 6] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
    ];

    /// Every type that is not a vector.
    pub const SCALARS: [Type; 9] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::I128,
        Self::F16,
        Self::F32,
        Self::F64,
        Self::F128,
    ];

    /// Every type there is: the scalars, the fixed and the dynamic vectors.
    pub fn every() -> impl Iterator<Item = Type> {
        (0..=u8::MAX).map(Type).filter(|ty| ty.is_valid())
    }

    /// Whether this is the type of a value.
    pub const fn is_valid(self) -> bool {
        let (lane, high) = (self.0 & 15, self.0 >> 4);
        lane >= 1
            && lane <= 9
            && (high <= MAX_LANES_LOG2 || self.lane_bits() << (high - DYNAMIC) <= MAX_DYNAMIC_BITS)
    }

    /// Whether this is a scalar integer type.
    #[inline]
    pub const fn is_int(self) -> bool {
        self.0 >= 1 && self.0 <= 5
    }

    /// Whether this is a scalar floating-point type.
    #[inline]
    pub const fn is_float(self) -> bool {
        self.0 >= 6 && self.0 <= 9
    }

    /// Whether this is a vector type, fixed or dynamic.
    #[inline]
    pub const fn is_vector(self) -> bool {
        self.0 >= 16
    }

    /// Whether this is a vector type whose number of lanes depends on the machine.
    #[inline]
    pub const fn is_dynamic(self) -> bool {
        self.0 >> 4 > MAX_LANES_LOG2
    }

    /// log2 of the number of lanes: 0 for scalars, that of the smallest vector for dynamic ones.
    #[inline]
    pub(crate) const fn log2_lanes(self) -> u8 {
        let high = self.0 >> 4;
        if high > MAX_LANES_LOG2 {
            high - DYNAMIC
        } else {
            high
        }
    }

    /// The number of lanes: 1 for scalars, that of the smallest vector for dynamic ones.
    #[inline]
    pub const fn lanes(self) -> u32 {
        1 << self.log2_lanes()
    }

    /// The type of a lane; a scalar is its own lane.
    #[inline]
    pub const fn lane(self) -> Type {
        Type(self.0 & 15)
    }

    /// Size of a lane in bits.
    #[inline]
    pub const fn lane_bits(self) -> u32 {
        LANE_BITS[(self.0 & 15) as usize] as u32
    }

    /// Size in bits; of a dynamic vector, for each unit of its scale.
    #[inline]
    pub const fn bits(self) -> u32 {
        static BITS: [u16; 256] = {
            let mut bits = [0; 256];
            let mut raw = 0;
            while raw < 256 {
                let ty = Type(raw as u8);
                if ty.log2_lanes() <= MAX_LANES_LOG2 {
                    bits[raw] = LANE_BITS[raw & 15] << ty.log2_lanes();
                }
                raw += 1;
            }
            bits
        };
        BITS[self.0 as usize] as u32
    }

    /// Size in bytes; of a dynamic vector, for each unit of its scale.
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
            128 => Some(Self::I128),
            _ => None,
        }
    }

    /// The fixed vector of `lanes` lanes of this scalar type; one lane is the type itself.
    pub const fn by(self, lanes: u32) -> Option<Type> {
        if self.is_vector() || !self.is_valid() || !lanes.is_power_of_two() || lanes > 256 {
            return None;
        }
        Some(Type(self.0 | (lanes.trailing_zeros() as u8) << 4))
    }

    /// The dynamic vector that has the lanes of this fixed one for each unit of its scale.
    pub const fn to_dynamic(self) -> Option<Type> {
        if !self.is_vector() || self.is_dynamic() || self.bits() > MAX_DYNAMIC_BITS {
            return None;
        }
        Some(Type(self.0 + (DYNAMIC << 4)))
    }

    /// The fixed vector that this dynamic one is a multiple of.
    pub const fn to_fixed(self) -> Option<Type> {
        if !self.is_dynamic() {
            return None;
        }
        Some(Type(self.0 - (DYNAMIC << 4)))
    }

    /// As many lanes of another type.
    const fn with_lane(self, lane: Type) -> Type {
        Type(self.0 & 0xf0 | lane.0)
    }

    /// The type with lanes half as wide.
    pub const fn half_width(self) -> Option<Type> {
        match self.lane() {
            Self::I16 | Self::I32 | Self::I64 | Self::I128 | Self::F32 | Self::F64 | Self::F128 => {
                Some(self.with_lane(Type(self.lane().0 - 1)))
            }
            _ => None,
        }
    }

    /// The type with lanes twice as wide.
    pub const fn double_width(self) -> Option<Type> {
        match self.lane() {
            Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::F16 | Self::F32 | Self::F64 => {
                Some(self.with_lane(Type(self.lane().0 + 1)))
            }
            _ => None,
        }
    }

    /// Twice as many lanes, half as wide.
    pub const fn split_lanes(self) -> Option<Type> {
        match self.half_width() {
            Some(half) if half.log2_lanes() < MAX_LANES_LOG2 => {
                let split = Type(half.0 + 16);
                if split.is_valid() { Some(split) } else { None }
            }
            _ => None,
        }
    }

    /// Half as many lanes, twice as wide; two lanes become a scalar.
    pub const fn merge_lanes(self) -> Option<Type> {
        match self.double_width() {
            Some(double) if double.is_vector() => {
                let merged = Type(double.0 - 16);
                if merged.is_dynamic() || !self.is_dynamic() {
                    Some(merged)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// What a comparison of this type gives: `i8`, or integer lanes as wide.
    #[inline]
    pub const fn as_truthy(self) -> Type {
        if !self.is_vector() {
            return Self::I8;
        }
        match Type::int(self.lane_bits()) {
            Some(lane) => self.with_lane(lane),
            None => Self::INVALID,
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

    /// The type with this name in the text format: `i32`, `f32x4`, `i8x16xN`.
    pub fn from_name(name: &str) -> Option<Type> {
        let (fixed, dynamic) = match name.strip_suffix("xN") {
            Some(fixed) => (fixed, true),
            None => (name, false),
        };
        let (lane, lanes) = match fixed.split_once('x') {
            Some((_, n)) if n.starts_with(['0', '+']) => return None,
            Some((lane, n)) => (lane, Some(n.parse::<u32>().ok()?)),
            None => (fixed, None),
        };
        let lane = Self::SCALARS
            .into_iter()
            .find(|ty| lane == ty.lane_name())?;
        let ty = match lanes {
            None => lane,
            Some(n) => lane.by(n).filter(|ty| ty.is_vector())?,
        };
        if dynamic { ty.to_dynamic() } else { Some(ty) }
    }

    fn lane_name(self) -> &'static str {
        LANE_NAMES
            .get(usize::from(self.0 & 15))
            .unwrap_or(&LANE_NAMES[0])
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.lane_name())?;
        if self.is_vector() {
            write!(f, "x{}", self.lanes())?;
        }
        f.write_str(if self.is_dynamic() { "xN" } else { "" })
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own() {
        let all: Vec<Type> = Type::every().collect();
        assert_eq!(all.len(), 9 * 9 + 25);
        for &ty in &all {
            assert_eq!(Type::from_name(&ty.to_string()), Some(ty));
        }
        for name in [
            "", "i", "i7", "f8", "i32x", "i32x3", "i32x1", "i32x04", "i8x512", "i64x8xN", "x4",
        ] {
            assert_eq!(Type::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn lanes_are_split_and_merged() {
        assert_eq!(Type::I16X8.split_lanes(), Some(Type::I8X16));
        assert_eq!(Type::I64.split_lanes(), Type::I32.by(2));
        assert_eq!(Type::I8.split_lanes(), None);
        assert_eq!(Type::I8X16.merge_lanes(), Some(Type::I16X8));
        assert_eq!(Type::I8.by(2).unwrap().merge_lanes(), Some(Type::I16));
        assert_eq!(Type::I32.merge_lanes(), None);
        assert_eq!(Type::F64X2.as_truthy(), Type::I64X2);
        assert_eq!(Type::F64.as_truthy(), Type::I8);
        let dynamic = Type::I32X4.to_dynamic().unwrap();
        assert_eq!(dynamic.to_string(), "i32x4xN");
        assert_eq!(dynamic.as_truthy(), dynamic);
        assert_eq!(dynamic.to_fixed(), Some(Type::I32X4));
        assert_eq!((dynamic.bits(), dynamic.lanes()), (128, 4));
    }
}
