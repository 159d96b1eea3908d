//! Ways to get at a store: by owning it, or by being called by its guest.

use crate::engine::Engine;
use crate::store::{StoreInner, StoreOpaque};
use crate::{Extern, Instance, Store};

/// A borrowed store.
#[derive(Clone, Copy)]
pub struct StoreContext<'a, T>(pub(crate) &'a StoreInner<T>);

/// A mutably borrowed store.
pub struct StoreContextMut<'a, T>(pub(crate) &'a mut StoreInner<T>);

/// The store of the guest that called a host function.
pub struct Caller<'a, T> {
    store: StoreContextMut<'a, T>,
    instance: Option<Instance>,
}

/// What a store can be borrowed from.
pub trait AsContext {
    /// The host's value in the store.
    type Data;

    /// The store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What a store can be mutably borrowed from.
pub trait AsContextMut: AsContext {
    /// The store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<'a, T> StoreContext<'a, T> {
    /// The host's value.
    pub fn data(&self) -> &'a T {
        &self.0.data
    }

    /// The engine the store was created for.
    pub fn engine(&self) -> &'a Engine {
        self.0.opaque.engine()
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The host's value.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The host's value.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The engine the store was created for.
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }

    pub(crate) fn opaque(&mut self) -> &mut StoreOpaque {
        &mut self.0.opaque
    }

    /// The store as guest code and host functions that it calls know it.
    pub(crate) fn as_ptr(&mut self) -> *mut StoreOpaque {
        (&raw mut *self.0).cast()
    }
}

impl<'a, T> Caller<'a, T> {
    /// # Safety
    /// `store` points into a `StoreInner<T>` that nobody else uses during `'a`.
    pub(crate) unsafe fn new(store: *mut StoreOpaque, instance: Option<Instance>) -> Self {
        // SAFETY: as the caller says.
        let store = StoreContextMut(unsafe { &mut *store.cast::<StoreInner<T>>() });
        Caller { store, instance }
    }

    /// The host's value.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The host's value.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// The instance that imports the function; none if the function was not called through an
    /// import. An instance that gives the function away, say in a table, stays its caller.
    pub fn instance(&self) -> Option<Instance> {
        self.instance
    }

    /// An export of the calling instance.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        self.instance?.get_export(&mut self.store, name)
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

impl<'a, C: AsContext> From<&'a C> for StoreContext<'a, C::Data> {
    fn from(store: &'a C) -> Self {
        store.as_context()
    }
}

impl<'a, C: AsContext> From<&'a mut C> for StoreContext<'a, C::Data> {
    fn from(store: &'a mut C) -> Self {
        C::as_context(store)
    }
}

impl<'a, C: AsContextMut> From<&'a mut C> for StoreContextMut<'a, C::Data> {
    fn from(store: &'a mut C) -> Self {
        store.as_context_mut()
    }
}
