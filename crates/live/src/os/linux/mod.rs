//! Linux.

mod context;
mod futex;
mod memory;
mod percpu;
pub(crate) mod signal;

pub(crate) use futex::{futex_wait, futex_wake_all, futex_wake_one};
pub(crate) use memory::{CodeFile, ForkGuard, Protection, Reservation, page_size};
pub(crate) use percpu::PerCpu;
pub(crate) use signal::SignalMask;
