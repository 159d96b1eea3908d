//! Dense 32-bit references to the parts of a function.

use core::fmt;

/// A reference that is an index into a dense table.
pub trait EntityRef: Copy + Eq {
    /// The reference to entry `index`.
    fn new(index: usize) -> Self;
    /// The index of the entry.
    fn index(self) -> usize;
}

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The reference with number `n`; `u32::MAX` is reserved.
            #[inline]
            pub const fn from_u32(n: u32) -> Self {
                Self(n)
            }
            /// The number of this reference.
            #[inline]
            pub const fn as_u32(self) -> u32 {
                self.0
            }
        }
        impl EntityRef for $name {
            #[inline]
            fn new(index: usize) -> Self {
                debug_assert!(index < u32::MAX as usize);
                Self(index as u32)
            }
            #[inline]
            fn index(self) -> usize {
                self.0 as usize
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

entity!(/// An SSA value, `v7`.
    Value, "v");
entity!(/// A basic block, `block3`.
    Block, "block");
entity!(/// An instruction.
    Inst, "inst");
entity!(/// A function that can be called, `fn2`.
    FuncRef, "fn");
entity!(/// A signature of an indirect call or of a callee, `sig0`.
    SigRef, "sig");
entity!(/// An explicit stack slot, `ss1`.
    StackSlot, "ss");
entity!(/// The targets of a `br_table`.
    JumpTable, "jt");
entity!(/// One edge out of a terminator: a block and the arguments for its parameters.
    BlockCall, "edge");
entity!(/// The `site=` and `observe=[…]` attributes of a patchable call.
    SiteAttr, "site");

entity!(/// A value known before the code runs or found in memory, `gv3`.
    GlobalValue, "gv");
entity!(/// A vector type whose size depends on the machine, `dt0`.
    DynamicType, "dt");
entity!(/// A stack slot for a value of dynamic type, `dss0`.
    DynamicStackSlot, "dss");
entity!(/// A constant that is not part of an instruction, `const2`.
    Constant, "const");
entity!(/// The 16 lane numbers of a `shuffle`.
    ShuffleMask, "mask");
entity!(/// The edges of a `try_call`.
    ExceptionTable, "extable");
entity!(/// A part of memory that accesses to other parts do not touch, `region1`.
    AliasRegion, "region");

/// An optional reference that takes no more room than the reference itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackedOption<T>(u32, core::marker::PhantomData<T>);

impl<T: EntityRef> PackedOption<T> {
    /// No reference.
    pub const NONE: Self = Self(u32::MAX, core::marker::PhantomData);

    /// The reference as an ordinary option.
    #[inline]
    pub fn expand(self) -> Option<T> {
        (self.0 != u32::MAX).then(|| T::new(self.0 as usize))
    }
}

impl<T: EntityRef> From<T> for PackedOption<T> {
    #[inline]
    fn from(t: T) -> Self {
        Self(t.index() as u32, core::marker::PhantomData)
    }
}

impl<T: EntityRef> From<Option<T>> for PackedOption<T> {
    #[inline]
    fn from(t: Option<T>) -> Self {
        t.map_or(Self::NONE, Self::from)
    }
}

impl<T: EntityRef + fmt::Debug> fmt::Debug for PackedOption<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expand().fmt(f)
    }
}
