//! Global variables.

use crate::context::{AsContext, AsContextMut};
use crate::store::{StoreId, StoreOpaque};
use crate::values::Val;
use crate::{Error, GlobalType, Result, ValType};
use std::ptr::NonNull;

/// A global variable of a store.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: StoreId,
    cell: NonNull<u64>,
    ty: GlobalType,
}

// SAFETY: the pointer is only used while the store it belongs to is borrowed.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

impl Global {
    /// A new global.
    ///
    /// Fails if `value` is of another type.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let mut store = store.as_context_mut();
        let raw = content(ty, &value, store.opaque())?;
        let cell = store.opaque().add_global(raw);
        Ok(Global::at(store.opaque(), cell, ty))
    }

    /// The global at a place that belongs to the store.
    pub(crate) fn at(store: &StoreOpaque, cell: NonNull<u64>, ty: GlobalType) -> Global {
        let store = store.id();
        Global { store, cell, ty }
    }

    /// Where the value is.
    pub(crate) fn cell(&self, store: &StoreOpaque) -> NonNull<u64> {
        store.check(self.store);
        self.cell
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        store.as_context().0.opaque.check(self.store);
        self.ty
    }

    /// Its type, in whatever store it is.
    pub(crate) fn global_type(&self) -> GlobalType {
        self.ty
    }

    /// Its value.
    pub fn get(&self, store: impl AsContext) -> Val {
        let store = &store.as_context().0.opaque;
        let cell = self.cell(store);
        // SAFETY: the place is valid as long as the store and holds a value of the type. Compiled
        // code writes narrow values to the low bytes.
        unsafe { Val::from_raw(cell.read(), self.ty.content(), store) }
    }

    /// Set its value.
    ///
    /// Fails if it is immutable or `value` of another type.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let cell = self.cell(store);
        if !self.ty.mutable() {
            return Err(Error::type_mismatch("an immutable global cannot be set"));
        }
        let raw = content(self.ty, &value, store)?;
        // SAFETY: the place is valid as long as the store, which is borrowed mutably.
        unsafe { cell.write(raw) };
        Ok(())
    }
}

/// A value in the form it has in a global of type `ty`.
fn content(ty: GlobalType, value: &Val, store: &mut StoreOpaque) -> Result<u64> {
    let (expected, found): (ValType, ValType) = (ty.content(), value.ty());
    if found != expected {
        return Err(Error::type_mismatch(format!(
            "a global of type {expected} cannot hold an {found}"
        )));
    }
    value.to_raw(store)
}
