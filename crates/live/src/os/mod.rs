//! What the operating system provides: address space, a file whose pages are mapped twice, and the
//! breakpoint signal. One folder per system.

mod linux;

pub(crate) use linux::{CodeFile, ForkGuard, PerCpu, Protection, Reservation, page_size, signal};
