//! Traces as lines of text.

use super::event::{CallEvent, EventKind, Sink, Summary, Value};
use std::fmt;
use std::io::{self, BufWriter, Write};

/// Levels of nesting up to which lines are indented; the depth is also there as a number.
const MAX_INDENT: usize = 60;
/// The most open calls that are listed at the end.
const MAX_OPEN: u64 = 10;

/// Writes one line per event: time in seconds, thread, depth, and `> f(1, 2)` for an entry,
/// `< f = 3 (12.500 us)` for an exit with the time the call took.
///
/// Lines beginning with `#` are remarks. See the README for an example.
#[derive(Debug)]
pub struct TextSink<W: Write> {
    out: BufWriter<W>,
    begun: bool,
    open: u64,
}

impl<W: Write> TextSink<W> {
    /// A sink that writes to `out`, which needs no buffer of its own.
    pub fn new(out: W) -> TextSink<W> {
        TextSink {
            out: BufWriter::with_capacity(1 << 16, out),
            begun: false,
            open: 0,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            writeln!(self.out, "#   seconds thread depth event")?;
        }
        Ok(())
    }

    fn open_call(&mut self, event: &CallEvent<'_>, entered: u64) -> io::Result<()> {
        self.open += 1;
        if self.open > MAX_OPEN {
            return Ok(());
        }
        let (thread, depth, name) = (event.thread, event.depth, event.name);
        let since = Seconds(entered);
        writeln!(
            self.out,
            "# still open: {name} (thread {thread}, depth {depth}, since {since})"
        )
    }
}

impl<W: Write + Send> Sink for TextSink<W> {
    fn thread(&mut self, thread: u32, name: Option<&str>) -> io::Result<()> {
        self.begin()?;
        let name = name.unwrap_or("unnamed");
        writeln!(self.out, "# thread {thread}: {name}")
    }

    fn event(&mut self, event: &CallEvent<'_>) -> io::Result<()> {
        if let EventKind::Open { entered } = event.kind {
            return self.open_call(event, entered);
        }
        let (time, thread, depth) = (Seconds(event.time), event.thread, event.depth);
        let indent = 2 * depth.min(MAX_INDENT);
        let name = event.name;
        write!(self.out, "{time} {thread:6} {depth:5} {:indent$}", "")?;
        match event.kind {
            EventKind::Entry => match event.values {
                Some(values) => writeln!(self.out, "> {name}({})", List(values)),
                None => writeln!(self.out, "> {name}"),
            },
            EventKind::Exit { entered } => {
                write!(self.out, "< {name}")?;
                match event.values {
                    None | Some([]) => {}
                    Some([value]) => write!(self.out, " = {value}")?,
                    Some(values) => write!(self.out, " = ({})", List(values))?,
                }
                match entered {
                    Some(entered) => writeln!(self.out, " ({})", Micros(event.time - entered)),
                    None => writeln!(self.out, " (entered before the hooks were on)"),
                }
            }
            EventKind::Lost { .. } => {
                writeln!(
                    self.out,
                    "x {name} (left by a trap or while the hooks were off)"
                )
            }
            EventKind::Open { .. } => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.begin()?;
        if self.open > MAX_OPEN {
            writeln!(self.out, "# still open: {} more", self.open - MAX_OPEN)?;
        }
        write!(self.out, "# {} records", summary.records)?;
        if let Some(time) = summary.limit_reached {
            let time = Seconds(time.as_nanos() as u64);
            write!(
                self.out,
                "; the limit was reached at {time}, later calls are missing"
            )?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }
}

struct List<'a>(&'a [Value]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{value}")?;
        }
        Ok(())
    }
}

/// Nanoseconds, as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        write!(f, "{}.{:09}", self.0 / SECOND, self.0 % SECOND)
    }
}

/// Nanoseconds, as microseconds.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} us", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nopal_wasm::ValType;
    use std::time::Duration;

    #[test]
    fn events_are_lines() {
        let mut out = Vec::new();
        let mut sink = TextSink::new(&mut out);
        let values = [1u64, 2].map(|bits| Value {
            ty: ValType::I32,
            bits,
        });
        let mut event = CallEvent {
            time: 1_000_002_000,
            thread: 1,
            depth: 1,
            name: "f",
            func: 0,
            kind: EventKind::Entry,
            values: Some(&values),
        };
        sink.thread(1, Some("main")).unwrap();
        sink.event(&event).unwrap();
        event.kind = EventKind::Exit {
            entered: Some(1_000_000_500),
        };
        sink.event(&event).unwrap();
        event.kind = EventKind::Exit { entered: None };
        event.values = None;
        sink.event(&event).unwrap();
        event.kind = EventKind::Lost { entered: 0 };
        sink.event(&event).unwrap();
        event.kind = EventKind::Open { entered: 7 };
        sink.event(&event).unwrap();
        let summary = Summary {
            records: 3,
            limit_reached: Some(Duration::from_millis(1500)),
            ..Summary::default()
        };
        sink.finish(&summary).unwrap();
        drop(sink);
        let expected = "\
#   seconds thread depth event
# thread 1: main
1.000002000      1     1   > f(1, 2)
1.000002000      1     1   < f = (1, 2) (1.500 us)
1.000002000      1     1   < f (entered before the hooks were on)
1.000002000      1     1   x f (left by a trap or while the hooks were off)
# still open: f (thread 1, depth 1, since 0.000000007)
# 3 records; the limit was reached at 1.500000000, later calls are missing
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
