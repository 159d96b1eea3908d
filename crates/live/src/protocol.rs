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
//!
//! Where a site is one word, there are no tails, and no mixtures of old and new: *direct* stores the
//! new form of all sites in one step, *strict* has steps 1 and 3.
//!
//! Branches that lead around sites as long as they are off are one byte that changes and a trap over another. Both
//! ways are right while the site does nothing, so *direct* stores the byte in step 3; *strict* has the trap in step 1,
//! the byte in step 2 and the branch again in step 3. A thread that meets the trap goes through the site.

use std::ffi::c_void;
use std::hint::select_unpredictable;
use std::iter;
use std::time::Duration;

use crate::Protocol;
use crate::bypass::{Route, Way};
use crate::isa::{self, Head, Link, Shape};
use crate::memory::GRANULE;

/// What becomes of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) was_on: bool,
    pub(crate) on: bool,
    /// Whether it gets a tail other than the one it has.
    pub(crate) new_tail: bool,
}

impl Transition {
    /// Whether the site goes from one hook to another: the only kind of change that must switch off in
    /// between a site that has a tail.
    pub(crate) fn is_move(self) -> bool {
        self.was_on && self.on && self.new_tail
    }
}

/// One site to be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    pub(crate) transition: Transition,
    /// Offset of its first byte in the code range, or of the word of it that changes.
    pub(crate) start: u32,
    pub(crate) link: Link,
    /// The tail it is to have, if it is to be on and either that is a new one or sites are one word.
    pub(crate) tail: u32,
    /// The tail it has, if it is on and sites are one word.
    pub(crate) old_tail: u32,
}

/// All sites to be changed. They are gone through several times: those that are alike together, so that what is to be
/// done is found out once for them.
pub(crate) trait Edits: Copy {
    /// In groups of one transition.
    fn groups(self) -> impl Iterator<Item = (Transition, impl Iterator<Item = Edit>)>;

    fn all(self) -> impl Iterator<Item = Edit> {
        self.groups().flat_map(|(_, edits)| edits)
    }
}

impl Edits for Edit {
    #[inline]
    fn groups(self) -> impl Iterator<Item = (Transition, impl Iterator<Item = Edit>)> {
        iter::once((self.transition, iter::once(self)))
    }
}

impl Edits for &[Edit] {
    fn groups(self) -> impl Iterator<Item = (Transition, impl Iterator<Item = Edit>)> {
        self.iter().flat_map(|edit| edit.groups())
    }
}

/// One branch to be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reroute {
    pub(crate) route: Route,
    /// The way it is to lead.
    pub(crate) way: Way,
}

/// What a run does to the machine. The order of these operations is all that makes a protocol
/// correct: the tests also run them on a model of instruction fetch (`docs/protocols.md`).
pub(crate) trait Memory {
    /// What sites are like.
    fn shape(&self) -> Shape;

    fn write_head(&mut self, edit: &Edit, head: Head);

    /// Called only while no thread can execute the site as a call, and not for sites of one word.
    fn write_tail(&mut self, edit: &Edit);

    /// Makes a branch lead the way it is to.
    fn write_route(&mut self, reroute: &Reroute);

    /// Puts a trap over a branch, or takes it away.
    fn write_branch(&mut self, reroute: &Reroute, trap: bool);

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
    #[inline]
    fn shape(&self) -> Shape {
        isa::SHAPE
    }

    #[inline]
    fn write_head(&mut self, edit: &Edit, head: Head) {
        let site = self.views.writable.wrapping_add(edit.start as usize);
        // SAFETY: `site` is the first byte of a site in the writable view, by construction of edits
        // from the space's directory; the space's lock is held.
        unsafe { isa::write_head(site, edit.link, head, self.views.executed_at) };
    }

    #[inline]
    fn write_tail(&mut self, edit: &Edit) {
        let site = self.views.writable.wrapping_add(edit.start as usize);
        // SAFETY: as for `write_head`; `run` writes tails only while no thread can execute the site
        // as a call.
        unsafe { isa::write_tail(site, edit.tail) };
    }

