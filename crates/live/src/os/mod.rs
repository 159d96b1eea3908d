//! What the operating system provides: address space, a file whose pages are mapped twice, per-CPU
//! counting, and signals. One folder per system.

mod linux;

pub(crate) use linux::{
    CodeFile, ForkGuard, PerCpu, Protection, Reservation, SignalMask, futex_wait, futex_wake_all,
    futex_wake_one, page_size, signal,
};
