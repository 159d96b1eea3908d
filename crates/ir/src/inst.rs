//! Instruction records.

use crate::{
    BlockCall, FloatCC, Format, FuncRef, IntCC, JumpTable, MemFlags, Opcode, PackedOption, SigRef,
    SiteAttr, StackSlot, TrapCode, Value, ValueList,
};

/// An instruction: its opcode and operands, in 16 bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs, reason = "fields are named after what they hold")]
pub enum InstData {
    /// An integer constant, sign-extended from its type.
    UnaryImm { opcode: Opcode, imm: i64 },
    /// The bits of an `f32`.
    UnaryIeee32 { opcode: Opcode, bits: u32 },
    /// The bits of an `f64`.
    UnaryIeee64 { opcode: Opcode, bits: u64 },
    /// One operand.
    Unary { opcode: Opcode, arg: Value },
    /// Two operands.
    Binary { opcode: Opcode, args: [Value; 2] },
    /// Three operands.
    Ternary { opcode: Opcode, args: [Value; 3] },
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
    /// A read at `arg + offset`.
    Load {
        opcode: Opcode,
        flags: MemFlags,
        arg: Value,
        offset: i32,
    },
    /// A write of `args[0]` at `args[1] + offset`.
    Store {
        opcode: Opcode,
        flags: MemFlags,
        args: [Value; 2],
        offset: i32,
    },
    /// The address of a stack slot plus an offset.
    StackAddr {
        opcode: Opcode,
        slot: StackSlot,
        offset: i32,
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
    /// Any number of operands.
    MultiAry { opcode: Opcode, args: ValueList },
}

const _: () = assert!(size_of::<InstData>() == 16);

impl InstData {
    /// The opcode.
    #[inline]
    pub fn opcode(&self) -> Opcode {
        match *self {
            InstData::UnaryImm { opcode, .. }
            | InstData::UnaryIeee32 { opcode, .. }
            | InstData::UnaryIeee64 { opcode, .. }
            | InstData::Unary { opcode, .. }
            | InstData::Binary { opcode, .. }
            | InstData::Ternary { opcode, .. }
            | InstData::IntCompare { opcode, .. }
            | InstData::FloatCompare { opcode, .. }
            | InstData::Load { opcode, .. }
            | InstData::Store { opcode, .. }
            | InstData::StackAddr { opcode, .. }
            | InstData::Jump { opcode, .. }
            | InstData::Brif { opcode, .. }
            | InstData::BranchTable { opcode, .. }
            | InstData::Trap { opcode, .. }
            | InstData::CondTrap { opcode, .. }
            | InstData::Call { opcode, .. }
            | InstData::CallIndirect { opcode, .. }
            | InstData::MultiAry { opcode, .. } => opcode,
        }
    }

    /// The shape of the operands; that of the opcode's table row if it is a well-formed instruction.
    pub fn format(&self) -> Format {
        match self {
            InstData::UnaryImm { .. } => Format::UnaryImm,
            InstData::UnaryIeee32 { .. } => Format::UnaryIeee32,
            InstData::UnaryIeee64 { .. } => Format::UnaryIeee64,
            InstData::Unary { .. } => Format::Unary,
            InstData::Binary { .. } => Format::Binary,
            InstData::Ternary { .. } => Format::Ternary,
            InstData::IntCompare { .. } => Format::IntCompare,
            InstData::FloatCompare { .. } => Format::FloatCompare,
            InstData::Load { .. } => Format::Load,
            InstData::Store { .. } => Format::Store,
            InstData::StackAddr { .. } => Format::StackAddr,
            InstData::Jump { .. } => Format::Jump,
            InstData::Brif { .. } => Format::Brif,
            InstData::BranchTable { .. } => Format::BranchTable,
            InstData::Trap { .. } => Format::Trap,
            InstData::CondTrap { .. } => Format::CondTrap,
            InstData::Call { .. } => Format::Call,
            InstData::CallIndirect { .. } => Format::CallIndirect,
            InstData::MultiAry { .. } => Format::MultiAry,
        }
    }
}
