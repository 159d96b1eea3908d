//! From a list of operations to edits of sites, all or nothing.

use std::hint::select_unpredictable;
use std::ops::Range;
use std::slice;
use std::sync::atomic::Ordering;

use crate::bypass::{Bypasses, Way};
use crate::directory::{Place, SiteRecord};
use crate::isa::Shape;
use crate::patch::Commit;
use crate::protocol::{self, Broadcast, Broadcaster, CodeMemory, Edit, Failure, Reroute, Views};
use crate::slots::{HookId, NO_HOOK, Slot, StubKind};
use crate::state::State;
use crate::{CodeSpace, Error, MemoryMode, Protocol, Result, SiteId, isa, os};

/// What is to be done with a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Enable,
    Retarget,
    Disable,
    Release,
}

/// One operation of a patch, on sites with consecutive ids. `hook` is `NO_HOOK` where the action
/// needs none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    action: Action,
    hook: HookId,
    first: SiteId,
    count: u32,
}

impl Operation {
    pub(crate) fn new(action: Action, site: SiteId, hook: HookId) -> Operation {
        Operation {
            action,
            hook,
            first: site,
            count: 1,
        }
    }

    /// Whether its hook is one that sites can be made to call, if it is to make them.
    #[inline]
    fn is_possible(&self, state: &State) -> bool {
        match self.action {
            Action::Enable | Action::Retarget => state.hooks.has_handles(self.hook),
            Action::Disable | Action::Release => true,
        }
    }

    /// Includes the site that follows the last one, if it is that.
    #[inline]
    pub(crate) fn widen(&mut self, site: SiteId) -> bool {
        let next = self.first.index().checked_add(self.count);
        let widened = next == Some(site.index());
        self.count += u32::from(widened);
        widened
    }

    /// The hook a site calls after the operation, if it called `current` before.
    #[inline]
    fn outcome(&self, site: SiteId, current: HookId) -> Result<HookId> {
        match self.action {
            Action::Enable if current != NO_HOOK && current != self.hook => {
                Err(Error::SiteInUse(site))
            }
            Action::Enable | Action::Retarget => Ok(self.hook),
            Action::Disable => Ok(NO_HOOK),
            Action::Release if current == self.hook => Ok(NO_HOOK),
            Action::Release => Ok(current),
        }
    }
}

/// Sites next to each other in one code, all of which go from one hook to one hook.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// The first of them.
    site: SiteId,
    place: Place,
    count: u32,
    from: HookId,
    to: HookId,
}

impl Change {
    /// What has to be done to one of its sites, except for the tails: `new_tail` says that it is not
    /// known to be right.
    #[inline]
    fn edit(&self, record: &SiteRecord) -> Edit {
        let on = self.to != NO_HOOK;
        Edit {
            start: record.end - isa::SITE_LEN as u32,
            link: record.link,
            tail: 0,
            old_tail: 0,
            new_tail: on && record.reaches != self.to,
            was_on: self.from != NO_HOOK,
            on,
        }
    }

    /// Appends what becomes of the branches that lead around its sites, if these are switched on or off.
    #[cold]
    fn reroute(&self, bypasses: &Bypasses, reroutes: &mut Vec<Reroute>) {
        let [was_on, on] = [self.from, self.to].map(|hook| hook != NO_HOOK);
        if was_on != on {
            let way = if on { Way::Through } else { Way::Around };
            let routes = bypasses.of_sites(self.place.sites(self.count));
            reroutes.extend(routes.map(|route| Reroute { route, way }));
        }
    }

