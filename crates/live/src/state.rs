//! What a space's lock protects.

use std::sync::Arc;

use crate::counter::CounterBlock;
use crate::directory::Directory;
use crate::hook::CallContext;
use crate::memory::RangeAllocator;
use crate::plan::Scratch;
use crate::slots::{HookId, NO_HOOK, Slot, Slots, StubKind};
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
    /// Whether it has handles. Without, it is only kept if its sites could not be switched off.
    pub(crate) has_handles: bool,
}

/// The hooks of a space, by id. Ids are not used again.
#[derive(Default)]
pub(crate) struct Hooks {
    records: Vec<Option<Box<HookRecord>>>,
    /// The sites of each hook; the first of them, those of no hook, so that a change can be entered
    /// without asking what it was.
    sites: Vec<HookSites>,
}

/// What is known about the sites of a hook.
#[derive(Clone, Copy, Default)]
struct HookSites {
    /// How many call it. Meaningless for those that call none.
    on: usize,
    /// The hook that their tails are known to name.
    reached: HookId,
}

impl Hooks {
    pub(crate) fn insert(&mut self, kind: StubKind) -> Result<HookId> {
        let id = HookId::try_from(self.records.len() + 1).map_err(|_| Error::DataSpaceFull)?;
        // The stub of a once hook has to be armed each time.
        let reached = if kind == StubKind::Once { NO_HOOK } else { id };
        self.sites.resize_with(id as usize, HookSites::default);
        self.sites.push(HookSites { on: 0, reached });
        self.records.push(Some(Box::new(HookRecord {
            kind,
            slots: Vec::new(),
            pending: Vec::new(),
            has_handles: true,
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

    /// So many sites that called a hook call another. Either may be `NO_HOOK`. Returns the hook that
    /// their tails then name, unless they are off.
    #[inline]
    pub(crate) fn move_sites(&mut self, from: HookId, to: HookId, count: usize) -> HookId {
        if let Some(sites) = self.sites.get_mut(from as usize) {
            sites.on = sites.on.wrapping_sub(count);
        }
        let Some(sites) = self.sites.get_mut(to as usize) else {
            return NO_HOOK;
        };
        sites.on = sites.on.wrapping_add(count);
        sites.reached
    }

    #[inline]
    pub(crate) fn has_handles(&self, id: HookId) -> bool {
        self.get(id).is_some_and(|hook| hook.has_handles)
    }

    pub(crate) fn remove(&mut self, id: HookId) -> Option<Box<HookRecord>> {
        self.records.get_mut((id as usize).checked_sub(1)?)?.take()
    }
}
