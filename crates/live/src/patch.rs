//! Patch transactions.

use std::ptr;
use std::sync::Arc;

use crate::hook::{Hook, HookCore};
use crate::plan::{Action, Operation};
use crate::slots::NO_HOOK;
use crate::{CodeSpace, Error, Protocol, Result, SiteId};

/// Changes to sites that take effect together.
///
/// Nothing happens before [`commit`](Self::commit), which performs the operations as if one after
/// the other, with a constant number of broadcasts. Commits of one space exclude each other; they
/// may come from any thread, also from inside a call hook, but not from a signal handler.
#[must_use = "nothing happens before `commit`"]
pub struct Patch<'s> {
    space: &'s CodeSpace,
    protocol: Protocol,
    operations: Few<Operation>,
    /// The hooks that operations refer to, kept alive until the commit.
    hooks: Few<Arc<HookCore>>,
}

/// A list that needs no memory for one element.
enum Few<T> {
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    fn push(&mut self, element: T) {
        match self {
            Few::None => *self = Few::One(element),
            Few::One(_) => {
                if let Few::One(first) = std::mem::replace(self, Few::None) {
                    *self = Few::Many(vec![first, element]);
                }
            }
            Few::Many(elements) => elements.push(element),
        }
    }

    fn as_slice(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(element) => std::slice::from_ref(element),
            Few::Many(elements) => elements,
        }
    }
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Sites that differ from before.
    pub changed: usize,
    /// Broadcasts made: at most three, or four after a commit that failed with
    /// [`Error::Unsettled`]; not counted is the one before writing with
    /// [`MemoryMode::Single`](crate::MemoryMode::Single).
    pub broadcasts: u32,
}

impl<'s> Patch<'s> {
    pub(crate) fn new(space: &'s CodeSpace) -> Patch<'s> {
        Patch {
            space,
            protocol: space.protocol(),
            operations: Few::None,
            hooks: Few::None,
        }
    }

    /// Makes an off site call `hook`. If it calls this hook already, nothing changes; if it calls
    /// another one, the commit fails with [`Error::SiteInUse`].
    pub fn enable(&mut self, site: SiteId, hook: &dyn Hook) -> &mut Self {
        self.push(Action::Enable, site, Some(hook))
    }

    /// Makes a site call `hook`, whatever it did before.
    pub fn retarget(&mut self, site: SiteId, hook: &dyn Hook) -> &mut Self {
        self.push(Action::Retarget, site, Some(hook))
    }

    /// Switches a site off, whatever it calls.
    pub fn disable(&mut self, site: SiteId) -> &mut Self {
        self.push(Action::Disable, site, None)
    }

    /// Switches a site off if it calls `hook`.
    pub fn release(&mut self, site: SiteId, hook: &dyn Hook) -> &mut Self {
        self.push(Action::Release, site, Some(hook))
    }

    /// [`enable`](Self::enable) for each site.
    pub fn enable_all(
        &mut self,
        sites: impl IntoIterator<Item = SiteId>,
        hook: &dyn Hook,
    ) -> &mut Self {
        self.push_all(Action::Enable, sites, Some(hook))
    }

    /// [`retarget`](Self::retarget) for each site.
    pub fn retarget_all(
        &mut self,
        sites: impl IntoIterator<Item = SiteId>,
        hook: &dyn Hook,
    ) -> &mut Self {
        self.push_all(Action::Retarget, sites, Some(hook))
    }

    /// [`disable`](Self::disable) for each site.
    pub fn disable_all(&mut self, sites: impl IntoIterator<Item = SiteId>) -> &mut Self {
        self.push_all(Action::Disable, sites, None)
    }

    /// [`release`](Self::release) for each site.
    pub fn release_all(
        &mut self,
        sites: impl IntoIterator<Item = SiteId>,
        hook: &dyn Hook,
    ) -> &mut Self {
        self.push_all(Action::Release, sites, Some(hook))
    }

    /// Uses a protocol other than the space's.
    pub fn protocol(&mut self, protocol: Protocol) -> &mut Self {
        self.protocol = protocol;
        self
    }

    fn push(&mut self, action: Action, site: SiteId, hook: Option<&dyn Hook>) -> &mut Self {
        self.push_all(action, [site], hook)
    }

    fn push_all(
        &mut self,
        action: Action,
        sites: impl IntoIterator<Item = SiteId>,
        hook: Option<&dyn Hook>,
    ) -> &mut Self {
        let hook = hook.map_or(NO_HOOK, |hook| self.keep(hook.core()));
        let mut sites = sites.into_iter();
        let Some(site) = sites.next() else {
            return self;
        };
        let mut operation = Operation::new(action, site, hook);
        for site in sites {
            if !operation.widen(site) {
                self.operations.push(operation);
                operation = Operation::new(action, site, hook);
            }
        }
        self.operations.push(operation);
        self
    }

    /// Keeps a hook alive until the commit; returns its id.
    fn keep(&mut self, core: &Arc<HookCore>) -> u32 {
        let mut kept = self.hooks.as_slice().iter().rev();
        if !kept.any(|kept| Arc::ptr_eq(kept, core)) {
            self.hooks.push(Arc::clone(core));
        }
        core.id()
    }

    /// Performs the operations given since the last commit.
    ///
    /// When it returns, every thread executes the new form of every site. A thread may still be
    /// inside a hook that it entered before.
    ///
    /// # Errors
    /// After any error but the ones named, nothing was changed: [`Error::Unsettled`] says that
    /// everything was, [`Error::Coherence`] that sites whose hook was to be replaced may be off.
    pub fn commit(&mut self) -> Result<Commit> {
        let outcome = self.perform();
        self.operations = Few::None;
        // After the lock was released: dropping the last reference to a hook takes it.
        self.hooks = Few::None;
        outcome
    }

    fn perform(&self) -> Result<Commit> {
        let mut used = self.hooks.as_slice().iter();
        if !used.all(|hook| ptr::eq(hook.space(), self.space)) {
            return Err(Error::ForeignHook);
        }
        self.space.check_not_forked()?;
        let mut state = self.space.lock();
        let operations = self.operations.as_slice();
        self.space.apply(&mut state, self.protocol, operations)
    }
}
