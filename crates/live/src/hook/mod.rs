//! Hooks: what sites call.
//!
//! # Lifetime
//! A hook lives as long as one of its handles. When the last is dropped, its sites are switched off,
//! and the broadcast of that commit has ended: no thread can enter its stubs from a site any more.
//! One may be anywhere in between, though, for as long as the scheduler likes, so:
//! - the code, data and counters of stubs stay mapped as long as the space, and are only reused as
//!   `slots.rs` describes;
//! - what a call stub leads to, the context, also stays; the closure inside is dropped by whoever
//!   comes last: the handle, or the last thread to leave it. [`CallHook::retire`] tells when.

mod call;
mod code;
mod count;
mod once;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::plan::{Action, Operation};
use crate::slots::{HookId, Slot, StubKind};
use crate::state::State;
use crate::{CodeSpace, Error, Result, SiteId};

use call::Closure;
pub(crate) use call::{CallContext, dispatch};
pub use call::{CallHook, Retired};
pub use code::CodeHook;
pub use count::CountHook;
pub use once::OnceHook;

use sealed::HookAccess;

/// Something a site can call: a [`CountHook`], a [`OnceHook`], a [`CallHook`] or a [`CodeHook`].
///
/// Each is a handle: cloning it gives another handle for the same hook, and when the last is dropped,
/// the hook's sites are switched off.
pub trait Hook: HookAccess {}

pub(crate) mod sealed {
    use std::sync::Arc;

    /// Keeps others from implementing [`Hook`](super::Hook).
    pub trait HookAccess {
        /// The hook behind the handle.
        #[doc(hidden)]
        fn core(&self) -> &Arc<super::HookCore>;
    }
}

/// A hook of a space.
#[doc(hidden)]
pub struct HookCore {
    space: Arc<CodeSpace>,
    id: HookId,
    context: Option<Arc<CallContext>>,
}

impl HookCore {
    fn new(space: &Arc<CodeSpace>, kind: StubKind) -> Result<HookCore> {
        space.check_not_forked()?;
        Ok(HookCore {
            id: space.lock().hooks.insert(kind)?,
            space: Arc::clone(space),
            context: None,
        })
    }

    pub(crate) fn id(&self) -> HookId {
        self.id
    }

    pub(crate) fn space(&self) -> &CodeSpace {
        &self.space
    }
}

impl Drop for HookCore {
    fn drop(&mut self) {
        if !self.space.is_forked() {
            self.space.retire_hook(self.id);
        }
        if let Some(context) = &self.context {
            context.close();
        }
    }
}

impl CodeSpace {
    /// Makes a hook that counts how often each of its sites is passed.
    ///
    /// # Errors
    /// [`Error::DataSpaceFull`], [`Error::Forked`].
    pub fn count_hook(self: &Arc<Self>) -> Result<CountHook> {
        HookCore::new(self, StubKind::Count).map(CountHook::new)
    }

    /// Makes a hook that notes which of its sites are passed at all.
    ///
    /// # Errors
    /// [`Error::DataSpaceFull`], [`Error::Forked`].
    pub fn once_hook(self: &Arc<Self>) -> Result<OnceHook> {
        HookCore::new(self, StubKind::Once).map(OnceHook::new)
    }

    /// Makes a hook that calls `f` with the site and the guest's registers.
    ///
    /// `f` runs on the guest's stack: a guest that checks its stack must leave room for about 4 KiB
    /// (on AArch64 with the widest SVE registers 10 KiB, on RISC-V 32 times the bytes of a vector register
    /// more) and what `f` needs. If it panics, the guest goes on, and `f` is not called again.
    ///
    /// # Errors
    /// [`Error::DataSpaceFull`], [`Error::CodeSpaceFull`], [`Error::Forked`]; [`Error::Unsupported`] if
    /// the processor's full vector state cannot be saved; the stub could not be made visible to all
    /// threads ([`Error::Coherence`]).
    pub fn call_hook(
        self: &Arc<Self>,
        f: impl Fn(SiteId, &mut crate::SiteFrame) + Send + Sync + 'static,
    ) -> Result<CallHook> {
        let mut core = HookCore::new(self, StubKind::Call)?;
        let context = self.attach_context(core.id, Box::new(f))?;
        core.context = Some(Arc::clone(&context));
        Ok(CallHook::new(core, context))
    }

