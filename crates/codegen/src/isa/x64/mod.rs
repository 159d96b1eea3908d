//! x86-64.

pub(crate) mod inst;
pub(crate) mod regs;
