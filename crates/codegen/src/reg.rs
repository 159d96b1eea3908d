//! Physical registers and sets of them.

use core::fmt;

/// A physical register: 0–31 are integer registers, 32–63 floating-point ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PReg(u8);

/// The two kinds of registers an allocatable value can be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RegClass {
    /// Integers and addresses.
    Int = 0,
    /// Floats.
    Float = 1,
}

impl PReg {
    /// Integer register with hardware number `hw`, 0–31.
    #[inline]
    pub const fn int(hw: u8) -> PReg {
        debug_assert!(hw < 32);
        PReg(hw)
    }

    /// Floating-point register with hardware number `hw`, 0–31.
    #[inline]
    pub const fn float(hw: u8) -> PReg {
        debug_assert!(hw < 32);
        PReg(hw + 32)
    }

    /// The register with index `index`; see [`PReg::index`].
    #[inline]
    pub const fn from_index(index: usize) -> PReg {
        debug_assert!(index < 64);
        PReg(index as u8)
    }

    /// A number unique to the register, 0–63.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number by which instructions name it, 0–31.
    #[inline]
    pub const fn hw(self) -> u8 {
        self.0 & 31
    }

    /// Its class.
    #[inline]
    pub const fn class(self) -> RegClass {
        if self.0 < 32 {
            RegClass::Int
        } else {
            RegClass::Float
        }
    }
}

impl fmt::Debug for PReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class() {
            RegClass::Int => write!(f, "r{}", self.hw()),
            RegClass::Float => write!(f, "f{}", self.hw()),
        }
    }
}

/// A set of physical registers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RegSet(u64);

impl RegSet {
    /// No registers.
    pub const EMPTY: RegSet = RegSet(0);

    /// The set of one register.
    #[inline]
    pub const fn of(r: PReg) -> RegSet {
        RegSet(1 << r.0)
    }

    /// The set of all registers in `regs`.
    pub const fn from_slice(regs: &[PReg]) -> RegSet {
        let mut bits = 0;
        let mut i = 0;
        while i < regs.len() {
            bits |= 1 << regs[i].0;
            i += 1;
        }
        RegSet(bits)
    }

    /// With `r`.
    #[inline]
    #[must_use]
    pub const fn with(self, r: PReg) -> RegSet {
        RegSet(self.0 | 1 << r.0)
    }

    /// Without `r`.
    #[inline]
    #[must_use]
    pub const fn without(self, r: PReg) -> RegSet {
        RegSet(self.0 & !(1 << r.0))
    }

    /// Add `r`.
    #[inline]
    pub const fn insert(&mut self, r: PReg) {
        self.0 |= 1 << r.0;
    }

    /// Remove `r`.
    #[inline]
    pub const fn remove(&mut self, r: PReg) {
        self.0 &= !(1 << r.0);
    }

    /// Whether `r` is in the set.
    #[inline]
    pub const fn contains(self, r: PReg) -> bool {
        self.0 >> r.0 & 1 != 0
    }

    /// The registers in either set.
    #[inline]
    #[must_use]
    pub const fn union(self, other: RegSet) -> RegSet {
        RegSet(self.0 | other.0)
    }

    /// The registers in both sets.
    #[inline]
    #[must_use]
    pub const fn intersect(self, other: RegSet) -> RegSet {
        RegSet(self.0 & other.0)
    }

    /// The registers that are not in `other`.
    #[inline]
    #[must_use]
    pub const fn minus(self, other: RegSet) -> RegSet {
        RegSet(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of registers.
    #[inline]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// How many registers of the set have lower indices than `r`.
    #[inline]
    pub(crate) const fn rank(self, r: PReg) -> u32 {
        (self.0 & ((1 << r.0) - 1)).count_ones()
    }

    /// The register with the lowest index.
    #[inline]
    pub const fn first(self) -> Option<PReg> {
        if self.0 == 0 {
            None
        } else {
            Some(PReg(self.0.trailing_zeros() as u8))
        }
    }

    /// The registers in index order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = PReg> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let r = rest.first()?;
            rest.remove(r);
            Some(r)
        })
    }

    /// One bit per register, bit [`PReg::index`].
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set whose [`RegSet::bits`] are `bits`.
    #[inline]
    pub const fn from_bits(bits: u64) -> RegSet {
        RegSet(bits)
    }
}

impl fmt::Debug for RegSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
