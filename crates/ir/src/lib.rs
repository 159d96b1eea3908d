#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod atomic;
mod builder;
mod condcodes;
mod data;
mod dominators;
mod entity;
mod function;
mod inst;
mod list;
mod memflags;
mod opcode;
mod print;
pub mod reader;
mod signature;
mod trapcode;
mod types;
mod verify;

pub use atomic::AtomicRmwOp;
pub use builder::{BuilderContext, EdgeArg, FunctionBuilder, TryItem, Variable};
pub use condcodes::{FloatCC, IntCC};
pub use data::DataValue;
pub use dominators::Dominators;
pub use entity::{
    AliasRegion, Block, BlockCall, Constant, DynamicStackSlot, DynamicType, EntityRef,
    ExceptionTable, FuncRef, GlobalValue, Inst, JumpTable, PackedOption, ShuffleMask, SigRef,
    SiteAttr, StackSlot, Value,
};
pub use function::{
    AliasRegionData, BlockCallData, BlockData, ConstantData, DebugTag, DynamicStackSlotData,
    DynamicTypeData, ExceptionItem, ExceptionTableData, ExtFunc, ExternalName, Function,
    GlobalValueData, JumpTableData, SiteAttrData, SourceLoc, StackMapEntry, StackSlotData,
    ValueDef,
};
pub use inst::InstData;
pub use list::{ListPool, ValueList};
pub use memflags::{Endianness, MemFlags};
pub use opcode::{Control, Format, Opcode, TypeRule, TypeSet};
pub use signature::{AbiParam, ArgumentExtension, ArgumentPurpose, CallConv, Signature};
pub use trapcode::TrapCode;
pub use types::Type;
pub use verify::{Entity, VerifierError, verify};
