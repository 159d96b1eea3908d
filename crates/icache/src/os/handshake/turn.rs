//! One broadcast at a time.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use super::super::system::threads;
use super::SIGNAL;
use super::wait::Patience;

/// The thread that broadcasts; zero: nobody.
static HOLDER: AtomicU32 = AtomicU32::new(0);

/// The right to broadcast, given back when dropped. Its holder receives no signals but that of the
/// handshake.
pub(super) struct Turn {
    /// The signals that were blocked before.
    mask: libc::sigset_t,
}

impl Turn {
    /// Waits for it, answering the broadcasts of others meanwhile.
    pub(super) fn take() -> Turn {
        let turn = Turn { mask: block_all() };
        let me = threads::current();
        let mut patience = Patience::new();
        loop {
            // Another thread may be choosing the signal.
            turn.answer_to(SIGNAL.load(Ordering::Relaxed));
            let result = HOLDER.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed);
            let Err(holder) = result else {
                return turn;
            };
            // A child of `fork` may have inherited the turn of a thread that it has not, or, if
            // numbers were reused, of one that it has: a thread does not take a turn within a turn.
            let stale = holder == me || patience.pause_is_long() && !threads::exists(holder);
            if stale && take_over(holder, me) {
                return turn;
            }
            patience.pause();
        }
    }

    /// Lets this thread receive the signal of the handshake, if there is one.
    pub(super) fn answer_to(&self, signal: c_int) {
        if signal != 0 {
            let mut set = empty_set();
            // SAFETY: the set is initialized.
            unsafe { libc::sigaddset(&mut set, signal) };
            change_mask(libc::SIG_UNBLOCK, &set);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        HOLDER.store(0, Ordering::Release);
        change_mask(libc::SIG_SETMASK, &self.mask);
    }
}

fn take_over(holder: u32, me: u32) -> bool {
    let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
    HOLDER
        .compare_exchange(holder, me, acquire, relaxed)
        .is_ok()
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: initializes the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Blocks all signals of this thread, and tells which were blocked before.
fn block_all() -> libc::sigset_t {
    let mut all = empty_set();
    // SAFETY: the set is initialized.
    unsafe { libc::sigfillset(&mut all) };
    change_mask(libc::SIG_SETMASK, &all)
}

/// Changes the mask of this thread, and tells what it was before.
fn change_mask(how: c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut old = empty_set();
    // SAFETY: both sets are initialized; blocking and unblocking signals of this thread is undone
    // when the turn ends.
    unsafe { libc::pthread_sigmask(how, ptr::from_ref(set), &mut old) };
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_of_nobody_is_taken_over() {
        let _serial = Turn::take();
        // What a child inherits from a parent whose other thread was broadcasting.
        HOLDER.store(i32::MAX as u32, Ordering::Relaxed);
        let second = Turn::take();
        assert_eq!(HOLDER.load(Ordering::Relaxed), threads::current());
        drop(second);
        assert_eq!(HOLDER.load(Ordering::Relaxed), 0);
        HOLDER.store(threads::current(), Ordering::Relaxed);
        let third = Turn::take();
        assert_eq!(HOLDER.load(Ordering::Relaxed), threads::current());
        drop(third);
    }
}
