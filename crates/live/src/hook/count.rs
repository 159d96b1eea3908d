//! Counting hooks.

use std::fmt;
use std::sync::Arc;

use super::{Hook, HookCore, sealed::HookAccess};
use crate::slots::Slot;
use crate::state::State;
use crate::{CodeSpace, Counters, SiteId};

/// Counts how often each of its sites is passed, exactly, whatever the number of threads.
///
/// Each site has a 64-bit counter of its own (or one for each CPU, see [`Counters`]). Switching a
/// site off and on again goes on counting.
#[derive(Clone)]
pub struct CountHook {
    core: Arc<HookCore>,
}

impl CountHook {
    pub(super) fn new(core: HookCore) -> CountHook {
        CountHook {
            core: Arc::new(core),
        }
    }

    /// How often the site was passed while it called this hook; zero if it never did.
    pub fn count(&self, site: SiteId) -> u64 {
        let space = self.core.space();
        let mut state = space.lock();
        match space.slot_of(&mut state, self.core.id(), site) {
            Some(slot) => space.counted(&state, slot),
            None => 0,
        }
    }

    /// The count of every site that was ever enabled for this hook, in the order of first enabling.
    pub fn counts(&self) -> Vec<(SiteId, u64)> {
        let space = self.core.space();
        let state = space.lock();
        let Some(record) = state.hooks.get(self.core.id()) else {
            return Vec::new();
        };
        let slots = record.slots.iter().copied();
        slots
            .map(|slot| (state.slots.site(slot), space.counted(&state, slot)))
            .collect()
    }

    /// Sets all counts to zero. Passes at the same moment may or may not be counted.
    pub fn reset(&self) {
        let space = self.core.space();
        let mut guard = space.lock();
        let state = &mut *guard;
        if let Some(record) = state.hooks.get(self.core.id()) {
            for &slot in &record.slots {
                let sum = space.counter(state, slot, 0).sum();
                state.slots.set_zero(slot, sum);
            }
        }
    }

    /// Address of the 64-bit counter of a site that was enabled for this hook, for reading (or
    /// inlining into other code) without a lock, if there is one: only with [`Counters::Shared`].
    /// It stays valid as long as the hook, and stays the site's. It counts from wherever it was when
    /// the site was first enabled; [`reset`](Self::reset) leaves it alone.
    pub fn counter_address(&self, site: SiteId) -> Option<*const u64> {
        let space = self.core.space();
        if space.counters() != Counters::Shared {
            return None;
        }
        let mut state = space.lock();
        let slot = space.slot_of(&mut state, self.core.id(), site)?;
        Some(space.counter(&state, slot, 0).shared())
    }
}

impl CodeSpace {
    /// What a count stub has counted for its owner.
    fn counted(&self, state: &State, slot: Slot) -> u64 {
        let sum = self.counter(state, slot, 0).sum();
        sum.wrapping_sub(state.slots.zero(slot))
    }
}

impl HookAccess for CountHook {
    fn core(&self) -> &Arc<HookCore> {
        &self.core
    }
}

impl Hook for CountHook {}

impl fmt::Debug for CountHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountHook").finish_non_exhaustive()
    }
}
