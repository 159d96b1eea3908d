//! The crate's error type.

use std::io;

/// `std::result::Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while observing a guest. The guest itself is never affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pattern cannot be understood.
    #[error("bad pattern `{pattern}`: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A function to be observed could not be compiled.
    #[error(transparent)]
    Compile(nopal_wasm::Error),
    /// Sites could not be switched.
    #[error("cannot switch the hooks: {0}")]
    Switch(#[from] nopal_live::Error),
    /// A hook could not be made.
    #[error("cannot make a hook: {0}")]
    Hook(#[source] nopal_wasm::Error),
    /// What was recorded could not be written.
    #[error("cannot write the trace: {0}")]
    Write(#[source] io::Error),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// A defect of this crate: a hook or a thread of its panicked.
    #[error("internal error: {0}")]
    Internal(String),
}
