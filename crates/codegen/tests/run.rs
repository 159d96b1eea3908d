//! Every opcode with every type, on values at the edges, against what it is defined to compute.

#[path = "run/arithmetic.rs"]
mod arithmetic;
#[path = "run/calls.rs"]
mod calls;
#[path = "run/control.rs"]
mod control;
#[path = "run/conversions.rs"]
mod conversions;
#[path = "run/memory.rs"]
mod memory;
#[path = "run/regressions.rs"]
mod regressions;
mod support;
