//! x86-64.

pub(crate) mod effects;
mod encode;
pub(crate) mod frame;
pub(crate) mod inst;
pub(crate) mod regs;
