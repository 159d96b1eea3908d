//! What a space's lock protects.

use std::hint::select_unpredictable;
use std::sync::Arc;

use crate::apply::Scratch;
use crate::counter::CounterBlock;
use crate::directory::{Aim, Directory};
use crate::hook::CallContext;
use crate::memory::RangeAllocator;
use crate::slots::{HookId, MAX_HOOK, NO_HOOK, Slot, Slots, StubKind};
use crate::{Error, Result};

pub(crate) struct State {
    pub(crate) ranges: RangeAllocator,
    /// Bytes of the data range handed out.
    pub(crate) data_used: usize,
    /// The counters of blocks of stubs, kept until the space goes.
    pub(crate) counters: Vec<CounterBlock>,
    pub(crate) directory: Directory,
    pub(crate) slots: Slots,
    pub(crate) hooks: Hooks,
    /// Every context a call stub may ever load: kept until the space goes.
    pub(crate) contexts: Vec<Arc<CallContext>>,
    /// Code was changed, and the broadcast that had to follow failed.
    pub(crate) unsettled: bool,
    pub(crate) scratch: Scratch,
}

impl State {
    pub(crate) fn new(code_len: usize) -> State {
        State {
            ranges: RangeAllocator::new(code_len),
            data_used: 0,
            counters: Vec::new(),
            directory: Directory::default(),
            slots: Slots::default(),
            hooks: Hooks::default(),
            contexts: Vec::new(),
            unsettled: false,
            scratch: Scratch::default(),
        }
    }
}

/// What is known about a hook.
pub(crate) struct HookRecord {
    pub(crate) kind: StubKind,
    /// Its stubs: one for each site it was ever enabled at, or the only one of a call hook.
    pub(crate) slots: Vec<Slot>,
    /// Stubs of a once hook that were hit and not reported.
    pub(crate) pending: Vec<Slot>,
}

/// The hooks of a space, by id. Ids are not used again.
pub(crate) struct Hooks {
    records: Vec<Option<Box<HookRecord>>>,
    /// The sites of each hook; the first of them, those of no hook, so that a change can be entered
    /// without asking what it was.
    sites: Vec<HookSites>,
}

/// What is known about the sites of a hook.
struct HookSites {
    /// How many call it. Meaningless for those that call none.
    on: usize,
    /// The hook that their tails are known to name once they are off.
    reached: HookId,
    /// Whether the hook has handles, or is none. Without, it is only kept if its sites could not be switched off.
    can_be_called: bool,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks {
            records: Vec::new(),
            sites: vec![HookSites {
                on: 0,
                reached: NO_HOOK,
                can_be_called: true,
            }],
        }
    }
}

impl Hooks {
    pub(crate) fn insert(&mut self, kind: StubKind) -> Result<HookId> {
        let id = HookId::try_from(self.records.len() + 1).ok();
        let id = id
            .filter(|&id| id <= MAX_HOOK)
            .ok_or(Error::DataSpaceFull)?;
        // The stub of a once hook has to be armed each time.
        let reached = if kind == StubKind::Once { NO_HOOK } else { id };
        self.sites.push(HookSites {
            on: 0,
            reached,
            can_be_called: true,
        });
        self.records.push(Some(Box::new(HookRecord {
            kind,
            slots: Vec::new(),
            pending: Vec::new(),
        })));
        Ok(id)
    }

    pub(crate) fn get(&self, id: HookId) -> Option<&HookRecord> {
        self.records.get((id as usize).checked_sub(1)?)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: HookId) -> Option<&mut HookRecord> {
        self.records
            .get_mut((id as usize).checked_sub(1)?)?
            .as_deref_mut()
    }

    /// How many sites call a hook.
    pub(crate) fn sites_on(&self, id: HookId) -> usize {
        self.sites.get(id as usize).map_or(0, |sites| sites.on)
    }

    /// So many sites that called a hook call another. Either may be `NO_HOOK`. Returns what the sites are then.
    #[inline]
    pub(crate) fn move_sites(&mut self, from: HookId, to: HookId, count: usize) -> Aim {
        let mut reached = NO_HOOK;
        if let Some(sites) = self.sites.get_mut(from as usize) {
            sites.on = sites.on.wrapping_sub(count);
            reached = sites.reached;
        }
        if let Some(sites) = self.sites.get_mut(to as usize) {
            sites.on = sites.on.wrapping_add(count);
        }
        // After a system call, processors guess badly which way the last change went.
        select_unpredictable(to == NO_HOOK, Aim::off(reached), Aim::on(to))
    }

    /// Whether sites can be made to call a hook, or none if it is `NO_HOOK`.
    #[inline]
    pub(crate) fn can_be_called(&self, id: HookId) -> bool {
        (self.sites.get(id as usize)).is_some_and(|sites| sites.can_be_called)
    }

    /// The last handle of a hook is gone.
    pub(crate) fn drop_handles(&mut self, id: HookId) {
        if let Some(sites) = self.sites.get_mut(id as usize) {
            sites.can_be_called = false;
        }
    }

    pub(crate) fn remove(&mut self, id: HookId) -> Option<Box<HookRecord>> {
        self.records.get_mut((id as usize).checked_sub(1)?)?.take()
    }
}
