//! What a space's lock protects.

use std::sync::Arc;

use crate::directory::Directory;
use crate::hook::CallContext;
use crate::memory::RangeAllocator;
use crate::slots::{HookId, Slot, Slots, StubKind};
use crate::{Error, Result};

pub(crate) struct State {
    pub(crate) ranges: RangeAllocator,
    /// Bytes of the data range handed out.
    pub(crate) data_used: usize,
    pub(crate) directory: Directory,
    pub(crate) slots: Slots,
    pub(crate) hooks: Hooks,
    /// Every context a call stub may ever load: kept until the space goes.
    pub(crate) contexts: Vec<Arc<CallContext>>,
    /// Code was changed, and the broadcast that had to follow failed.
    pub(crate) unsettled: bool,
}

impl State {
    pub(crate) fn new(code_len: usize) -> State {
        State {
            ranges: RangeAllocator::new(code_len),
            data_used: 0,
            directory: Directory::default(),
            slots: Slots::default(),
            hooks: Hooks::default(),
            contexts: Vec::new(),
            unsettled: false,
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

/// The hooks of a space, by id.
#[derive(Default)]
pub(crate) struct Hooks {
    records: Vec<Option<HookRecord>>,
    vacant: Vec<HookId>,
}

impl Hooks {
    pub(crate) fn insert(&mut self, kind: StubKind) -> Result<HookId> {
        let record = Some(HookRecord {
            kind,
            slots: Vec::new(),
            sites_on: 0,
            pending: Vec::new(),
        });
        if let Some(id) = self.vacant.pop() {
            self.records[id as usize - 1] = record;
            return Ok(id);
        }
        let id = HookId::try_from(self.records.len() + 1).map_err(|_| Error::DataSpaceFull)?;
        self.records.push(record);
        Ok(id)
    }

    pub(crate) fn get(&self, id: HookId) -> Option<&HookRecord> {
        self.records.get((id as usize).checked_sub(1)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: HookId) -> Option<&mut HookRecord> {
        self.records
            .get_mut((id as usize).checked_sub(1)?)?
            .as_mut()
    }

    pub(crate) fn remove(&mut self, id: HookId) -> Option<HookRecord> {
        let record = self
            .records
            .get_mut((id as usize).checked_sub(1)?)?
            .take()?;
        self.vacant.push(id);
        Some(record)
    }
}