    /// Makes a hook of the machine code at `address`: its sites call it.
    ///
    /// With the address that a site called where it comes from, the site does what it did there.
    ///
    /// # Safety
    /// As long as the space lives, the code at `address` can be called with the registers and the stack
    /// of every site that the hook is enabled at, and leaves them as the code around the site needs
    /// them: all of them, unless its compiler was told otherwise.
    ///
    /// # Errors
    /// [`Error::DataSpaceFull`], [`Error::CodeSpaceFull`], [`Error::Forked`]; the stub could not be made
    /// visible to all threads ([`Error::Coherence`]).
    pub unsafe fn code_hook(self: &Arc<Self>, address: usize) -> Result<CodeHook> {
        let core = HookCore::new(self, StubKind::Code)?;
        let mut guard = self.lock();
        let state = &mut *guard;
        let slot = self.slot_for_hook(state, StubKind::Code, core.id);
        if let Ok(slot) = slot {
            self.word(state, slot)
                .store(address as u64, Ordering::Release);
        }
        // Dropping a hook takes the lock.
        drop(guard);
        slot.map(|_| CodeHook::new(core))
    }

    /// Gives a hook the stub that all its sites call.
    fn slot_for_hook(&self, state: &mut State, kind: StubKind, hook: HookId) -> Result<Slot> {
        if state.slots.needs_block(kind) {
            self.add_block(state, kind)?;
        }
        let slot = state.slots.take_unattached(kind, hook);
        let slot = slot.ok_or(Error::DataSpaceFull)?;
        let record = state.hooks.get_mut(hook).ok_or(Error::ForeignHook)?;
        record.slots.push(slot);
        Ok(slot)
    }

    /// Gives a call hook its stub, and the stub its context.
    fn attach_context(&self, hook: HookId, closure: Closure) -> Result<Arc<CallContext>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let slot = self.slot_for_hook(state, StubKind::Call, hook)?;
        let [entered, left] = [0, 1].map(|word| self.counter(state, slot, word));
        let context = CallContext::new(Arc::clone(self.index()), entered, left, closure);
        let address = Arc::as_ptr(&context) as u64;
        self.word(state, slot).store(address, Ordering::Release);
        state.contexts.push(Arc::clone(&context));
        Ok(context)
    }

    /// Switches off the sites of a hook whose last handle is gone, and gives its stubs up.
    fn retire_hook(&self, id: HookId) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.hooks.drop_handles(id);
        if state.hooks.sites_on(id) != 0 {
            let mut operations: Vec<Operation> = Vec::new();
            for site in state.directory.sites_calling(id) {
                if !operations.last_mut().is_some_and(|last| last.widen(site)) {
                    operations.push(Operation::new(Action::Release, site, id));
                }
            }
            if self.apply(state, self.protocol(), &operations).is_err() {
                // Threads may still be on their way into the stubs: they must stay what they are.
                return;
            }
        }
        if let Some(record) = state.hooks.remove(id) {
            for slot in record.slots {
                state.slots.disown(slot);
            }
        }
    }

    fn data_of(&self, state: &State, slot: Slot) -> *mut u8 {
        let block = state.slots.block(slot);
        let offset = block.data + slot.position() * block.kind.data_size();
        self.region().data(offset)
    }

    /// The word of a call or code stub: the address of its context, or of the code.
    fn word(&self, state: &State, slot: Slot) -> &AtomicU64 {
        let data = self.data_of(state, slot);
        debug_assert_eq!(state.slots.block(slot).kind.data_size(), 8);
        // SAFETY: eight aligned bytes of the block's data, mapped as long as the space; threads in
        // stubs access them atomically.
        unsafe { AtomicU64::from_ptr(data.cast()) }
    }

    /// The flag of a once stub.
    pub(crate) fn flag(&self, state: &State, slot: Slot) -> &AtomicU8 {
        // SAFETY: a byte of the block's data, mapped as long as the space; threads in stubs access
        // it by single stores.
        unsafe { AtomicU8::from_ptr(self.data_of(state, slot)) }
    }

    /// The flag that the once stubs of a block share.
    fn shared_flag(&self, state: &State, block: usize) -> &AtomicU8 {
        let block = state.slots.blocks()[block];
        let offset = block.data + block.kind.shared_offset();
        // SAFETY: as for `flag`.
        unsafe { AtomicU8::from_ptr(self.region().data(offset)) }
    }

    /// Resets the data of a count or once stub for its new owner.
    pub(crate) fn clear_data(&self, state: &mut State, slot: Slot) {
        match state.slots.block(slot).kind {
            StubKind::Count => {
                let sum = self.counter(state, slot, 0).sum();
                state.slots.set_zero(slot, sum);
            }
            StubKind::Once => self.flag(state, slot).store(0, Ordering::Relaxed),
            StubKind::Call | StubKind::Code => {}
        }
    }

    /// The stub a hook has for a site, also if the site's code is gone.
    fn slot_of(&self, state: &mut State, hook: HookId, site: SiteId) -> Option<Slot> {
        if let Some(place) = state.directory.locate(site) {
            let list = *state.directory.slots_mut(place)?;
            return state.slots.find(list, hook);
        }
        let slots = &state.hooks.get(hook)?.slots;
        slots
            .iter()
            .copied()
            .find(|&slot| state.slots.site(slot) == site)
    }
}
