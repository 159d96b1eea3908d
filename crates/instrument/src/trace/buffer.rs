//! From the hooks to the writer: buffers per thread, and a bounded queue of full ones.
//!
//! Records are never dropped: a thread whose buffer is full waits until there is room in the queue.
//! Buffers of one thread are queued under the thread's lock, so they stay in order.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Words in a buffer.
const BUFFER_WORDS: usize = 16 * 1024;
/// Buffers in the queue beyond which threads wait: 8 MiB in all.
const QUEUE_LIMIT: usize = 64;

/// Lock a mutex whatever happened to other users: all data here is valid at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of one thread that are not in the queue yet.
#[derive(Debug)]
pub(super) struct ThreadBuffer {
    /// The number of the thread, from 1.
    pub(super) number: u32,
    pub(super) name: Option<String>,
    words: Mutex<Vec<u64>>,
}

impl ThreadBuffer {
    pub(super) fn for_this_thread(number: u32) -> ThreadBuffer {
        ThreadBuffer {
            number,
            name: thread::current().name().map(String::from),
            words: Mutex::new(Vec::with_capacity(BUFFER_WORDS)),
        }
    }

    /// Append one record.
    pub(super) fn append(
        &self,
        queue: &Queue,
        head: [u64; 3],
        values: impl IntoIterator<Item = u64>,
    ) {
        let mut words = lock(&self.words);
        words.extend_from_slice(&head);
        words.extend(values);
        // A record is whole in one buffer, which may have to grow for it.
        if words.len() + 32 > BUFFER_WORDS {
            *words = queue.push_waiting(self.number, std::mem::take(&mut words));
        }
    }

    /// Queue what there is.
    pub(super) fn flush(&self, queue: &Queue) {
        queue.take_from(self.number, &mut lock(&self.words));
    }

    /// Queue what there is, unless the thread is busy with it.
    pub(super) fn try_flush(&self, queue: &Queue) {
        if let Ok(mut words) = self.words.try_lock() {
            queue.take_from(self.number, &mut words);
        }
    }
}

/// Records of one thread.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) thread: u32,
    pub(super) words: Vec<u64>,
}

/// What the writer finds in the queue.
#[derive(Debug)]
pub(super) enum Popped {
    Chunk(Chunk),
    /// Nothing came for a while.
    Idle,
    /// Nothing is left, and nobody waits to add anything.
    Closed,
}

/// The buffers to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    chunks: VecDeque<Chunk>,
    /// Empty buffers to be used again.
    spare: Vec<Vec<u64>>,
    closed: bool,
}

impl Queue {
    /// Add a buffer when there is room; returns an empty one.
    fn push_waiting(&self, thread: u32, words: Vec<u64>) -> Vec<u64> {
        let mut state = lock(&self.state);
        while state.chunks.len() >= QUEUE_LIMIT && !state.closed {
            state = self
                .emptied
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.chunks.push_back(Chunk { thread, words });
        self.filled.notify_one();
        let spare = state.spare.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(BUFFER_WORDS))
    }

    /// Add a copy of what is in a buffer, if anything, and empty it. Does not wait.
    fn take_from(&self, thread: u32, words: &mut Vec<u64>) {
        if words.is_empty() {
            return;
        }
        let copy = words.as_slice().into();
        words.clear();
        let mut state = lock(&self.state);
        state.chunks.push_back(Chunk {
            thread,
            words: copy,
        });
        self.filled.notify_one();
    }

    /// Take out the oldest buffer, waiting up to `patience` for one.
    pub(super) fn pop(&self, patience: Duration) -> Popped {
        let mut state = lock(&self.state);
        if state.chunks.is_empty() && !state.closed {
            (state, _) = self
                .filled
                .wait_timeout(state, patience)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match state.chunks.pop_front() {
            Some(chunk) => {
                self.emptied.notify_one();
                Popped::Chunk(chunk)
            }
            None if state.closed => Popped::Closed,
            None => Popped::Idle,
        }
    }

    /// Give a buffer back.
    pub(super) fn recycle(&self, mut words: Vec<u64>) {
        words.clear();
        let mut state = lock(&self.state);
        if words.capacity() >= BUFFER_WORDS && state.spare.len() < QUEUE_LIMIT {
            state.spare.push(words);
        }
    }

    /// From here on, nobody waits: the writer takes out what is left.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn records_of_a_thread_stay_in_order() {
        let queue = Arc::new(Queue::default());
        let buffer = Arc::new(ThreadBuffer::for_this_thread(1));
        let records = 400_000u64;
        let producer = {
            let (queue, buffer) = (Arc::clone(&queue), Arc::clone(&buffer));
            thread::spawn(move || {
                for n in 0..records {
                    buffer.append(&queue, [n, 0, 0], [n]);
                }
                buffer.flush(&queue);
                queue.close();
            })
        };
        let mut next = 0;
        loop {
            match queue.pop(Duration::from_millis(1)) {
                Popped::Chunk(chunk) => {
                    for record in chunk.words.chunks(4) {
                        assert_eq!(record, [next, 0, 0, next]);
                        next += 1;
                    }
                    queue.recycle(chunk.words);
                }
                Popped::Idle => buffer.try_flush(&queue),
                Popped::Closed => break,
            }
        }
        producer.join().unwrap();
        assert_eq!(next, records);
    }

    #[test]
    fn closing_frees_those_who_wait() {
        let queue = Arc::new(Queue::default());
        let waiting = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for _ in 0..=QUEUE_LIMIT {
                    queue.push_waiting(1, vec![0]);
                }
            })
        };
        while lock(&queue.state).chunks.len() < QUEUE_LIMIT {
            thread::yield_now();
        }
        queue.close();
        waiting.join().unwrap();
        assert_eq!(lock(&queue.state).chunks.len(), QUEUE_LIMIT + 1);
    }
}
