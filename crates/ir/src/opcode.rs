//! The opcode table: name, format, type rules and effects of every instruction.

use core::fmt;

/// The shape of an instruction's operands; see [`InstData`](crate::InstData).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "each is described at the variant of `InstData` with its name"
)]
pub enum Format {
    UnaryImm,
    UnaryIeee32,
    UnaryIeee64,
    Unary,
    Binary,
    Ternary,
    IntCompare,
    FloatCompare,
    Load,
    Store,
    StackAddr,
    Jump,
    Brif,
    BranchTable,
    Trap,
    CondTrap,
    Call,
    CallIndirect,
    MultiAry,
}

/// What types the value operands must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operands {
    /// No value operands, or checked by the format (calls, branches, returns).
    ByFormat,
    /// All of one integer type.
    Int,
    /// All of one floating-point type.
    Float,
    /// An integer and an integer of any type: a value and a shift amount.
    Shift,
    /// An integer condition, then two values of one type.
    Select,
    /// An integer narrower than the result.
    IntNarrower,
    /// An integer wider than the result.
    IntWider,
    /// A float narrower than the result.
    FloatNarrower,
    /// A float wider than the result.
    FloatWider,
    /// Any value as wide as the result.
    SameWidth,
    /// An address of 64 bits.
    Address,
    /// A value, then an address of 64 bits.
    StoreAny,
    /// An integer wider than the memory access, then an address of 64 bits.
    StoreInt,
}

/// How the type of the result is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResultType {
    /// There is no result.
    None,
    /// The type of the first operand.
    SameAsFirst,
    /// The type of the second operand.
    SameAsSecond,
    /// `i8`: 0 or 1.
    Bool,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// An integer type written after the opcode.
    WrittenInt,
    /// A floating-point type written after the opcode.
    WrittenFloat,
    /// Any type written after the opcode.
    Written,
    /// As many results as the callee's signature has.
    Signature,
}

const TERMINATOR: u8 = 1;
const BRANCH: u8 = 2;
const CALL: u8 = 4;
const LOAD: u8 = 8;
const STORE: u8 = 16;
const TRAP: u8 = 32;

