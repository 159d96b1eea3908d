//! Host functions as the guest calls them.

use crate::activation::run_for_guest;
use crate::store::StoreOpaque;
use crate::type_registry::FuncTypeEntry;
use crate::vmctx::{VMFuncRef, VMStoreContext};
use crate::{Instance, Result, arch};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// The body of a host function: store, calling instance, arguments and results in 64-bit cells.
///
/// The store is the first field of a `StoreInner<T>`, of the `T` the function was made for.
pub(crate) type Callback =
    dyn Fn(*mut StoreOpaque, Option<Instance>, *mut u64) -> Result<()> + Send + Sync;

/// A function defined by the host, not yet part of a store.
pub struct HostFunc {
    pub(crate) ty: Arc<FuncTypeEntry>,
    pub(crate) callback: Box<Callback>,
}

/// The context of a host function: what compiled code passes to it as first parameter.
///
/// There is one for each instance that imports the function, so that the function can tell who
/// calls it.
#[repr(C)]
pub(crate) struct HostRecord {
    /// The first field, as `exit_shim!` demands.
    store: *mut VMStoreContext,
    /// What the code calls.
    pub(crate) shim: unsafe extern "C" fn(),
    func: Arc<HostFunc>,
    caller: Option<Instance>,
    /// The reference to the function.
    func_ref: VMFuncRef,
}

const _: () = assert!(std::mem::offset_of!(HostRecord, store) == 0);

arch::exit_shim!(call_host_shim => call_host);

impl HostRecord {
    /// A record for the store with this context, whose code for functions of the type is `code`.
    pub(crate) fn new(
        store: *mut VMStoreContext,
        func: Arc<HostFunc>,
        caller: Option<Instance>,
        code: *const u8,
    ) -> NonNull<HostRecord> {
        let type_id = func.ty.id();
        let record = Box::into_raw(Box::new(HostRecord {
            store,
            shim: call_host_shim,
            func,
            caller,
            func_ref: VMFuncRef {
                code,
                context: ptr::null_mut(),
                type_id,
            },
        }));
        // SAFETY: just allocated.
        unsafe {
            (*record).func_ref.context = record.cast();
            NonNull::new_unchecked(record)
        }
    }

    pub(crate) fn func(&self) -> &Arc<HostFunc> {
        &self.func
    }

    /// The reference to the function of a record.
    pub(crate) fn func_ref(record: NonNull<HostRecord>) -> NonNull<VMFuncRef> {
        let offset = std::mem::offset_of!(HostRecord, func_ref);
        // SAFETY: a field of the record.
        unsafe { record.byte_add(offset).cast() }
    }
}

/// # Safety
/// Called by an exit trampoline through the shim.
unsafe extern "C" fn call_host(record: *mut HostRecord, cells: *mut u64) {
    // SAFETY: records live as long as their store.
    unsafe {
        run_for_guest((*record).store, |store| {
            let func = &*(*record).func;
            (func.callback)(store, (*record).caller, cells)
        })
    }
}
