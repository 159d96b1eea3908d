//! The state of one guest.

use crate::builder::WasiCtxBuilder;
use crate::descriptor::{Descriptor, Kind};
use crate::errno::{Errno, Result};
use crate::table::Table;
use std::io::Write;

/// What one WASI program sees of the world: its arguments, environment, and open descriptors.
///
/// Made by [`WasiCtxBuilder`]. Each function of preview 1 is a method of the same name; it takes
/// the guest's memory and the guest's arguments as they are, and checks all of them. On an error
/// nothing the call should have written is written, and the memory is otherwise unchanged except
/// for bytes already read into a buffer.
pub struct WasiCtx {
    pub(crate) args: Vec<Vec<u8>>,
    /// `KEY=VALUE` each.
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) table: Table,
}

impl WasiCtx {
    /// The way to make one.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// Flushes every stream the embedder has provided.
    ///
    /// Each write is already followed by a flush; this is for streams whose flush failed then.
    ///
    /// # Errors
    /// The first error of a stream, after all have been tried.
    pub fn flush(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for descriptor in self.table.iter_mut() {
            outcome = outcome.and(flush(descriptor));
        }
        outcome
    }
}

/// Flushes a descriptor that may hold written bytes back.
pub(crate) fn flush(descriptor: &mut Descriptor) -> Result<()> {
    match &mut descriptor.kind {
        Kind::Writer(stream) => stream.flush().map_err(Errno::from),
        Kind::File(_) | Kind::Dir(_) | Kind::Reader(_) => Ok(()),
    }
}

impl std::fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasiCtx").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_be_moved_to_another_thread() {
        fn is_send<T: Send>(_: &T) -> bool {
            true
        }
        assert!(is_send(&WasiCtx::builder().build().unwrap()));
    }
}
