//! Functions of the guest and the host.

use crate::activation::{GuestCall, enter};
use crate::context::{AsContext, AsContextMut, Caller};
use crate::host_func::HostFunc;
use crate::into_func::IntoFunc;
use crate::store::{StoreId, StoreOpaque};
use crate::trampoline::EnterTrampoline;
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::values::Val;
use crate::vmctx::VMFuncRef;
use crate::{Engine, Error, FuncType, Result, ValType};
use std::ptr::NonNull;
use std::sync::Arc;

/// A function of a store: one of an instance, or one of the host.
#[derive(Clone, Copy, Debug)]
pub struct Func {
    store: StoreId,
    func_ref: NonNull<VMFuncRef>,
}

// SAFETY: the pointer is only used while the store it belongs to is borrowed.
unsafe impl Send for Func {}
// SAFETY: as above.
unsafe impl Sync for Func {}

/// Calls with no more parameters and results need no memory from the heap.
const INLINE_CELLS: usize = 16;

impl Func {
    /// A host function of a type that is known at run time only.
    ///
    /// `body` gets the arguments, which are of the type's parameters, and stores as many results.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        body: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Func> {
        let mut store = store.as_context_mut();
        let func = dynamic_host_func(store.engine(), &ty, body);
        Func::from_host_func(store.opaque(), Arc::new(func))
    }

    /// A host function whose type follows from a closure's.
    pub fn wrap<T: 'static, P, R>(
        mut store: impl AsContextMut<Data = T>,
        body: impl IntoFunc<T, P, R>,
    ) -> Result<Func> {
        let mut store = store.as_context_mut();
        let func = body.into_host_func(store.engine());
        Func::from_host_func(store.opaque(), Arc::new(func))
    }

    pub(crate) fn from_host_func(store: &mut StoreOpaque, func: Arc<HostFunc>) -> Result<Func> {
        let func_ref = store.add_host_func(func, None)?;
        Ok(Func {
            store: store.id(),
            func_ref,
        })
    }

    /// # Safety
    /// The reference belongs to the store.
    pub(crate) unsafe fn from_ref(store: &StoreOpaque, func_ref: NonNull<VMFuncRef>) -> Func {
        let store = store.id();
        Func { store, func_ref }
    }

    /// The reference to the function, valid as long as the store.
    pub(crate) fn func_ref(&self, store: &StoreOpaque) -> NonNull<VMFuncRef> {
        store.check(self.store);
        self.func_ref
    }

    pub(crate) fn option_to_raw(func: Option<Func>, store: &StoreOpaque) -> u64 {
        func.map_or(0, |func| func.func_ref(store).as_ptr() as u64)
    }

    /// # Safety
    /// `raw` is a `funcref` of the store.
    pub(crate) unsafe fn option_from_raw(raw: u64, store: &StoreOpaque) -> Option<Func> {
        let func_ref = NonNull::new(raw as *mut VMFuncRef)?;
        // SAFETY: as the caller says.
        Some(unsafe { Func::from_ref(store, func_ref) })
    }

    /// The store it belongs to.
    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    /// The engine-wide id of its type.
    pub(crate) fn type_id(&self, store: &StoreOpaque) -> u32 {
        // SAFETY: valid as long as the store.
        unsafe { self.func_ref(store).as_ref().type_id }
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = &store.as_context().0.opaque;
        let ty = store.engine().types().get(self.type_id(store));
        ty.ty().clone()
    }

    /// Call it. The results are stored to `results`, whose length must fit.
    ///
    /// Fails if the arguments do not fit its type, the guest traps, or a host function that it
    /// calls fails.
    pub fn call(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let opaque = store.opaque();
        let entry = opaque.engine().types().get(self.type_id(opaque));
        let ty = entry.ty();
        check_params(ty, params)?;
        if results.len() != ty.results().len() {
            let (found, expected) = (results.len(), ty.results().len());
            return Err(Error::type_mismatch(format!(
                "room for {found} results given to a function that has {expected}"
            )));
        }
        let trampoline = opaque.engine().enter_trampoline(&entry)?;
        let count = params.len().max(results.len());
        let mut inline = [0; INLINE_CELLS];
        let mut heap;
        let cells = if count <= INLINE_CELLS {
            &mut inline[..]
        } else {
            heap = vec![0; count];
            &mut heap[..]
        };
        for (cell, param) in cells.iter_mut().zip(params) {
            *cell = param.to_raw(opaque)?;
        }
        // SAFETY: the cells hold values of the parameters' types and have room for the results,
        // and the trampoline is for the type.
        unsafe { self.call_cells(store.as_ptr(), trampoline, cells.as_mut_ptr())? };
        for ((result, &cell), &ty) in results.iter_mut().zip(&*cells).zip(ty.results()) {
            // SAFETY: the call left results of these types.
            *result = unsafe { Val::from_raw(cell, ty, store.opaque()) };
        }
        Ok(())
    }

    /// # Safety
    /// The store is borrowed mutably, `trampoline` is that for the function's type, and `cells`
    /// has the parameters and room for the results.
    pub(crate) unsafe fn call_cells(
        &self,
        store: *mut StoreOpaque,
        trampoline: EnterTrampoline,
        cells: *mut u64,
    ) -> Result<()> {
        // SAFETY: as the caller says; references are valid as long as their store.
        unsafe {
            let func_ref = self.func_ref(&*store).as_ref();
            let call = GuestCall {
                trampoline,
                code: func_ref.code,
                context: func_ref.context,
                args: cells,
            };
            enter(store, call)
        }
    }

    /// The function with parameters `P` and results `R`, so that calls need no checks.
    ///
    /// Fails if its type is another.
    pub fn typed<P: WasmParams, R: WasmResults>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<P, R>> {
        let store = &store.as_context().0.opaque;
        let entry = store.engine().types().get(self.type_id(store));
        let expected = FuncType::new(P::types(), R::types());
        if *entry.ty() != expected {
            let found = entry.ty();
            return Err(Error::type_mismatch(format!(
                "a function of type {found} used as {expected}"
            )));
        }
        let trampoline = store.engine().enter_trampoline(&entry)?;
        // SAFETY: the trampoline is that for the type.
        Ok(unsafe { TypedFunc::new(*self, trampoline) })
    }
}

