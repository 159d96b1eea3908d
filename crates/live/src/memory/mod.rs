//! The reserved range: code mapped for execution, how it is written, hook data, and the bookkeeping of
//! which bytes are taken.

mod gate;
mod ranges;
mod region;

pub(crate) use gate::Gate;
pub(crate) use ranges::{GRANULE, Range, RangeAllocator};
pub(crate) use region::{Region, Writing};
