//! x86-64.

mod abi;
mod check;
pub(crate) mod effects;
mod encode;
pub(crate) mod frame;
pub(crate) mod inst;
pub(crate) mod regs;
pub(crate) mod select;

pub(crate) use abi::X64;
pub use abi::X64Features;
