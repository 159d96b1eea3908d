//! A lock that is given up by a store.
//!
//! `std::sync::Mutex` is given up by a locked instruction, which says at once whether anyone waits.
//! Right after a system call that takes long: a twentieth of a commit of one site.
//!
//! Here it is a store, and a load that says whether anyone waits. Processors may perform the load
//! first; who begins to wait just then is not woken. Therefore nobody waits for longer than
//! [`LONGEST_WAIT`] without looking again.
//!
//! What takes it is still a locked instruction: half of what a commit of one site takes beyond the system call, 24 to 68 ns
//! right after one on Sapphire Rapids, as it waits for the system's own stores. To do without, a thread would have to
//! keep the lock between commits, and others to broadcast in order to get it.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::os;

const FREE: u32 = 0;
const HELD: u32 = 1;

/// A thread that is not woken looks again after this time.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

/// Tries before a thread waits.
const TRIES: u32 = 100;

pub(crate) struct Lock<T> {
    state: AtomicU32,
    waiting: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through a guard, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

// A panic while the lock is held gives it up, as it does any other guard.
impl<T> RefUnwindSafe for Lock<T> {}
impl<T> UnwindSafe for Lock<T> {}

/// The right to use the value, given up when dropped.
pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Lock<T> {
        Lock {
            state: AtomicU32::new(FREE),
            waiting: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        if !self.take() {
            self.wait();
        }
        Guard { lock: self }
    }

    #[inline]
    fn take(&self) -> bool {
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.state
            .compare_exchange(FREE, HELD, acquire, relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..TRIES {
            std::hint::spin_loop();
            if self.state.load(Ordering::Relaxed) == FREE && self.take() {
                return;
            }
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.take() {
            os::futex_wait(&self.state, HELD, Some(LONGEST_WAIT));
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    #[cold]
    fn wake(&self) {
        os::futex_wake_one(&self.state);
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held by this guard.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held by this guard, which is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.state.store(FREE, Ordering::Release);
        if self.lock.waiting.load(Ordering::Relaxed) != 0 {
            self.lock.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        const THREADS: usize = 4;
        const TURNS: usize = 2000;
        let lock = Lock::new((0, 0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for turn in 0..TURNS {
                        let mut value = lock.lock();
                        value.0 += 1;
                        if turn % 16 == 0 {
                            // Long enough for others to wait.
                            thread::yield_now();
                        }
                        value.1 += 1;
                        assert_eq!(value.0, value.1);
                    }
                });
            }
        });
        assert_eq!(lock.lock().0, THREADS * TURNS);
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_waits_is_woken() {
        let lock = Lock::new(0);
        let mut held = lock.lock();
        thread::scope(|scope| {
            let waiters = [(); 3].map(|()| scope.spawn(|| *lock.lock() += 1));
            while lock.waiting.load(Ordering::Relaxed) != 3 {
                thread::yield_now();
            }
            *held += 10;
            drop(held);
            waiters.into_iter().for_each(|one| one.join().unwrap());
        });
        assert_eq!(*lock.lock(), 13);
    }

    #[test]
    fn a_panic_gives_it_up() {
        let lock = Lock::new(1);
        let outcome = std::panic::catch_unwind(|| {
            let mut value = lock.lock();
            *value = 2;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(outcome.is_err());
        assert_eq!(*lock.lock(), 2);
    }
}
