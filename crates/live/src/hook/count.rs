//! Counting hooks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Hook, HookCore, sealed::HookAccess};
use crate::SiteId;

/// Counts how often each of its sites is passed, exactly, whatever the number of threads.
///
/// Each site has a 64-bit counter of its own. Switching a site off and on again goes on counting.
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
            Some(slot) => space.word(&state, slot).load(Ordering::Acquire),
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
            .map(|slot| {
                let count = space.word(&state, slot).load(Ordering::Acquire);
                (state.slots.site(slot), count)
            })
            .collect()
    }

    /// Sets all counts to zero. Passes at the same moment may or may not be counted.
    pub fn reset(&self) {
        let space = self.core.space();
        let state = space.lock();
        if let Some(record) = state.hooks.get(self.core.id()) {
            for &slot in &record.slots {
                space.word(&state, slot).store(0, Ordering::Release);
            }
        }
    }

    /// Address of the 64-bit counter of a site that was enabled for this hook, for reading (or
    /// inlining into other code) without a lock. It stays valid as long as the hook, and stays the
    /// site's.
    pub fn counter_address(&self, site: SiteId) -> Option<*const u64> {
        let space = self.core.space();
        let mut state = space.lock();
        let slot = space.slot_of(&mut state, self.core.id(), site)?;
        Some(space.word(&state, slot).as_ptr().cast_const())
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
