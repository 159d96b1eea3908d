//! Instruction sets, one folder each.

pub(crate) mod x64;
