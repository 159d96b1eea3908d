//! Instruction records.

use crate::{
    AtomicRmwOp, Block, BlockCall, Constant, DynamicStackSlot, ExceptionTable, FloatCC, Format,
    FuncRef, GlobalValue, IntCC, JumpTable, MemFlags, Opcode, PackedOption, ShuffleMask, SigRef,
    SiteAttr, StackSlot, TrapCode, Value, ValueList,
};

/// An instruction: its opcode and operands, in 16 bytes.
// The opcode is the first field of every variant, so that this representation has it in the same
// place in all of them.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "fields are named after what they hold")]
pub enum InstData {
    /// No operands.
    NullAry { opcode: Opcode },
    /// An integer constant, sign-extended from its type.
    UnaryImm { opcode: Opcode, imm: i64 },
    /// The bits of an `f16`.
    UnaryIeee16 { opcode: Opcode, bits: u16 },
    /// The bits of an `f32`.
    UnaryIeee32 { opcode: Opcode, bits: u32 },
    /// The bits of an `f64`.
    UnaryIeee64 { opcode: Opcode, bits: u64 },
    /// A constant of the pool.
    UnaryConst { opcode: Opcode, constant: Constant },
    /// A global value.
    UnaryGlobalValue { opcode: Opcode, global: GlobalValue },
    /// One operand.
    Unary { opcode: Opcode, arg: Value },
    /// Two operands.
    Binary { opcode: Opcode, args: [Value; 2] },
    /// One operand and a lane number.
    BinaryImm8 { opcode: Opcode, arg: Value, imm: u8 },
    /// Three operands.
    Ternary { opcode: Opcode, args: [Value; 3] },
    /// Two operands and a lane number.
    TernaryImm8 {
        opcode: Opcode,
        args: [Value; 2],
        imm: u8,
    },
    /// Two operands and a mask of 16 lane numbers.
    Shuffle {
        opcode: Opcode,
        args: [Value; 2],
        mask: ShuffleMask,
    },
    /// An integer comparison.
    IntCompare {
        opcode: Opcode,
        cond: IntCC,
        args: [Value; 2],
    },
    /// A floating-point comparison.
    FloatCompare {
        opcode: Opcode,
        cond: FloatCC,
        args: [Value; 2],
    },
    /// Two operands whose sum traps if it overflows.
    IntAddTrap {
        opcode: Opcode,
        args: [Value; 2],
        code: TrapCode,
    },
    /// A read at `arg + offset`.
    Load {
        opcode: Opcode,
        flags: MemFlags,
        arg: Value,
        offset: i32,
    },
    /// A read at `arg`.
    LoadNoOffset {
        opcode: Opcode,
        flags: MemFlags,
        arg: Value,
    },
    /// A write of `args[0]` at `args[1] + offset`.
    Store {
        opcode: Opcode,
        flags: MemFlags,
        args: [Value; 2],
        offset: i32,
    },
    /// A write of `args[0]` at `args[1]`.
    StoreNoOffset {
        opcode: Opcode,
        flags: MemFlags,
        args: [Value; 2],
    },
    /// What is at `args[0]` combined with `args[1]`.
    AtomicRmw {
        opcode: Opcode,
        op: AtomicRmwOp,
        flags: MemFlags,
        args: [Value; 2],
    },
    /// A write of `args[2]` at `args[0]` if `args[1]` is there.
    AtomicCas {
        opcode: Opcode,
        flags: MemFlags,
        args: [Value; 3],
    },
    /// The address of a stack slot plus an offset.
    StackAddr {
        opcode: Opcode,
        slot: StackSlot,
        offset: i32,
    },
    /// The address of a stack slot of dynamic size.
    DynamicStackAddr {
        opcode: Opcode,
        slot: DynamicStackSlot,
    },
    /// The address of a function.
    FuncAddr { opcode: Opcode, func: FuncRef },
    /// The address of handler `index` of the `try_call` at the end of `block`.
    ExceptionHandlerAddress {
        opcode: Opcode,
        block: Block,
        index: i64,
    },
    /// An unconditional branch.
    Jump { opcode: Opcode, dest: BlockCall },
    /// A branch to `dests[0]` if `arg` is not zero, else to `dests[1]`.
    Brif {
        opcode: Opcode,
        arg: Value,
        dests: [BlockCall; 2],
    },
    /// A branch through a table.
    BranchTable {
        opcode: Opcode,
        arg: Value,
        table: JumpTable,
    },
    /// A trap.
    Trap { opcode: Opcode, code: TrapCode },
    /// A trap that depends on `arg`.
    CondTrap {
        opcode: Opcode,
        arg: Value,
        code: TrapCode,
    },
    /// A direct call; `attrs` only on patchable ones.
    Call {
        opcode: Opcode,
        func: FuncRef,
        args: ValueList,
        attrs: PackedOption<SiteAttr>,
    },
    /// An indirect call; the first value is the address of the callee.
    CallIndirect {
        opcode: Opcode,
        sig: SigRef,
        args: ValueList,
    },
    /// A direct call with handlers.
    TryCall {
        opcode: Opcode,
        func: FuncRef,
        args: ValueList,
        table: ExceptionTable,
    },
    /// An indirect call with handlers; the first value is the address of the callee.
    TryCallIndirect {
        opcode: Opcode,
        args: ValueList,
        table: ExceptionTable,
    },
    /// Any number of operands.
    MultiAry { opcode: Opcode, args: ValueList },
}

