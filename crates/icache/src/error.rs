//! The error type: small, `Copy`, and free of `std`.

use core::fmt;

/// Why code could not be made visible to every thread.
///
/// None of these is a licence to go on: after an error, other threads may still execute what they
/// fetched earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The system has no mechanism that makes every thread of the process execute a context
    /// synchronization event (too old, built without it, or hidden by a sandbox).
    Unsupported {
        /// The error number that said so.
        errno: i32,
    },
    /// The mechanism exists, but registering the process for it was refused.
    Registration {
        /// The error number that said so.
        errno: i32,
    },
    /// The mechanism exists, the process is registered, and yet the broadcast failed. `ENOMEM`
    /// (of `membarrier`, and of a signal handshake where threads are more than can be listed) and
    /// `EAGAIN` (no room for another signal, for a minute) may be temporary.
    Broadcast {
        /// The error number that said so.
        errno: i32,
    },
    /// The operating system refused the cache maintenance of a range.
    Cache {
        /// The error number that said so.
        errno: i32,
    },
    /// A thread did not answer a signal handshake: it has blocked the signal for two seconds, or it
    /// has been stuck, in the kernel for instance, for a minute.
    Unresponsive {
        /// Its number: a `tid` on Linux.
        thread: u32,
    },
    /// [`prefer`](crate::prefer) was asked for a mechanism that this target has not.
    NoSuchMechanism,
}

impl Error {
    /// The operating system's error number behind this error; zero if there is none.
    pub fn errno(&self) -> i32 {
        match *self {
            Error::Unsupported { errno }
            | Error::Registration { errno }
            | Error::Broadcast { errno }
            | Error::Cache { errno } => errno,
            Error::Unresponsive { .. } | Error::NoSuchMechanism => 0,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Error::Unsupported { .. } => {
                "this system has no way to synchronize the cores of all threads, or a sandbox hides it"
            }
            Error::Registration { .. } => {
                "registering for the synchronization of cores was refused"
            }
            Error::Broadcast { .. } => "synchronizing the cores of all threads failed",
            Error::Cache { .. } => "the system refused to maintain the instruction cache",
            Error::Unresponsive { thread } => {
                return write!(
                    f,
                    "thread {thread} did not answer the signal that synchronizes its core"
                );
            }
            Error::NoSuchMechanism => {
                return f.write_str("this target has no such way to synchronize cores");
            }
        };
        write!(f, "{text} (error {})", self.errno())
    }
}

impl core::error::Error for Error {}
