//! Stores: what instances live in.

use crate::activation::Activation;
use crate::backtrace::RawBacktrace;
use crate::engine::Engine;
use crate::host_func::{HostFunc, HostRecord};
use crate::instance::InstanceData;
use crate::memory::StoreMemory;
use crate::stack::{CompileStack, WasmStack};
use crate::table::StoreTable;
use crate::values::ExternRefs;
use crate::vmctx::{VMFuncRef, VMStoreContext};
use crate::{Instance, Result};
use nopal_live::CodeSpace;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a store among all of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoreId(u64);

impl StoreId {
    fn next() -> StoreId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        StoreId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Instances and all that belongs to them, and a value of the host's choice.
///
/// Functions, memories, tables, globals and instances are handles into a store; using one with
/// another store panics. What was created in a store is freed when the store is dropped.
///
/// A store can move to another thread if its `T` can. Guest code that is to run in several
/// threads needs a store in each; they can share modules.
#[derive(Debug)]
pub struct Store<T> {
    pub(crate) inner: Box<StoreInner<T>>,
}

// SAFETY: the raw pointers in a store lead to memory that it owns; what it shares with other
// stores (code, types, host functions) is `Sync`. References to the inside that guest code or a
// `Caller` uses do not outlive a borrow of the store, and are not `Send` themselves.
unsafe impl<T: Send> Send for Store<T> {}

/// The inside of a store, at a fixed address.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StoreInner<T> {
    /// The first field: a pointer to it is one to the whole.
    pub(crate) opaque: StoreOpaque,
    pub(crate) data: T,
}

/// The part of a store that does not depend on the host's type.
#[derive(Debug)]
pub struct StoreOpaque {
    id: StoreId,
    engine: Engine,
    context: NonNull<VMStoreContext>,
    stack: Option<Box<WasmStack>>,
    compile_stack: Option<CompileStack>,
    pub(crate) instances: Vec<InstanceData>,
    pub(crate) memories: Vec<StoreMemory>,
    pub(crate) tables: Vec<StoreTable>,
    pub(crate) externs: ExternRefs,
    /// Globals that belong to no instance.
    globals: Vec<NonNull<u64>>,
    host_records: Vec<NonNull<HostRecord>>,
}

impl<T> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        Store {
            inner: Box::new(StoreInner {
                opaque: StoreOpaque::new(engine),
                data,
            }),
        }
    }

    /// The host's value.
    pub fn data(&self) -> &T {
        &self.inner.data
    }

    /// The host's value.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }

    /// The host's value, dropping all else.
    pub fn into_data(self) -> T {
        self.inner.data
    }

    /// The engine the store was created for.
    pub fn engine(&self) -> &Engine {
        self.inner.opaque.engine()
    }
}

impl StoreOpaque {
    fn new(engine: &Engine) -> Self {
        let context = Box::new(VMStoreContext {
            exit_fp: 0,
            exit_pc: 0,
            compile_stack: 0,
            activation: ptr::null_mut::<Activation>(),
            store: ptr::null_mut(),
            backtrace: RawBacktrace::new(),
        });
        StoreOpaque {
            id: StoreId::next(),
            engine: engine.clone(),
            context: NonNull::from(Box::leak(context)),
            stack: None,
            compile_stack: None,
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            externs: ExternRefs::default(),
            globals: Vec::new(),
            host_records: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> StoreId {
        self.id
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Panics if a handle belongs to another store.
    #[inline]
    pub(crate) fn check(&self, id: StoreId) {
        assert!(
            id == self.id,
            "a handle was used with a store it does not belong to"
        );
    }

    /// What all contexts of the store point to.
    pub(crate) fn context(&self) -> *mut VMStoreContext {
        self.context.as_ptr()
    }

    /// The code space that the store's code is in.
    pub(crate) fn code_space(&self) -> &Arc<CodeSpace> {
        self.engine.code_space()
    }

    /// The stack that guest code runs on.
    pub(crate) fn stack(&mut self) -> Result<&WasmStack> {
        if self.stack.is_none() {
            let size = self.engine.config().max_wasm_stack;
            self.stack = Some(Box::new(WasmStack::new(size)?));
        }
        Ok(self.stack.as_ref().expect("just made"))
    }

    /// Prepare for functions that are compiled when the guest calls them.
    pub(crate) fn make_compile_stack(&mut self) -> Result<()> {
        if self.compile_stack.is_none() {
            let stack = self.compile_stack.insert(CompileStack::new()?);
            // SAFETY: the context lives as long as the store.
            unsafe { (*self.context.as_ptr()).compile_stack = stack.top() };
        }
        Ok(())
    }

    pub(crate) fn instance(&self, instance: Instance) -> &InstanceData {
        self.check(instance.store);
        &self.instances[instance.index as usize]
    }

    /// Make a host function callable in this store, by `caller` if that is given.
    pub(crate) fn add_host_func(
        &mut self,
        func: Arc<HostFunc>,
        caller: Option<Instance>,
    ) -> Result<NonNull<VMFuncRef>> {
        let code = self.engine.exit_trampoline(&func.ty)?;
        let record = HostRecord::new(self.context(), func, caller, code);
        self.host_records.push(record);
        Ok(HostRecord::func_ref(record))
    }

    /// The host function that a reference of this store leads to, if it is one.
    ///
    /// # Safety
    /// The reference belongs to this store.
    pub(crate) unsafe fn host_func_of(
        &self,
        func_ref: NonNull<VMFuncRef>,
    ) -> Option<Arc<HostFunc>> {
        // SAFETY: references live as long as their store; one whose code is the trampoline to host
        // functions has a record as its context.
        unsafe {
            let func_ref = func_ref.as_ref();
            let ty = self.engine.types().get(func_ref.type_id);
            let exit = ty.exit.get()?;
            (exit.base() == func_ref.code as usize)
                .then(|| (*func_ref.context.cast::<HostRecord>()).func().clone())
        }
    }

    /// A global that belongs to no instance.
    pub(crate) fn add_global(&mut self, value: u64) -> NonNull<u64> {
        let global = NonNull::from(Box::leak(Box::new(value)));
        self.globals.push(global);
        global
    }
}

impl Drop for StoreOpaque {
    fn drop(&mut self) {
        // SAFETY: all were leaked from boxes by this store, and no guest code of it is running.
        unsafe {
            drop(Box::from_raw(self.context.as_ptr()));
            for global in self.globals.drain(..) {
                drop(Box::from_raw(global.as_ptr()));
            }
            for record in self.host_records.drain(..) {
                drop(Box::from_raw(record.as_ptr()));
            }
        }
    }
}
