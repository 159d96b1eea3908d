//! Walks over the kernel's list of threads, until none that was there at the beginning is missed.
//!
//! # What is shown
//!
//! Call the threads that the first count counted *old*. Every old thread has been visited, or has
//! ended, when [`visit_all`] returns.
//!
//! Linux adds new threads at the end of the list, so those that are old and left are always the
//! first ones. A *walk* is a chain: each entry is that of a thread which followed the one before it
//! in the list. A thread that is in the list all the time is not passed over in a chain, which may
//! only end too early: when the thread at which it stands ends (`fs/proc/base.c`: `next_tid`).
//! A new system call continues the chain if it begins with the thread that the last one listed;
//! otherwise (`first_tid`), the walk is over.
//!
//! - A walk that lists as many threads as have been counted, at any time before it, has listed all
//!   old ones. If it had not come by one of them, all that it listed would stand before that one in
//!   the list: they would all have been counted together with it, and be fewer.
//! - A walk that ends too early has come by all old threads if it ended at one that is not old.
//!   Otherwise an old thread has ended. So there are at most as many walks that miss an old thread
//!   as old threads end, which is fewer than were counted, for the caller is one of them.
//!
//! Hence one walk suffices if no thread ends, and as many as there were threads if all others do
//! at the worst of times. It does not matter how many new ones come and go.
//!
//! Thread numbers may be given out again. An old thread keeps its own.

use super::threads::Errno;

/// An entry of the directory `/proc/self/task`.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Zero if it is none of a thread, or (before Linux 5.16) of one that has just ended.
    pub(super) tid: u32,
    /// Where a call begins to list with this entry, if nothing changes.
    pub(super) position: i64,
}

/// The directory `/proc/self/task`.
pub(super) trait Directory {
    /// The number of threads, read under the lock under which they are added.
    fn count(&mut self) -> Result<usize, Errno>;

    /// Lists entries from a position on, as many as fit, in one system call.
    fn list(&mut self, position: i64) -> Result<(), Errno>;

    /// The next one of the entries listed by the last call.
    fn next(&mut self) -> Option<Entry>;
}

/// Calls `visit` with every thread that is there now and has not ended when this returns. Others
/// may be visited, and each more than once.
pub(super) fn visit_all<E: From<Errno>>(
    directory: &mut impl Directory,
    mut visit: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    let old = directory.count()?;
    let mut left = old;
    for _ in 0..old {
        if walk(directory, left, &mut visit)? == left {
            break;
        }
        left = left.min(directory.count()?);
    }
    Ok(())
}

