//! Which types operands and results have.

use crate::Type;

/// A set of types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TypeSet {
    /// Bit `n` for the lane type whose [`Type::raw`] is `n`.
    lanes: u16,
    /// Bit `n` for scalars and fixed vectors of 2^n lanes.
    fixed: u16,
    /// Bit `n` for dynamic vectors of a multiple of 2^n lanes.
    dynamic: u16,
    name: &'static str,
}

const INTS: u16 = 0b11_1110;
const FLOATS: u16 = 0b11_1100_0000;
const EVERY_LANE: u16 = INTS | FLOATS;
const SCALAR: u16 = 1;
const VECTORS: u16 = 0b1_1111_1110;
const EVERY_SHAPE: u16 = SCALAR | VECTORS;
const DYNAMIC: u16 = 0b11_1110;

/// The lane types from `i8 << from` to `i8 << to`.
const fn ints(from: u32, to: u32) -> u16 {
    (0b10 << to) + ((0b10 << to) - (0b10 << from))
}

const fn set(lanes: u16, fixed: u16, dynamic: u16, name: &'static str) -> TypeSet {
    TypeSet {
        lanes,
        fixed,
        dynamic,
        name,
    }
}

impl TypeSet {
    /// No type: the opcode has no controlling type.
    pub const NONE: TypeSet = set(0, 0, 0, "no type");
    /// Every type.
    pub const ANY: TypeSet = set(EVERY_LANE, EVERY_SHAPE, DYNAMIC, "any type");
    /// Every type but dynamic vectors.
    pub const FIXED: TypeSet = set(EVERY_LANE, EVERY_SHAPE, 0, "a scalar or a fixed vector");
    /// Every vector type.
    pub const VECTOR: TypeSet = set(EVERY_LANE, VECTORS, DYNAMIC, "a vector");
    /// Dynamic vectors.
    pub const DYNAMIC_VECTOR: TypeSet = set(EVERY_LANE, 0, DYNAMIC, "a dynamic vector");
    /// Every vector type but dynamic ones.
    pub const FIXED_VECTOR: TypeSet = set(EVERY_LANE, VECTORS, 0, "a fixed vector");
    /// Integers and vectors of them.
    pub const INT: TypeSet = set(
        INTS,
        EVERY_SHAPE,
        DYNAMIC,
        "an integer or a vector of integers",
    );
    /// Integers and fixed vectors of them.
    pub const FIXED_INT: TypeSet = set(
        INTS,
        EVERY_SHAPE,
        0,
        "an integer or a fixed vector of integers",
    );
    /// Fixed vectors of integers.
    pub const INT_VECTOR: TypeSet = set(INTS, VECTORS, 0, "a fixed vector of integers");
    /// Integers.
    pub const SCALAR_INT: TypeSet = set(INTS, SCALAR, 0, "an integer");
    /// Integers of up to 64 bits.
    pub const INT64: TypeSet = set(ints(0, 3), SCALAR, 0, "an integer of up to 64 bits");
    /// Integers of more than one byte.
    pub const MULTIBYTE: TypeSet = set(ints(1, 4), SCALAR, 0, "an integer of more than 8 bits");
    /// Integers wider than 8 bits, up to 64.
    pub const ABOVE_8: TypeSet = set(ints(1, 3), SCALAR, 0, "i16, i32 or i64");
    /// Integers of 32 and 64 bits.
    pub const ABOVE_16: TypeSet = set(ints(2, 3), SCALAR, 0, "i32 or i64");
    /// `i64`.
    pub const ABOVE_32: TypeSet = set(ints(3, 3), SCALAR, 0, "i64");
    /// Addresses.
    pub const ADDRESS: TypeSet = set(ints(3, 3), SCALAR, 0, "an address, i64");
    /// Floats and vectors of them.
    pub const FLOAT: TypeSet = set(
        FLOATS,
        EVERY_SHAPE,
        DYNAMIC,
        "a float or a vector of floats",
    );
    /// Floats and fixed vectors of them.
    pub const FIXED_FLOAT: TypeSet = set(
        FLOATS,
        EVERY_SHAPE,
        0,
        "a float or a fixed vector of floats",
    );
    /// Floats.
    pub const SCALAR_FLOAT: TypeSet = set(FLOATS, SCALAR, 0, "a float");
    /// What `sqmul_round_sat` multiplies.
    pub const Q_FORMAT: TypeSet = set(ints(1, 2), 0b1100, 0, "i16x4, i16x8, i32x4 or i32x8");
    /// What can be narrowed: vectors of 2 to 8 lanes.
    pub const NARROWABLE: TypeSet = set(
        ints(1, 3),
        0b1110,
        0b1110,
        "a vector of 2 to 8 lanes of i16, i32 or i64",
    );
    /// What can be widened: vectors of 2 to 16 lanes.
    pub const WIDENABLE: TypeSet = set(
        ints(0, 2),
        0b1_1110,
        0b1_1110,
        "a vector of 2 to 16 lanes of i8, i16 or i32",
    );

