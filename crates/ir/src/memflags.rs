//! What is known about a memory access.

use crate::TrapCode;
use core::fmt;

/// Byte order of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endianness {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl fmt::Display for Endianness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Endianness::Little => "little",
            Endianness::Big => "big",
        })
    }
}

/// What is known about a memory access: whether and how it can trap, and which freedom the
/// compiler has in moving it.
///
/// The default may trap with `heap_oob`, is of unknown alignment and native byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemFlags(u16);

const ALIGNED: u16 = 1 << 8;
const READONLY: u16 = 1 << 9;
const CAN_MOVE: u16 = 1 << 10;
const LITTLE: u16 = 1 << 11;
const BIG: u16 = 1 << 12;

impl MemFlags {
    /// The default flags.
    pub const fn new() -> Self {
        Self(TrapCode::HEAP_OUT_OF_BOUNDS.raw() as u16)
    }

    /// Flags of an access that is known to be valid: `notrap aligned`.
    pub const fn trusted() -> Self {
        Self(ALIGNED)
    }

    /// Why the access can trap; none if it cannot.
    #[inline]
    pub const fn trap_code(self) -> Option<TrapCode> {
        TrapCode::from_raw(self.0 as u8)
    }

    /// The same flags with the trap code replaced; none means `notrap`.
    #[must_use]
    pub const fn with_trap_code(self, code: Option<TrapCode>) -> Self {
        let raw = match code {
            Some(c) => c.raw() as u16,
            None => 0,
        };
        Self((self.0 & 0xff00) | raw)
    }

    /// Whether the access never traps.
    #[inline]
    pub const fn notrap(self) -> bool {
        self.0 as u8 == 0
    }

    /// Whether the address is a multiple of the access size.
    #[inline]
    pub const fn aligned(self) -> bool {
        self.0 & ALIGNED != 0
    }

    /// Whether the memory never changes while the function runs.
    #[inline]
    pub const fn readonly(self) -> bool {
        self.0 & READONLY != 0
    }

    /// Whether the access may be moved across control flow.
    #[inline]
    pub const fn can_move(self) -> bool {
        self.0 & CAN_MOVE != 0
    }

    /// The byte order, if it is not the target's own.
    pub const fn explicit_endianness(self) -> Option<Endianness> {
        if self.0 & LITTLE != 0 {
            Some(Endianness::Little)
        } else if self.0 & BIG != 0 {
            Some(Endianness::Big)
        } else {
            None
        }
    }

    /// With `aligned` set.
    #[must_use]
    pub const fn with_aligned(self) -> Self {
        Self(self.0 | ALIGNED)
    }

    /// With `readonly` set.
    #[must_use]
    pub const fn with_readonly(self) -> Self {
        Self(self.0 | READONLY)
    }

    /// With `can_move` set.
    #[must_use]
    pub const fn with_can_move(self) -> Self {
        Self(self.0 | CAN_MOVE)
    }

    /// With the byte order made explicit.
    #[must_use]
    pub const fn with_endianness(self, e: Endianness) -> Self {
        let bit = match e {
            Endianness::Little => LITTLE,
            Endianness::Big => BIG,
        };
        Self((self.0 & !(LITTLE | BIG)) | bit)
    }
}

impl Default for MemFlags {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MemFlags {
    /// Each flag is preceded by a space, so that the text can follow an opcode directly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trap_code() {
            None => f.write_str(" notrap")?,
            Some(TrapCode::HEAP_OUT_OF_BOUNDS) => {}
            Some(code) => write!(f, " {code}")?,
        }
        for (bit, name) in [
            (ALIGNED, " aligned"),
            (READONLY, " readonly"),
            (CAN_MOVE, " can_move"),
            (BIG, " big"),
            (LITTLE, " little"),
        ] {
            if self.0 & bit != 0 {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for MemFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemFlags({self})")
    }
}
