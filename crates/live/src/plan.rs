//! From a list of operations to edits of sites, all or nothing.

use std::sync::atomic::Ordering;

use crate::directory::Place;
use crate::patch::Commit;
use crate::protocol::{self, Broadcast, Broadcaster, Edit, Failure};
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
struct Change {
    site: SiteId,
    place: Place,
    from: HookId,
    to: HookId,
}

impl CodeSpace {
    /// Performs operations under the lock.
    pub(crate) fn apply(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
    ) -> Result<Commit> {
        let mut changes = plan(state, operations)?;
        changes.retain(|change| change.from != change.to);
        if changes.is_empty() {
            return Ok(Commit::default());
        }
        let edits = changes
            .iter()
            .map(|change| self.edit(state, change))
            .collect::<Result<Vec<Edit>>>()?;
        if protocol == Protocol::Strict {
            trap::install()?;
        }
        let mut broadcaster = Broadcaster::default();
        if state.unsettled {
            broadcaster.broadcast()?;
            state.unsettled = false;
        }
        let outcome = protocol::run(protocol, &edits, &mut broadcaster);
        record(state, &changes, &edits, outcome)?;
        Ok(Commit {
            changed: changes.len(),
            broadcasts: broadcaster.made,
        })
    }

    /// What has to be done to a site for a change, with its stub in place.
    fn edit(&self, state: &mut State, change: &Change) -> Result<Edit> {
        let target = match change.to {
            NO_HOOK => None,
            hook => Some(self.stub_for(state, change, hook)?),
        };
        let record = state.directory.get_mut(change.place);
        let end = record.ok_or(Error::UnknownSite(change.site))?.end as usize;
        let start = end - isa::SITE_LEN;
        let site = self.region().writable(start);
        // SAFETY: the directory only holds sites of published code, in committed memory.
        let present = unsafe { isa::read_tail(site) };
        Ok(Edit {
            site,
            executed_at: self.region().base() + start,
            was_on: change.from != NO_HOOK,
            on: change.to != NO_HOOK,
            tail: target
                .map(|target| isa::tail_for(end, target))
                .filter(|&tail| tail != present),
        })
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
fn plan(state: &mut State, operations: &[Operation]) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::with_capacity(operations.len());
    let outcome = operations
        .iter()
        .try_for_each(|operation| plan_one(state, &mut changes, operation));
    for change in &changes {
        if let Some(record) = state.directory.get_mut(change.place) {
            record.planned = 0;
        }
    }
    outcome.map(|()| changes)
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
            changes
                .iter()
                .for_each(|change| set_hook(state, change, change.to));
            Ok(())
        }
        Err(Failure::RolledBack(error)) => Err(Error::Coherence(error)),
        Err(Failure::MovesOff(error)) => {
            let moves = changes.iter().zip(edits).filter(|(_, edit)| edit.is_move());
            moves.for_each(|(change, _)| set_hook(state, change, NO_HOOK));
            Err(Error::Coherence(error))
        }
        Err(Failure::Unsettled(error)) => {
            changes
                .iter()
                .for_each(|change| set_hook(state, change, change.to));
            Err(Error::Unsettled(error))
        }
    }
}

fn set_hook(state: &mut State, change: &Change, to: HookId) {
    if let Some(record) = state.directory.get_mut(change.place) {
        record.hook = to;
    }
    if let Some(hook) = state.hooks.get_mut(change.from) {
        hook.sites_on -= 1;
    }
    if let Some(hook) = state.hooks.get_mut(to) {
        hook.sites_on += 1;
    }
}
