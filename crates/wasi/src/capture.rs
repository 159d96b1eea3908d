//! A place for a guest's output that the embedder can look into.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A growing buffer; clones share it.
///
/// One clone goes to [`stdout`](crate::WasiCtxBuilder::stdout), another one stays to be read.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    /// An empty buffer.
    pub fn new() -> Capture {
        Capture::default()
    }

    /// A copy of what has been written.
    pub fn contents(&self) -> Vec<u8> {
        self.with(|bytes| bytes.clone())
    }

    /// Takes what has been written out of the buffer.
    pub fn take(&self) -> Vec<u8> {
        self.with(std::mem::take)
    }

    fn with<R>(&self, act: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        // Bytes are whole at any time, so a panic elsewhere does no harm to them.
        act(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Capture {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.with(|bytes| bytes.extend_from_slice(written));
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_bytes() {
        let capture = Capture::new();
        write!(capture.clone(), "ab").unwrap();
        assert_eq!(capture.contents(), b"ab");
        assert_eq!(capture.take(), b"ab");
        assert_eq!(capture.contents(), b"");
    }
}
