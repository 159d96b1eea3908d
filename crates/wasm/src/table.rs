//! Tables of references.

use crate::context::{AsContext, AsContextMut};
use crate::store::{StoreId, StoreOpaque};
use crate::values::Val;
use crate::vmctx::VMTable;
use crate::{Error, Result, TableType, TrapKind, ValType};
use std::ptr::NonNull;

/// The most elements a table can have, whatever its type says.
const MAX_ELEMENTS: u32 = 10_000_000;

/// A table of a store.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub(crate) store: StoreId,
    pub(crate) index: u32,
}

/// A table and what describes it.
#[derive(Debug)]
pub(crate) struct StoreTable {
    elements: Vec<u64>,
    ty: TableType,
    /// What compiled code uses: in an instance's context, or leaked by this if `owns_vm`.
    vm: NonNull<VMTable>,
    owns_vm: bool,
}

impl StoreTable {
    /// A new table full of `init`, described in `vm` or, if that is none, in a place of its own.
    ///
    /// # Safety
    /// `vm` is valid as long as the table.
    pub(crate) unsafe fn new(
        ty: TableType,
        init: u64,
        vm: Option<NonNull<VMTable>>,
    ) -> Result<Self> {
        let owns_vm = vm.is_none();
        let vm = vm.unwrap_or_else(|| {
            NonNull::from(Box::leak(Box::new(VMTable {
                base: std::ptr::null_mut(),
                len: 0,
            })))
        });
        let mut table = StoreTable {
            elements: Vec::new(),
            ty,
            vm,
            owns_vm,
        };
        match table.grow(ty.min(), init) {
            Some(_) => Ok(table),
            None => Err(Error::limit(format!(
                "a table of {} elements (at most {MAX_ELEMENTS} are possible)",
                ty.min()
            ))),
        }
    }

    pub(crate) fn ty(&self) -> TableType {
        self.ty
    }

    pub(crate) fn vm(&self) -> NonNull<VMTable> {
        self.vm
    }

    pub(crate) fn len(&self) -> u32 {
        self.elements.len() as u32
    }

    /// Add elements. The number of elements before; none if there cannot be so many.
    pub(crate) fn grow(&mut self, delta: u32, init: u64) -> Option<u32> {
        let old = self.len();
        let max = self.ty.max().unwrap_or(u32::MAX).min(MAX_ELEMENTS);
        let new = old.checked_add(delta).filter(|&new| new <= max)?;
        self.elements.try_reserve(delta as usize).ok()?;
        self.elements.resize(new as usize, init);
        let vm = VMTable {
            base: self.elements.as_mut_ptr(),
            len: new.into(),
        };
        // SAFETY: valid as long as the table.
        unsafe { self.vm.write(vm) };
        Some(old)
    }

    /// A range of the elements.
    pub(crate) fn range(&mut self, from: u32, len: u32) -> Result<&mut [u64], TrapKind> {
        let from = from as usize;
        let range = from..from + len as usize;
        self.elements
            .get_mut(range)
            .ok_or(TrapKind::TableOutOfBounds)
    }
}

impl Drop for StoreTable {
    fn drop(&mut self) {
        if self.owns_vm {
            // SAFETY: leaked from a box in `new`.
            drop(unsafe { Box::from_raw(self.vm.as_ptr()) });
        }
    }
}

impl Table {
    /// A new table full of `init`.
    ///
    /// Fails if `init` is no reference of the right type, or the table is larger than a table can be.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table> {
        let mut store = store.as_context_mut();
        let init = element(ty, &init, store.opaque())?;
        // SAFETY: the table has its description to itself.
        let table = unsafe { StoreTable::new(ty, init, None)? };
        Ok(Table::add(store.opaque(), table))
    }

    pub(crate) fn add(store: &mut StoreOpaque, table: StoreTable) -> Table {
        store.tables.push(table);
        Table {
            store: store.id(),
            index: store.tables.len() as u32 - 1,
        }
    }

    pub(crate) fn data<'a>(&self, store: &'a StoreOpaque) -> &'a StoreTable {
        store.check(self.store);
        &store.tables[self.index as usize]
    }

    fn data_mut<'a>(&self, store: &'a mut StoreOpaque) -> &'a mut StoreTable {
        store.check(self.store);
        &mut store.tables[self.index as usize]
    }

    /// The type it was declared with.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        self.data(&store.as_context().0.opaque).ty()
    }

    /// Number of elements.
    pub fn size(&self, store: impl AsContext) -> u32 {
        self.data(&store.as_context().0.opaque).len()
    }

    /// An element; none if the table is not so long.
    pub fn get(&self, store: impl AsContext, index: u32) -> Option<Val> {
        let store = &store.as_context().0.opaque;
        let table = self.data(store);
        let raw = *table.elements.get(index as usize)?;
        // SAFETY: the elements have the type of the table and belong to its store.
        Some(unsafe { Val::from_raw(raw, table.ty().element().into(), store) })
    }

    /// Replace an element.
    ///
    /// Fails if the table is not so long, or the value no reference of the right type.
    pub fn set(&self, mut store: impl AsContextMut, index: u32, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let ty = self.data(store.opaque()).ty();
        let value = element(ty, &value, store.opaque())?;
        let slot = self.data_mut(store.opaque()).range(index, 1)?;
        slot[0] = value;
        Ok(())
    }

    /// Add `delta` elements. Returns the number of elements there were.
    ///
    /// Fails if the table would exceed its maximum, or `init` is no reference of the right type.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u32, init: Val) -> Result<u32> {
        let mut store = store.as_context_mut();
        let ty = self.data(store.opaque()).ty();
        let init = element(ty, &init, store.opaque())?;
        let table = self.data_mut(store.opaque());
        table.grow(delta, init).ok_or_else(|| {
            let len = table.len();
            Error::limit(format!("a table of {len} elements cannot grow by {delta}"))
        })
    }
}

/// A value in the form it has in a table of type `ty`.
fn element(ty: TableType, value: &Val, store: &mut StoreOpaque) -> Result<u64> {
    let expected = ValType::from(ty.element());
    if value.ty() != expected {
        let found = value.ty();
        return Err(Error::type_mismatch(format!(
            "a table of {expected} cannot hold an {found}"
        )));
    }
    value.to_raw(store)
}
