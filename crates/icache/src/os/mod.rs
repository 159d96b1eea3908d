//! How to reach every thread of the process: one file per operating system, each with the same
//! three items (`register`, `sync_core`, `broadcast`).

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::{broadcast, register, sync_core};
