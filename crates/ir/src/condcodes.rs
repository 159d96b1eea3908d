//! Conditions of comparisons.

use core::fmt;

macro_rules! condcodes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every condition, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The condition's name in the text format.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The condition with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

condcodes! {
    /// Condition of an integer comparison.
    IntCC {
        /// `a == b`
        Equal = "eq",
        /// `a != b`
        NotEqual = "ne",
        /// Signed `a < b`
        SignedLessThan = "slt",
        /// Signed `a >= b`
        SignedGreaterThanOrEqual = "sge",
        /// Signed `a > b`
        SignedGreaterThan = "sgt",
        /// Signed `a <= b`
        SignedLessThanOrEqual = "sle",
        /// Unsigned `a < b`
        UnsignedLessThan = "ult",
        /// Unsigned `a >= b`
        UnsignedGreaterThanOrEqual = "uge",
        /// Unsigned `a > b`
        UnsignedGreaterThan = "ugt",
        /// Unsigned `a <= b`
        UnsignedLessThanOrEqual = "ule",
    }
}

condcodes! {
    /// Condition of a floating-point comparison: which of less, equal, greater, unordered make it true.
    FloatCC {
        /// Neither is NaN.
        Ordered = "ord",
        /// At least one is NaN.
        Unordered = "uno",
        /// Equal.
        Equal = "eq",
        /// Less, greater or unordered: the C `!=`.
        NotEqual = "ne",
        /// Less or greater.
        OrderedNotEqual = "one",
        /// Unordered or equal.
        UnorderedOrEqual = "ueq",
        /// Less.
        LessThan = "lt",
        /// Less or equal.
        LessThanOrEqual = "le",
        /// Greater.
        GreaterThan = "gt",
        /// Greater or equal.
        GreaterThanOrEqual = "ge",
        /// Unordered or less.
        UnorderedOrLessThan = "ult",
        /// Unordered, less or equal.
        UnorderedOrLessThanOrEqual = "ule",
        /// Unordered or greater.
        UnorderedOrGreaterThan = "ugt",
        /// Unordered, greater or equal.
        UnorderedOrGreaterThanOrEqual = "uge",
    }
}

impl IntCC {
    /// The condition that is true when this one is false.
    #[must_use]
    pub const fn complement(self) -> Self {
        use IntCC::*;
        match self {
            Equal => NotEqual,
            NotEqual => Equal,
            SignedLessThan => SignedGreaterThanOrEqual,
            SignedGreaterThanOrEqual => SignedLessThan,
            SignedGreaterThan => SignedLessThanOrEqual,
            SignedLessThanOrEqual => SignedGreaterThan,
            UnsignedLessThan => UnsignedGreaterThanOrEqual,
            UnsignedGreaterThanOrEqual => UnsignedLessThan,
            UnsignedGreaterThan => UnsignedLessThanOrEqual,
            UnsignedLessThanOrEqual => UnsignedGreaterThan,
        }
    }

    /// The condition that holds for `(b, a)` when this one holds for `(a, b)`.
    #[must_use]
    pub const fn swap_args(self) -> Self {
        use IntCC::*;
        match self {
            Equal => Equal,
            NotEqual => NotEqual,
            SignedLessThan => SignedGreaterThan,
            SignedGreaterThanOrEqual => SignedLessThanOrEqual,
            SignedGreaterThan => SignedLessThan,
            SignedLessThanOrEqual => SignedGreaterThanOrEqual,
            UnsignedLessThan => UnsignedGreaterThan,
            UnsignedGreaterThanOrEqual => UnsignedLessThanOrEqual,
            UnsignedGreaterThan => UnsignedLessThan,
            UnsignedLessThanOrEqual => UnsignedGreaterThanOrEqual,
        }
    }
}

impl FloatCC {
    /// The condition that is true when this one is false.
    #[must_use]
    pub const fn complement(self) -> Self {
        use FloatCC::*;
        match self {
            Ordered => Unordered,
            Unordered => Ordered,
            Equal => NotEqual,
            NotEqual => Equal,
            OrderedNotEqual => UnorderedOrEqual,
            UnorderedOrEqual => OrderedNotEqual,
            LessThan => UnorderedOrGreaterThanOrEqual,
            LessThanOrEqual => UnorderedOrGreaterThan,
            GreaterThan => UnorderedOrLessThanOrEqual,
            GreaterThanOrEqual => UnorderedOrLessThan,
            UnorderedOrLessThan => GreaterThanOrEqual,
            UnorderedOrLessThanOrEqual => GreaterThan,
            UnorderedOrGreaterThan => LessThanOrEqual,
            UnorderedOrGreaterThanOrEqual => LessThan,
        }
    }
}
