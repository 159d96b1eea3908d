#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod condcodes;
mod dominators;
mod entity;
mod function;
mod inst;
mod list;
mod memflags;
mod opcode;
mod print;
mod signature;
mod trapcode;
mod types;
mod verify;

pub use builder::{BuilderContext, FunctionBuilder, Variable};
pub use condcodes::{FloatCC, IntCC};
pub use dominators::Dominators;
pub use entity::{
    Block, BlockCall, EntityRef, FuncRef, Inst, JumpTable, PackedOption, SigRef, SiteAttr,
    StackSlot, Value,
};
pub use function::{
    BlockCallData, BlockData, ExtFunc, ExternalName, Function, JumpTableData, SiteAttrData,
    SourceLoc, StackSlotData, ValueDef,
};
pub use inst::InstData;
pub use list::{ListPool, ValueList};
pub use memflags::{Endianness, MemFlags};
pub use opcode::{Format, Opcode, Operands, ResultType};
pub use signature::{AbiParam, ArgumentExtension, ArgumentPurpose, CallConv, Signature};
pub use trapcode::TrapCode;
pub use types::Type;
pub use verify::{Entity, VerifierError, verify};