    fn write_route(&mut self, Reroute { route, way }: &Reroute) {
        let branch = self.views.writable.wrapping_add(route.branch as usize);
        // SAFETY: the branch is one of published code that was read when that was published; the space's
        // lock is held.
        unsafe { route.kind.write_route(branch, route.target(*way)) };
    }

    fn write_branch(&mut self, Reroute { route, .. }: &Reroute, trap: bool) {
        let branch = self.views.writable.wrapping_add(route.branch as usize);
        // SAFETY: as for `write_route`.
        unsafe { route.kind.write_head(branch, trap) };
    }

    #[inline]
    fn clear_cache(&mut self, line: usize) -> Result<(), nopal_icache::Error> {
        if isa::BROADCAST_CLEARS_CACHE {
            return Ok(());
        }
        let address = self.views.executed_at + line;
        // SAFETY: the line lies in committed code memory, which is mapped and readable.
        unsafe { nopal_icache::clear_cache(address as *const c_void, GRANULE) }
    }

    #[inline]
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
    #[inline]
    fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
        #[cfg(test)]
        if let Some(error) = fault::take() {
            return Err(error);
        }
        self.made += 1;
        match nopal_icache::sync_core_mt() {
            Ok(()) => Ok(()),
            Err(error) => self.insist(error),
        }
    }
}

