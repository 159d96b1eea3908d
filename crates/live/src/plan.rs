//! From a list of operations to changes of sites, one for each site at most.

use std::hint::select_unpredictable;
use std::ops::Range;

use crate::bypass::{Bypasses, Way};
use crate::directory::{Aim, Place, SiteDetails, SiteRecord};
use crate::isa::{self, Shape};
use crate::protocol::{Edit, Reroute, Transition};
use crate::slots::{HookId, NO_HOOK};
use crate::state::{Hooks, State};
use crate::{Error, Result, SiteId};

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
    pub(crate) fn is_possible(&self, hooks: &Hooks) -> bool {
        self.action == Action::Release || hooks.can_be_called(self.hook)
    }

    /// What sites call after it that call something else before, if that does not depend on what it is.
    #[inline]
    pub(crate) fn target(&self) -> Option<HookId> {
        // None is what those have that switch off.
        (self.action != Action::Release).then_some(self.hook)
    }

    /// The site it is about, if it is but one.
    #[inline]
    pub(crate) fn only_site(&self) -> Option<SiteId> {
        (self.count == 1).then_some(self.first)
    }

    /// Includes the site that follows the last one, if it is that.
    #[inline]
    pub(crate) fn widen(&mut self, site: SiteId) -> bool {
        let widened = self.first.index().checked_add(self.count) == Some(site.index());
        if widened {
            self.count += 1;
        }
        widened
    }

    /// The hook a site calls after the operation, if it called `current` before.
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

/// Sites next to each other in one code, all of which are alike and are to call one hook, or none.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// The first of them.
    pub(crate) site: SiteId,
    pub(crate) place: Place,
    pub(crate) count: u32,
    pub(crate) from: Aim,
    pub(crate) to: HookId,
}

impl Change {
    /// Whether there is something to be done.
    #[inline]
    pub(crate) fn is_needed(&self) -> bool {
        self.from.hook() != self.to
    }

    /// Whether the tails of its sites are what they have to be. A site of one word has none while it is off, so
    /// that the new one and, in case of failure, the old one must be given.
    #[inline]
    pub(crate) fn tails_known(&self) -> bool {
        isa::SHAPE == Shape::HeadAndTail && (self.to == NO_HOOK || self.from == Aim::off(self.to))
    }

    /// Whether it switches its sites on or off, and that by their heads alone.
    #[inline]
    pub(crate) fn is_switch(&self) -> bool {
        let heads = isa::SHAPE == Shape::HeadAndTail;
        // After a system call, processors guess badly which way the last change went.
        let (on, off) = (self.from == Aim::off(self.to), self.from.is_on());
        heads && select_unpredictable(self.to == NO_HOOK, off, on)
    }

    /// What becomes of its sites.
    #[inline]
    pub(crate) fn transition(&self) -> Transition {
        let on = self.to != NO_HOOK;
        Transition {
            was_on: self.from.is_on(),
            on,
            new_tail: on && !self.tails_known(),
        }
    }

    /// What has to be done to one of its sites, except for the tails.
    #[inline]
    pub(crate) fn edit(&self, record: &SiteRecord) -> Edit {
        Edit {
            transition: self.transition(),
            start: record.start(),
            link: record.link,
            tail: 0,
            old_tail: 0,
        }
    }

    /// Appends what becomes of the branches that lead around its sites, if these are switched on or off.
    pub(crate) fn reroute(&self, bypasses: &Bypasses, reroutes: &mut Vec<Reroute>) {
        let Transition { was_on, on, .. } = self.transition();
        if was_on != on {
            let way = if on { Way::Through } else { Way::Around };
            let routes = bypasses.of_sites(self.place.sites(self.count));
            reroutes.extend(routes.map(|route| Reroute { route, way }));
        }
    }

    /// Its sites, each as a change of its own.
    pub(crate) fn singles(self) -> impl Iterator<Item = Change> {
        (0..self.count).map(move |offset| Change {
            site: SiteId::from_index(self.site.index() + offset),
            place: self.place.after(offset),
            count: 1,
            ..self
        })
    }
}

/// Resolves operations to at most one change per site. After an error there are no changes.
pub(crate) fn plan(
    state: &mut State,
    operations: &[Operation],
    changes: &mut Vec<Change>,
) -> Result<()> {
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

/// Appends the changes that an operation makes to sites in a row in one code; returns whether it could.
type Planner = fn(&mut Vec<Change>, &Operation, Row<'_>) -> Result<bool>;

/// Sites in a row.
struct Row<'a> {
    first: SiteId,
    place: Place,
    records: &'a [SiteRecord],
    details: &'a mut [SiteDetails],
}

impl Row<'_> {
    /// The change of some of its sites, all of which are alike.
    fn change(&self, sites: Range<usize>, from: Aim, to: HookId) -> Change {
        let offset = sites.start as u32;
        Change {
            site: SiteId::from_index(self.first.index() + offset),
            place: self.place.after(offset),
            count: sites.len() as u32,
            from,
            to,
        }
    }
}

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
            let first = SiteId::from_index(id);
            let unknown = || Error::UnknownSite(first);
            let place = state.directory.locate(first).ok_or_else(unknown)?;
            let (records, details) = state.directory.row_mut(place, left);
            // At most `left`, of which each has an id.
            let done = records.len() as u32;
            let row = Row {
                first,
                place,
                records,
                details,
            };
            if !planner(changes, operation, row)? {
                return Ok(false);
            }
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
    row: Row<'_>,
) -> Result<bool> {
    let mut done = 0;
    while let Some(record) = row.records.get(done) {
        let from = record.aim;
        let rest = row.records[done..].iter();
        let count = rest.take_while(|record| record.aim == from).count();
        let position = changes.len();
        let change = row.change(done..done + count, from, NO_HOOK);
        changes.push(change);
        if MARKS {
            for details in &mut row.details[done..done + count] {
                if std::mem::replace(&mut details.planned, position as u32 + 1) != 0 {
                    return Ok(false);
                }
            }
        }
        changes[position].to = operation.outcome(change.site, from.hook())?;
        done += count;
    }
    Ok(true)
}

/// The planner for any operations: one change for each site, which later operations amend.
fn plan_each(changes: &mut Vec<Change>, operation: &Operation, row: Row<'_>) -> Result<bool> {
    for (offset, record) in row.records.iter().enumerate() {
        let single = row.change(offset..offset + 1, record.aim, NO_HOOK);
        let planned = &mut row.details[offset].planned;
        let earlier = (*planned as usize).checked_sub(1);
        match earlier.and_then(|position| changes.get_mut(position)) {
            Some(change) => change.to = operation.outcome(single.site, change.to)?,
            None => {
                let to = operation.outcome(single.site, record.aim.hook())?;
                changes.push(Change { to, ..single });
                *planned = changes.len() as u32;
            }
        }
    }
    Ok(true)
}

/// Takes the marks of planned changes away.
fn forget(state: &mut State, changes: &[Change]) {
    for change in changes {
        for details in state.directory.details_mut(change.place, change.count) {
            details.planned = 0;
        }
    }
}
