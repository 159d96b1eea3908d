//! Linear memories.
//!
//! Each has address space for the largest memory there can be and for any static offset beyond
//! it, so that compiled code needs no bounds checks: an access outside the memory faults. The base
//! never moves.

use crate::context::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use crate::mmap::Reservation;
use crate::store::{StoreId, StoreOpaque};
use crate::vmctx::VMMemory;
use crate::{Error, MemoryType, Result, TrapKind};
use std::ptr::NonNull;
use std::slice;

/// Size of a page of Wasm memory.
pub(crate) const PAGE_SIZE: u64 = 64 << 10;
/// The most pages a memory can have.
const MAX_PAGES: u64 = 1 << 16;
/// Any 32-bit address plus any 32-bit offset, and the widest access there.
const RESERVED: usize = (4 << 30) + (4 << 30) + (64 << 10);

/// A linear memory of a store.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub(crate) store: StoreId,
    pub(crate) index: u32,
}

/// A memory and what describes it.
#[derive(Debug)]
pub(crate) struct StoreMemory {
    mapping: Reservation,
    ty: MemoryType,
    /// What compiled code uses: in an instance's context, or leaked by this if `owns_vm`.
    vm: NonNull<VMMemory>,
    owns_vm: bool,
}

impl StoreMemory {
    /// A new memory, described in `vm` or, if that is none, in a place of its own.
    ///
    /// # Safety
    /// `vm` is valid as long as the memory.
    pub(crate) unsafe fn new(ty: MemoryType, vm: Option<NonNull<VMMemory>>) -> Result<Self> {
        let fail = |error| Error::system(format!("no address space for a memory: {error}"));
        let mapping = Reservation::new(RESERVED).map_err(fail)?;
        let described = VMMemory {
            base: mapping.base(),
            len: 0,
        };
        let owns_vm = vm.is_none();
        let vm = match vm {
            Some(vm) => {
                // SAFETY: valid, says the caller.
                unsafe { vm.write(described) };
                vm
            }
            None => NonNull::from(Box::leak(Box::new(described))),
        };
        let mut memory = StoreMemory {
            mapping,
            ty,
            vm,
            owns_vm,
        };
        match memory.grow(ty.min().into()) {
            Some(_) => Ok(memory),
            None => Err(Error::limit(format!("a memory of {} pages", ty.min()))),
        }
    }

    pub(crate) fn ty(&self) -> MemoryType {
        self.ty
    }

    pub(crate) fn vm(&self) -> NonNull<VMMemory> {
        self.vm
    }

    /// Length in bytes.
    fn len(&self) -> u64 {
        // SAFETY: valid as long as the memory.
        unsafe { self.vm.as_ref().len }
    }

    /// Length in pages.
    pub(crate) fn pages(&self) -> u64 {
        self.len() / PAGE_SIZE
    }

    /// Add pages. The number of pages before; none if there cannot be so many.
    pub(crate) fn grow(&mut self, delta: u64) -> Option<u64> {
        let old = self.pages();
        let max = self.ty.max().map_or(MAX_PAGES, u64::from).min(MAX_PAGES);
        let new = old.checked_add(delta).filter(|&new| new <= max)?;
        let (from, len) = (old * PAGE_SIZE, delta * PAGE_SIZE);
        self.mapping.open(from as usize, len as usize).ok()?;
        // SAFETY: valid as long as the memory.
        unsafe { self.vm.as_mut().len = new * PAGE_SIZE };
        Some(old)
    }

    fn data(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are accessible, and the guest, which may change them, does
        // not run while the store is borrowed.
        unsafe { slice::from_raw_parts(self.mapping.base(), self.len() as usize) }
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`.
        unsafe { slice::from_raw_parts_mut(self.mapping.base(), self.len() as usize) }
    }
}

impl Drop for StoreMemory {
    fn drop(&mut self) {
        if self.owns_vm {
            // SAFETY: leaked from a box in `new`.
            drop(unsafe { Box::from_raw(self.vm.as_ptr()) });
        }
    }
}

impl Memory {
    /// A new memory, filled with zeros.
    ///
    /// Fails if there is no address space left for it, or it is larger than a memory can be.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        // SAFETY: the memory has its description to itself.
        let memory = unsafe { StoreMemory::new(ty, None)? };
        Ok(Memory::add(store.opaque(), memory))
    }

    pub(crate) fn add(store: &mut StoreOpaque, memory: StoreMemory) -> Memory {
        store.memories.push(memory);
        Memory {
            store: store.id(),
            index: store.memories.len() as u32 - 1,
        }
    }

    pub(crate) fn get<'a>(&self, store: &'a StoreOpaque) -> &'a StoreMemory {
        store.check(self.store);
        &store.memories[self.index as usize]
    }

    fn get_mut<'a>(&self, store: &'a mut StoreOpaque) -> &'a mut StoreMemory {
        store.check(self.store);
        &mut store.memories[self.index as usize]
    }

    /// The type it was declared with.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.get(&store.as_context().0.opaque).ty()
    }

    /// All bytes.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        self.get(&store.into().0.opaque).data()
    }

    /// All bytes.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        self.get_mut(&mut store.into().0.opaque).data_mut()
    }

    /// All bytes, and the host's value of the store.
    pub fn data_and_store_mut<'a, T: 'a>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let inner = store.into().0;
        (self.get_mut(&mut inner.opaque).data_mut(), &mut inner.data)
    }

    /// Length in pages of 64 KiB.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get(&store.as_context().0.opaque).pages()
    }

    /// Length in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.get(&store.as_context().0.opaque).len() as usize
    }

    /// Add `delta` pages of zeros. Returns the number of pages there were.
    ///
    /// Fails if the memory would exceed its maximum, or the system has no memory.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let mut store = store.as_context_mut();
        let memory = self.get_mut(store.opaque());
        memory.grow(delta).ok_or_else(|| {
            let pages = memory.pages();
            Error::limit(format!("a memory of {pages} pages cannot grow by {delta}"))
        })
    }

    /// Copy bytes from `offset` on out of the memory.
    ///
    /// Fails with [`TrapKind::MemoryOutOfBounds`] if they are not all in the memory.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let store = store.as_context();
        let data = self.get(&store.0.opaque).data();
        let from = range(offset, buffer.len())
            .and_then(|range| data.get(range))
            .ok_or(TrapKind::MemoryOutOfBounds)?;
        buffer.copy_from_slice(from);
        Ok(())
    }

    /// Copy bytes into the memory from `offset` on.
    ///
    /// Fails with [`TrapKind::MemoryOutOfBounds`] if they do not all fit.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, bytes: &[u8]) -> Result<()> {
        let mut store = store.as_context_mut();
        let data = self.get_mut(store.opaque()).data_mut();
        range(offset, bytes.len())
            .and_then(|range| data.get_mut(range))
            .ok_or(TrapKind::MemoryOutOfBounds)?
            .copy_from_slice(bytes);
        Ok(())
    }
}

fn range(offset: usize, len: usize) -> Option<std::ops::Range<usize>> {
    Some(offset..offset.checked_add(len)?)
}
