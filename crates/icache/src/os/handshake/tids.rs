//! The set of threads that a broadcast has asked: a bit per thread number, since there is no
//! allocation, and numbers are small. Untouched pages of it cost nothing.

use core::sync::atomic::{AtomicUsize, Ordering};

/// Linux has no larger one (`PID_MAX_LIMIT`); other systems' are smaller.
const LIMIT: usize = 1 << 22;

/// The bits of a word that a thread number takes.
pub(super) const MASK: usize = LIMIT - 1;

const BITS: usize = usize::BITS as usize;

/// Only the holder of the turn uses it. A child of `fork` inherits it from between any two stores of
/// another thread, so that words with bits are among `low..high` after each of them.
pub(super) struct Tids {
    words: [AtomicUsize; LIMIT / BITS],
    /// The words that may have bits are `low..high`.
    low: AtomicUsize,
    high: AtomicUsize,
}

pub(super) static TIDS: Tids = Tids {
    words: [const { AtomicUsize::new(0) }; LIMIT / BITS],
    low: AtomicUsize::new(0),
    high: AtomicUsize::new(0),
};

impl Tids {
    fn used(&self) -> &[AtomicUsize] {
        let (low, high) = (&self.low, &self.high);
        let used = low.load(Ordering::Relaxed)..high.load(Ordering::Relaxed);
        // Where the first insertion was cut short, `low` is set and `high` is not.
        self.words.get(used).unwrap_or_default()
    }

    pub(super) fn clear(&self) {
        for word in self.used() {
            word.store(0, Ordering::Relaxed);
        }
        self.low.store(0, Ordering::Release);
        self.high.store(0, Ordering::Release);
    }

    /// Whether it was not there before; `ERANGE` if it is no number of a thread.
    pub(super) fn insert(&self, tid: u32) -> Result<bool, i32> {
        let tid = tid as usize;
        if tid == 0 || tid >= LIMIT {
            return Err(libc::ERANGE);
        }
        let index = tid / BITS;
        if self.high.load(Ordering::Relaxed) == 0 {
            self.low.store(index, Ordering::Relaxed);
        }
        self.low.fetch_min(index, Ordering::Relaxed);
        self.high.fetch_max(index + 1, Ordering::Relaxed);
        let bit = 1 << (tid % BITS);
        Ok(self.words[index].fetch_or(bit, Ordering::Release) & bit == 0)
    }

    pub(super) fn contains(&self, tid: u32) -> bool {
        let tid = tid as usize;
        let word = self.words.get(tid / BITS);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (tid % BITS) & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    static SET: Tids = Tids {
        words: [const { AtomicUsize::new(0) }; LIMIT / BITS],
        low: AtomicUsize::new(0),
        high: AtomicUsize::new(0),
    };

    fn members() -> Vec<u32> {
        (0..LIMIT as u32).filter(|&tid| SET.contains(tid)).collect()
    }

    #[test]
    fn members_are_what_was_inserted() {
        let last = LIMIT as u32 - 1;
        for tid in [500, 1, last, 63, 64] {
            assert_eq!(SET.insert(tid), Ok(true));
            assert_eq!(SET.insert(tid), Ok(false));
            assert!(SET.contains(tid));
        }
        assert!(!SET.contains(2) && !SET.contains(u32::MAX));
        assert_eq!(members(), [1, 63, 64, 500, last]);
        SET.clear();
        assert_eq!(members(), []);
        assert_eq!(SET.insert(last), Ok(true));
        assert_eq!(members(), [last]);
        for none in [0, LIMIT as u32, u32::MAX] {
            assert_eq!(SET.insert(none), Err(libc::ERANGE));
        }
        // What a child inherits if it was forked during the first insertion.
        SET.clear();
        SET.low.store(7, Ordering::Relaxed);
        SET.clear();
        assert_eq!(SET.insert(64), Ok(true));
        assert_eq!(members(), [64]);
        SET.clear();
        assert_eq!(members(), []);
    }
}
