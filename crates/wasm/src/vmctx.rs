//! What compiled code and the runtime share; see `vm_offsets` for the layout of a context.

use crate::activation::Activation;
use crate::backtrace::RawBacktrace;
use crate::store::StoreOpaque;
use crate::{Error, Result, vm_offsets};
use std::alloc::Layout;
use std::mem::offset_of;
use std::ptr::NonNull;

/// What a `funcref` points to.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct VMFuncRef {
    /// The entry for callers that are Wasm code: fast convention, the context first.
    pub(crate) code: *const u8,
    /// The context that the code expects.
    pub(crate) context: *mut u8,
    /// The engine-wide id of the function's type.
    pub(crate) type_id: u32,
}

/// An imported function in a context.
#[repr(C)]
pub(crate) struct VMFunctionImport {
    pub(crate) code: *const u8,
    pub(crate) context: *mut u8,
}

/// A table as compiled code sees it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct VMTable {
    pub(crate) base: *mut u64,
    /// Number of elements.
    pub(crate) len: u64,
}

/// A memory as compiled code sees it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct VMMemory {
    pub(crate) base: *mut u8,
    /// Length in bytes.
    pub(crate) len: u64,
}

const _: () = {
    assert!(offset_of!(VMFuncRef, code) == vm_offsets::FUNC_CODE as usize);
    assert!(offset_of!(VMFuncRef, context) == vm_offsets::FUNC_CONTEXT as usize);
    assert!(offset_of!(VMFuncRef, type_id) == vm_offsets::FUNC_TYPE_ID as usize);
    assert!(offset_of!(VMFunctionImport, code) == vm_offsets::FUNC_CODE as usize);
    assert!(offset_of!(VMFunctionImport, context) == vm_offsets::FUNC_CONTEXT as usize);
    assert!(offset_of!(VMTable, base) == vm_offsets::TABLE_BASE as usize);
    assert!(offset_of!(VMTable, len) == vm_offsets::TABLE_LEN as usize);
    assert!(offset_of!(VMMemory, base) == vm_offsets::MEMORY_BASE as usize);
    assert!(offset_of!(VMMemory, len) == vm_offsets::MEMORY_LEN as usize);
    // The shims and host functions find the store's context through the first word.
    assert!(vm_offsets::STORE_CONTEXT == 0);
};

/// The part of a store that does not move and that every context of the store points to.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct VMStoreContext {
    /// Frame pointer of the guest code that called the host last.
    pub(crate) exit_fp: usize,
    /// Address in the guest code that the call returns to.
    pub(crate) exit_pc: usize,
    /// The top of the stack that functions called by the guest are compiled on, if any are.
    pub(crate) compile_stack: usize,
    /// The innermost call into the guest; null if there is none.
    pub(crate) activation: *mut Activation,
    /// The store, as the innermost call into the guest knows it.
    pub(crate) store: *mut StoreOpaque,
    /// Filled when a trap is raised, read when the call it ended has returned.
    pub(crate) backtrace: RawBacktrace,
}

impl VMStoreContext {
    /// Where the guest called the host last: address and frame pointer.
    pub(crate) fn exit(&self) -> (usize, usize) {
        (self.exit_pc, self.exit_fp)
    }
}

/// The memory of an instance's context, at a fixed address.
#[derive(Debug)]
pub(crate) struct ContextMemory {
    context: NonNull<u8>,
    layout: Layout,
}

/// What precedes a context: the instance's number in its store.
const HEADER: usize = 16;

impl ContextMemory {
    /// A zeroed context of `size` bytes for the instance with number `instance` in its store.
    pub(crate) fn new(size: u32, instance: u32) -> Result<Self> {
        let full = HEADER + size as usize;
        let fail = || Error::system(format!("no memory for an instance of {full} bytes"));
        let layout = Layout::from_size_align(full, 16).map_err(|_| fail())?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).ok_or_else(fail)?;
        // SAFETY: the allocation begins with the header.
        let context = unsafe {
            start.cast::<u64>().write(instance.into());
            start.add(HEADER)
        };
        Ok(ContextMemory { context, layout })
    }

    /// The pointer that compiled code gets.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.context.as_ptr()
    }

    /// A field of the context.
    ///
    /// # Safety
    /// A `T` is at this offset of the layout that the size was computed from.
    pub(crate) unsafe fn at<T>(&self, offset: i32) -> *mut T {
        debug_assert!(offset as usize + size_of::<T>() + HEADER <= self.layout.size());
        // SAFETY: inside the allocation, says the caller.
        unsafe { self.as_ptr().add(offset as usize).cast() }
    }
}

impl Drop for ContextMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.as_ptr().sub(HEADER), self.layout) }
    }
}

/// The number of the instance that a context belongs to.
///
/// # Safety
/// `context` comes from a live [`ContextMemory`].
pub(crate) unsafe fn instance_of(context: *const u8) -> usize {
    // SAFETY: the header precedes the context.
    unsafe { *context.sub(HEADER).cast::<u64>() as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_aligned_and_zero_and_knows_its_instance() {
        let memory = ContextMemory::new(100, 7).unwrap();
        assert_eq!(memory.as_ptr() as usize % 16, 0);
        // SAFETY: the context is live and has 100 bytes.
        unsafe {
            assert_eq!(instance_of(memory.as_ptr()), 7);
            assert_eq!(*memory.at::<u64>(88), 0);
        }
    }
}
