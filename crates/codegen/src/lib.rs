#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod analyze;
mod buffer;
mod checker;
mod compiled;
mod context;
mod encode;
mod isa;
mod label;
mod reg;
mod select;
mod selected;

pub use compiled::{
    CallSite, CompiledCode, ObservedValue, PatchableCallSite, Reloc, RelocKind, Trap, ValueLoc,
};
pub use context::{CodegenError, Context, Target, TargetError};
pub use isa::x64::X64Features;
pub use reg::{PReg, RegClass, RegSet};
