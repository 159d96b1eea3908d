#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod describe;
mod inst;
mod machine;
mod order;
mod patching;
mod search;

pub use inst::{Event, Fence, Form, Inst, Loc, Locs, Pc, REGS, Reg, Word};
pub use machine::{Arch, Core, Detail, Machine, Possible, Slot, State, Step};
pub use patching::{Action, Allowed, Head, Layout, Op, Patching, Promise, Site};
pub use search::{Goal, Outcome, Trace, search};
