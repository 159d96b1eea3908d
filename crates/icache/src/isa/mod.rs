//! What each architecture needs from the executing core: one file per architecture, each with the
//! same three items (`clear`, `cache_maintenance`, `FRESH_CODE_NEEDS_BROADCAST`).

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{FRESH_CODE_NEEDS_BROADCAST, cache_maintenance, clear};

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{FRESH_CODE_NEEDS_BROADCAST, cache_maintenance, clear};
