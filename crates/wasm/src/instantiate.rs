//! Making an instance: imports, context, segments, start function.

use crate::activation::{GuestCall, enter};
use crate::context::StoreContextMut;
use crate::externs::Extern;
use crate::host_func::HostFunc;
use crate::instance::{Instance, InstanceData};
use crate::memory::{Memory, StoreMemory};
use crate::module::Module;
use crate::module_info::{DataMode, ElementMode, ExternIndex, ModuleInfo};
use crate::segments;
use crate::store::StoreOpaque;
use crate::table::{StoreTable, Table};
use crate::vmctx::{ContextMemory, VMFuncRef, VMFunctionImport, VMStoreContext};
use crate::{Error, ExternType, Result, builtins_impl, vm_offsets};
use std::ptr::NonNull;
use std::sync::Arc;

/// What an import is satisfied with.
#[derive(Clone)]
pub(crate) enum Import {
    Extern(Extern),
    /// A host function that is not part of a store yet.
    Host(Arc<HostFunc>),
}

/// Make an instance of `module`. There are as many imports as it has.
pub(crate) fn instantiate<T>(
    store: &mut StoreContextMut<'_, T>,
    module: &Module,
    imports: Vec<Import>,
) -> Result<Instance> {
    let opaque = store.opaque();
    if !module.engine().same(opaque.engine()) {
        return Err(Error::link(
            "the module was compiled by another engine than the store's",
        ));
    }
    for (import, given) in module.info().imports.iter().zip(&imports) {
        let expected = module.info().extern_type(import.index);
        check_import(opaque, &import.module, &import.name, &expected, given)?;
    }
    let instance = Instance {
        store: opaque.id(),
        index: opaque.instances.len() as u32,
    };
    if module.lazy().is_some() {
        opaque.make_compile_stack()?;
    }
    let data = Builder::new(opaque, module, instance, imports)?.build()?;
    opaque.instances.push(data);
    init_tables(opaque, instance)?;
    init_memories(opaque, instance)?;
    start(store, instance)?;
    Ok(instance)
}

/// Fail if an import is of another type than the module expects.
fn check_import(
    store: &StoreOpaque,
    module: &str,
    name: &str,
    expected: &ExternType,
    given: &Import,
) -> Result<()> {
    let found = match given {
        Import::Host(func) => ExternType::Func(func.ty.ty().clone()),
        Import::Extern(given) => extern_type(store, given),
    };
    if matches(expected, &found) {
        return Ok(());
    }
    Err(Error::link(format!(
        "incompatible import type for `{module}::{name}`: expected {expected}, found {found}"
    )))
}

fn extern_type(store: &StoreOpaque, given: &Extern) -> ExternType {
    match given {
        Extern::Func(func) => {
            let ty = store.engine().types().get(func.type_id(store));
            ExternType::Func(ty.ty().clone())
        }
        Extern::Table(table) => {
            let table = table.data(store);
            let ty = table.ty();
            ExternType::Table(crate::TableType::new(ty.element(), table.len(), ty.max()))
        }
        Extern::Memory(memory) => {
            let memory = memory.get(store);
            let max = memory.ty().max();
            ExternType::Memory(crate::MemoryType::new(memory.pages() as u32, max))
        }
        Extern::Global(global) => {
            global.cell(store);
            ExternType::Global(global.global_type())
        }
    }
}

/// Whether something of type `found` can be imported as `expected`.
fn matches(expected: &ExternType, found: &ExternType) -> bool {
    let limits = |min: u32, max: Option<u32>, found_min: u32, found_max: Option<u32>| {
        found_min >= min
            && match (max, found_max) {
                (None, _) => true,
                (Some(max), Some(found)) => found <= max,
                (Some(_), None) => false,
            }
    };
    match (expected, found) {
        (ExternType::Func(a), ExternType::Func(b)) => a == b,
        (ExternType::Table(a), ExternType::Table(b)) => {
            a.element() == b.element() && limits(a.min(), a.max(), b.min(), b.max())
        }
        (ExternType::Memory(a), ExternType::Memory(b)) => {
            limits(a.min(), a.max(), b.min(), b.max())
        }
        (ExternType::Global(a), ExternType::Global(b)) => a == b,
        _ => false,
    }
}

/// Fills the context of a new instance.
struct Builder<'a> {
    store: &'a mut StoreOpaque,
    module: &'a Module,
    info: &'a ModuleInfo,
    context: ContextMemory,
    memories: Vec<Memory>,
    tables: Vec<Table>,
}

