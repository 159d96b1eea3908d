//! Opcodes and what is known about each.

mod rules;
mod table;

use core::fmt;
pub use rules::{Control, TypeRule, TypeSet};
use std::collections::HashMap;
use std::sync::LazyLock;
pub(crate) use table::for_each_opcode;

/// The shape of an instruction's operands; see [`InstData`](crate::InstData).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "each is described at the variant of `InstData` with its name"
)]
pub enum Format {
    NullAry,
    UnaryImm,
    UnaryIeee16,
    UnaryIeee32,
    UnaryIeee64,
    UnaryConst,
    UnaryGlobalValue,
    Unary,
    Binary,
    BinaryImm8,
    Ternary,
    TernaryImm8,
    Shuffle,
    IntCompare,
    FloatCompare,
    IntAddTrap,
    Load,
    LoadNoOffset,
    Store,
    StoreNoOffset,
    AtomicRmw,
    AtomicCas,
    StackAddr,
    DynamicStackAddr,
    FuncAddr,
    ExceptionHandlerAddress,
    Jump,
    Brif,
    BranchTable,
    Trap,
    CondTrap,
    Call,
    CallIndirect,
    TryCall,
    TryCallIndirect,
    MultiAry,
}

const TERMINATOR: u8 = 1;
const BRANCH: u8 = 2;
const CALL: u8 = 4;
const LOAD: u8 = 8;
const STORE: u8 = 16;
const TRAP: u8 = 32;
const OTHER: u8 = 64;

macro_rules! define_opcodes {
    ($($(#[$doc:meta])* $variant:ident $method:ident $name:literal $format:ident $control:ident($set:ident)
        [$($arg:ident)*] -> [$($result:ident)*] ($effects:expr);)*) => {
        /// The operation of an instruction.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Opcode { $($(#[$doc])* $variant,)* }

        const NAMES: &[&str] = &[$($name),*];
        static FORMATS: [Format; NAMES.len()] = [$(Format::$format),*];
        static CONTROLS: [Control; NAMES.len()] = [$(Control::$control),*];
        static SETS: [TypeSet; NAMES.len()] = [$(TypeSet::$set),*];
        static OPERANDS: [&[TypeRule]; NAMES.len()] = [$(&[$(TypeRule::$arg),*]),*];
        static RESULTS: [&[TypeRule]; NAMES.len()] = [$(&[$(TypeRule::$result),*]),*];
        static EFFECTS: [u8; NAMES.len()] = [$($effects),*];

        impl Opcode {
            /// Every opcode, in declaration order.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant),*];
        }
    };
}
for_each_opcode!(define_opcodes);

impl Opcode {
    /// The opcode's name in the text format.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The opcode with this name.
    pub fn from_name(name: &str) -> Option<Opcode> {
        static BY_NAME: LazyLock<HashMap<&str, Opcode>> = LazyLock::new(|| {
            let all = NAMES.iter().copied();
            all.zip(Opcode::ALL.iter().copied()).collect()
        });
        BY_NAME.get(name).copied()
    }

    /// The shape of its operands.
    #[inline]
    pub fn format(self) -> Format {
        FORMATS[self as usize]
    }

    /// Where its controlling type comes from.
    #[inline]
    pub fn control(self) -> Control {
        CONTROLS[self as usize]
    }

    /// What its controlling type can be; nothing if it has none.
    pub fn control_set(self) -> TypeSet {
        SETS[self as usize]
    }

    /// The types of its value operands that are not in lists, in the order of the text format.
    pub fn operands(self) -> &'static [TypeRule] {
        OPERANDS[self as usize]
    }

    /// The types of its results, unless they are those of a signature.
    #[inline]
    pub fn results(self) -> &'static [TypeRule] {
        RESULTS[self as usize]
    }

    /// Whether its results are those of the callee's signature: a call that comes back.
    #[inline]
    pub fn has_signature_results(self) -> bool {
        self.is_call() && (!self.is_terminator() || self.is_branch())
    }

    /// Whether it ends a block.
    #[inline]
    pub fn is_terminator(self) -> bool {
        EFFECTS[self as usize] & TERMINATOR != 0
    }

    /// Whether it has edges to other blocks.
    #[inline]
    pub fn is_branch(self) -> bool {
        EFFECTS[self as usize] & BRANCH != 0
    }

    /// Whether it calls a function.
    #[inline]
    pub fn is_call(self) -> bool {
        EFFECTS[self as usize] & CALL != 0
    }

    /// Whether it reads memory (calls aside).
    #[inline]
    pub fn is_load(self) -> bool {
        EFFECTS[self as usize] & LOAD != 0
    }

    /// Whether it writes memory (calls aside).
    #[inline]
    pub fn is_store(self) -> bool {
        EFFECTS[self as usize] & STORE != 0
    }

    /// Whether it can trap, whatever its memory flags say (calls and memory accesses aside).
    #[inline]
    pub fn can_trap(self) -> bool {
        EFFECTS[self as usize] & TRAP != 0
    }

    /// Whether it must be kept even if its results are not used, its memory flags aside.
    #[inline]
    pub fn has_side_effect(self) -> bool {
        EFFECTS[self as usize] & !LOAD != 0
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
