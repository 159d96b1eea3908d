//! Values outside of functions.

use crate::Type;
use crate::print::{Ieee16, Ieee32, Ieee64, Ieee128};
use core::fmt;

/// A value of a type of up to 128 bits: what a function is given or returns.
///
/// Two are equal if they have the same type and the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataValue {
    ty: Type,
    bits: u128,
}

impl DataValue {
    /// The value of type `ty` with the low bits of `bits`; lane 0 of a vector is lowest.
    ///
    /// Panics if the type has more than 128 bits.
    pub fn new(ty: Type, bits: u128) -> Self {
        let width = ty.bits();
        assert!(width <= 128, "{ty} has more than 128 bits");
        let mask = u128::MAX.checked_shr(128 - width).unwrap_or(0);
        Self {
            ty,
            bits: bits & mask,
        }
    }

    /// Its type.
    pub fn ty(self) -> Type {
        self.ty
    }

    /// Its bits, the upper ones being zero.
    pub fn bits(self) -> u128 {
        self.bits
    }

    /// Its bits as a signed number.
    pub fn signed(self) -> i128 {
        let unused = 128 - self.ty.bits().clamp(1, 128);
        (self.bits as i128) << unused >> unused
    }

    /// Its lanes, the first being lane 0; a scalar is its own lane.
    pub fn lanes(self) -> impl Iterator<Item = DataValue> {
        let width = self.ty.lane_bits();
        (0..self.ty.lanes()).map(move |n| DataValue::new(self.ty.lane(), self.bits >> (n * width)))
    }
}

impl fmt::Display for DataValue {
    /// As in the text format: integers in decimal, floats in hexadecimal, vectors as a list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ty.is_vector() {
            f.write_str("[")?;
            for (n, lane) in self.lanes().enumerate() {
                write!(f, "{}{lane}", if n == 0 { "" } else { " " })?;
            }
            return f.write_str("]");
        }
        match self.ty {
            Type::F16 => Ieee16(self.bits as u16).fmt(f),
            Type::F32 => Ieee32(self.bits as u32).fmt(f),
            Type::F64 => Ieee64(self.bits as u64).fmt(f),
            Type::F128 => Ieee128(self.bits).fmt(f),
            _ => self.signed().fmt(f),
        }
    }
}

impl fmt::Debug for DataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.ty)
    }
}
