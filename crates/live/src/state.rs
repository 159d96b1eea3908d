//! What a space's lock protects.

use std::sync::Arc;

use crate::counter::CounterBlock;
use crate::directory::Directory;
use crate::hook::CallContext;
use crate::memory::RangeAllocator;
use crate::plan::Scratch;
use crate::slots::{HookId, Slot, Slots, StubKind};
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
    /// Sites that call it.
    pub(crate) sites_on: usize,
    /// Stubs of a once hook that were hit and not reported.
    pub(crate) pending: Vec<Slot>,
}

/// The hooks of a space, by id. Ids are not used again.
#[derive(Default)]
pub(crate) struct Hooks {
    records: Vec<Option<Box<HookRecord>>>,
}

impl Hooks {
    pub(crate) fn insert(&mut self, kind: StubKind) -> Result<HookId> {
        let id = HookId::try_from(self.records.len() + 1).map_err(|_| Error::DataSpaceFull)?;
        self.records.push(Some(Box::new(HookRecord {
            kind,
            slots: Vec::new(),
            sites_on: 0,
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

    pub(crate) fn remove(&mut self, id: HookId) -> Option<Box<HookRecord>> {
        self.records.get_mut((id as usize).checked_sub(1)?)?.take()
    }
}
