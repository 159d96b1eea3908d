//! What an atomic read-modify-write does.

use core::fmt;

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// How `atomic_rmw` combines what is in memory with its operand.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum AtomicRmwOp { $($(#[$doc])* $variant,)* }

        impl AtomicRmwOp {
            /// Every operation, in declaration order.
            pub const ALL: &'static [AtomicRmwOp] = &[$(AtomicRmwOp::$variant),*];

            /// The operation's name in the text format.
            pub const fn name(self) -> &'static str {
                match self { $(AtomicRmwOp::$variant => $text,)* }
            }

            /// The operation with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(AtomicRmwOp::$variant),)* _ => None }
            }
        }
    };
}

ops! {
    /// Addition.
    Add = "add",
    /// Subtraction.
    Sub = "sub",
    /// Bitwise and.
    And = "and",
    /// Complement of the bitwise and.
    Nand = "nand",
    /// Bitwise or.
    Or = "or",
    /// Bitwise exclusive or.
    Xor = "xor",
    /// The operand alone.
    Xchg = "xchg",
    /// Unsigned minimum.
    Umin = "umin",
    /// Unsigned maximum.
    Umax = "umax",
    /// Signed minimum.
    Smin = "smin",
    /// Signed maximum.
    Smax = "smax",
}

impl fmt::Display for AtomicRmwOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