impl<'a> Builder<'a> {
    fn new(
        store: &'a mut StoreOpaque,
        module: &'a Module,
        instance: Instance,
        imports: Vec<Import>,
    ) -> Result<Self> {
        let info = module.info();
        let context = ContextMemory::new(info.offsets.size(), instance.index)?;
        let mut builder = Builder {
            store,
            module,
            info,
            context,
            memories: Vec::new(),
            tables: Vec::new(),
        };
        builder.header();
        for (import, given) in info.imports.iter().zip(imports) {
            builder.import(import.index, given, instance)?;
        }
        Ok(builder)
    }

    /// # Safety
    /// The layout has a `T` at the offset.
    unsafe fn set<T>(&self, offset: i32, value: T) {
        // SAFETY: as the caller says.
        unsafe { self.context.at::<T>(offset).write(value) }
    }

    fn header(&mut self) {
        // SAFETY: the fields that every context has.
        unsafe {
            self.set::<*mut VMStoreContext>(vm_offsets::STORE_CONTEXT, self.store.context());
            self.set(vm_offsets::BUILTINS, builtins_impl::table());
            self.set(vm_offsets::TYPE_IDS, self.module.type_ids().as_ptr());
        }
    }

    /// Fill in an import, of a type that was checked.
    fn import(&mut self, index: ExternIndex, given: Import, instance: Instance) -> Result<()> {
        let offsets = &self.info.offsets;
        match (index, given) {
            (ExternIndex::Func(i), given) => {
                let func_ref = self.imported_func(given, instance)?;
                // SAFETY: references live as long as the store; the layout has this import.
                unsafe {
                    let func_ref = func_ref.as_ref();
                    let import = VMFunctionImport {
                        code: func_ref.code,
                        context: func_ref.context,
                    };
                    self.set(offsets.func_import(i), import);
                }
            }
            (ExternIndex::Table(i), Import::Extern(Extern::Table(table))) => {
                let vm = table.data(self.store).vm();
                // SAFETY: the layout has this import.
                unsafe { self.set(offsets.table_import(i), vm) };
                self.tables.push(table);
            }
            (ExternIndex::Memory(i), Import::Extern(Extern::Memory(memory))) => {
                let vm = memory.get(self.store).vm();
                // SAFETY: the layout has this import.
                unsafe { self.set(offsets.memory_import(i), vm) };
                self.memories.push(memory);
            }
            (ExternIndex::Global(i), Import::Extern(Extern::Global(global))) => {
                let cell = global.cell(self.store);
                // SAFETY: the layout has this import.
                unsafe { self.set(offsets.global_import(i), cell) };
            }
            _ => unreachable!("the kinds of imports were checked"),
        }
        Ok(())
    }

    /// The function to import. Host functions are made to know who calls them.
    fn imported_func(&mut self, given: Import, caller: Instance) -> Result<NonNull<VMFuncRef>> {
        let func_ref = match given {
            Import::Host(host) => return self.store.add_host_func(host, Some(caller)),
            Import::Extern(Extern::Func(func)) => func.func_ref(self.store),
            Import::Extern(_) => unreachable!("the kinds of imports were checked"),
        };
        // SAFETY: the reference belongs to the store.
        match unsafe { self.store.host_func_of(func_ref) } {
            Some(host) => self.store.add_host_func(host, Some(caller)),
            None => Ok(func_ref),
        }
    }

    fn build(mut self) -> Result<InstanceData> {
        let offsets = &self.info.offsets;
        for (i, ty) in (0..).zip(&self.info.tables[self.tables.len()..]) {
            // SAFETY: the description is in the context, which lives as long as the store.
            let table = unsafe {
                let vm = NonNull::new(self.context.at(offsets.table(i)));
                StoreTable::new(*ty, 0, vm)?
            };
            self.tables.push(Table::add(self.store, table));
        }
        for (i, ty) in (0..).zip(&self.info.memories[self.memories.len()..]) {
            // SAFETY: as above.
            let memory = unsafe {
                let vm = NonNull::new(self.context.at(offsets.memory(i)));
                StoreMemory::new(*ty, vm)?
            };
            self.memories.push(Memory::add(self.store, memory));
        }
        let data = InstanceData {
            module: self.module.clone(),
            context: self.context,
            memories: self.memories.into(),
            tables: self.tables.into(),
            dropped_data: vec![false; self.info.data.len()].into(),
            dropped_elements: vec![false; self.info.elements.len()].into(),
        };
        init_func_refs(&data);
        init_globals(&data);
        Ok(data)
    }
}

