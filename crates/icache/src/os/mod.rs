//! How to reach every thread of the process: one file per operating system, each with the same
//! items.
//!
//! | item | meaning |
//! |---|---|
//! | `CACHE_CALL` | the system's own function for cache maintenance, which replaces the architecture's instructions |
//! | `register()` | make the first broadcast as fast as the others |
//! | `sync_core()` | every thread executes a context synchronization event |
//! | `broadcast()` | what `sync_core` uses, and why |
//! | `prefer(preference)` | choose what it uses |
//!
//! Systems without a mechanism in the kernel share `handshake`, and have a module `threads` for it.

#[cfg_attr(miri, path = "miri.rs")]
#[cfg_attr(
    all(not(miri), any(target_os = "linux", target_os = "android")),
    path = "linux/mod.rs"
)]
#[cfg_attr(
    all(not(miri), any(target_os = "netbsd", target_os = "openbsd")),
    path = "bsd/mod.rs"
)]
#[cfg_attr(
    all(not(miri), any(target_os = "freebsd", target_os = "dragonfly")),
    path = "freebsd.rs"
)]
#[cfg_attr(
    all(not(miri), any(target_os = "macos", target_os = "ios")),
    path = "apple.rs"
)]
#[cfg_attr(all(not(miri), target_os = "windows"), path = "windows.rs")]
#[cfg_attr(all(not(miri), target_os = "none"), path = "bare.rs")]
#[cfg_attr(
    not(any(
        miri,
        target_os = "linux",
        target_os = "android",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "macos",
        target_os = "ios",
        target_os = "windows",
        target_os = "none"
    )),
    path = "unknown.rs"
)]
mod system;

pub(crate) use system::*;

/// What maintains caches: the architecture's instructions, or a function of the system.
pub(crate) type ClearCache = unsafe fn(usize, usize) -> Result<(), crate::Error>;

#[cfg(all(
    not(miri),
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "netbsd",
        target_os = "openbsd"
    )
))]
mod handshake;
