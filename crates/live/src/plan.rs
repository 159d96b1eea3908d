//! From a list of operations to edits of sites, all or nothing.

use std::sync::atomic::Ordering;

use crate::directory::Place;
use crate::patch::Commit;
use crate::protocol::{self, Broadcast, Broadcaster, CodeMemory, Edit, Failure, Views};
use crate::slots::{HookId, NO_HOOK, Slot, StubKind};
use crate::state::State;
use crate::{CodeSpace, Error, Protocol, Result, SiteId, isa, trap};

/// What is to be done with a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Enable,
    Retarget,
    Disable,
    Release,
}

/// One operation of a patch. `hook` is `NO_HOOK` where the action needs none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) site: SiteId,
    pub(crate) hook: HookId,
}

impl Operation {
    /// The hook the site calls after the operation, if it called `current` before.
    fn outcome(&self, current: HookId) -> Result<HookId> {
        match self.action {
            Action::Enable if current != NO_HOOK && current != self.hook => {
                Err(Error::SiteInUse(self.site))
            }
            Action::Enable | Action::Retarget => Ok(self.hook),
            Action::Disable => Ok(NO_HOOK),
            Action::Release if current == self.hook => Ok(NO_HOOK),
            Action::Release => Ok(current),
        }
    }
}

/// A site whose hook changes.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    site: SiteId,
    place: Place,
    from: HookId,
    to: HookId,
}

/// Lists that are used again from commit to commit, so that large ones are allocated once.
#[derive(Default)]
pub(crate) struct Scratch {
    changes: Vec<Change>,
    edits: Vec<Edit>,
}

impl CodeSpace {
    /// Performs operations under the lock.
    pub(crate) fn apply(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
    ) -> Result<Commit> {
        let mut scratch = std::mem::take(&mut state.scratch);
        let outcome = self.apply_with(state, protocol, operations, &mut scratch);
        scratch.changes.clear();
        scratch.edits.clear();
        state.scratch = scratch;
        outcome
    }

    fn apply_with(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
        Scratch { changes, edits }: &mut Scratch,
    ) -> Result<Commit> {
        plan(state, operations, changes)?;
        if changes.is_empty() {
            return Ok(Commit::default());
        }
        for change in &*changes {
            edits.push(self.edit(state, change)?);
        }
        if protocol == Protocol::Strict {
            trap::install()?;
        }
        let mut broadcaster = Broadcaster::default();
        if state.unsettled {
            broadcaster.broadcast()?;
            state.unsettled = false;
        }
        let mut memory = CodeMemory {
            views: Views {
                writable: self.region().writable(0),
                executed_at: self.region().base(),
            },
            broadcaster: &mut broadcaster,
        };
        let outcome = protocol::run(protocol, &mut memory, edits);
        record(state, changes, edits, outcome)?;
        Ok(Commit {
            changed: changes.len(),
            broadcasts: broadcaster.made,
        })
    }

    /// What has to be done to a site for a change, with its stub in place.
    fn edit(&self, state: &mut State, change: &Change) -> Result<Edit> {
        let unknown = || Error::UnknownSite(change.site);
        let record = state.directory.get_mut(change.place).ok_or_else(unknown)?;
        let mut edit = Edit {
            start: record.end - isa::SITE_LEN as u32,
            tail: 0,
            new_tail: false,
            was_on: change.from != NO_HOOK,
            on: change.to != NO_HOOK,
        };
        if !edit.on || record.reaches == change.to {
            return Ok(edit);
        }
        let end = record.end as usize;
        let target = self.stub_for(state, change, change.to)?;
        let site = self.region().writable(edit.start as usize);
        // SAFETY: the directory only holds sites of published code, in committed memory.
        let present = unsafe { isa::read_tail(site) };
        edit.tail = isa::tail_for(end, target);
        edit.new_tail = edit.tail != present;
        Ok(edit)
    }

