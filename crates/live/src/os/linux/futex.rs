//! Waiting for a word to change, also in signal handlers (`futex(2)`).

use std::ptr;
use std::sync::atomic::AtomicU32;

/// Sleeps while the word has the given value; may return early. Leaves `errno` alone.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: errno is the thread's own; the word is valid, and no timeout is given.
    unsafe {
        let errno = *libc::__errno_location();
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            ptr::null::<libc::timespec>(),
        );
        *libc::__errno_location() = errno;
    }
}

/// Wakes all that wait for the word.
pub(crate) fn futex_wake_all(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is valid; waking changes nothing but who runs.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
}