    /// Whether `ty` is one of these types.
    pub const fn contains(self, ty: Type) -> bool {
        let shapes = if ty.is_dynamic() {
            self.dynamic
        } else {
            self.fixed
        };
        ty.is_valid() && self.lanes >> ty.lane().raw() & shapes >> ty.log2_lanes() & 1 != 0
    }

    /// One of the types, a usual one if possible; [`Type::INVALID`] if there are none.
    pub(crate) fn example(self) -> Type {
        let usual = [Type::I32, Type::I64, Type::F32, Type::I32X4];
        usual
            .into_iter()
            .chain(Type::every())
            .find(|&ty| self.contains(ty))
            .unwrap_or(Type::INVALID)
    }

    /// The set in words, e.g. `an integer`.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Where the controlling type of an opcode, on which the other types depend, comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// There is none: all types are known.
    Fixed,
    /// It is the type of an operand: the second of three, the third of `atomic_cas`, else the first.
    Infer,
    /// It is written after the opcode.
    Written,
}

/// The type of one operand or result, given the controlling type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the types are named after themselves")]
pub enum TypeRule {
    /// The controlling type.
    T,
    I8,
    I32,
    I64,
    I8X16,
    I16X8,
    I32X4,
    I64X2,
    F16,
    F32,
    F64,
    F128,
    F32X4,
    F64X2,
    /// `i8`, or integer lanes as wide as those of the controlling type.
    Truthy,
    /// The lane of the controlling type.
    Lane,
    /// Lanes half as wide.
    Half,
    /// Lanes twice as wide.
    Double,
    /// Half as many lanes, twice as wide.
    Merged,
    /// Twice as many lanes, half as wide.
    Split,
    /// The fixed vector that the controlling dynamic vector is a multiple of.
    FixedPart,
    /// An address.
    Address,
    /// Any integer.
    AnyInt,
    /// Any integer or fixed vector of integers.
    AnyInts,
    /// Any float.
    AnyFloat,
    /// Any float or vector of floats.
    AnyFloats,
    /// Any fixed vector.
    AnyVector,
    /// Any type as wide.
    SameWidth,
    /// An integer narrower than the controlling type.
    NarrowerInt,
    /// An integer wider than the controlling type.
    WiderInt,
    /// A float narrower than the controlling type.
    NarrowerFloat,
    /// A float wider than the controlling type.
    WiderFloat,
}

impl TypeRule {
    /// The only type that the rule allows; none if there are several or none.
    #[inline]
    pub fn only(self, control: Type) -> Option<Type> {
        Some(match self {
            TypeRule::T => control,
            TypeRule::I8 => Type::I8,
            TypeRule::I32 => Type::I32,
            TypeRule::I64 => Type::I64,
            TypeRule::I8X16 => Type::I8X16,
            TypeRule::I16X8 => Type::I16X8,
            TypeRule::I32X4 => Type::I32X4,
            TypeRule::I64X2 => Type::I64X2,
            TypeRule::F16 => Type::F16,
            TypeRule::F32 => Type::F32,
            TypeRule::F64 => Type::F64,
            TypeRule::F128 => Type::F128,
            TypeRule::F32X4 => Type::F32X4,
            TypeRule::F64X2 => Type::F64X2,
            TypeRule::Truthy => control.as_truthy(),
            TypeRule::Lane => control.lane(),
            TypeRule::Half => return control.half_width(),
            TypeRule::Double => return control.double_width(),
            TypeRule::Merged => return control.merge_lanes(),
            TypeRule::Split => return control.split_lanes(),
            TypeRule::FixedPart => return control.to_fixed(),
            TypeRule::Address => Type::I64,
            _ => return None,
        })
    }

