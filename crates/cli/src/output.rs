//! Writing to the standard streams, whose readers may be gone.

use crate::failure::Failure;
use std::io::{self, ErrorKind, Write};

/// Print to standard output. Nothing is left to be done if that is closed.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Print to standard error. Nothing is left to be done if that is closed.
pub(crate) fn eprint(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A failure to write results to standard output.
pub(crate) fn failure(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Error(format!("cannot write to standard output: {error}")),
    }
}