fn check_params(ty: &FuncType, params: &[Val]) -> Result<()> {
    let types = || params.iter().map(Val::ty);
    if types().eq(ty.params().iter().copied()) {
        return Ok(());
    }
    let found = FuncType::new(types(), []);
    let expected = FuncType::new(ty.params().iter().copied(), []);
    let list = |ty: FuncType| ty.to_string().trim_end_matches(" -> ()").to_owned();
    Err(Error::type_mismatch(format!(
        "arguments {} given to a function that takes {}",
        list(found),
        list(expected)
    )))
}

/// A host function whose arguments and results are [`Val`]s.
pub(crate) fn dynamic_host_func<T: 'static>(
    engine: &Engine,
    ty: &FuncType,
    body: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
) -> HostFunc {
    let ty = engine.types().intern(ty);
    let entry = ty.clone();
    HostFunc {
        ty,
        callback: Box::new(move |store, instance, cells| {
            let (params, results) = (entry.ty().params(), entry.ty().results());
            // SAFETY: the cells hold arguments of the function's type and have room for the
            // results; the store is that of a `T` and in nobody else's hands.
            unsafe {
                let args: Vec<Val> = (params.iter().enumerate())
                    .map(|(i, &ty)| Val::from_raw(*cells.add(i), ty, &*store))
                    .collect();
                let mut out: Vec<Val> = results.iter().map(|&ty| Val::default_for(ty)).collect();
                body(Caller::new(store, instance), &args, &mut out)?;
                for (i, (value, &ty)) in out.iter().zip(results).enumerate() {
                    check_result(value, ty)?;
                    *cells.add(i) = value.to_raw(&mut *store)?;
                }
            }
            Ok(())
        }),
    }
}

fn check_result(value: &Val, expected: ValType) -> Result<()> {
    let found = value.ty();
    if found == expected {
        return Ok(());
    }
    Err(Error::type_mismatch(format!(
        "a host function gave an {found} where its type says {expected}"
    )))
}
