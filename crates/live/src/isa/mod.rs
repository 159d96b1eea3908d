//! What depends on the instruction set: one folder each, with the same items.
//!
//! - `SITE_LEN`, `SITE_ALIGN`, `SHAPE`, `can_be_site`, `write_head`, `write_tail`, `read_tail`,
//!   `tail_for`: the forms of a site and the stores between them;
//! - `Branch`, `branch_after_trap`: branches that can lead around sites; elsewhere `no_bypasses.rs`;
//! - `ISLAND_SIZE`, `Link`, `link`, `reach`, `write_islands`, `write_link`: what is between a site and its
//!   stub where calls do not reach so far; elsewhere `no_islands.rs`;
//! - `BROADCAST_CLEARS_CACHE`: whether a system call for each line would be in vain;
//! - `MAX_RESERVE`: how large a range can be in which every site reaches every stub;
//! - `write_stubs`, `STUB_SIZE`: the out-of-line code that sites call; `interrupted_site`: who called it;
//! - `RawFrame`, `REGISTERS`, `entry_point`: the registers of a guest in a call hook, of which `frame.rs` makes a
//!   `SiteFrame`, and how it is entered;
//! - `resume_after_trap`: where a thread goes on that met a site under change;
//! - `increment`, `current_cpu`: counting per CPU; elsewhere `no_percpu.rs`;
//! - `default_protocol`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "s390x")]
mod s390x;
#[cfg(target_arch = "x86_64")]
mod x64;

mod frame;

#[cfg(not(target_arch = "riscv64"))]
mod no_islands;
#[cfg(not(target_arch = "riscv64"))]
use no_islands as islands;
#[cfg(target_arch = "riscv64")]
use riscv64 as islands;

#[cfg(not(target_arch = "x86_64"))]
mod no_bypasses;
#[cfg(not(target_arch = "x86_64"))]
use no_bypasses as bypasses;
#[cfg(target_arch = "x86_64")]
use x64 as bypasses;

#[cfg(not(target_arch = "x86_64"))]
mod no_percpu;
#[cfg(not(target_arch = "x86_64"))]
use no_percpu as percpu;
#[cfg(target_arch = "x86_64")]
use x64 as percpu;

#[cfg(target_arch = "aarch64")]
use aarch64 as current;
#[cfg(target_arch = "riscv64")]
use riscv64 as current;
#[cfg(target_arch = "s390x")]
use s390x as current;
#[cfg(target_arch = "x86_64")]
use x64 as current;

use crate::os::PerCpu;

pub(crate) use bypasses::{Branch, branch_after_trap};
/// Elsewhere, sites leave the return address in a register.
#[cfg(target_arch = "x86_64")]
pub(crate) use current::interrupted_site;
pub(crate) use current::{
    FILL, MAX_RESERVE, RawFrame, SHAPE, SITE_ALIGN, SITE_LEN, STUB_SIZE, block_size, can_be_site,
    default_protocol, entry_point, function_returning, site_end_after_trap, tail_for, write_stubs,
    write_tail,
};
#[cfg(test)]
pub(crate) use current::{OFF_FORM, sample};
pub use frame::SiteFrame;
pub(crate) use islands::{
    BROADCAST_CLEARS_CACHE, ISLAND_SIZE, Link, SITE_LENS, link, reach, read_tail, write_head,
    write_islands, write_link,
};
pub(crate) use percpu::{current_cpu, increment};

/// What has to be stored to change a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "each instruction set has one of them; the tests of the protocols have all"
)]
pub(crate) enum Shape {
    /// A head that says whether it calls, and a tail that says what: two stores.
    HeadAndTail,
    /// One aligned word that says both: one store, before or after which every thread finds itself. Or it
    /// says where a word is that says what: before or after the first of two stores, for it is loaded.
    OneWord,
}

/// What the stubs of a block work on; addresses, zero if there is no such thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockData {
    /// Data of the first stub, within 2 GiB of the code; the others follow.
    pub(crate) own: usize,
    /// The data they share, within 2 GiB of the code.
    pub(crate) shared: usize,
    /// Their counters: of those per CPU, the shared row.
    pub(crate) counters: usize,
    /// How they count, if per CPU.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(
            dead_code,
            reason = "there are no counters per CPU: see `no_percpu.rs`"
        )
    )]
    pub(crate) per_cpu: Option<PerCpu>,
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
