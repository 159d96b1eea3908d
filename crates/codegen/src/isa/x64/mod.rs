//! x86-64.

mod abi;
mod check;
pub(crate) mod effects;
mod encode;
pub(crate) mod frame;
pub(crate) mod inst;
pub(crate) mod regs;
pub(crate) mod select;
mod tail;

pub use abi::X64Features;
pub(crate) use abi::{X64, X64Flags};

/// `nop` of one byte and of the length of a patch site (Intel SDM vol. 2, NOP: recommended
/// multi-byte sequences).
pub(crate) const NOP_UNITS: &[&[u8]] = &[&[0x90], &[0x0f, 0x1f, 0x44, 0x00, 0x00]];
