//! Waiting for a word to change, also in signal handlers (`futex(2)`).

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while the word has the given value, but not for much longer than the given time, of less than a
/// second; may return early. Leaves `errno` alone.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, longest: Option<Duration>) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: made of integers, for which zeros are valid.
    let mut timeout: libc::timespec = unsafe { std::mem::zeroed() };
    timeout.tv_nsec = longest.map_or(0, |longest| longest.subsec_nanos().into());
    let timeout = longest.map_or(ptr::null(), |_| &raw const timeout);
    // SAFETY: errno is the thread's own; the word and the timeout are valid.
    unsafe {
        let errno = *libc::__errno_location();
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout);
        *libc::__errno_location() = errno;
    }
}

/// Wakes all that wait for the word.
pub(crate) fn futex_wake_all(word: &AtomicU32) {
    futex_wake(word, i32::MAX);
}

/// Wakes one of those that wait for the word.
pub(crate) fn futex_wake_one(word: &AtomicU32) {
    futex_wake(word, 1);
}

fn futex_wake(word: &AtomicU32, most: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is valid; waking changes nothing but who runs.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, most) };
}
