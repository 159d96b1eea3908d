//! The thread that turns records into events.

use super::buffer::{Chunk, Popped};
use super::calls::{OpenCalls, Step, Told};
use super::event::{CallEvent, EventKind, Sink, Summary, Value};
use super::hook::Recorder;
use crate::{Error, Result, Switch};
use nopal_live::SiteId;
use nopal_wasm::SiteKind;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long records may wait in the buffers of threads when there are few of them.
const PATIENCE: Duration = Duration::from_millis(50);
/// Words of a record before its values.
const HEAD: usize = 3;

/// Takes records from threads, and writes them to a sink.
pub(super) struct Writer<S> {
    recorder: Arc<Recorder>,
    switch: Arc<Switch>,
    sink: S,
    limit: u64,
    /// Of thread `n` at `n - 1`.
    threads: Vec<OpenCalls>,
    summary: Summary,
    values: Vec<Value>,
    /// The time of the last event of any thread.
    last_time: u64,
    /// Events since the sink was flushed.
    unflushed: bool,
    error: Option<Error>,
}

impl<S: Sink> Writer<S> {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        switch: Arc<Switch>,
        sink: S,
        limit: u64,
    ) -> Writer<S> {
        Writer {
            recorder,
            switch,
            sink,
            limit,
            threads: Vec::new(),
            summary: Summary::default(),
            values: Vec::new(),
            last_time: 0,
            unflushed: false,
            error: None,
        }
    }

    /// Write until the queue is closed.
    pub(super) fn run(mut self) -> Result<Summary> {
        loop {
            match self.recorder.queue.pop(PATIENCE) {
                Popped::Chunk(chunk) => self.write_chunk(chunk),
                Popped::Idle => self.idle(),
                Popped::Closed => break,
            }
        }
        for buffer in self.recorder.buffers() {
            buffer.flush(&self.recorder.queue);
        }
        while let Popped::Chunk(chunk) = self.recorder.queue.pop(Duration::ZERO) {
            self.write_chunk(chunk);
        }
        self.end();
        match self.error {
            None => Ok(self.summary),
            Some(error) => Err(error),
        }
    }

    /// Few records come: write those that wait in buffers, so that the reader sees them.
    fn idle(&mut self) {
        if self.unflushed {
            self.unflushed = false;
            let flushed = self.sink.flush();
            self.check(flushed);
        }
        for buffer in self.recorder.buffers() {
            buffer.try_flush(&self.recorder.queue);
        }
    }

    fn write_chunk(&mut self, chunk: Chunk) {
        if self.error.is_none() && self.summary.limit_reached.is_none() {
            self.unflushed = true;
            let written = self.write_records(&chunk);
            self.check(written);
        }
        self.recorder.queue.recycle(chunk.words);
    }

    fn write_records(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.meet_threads(chunk.thread)?;
        let mut words = chunk.words.as_slice();
        while let [time, place, frame, rest @ ..] = words {
            let id = SiteId::from_index(*place as u32);
            let recorder = Arc::clone(&self.recorder);
            let Some(traced) = recorder.sites.get(id) else {
                return Err(io::Error::other("a record of a site that is not traced"));
            };
            let count = if recorder.values {
                traced.types.len().min(rest.len())
            } else {
                0
            };
            if self.summary.records == self.limit {
                self.summary.limit_reached = Some(Duration::from_nanos(*time));
                self.stop();
                return Ok(());
            }
            self.summary.records += 1;
            let (bits, next) = rest.split_at(count);
            self.values.clear();
            let typed = traced.types.iter().zip(bits);
            self.values
                .extend(typed.map(|(&ty, &bits)| Value { ty, bits }));
            let step = Step {
                func: traced.site.func(),
                frame: *frame,
                time: *time,
                window: (place >> 32) as u32,
            };
            self.step(chunk.thread, traced.site.kind(), step)?;
            words = next;
        }
        debug_assert!(words.len() < HEAD, "the rest of a record");
        Ok(())
    }

    /// Make sure that there is state for this thread and those before it.
    fn meet_threads(&mut self, thread: u32) -> io::Result<()> {
        while self.threads.len() < thread as usize {
            let number = self.threads.len() as u32 + 1;
            let buffers = self.recorder.buffers();
            let name = buffers
                .get(number as usize - 1)
                .and_then(|buffer| buffer.name.as_deref());
            self.sink.thread(number, name)?;
            self.threads.push(OpenCalls::default());
        }
        Ok(())
    }

    /// One call begins or returns on a thread, with `self.values`.
    fn step(&mut self, thread: u32, kind: SiteKind, step: Step) -> io::Result<()> {
        self.last_time = self.last_time.max(step.time);
        let mut outcome = Ok(());
        let mut tell = |told: Told| {
            let values = self.recorder.values.then_some(self.values.as_slice());
            let told = tell(
                &self.recorder,
                &mut self.sink,
                &mut self.summary,
                (thread, step.time, values),
                told,
            );
            if outcome.is_ok() {
                outcome = told;
            }
        };
        let calls = &mut self.threads[thread as usize - 1];
        match kind {
            SiteKind::Entry => calls.enter(step, &mut tell),
            SiteKind::Exit => calls.exit(step, &mut tell),
            SiteKind::Loop => {}
        }
        outcome
    }

    /// The calls that are open, and the end.
    fn end(&mut self) {
        if self.error.is_some() {
            return;
        }
        let time = self.last_time;
        let mut outcome = Ok(());
        for (at, calls) in self.threads.iter_mut().enumerate() {
            calls.end(&mut |told| {
                let moment = (at as u32 + 1, time, None);
                let told = tell(
                    &self.recorder,
                    &mut self.sink,
                    &mut self.summary,
                    moment,
                    told,
                );
                if outcome.is_ok() {
                    outcome = told;
                }
            });
        }
        let finished = outcome.and_then(|()| self.sink.finish(&self.summary));
        self.check(finished);
    }

    /// Record nothing more, and let the guest run at full speed.
    fn stop(&mut self) {
        self.recorder.stopped.store(true, Ordering::Relaxed);
        if let Err(error) = self.switch.off() {
            self.error.get_or_insert(error);
        }
    }

    fn check(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.error.get_or_insert(Error::Write(error));
            self.stop();
        }
    }
}

/// Hand an event to the sink, and count it.
fn tell(
    recorder: &Recorder,
    sink: &mut impl Sink,
    summary: &mut Summary,
    (thread, time, values): (u32, u64, Option<&[Value]>),
    (func, depth, kind): Told,
) -> io::Result<()> {
    let values = match kind {
        EventKind::Entry => values,
        EventKind::Exit { entered } => {
            summary.unmatched_exits += u64::from(entered.is_none());
            values
        }
        EventKind::Lost { .. } => {
            summary.lost_exits += 1;
            None
        }
        EventKind::Open { .. } => {
            summary.open_calls += 1;
            None
        }
    };
    sink.event(&CallEvent {
        time,
        thread,
        depth,
        name: recorder.sites.name(func),
        func,
        kind,
        values,
    })
}
