//! Changes of sites, performed all or none.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::directory::{Aim, Directory, SiteRecord};
use crate::patch::Commit;
use crate::plan::{Change, Operation, plan};
use crate::protocol::{
    self, Broadcast, Broadcaster, CodeMemory, Edit, Edits, Failure, Reroute, Transition, Views,
};
use crate::slots::{HookId, NO_HOOK, Slot, StubKind};
use crate::state::{Hooks, State};
use crate::{CodeSpace, Error, MemoryMode, Protocol, Result, isa, os};

/// Lists that are used again from commit to commit, so that large ones are allocated once.
#[derive(Default)]
pub(crate) struct Scratch {
    changes: Vec<Change>,
    edits: Vec<Edit>,
    reroutes: Vec<Reroute>,
}

/// What came of trying to do an operation at once.
enum AtOnce {
    /// It is done, with so many broadcasts.
    Done(u32),
    Failed(Change, Failure),
    /// It is not that simple, or wrong.
    Not,
}

impl CodeSpace {
    /// Performs operations under the lock.
    #[inline]
    pub(crate) fn apply(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
    ) -> Result<Commit> {
        let at_once = match operations {
            [operation] => self.apply_at_once(state, protocol, operation),
            _ => AtOnce::Not,
        };
        match at_once {
            AtOnce::Done(broadcasts) => Ok(Commit {
                changed: 1,
                broadcasts,
            }),
            AtOnce::Failed(change, failure) => Err(record_failure(state, &[change], &[], failure)),
            AtOnce::Not => self.apply_all(state, protocol, operations),
        }
    }

    /// What a debugger does, time and again: one site is switched whose stub is there. It takes little more than the
    /// system call of the broadcast.
    #[inline]
    fn apply_at_once(
        &self,
        state: &mut State,
        protocol: Protocol,
        operation: &Operation,
    ) -> AtOnce {
        let writable = self.region().always_writable();
        let (Some(writable), Protocol::Direct, false) = (writable, protocol, state.unsettled)
        else {
            return AtOnce::Not;
        };
        let State {
            hooks, directory, ..
        } = state;
        let Some((change, record)) = simple_change(hooks, directory, operation) else {
            return AtOnce::Not;
        };
        let mut broadcaster = Broadcaster::default();
        let mut memory = self.memory(writable, &mut broadcaster);
        match protocol::switch(&mut memory, &change.edit(record)) {
            Ok(()) => {
                record.aim = hooks.move_sites(change.from.hook(), change.to, 1);
                AtOnce::Done(broadcaster.made)
            }
            Err(failure) => AtOnce::Failed(change, failure),
        }
    }

    #[inline(never)]
    fn apply_all(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
    ) -> Result<Commit> {
        let mut scratch = std::mem::take(&mut state.scratch);
        let outcome = self.apply_with(state, protocol, operations, &mut scratch);
        scratch.changes.clear();
        scratch.edits.clear();
        scratch.reroutes.clear();
        state.scratch = scratch;
        outcome
    }

    fn apply_with(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
        scratch: &mut Scratch,
    ) -> Result<Commit> {
        if !(operations.iter()).all(|one| one.is_possible(&state.hooks)) {
            return Err(Error::DroppedHook);
        }
        let Scratch {
            changes,
            edits,
            reroutes,
        } = scratch;
        plan(state, operations, changes)?;
        changes.retain(Change::is_needed);
        if changes.is_empty() {
            return Ok(Commit::default());
        }
        if !changes.iter().all(Change::tails_known) {
            edits.extend(Planned::new(state, changes).all());
            self.aim(state, changes, edits)?;
        }
        let protocol = match self.region().mode() {
            MemoryMode::Dual => protocol,
            // Nobody executes code while it is written.
            MemoryMode::Single => Protocol::Direct,
        };
        if protocol == Protocol::Strict {
            os::signal::TRAP.install()?;
        }
        let mut broadcaster = Broadcaster::default();
        if state.unsettled {
            broadcaster.broadcast()?;
            state.unsettled = false;
        }
        for change in &*changes {
            // Most code has no branches that could lead around its sites.
            if let Some(bypasses) = state.directory.bypasses(change.place) {
                change.reroute(bypasses, reroutes);
            }
        }
        let writing = (self.region()).write(|| extent(Planned::new(state, changes), reroutes))?;
        let mut memory = self.memory(writing.view(), &mut broadcaster);
        let outcome = match edits.is_empty() {
            true => {
                let edits = Planned::new(state, changes);
                protocol::run(protocol, &mut memory, edits, reroutes)
            }
            false => protocol::run(protocol, &mut memory, &**edits, reroutes),
        };
        let closed = writing.finish();
        match outcome {
            Ok(()) => set_hooks(state, changes, |change| change.to),
            Err(failure) => return Err(record_failure(state, changes, edits, failure)),
        }
        closed?;
        Ok(Commit {
            changed: changes.iter().map(|change| change.count as usize).sum(),
            broadcasts: broadcaster.made,
        })
    }

