//! The process: `proc_*` and `sched_yield`.

use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};

/// The guest has ended itself with this exit code.
///
/// Not a failure, but the only way out of a running guest: `proc_exit` does not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program has ended with exit code {0}")]
pub struct Exit(
    /// The code as the guest gave it; an operating system may keep its lower 8 bits only.
    pub i32,
);

impl WasiCtx {
    /// `proc_exit`: what has to happen before the guest is left, and the [`Exit`] to leave it with.
    pub fn proc_exit(&mut self, code: u32) -> Exit {
        // Nobody is left to be told of an error: the write that failed has already returned it.
        let _ = self.flush();
        Exit(code as i32)
    }

    /// `proc_raise`: signals do not exist here.
    ///
    /// # Errors
    /// [`Errno::Notsup`], always.
    pub fn proc_raise(&self, _signal: u32) -> Result<()> {
        Err(Errno::Notsup)
    }

    /// `sched_yield`: lets other threads of the host run.
    ///
    /// # Errors
    /// None.
    pub fn sched_yield(&self) -> Result<()> {
        std::thread::yield_now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;

    #[test]
    fn exit_keeps_the_code() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        assert_eq!(ctx.proc_exit(3), Exit(3));
        assert_eq!(ctx.proc_exit(u32::MAX), Exit(-1));
        assert_eq!(
            Exit(3).to_string(),
            "the program has ended with exit code 3"
        );
    }

    #[test]
    fn signals_are_refused_and_yielding_is_not() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        assert_eq!(ctx.proc_raise(6), Err(Errno::Notsup));
        assert_eq!(ctx.sched_yield(), Ok(()));
    }
}
