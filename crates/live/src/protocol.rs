//! The order of stores and broadcasts in which sites are changed under running threads.
//!
//! Both protocols go through the same steps; they differ in what a site is while its tail changes.
//!
//! | step | direct | strict |
//! |---|---|---|
//! | 1 | sites that are on: off | all sites: trap |
//! |   | tails of sites that were off | |
//! |   | broadcast, if a tail remains | broadcast |
//! | 2 | tails of sites that were on | all tails |
//! |   | broadcast, if there were tails | broadcast, if there were tails |
//! | 3 | sites to be on: on | all sites: their new form |
//! |   | broadcast | broadcast |
//!
//! *Direct* rests on the two forms of the head: whatever mixture of old and new bytes a thread has
//! fetched, the head alone decides between a call with a tail that was broadcast before and one
//! instruction without effect. *Strict* is the order of Linux's `smp_text_poke_batch_finish`.

use std::ffi::c_void;
use std::time::Duration;

use crate::Protocol;
use crate::isa::{self, Head};
use crate::memory::GRANULE;

/// One site to be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    /// Offset of its first byte in the code range.
    pub(crate) start: u32,
    /// The tail it is to have, if it is to be on.
    pub(crate) tail: u32,
    /// Whether that differs from the tail it has.
    pub(crate) new_tail: bool,
    pub(crate) was_on: bool,
    pub(crate) on: bool,
}

impl Edit {
    /// Whether the site goes from one hook to another: the only kind of change that must switch the
    /// site off in between.
    pub(crate) fn is_move(&self) -> bool {
        self.was_on && self.on && self.new_tail
    }
}

/// What a run does to the machine. The order of these operations is all that makes a protocol
/// correct: the tests also run them on a model of instruction fetch (`docs/protocols.md`).
pub(crate) trait Memory {
    fn write_head(&mut self, edit: &Edit, head: Head);

    /// Called only while no thread can execute the site as a call.
    fn write_tail(&mut self, edit: &Edit);

    /// Makes stores to the line at an offset of the code range visible to instruction fetch.
    fn clear_cache(&mut self, line: usize) -> Result<(), nopal_icache::Error>;

    /// Makes all threads execute a context synchronization event.
    fn broadcast(&mut self) -> Result<(), nopal_icache::Error>;
}

/// The two views of the code range, of which edits address sites.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Views {
    pub(crate) writable: *mut u8,
    pub(crate) executed_at: usize,
}

/// Code that threads may be executing, and a way to reach them.
pub(crate) struct CodeMemory<'a, B> {
    pub(crate) views: Views,
    pub(crate) broadcaster: &'a mut B,
}

impl<B: Broadcast> Memory for CodeMemory<'_, B> {
    fn write_head(&mut self, edit: &Edit, head: Head) {
        let site = self.views.writable.wrapping_add(edit.start as usize);
        // SAFETY: `site` is the first byte of a site in the writable view, by construction of edits
        // from the space's directory; the space's lock is held.
        unsafe { isa::write_head(site, head) };
    }

    fn write_tail(&mut self, edit: &Edit) {
        let site = self.views.writable.wrapping_add(edit.start as usize);
        // SAFETY: as for `write_head`; `run` writes tails only while no thread can execute the site
        // as a call.
        unsafe { isa::write_tail(site, edit.tail) };
    }

    fn clear_cache(&mut self, line: usize) -> Result<(), nopal_icache::Error> {
        let address = self.views.executed_at + line;
        // SAFETY: the line lies in committed code memory, which is mapped and readable.
        unsafe { nopal_icache::clear_cache(address as *const c_void, GRANULE) }
    }

    fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
        self.broadcaster.broadcast()
    }
}

/// Makes all threads execute a context synchronization event.
pub(crate) trait Broadcast {
    fn broadcast(&mut self) -> Result<(), nopal_icache::Error>;
}

/// The real one, which counts.
#[derive(Default)]
pub(crate) struct Broadcaster {
    pub(crate) made: u32,
}