/// Calls `$m!` with one row for every opcode:
/// `Variant builder_method "name" Format Operands ResultType (effects);`.
macro_rules! for_each_opcode {
    ($m:ident) => {
        $m! {
            /// Go to a block.
            Jump jump "jump" Jump ByFormat None (TERMINATOR | BRANCH);
            /// Go to the first block if the condition is not zero, else to the second.
            Brif brif "brif" Brif ByFormat None (TERMINATOR | BRANCH);
            /// Go to the block that an index selects from a table, or to the default.
            BrTable br_table "br_table" BranchTable ByFormat None (TERMINATOR | BRANCH);
            /// End execution with a trap.
            Trap trap "trap" Trap ByFormat None (TERMINATOR | TRAP);
            /// Trap if the operand is zero.
            Trapz trapz "trapz" CondTrap Int None (TRAP);
            /// Trap if the operand is not zero.
            Trapnz trapnz "trapnz" CondTrap Int None (TRAP);
            /// Return from the function.
            Return return_ "return" MultiAry ByFormat None (TERMINATOR);
            /// Call a known function.
            Call call "call" Call ByFormat Signature (CALL);
            /// Call the function at an address.
            CallIndirect call_indirect "call_indirect" CallIndirect ByFormat Signature (CALL);

            /// Load a value from memory.
            Load load "load" Load Address Written (LOAD);
            /// Load 8 bits, zero-extended.
            Uload8 uload8 "uload8" Load Address WrittenInt (LOAD);
            /// Load 8 bits, sign-extended.
            Sload8 sload8 "sload8" Load Address WrittenInt (LOAD);
            /// Load 16 bits, zero-extended.
            Uload16 uload16 "uload16" Load Address WrittenInt (LOAD);
            /// Load 16 bits, sign-extended.
            Sload16 sload16 "sload16" Load Address WrittenInt (LOAD);
            /// Load 32 bits, zero-extended.
            Uload32 uload32 "uload32" Load Address WrittenInt (LOAD);
            /// Load 32 bits, sign-extended.
            Sload32 sload32 "sload32" Load Address WrittenInt (LOAD);
            /// Store a value to memory.
            Store store "store" Store StoreAny None (STORE);
            /// Store the low 8 bits of an integer.
            Istore8 istore8 "istore8" Store StoreInt None (STORE);
            /// Store the low 16 bits of an integer.
            Istore16 istore16 "istore16" Store StoreInt None (STORE);
            /// Store the low 32 bits of an integer.
            Istore32 istore32 "istore32" Store StoreInt None (STORE);
            /// The address of a byte in a stack slot.
            StackAddr stack_addr "stack_addr" StackAddr ByFormat WrittenInt (0);

            /// An integer constant.
            Iconst iconst "iconst" UnaryImm ByFormat WrittenInt (0);
            /// An `f32` constant.
            F32const f32const "f32const" UnaryIeee32 ByFormat F32 (0);
            /// An `f64` constant.
            F64const f64const "f64const" UnaryIeee64 ByFormat F64 (0);

            /// Compare two integers.
            Icmp icmp "icmp" IntCompare Int Bool (0);
            /// Wrapping addition.
            Iadd iadd "iadd" Binary Int SameAsFirst (0);
            /// Wrapping subtraction.
            Isub isub "isub" Binary Int SameAsFirst (0);
            /// Wrapping multiplication.
            Imul imul "imul" Binary Int SameAsFirst (0);
            /// High half of the unsigned product.
            Umulhi umulhi "umulhi" Binary Int SameAsFirst (0);
            /// High half of the signed product.
            Smulhi smulhi "smulhi" Binary Int SameAsFirst (0);
            /// Unsigned quotient; traps on division by zero.
            Udiv udiv "udiv" Binary Int SameAsFirst (TRAP);
            /// Signed quotient; traps on division by zero and on overflow.
            Sdiv sdiv "sdiv" Binary Int SameAsFirst (TRAP);
            /// Unsigned remainder; traps on division by zero.
            Urem urem "urem" Binary Int SameAsFirst (TRAP);
            /// Signed remainder with the sign of the dividend; traps on division by zero.
            Srem srem "srem" Binary Int SameAsFirst (TRAP);
            /// Wrapping negation.
            Ineg ineg "ineg" Unary Int SameAsFirst (0);

            /// Bitwise and.
            Band band "band" Binary Int SameAsFirst (0);
            /// Bitwise or.
            Bor bor "bor" Binary Int SameAsFirst (0);
            /// Bitwise exclusive or.
            Bxor bxor "bxor" Binary Int SameAsFirst (0);
            /// Bitwise complement.
            Bnot bnot "bnot" Unary Int SameAsFirst (0);
            /// Rotate left; the amount counts modulo the width.
            Rotl rotl "rotl" Binary Shift SameAsFirst (0);
            /// Rotate right; the amount counts modulo the width.
            Rotr rotr "rotr" Binary Shift SameAsFirst (0);
            /// Shift left; the amount counts modulo the width.
            Ishl ishl "ishl" Binary Shift SameAsFirst (0);
            /// Shift right, filling with zeros; the amount counts modulo the width.
            Ushr ushr "ushr" Binary Shift SameAsFirst (0);
            /// Shift right, filling with the sign; the amount counts modulo the width.
            Sshr sshr "sshr" Binary Shift SameAsFirst (0);
            /// Number of leading zero bits; the width for zero.
            Clz clz "clz" Unary Int SameAsFirst (0);
            /// Number of trailing zero bits; the width for zero.
            Ctz ctz "ctz" Unary Int SameAsFirst (0);
            /// Number of set bits.
            Popcnt popcnt "popcnt" Unary Int SameAsFirst (0);

            /// Compare two floats.
            Fcmp fcmp "fcmp" FloatCompare Float Bool (0);
            /// Addition.
            Fadd fadd "fadd" Binary Float SameAsFirst (0);
            /// Subtraction.
            Fsub fsub "fsub" Binary Float SameAsFirst (0);
            /// Multiplication.
            Fmul fmul "fmul" Binary Float SameAsFirst (0);
            /// Division.
            Fdiv fdiv "fdiv" Binary Float SameAsFirst (0);
            /// The first operand with the sign of the second.
            Fcopysign fcopysign "fcopysign" Binary Float SameAsFirst (0);
            /// Minimum; NaN if either is, and -0 < +0.
            Fmin fmin "fmin" Binary Float SameAsFirst (0);
            /// Maximum; NaN if either is, and -0 < +0.
            Fmax fmax "fmax" Binary Float SameAsFirst (0);
            /// Square root.
            Sqrt sqrt "sqrt" Unary Float SameAsFirst (0);
            /// Flip the sign bit.
            Fneg fneg "fneg" Unary Float SameAsFirst (0);
            /// Clear the sign bit.
            Fabs fabs "fabs" Unary Float SameAsFirst (0);
            /// Round towards +∞.
            Ceil ceil "ceil" Unary Float SameAsFirst (0);
            /// Round towards -∞.
            Floor floor "floor" Unary Float SameAsFirst (0);
            /// Round towards zero.
            Trunc trunc "trunc" Unary Float SameAsFirst (0);
            /// Round to the nearest integer, ties to even.
            Nearest nearest "nearest" Unary Float SameAsFirst (0);

            /// The second operand if the first is not zero, else the third.
            Select select "select" Ternary Select SameAsSecond (0);

            /// The same bits as another type.
            Bitcast bitcast "bitcast" Unary SameWidth Written (0);
            /// The low bits of an integer.
            Ireduce ireduce "ireduce" Unary IntWider WrittenInt (0);
            /// Extend with zeros.
            Uextend uextend "uextend" Unary IntNarrower WrittenInt (0);
            /// Extend with the sign.
            Sextend sextend "sextend" Unary IntNarrower WrittenInt (0);
            /// Convert to a wider float.
            Fpromote fpromote "fpromote" Unary FloatNarrower WrittenFloat (0);
            /// Convert to a narrower float, rounding to nearest.
            Fdemote fdemote "fdemote" Unary FloatWider WrittenFloat (0);
            /// Truncate to an unsigned integer; traps on NaN and out of range.
            FcvtToUint fcvt_to_uint "fcvt_to_uint" Unary Float WrittenInt (TRAP);
            /// Truncate to a signed integer; traps on NaN and out of range.
            FcvtToSint fcvt_to_sint "fcvt_to_sint" Unary Float WrittenInt (TRAP);
            /// Truncate to an unsigned integer, saturating; NaN is 0.
            FcvtToUintSat fcvt_to_uint_sat "fcvt_to_uint_sat" Unary Float WrittenInt (0);
            /// Truncate to a signed integer, saturating; NaN is 0.
            FcvtToSintSat fcvt_to_sint_sat "fcvt_to_sint_sat" Unary Float WrittenInt (0);
            /// Convert from an unsigned integer.
            FcvtFromUint fcvt_from_uint "fcvt_from_uint" Unary Int WrittenFloat (0);
            /// Convert from a signed integer.
            FcvtFromSint fcvt_from_sint "fcvt_from_sint" Unary Int WrittenFloat (0);
        }
    };
}

