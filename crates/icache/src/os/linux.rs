//! Linux: `membarrier(2)` with `PRIVATE_EXPEDITED_SYNC_CORE`.
//!
//! The kernel interrupts every core that runs a thread of this process and makes it execute a core
//! serializing instruction before it returns to user space; a thread that is not running does so
//! when it is scheduled. Offered since Linux 4.16 on x86-64 and AArch64.
//! Source: `membarrier(2)`, `kernel/sched/membarrier.c`.

use crate::{Broadcast, Error};

/// Makes the system call; zero or positive on success, `-errno` on failure.
fn membarrier(command: libc::c_int) -> libc::c_long {
    let flags: libc::c_uint = 0;
    let cpu: libc::c_int = 0;
    // SAFETY: membarrier takes three integers and touches no memory of the caller.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, flags, cpu) };
    if result == -1 {
        -libc::c_long::from(errno())
    } else {
        result
    }
}

fn errno() -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: the C library's per-thread errno is always readable.
    unsafe {
        *libc::__errno_location()
    }
    #[cfg(target_os = "android")]
    // SAFETY: as above.
    unsafe {
        *libc::__errno()
    }
}

/// Registers the process. Doing it again is cheap and harmless; a forked child inherits it.
pub(crate) fn register() -> Result<(), Error> {
    match membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) {
        0.. => Ok(()),
        failure => Err(classify(-failure, |errno| Error::Registration { errno })),
    }
}

/// Every thread of the process executes a context synchronization event before this returns.
pub(crate) fn sync_core() -> Result<(), Error> {
    let command = libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
    let mut result = membarrier(command);
    if result == -libc::c_long::from(libc::EPERM) {
        register()?;
        result = membarrier(command);
    }
    match result {
        0.. => Ok(()),
        failure => Err(classify(-failure, |errno| Error::Broadcast { errno })),
    }
}

/// `ENOSYS` and `EINVAL` mean that the command does not exist here, whatever was attempted.
fn classify(errno: libc::c_long, otherwise: fn(i32) -> Error) -> Error {
    let errno = i32::try_from(errno).unwrap_or(libc::EINVAL);
    match errno {
        libc::ENOSYS | libc::EINVAL => Error::Unsupported { errno },
        _ => otherwise(errno),
    }
}

/// What the kernel says it offers.
pub(crate) fn broadcast() -> Broadcast {
    let wanted = libc::c_long::from(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
    match membarrier(libc::MEMBARRIER_CMD_QUERY) {
        offered @ 0.. if offered & wanted != 0 => Broadcast::Membarrier,
        0.. => Broadcast::Unavailable(Error::Unsupported {
            errno: libc::EINVAL,
        }),
        failure => Broadcast::Unavailable(classify(-failure, |errno| Error::Unsupported { errno })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_command_is_unsupported() {
        let failure = membarrier(1 << 30);
        assert!(failure < 0);
        assert_eq!(
            classify(-failure, |errno| Error::Broadcast { errno }),
            Error::Unsupported {
                errno: libc::EINVAL
            }
        );
    }

    #[test]
    fn other_errors_keep_their_stage() {
        let errno = libc::ENOMEM;
        assert_eq!(
            classify(libc::c_long::from(errno), |errno| Error::Broadcast {
                errno
            }),
            Error::Broadcast { errno }
        );
    }
}