impl Broadcaster {
    /// Tries again and again after an error that may be temporary.
    #[cold]
    fn insist(&mut self, mut error: nopal_icache::Error) -> Result<(), nopal_icache::Error> {
        /// With the pause, a kernel that is short of memory gets a tenth of a second to find some.
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            let nopal_icache::Error::Broadcast { .. } = error else {
                break;
            };
            std::thread::sleep(Duration::from_millis(1));
            match nopal_icache::sync_core_mt() {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
        self.made -= 1;
        Err(error)
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

/// Performs the edits, which are gone through several times, and changes the branches that go with them.
// Where this is inlined, one site is no list, and sites that are all alike are not asked what they are.
#[inline(always)]
pub(crate) fn run(
    protocol: Protocol,
    memory: &mut impl Memory,
    edits: impl Edits,
    reroutes: &[Reroute],
) -> Result<(), Failure> {
    let strict = protocol == Protocol::Strict;
    let has_tails = memory.shape() == Shape::HeadAndTail;
    // A tail may be written before the first broadcast if the site is off for all threads.
    let mut late_tails = false;
    let mut tails = false;
    let mut moves = false;
    for (transition, edits) in edits.groups() {
        let Transition { was_on, .. } = transition;
        let new_tail = transition.new_tail && has_tails;
        if strict {
            edits.for_each(|edit| memory.write_head(&edit, Head::Trap));
        } else if was_on && has_tails {
            edits.for_each(|edit| memory.write_head(&edit, Head::Off));
        } else if new_tail {
            edits.for_each(|edit| memory.write_tail(&edit));
        }
        tails |= new_tail;
        late_tails |= new_tail && (strict || was_on);
        moves |= transition.is_move();
    }
    if strict {
        for reroute in reroutes {
            memory.write_branch(reroute, true);
        }
    }
    if strict || late_tails {
        settle(memory, edits, reroutes).map_err(|error| {
            restore(memory, edits, |_| true);
            if strict {
                for reroute in reroutes {
                    memory.write_branch(reroute, false);
                }
            }
            Failure::RolledBack(error)
        })?;
    }

    if late_tails {
        for (transition, edits) in edits.groups() {
            if transition.new_tail && (strict || transition.was_on) {
                edits.for_each(|edit| memory.write_tail(&edit));
            }
        }
    }
    let late_routes = strict && !reroutes.is_empty();
    if late_routes {
        for reroute in reroutes {
            memory.write_route(reroute);
        }
    }
    if tails || late_routes {
        settle(memory, edits, reroutes).map_err(|error| {
            // Branches keep their traps: a thread must not meet them with a byte that it may have fetched
            // before.
            restore(memory, edits, |edit| !edit.transition.new_tail);
            match moves {
                true => Failure::MovesOff(error),
                false => Failure::RolledBack(error),
            }
        })?;
    }

    for (transition, edits) in edits.groups() {
        if transition.on {
            edits.for_each(|edit| memory.write_head(&edit, Head::On(edit.tail)));
        } else if strict || !has_tails {
            edits.for_each(|edit| memory.write_head(&edit, Head::Off));
        }
    }
    for reroute in reroutes {
        match strict {
            true => memory.write_branch(reroute, false),
            false => memory.write_route(reroute),
        }
    }
    settle(memory, edits, reroutes).map_err(Failure::Unsettled)
}

/// What [`run`] comes to, in the direct protocol, for one site that is switched on or off and has the tail it is to
/// have: the one store that there is, in whichever step.
#[inline]
pub(crate) fn switch(memory: &mut impl Memory, edit: &Edit) -> Result<(), Failure> {
    let Transition {
        was_on,
        on,
        new_tail,
    } = edit.transition;
    debug_assert!(was_on != on && !new_tail && memory.shape() == Shape::HeadAndTail);
    // After a system call, processors guess badly which way the last change went.
    let head = select_unpredictable(on, Head::On(edit.tail), Head::Off);
    memory.write_head(edit, head);
    settle(memory, *edit, &[]).map_err(Failure::Unsettled)
}

/// Puts back the heads of sites whose tail is `whole`: as it was, and known to all threads. The
/// others have no effect as they are, off or trapping, and stay so until they are changed again: a
/// thread must not meet another head over a tail that it may have fetched before.
#[cold]
fn restore(memory: &mut impl Memory, edits: impl Edits, whole: impl Fn(&Edit) -> bool) {
    for edit in edits.all().filter(whole) {
        match edit.transition.was_on {
            true => memory.write_head(&edit, Head::On(edit.old_tail)),
            false => memory.write_head(&edit, Head::Off),
        }
    }
    // The next commit begins with a broadcast, but does not know of these lines. An error says no
    // more than the one that is returned.
    let _ = clear_lines(memory, edits.all().map(|edit| edit.start));
}

/// One pass over the distinct lines, one broadcast.
#[inline(always)]
fn settle(
    memory: &mut impl Memory,
    edits: impl Edits,
    reroutes: &[Reroute],
) -> Result<(), nopal_icache::Error> {
    clear_lines(memory, edits.all().map(|edit| edit.start))?;
    clear_lines(memory, reroutes.iter().map(|reroute| reroute.route.branch))?;
    memory.broadcast()
}

#[inline]
fn clear_lines(
    memory: &mut impl Memory,
    mut starts: impl Iterator<Item = u32>,
) -> Result<(), nopal_icache::Error> {
    let mut last_line = None;
    starts.try_for_each(|start| {
        let line = start as usize / GRANULE;
        match last_line.replace(line) == Some(line) {
            true => Ok(()),
            false => memory.clear_cache(line * GRANULE),
        }
    })
}

#[cfg(test)]
mod explored;

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Direct, Strict};
    use Shape::{HeadAndTail, OneWord};

    const OLD: u32 = 0x1111_1111;
    const NEW: u32 = 0x2222_2222;
    const ERROR: nopal_icache::Error = nopal_icache::Error::Broadcast { errno: 12 };

    /// What a site is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Form {
        On(u32),
        Off,
        Trap,
    }
    use Form::{Off, On, Trap};

    /// Records what the site is at each broadcast, and fails the one it is told to.
    struct Recorder {
        shape: Shape,
        head: Head,
        tail: u32,
        seen: Vec<(Form, u32)>,
        cleared: bool,
        fail_at: Option<usize>,
    }

    impl Recorder {
        fn form(&self) -> Form {
            match (self.head, self.shape) {
                (Head::On(_), HeadAndTail) => On(self.tail),
                (Head::On(target), OneWord) => On(target),
                (Head::Off, _) => Off,
                (Head::Trap, _) => Trap,
            }
        }
    }

    impl Memory for Recorder {
        fn shape(&self) -> Shape {
            self.shape
        }

        fn write_head(&mut self, _: &Edit, head: Head) {
            self.head = head;
            self.cleared = false;
        }

        fn write_route(&mut self, _: &Reroute) {
            unreachable!("there are no branches here");
        }

