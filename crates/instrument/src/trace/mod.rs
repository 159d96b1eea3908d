//! Traces: what was called when, by whom, with what.
//!
//! A hook at the entries and exits of the chosen functions appends a record to a buffer of its
//! thread ([`buffer`]). A thread of the tracer's own takes the records out of the buffers, matches
//! exits to entries ([`calls`]) and hands the calls to a [`Sink`].

mod buffer;
mod calls;
mod chrome;
mod event;
mod hook;
mod sites;
mod text;
mod tracer;
mod writer;

pub use chrome::ChromeSink;
pub use event::{CallEvent, EventKind, Sink, Summary, Value};
pub use text::TextSink;
pub use tracer::{TraceOptions, Tracer};
