//! Tracers.

use super::event::{Sink, Summary};
use super::hook::Recorder;
use super::sites::TracedSites;
use super::writer::Writer;
use crate::{Error, Result, Switch};
use nopal_live::CallHook;
use nopal_wasm::Module;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What a trace holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TraceOptions {
    /// Record parameters and results. Off by default.
    pub values: bool,
    /// The most entries and exits to record, 10 million by default. The hooks are switched off
    /// when it is reached.
    pub limit: u64,
    /// The time zero of the trace, by default that at which the options are made.
    pub start: Instant,
}

impl Default for TraceOptions {
    fn default() -> TraceOptions {
        TraceOptions {
            values: false,
            limit: 10_000_000,
            start: Instant::now(),
        }
    }
}

/// Records entries and exits of functions, in any thread, while its [`Switch`] is on.
///
/// Records go to a buffer of their thread, from where a thread of the tracer writes them to a
/// [`Sink`]. Threads that are faster than the sink wait for it, so nothing is dropped and memory
/// is bounded: by 128 KiB per thread and 8 MiB besides.
///
/// Exits are matched to entries by frame pointer, which takes for granted that the calls of one
/// thread that are active at the same time are those of one store.
#[derive(Debug)]
pub struct Tracer {
    recorder: Arc<Recorder>,
    switch: Arc<Switch>,
    hook: CallHook,
    writer: Option<JoinHandle<Result<Summary>>>,
}

impl Tracer {
    /// A tracer for these functions of a module; off as yet. Those not compiled yet are.
    ///
    /// The module must have been compiled with entry and exit sites; functions whose end is never
    /// reached have no exit site.
    ///
    /// # Errors
    /// If one of the functions cannot be compiled, or the hook or the thread cannot be made.
    pub fn new(
        module: &Module,
        functions: &[u32],
        options: &TraceOptions,
        sink: impl Sink + 'static,
    ) -> Result<Tracer> {
        let sites = TracedSites::new(module, functions)?;
        let ids = sites.ids();
        let recorder = Arc::new(Recorder::new(sites, options.values, options.start));
        let in_hook = Arc::clone(&recorder);
        let hook = module
            .engine()
            .call_hook(move |site, frame| in_hook.record(site, frame))
            .map_err(Error::Hook)?;
        let switch = Switch::new(module.engine().code_space(), hook.clone(), ids)
            .with_windows(Arc::clone(&recorder.windows));
        let switch = Arc::new(switch);
        let writer = Writer::new(
            Arc::clone(&recorder),
            Arc::clone(&switch),
            sink,
            options.limit,
        );
        let writer = thread::Builder::new()
            .name("nopal-trace".into())
            .spawn(move || writer.run())
            .map_err(Error::Thread)?;
        Ok(Tracer {
            recorder,
            switch,
            hook,
            writer: Some(writer),
        })
    }

    /// What switches the hooks on and off. An exit is matched to its entry only if the hooks were
    /// on all the time between.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    /// Switch the hooks off, and write what was recorded to its end.
    ///
    /// # Errors
    /// The first error met while the trace was made; the output is incomplete then.
    pub fn finish(mut self) -> Result<Summary> {
        self.end()
    }

    fn end(&mut self) -> Result<Summary> {
        let off = self.switch.off();
        self.recorder.stopped.store(true, Ordering::Relaxed);
        self.recorder.queue.close();
        let Some(writer) = self.writer.take() else {
            return Ok(Summary::default());
        };
        let written = writer
            .join()
            .map_err(|_| Error::Internal("the writing thread panicked".into()))?;
        if let Some(message) = self.hook.panic_message() {
            return Err(Error::Internal(format!("the hook panicked: {message}")));
        }
        off?;
        written
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Whoever wants to know of a failure calls `finish`.
        let _ = self.end();
    }
}