impl Broadcast for Broadcaster {
    fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
        /// With the pause, a kernel that is short of memory gets a tenth of a second to find some.
        const TRIES: u32 = 100;
        #[cfg(test)]
        if let Some(error) = fault::take() {
            return Err(error);
        }
        let mut tries = 0;
        loop {
            match nopal_icache::sync_core_mt() {
                Ok(()) => {
                    self.made += 1;
                    return Ok(());
                }
                Err(nopal_icache::Error::Broadcast { .. }) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Broadcasts that fail on demand: the real ones cannot be made to.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Lets the given number of this thread's broadcasts pass, and fails the next one.
    pub(crate) fn inject_after(passes: u32) {
        LEFT.set(Some(passes));
    }

    pub(super) fn take() -> Option<nopal_icache::Error> {
        let left = LEFT.take()?;
        LEFT.set(left.checked_sub(1));
        (left == 0).then_some(nopal_icache::Error::Broadcast { errno: 12 })
    }
}

/// How far a failed run got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Every site calls what it called, if anything.
    RolledBack(nopal_icache::Error),
    /// Every site calls what it called, if anything, except that moves are off.
    MovesOff(nopal_icache::Error),
    /// Every site is as asked, but threads may not have noticed.
    Unsettled(nopal_icache::Error),
}

/// Performs the edits.
pub(crate) fn run(
    protocol: Protocol,
    memory: &mut impl Memory,
    edits: &[Edit],
) -> Result<(), Failure> {
    let strict = protocol == Protocol::Strict;
    // A tail may be written before the first broadcast if the site is off for all threads.
    let mut late_tails = false;
    let mut tails = false;
    let mut moves = false;
    for edit in edits {
        if strict {
            memory.write_head(edit, Head::Trap);
        } else if edit.was_on {
            memory.write_head(edit, Head::Off);
        } else if edit.new_tail {
            memory.write_tail(edit);
        }
        tails |= edit.new_tail;
        late_tails |= edit.new_tail && (strict || edit.was_on);
        moves |= edit.is_move();
    }
    if strict || late_tails {
        settle(memory, edits).map_err(|error| {
            restore(memory, edits, |_| true);
            Failure::RolledBack(error)
        })?;
    }

    for edit in edits {
        if edit.new_tail && (strict || edit.was_on) {
            memory.write_tail(edit);
        }
    }
    if tails {
        settle(memory, edits).map_err(|error| {
            restore(memory, edits, |edit| !edit.new_tail);
            match moves {
                true => Failure::MovesOff(error),
                false => Failure::RolledBack(error),
            }
        })?;
    }

    for edit in edits {
        match edit.on {
            true => memory.write_head(edit, Head::On),
            false if strict => memory.write_head(edit, Head::Off),
            false => {}
        }
    }
    settle(memory, edits).map_err(Failure::Unsettled)
}

/// Puts back the heads of sites whose tail is `whole`: as it was, and known to all threads. The
/// others have no effect as they are, off or trapping, and stay so until they are changed again: a
/// thread must not meet another head over a tail that it may have fetched before.
fn restore(memory: &mut impl Memory, edits: &[Edit], whole: impl Fn(&Edit) -> bool) {
    for edit in edits.iter().filter(|edit| whole(edit)) {
        match edit.was_on {
            true => memory.write_head(edit, Head::On),
            false => memory.write_head(edit, Head::Off),
        }
    }
    // The next commit begins with a broadcast, but does not know of these lines. An error says no
    // more than the one that is returned.
    let _ = clear_lines(memory, edits);
}

/// One pass over the distinct lines, one broadcast.
fn settle(memory: &mut impl Memory, edits: &[Edit]) -> Result<(), nopal_icache::Error> {
    clear_lines(memory, edits)?;
    memory.broadcast()
}

fn clear_lines(memory: &mut impl Memory, edits: &[Edit]) -> Result<(), nopal_icache::Error> {
    let mut last_line = None;
    for edit in edits {
        let line = edit.start as usize / GRANULE;
        if last_line.replace(line) != Some(line) {
            memory.clear_cache(line * GRANULE)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod explored;

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Direct, Strict};

    const OLD: u32 = 0x1111_1111;
    const NEW: u32 = 0x2222_2222;
    const ERROR: nopal_icache::Error = nopal_icache::Error::Broadcast { errno: 12 };

    /// Head and tail of a site.
    type Form = (u8, u32);

    /// Records what the site looks like at each broadcast, and fails the one it is told to.
    struct Recorder {
        site: *const u8,
        seen: Vec<Form>,
        fail_at: Option<usize>,
    }

    impl Broadcast for Recorder {
        fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
            // SAFETY: the test's own array.
            self.seen
                .push(unsafe { (self.site.read(), isa::read_tail(self.site)) });
            match self.fail_at {
                Some(n) if n + 1 == self.seen.len() => Err(ERROR),
                _ => Ok(()),
            }
        }
    }

    const ON: u8 = 0xe8;
    const OFF: u8 = 0x3d;
    const TRAP: u8 = 0xcc;

    /// Runs one edit; returns the outcome, the forms seen at broadcasts, and the form at the end.
    fn run_one(
        protocol: Protocol,
        was_on: bool,
        on: bool,
        tail: Option<u32>,
        fail_at: Option<usize>,
    ) -> (Result<(), Failure>, Vec<Form>, Form) {
        let mut bytes = [if was_on { ON } else { OFF }, 0x11, 0x11, 0x11, 0x11];
        let site = bytes.as_mut_ptr();
        let views = Views {
            writable: site,
            executed_at: site as usize,
        };
        let edit = Edit {
            start: 0,
            tail: tail.unwrap_or(OLD),
            new_tail: tail.is_some(),
            was_on,
            on,
        };
        let mut recorder = Recorder {
            site,
            seen: Vec::new(),
            fail_at,
        };
        let mut memory = CodeMemory {
            views,
            broadcaster: &mut recorder,
        };
        let outcome = run(protocol, &mut memory, &[edit]);
        // SAFETY: the array above.
        let end = unsafe { (site.read(), isa::read_tail(site)) };
        (outcome, recorder.seen, end)
    }

    #[test]
    fn direct_steps() {
        let seen = |was_on, on, tail| {
            let (outcome, seen, _) = run_one(Direct, was_on, on, tail, None);
            assert_eq!(outcome, Ok(()));
            seen
        };
        assert_eq!(seen(false, true, None), [(ON, OLD)]);
        assert_eq!(seen(true, false, None), [(OFF, OLD)]);
        assert_eq!(seen(false, true, Some(NEW)), [(OFF, NEW), (ON, NEW)]);
        assert_eq!(
            seen(true, true, Some(NEW)),
            [(OFF, OLD), (OFF, NEW), (ON, NEW)]
        );
    }

    #[test]
    fn strict_steps() {
        let seen = |was_on, on, tail| {
            let (outcome, seen, _) = run_one(Strict, was_on, on, tail, None);
            assert_eq!(outcome, Ok(()));
            seen
        };
        assert_eq!(seen(false, true, None), [(TRAP, OLD), (ON, OLD)]);
        assert_eq!(seen(true, false, None), [(TRAP, OLD), (OFF, OLD)]);
        for was_on in [false, true] {
            assert_eq!(
                seen(was_on, true, Some(NEW)),
                [(TRAP, OLD), (TRAP, NEW), (ON, NEW)]
            );
        }
    }

    #[test]
    fn a_failed_broadcast_leaves_an_old_or_new_site() {
        for protocol in [Direct, Strict] {
            for (was_on, on, tail) in [
                (false, true, None),
                (true, false, None),
                (false, true, Some(NEW)),
                (true, true, Some(NEW)),
            ] {
                let (_, steps, _) = run_one(protocol, was_on, on, tail, None);
                for fail_at in 0..steps.len() {
                    let (outcome, _, end) = run_one(protocol, was_on, on, tail, Some(fail_at));
                    let head = |on| if on { ON } else { OFF };
                    let expected = match outcome {
                        Err(Failure::RolledBack(ERROR)) => head(was_on),
                        Err(Failure::MovesOff(ERROR)) => {
                            assert!(was_on && on);
                            OFF
                        }
                        Err(Failure::Unsettled(ERROR)) => head(on),
                        other => panic!("unexpected {other:?}"),
                    };
                    let last = fail_at + 1 == steps.len();
                    assert_eq!(matches!(outcome, Err(Failure::Unsettled(_))), last);
                    // A trap is as good as off, and stays over a tail that nobody was told of.
                    let half_way = protocol == Strict && fail_at == 1 && !last;
                    assert_eq!(end.0, if half_way { TRAP } else { expected });
                    // A site that calls must call what it called, or what it was asked to call.
                    if end.0 == ON {
                        let new_tail = tail.unwrap_or(OLD);
                        assert_eq!(end.1, if last { new_tail } else { OLD });
                    }
                }
            }
        }
    }

    #[test]
    fn broadcasts_do_not_grow_with_the_number_of_sites() {
        let mut bytes = vec![0u8; 64 * 100];
        let base = bytes.as_mut_ptr();
        let views = Views {
            writable: base,
            executed_at: base as usize,
        };
        let edits: Vec<Edit> = (0..100)
            .map(|i| Edit {
                start: i * 64,
                tail: NEW,
                new_tail: true,
                was_on: i % 2 == 0,
                on: true,
            })
            .collect();
        for protocol in [Direct, Strict] {
            let mut recorder = Recorder {
                site: base,
                seen: Vec::new(),
                fail_at: None,
            };
            let mut memory = CodeMemory {
                views,
                broadcaster: &mut recorder,
            };
            assert_eq!(run(protocol, &mut memory, &edits), Ok(()));
            assert_eq!(recorder.seen.len(), 3);
        }
    }
}
