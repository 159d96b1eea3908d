//! AArch64.

mod cpu;
mod entry;
mod frame;
mod site;
mod stub;

pub(crate) use cpu::default_protocol;
pub(crate) use entry::entry_point;
pub(super) use frame::REGISTERS;
pub(crate) use frame::RawFrame;
pub(crate) use site::{
    FILL, MAX_RESERVE, SHAPE, SITE_ALIGN, SITE_LEN, can_be_site, function_returning, read_tail,
    site_end_after_trap, tail_for, write_head, write_tail,
};
#[cfg(test)]
pub(crate) use site::{OFF_FORM, sample};
pub(crate) use stub::{STUB_SIZE, block_size, write_stubs};
