//! Keeps threads out of code memory that cannot be executed for the moment.
//!
//! With one mapping, code is written while its pages are not executable. A thread that runs into
//! them faults; the signal handler lets it wait until the pages are executable again, and then it
//! tries again. Nobody has to be stopped, and a thread that stays out does not notice.
//!
//! A thread may have fetched instructions before the pages lost their permission, but after the
//! broadcast that follows it executes none of them, and it fetches no others before the writing is
//! done: it executes what was there before or what was there after, never a mixture.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::os;

const EXECUTABLE: u32 = 0;
const WRITING: u32 = 1;
/// The system took the permission to execute away and does not give it back.
const BROKEN: u32 = 2;

/// The state of one space's code memory.
pub(crate) struct Gate {
    base: usize,
    /// Bytes of code that are mapped. Grows under the space's lock; read from anywhere.
    committed: AtomicUsize,
    phase: AtomicU32,
}

impl Gate {
    pub(crate) fn new(base: usize) -> Gate {
        Gate {
            base,
            committed: AtomicUsize::new(0),
            phase: AtomicU32::new(EXECUTABLE),
        }
    }

    pub(crate) fn committed(&self) -> usize {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn set_committed(&self, bytes: usize) {
        self.committed.store(bytes, Ordering::Release);
    }

    /// From here on, threads that fault wait.
    pub(crate) fn shut(&self) {
        self.phase.store(WRITING, Ordering::SeqCst);
    }

    /// Lets them go on, with all code executable again or not.
    pub(crate) fn open(&self, executable: bool) {
        let phase = if executable { EXECUTABLE } else { BROKEN };
        self.phase.store(phase, Ordering::SeqCst);
        os::futex_wake_all(&self.phase);
    }

    /// Waits until code at `address` can be executed; false if it never can, or if it is not in
    /// this space. Async-signal-safe.
    pub(crate) fn pass(&self, address: usize) -> bool {
        if address.wrapping_sub(self.base) >= self.committed() {
            return false;
        }
        loop {
            match self.phase.load(Ordering::SeqCst) {
                // Also if the writing ended before the signal came.
                EXECUTABLE => return true,
                WRITING => os::futex_wait(&self.phase, WRITING, None),
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_while_shut_and_only_for_committed_code() {
        let gate = Gate::new(0x1000);
        assert!(!gate.pass(0x1000));
        gate.set_committed(0x100);
        assert!(gate.pass(0x1000) && gate.pass(0x10ff));
        assert!(!gate.pass(0xfff) && !gate.pass(0x1100));
        for executable in [true, false] {
            gate.shut();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| gate.pass(0x1050));
                gate.open(executable);
                assert_eq!(waiter.join().unwrap(), executable);
            });
        }
    }
}