const _: () = assert!(size_of::<InstData>() == 16);

macro_rules! accessors {
    ($($name:ident)*) => {
        impl InstData {
            /// The opcode.
            #[inline]
            pub fn opcode(&self) -> Opcode {
                match *self { $(InstData::$name { opcode, .. })|* => opcode }
            }

            /// The shape of the operands; that of the opcode's table row if it is a well-formed
            /// instruction.
            pub fn format(&self) -> Format {
                match self { $(InstData::$name { .. } => Format::$name,)* }
            }
        }
    };
}
accessors!(
    NullAry UnaryImm UnaryIeee16 UnaryIeee32 UnaryIeee64 UnaryConst UnaryGlobalValue Unary Binary
    BinaryImm8 Ternary TernaryImm8 Shuffle IntCompare FloatCompare IntAddTrap Load LoadNoOffset
    Store StoreNoOffset AtomicRmw AtomicCas StackAddr DynamicStackAddr FuncAddr
    ExceptionHandlerAddress Jump Brif BranchTable Trap CondTrap Call CallIndirect TryCall
    TryCallIndirect MultiAry
);

impl InstData {
    /// The operand whose type controls the others, if one does and it is not in a list.
    #[inline]
    pub(crate) fn control_operand(&self) -> Option<Value> {
        let args = self.value_operands();
        match self {
            InstData::Ternary { .. } => Some(args[1]),
            InstData::AtomicCas { .. } => Some(args[2]),
            _ => args.first().copied(),
        }
    }

    /// The value operands that are not in lists, in the order of the text format.
    #[inline]
    pub fn value_operands(&self) -> &[Value] {
        match self {
            InstData::Unary { arg, .. }
            | InstData::BinaryImm8 { arg, .. }
            | InstData::Load { arg, .. }
            | InstData::LoadNoOffset { arg, .. }
            | InstData::Brif { arg, .. }
            | InstData::BranchTable { arg, .. }
            | InstData::CondTrap { arg, .. } => core::slice::from_ref(arg),
            InstData::Binary { args, .. }
            | InstData::TernaryImm8 { args, .. }
            | InstData::Shuffle { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::IntAddTrap { args, .. }
            | InstData::Store { args, .. }
            | InstData::StoreNoOffset { args, .. }
            | InstData::AtomicRmw { args, .. } => args,
            InstData::Ternary { args, .. } | InstData::AtomicCas { args, .. } => args,
            InstData::NullAry { .. }
            | InstData::UnaryImm { .. }
            | InstData::UnaryIeee16 { .. }
            | InstData::UnaryIeee32 { .. }
            | InstData::UnaryIeee64 { .. }
            | InstData::UnaryConst { .. }
            | InstData::UnaryGlobalValue { .. }
            | InstData::StackAddr { .. }
            | InstData::DynamicStackAddr { .. }
            | InstData::FuncAddr { .. }
            | InstData::ExceptionHandlerAddress { .. }
            | InstData::Jump { .. }
            | InstData::Trap { .. }
            | InstData::Call { .. }
            | InstData::CallIndirect { .. }
            | InstData::TryCall { .. }
            | InstData::TryCallIndirect { .. }
            | InstData::MultiAry { .. } => &[],
        }
    }

    /// The same operands, to be changed in place.
    pub fn value_operands_mut(&mut self) -> &mut [Value] {
        match self {
            InstData::Unary { arg, .. }
            | InstData::BinaryImm8 { arg, .. }
            | InstData::Load { arg, .. }
            | InstData::LoadNoOffset { arg, .. }
            | InstData::Brif { arg, .. }
            | InstData::BranchTable { arg, .. }
            | InstData::CondTrap { arg, .. } => core::slice::from_mut(arg),
            InstData::Binary { args, .. }
            | InstData::TernaryImm8 { args, .. }
            | InstData::Shuffle { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::IntAddTrap { args, .. }
            | InstData::Store { args, .. }
            | InstData::StoreNoOffset { args, .. }
            | InstData::AtomicRmw { args, .. } => args,
            InstData::Ternary { args, .. } | InstData::AtomicCas { args, .. } => args,
            _ => &mut [],
        }
    }

    /// The list of value operands, if there is one: arguments, a callee before them.
    #[inline]
    pub fn value_list(&self) -> Option<ValueList> {
        match *self {
            InstData::Call { args, .. }
            | InstData::CallIndirect { args, .. }
            | InstData::TryCall { args, .. }
            | InstData::TryCallIndirect { args, .. }
            | InstData::MultiAry { args, .. } => Some(args),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<Option<InstData>>() == 16);
