//! The engines, behind one interface.
//!
//! An *engine* here is a runtime in one configuration: Wasmtime with Winch is another engine than Wasmtime with Cranelift.
//! All run in this process on the calling thread, with the same WASI set-up: the arguments and folder of the
//! [`Command`], no environment variables, an empty standard input, standard output captured, standard error discarded.

mod nopal;
mod wasmi;
mod wasmtime;

use clap::ValueEnum;
use serde::Serialize;

use crate::corpus::Command;

/// Identifiers that figures are computed from; also the keys in the JSON output.
pub(crate) mod id {
    pub(crate) const CRANELIFT_SPEED: &str = "cranelift-speed";
    pub(crate) const CRANELIFT_NONE: &str = "cranelift-none";
    pub(crate) const CRANELIFT_SINGLE_PASS: &str = "cranelift-none-single-pass";
    pub(crate) const WINCH: &str = "winch";
    pub(crate) const GUEST_DEBUG: &str = "guest-debug";
    pub(crate) const WASMI: &str = "wasmi";
    pub(crate) const NOPAL: &str = "nopal";
    pub(crate) const NOPAL_NO_SITES: &str = "nopal-no-sites";
    pub(crate) const NOPAL_COUNT: &str = "nopal-count";

    /// All of them, in the order of the tables.
    pub(crate) const ALL: [&str; 9] = [
        NOPAL,
        NOPAL_NO_SITES,
        NOPAL_COUNT,
        CRANELIFT_SPEED,
        CRANELIFT_NONE,
        CRANELIFT_SINGLE_PASS,
        WINCH,
        GUEST_DEBUG,
        WASMI,
    ];

    /// Whether this is Nopal, in whatever configuration.
    pub(crate) fn is_nopal(id: &str) -> bool {
        [NOPAL, NOPAL_NO_SITES, NOPAL_COUNT].contains(&id)
    }
}

/// Guest stack that every engine gets, in bytes.
const MAX_STACK: usize = 1 << 20;

/// What an engine says when it cannot do what it was asked.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// How many threads compile a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Threads {
    /// The calling one.
    One,
    /// As many as there are processors, if the engine can use them.
    All,
}

/// A runtime in one configuration.
pub(crate) trait Engine {
    /// One of [`id`].
    fn id(&self) -> &'static str;
    /// What a reader of the table sees.
    fn label(&self) -> &str;
    /// The runtime's name and version.
    fn runtime(&self) -> String;
    /// Compiles the whole module, eagerly. This is what compile time measures.
    fn compile(&self, wasm: &[u8]) -> Result<Box<dyn Compiled>>;
}

/// A compiled module.
pub(crate) trait Compiled {
    /// Bytes of machine code, padding between functions included; `None` for an interpreter.
    fn code_bytes(&self) -> Option<usize>;
    /// Bytes of what goes with the code: traps, call sites, patch sites, value maps; `None` if the engine does not tell.
    fn side_table_bytes(&self) -> Option<usize> {
        None
    }
    /// Sets up everything that a run needs and that is not part of running: system interface, linker, store, hooks.
    fn prepare(&self, command: &Command) -> Result<Box<dyn Prepared>>;
    /// Instantiates the module without a host: functions it imports trap when called, everything else has its least size and value.
    fn instantiate_alone(&self) -> Result<()>;
}

/// A program about to start. It is run once.
pub(crate) trait Prepared {
    /// Instantiates the module, calls `_start` and returns the exit code. This is what run time measures.
    fn run(&mut self) -> Result<i32>;
    /// What the program wrote to standard output, or why the run was not what it should have been.
    fn finish(&self) -> Result<Vec<u8>>;
}

/// An engine that this machine or build cannot offer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) id: &'static str,
    pub(crate) message: String,
}

/// The engine with this identifier, or why there is none.
pub(crate) fn one(id: &str, threads: Threads) -> Result<Box<dyn Engine>> {
    nopal::engine(id, threads)
        .or_else(|| wasmtime::engine(id, threads))
        .or_else(|| (id == id::WASMI).then(wasmi::engine))
        .unwrap_or_else(|| Err(format!("there is no engine {id}")))
}

/// The engines whose identifier is `wanted`, in the order of the tables, and those that cannot be had. They compile on one thread.
pub(crate) fn all(wanted: impl Fn(&str) -> bool) -> (Vec<Box<dyn Engine>>, Vec<Refusal>) {
    let mut available = Vec::new();
    let mut refusals = Vec::new();
    for id in id::ALL.into_iter().filter(|id| wanted(id)) {
        match one(id, Threads::One) {
            Ok(engine) => available.push(engine),
            Err(message) => refusals.push(Refusal { id, message }),
        }
    }
    (available, refusals)
}

/// The whole chain of causes of an error on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
