//! What depends on the instruction set: one folder each, with the same items.
//!
//! - `SITE_LEN`, `can_be_site`, `write_head`, `write_tail`, `read_tail`, `tail_for`: the forms of a
//!   site and the stores between them;
//! - `write_stubs`, `STUB_SIZE`: the out-of-line code that sites call; `interrupted_site`: who called it;
//! - `SiteFrame`, `entry_point`: what a call hook sees, and how it is entered;
//! - `resume_after_trap`: where a thread goes on that met a site under change;
//! - `increment`, `current_cpu`: counting per CPU;
//! - `default_protocol`.

#[cfg(target_arch = "x86_64")]
mod x64;
#[cfg(target_arch = "x86_64")]
pub use x64::SiteFrame;
#[cfg(target_arch = "x86_64")]
pub(crate) use x64::{
    BlockData, FILL, RawFrame, SITE_LEN, STUB_SIZE, block_size, can_be_site, current_cpu,
    default_protocol, entry_point, function_returning, increment, interrupted_site, read_tail,
    site_end_after_trap, tail_for, write_head, write_stubs, write_tail,
};

/// The first unit of a site, which decides what the site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Calls the stub that the tail names.
    On,
    /// Does nothing, whatever the tail holds.
    Off,
    /// Raises a breakpoint signal.
    Trap,
}
