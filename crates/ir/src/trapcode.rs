//! Why an instruction traps.

use core::fmt;
use core::num::NonZeroU8;

/// The reason of a trap, carried by the instruction that may raise it.
///
/// The values up to [`TrapCode::MAX_USER`] belong to the front end.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrapCode(NonZeroU8);

impl TrapCode {
    /// The largest code a front end can define.
    pub const MAX_USER: u8 = 250;
    /// The stack is exhausted.
    pub const STACK_OVERFLOW: TrapCode = Self::reserved(251);
    /// Integer overflow, e.g. `i32::MIN / -1`.
    pub const INTEGER_OVERFLOW: TrapCode = Self::reserved(252);
    /// A heap access out of bounds.
    pub const HEAP_OUT_OF_BOUNDS: TrapCode = Self::reserved(253);
    /// Division by zero.
    pub const INTEGER_DIVISION_BY_ZERO: TrapCode = Self::reserved(254);
    /// A float that has no integer value in range.
    pub const BAD_CONVERSION_TO_INTEGER: TrapCode = Self::reserved(255);

    const fn reserved(code: u8) -> TrapCode {
        match NonZeroU8::new(code) {
            Some(n) => TrapCode(n),
            None => panic!("trap code 0"),
        }
    }

    /// The front end's code `n`, 1 to [`TrapCode::MAX_USER`].
    pub const fn user(n: u8) -> Option<TrapCode> {
        match NonZeroU8::new(n) {
            Some(code) if n <= Self::MAX_USER => Some(TrapCode(code)),
            _ => None,
        }
    }

    /// The code as a byte, never 0.
    pub const fn raw(self) -> u8 {
        self.0.get()
    }

    /// The code whose [`TrapCode::raw`] is `raw`; none for 0.
    pub const fn from_raw(raw: u8) -> Option<TrapCode> {
        match NonZeroU8::new(raw) {
            Some(n) => Some(TrapCode(n)),
            None => None,
        }
    }

    /// The code with this name in the text format.
    pub fn from_name(name: &str) -> Option<TrapCode> {
        match name {
            "stk_ovf" => Some(Self::STACK_OVERFLOW),
            "int_ovf" => Some(Self::INTEGER_OVERFLOW),
            "heap_oob" => Some(Self::HEAP_OUT_OF_BOUNDS),
            "int_divz" => Some(Self::INTEGER_DIVISION_BY_ZERO),
            "bad_toint" => Some(Self::BAD_CONVERSION_TO_INTEGER),
            _ => name.strip_prefix("user")?.parse().ok().and_then(Self::user),
        }
    }
}

impl fmt::Display for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::STACK_OVERFLOW => f.write_str("stk_ovf"),
            Self::INTEGER_OVERFLOW => f.write_str("int_ovf"),
            Self::HEAP_OUT_OF_BOUNDS => f.write_str("heap_oob"),
            Self::INTEGER_DIVISION_BY_ZERO => f.write_str("int_divz"),
            Self::BAD_CONVERSION_TO_INTEGER => f.write_str("bad_toint"),
            TrapCode(n) => write!(f, "user{n}"),
        }
    }
}

impl fmt::Debug for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
