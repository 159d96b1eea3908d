#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod data;
mod generate;
mod interp;
pub mod ops;
mod reduce;
mod rng;
mod wide;

pub use generate::{OBSERVED, Options, TYPES, generate};
pub use interp::{HookEntry, Memory, Outcome, Run, interpret};
pub use reduce::{KEEP, reduce};
pub use rng::Rng;
