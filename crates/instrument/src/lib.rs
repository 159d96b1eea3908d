#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod counts;
mod error;
mod names;
mod pattern;
mod schedule;
mod switch;
mod trace;

pub use counts::Counts;
pub use error::{Error, Result};
pub use names::{FunctionNames, demangle, display_name};
pub use pattern::Patterns;
pub use schedule::Schedule;
pub use switch::Switch;
pub use trace::{
    CallEvent, ChromeSink, EventKind, Sink, Summary, TextSink, TraceOptions, Tracer, Value,
};
