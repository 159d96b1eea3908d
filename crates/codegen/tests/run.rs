//! Every opcode with every type, on values at the edges, against what it is defined to compute.

#[path = "run/arithmetic.rs"]
mod arithmetic;
#[path = "run/atomics.rs"]
mod atomics;
#[path = "run/calls.rs"]
mod calls;
#[path = "run/control.rs"]
mod control;
#[path = "run/conversions.rs"]
mod conversions;
#[path = "run/exceptions.rs"]
mod exceptions;
#[path = "run/memory.rs"]
mod memory;
#[path = "run/regressions.rs"]
mod regressions;
#[path = "run/scalars.rs"]
mod scalars;
mod support;
#[path = "run/tail.rs"]
mod tail;
#[path = "run/wide.rs"]
mod wide;
