//! Instances of modules.

use crate::context::AsContextMut;
use crate::externs::Extern;
use crate::func::Func;
use crate::global::Global;
use crate::instantiate::{Import, instantiate};
use crate::memory::Memory;
use crate::module::Module;
use crate::module_info::{ConstEnv, ConstExpr, ElementItems, ExternIndex};
use crate::store::{StoreId, StoreOpaque};
use crate::table::Table;
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::vmctx::{ContextMemory, VMFuncRef, VMFunctionImport};
use crate::{Error, Result};
use std::ptr::NonNull;

/// An instance of a module in a store.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    pub(crate) store: StoreId,
    pub(crate) index: u32,
}

/// An instance: its context and what is not in there.
#[derive(Debug)]
pub(crate) struct InstanceData {
    pub(crate) module: Module,
    pub(crate) context: ContextMemory,
    /// The store's memories and tables by their indices in the module.
    pub(crate) memories: Box<[Memory]>,
    pub(crate) tables: Box<[Table]>,
    /// Which segments were dropped.
    pub(crate) dropped_data: Box<[bool]>,
    pub(crate) dropped_elements: Box<[bool]>,
}

impl InstanceData {
    /// Code and context of a function of the module.
    pub(crate) fn callee(&self, func: u32) -> VMFunctionImport {
        let info = self.module.info();
        match info.defined_func(func) {
            Some(defined) => VMFunctionImport {
                code: self.module.func_code(defined),
                context: self.context.as_ptr(),
            },
            // SAFETY: the layout has an import of this index, filled in at instantiation.
            None => unsafe {
                self.context
                    .at::<VMFunctionImport>(info.offsets.func_import(func))
                    .read()
            },
        }
    }

    /// The reference to a function of the module. Validation makes sure that there is one for
    /// every function that a reference to is asked for.
    pub(crate) fn func_ref(&self, func: u32) -> NonNull<VMFuncRef> {
        let info = self.module.info();
        let index = info.func_ref_index[func as usize].expect("a function that escapes");
        // SAFETY: the layout has a reference of this index.
        let func_ref = unsafe { self.context.at(info.offsets.func_ref(index)) };
        NonNull::new(func_ref).expect("inside the context")
    }

    /// Make the reference to a function that the module defines, if there is one, that to `code`.
    ///
    /// # Safety
    /// Called by the thread that the store belongs to, and the code is that of the function.
    pub(crate) unsafe fn update_func_ref(&self, defined: u32, code: *const u8) {
        let index = defined + self.module.info().counts.imported_funcs;
        if self.module.info().func_ref_index[index as usize].is_some() {
            // SAFETY: the reference is in the context, and read by this thread only.
            unsafe { (*self.func_ref(index).as_ptr()).code = code };
        }
    }

    /// Where the value of a global of the module is.
    pub(crate) fn global(&self, global: u32) -> NonNull<u64> {
        let info = self.module.info();
        // SAFETY: the layout has a global or an import of this index; the latter was filled in at
        // instantiation.
        let cell = unsafe {
            match info.defined_global(global) {
                Some(defined) => self.context.at(info.offsets.global(defined)),
                None => *self
                    .context
                    .at::<*mut u64>(info.offsets.global_import(global)),
            }
        };
        NonNull::new(cell).expect("a global that was filled in")
    }

    /// The value of a constant expression.
    pub(crate) fn eval(&self, expr: &ConstExpr) -> u64 {
        expr.eval(&mut &*self)
    }

    /// Element `i` of an element segment.
    pub(crate) fn element(&self, items: &ElementItems, i: usize) -> u64 {
        match items {
            ElementItems::Functions(funcs) => self.func_ref(funcs[i]).as_ptr() as u64,
            ElementItems::Expressions(exprs) => self.eval(&exprs[i]),
        }
    }
}

impl ConstEnv for &InstanceData {
    fn global(&mut self, index: u32) -> u64 {
        // SAFETY: globals live as long as the store.
        unsafe { InstanceData::global(self, index).read() }
    }

    fn func_ref(&mut self, index: u32) -> u64 {
        InstanceData::func_ref(self, index).as_ptr() as u64
    }
}

impl Instance {
    /// Instantiate a module with these imports, in the order in which it declares them.
    ///
    /// Fails if they do not fit the module, or its segments or start function trap.
    pub fn new(
        mut store: impl AsContextMut,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        let expected = module.info().imports.len();
        if imports.len() != expected {
            return Err(Error::link(format!(
                "{} imports given to a module that has {expected}",
                imports.len()
            )));
        }
        let imports = imports.iter().copied().map(Import::Extern).collect();
        instantiate(&mut store.as_context_mut(), module, imports)
    }

    /// The module.
    pub fn module<'a, T: 'a>(&self, store: impl Into<crate::StoreContext<'a, T>>) -> &'a Module {
        &store.into().0.opaque.instance(*self).module
    }

    /// An export.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let index = store.instance(*self).module.export(name)?;
        Some(self.item(store, index))
    }

    /// All exports, in the order in which the module declares them.
    pub fn exports(&self, mut store: impl AsContextMut) -> Vec<(String, Extern)> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let exports = &store.instance(*self).module.info().exports;
        exports
            .iter()
            .map(|(name, index)| (name.to_string(), self.item(store, *index)))
            .collect()
    }

    /// Something of the module that is exported.
    fn item(&self, store: &StoreOpaque, index: ExternIndex) -> Extern {
        let data = store.instance(*self);
        match index {
            // SAFETY: the reference is in the context of an instance of this store.
            ExternIndex::Func(i) => unsafe { Func::from_ref(store, data.func_ref(i)) }.into(),
            ExternIndex::Table(i) => data.tables[i as usize].into(),
            ExternIndex::Memory(i) => data.memories[i as usize].into(),
            ExternIndex::Global(i) => {
                let ty = data.module.info().globals[i as usize];
                Global::at(store, data.global(i), ty).into()
            }
        }
    }

    /// An exported function.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// An exported function with parameters `P` and results `R`.
    ///
    /// Fails if there is no function of this name and type.
    pub fn get_typed_func<P: WasmParams, R: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>> {
        match self.get_func(&mut store, name) {
            Some(func) => func.typed(store.as_context()),
            None => Err(Error::link(format!("no exported function `{name}`"))),
        }
    }

    /// An exported memory.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// An exported table.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// An exported global.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }
}