    fn memory<'b>(
        &self,
        writable: *mut u8,
        broadcaster: &'b mut Broadcaster,
    ) -> CodeMemory<'b, Broadcaster> {
        CodeMemory {
            views: Views {
                writable,
                executed_at: self.region().base(),
            },
            broadcaster,
        }
    }

    /// Gives every edit that needs it the tail with which its site calls the new hook, and that with which
    /// it calls the old one.
    fn aim(&self, state: &mut State, changes: &[Change], edits: &mut [Edit]) -> Result<()> {
        for (change, edit) in singles(changes).zip(edits) {
            if change.tails_known() {
                continue;
            }
            let base = self.region().base();
            let site = (base + edit.start as usize) as *const u8;
            // SAFETY: the directory only holds sites of published code, in committed memory.
            let present = unsafe { isa::read_tail(site, edit.link, base) };
            edit.old_tail = present;
            if !edit.transition.on {
                continue;
            }
            let target = self.stub_for(state, &change, change.to)?;
            edit.tail = isa::tail_for(edit.start as usize + isa::SITE_LEN, target);
            edit.transition.new_tail = edit.tail != present;
        }
        Ok(())
    }

    /// Offset of the stub that the site of a change has to call for `hook`.
    fn stub_for(&self, state: &mut State, change: &Change, hook: HookId) -> Result<usize> {
        let record = state.hooks.get(hook).ok_or(Error::ForeignHook)?;
        let kind = record.kind;
        let slot = match kind {
            StubKind::Call | StubKind::Code => {
                record.slots.first().copied().ok_or(Error::DataSpaceFull)?
            }
            StubKind::Count | StubKind::Once => self.own_slot(state, change, hook, kind)?,
        };
        if kind == StubKind::Once {
            self.flag(state, slot).store(0, Ordering::Relaxed);
            state.slots.set_reported(slot, false);
        }
        let block = state.slots.block(slot);
        Ok(block.code + slot.position() * isa::STUB_SIZE)
    }

    /// The stub of a hook at a site: the one it had there, a spare of the site, or a free one.
    fn own_slot(
        &self,
        state: &mut State,
        change: &Change,
        hook: HookId,
        kind: StubKind,
    ) -> Result<Slot> {
        let unknown = || Error::UnknownSite(change.site);
        let list = *(state.directory)
            .slots_mut(change.place)
            .ok_or_else(unknown)?;
        if let Some(slot) = state.slots.find(list, hook) {
            return Ok(slot);
        }
        let slot = match state.slots.find_spare(list, kind) {
            Some(slot) => {
                state.slots.adopt(slot, hook);
                slot
            }
            None => {
                if state.slots.needs_block(kind) {
                    self.add_block(state, kind)?;
                }
                let list = (state.directory)
                    .slots_mut(change.place)
                    .ok_or_else(unknown)?;
                let taken = state.slots.take(kind, hook, change.site, list);
                taken.ok_or(Error::DataSpaceFull)?
            }
        };
        self.clear_data(state, slot);
        if let Some(record) = state.hooks.get_mut(hook) {
            record.slots.push(slot);
        }
        Ok(slot)
    }
}

/// The change that an operation makes, if that is to switch one site, and changes nothing but its head.
#[inline]
fn simple_change<'a>(
    hooks: &Hooks,
    directory: &'a mut Directory,
    operation: &Operation,
) -> Option<(Change, &'a mut SiteRecord)> {
    let site = operation.only_site()?;
    let to = operation.target()?;
    let place = directory.locate(site)?;
    let (code, index) = directory.code_mut(place)?;
    let record = code.sites.get_mut(index)?;
    let change = Change {
        site,
        place,
        count: 1,
        from: record.aim,
        to,
    };
    let bypassed = code.bypasses.lead_around(index as u32);
    let simple = change.is_switch() && hooks.can_be_called(to) && !bypassed;
    simple.then_some((change, record))
}

/// The sites of changes, in the order of their edits.
fn singles(changes: &[Change]) -> impl Iterator<Item = Change> {
    changes.iter().copied().flat_map(Change::singles)
}

/// What has to be done to the sites of changes, except for the tails.
#[derive(Clone, Copy)]
struct Planned<'a> {
    directory: &'a Directory,
    changes: &'a [Change],
}