macro_rules! define_opcodes {
    ($($(#[$doc:meta])* $variant:ident $method:ident $name:literal $format:ident $operands:ident $result:ident ($effects:expr);)*) => {
        /// The operation of an instruction.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Opcode { $($(#[$doc])* $variant,)* }

        const NAMES: &[&str] = &[$($name),*];
        const FORMATS: &[Format] = &[$(Format::$format),*];
        const OPERANDS: &[Operands] = &[$(Operands::$operands),*];
        const RESULTS: &[ResultType] = &[$(ResultType::$result),*];
        static EFFECTS: [u8; NAMES.len()] = [$($effects),*];

        impl Opcode {
            /// Every opcode, in declaration order.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant),*];
        }
    };
}
for_each_opcode!(define_opcodes);
pub(crate) use for_each_opcode;

impl Opcode {
    /// The opcode's name in the text format.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The opcode with this name.
    pub fn from_name(name: &str) -> Option<Opcode> {
        let at = NAMES.iter().position(|&n| n == name)?;
        Some(Self::ALL[at])
    }

    /// The shape of its operands.
    pub const fn format(self) -> Format {
        FORMATS[self as usize]
    }

    /// The types of its value operands.
    pub const fn operands(self) -> Operands {
        OPERANDS[self as usize]
    }

    /// How the type of its result is found.
    pub const fn result_type(self) -> ResultType {
        RESULTS[self as usize]
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
