//! The error type: small, `Copy`, and free of `std`.

use core::fmt;

/// Why a broadcast could not be made.
///
/// None of these is a licence to go on: after an error, other threads may still execute what they
/// fetched earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no mechanism that makes every thread of the process execute a context
    /// synchronization event (too old, built without it, or hidden by a sandbox).
    Unsupported {
        /// The `errno` value that said so.
        errno: i32,
    },
    /// The mechanism exists, but registering the process for it was refused.
    Registration {
        /// The `errno` value that said so.
        errno: i32,
    },
    /// The mechanism exists, the process is registered, and yet the broadcast failed; `ENOMEM`
    /// (12) is the one documented cause and is temporary.
    Broadcast {
        /// The `errno` value that said so.
        errno: i32,
    },
}

impl Error {
    /// The operating system's error number behind this error.
    pub fn errno(&self) -> i32 {
        match *self {
            Error::Unsupported { errno }
            | Error::Registration { errno }
            | Error::Broadcast { errno } => errno,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, errno) = match *self {
            Error::Unsupported { errno } => (
                "this kernel has no membarrier(PRIVATE_EXPEDITED_SYNC_CORE), or a sandbox hides it",
                errno,
            ),
            Error::Registration { errno } => (
                "registering for membarrier(PRIVATE_EXPEDITED_SYNC_CORE) was refused",
                errno,
            ),
            Error::Broadcast { errno } => ("membarrier(PRIVATE_EXPEDITED_SYNC_CORE) failed", errno),
        };
        write!(f, "{text} (errno {errno})")
    }
}

impl core::error::Error for Error {}
