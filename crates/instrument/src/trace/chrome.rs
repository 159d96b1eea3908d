//! Traces in the Trace Event Format, for Perfetto and Chrome's tracing page.
//!
//! Source: "Trace Event Format", Google, 2016: duration events `B` and `E`, instant events `i`,
//! metadata events `M`; times in microseconds.

use super::event::{CallEvent, EventKind, Sink, Summary, Value};
use nopal_wasm::ValType;
use std::io::{self, BufWriter, Write};

/// Integers beyond this are strings: JSON readers keep numbers as `f64`.
const MAX_EXACT: u64 = 1 << 53;

/// Writes one JSON object that <https://ui.perfetto.dev> opens.
///
/// Every call is a pair of `B` and `E` events, nested properly. Calls that were left by a trap or while the hooks were off end where this
/// was noticed, with the argument `"end": "lost"`; those still open at the end of the trace end there, with `"end": "open"`. The exit of a
/// call that began before the hooks were on is an instant event.
#[derive(Debug)]
pub struct ChromeSink<W: Write> {
    out: BufWriter<W>,
    process: u32,
    begun: bool,
}

impl<W: Write> ChromeSink<W> {
    /// A sink that writes to `out`, which needs no buffer of its own.
    pub fn new(out: W) -> ChromeSink<W> {
        ChromeSink {
            out: BufWriter::with_capacity(1 << 16, out),
            process: std::process::id(),
            begun: false,
        }
    }

    /// What comes before an event.
    fn separate(&mut self) -> io::Result<()> {
        let text = if self.begun {
            ",\n"
        } else {
            "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
        };
        self.begun = true;
        self.out.write_all(text.as_bytes())
    }

    fn values(&mut self, label: &str, values: &[Value]) -> io::Result<()> {
        write!(self.out, "\"{label}\":[")?;
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.out.write_all(b",")?;
            }
            if is_exact(*value) {
                write!(self.out, "{value}")?;
            } else {
                write!(self.out, "\"{value}\"")?;
            }
        }
        self.out.write_all(b"]")
    }
}

impl<W: Write + Send> Sink for ChromeSink<W> {
    fn thread(&mut self, thread: u32, name: Option<&str>) -> io::Result<()> {
        self.separate()?;
        let process = self.process;
        let name = name.unwrap_or("unnamed");
        let name = serde_json::to_string(&format!("guest thread {thread} ({name})"))?;
        write!(
            self.out,
            r#"{{"ph":"M","name":"thread_name","pid":{process},"tid":{thread},"args":{{"name":{name}}}}}"#
        )
    }

    fn event(&mut self, event: &CallEvent<'_>) -> io::Result<()> {
        self.separate()?;
        let phase = match event.kind {
            EventKind::Entry => "B",
            EventKind::Exit { entered: None } => "i",
            EventKind::Exit { .. } | EventKind::Lost { .. } | EventKind::Open { .. } => "E",
        };
        let (process, thread) = (self.process, event.thread);
        let (micros, rest) = (event.time / 1000, event.time % 1000);
        write!(
            self.out,
            r#"{{"ph":"{phase}","ts":{micros}.{rest:03},"pid":{process},"tid":{thread},"name":"#
        )?;
        serde_json::to_writer(&mut self.out, event.name)?;
        if phase == "i" {
            self.out.write_all(br#","s":"t""#)?;
        }
        self.out.write_all(br#","args":{"#)?;
        match event.kind {
            EventKind::Entry => {
                write!(self.out, "\"func\":{}", event.func)?;
                if let Some(values) = event.values {
                    self.out.write_all(b",")?;
                    self.values("params", values)?;
                }
            }
            EventKind::Exit { .. } => {
                if let Some(values) = event.values {
                    self.values("results", values)?;
                }
            }
            EventKind::Lost { .. } => self.out.write_all(br#""end":"lost""#)?,
            EventKind::Open { .. } => self.out.write_all(br#""end":"open""#)?,
        }
        self.out.write_all(b"}}")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.separate()?;
        let process = self.process;
        write!(
            self.out,
            r#"{{"ph":"M","name":"process_name","pid":{process},"args":{{"name":"nopal"}}}}"#
        )?;
        let limit = match summary.limit_reached {
            Some(time) => (time.as_nanos() as f64 / 1000.0).to_string(),
            None => String::from("null"),
        };
        let records = summary.records;
        writeln!(
            self.out,
            "\n],\"otherData\":{{\"records\":{records},\"limit_reached_us\":{limit}}}}}"
        )?;
        self.out.flush()
    }
}

/// Whether a JSON number holds the value.
fn is_exact(value: Value) -> bool {
    match value.ty {
        ValType::I32 => true,
        ValType::I64 => (value.bits as i64).unsigned_abs() <= MAX_EXACT,
        ValType::F32 => f32::from_bits(value.bits as u32).is_finite(),
        ValType::F64 => f64::from_bits(value.bits).is_finite(),
        ValType::FuncRef | ValType::ExternRef => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn value(ty: ValType, bits: u64) -> Value {
        Value { ty, bits }
    }

    #[test]
    fn the_output_is_json_whatever_the_names_and_values() {
        let mut out = Vec::new();
        let mut sink = ChromeSink::new(&mut out);
        let values = [
            value(ValType::I32, 0xffff_ffff),
            value(ValType::I64, u64::MAX >> 1),
            value(ValType::F64, f64::NAN.to_bits()),
            value(ValType::F32, 0.5f32.to_bits().into()),
            value(ValType::FuncRef, 0),
        ];
        let mut event = CallEvent {
            time: 1_000_005,
            thread: 1,
            depth: 0,
            name: "\"a\\\n\u{1}",
            func: 4,
            kind: EventKind::Entry,
            values: Some(&values),
        };
        sink.thread(1, Some("\"")).unwrap();
        sink.event(&event).unwrap();
        event.kind = EventKind::Open { entered: 0 };
        sink.event(&event).unwrap();
        event.kind = EventKind::Exit { entered: None };
        sink.event(&event).unwrap();
        sink.finish(&Summary::default()).unwrap();
        drop(sink);
        let json: Json = serde_json::from_slice(&out).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        assert_eq!(events[1]["ph"], "B");
        assert_eq!(events[1]["ts"], json!(1000.005));
        assert_eq!(events[1]["name"], "\"a\\\n\u{1}");
        assert_eq!(
            events[1]["args"]["params"],
            json!([-1, "9223372036854775807", "NaN", 0.5, "null"])
        );
        assert_eq!(events[2]["args"], json!({"end": "open"}));
        assert_eq!(events[3]["ph"], "i");
        assert_eq!(json["otherData"]["limit_reached_us"], Json::Null);
    }

    #[test]
    fn an_empty_trace_is_json() {
        let mut out = Vec::new();
        let mut sink = ChromeSink::new(&mut out);
        sink.finish(&Summary::default()).unwrap();
        drop(sink);
        let json: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["traceEvents"].as_array().unwrap().len(), 1);
    }
}
