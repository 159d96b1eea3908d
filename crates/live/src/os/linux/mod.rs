//! Linux.

mod context;
mod memory;
mod percpu;
pub(crate) mod signal;

pub(crate) use memory::{CodeFile, ForkGuard, Protection, Reservation, page_size};
pub(crate) use percpu::PerCpu;
