//! Hooks that note whether a site is passed at all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Hook, HookCore, sealed::HookAccess};
use crate::plan::{Action, Operation};
use crate::slots::{BLOCK_SLOTS, NO_HOOK, Slots, StubKind};
use crate::state::State;
use crate::{CodeSpace, Result, SiteId};

/// Notes which of its sites are passed, and switches them off when asked to.
///
/// A pass costs two stores until [`drain`](Self::drain) is called, and nothing after that. Enabling
/// a site (again) arms it anew.
#[derive(Clone)]
pub struct OnceHook {
    core: Arc<HookCore>,
}

impl OnceHook {
    pub(super) fn new(core: HookCore) -> OnceHook {
        OnceHook {
            core: Arc::new(core),
        }
    }

    /// Whether the site was passed since it was last armed.
    pub fn was_hit(&self, site: SiteId) -> bool {
        let space = self.core.space();
        let mut state = space.lock();
        let slot = space.slot_of(&mut state, self.core.id(), site);
        slot.is_some_and(|slot| space.flag(&state, slot).load(Ordering::Acquire) != 0)
    }

    /// All sites passed since they were last armed, in the order of first enabling.
    pub fn hits(&self) -> Vec<SiteId> {
        let space = self.core.space();
        let state = space.lock();
        let Some(record) = state.hooks.get(self.core.id()) else {
            return Vec::new();
        };
        let slots = record.slots.iter().copied();
        slots
            .filter(|&slot| space.flag(&state, slot).load(Ordering::Acquire) != 0)
            .map(|slot| state.slots.site(slot))
            .collect()
    }

    /// Whether [`drain`](Self::drain) would find anything.
    pub fn pending(&self) -> bool {
        let space = self.core.space();
        let mut state = space.lock();
        space.collect_hits(&mut state);
        let record = state.hooks.get(self.core.id());
        record.is_some_and(|record| !record.pending.is_empty())
    }

    /// Switches off, in one commit, every site passed since the last call, and returns them.
    ///
    /// Call it now and then, from any thread. It costs a look at one byte for every 256 sites if
    /// there is nothing to do.
    ///
    /// # Errors
    /// As for [`Patch::commit`](crate::Patch::commit); the next call tries again.
    pub fn drain(&self) -> Result<Vec<SiteId>> {
        let space = self.core.space();
        space.check_not_forked()?;
        let hook = self.core.id();
        let mut guard = space.lock();
        let state = &mut *guard;
        space.collect_hits(state);
        let Some(record) = state.hooks.get(hook) else {
            return Ok(Vec::new());
        };
        let sites: Vec<SiteId> = record
            .pending
            .iter()
            .map(|&slot| state.slots.site(slot))
            .collect();
        let operations: Vec<Operation> = sites
            .iter()
            .copied()
            // The code of a site may be gone by now.
            .filter(|&site| state.directory.locate(site).is_some())
            .map(|site| Operation::new(Action::Release, site, hook))
            .collect();
        space.apply(state, space.protocol(), &operations)?;
        if let Some(record) = state.hooks.get_mut(hook) {
            record.pending.clear();
        }
        Ok(sites)
    }
}

impl CodeSpace {
    /// Moves newly set flags of all once hooks to the hooks' lists.
    fn collect_hits(&self, state: &mut State) {
        for number in 0..state.slots.blocks().len() {
            if state.slots.blocks()[number].kind != StubKind::Once {
                continue;
            }
            // A stub sets its own flag first: flags set before the exchange are seen below, and any
            // set later set the shared one again. The plain load keeps the line shared.
            let shared = self.shared_flag(state, number);
            if shared.load(Ordering::Relaxed) == 0 || shared.swap(0, Ordering::SeqCst) == 0 {
                continue;
            }
            for position in 0..BLOCK_SLOTS {
                let slot = Slots::slot(number, position);
                let owner = state.slots.owner(slot);
                if owner == NO_HOOK
                    || state.slots.is_reported(slot)
                    || self.flag(state, slot).load(Ordering::Acquire) == 0
                {
                    continue;
                }
                state.slots.set_reported(slot, true);
                if let Some(record) = state.hooks.get_mut(owner) {
                    record.pending.push(slot);
                }
            }
        }
    }
}

impl HookAccess for OnceHook {
    fn core(&self) -> &Arc<HookCore> {
        &self.core
    }
}

impl Hook for OnceHook {}

impl fmt::Debug for OnceHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceHook").finish_non_exhaustive()
    }
}