impl<'a> Planned<'a> {
    fn new(state: &'a State, changes: &'a [Change]) -> Planned<'a> {
        Planned {
            directory: &state.directory,
            changes,
        }
    }
}

impl Edits for Planned<'_> {
    #[inline]
    fn groups(self) -> impl Iterator<Item = (Transition, impl Iterator<Item = Edit>)> {
        self.changes.iter().map(move |change| {
            let records = self.directory.run(change.place, change.count).iter();
            let edits = records.map(|record| change.edit(record));
            (change.transition(), edits)
        })
    }
}

/// Offsets of the code range between which something is written.
fn extent(edits: impl Edits, reroutes: &[Reroute]) -> Range<usize> {
    let (mut first, mut end) = (u32::MAX, 0);
    let mut include = |from: u32, to: u32| {
        first = first.min(from);
        end = end.max(to);
    };
    edits.all().for_each(|edit| {
        let (from, to) = edit.link.extent();
        include(
            edit.start.wrapping_add_signed(from as i32),
            edit.start.wrapping_add_signed(to as i32),
        );
    });
    for Reroute { route, .. } in reroutes {
        include(route.branch, route.branch + route.kind.len() as u32);
    }
    first.min(end) as usize..end as usize
}

/// Enters the outcome of a run that failed into the records. Without edits, no tail was to be changed.
#[cold]
fn record_failure(
    state: &mut State,
    changes: &[Change],
    edits: &[Edit],
    failure: Failure,
) -> Error {
    state.unsettled = true;
    match failure {
        Failure::RolledBack(error) => {
            forget_tails(state, changes, edits);
            Error::Coherence(error)
        }
        Failure::MovesOff(error) => {
            let moves = singles(changes).zip(edits);
            let moves = moves.filter(|(_, edit)| edit.transition.is_move());
            let moves: Vec<Change> = moves.map(|(change, _)| change).collect();
            set_hooks(state, &moves, |_| NO_HOOK);
            forget_tails(state, changes, edits);
            Error::Coherence(error)
        }
        Failure::Unsettled(error) => {
            set_hooks(state, changes, |change| change.to);
            Error::Unsettled(error)
        }
    }
}

fn set_hooks(state: &mut State, changes: &[Change], outcome: impl Fn(&Change) -> HookId) {
    for change in changes {
        let from = change.from.hook();
        let aim = (state.hooks).move_sites(from, outcome(change), change.count as usize);
        for record in state.directory.run_mut(change.place, change.count) {
            record.aim = aim;
        }
    }
}

