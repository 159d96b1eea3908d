//! Branches that lead around sites, where there are none.

use crate::BypassDefect;

/// A branch that can be changed: none can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {}

impl Branch {
    /// The branch at an offset of some code.
    pub(crate) fn read(_: &[u8], _: usize, _: u32) -> Result<(Branch, u32), BypassDefect> {
        Err(BypassDefect::Unsupported)
    }

    /// Bytes of the instruction.
    pub(crate) fn len(self) -> usize {
        match self {}
    }

    /// # Safety
    /// None is needed here.
    pub(crate) unsafe fn write_route(self, _: *mut u8, _: i32) {
        match self {}
    }

    /// # Safety
    /// None is needed here.
    pub(crate) unsafe fn write_head(self, _: *mut u8, _: bool) {
        match self {}
    }

    /// Whether a thread takes it.
    pub(crate) fn is_taken(self, _: u64) -> bool {
        match self {}
    }
}

/// Where the branch starts whose breakpoint left a thread at `pc`.
pub(crate) fn branch_after_trap(pc: usize) -> usize {
    pc
}
