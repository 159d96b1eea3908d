//! Hooks that are machine code.

use std::fmt;
use std::sync::Arc;

use super::{Hook, HookCore, sealed::HookAccess};

/// Calls machine code of the user's, with the registers as they are at the site, but for the one through which
/// the stub jumps: `x16` on AArch64, `t2` on RISC-V, `%r1` on s390x.
#[derive(Clone)]
pub struct CodeHook {
    core: Arc<HookCore>,
}

impl CodeHook {
    pub(super) fn new(core: HookCore) -> CodeHook {
        CodeHook {
            core: Arc::new(core),
        }
    }
}

impl HookAccess for CodeHook {
    fn core(&self) -> &Arc<HookCore> {
        &self.core
    }
}

impl Hook for CodeHook {}

impl fmt::Debug for CodeHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeHook").finish_non_exhaustive()
    }
}
