//! `membarrier(2)` with `PRIVATE_EXPEDITED_SYNC_CORE`.
//!
//! The kernel interrupts every core that runs a thread of this process and makes it execute a core
//! serializing instruction before it returns to user space; a thread that is not running does so
//! when it is scheduled.
//! Source: `membarrier(2)`, `kernel/sched/membarrier.c`.

use core::ffi::{c_int, c_long};

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
use super::check;
use super::word;
use crate::Error;

// `linux/membarrier.h`.
const QUERY: c_int = 0;
const SYNC_CORE: c_int = 1 << 5;
const REGISTER_SYNC_CORE: c_int = 1 << 6;

/// Makes the system call.
#[inline]
fn membarrier(command: c_int) -> Result<c_int, i32> {
    // SAFETY: membarrier takes three integers and touches no memory of the caller.
    let result = unsafe { system_call(libc::SYS_membarrier, word(command)) };
    // The answer to a query is a set of commands, which are of type `int`.
    result.map(|answer| answer as c_int)
}

/// Makes a system call whose arguments after the first are zero.
///
/// # Safety
/// That of the call.
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
unsafe fn system_call(number: c_long, first: c_long) -> Result<c_long, i32> {
    let zero = word(0);
    // SAFETY: the caller's promise.
    check(unsafe { libc::syscall(number, first, zero, zero) })
}

/// Makes a system call whose arguments after the first are zero. The C library's function for it takes a tenth of
/// what this one takes.
///
/// # Safety
/// That of the call.
// System V ABI, AMD64 supplement, A.2.1; `syscall(2)`.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[inline]
unsafe fn system_call(number: c_long, first: c_long) -> Result<c_long, i32> {
    let result: c_long;
    // SAFETY: the caller's promise; the kernel preserves all other registers, but for flags.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") 0,
            in("rdx") 0,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    // Of the last page of addresses, which nothing returns, errors are the negated numbers.
    match result {
        -4095..=-1 => Err(-result as i32),
        _ => Ok(result),
    }
}

/// Registers the process. Doing it again is cheap and harmless; a forked child inherits it.
pub(super) fn register() -> Result<(), Error> {
    match membarrier(REGISTER_SYNC_CORE) {
        Ok(_) => Ok(()),
        Err(errno) => Err(classify(errno, |errno| Error::Registration { errno })),
    }
}

/// Every thread of the process executes a context synchronization event before this returns.
pub(super) fn sync_core() -> Result<(), Error> {
    let mut result = membarrier(SYNC_CORE);
    if result == Err(libc::EPERM) {
        register()?;
        result = membarrier(SYNC_CORE);
    }
    match result {
        Ok(_) => Ok(()),
        Err(errno) => Err(classify(errno, |errno| Error::Broadcast { errno })),
    }
}

/// The same, if nothing stands in the way; returns whether it was done.
#[inline]
pub(super) fn try_sync_core() -> bool {
    membarrier(SYNC_CORE).is_ok()
}

/// What the kernel says it offers.
pub(super) fn offered() -> Result<(), Error> {
    match membarrier(QUERY) {
        Ok(commands) if commands & SYNC_CORE != 0 => Ok(()),
        Ok(_) => Err(Error::Unsupported {
            errno: libc::EINVAL,
        }),
        Err(errno) => Err(Error::Unsupported { errno }),
    }
}

/// `ENOSYS` and `EINVAL` mean that the command does not exist here. Registration has no reason to
/// answer `EPERM` or `EACCES`, and a registered process none to be answered `EPERM`: a sandbox says
/// so.
fn classify(errno: i32, otherwise: fn(i32) -> Error) -> Error {
    match errno {
        libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::EACCES => Error::Unsupported { errno },
        _ => otherwise(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_command_is_unsupported() {
        let errno = membarrier(1 << 30).unwrap_err();
        assert_eq!(
            classify(errno, |errno| Error::Broadcast { errno }),
            Error::Unsupported {
                errno: libc::EINVAL
            }
        );
    }

    #[test]
    fn other_errors_keep_their_stage() {
        let errno = libc::ENOMEM;
        assert_eq!(
            classify(errno, |errno| Error::Broadcast { errno }),
            Error::Broadcast { errno }
        );
        assert_eq!(
            classify(errno, |errno| Error::Registration { errno }),
            Error::Registration { errno }
        );
    }
}