/// Visits at most as many threads as are wanted; returns how many.
fn walk<E: From<Errno>>(
    directory: &mut impl Directory,
    wanted: usize,
    visit: &mut impl FnMut(u32) -> Result<(), E>,
) -> Result<usize, E> {
    let mut visited = 0;
    let mut last: Option<Entry> = None;
    loop {
        directory.list(last.map_or(0, |last| last.position))?;
        if let Some(last) = last
            && directory.next().is_none_or(|first| first.tid != last.tid)
        {
            return Ok(visited);
        }
        let before = visited;
        while visited < wanted
            && let Some(entry) = directory.next()
        {
            if entry.tid != 0 {
                visit(entry.tid)?;
                visited += 1;
                last = Some(entry);
            }
        }
        if visited == before || visited == wanted {
            return Ok(visited);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::VecDeque;
    use std::vec::Vec;

    use super::*;

    /// What may happen between any two steps of the kernel.
    trait Fate {
        fn strike(&mut self, threads: &mut Threads);
    }

    /// The kernel's list. A thread that has ended stays here, so that whoever stands on it can be
    /// told; nobody else sees it.
    #[derive(Default)]
    struct Threads {
        list: Vec<Thread>,
        /// The length of the list, and how many of it were counted, when that was first done.
        first_count: Option<(usize, usize)>,
        walks: usize,
    }

    struct Thread {
        tid: u32,
        alive: bool,
        visited: bool,
    }

    impl Threads {
        fn start(&mut self) {
            let tid = 100 + self.list.len() as u32;
            self.list.push(Thread {
                tid,
                alive: true,
                visited: false,
            });
        }

        fn alive(&self) -> impl Iterator<Item = usize> {
            (0..self.list.len()).filter(|&index| self.list[index].alive)
        }
    }

    /// The directory as `proc_task_readdir` lists it.
    struct Model<F> {
        threads: Threads,
        fate: F,
        room: usize,
        /// Whether a thread that has ended is listed as zero, or not at all.
        lists_zero: bool,
        listed: VecDeque<Entry>,
    }

    impl<F: Fate> Model<F> {
        fn step(&mut self) {
            self.fate.strike(&mut self.threads);
        }
    }

    impl<F: Fate> Directory for Model<F> {
        fn count(&mut self) -> Result<usize, Errno> {
            self.step();
            let count = self.threads.alive().count();
            let counted = (self.threads.list.len(), count);
            self.threads.first_count.get_or_insert(counted);
            self.step();
            Ok(count)
        }

        fn list(&mut self, position: i64) -> Result<(), Errno> {
            self.threads.walks += usize::from(position == 0);
            self.listed.clear();
            // Two positions are those of `.` and `..`.
            for dots in position..2 {
                let (tid, position) = (0, dots);
                self.listed.push_back(Entry { tid, position });
            }
            let mut position = position.max(2);
            self.step();
            let mut next = self.threads.alive().nth(position as usize - 2);
            while let Some(index) = next {
                self.step();
                let thread = &self.threads.list[index];
                let tid = if thread.alive { thread.tid } else { 0 };
                if tid != 0 || self.lists_zero {
                    if self.listed.len() == self.room {
                        return Ok(());
                    }
                    self.listed.push_back(Entry { tid, position });
                }
                self.step();
                let alive = self.threads.list[index].alive;
                next = self.threads.alive().find(|&later| later > index);
                next = next.filter(|_| alive);
                position += 1;
            }
            Ok(())
        }

        fn next(&mut self) -> Option<Entry> {
            self.step();
            self.listed.pop_front()
        }
    }

    /// Visits all threads, of which there are `count` before the call, the one at `me` being the
    /// caller. Returns the number of walks.
    fn check(count: usize, me: usize, room: usize, fate: impl Fate) -> usize {
        let mut model = Model {
            threads: Threads::default(),
            fate,
            room,
            lists_zero: room.is_multiple_of(2),
            listed: VecDeque::new(),
        };
        (0..count).for_each(|_| model.threads.start());
        let mut visited = Vec::new();
        let outcome: Result<(), Errno> = visit_all(&mut model, |tid| {
            visited.push(tid);
            Ok(())
        });
        assert!(outcome.is_ok());
        for tid in visited {
            model.threads.list[tid as usize - 100].visited = true;
        }
        let Some((old, counted)) = model.threads.first_count else {
            panic!("threads were not counted");
        };
        let old = &model.threads.list[..old];
        assert!(old[me].visited);
        assert!(old.iter().all(|thread| thread.visited || !thread.alive));
        assert!(model.threads.walks <= counted);
        model.threads.walks
    }

    struct Peace;

    impl Fate for Peace {
        fn strike(&mut self, _: &mut Threads) {}
    }

    #[test]
    fn one_walk_suffices_where_nothing_changes() {
        for (count, room) in [(1, 3), (5, 20), (5, 3), (100, 7)] {
            assert_eq!(check(count, count - 1, room, Peace), 1);
        }
    }

    /// At each step a thread starts and the last one to start ends, but for those of the beginning.
    struct Churn {
        old: usize,
    }

    impl Fate for Churn {
        fn strike(&mut self, threads: &mut Threads) {
            threads.start();
            let last = threads.alive().filter(|&index| index >= self.old).last();
            if let Some(last) = last.filter(|_| threads.list.len() > self.old + 3) {
                threads.list[last].alive = false;
            }
        }
    }

    #[test]
    fn threads_that_come_and_go_cost_no_walk() {
        for (count, room) in [(1, 3), (5, 20), (5, 3), (30, 7)] {
            assert_eq!(check(count, 0, room, Churn { old: count }), 1);
        }
    }

    /// Threads start and end at random; a small generator is enough.
    struct Chance {
        state: u64,
        me: usize,
        deaths: u64,
    }

    impl Chance {
        fn below(&mut self, limit: u64) -> u64 {
            self.state = self.state.wrapping_mul(0x5851_f42d_4c95_7f2d) + 0x1405_7b7e;
            (self.state >> 33) % limit
        }
    }

    impl Fate for Chance {
        fn strike(&mut self, threads: &mut Threads) {
            let alive = threads.alive().count() as u64;
            if self.below(8) < self.deaths {
                let chosen = self.below(alive) as usize;
                let chosen = threads.alive().nth(chosen).unwrap_or(self.me);
                threads.list[chosen].alive = chosen == self.me;
            }
            if self.below(8) < 2 && alive < 40 {
                threads.start();
            }
        }
    }

    #[test]
    fn no_old_thread_is_missed_whatever_happens() {
        let mut most = 0;
        for seed in 0..20_000 {
            let mut chance = Chance {
                state: seed,
                me: 0,
                deaths: 1 + seed % 3,
            };
            let count = 1 + chance.below(12) as usize;
            chance.me = chance.below(count as u64) as usize;
            let room = 3 + chance.below(6) as usize;
            most = most.max(check(count, chance.me, room, chance));
        }
        // It did happen that walks missed something.
        assert!(most > 3, "{most}");
    }
}