fn init_func_refs(data: &InstanceData) {
    let info = data.module.info();
    for (func, slot) in (0..).zip(&info.func_ref_index) {
        if slot.is_some() {
            let callee = data.callee(func);
            let type_id = data.module.type_ids()[info.funcs[func as usize] as usize];
            // SAFETY: the reference is in the context.
            unsafe {
                data.func_ref(func).write(VMFuncRef {
                    code: callee.code,
                    context: callee.context,
                    type_id,
                });
            }
        }
    }
}

/// Globals can depend on earlier ones.
fn init_globals(data: &InstanceData) {
    let info = data.module.info();
    for (index, init) in (info.counts.imported_globals..).zip(&info.global_inits) {
        let value = data.eval(init);
        // SAFETY: the global is in the context.
        unsafe { data.global(index).write(value) };
    }
}

fn init_tables(store: &mut StoreOpaque, instance: Instance) -> Result<()> {
    let index = instance.index as usize;
    let module = store.instances[index].module.clone();
    for (segment, element) in (0..).zip(&module.info().elements) {
        match &element.mode {
            ElementMode::Active { table, offset } => {
                let offset = store.instances[index].eval(offset) as u32;
                let len = element.items.len() as u32;
                segments::table_init(store, index, *table, segment, offset, 0, len)?;
                segments::elem_drop(store, index, segment);
            }
            ElementMode::Passive => {}
            ElementMode::Declared => segments::elem_drop(store, index, segment),
        }
    }
    Ok(())
}

fn init_memories(store: &mut StoreOpaque, instance: Instance) -> Result<()> {
    let index = instance.index as usize;
    let module = store.instances[index].module.clone();
    for (segment, data) in (0..).zip(&module.info().data) {
        if let DataMode::Active { memory, offset } = &data.mode {
            let offset = store.instances[index].eval(offset) as u32;
            let len = data.range.end - data.range.start;
            segments::memory_init(store, index, *memory, segment, offset, 0, len)?;
            segments::data_drop(store, index, segment);
        }
    }
    Ok(())
}

fn start<T>(store: &mut StoreContextMut<'_, T>, instance: Instance) -> Result<()> {
    let opaque = store.opaque();
    let data = &opaque.instances[instance.index as usize];
    let info = data.module.info();
    let Some(func) = info.start else {
        return Ok(());
    };
    let callee = data.callee(func);
    let ty = opaque.engine().types().intern(info.func_type(func));
    let call = GuestCall {
        trampoline: opaque.engine().enter_trampoline(&ty)?,
        code: callee.code,
        context: callee.context,
        args: NonNull::dangling().as_ptr(),
    };
    // SAFETY: a start function has neither parameters nor results.
    unsafe { enter(store.as_ptr(), call) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FuncType, GlobalType, MemoryType, RefType, TableType, ValType};

    #[test]
    fn imports_match_by_the_rules_of_limits() {
        let memory = |min, max| ExternType::Memory(MemoryType::new(min, max));
        assert!(matches(&memory(1, None), &memory(2, Some(3))));
        assert!(matches(&memory(1, Some(3)), &memory(1, Some(3))));
        assert!(!matches(&memory(2, None), &memory(1, None)));
        assert!(!matches(&memory(1, Some(3)), &memory(1, None)));
        assert!(!matches(&memory(1, Some(3)), &memory(1, Some(4))));
        let table = |ty, min| ExternType::Table(TableType::new(ty, min, None));
        assert!(matches(&table(RefType::Func, 1), &table(RefType::Func, 1)));
        assert!(!matches(
            &table(RefType::Func, 1),
            &table(RefType::Extern, 1)
        ));
        let global = |mutable| ExternType::Global(GlobalType::new(ValType::I32, mutable));
        assert!(matches(&global(true), &global(true)));
        assert!(!matches(&global(true), &global(false)));
        let func = |ty| ExternType::Func(FuncType::new([ty], []));
        assert!(matches(&func(ValType::I32), &func(ValType::I32)));
        assert!(!matches(&func(ValType::I32), &func(ValType::I64)));
        assert!(!matches(&func(ValType::I32), &global(true)));
    }
}
