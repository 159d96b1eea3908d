//! Hooks put to use: traces, counts and their sinks.
#![forbid(unsafe_code)]

mod names;

pub use names::{FunctionNames, demangle, display_name};