    /// Its sites, each as a change of its own.
    fn singles(self) -> impl Iterator<Item = Change> {
        (0..self.count).map(move |offset| Change {
            site: SiteId::from_index(self.site.index() + offset),
            place: self.place.after(offset),
            count: 1,
            ..self
        })
    }
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
        if !operations.iter().all(|one| one.is_possible(state)) {
            return Err(Error::DroppedHook);
        }
        if let [operation] = operations
            && operation.count == 1
        {
            return self.apply_one(state, protocol, operation);
        }
        self.apply_all(state, protocol, operations)
    }

    /// An operation on one site, which is what a debugger does: no list is made, and little more is done than
    /// the system call of the broadcast takes.
    fn apply_one(
        &self,
        state: &mut State,
        protocol: Protocol,
        operation: &Operation,
    ) -> Result<Commit> {
        let Some((change, mut edit)) = plan_one(state, operation)? else {
            return Ok(Commit::default());
        };
        let known = tails_known(&edit);
        let (changes, edits) = (slice::from_ref(&change), slice::from_mut(&mut edit));
        self.perform(state, protocol, changes, edits, known)
    }

    #[inline(never)]
    fn apply_all(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
    ) -> Result<Commit> {
        let mut changes = std::mem::take(&mut state.scratch.changes);
        let mut edits = std::mem::take(&mut state.scratch.edits);
        let outcome = self.apply_with(state, protocol, operations, &mut changes, &mut edits);
        changes.clear();
        edits.clear();
        state.scratch.changes = changes;
        state.scratch.edits = edits;
        outcome
    }

    fn apply_with(
        &self,
        state: &mut State,
        protocol: Protocol,
        operations: &[Operation],
        changes: &mut Vec<Change>,
        edits: &mut Vec<Edit>,
    ) -> Result<Commit> {
        plan(state, operations, changes)?;
        let known = edit_all(state, changes, edits);
        if changes.is_empty() {
            return Ok(Commit::default());
        }
        self.perform(state, protocol, changes, edits, known)
    }

    /// Performs changes with the edits made of them, of which `known` says that they need no tails.
    // Twice in the program, so that one site is no list to go through.
    #[inline(always)]
    fn perform(
        &self,
        state: &mut State,
        protocol: Protocol,
        changes: &[Change],
        edits: &mut [Edit],
        known: bool,
    ) -> Result<Commit> {
        if !known {
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
        let mut reroutes = Vec::new();
        for change in changes {
            // Most code has no branches that could lead around its sites.
            if let Some(bypasses) = state.directory.bypasses(change.place) {
                change.reroute(bypasses, &mut reroutes);
            }
        }
        let writing = self.region().write(|| extent(edits, &reroutes))?;
        let mut memory = CodeMemory {
            views: Views {
                writable: writing.view(),
                executed_at: self.region().base(),
            },
            broadcaster: &mut broadcaster,
        };
        let outcome = match reroutes.is_empty() {
            true => protocol::run(protocol, &mut memory, edits, &[]),
            false => protocol::run_with_branches(protocol, &mut memory, edits, &reroutes),
        };
        let closed = writing.finish();
        record(state, changes, edits, outcome)?;
        closed?;
        Ok(Commit {
            changed: edits.len(),
            broadcasts: broadcaster.made,
        })
    }

    /// Gives every edit that needs it the tail with which its site calls the new hook, and that with which
    /// it calls the old one.
    fn aim(&self, state: &mut State, changes: &[Change], edits: &mut [Edit]) -> Result<()> {
        for (change, edit) in singles(changes).zip(edits) {
            if tails_known(edit) {
                continue;
            }
            let base = self.region().base();
            let site = (base + edit.start as usize) as *const u8;
            // SAFETY: the directory only holds sites of published code, in committed memory.
            let present = unsafe { isa::read_tail(site, edit.link, base) };
            edit.old_tail = present;
            if !edit.on {
                continue;
            }
            let target = self.stub_for(state, &change, change.to)?;
            edit.tail = isa::tail_for(edit.start as usize + isa::SITE_LEN, target);
            edit.new_tail = edit.tail != present;
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

/// Offsets of the code range between which something is written.
fn extent(edits: &[Edit], reroutes: &[Reroute]) -> Range<usize> {
    let (mut first, mut end) = (u32::MAX, 0);
    let mut include = |from: u32, to: u32| {
        first = first.min(from);
        end = end.max(to);
    };
    for edit in edits {
        let (from, to) = edit.link.extent();
        include(
            edit.start.wrapping_add_signed(from as i32),
            edit.start.wrapping_add_signed(to as i32),
        );
    }
    for Reroute { route, .. } in reroutes {
        include(route.branch, route.branch + route.kind.len() as u32);
    }
    first.min(end) as usize..end as usize
}

/// The sites of changes, in the order of their edits.
fn singles(changes: &[Change]) -> impl Iterator<Item = Change> {
    changes.iter().copied().flat_map(Change::singles)
}

/// Resolves operations to at most one change per site. After an error there are no changes.
fn plan(state: &mut State, operations: &[Operation], changes: &mut Vec<Change>) -> Result<()> {
    // The sites of one operation are all different, and need no marks.
    if operations.len() == 1 {
        plan_with(state, operations, changes, plan_runs::<false>)?;
        return Ok(());
    }
    if !plan_with(state, operations, changes, plan_runs::<true>)? {
        plan_with(state, operations, changes, plan_each)?;
    }
    forget(state, changes);
    Ok(())
}

/// Appends the changes that an operation makes to sites in a row, starting with the given one;
/// returns whether it could.
type Planner = fn(&mut Vec<Change>, &Operation, SiteId, Place, &mut [SiteRecord]) -> Result<bool>;

/// Resolves operations with a planner that is called once for the part of an operation that lies in
/// one code.
fn plan_with(
    state: &mut State,
    operations: &[Operation],
    changes: &mut Vec<Change>,
    planner: Planner,
) -> Result<bool> {
    let outcome = operations.iter().try_fold(true, |going, operation| {
        let mut id = operation.first.index();
        let mut left = operation.count;
        while going && left != 0 {
            let site = SiteId::from_index(id);
            let unknown = || Error::UnknownSite(site);
            let place = state.directory.locate(site).ok_or_else(unknown)?;
            let records = state.directory.run_mut(place, left);
            if !planner(changes, operation, site, place, records)? {
                return Ok(false);
            }
            // At most `left`, of which each has an id.
            let done = records.len() as u32;
            left -= done;
            id = id.wrapping_add(done);
        }
        Ok(going)
    });
    if !matches!(outcome, Ok(true)) {
        forget(state, changes);
        changes.clear();
    }
    outcome
}

/// The planner for operations no two of which are for one site. With marks, it gives up if they are; without,
/// the caller knows.
fn plan_runs<const MARKS: bool>(
    changes: &mut Vec<Change>,
    operation: &Operation,
    first: SiteId,
    place: Place,
    records: &mut [SiteRecord],
) -> Result<bool> {
    let mut done = 0;
    while let Some(record) = records.get(done) {
        if MARKS && record.planned != 0 {
            return Ok(false);
        }
        let offset = done as u32;
        let site = SiteId::from_index(first.index() + offset);
        let from = record.hook;
        let to = operation.outcome(site, from)?;
        let mark = changes.len() as u32 + 1;
        let alike =
            |record: &&mut SiteRecord| record.hook == from && (!MARKS || record.planned == 0);
        let rest = records[done..].iter_mut().take_while(alike);
        let count = match MARKS {
            true => rest.map(|record| record.planned = mark).count(),
            false => rest.count(),
        };
        changes.push(Change {
            site,
            place: place.after(offset),
            count: count as u32,
            from,
            to,
        });
        done += count;
    }
    Ok(true)
}

/// The planner for any operations: one change for each site, which later operations amend.
fn plan_each(
    changes: &mut Vec<Change>,
    operation: &Operation,
    first: SiteId,
    place: Place,
    records: &mut [SiteRecord],
) -> Result<bool> {
    for (offset, record) in (0..).zip(records) {
        let site = SiteId::from_index(first.index() + offset);
        let planned = (record.planned as usize).checked_sub(1);
        match planned.and_then(|position| changes.get_mut(position)) {
            Some(change) => change.to = operation.outcome(site, change.to)?,
            None => {
                let to = operation.outcome(site, record.hook)?;
                changes.push(Change {
                    site,
                    place: place.after(offset),
                    count: 1,
                    from: record.hook,
                    to,
                });
                record.planned = changes.len() as u32;
            }
        }
    }
    Ok(true)
}

/// Takes the marks of planned changes away.
fn forget(state: &mut State, changes: &[Change]) {
    for change in changes {
        for record in state.directory.run_mut(change.place, change.count) {
            record.planned = 0;
        }
    }
}

/// Turns changes into edits, one for each site, dropping those that change nothing. Returns whether
/// nothing need be known about their tails.
fn edit_all(state: &mut State, changes: &mut Vec<Change>, edits: &mut Vec<Edit>) -> bool {
    changes.retain(|change| change.from != change.to);
    let mut known = true;
    for change in &*changes {
        let records = state.directory.run_mut(change.place, change.count);
        edits.extend(records.iter().map(|record| {
            let edit = change.edit(record);
            known &= tails_known(&edit);
            edit
        }));
    }
    known
}

/// Whether a site that is switched need not be looked at: it has the right tail. A site of one word has
/// none while it is off, so that the new one and, in case of failure, the old one must be given.
#[inline]
fn tails_known(edit: &Edit) -> bool {
    !edit.new_tail && isa::SHAPE == Shape::HeadAndTail
}

/// [`plan`] and [`edit_all`] for an operation on one site; none if it changes nothing.
#[inline]
fn plan_one(state: &mut State, operation: &Operation) -> Result<Option<(Change, Edit)>> {
    let site = operation.first;
    let unknown = || Error::UnknownSite(site);
    let place = state.directory.locate(site).ok_or_else(unknown)?;
    let record = state.directory.get_mut(place).ok_or_else(unknown)?;
    let change = Change {
        site,
        place,
        count: 1,
        from: record.hook,
        to: operation.outcome(site, record.hook)?,
    };
    Ok((change.from != change.to).then(|| (change, change.edit(record))))
}

/// Enters the outcome of a run into the records.
#[inline]
fn record(
    state: &mut State,
    changes: &[Change],
    edits: &[Edit],
    outcome: Result<(), Failure>,
) -> Result<()> {
    match outcome {
        Ok(()) => {
            set_hooks(state, changes, |change| change.to);
            Ok(())
        }
        Err(failure) => {
            state.unsettled = true;
            Err(record_failure(state, changes, edits, failure))
        }
    }
}

#[cold]
fn record_failure(
    state: &mut State,
    changes: &[Change],
    edits: &[Edit],
    failure: Failure,
) -> Error {
    match failure {
        Failure::RolledBack(error) => {
            forget_tails(state, changes, edits);
            Error::Coherence(error)
        }
        Failure::MovesOff(error) => {
            let moves = singles(changes).zip(edits);
            let moves = moves.filter(|(_, edit)| edit.is_move());
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

#[inline]
fn set_hooks(state: &mut State, changes: &[Change], outcome: impl Fn(&Change) -> HookId) {
    for change in changes {
        let to = outcome(change);
        let count = change.count as usize;
        let reached = state.hooks.move_sites(change.from, to, count);
        let enter = |record: &mut SiteRecord| {
            record.hook = to;
            // After a system call, processors guess badly which way the last change went.
            record.reaches = select_unpredictable(to != NO_HOOK, reached, record.reaches);
        };
        match change.count {
            1 => state
                .directory
                .get_mut(change.place)
                .into_iter()
                .for_each(enter),
            count => {
                let records = state.directory.run_mut(change.place, count);
                records.iter_mut().for_each(enter);
            }
        }
    }
}

/// After a failed run: tails may or may not have been written.
fn forget_tails(state: &mut State, changes: &[Change], edits: &[Edit]) {
    for (change, edit) in singles(changes).zip(edits) {
        if edit.new_tail
            && let Some(record) = state.directory.get_mut(change.place)
        {
            record.reaches = NO_HOOK;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
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
