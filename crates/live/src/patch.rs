//! Patch transactions.

use std::ptr;

use crate::hook::Hook;
use crate::plan::{Action, Operation};
use crate::slots::{HookId, NO_HOOK};
use crate::{CodeSpace, Error, Protocol, Result, SiteId};

/// Changes to sites that take effect together.
///
/// Nothing happens before [`commit`](Self::commit), which performs the operations as if one after
/// the other, with a constant number of broadcasts. Commits of one space exclude each other; they
/// may come from any thread, also from inside a call hook, but not from a signal handler. The hooks
/// must still be there then: a patch keeps no handle of them.
#[must_use = "nothing happens before `commit`"]
pub struct Patch<'s> {
    space: &'s CodeSpace,
    protocol: Protocol,
    operations: Few<Operation>,
    /// Whether an operation refers to a hook of another space.
    foreign: bool,
}

/// A list that needs no memory for one element.
enum Few<T> {
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    #[inline]
    fn push(&mut self, element: T) {
        match self {
            Few::None => *self = Few::One(element),
            Few::One(_) | Few::Many(_) => self.push_more(element),
        }
    }

    #[cold]
    fn push_more(&mut self, element: T) {
        *self = Few::Many(match std::mem::replace(self, Few::None) {
            Few::None => vec![element],
            Few::One(first) => vec![first, element],
            Few::Many(mut elements) => {
                elements.push(element);
                elements
            }
        });
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
            foreign: false,
        }
    }

    /// Makes an off site call `hook`. If it calls this hook already, nothing changes; if it calls
    /// another one, the commit fails with [`Error::SiteInUse`].
    #[inline]
    pub fn enable(&mut self, site: SiteId, hook: &dyn Hook) -> &mut Self {
        self.push(Action::Enable, site, Some(hook))
    }

    /// Makes a site call `hook`, whatever it did before.
    #[inline]
    pub fn retarget(&mut self, site: SiteId, hook: &dyn Hook) -> &mut Self {
        self.push(Action::Retarget, site, Some(hook))
    }

    /// Switches a site off, whatever it calls.
    #[inline]
    pub fn disable(&mut self, site: SiteId) -> &mut Self {
        self.push(Action::Disable, site, None)
    }

    /// Switches a site off if it calls `hook`.
    #[inline]
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

    #[inline]
    fn push(&mut self, action: Action, site: SiteId, hook: Option<&dyn Hook>) -> &mut Self {
        let hook = self.id_of(hook);
        self.operations.push(Operation::new(action, site, hook));
        self
    }

    fn push_all(
        &mut self,
        action: Action,
        sites: impl IntoIterator<Item = SiteId>,
        hook: Option<&dyn Hook>,
    ) -> &mut Self {
        let hook = self.id_of(hook);
        let mut sites = sites.into_iter();
        let Some(site) = sites.next() else {
            return self;
        };
        let mut operation = Operation::new(action, site, hook);
        sites.for_each(|site| {
            if !operation.widen(site) {
                self.operations.push(operation);
                operation = Operation::new(action, site, hook);
            }
        });
        self.operations.push(operation);
        self
    }

    #[inline]
    fn id_of(&mut self, hook: Option<&dyn Hook>) -> HookId {
        let Some(hook) = hook else {
            return NO_HOOK;
        };
        let core = hook.core();
        self.foreign |= !ptr::eq(core.space(), self.space);
        core.id()
    }

    /// Performs the operations given since the last commit.
    ///
    /// When it returns, every thread executes the new form of every site. A thread may still be
    /// inside a hook that it entered before.
    ///
    /// # Errors
    /// [`Error::UnknownSite`], [`Error::SiteInUse`], [`Error::ForeignHook`], [`Error::DroppedHook`],
    /// [`Error::Forked`], the space has no room for stubs, or what the operating system is needed for
    /// failed. Then nothing was changed, with two exceptions: [`Error::Unsettled`] says that everything
    /// was, [`Error::Coherence`] that sites whose hook was to be replaced may be off. The operations are
    /// forgotten in any case.
    pub fn commit(&mut self) -> Result<Commit> {
        // The outcome is made where the caller has it: to copy it just after it was made takes long.
        Forgetting(self).0.perform()
    }

    #[inline]
    fn perform(&self) -> Result<Commit> {
        if self.foreign {
            return Err(Error::ForeignHook);
        }
        self.space.check_not_forked()?;
        let mut state = self.space.lock();
        let operations = self.operations.as_slice();
        self.space.apply(&mut state, self.protocol, operations)
    }
}

/// A patch that forgets its operations at the end.
struct Forgetting<'p, 's>(&'p mut Patch<'s>);

impl Drop for Forgetting<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        self.0.operations = Few::None;
        self.0.foreign = false;
    }
}
