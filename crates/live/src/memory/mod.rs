//! The reserved range: code mapped twice, hook data, and the bookkeeping of which bytes are taken.

mod ranges;
mod region;

pub(crate) use ranges::{GRANULE, Range, RangeAllocator};
pub(crate) use region::Region;
