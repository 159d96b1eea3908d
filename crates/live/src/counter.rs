//! Counters that threads increment without getting in each other's way.
//!
//! A counter has one word in each row of its block: one row for each CPU, where the threads on that
//! CPU count with plain instructions (see `isa`), and before those a shared row, where threads count
//! with locked instructions if they cannot do that. Its value is the sum. Words only ever grow: to set
//! a counter to zero is to remember its value.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::{PerCpu, Reservation, page_size};
use crate::slots::{BLOCK_SLOTS, StubKind};
use crate::{Result, isa};

/// Counters of a block of stubs.
pub(crate) struct CounterBlock {
    memory: Reservation,
    rows: usize,
    row_bytes: usize,
    words_per_slot: usize,
}

/// One of the counters of a block, which must outlive it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    shared: *mut u64,
    rows: usize,
    row_bytes: usize,
}

impl CounterBlock {
    /// All counters are zero.
    pub(crate) fn new(kind: StubKind, per_cpu: Option<PerCpu>) -> Result<CounterBlock> {
        let rows = 1 + per_cpu.map_or(0, |per_cpu| per_cpu.cpus as usize);
        let row_bytes = 1 << kind.row_shift();
        let memory = Reservation::new((rows * row_bytes).next_multiple_of(page_size()))?;
        memory.commit_data(0, memory.len())?;
        Ok(CounterBlock {
            memory,
            rows,
            row_bytes,
            words_per_slot: row_bytes / 8 / BLOCK_SLOTS,
        })
    }

    /// Address of the shared row.
    pub(crate) fn address(&self) -> usize {
        self.memory.base() as usize
    }

    /// A counter of the stub at a position.
    pub(crate) fn counter(&self, position: usize, word: usize) -> Counter {
        debug_assert!(position < BLOCK_SLOTS && word < self.words_per_slot);
        let index = position * self.words_per_slot + word;
        Counter {
            shared: self.memory.base().cast::<u64>().wrapping_add(index),
            rows: self.rows,
            row_bytes: self.row_bytes,
        }
    }
}

impl Counter {
    /// How often it was incremented: exact if nobody is at it, else at least what it was when asked
    /// and at most what it is when answered.
    pub(crate) fn sum(self) -> u64 {
        let rows = (0..self.rows).map(|row| {
            let word = self.shared.wrapping_byte_add(row * self.row_bytes);
            // SAFETY: an aligned word of the block's memory, which threads write atomically.
            unsafe { AtomicU64::from_ptr(word) }.load(Ordering::Acquire)
        });
        rows.fold(0, u64::wrapping_add)
    }

    /// The word in the shared row.
    pub(crate) fn shared(self) -> *const u64 {
        self.shared
    }

    /// Adds one.
    ///
    /// # Safety
    /// The counter belongs to a block made for this `per_cpu` and call stubs.
    pub(crate) unsafe fn increment_call(self, per_cpu: Option<PerCpu>) {
        match per_cpu {
            // SAFETY: the block has a row for each CPU; the caller's promise has the distance.
            Some(per_cpu) => unsafe {
                isa::increment::<{ StubKind::Call.row_shift() }>(self.shared, per_cpu);
            },
            None => {
                // SAFETY: as in `sum`.
                unsafe { AtomicU64::from_ptr(self.shared) }.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_whatever_the_row() {
        for per_cpu in [None, PerCpu::get()] {
            let block = CounterBlock::new(StubKind::Call, per_cpu).unwrap();
            let (entered, left) = (block.counter(7, 0), block.counter(7, 1));
            const EACH: u64 = 200_000;
            std::thread::scope(|scope| {
                for _ in 0..5 {
                    let (entered, left) = (entered.shared as usize, left.shared as usize);
                    scope.spawn(move || {
                        let counter = |shared| Counter {
                            shared: shared as *mut u64,
                            rows: 1,
                            row_bytes: 0,
                        };
                        for _ in 0..EACH {
                            // SAFETY: counters of the block above.
                            unsafe {
                                counter(entered).increment_call(per_cpu);
                                counter(left).increment_call(per_cpu);
                            }
                        }
                    });
                }
            });
            assert_eq!((entered.sum(), left.sum()), (5 * EACH, 5 * EACH));
            assert_eq!(block.counter(6, 1).sum(), 0);
            assert_eq!(block.counter(8, 0).sum(), 0);
        }
    }

    #[test]
    fn a_cpu_without_a_row_counts_in_the_shared_one() {
        let Some(per_cpu) = PerCpu::get() else {
            return;
        };
        let block = CounterBlock::new(StubKind::Call, Some(per_cpu)).unwrap();
        let counter = block.counter(0, 0);
        let nowhere = PerCpu { cpus: 0, ..per_cpu };
        // SAFETY: fewer rows than the block has.
        unsafe { counter.increment_call(Some(nowhere)) };
        // SAFETY: the shared word of the counter.
        assert_eq!(unsafe { counter.shared().read() }, 1);
        assert_eq!(counter.sum(), 1);
    }
}