/// After a failed run: tails of sites that are off may or may not have been written. Those of sites that are on
/// have not.
fn forget_tails(state: &mut State, changes: &[Change], edits: &[Edit]) {
    for (change, edit) in singles(changes).zip(edits) {
        let mut records = state.directory.run_mut(change.place, 1).iter_mut();
        let forgotten = records
            .next()
            .filter(|record| edit.transition.new_tail && !record.aim.is_on());
        if let Some(record) = forgotten {
            record.aim = Aim::UNKNOWN;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::isa::Shape;
    use crate::protocol::fault;
    use crate::{Code, CountHook, SiteDesc, SpaceConfig};

    /// Four sites in a row.
    fn code(space: &Arc<CodeSpace>) -> Code {
        let sites = isa::OFF_FORM.repeat(4);
        let bytes = [&isa::sample::START, &sites[..], &isa::sample::END].concat();
        let sites = [1, 2, 3, 4].map(|sites| SiteDesc {
            ret_offset: (isa::sample::START.len() + sites * isa::SITE_LEN) as u32,
            len: isa::SITE_LEN as u8,
        });
        space
            .allocate(bytes.len(), 64)
            .unwrap()
            .publish(&bytes, &sites)
            .unwrap()
    }

    /// What running the code once adds to the counts.
    fn run(code: &Code, hooks: &[CountHook; 2]) -> Vec<[u64; 2]> {
        hooks.iter().for_each(CountHook::reset);
        // SAFETY: the code above is a function without parameters and result.
        let function: extern "C" fn() = unsafe { std::mem::transmute(code.base()) };
        function();
        let count = |site| hooks.each_ref().map(|hook| hook.count(site));
        code.sites().map(count).collect()
    }

    /// Breaks one commit at each of its broadcasts; looks at the sites then, and after another try.
    fn break_everywhere(protocol: Protocol) -> u32 {
        let old = [[1, 0], [1, 0], [0, 0], [0, 0]];
        let new = [[0, 0], [0, 1], [1, 0], [0, 0]];
        for passes in 0.. {
            let mut config = SpaceConfig::new();
            let space = CodeSpace::new(config.reserve(16 << 20).protocol(protocol)).unwrap();
            let code = code(&space);
            let hooks = [space.count_hook().unwrap(), space.count_hook().unwrap()];
            let [a, b, c] = [0, 1, 2].map(|i| code.site(i).unwrap());
            let mut patch = space.patch();
            patch
                .enable(a, &hooks[0])
                .enable(b, &hooks[0])
                .commit()
                .unwrap();

            let mut attempt = || {
                patch.disable(a).retarget(b, &hooks[1]).enable(c, &hooks[0]);
                patch.commit()
            };
            fault::inject_after(passes);
            let outcome = attempt();
            let seen = run(&code, &hooks);
            let mut move_off = old;
            move_off[1] = [0, 0];
            match outcome {
                Ok(_) => {
                    fault::inject_after(u32::MAX);
                    assert_eq!(seen, new);
                    return passes;
                }
                Err(Error::Coherence(_)) => assert!(seen == old || seen == move_off, "{seen:?}"),
                Err(Error::Unsettled(_)) => assert_eq!(seen, new),
                Err(other) => panic!("unexpected {other}"),
            }
            for (site, counts) in code.sites().zip(&seen) {
                assert_eq!(space.is_enabled(site), Some(*counts != [0, 0]));
            }
            attempt().unwrap();
            assert_eq!(run(&code, &hooks), new);
            // The records fit: dropping the hooks leaves no site on.
            drop(hooks);
            assert!(
                code.sites()
                    .all(|site| space.is_enabled(site) == Some(false))
            );
        }
        0
    }

    #[test]
    fn a_commit_may_fail_at_any_broadcast() {
        let mode = CodeSpace::new(&SpaceConfig::new()).unwrap().memory_mode();
        for protocol in [Protocol::Direct, Protocol::Strict] {
            let broadcasts = match (isa::SHAPE, mode, protocol) {
                (Shape::HeadAndTail, MemoryMode::Dual, _) => 3,
                (Shape::OneWord, MemoryMode::Dual, Protocol::Strict) => 2,
                (Shape::OneWord, MemoryMode::Dual, Protocol::Direct) => 1,
                // There is one before the code is written, and then direct is used.
                (Shape::HeadAndTail, MemoryMode::Single, _) => 1 + 3,
                (Shape::OneWord, MemoryMode::Single, _) => 1 + 1,
            };
            assert_eq!(break_everywhere(protocol), broadcasts);
        }
    }

    #[test]
    fn one_site_may_be_left_unsettled() {
        let space = CodeSpace::new(SpaceConfig::new().protocol(Protocol::Direct)).unwrap();
        let code = code(&space);
        let site = code.site(0).unwrap();
        let hook = space.count_hook().unwrap();
        let mut patch = space.patch();
        // From then on the site has its stub.
        patch.enable(site, &hook).commit().unwrap();
        patch.disable(site).commit().unwrap();
        for _ in 0..3 {
            // Not the one before the code is written.
            let before = u32::from(space.memory_mode() == MemoryMode::Single);
            fault::inject_after(before);
            let failed = patch.enable(site, &hook).commit();
            assert!(matches!(failed, Err(Error::Unsettled(_))), "{failed:?}");
            assert_eq!(space.is_enabled(site), Some(true));
            let commit = patch.disable(site).commit().unwrap();
            assert_eq!((commit.changed, commit.broadcasts), (1, 2));
            let commit = patch.disable(site).commit().unwrap();
            assert_eq!(commit, Commit::default());
            let commit = patch.enable(site, &hook).commit().unwrap();
            assert_eq!((commit.changed, commit.broadcasts), (1, 1));
            let commit = patch.release(site, &hook).commit().unwrap();
            assert_eq!((commit.changed, commit.broadcasts), (1, 1));
            assert_eq!(space.is_enabled(site), Some(false));
        }
    }

    #[test]
    fn a_hook_whose_sites_cannot_be_switched_off_keeps_its_stubs() {
        let mut config = SpaceConfig::new();
        let space = CodeSpace::new(config.protocol(Protocol::Strict)).unwrap();
        let code = code(&space);
        let site = code.site(0).unwrap();
        let hook = space.count_hook().unwrap();
        space.patch().enable(site, &hook).commit().unwrap();
        fault::inject_after(0);
        drop(hook);
        assert_eq!(space.is_enabled(site), Some(true));
        let hooks = [space.count_hook().unwrap(), space.count_hook().unwrap()];
        space.patch().retarget(site, &hooks[0]).commit().unwrap();
        assert_eq!(run(&code, &hooks)[0], [1, 0]);
    }
}