    /// Offset of the stub that the site of a change has to call for `hook`.
    fn stub_for(&self, state: &mut State, change: &Change, hook: HookId) -> Result<usize> {
        let record = state.hooks.get(hook).ok_or(Error::ForeignHook)?;
        let kind = record.kind;
        let slot = match kind {
            StubKind::Call => record.slots.first().copied().ok_or(Error::DataSpaceFull)?,
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
        let list = state
            .directory
            .get_mut(change.place)
            .ok_or_else(unknown)?
            .slots;
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
                let record = state.directory.get_mut(change.place).ok_or_else(unknown)?;
                let taken = state.slots.take(kind, hook, change.site, &mut record.slots);
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

/// Resolves operations to at most one change per site, without changing anything.
fn plan(state: &mut State, operations: &[Operation], changes: &mut Vec<Change>) -> Result<()> {
    changes.reserve(operations.len());
    let outcome = operations
        .iter()
        .try_for_each(|operation| plan_one(state, changes, operation));
    changes.retain(|change| {
        if let Some(record) = state.directory.get_mut(change.place) {
            record.planned = 0;
        }
        change.from != change.to
    });
    outcome
}

fn plan_one(state: &mut State, changes: &mut Vec<Change>, operation: &Operation) -> Result<()> {
    let unknown = || Error::UnknownSite(operation.site);
    let place = state.directory.locate(operation.site).ok_or_else(unknown)?;
    let record = state.directory.get_mut(place).ok_or_else(unknown)?;
    let planned = (record.planned as usize).checked_sub(1);
    match planned.and_then(|position| changes.get_mut(position)) {
        Some(change) => change.to = operation.outcome(change.to)?,
        None => {
            let to = operation.outcome(record.hook)?;
            changes.push(Change {
                site: operation.site,
                place,
                from: record.hook,
                to,
            });
            record.planned = changes.len() as u32;
        }
    }
    Ok(())
}

/// Enters the outcome of a run into the records.
fn record(
    state: &mut State,
    changes: &[Change],
    edits: &[Edit],
    outcome: Result<(), Failure>,
) -> Result<()> {
    state.unsettled = outcome.is_err();
    match outcome {
        Ok(()) => {
            set_hooks(state, changes.iter().map(|change| (change, change.to)));
            Ok(())
        }
        Err(Failure::RolledBack(error)) => {
            forget_tails(state, changes, edits);
            Err(Error::Coherence(error))
        }
        Err(Failure::MovesOff(error)) => {
            let moves = changes.iter().zip(edits).filter(|(_, edit)| edit.is_move());
            set_hooks(state, moves.map(|(change, _)| (change, NO_HOOK)));
            forget_tails(state, changes, edits);
            Err(Error::Coherence(error))
        }
        Err(Failure::Unsettled(error)) => {
            set_hooks(state, changes.iter().map(|change| (change, change.to)));
            Err(Error::Unsettled(error))
        }
    }
}

fn set_hooks<'a>(state: &mut State, changes: impl Iterator<Item = (&'a Change, HookId)>) {
    for (change, to) in changes {
        if let Some(hook) = state.hooks.get_mut(change.from) {
            hook.sites_on -= 1;
        }
        let hook = state.hooks.get_mut(to);
        if let Some(record) = state.directory.get_mut(change.place) {
            record.hook = to;
            record.reaches = match &hook {
                // Its stub has to be armed each time.
                Some(hook) if hook.kind == StubKind::Once => NO_HOOK,
                Some(_) => to,
                None => record.reaches,
            };
        }
        if let Some(hook) = hook {
            hook.sites_on += 1;
        }
    }
}

/// After a failed run: tails may or may not have been written.
fn forget_tails(state: &mut State, changes: &[Change], edits: &[Edit]) {
    for (change, edit) in changes.iter().zip(edits) {
        if edit.new_tail
            && let Some(record) = state.directory.get_mut(change.place)
        {
            record.reaches = NO_HOOK;
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::fault;
    use crate::{Code, CountHook, SiteDesc, SpaceConfig};

    /// Four sites in a row.
    fn code(space: &Arc<CodeSpace>) -> Code {
        let mut bytes = [0x3d, 0, 0, 0, 0].repeat(4);
        bytes.push(0xc3);
        let sites = [5, 10, 15, 20].map(|ret_offset| SiteDesc { ret_offset, len: 5 });
        space
            .allocate(21, 64)
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
        assert_eq!(break_everywhere(Protocol::Direct), 3);
        assert_eq!(break_everywhere(Protocol::Strict), 3);
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
