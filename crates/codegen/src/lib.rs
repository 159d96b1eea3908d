#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod buffer;
mod compiled;
mod encode;
mod isa;
mod label;
mod reg;
mod selected;

pub use compiled::{
    CallSite, CompiledCode, ObservedValue, PatchableCallSite, Reloc, RelocKind, Trap, ValueLoc,
};
pub use reg::{PReg, RegClass, RegSet};
