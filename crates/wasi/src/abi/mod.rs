//! Constants and records of `wasi_snapshot_preview1.witx`, with the layouts guests see.

pub(crate) mod flags;
pub(crate) mod records;
pub(crate) mod rights;
