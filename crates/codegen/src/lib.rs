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
mod layout;
mod legalize;
mod reg;
mod select;
mod selected;
mod supported;

pub use compiled::{
    Bypass, CallSite, CompiledCode, Handler, ObservedValue, PatchableCallSite, Reloc, RelocKind,
    Trap, TryCallSite, ValueLoc,
};
pub use context::{CodegenError, Context, Phase, Settings, Target, TargetError};
pub use isa::x64::X64Features;
pub use reg::{PReg, RegClass, RegSet};

/// Whether this build checks all code that it compiles, which takes far longer than compiling it: in
/// builds with debug assertions or the feature `checker`. Another package of the same build may have
/// asked for the feature.
pub const CHECKED: bool = checker::ENABLED;
