//! Linux.

mod context;
mod memory;
pub(crate) mod signal;

pub(crate) use memory::{CodeFile, ForkGuard, Protection, Reservation, page_size};
