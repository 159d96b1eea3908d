//! What a sink is given.

use nopal_wasm::ValType;
use std::fmt;
use std::io;
use std::time::Duration;

/// Something that happened to a call.
#[derive(Clone, Copy, Debug)]
pub struct CallEvent<'a> {
    /// When, in nanoseconds since the start of the trace. Never less than that of an earlier event
    /// of the same thread.
    pub time: u64,
    /// The thread, numbered from 1 in the order in which threads met the hook.
    pub thread: u32,
    /// The number of traced calls the call is inside of.
    pub depth: usize,
    /// The name of the function.
    pub name: &'a str,
    /// The index of the function in its module.
    pub func: u32,
    /// What happened.
    pub kind: EventKind,
    /// Parameters at an entry, results at an exit; none if values are not recorded.
    pub values: Option<&'a [Value]>,
}

/// What can happen to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// It began.
    Entry,
    /// It returned.
    Exit {
        /// When it began; none if that was before the hooks were on.
        entered: Option<u64>,
    },
    /// It ended unseen: by a trap, or while the hooks were off. The time is that at which this
    /// was noticed.
    Lost {
        /// When it began.
        entered: u64,
    },
    /// It had not ended when the trace did.
    Open {
        /// When it began.
        entered: u64,
    },
}

/// A value of the guest. Prints as a decimal number (floats in shortest form, references as
/// `null`, `funcref` or `externref`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its type.
    pub ty: ValType,
    /// Its bits; zeros above those of a narrow type.
    pub bits: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ty {
            ValType::I32 => (self.bits as i32).fmt(f),
            ValType::I64 => (self.bits as i64).fmt(f),
            ValType::F32 => f32::from_bits(self.bits as u32).fmt(f),
            ValType::F64 => f64::from_bits(self.bits).fmt(f),
            ValType::FuncRef | ValType::ExternRef if self.bits == 0 => f.write_str("null"),
            ValType::FuncRef | ValType::ExternRef => self.ty.fmt(f),
        }
    }
}

/// What is known at the end of a trace.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Entries and exits in the trace.
    pub records: u64,
    /// When the limit was reached, after which nothing was recorded.
    pub limit_reached: Option<Duration>,
    /// Exits in the trace whose entries are not.
    pub unmatched_exits: u64,
    /// Calls that ended unseen.
    pub lost_exits: u64,
    /// Calls that had not ended when the trace did.
    pub open_calls: u64,
}

/// Where the events of a trace go.
///
/// The first error ends the trace; the guest is not affected.
pub trait Sink: Send {
    /// A thread is met for the first time. `name` is that which the system knows it by.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn thread(&mut self, thread: u32, name: Option<&str>) -> io::Result<()>;

    /// Something happened. Events of one thread come in order, those of several threads in bursts.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn event(&mut self, event: &CallEvent<'_>) -> io::Result<()>;

    /// Everything so far should be seen by the reader.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn flush(&mut self) -> io::Result<()>;

    /// The trace is complete.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_by_type() {
        let print = |ty, bits| Value { ty, bits }.to_string();
        assert_eq!(print(ValType::I32, 0xffff_ffff), "-1");
        assert_eq!(print(ValType::I64, u64::MAX), "-1");
        assert_eq!(print(ValType::F32, 1.5f32.to_bits().into()), "1.5");
        assert_eq!(print(ValType::F64, (-0.0f64).to_bits()), "-0");
        assert_eq!(print(ValType::FuncRef, 0), "null");
        assert_eq!(print(ValType::ExternRef, 4), "externref");
    }
}