    /// Whether the rule allows `ty`.
    pub fn allows(self, control: Type, ty: Type) -> bool {
        match self {
            TypeRule::AnyInt => TypeSet::SCALAR_INT.contains(ty),
            TypeRule::AnyInts => TypeSet::FIXED_INT.contains(ty),
            TypeRule::AnyFloat => TypeSet::SCALAR_FLOAT.contains(ty),
            TypeRule::AnyFloats => TypeSet::FLOAT.contains(ty),
            TypeRule::AnyVector => TypeSet::FIXED_VECTOR.contains(ty),
            TypeRule::SameWidth => {
                ty.bits() == control.bits() && ty.is_dynamic() == control.is_dynamic()
            }
            TypeRule::NarrowerInt => ty.is_int() && ty.bits() < control.bits(),
            TypeRule::WiderInt => ty.is_int() && ty.bits() > control.bits(),
            TypeRule::NarrowerFloat => ty.is_float() && ty.bits() < control.bits(),
            TypeRule::WiderFloat => ty.is_float() && ty.bits() > control.bits(),
            _ => self.only(control) == Some(ty),
        }
    }

    /// What the rule demands, in words, given the controlling type.
    pub fn describe(self, control: Type) -> String {
        match self {
            TypeRule::AnyInt => TypeSet::SCALAR_INT.name().into(),
            TypeRule::AnyInts => TypeSet::FIXED_INT.name().into(),
            TypeRule::AnyFloat => TypeSet::SCALAR_FLOAT.name().into(),
            TypeRule::AnyFloats => TypeSet::FLOAT.name().into(),
            TypeRule::AnyVector => TypeSet::FIXED_VECTOR.name().into(),
            TypeRule::Address => TypeSet::ADDRESS.name().into(),
            TypeRule::SameWidth => "as wide as the result".into(),
            TypeRule::NarrowerInt => "an integer narrower than the result".into(),
            TypeRule::WiderInt => "an integer wider than the result".into(),
            TypeRule::NarrowerFloat => "a float narrower than the result".into(),
            TypeRule::WiderFloat => "a float wider than the result".into(),
            _ => match self.only(control) {
                Some(ty) => ty.to_string(),
                None => format!("what {control} has no type for"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: TypeSet) -> String {
        let names: Vec<_> = Type::every()
            .filter(|&ty| set.contains(ty))
            .map(|ty| ty.to_string())
            .collect();
        names.join(" ")
    }

    #[test]
    fn sets_hold_what_their_names_say() {
        assert_eq!(names(TypeSet::SCALAR_INT), "i8 i16 i32 i64 i128");
        assert_eq!(names(TypeSet::INT64), "i8 i16 i32 i64");
        assert_eq!(names(TypeSet::MULTIBYTE), "i16 i32 i64 i128");
        assert_eq!(names(TypeSet::ABOVE_8), "i16 i32 i64");
        assert_eq!(names(TypeSet::ABOVE_16), "i32 i64");
        assert_eq!(names(TypeSet::ABOVE_32), "i64");
        assert_eq!(names(TypeSet::SCALAR_FLOAT), "f16 f32 f64 f128");
        assert_eq!(names(TypeSet::Q_FORMAT), "i16x4 i32x4 i16x8 i32x8");
        let count = |set: TypeSet| Type::every().filter(|&ty| set.contains(ty)).count();
        assert_eq!(count(TypeSet::ANY), 9 + 72 + 25);
        assert_eq!(count(TypeSet::FIXED), 9 + 72);
        assert_eq!(count(TypeSet::VECTOR), 72 + 25);
        assert_eq!(count(TypeSet::INT), 5 + 40 + 15);
        assert_eq!(count(TypeSet::FLOAT), 4 + 32 + 10);
        assert_eq!(count(TypeSet::NARROWABLE), 9 + 8);
        assert_eq!(count(TypeSet::WIDENABLE), 12 + 11);
        assert_eq!(count(TypeSet::NONE), 0);
    }
}
