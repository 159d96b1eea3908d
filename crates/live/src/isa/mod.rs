//! What depends on the instruction set: one folder each, with the same items.
//!
//! - `SITE_LEN`, `SITE_ALIGN`, `SHAPE`, `can_be_site`, `write_head`, `write_tail`, `read_tail`,
//!   `tail_for`: the forms of a site and the stores between them;
//! - `MAX_RESERVE`: how large a range can be in which every site reaches every stub;
//! - `write_stubs`, `STUB_SIZE`: the out-of-line code that sites call; `interrupted_site`: who called it;
//! - `SiteFrame`, `entry_point`: what a call hook sees, and how it is entered;
//! - `resume_after_trap`: where a thread goes on that met a site under change;
//! - `increment`, `current_cpu`: counting per CPU;
//! - `default_protocol`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "s390x")]
mod s390x;
#[cfg(target_arch = "x86_64")]
mod x64;

#[cfg(target_arch = "aarch64")]
use aarch64 as current;
#[cfg(target_arch = "s390x")]
use s390x as current;
#[cfg(target_arch = "x86_64")]
use x64 as current;

pub use current::SiteFrame;
/// Elsewhere, sites leave the return address in a register.
#[cfg(target_arch = "x86_64")]
pub(crate) use current::interrupted_site;
pub(crate) use current::{
    BlockData, FILL, MAX_RESERVE, RawFrame, SHAPE, SITE_ALIGN, SITE_LEN, STUB_SIZE, block_size,
    can_be_site, current_cpu, default_protocol, entry_point, function_returning, increment,
    read_tail, site_end_after_trap, tail_for, write_head, write_stubs, write_tail,
};
#[cfg(test)]
pub(crate) use current::{OFF_FORM, sample};

/// What has to be stored to change a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "each instruction set has one of them; the tests of the protocols have all"
)]
pub(crate) enum Shape {
    /// A head that says whether it calls, and a tail that says what: two stores.
    HeadAndTail,
    /// One aligned word that says both: one store, before or after which every thread finds itself.
    OneWord,
}

/// The first unit of a site, which decides what the site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Calls the stub that the tail names. Given here for [`Shape::OneWord`]; otherwise it is the one that
    /// the site has.
    On(u32),
    /// Does nothing, whatever the tail holds.
    Off,
    /// Raises a breakpoint signal.
    Trap,
}