        fn write_branch(&mut self, _: &Reroute, _: bool) {
            unreachable!("there are no branches here");
        }

        fn write_tail(&mut self, edit: &Edit) {
            assert_eq!(self.shape, HeadAndTail);
            self.tail = edit.tail;
            self.cleared = false;
        }

        fn clear_cache(&mut self, line: usize) -> Result<(), nopal_icache::Error> {
            assert_eq!(line, 0);
            self.cleared = true;
            Ok(())
        }

        fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
            assert!(self.cleared);
            self.seen.push((self.form(), self.tail));
            match self.fail_at {
                Some(n) if n + 1 == self.seen.len() => Err(ERROR),
                _ => Ok(()),
            }
        }
    }

    /// A change of a site that calls, or called last, `OLD`.
    #[derive(Clone, Copy)]
    struct Case {
        protocol: Protocol,
        shape: Shape,
        was_on: bool,
        on: bool,
        tail: Option<u32>,
    }

    impl Case {
        fn edit(&self) -> Edit {
            Edit {
                start: 0,
                link: Link::default(),
                tail: self.tail.unwrap_or(OLD),
                old_tail: OLD,
                transition: Transition {
                    new_tail: self.tail.is_some(),
                    was_on: self.was_on,
                    on: self.on,
                },
            }
        }

        fn recorder(&self, fail_at: Option<usize>) -> Recorder {
            Recorder {
                shape: self.shape,
                head: match self.was_on {
                    true => Head::On(OLD),
                    false => Head::Off,
                },
                tail: OLD,
                seen: Vec::new(),
                cleared: true,
                fail_at,
            }
        }
    }

    /// Runs one edit; returns the outcome, what the site is at broadcasts, and what at the end.
    fn run_one(
        case: Case,
        fail_at: Option<usize>,
    ) -> (Result<(), Failure>, Vec<(Form, u32)>, Form) {
        let mut recorder = case.recorder(fail_at);
        let outcome = run(case.protocol, &mut recorder, case.edit(), &[]);
        assert!(recorder.cleared);
        let end = recorder.form();
        (outcome, recorder.seen, end)
    }

    fn steps(
        protocol: Protocol,
        shape: Shape,
        was_on: bool,
        tail: Option<u32>,
    ) -> Vec<(Form, u32)> {
        let on = !was_on || tail.is_some();
        let case = Case {
            protocol,
            shape,
            was_on,
            on,
            tail,
        };
        let (outcome, seen, _) = run_one(case, None);
        assert_eq!(outcome, Ok(()));
        seen
    }

    #[test]
    fn direct_steps() {
        let seen = |was_on, tail| steps(Direct, HeadAndTail, was_on, tail);
        assert_eq!(seen(false, None), [(On(OLD), OLD)]);
        assert_eq!(seen(true, None), [(Off, OLD)]);
        assert_eq!(seen(false, Some(NEW)), [(Off, NEW), (On(NEW), NEW)]);
        assert_eq!(
            seen(true, Some(NEW)),
            [(Off, OLD), (Off, NEW), (On(NEW), NEW)]
        );
    }

    #[test]
    fn strict_steps() {
        let seen = |was_on, tail| steps(Strict, HeadAndTail, was_on, tail);
        assert_eq!(seen(false, None), [(Trap, OLD), (On(OLD), OLD)]);
        assert_eq!(seen(true, None), [(Trap, OLD), (Off, OLD)]);
        for was_on in [false, true] {
            assert_eq!(
                seen(was_on, Some(NEW)),
                [(Trap, OLD), (Trap, NEW), (On(NEW), NEW)]
            );
        }
    }

    #[test]
    fn a_switch_is_what_a_run_comes_to() {
        for was_on in [false, true] {
            let case = Case {
                protocol: Direct,
                shape: HeadAndTail,
                was_on,
                on: !was_on,
                tail: None,
            };
            for fail_at in [None, Some(0)] {
                let by = |how: fn(&mut Recorder, Edit) -> Result<(), Failure>| {
                    let mut recorder = case.recorder(fail_at);
                    let outcome = how(&mut recorder, case.edit());
                    let end = recorder.form();
                    (outcome, recorder.seen, end)
                };
                let run = by(|recorder, edit| run(Direct, recorder, edit, &[]));
                assert_eq!(by(|recorder, edit| switch(recorder, &edit)), run);
            }
        }
    }

    #[test]
    fn one_word_is_changed_in_one_step() {
        for (was_on, tail, new) in [
            (false, None, On(OLD)),
            (true, None, Off),
            (false, Some(NEW), On(NEW)),
            (true, Some(NEW), On(NEW)),
        ] {
            assert_eq!(steps(Direct, OneWord, was_on, tail), [(new, OLD)]);
            assert_eq!(
                steps(Strict, OneWord, was_on, tail),
                [(Trap, OLD), (new, OLD)]
            );
        }
    }

    #[test]
    fn a_failed_broadcast_leaves_an_old_or_new_site() {
        for (protocol, shape) in [
            (Direct, HeadAndTail),
            (Strict, HeadAndTail),
            (Direct, OneWord),
            (Strict, OneWord),
        ] {
            for (was_on, on, tail) in [
                (false, true, None),
                (true, false, None),
                (false, true, Some(NEW)),
                (true, true, Some(NEW)),
            ] {
                let case = Case {
                    protocol,
                    shape,
                    was_on,
                    on,
                    tail,
                };
                let (_, steps, _) = run_one(case, None);
                for fail_at in 0..steps.len() {
                    fail_one(case, fail_at, steps.len());
                }
            }
        }
    }

    fn fail_one(case: Case, fail_at: usize, steps: usize) {
        let (outcome, _, end) = run_one(case, Some(fail_at));
        let last = fail_at + 1 == steps;
        let old = if case.was_on { On(OLD) } else { Off };
        let new = if case.on {
            On(case.tail.unwrap_or(OLD))
        } else {
            Off
        };
        let expected = match outcome {
            Err(Failure::RolledBack(ERROR)) => old,
            Err(Failure::MovesOff(ERROR)) => {
                assert!(case.was_on && case.on && case.shape == HeadAndTail);
                Off
            }
            Err(Failure::Unsettled(ERROR)) => new,
            other => panic!("unexpected {other:?}"),
        };
        assert_eq!(matches!(outcome, Err(Failure::Unsettled(_))), last);
        // A trap is as good as off, and stays over a tail that nobody was told of.
        let half_way = case.protocol == Strict && fail_at == 1 && !last;
        assert_eq!(end, if half_way { Trap } else { expected });
    }

    /// Counts, and changes nothing.
    struct Counting(u32);

    impl Broadcast for Counting {
        fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn broadcasts_do_not_grow_with_the_number_of_sites() {
        let mut bytes = vec![0u64; 8 * 100];
        let base = bytes.as_mut_ptr().cast::<u8>();
        let edits: Vec<Edit> = (0..100)
            .map(|i| Edit {
                start: i * 64,
                link: isa::link(0, 16),
                tail: NEW,
                old_tail: OLD,
                transition: Transition {
                    new_tail: true,
                    was_on: i % 2 == 0,
                    on: true,
                },
            })
            .collect();
        for protocol in [Direct, Strict] {
            let mut broadcaster = Counting(0);
            let mut memory = CodeMemory {
                views: Views {
                    writable: base,
                    executed_at: base as usize,
                },
                broadcaster: &mut broadcaster,
            };
            assert_eq!(run(protocol, &mut memory, &*edits, &[]), Ok(()));
            let expected = match (isa::SHAPE, protocol) {
                (HeadAndTail, _) => 3,
                (OneWord, Strict) => 2,
                (OneWord, Direct) => 1,
            };
            assert_eq!(broadcaster.0, expected);
        }
        // Only sites were written to, and the addresses in their islands, if they have some.
        let (lines, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        for line in lines {
            let written = line.map(|word| word != 0);
            assert_eq!(written[..2], [true, false]);
            let addresses = written[2..].iter().filter(|&&written| written).count();
            assert_eq!(addresses, usize::from(isa::ISLAND_SIZE != 0));
            assert_eq!(line, &lines[0]);
        }
    }
}
