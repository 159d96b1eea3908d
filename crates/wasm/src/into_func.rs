//! Closures as host functions.

use crate::context::Caller;
use crate::host_func::HostFunc;
use crate::store::StoreOpaque;
use crate::typed::{Cells, WasmResults, WasmTy, for_each_arity};
use crate::{Engine, Error, FuncType, Result, ValType};

/// A closure that can be a host function.
///
/// Its parameters are up to 16 [`WasmTy`]s, after a [`Caller`] if it wants one; it returns
/// [`WasmResults`], or a [`Result`] of them.
pub trait IntoFunc<T, P, R>: sealed::IntoHostFunc<T, P, R> {}

impl<T, P, R, F: sealed::IntoHostFunc<T, P, R>> IntoFunc<T, P, R> for F {}

/// What a closure that is a host function can return.
pub trait WasmRet: sealed::Ret {}

impl<R: sealed::Ret> WasmRet for R {}

mod sealed {
    use super::*;

    pub trait IntoHostFunc<T, P, R>: Sized {
        fn into_host_func(self, engine: &Engine) -> HostFunc;
    }

    pub trait Ret {
        fn types() -> Vec<ValType>;

        /// # Safety
        /// There is room for as many cells as there are types.
        unsafe fn finish(self, store: &mut StoreOpaque, cells: *mut u64) -> Result<()>;
    }
}

impl<R: WasmResults> sealed::Ret for R {
    fn types() -> Vec<ValType> {
        <R as Cells>::types()
    }

    unsafe fn finish(self, store: &mut StoreOpaque, cells: *mut u64) -> Result<()> {
        // SAFETY: as the caller says.
        unsafe { self.write(store, cells) };
        Ok(())
    }
}

impl<R: WasmResults> sealed::Ret for Result<R, Error> {
    fn types() -> Vec<ValType> {
        <R as Cells>::types()
    }

    unsafe fn finish(self, store: &mut StoreOpaque, cells: *mut u64) -> Result<()> {
        // SAFETY: as the caller says.
        unsafe { self?.write(store, cells) };
        Ok(())
    }
}

macro_rules! closures {
    ($($a:ident),*) => {
        #[allow(
            non_snake_case,
            reason = "the variables are named like the types"
        )]
        impl<T, F, $($a,)* R> sealed::IntoHostFunc<T, ($($a,)*), R> for F
        where
            F: Fn($($a),*) -> R + Send + Sync + 'static,
            $($a: WasmTy,)*
            R: WasmRet,
        {
            fn into_host_func(self, engine: &Engine) -> HostFunc {
                let ty = FuncType::new(<($($a,)*) as Cells>::types(), R::types());
                HostFunc {
                    ty: engine.types().intern(&ty),
                    // SAFETY: the cells hold arguments of the function's type and have room for
                    // its results.
                    callback: Box::new(move |store, _, cells| unsafe {
                        let ($($a,)*) = Cells::read(cells, &*store);
                        self($($a),*).finish(&mut *store, cells)
                    }),
                }
            }
        }

        #[allow(
            non_snake_case,
            reason = "the variables are named like the types"
        )]
        impl<T: 'static, F, $($a,)* R> sealed::IntoHostFunc<T, (Caller<'_, T>, $($a,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($a),*) -> R + Send + Sync + 'static,
            $($a: WasmTy,)*
            R: WasmRet,
        {
            fn into_host_func(self, engine: &Engine) -> HostFunc {
                let ty = FuncType::new(<($($a,)*) as Cells>::types(), R::types());
                HostFunc {
                    ty: engine.types().intern(&ty),
                    // SAFETY: as above; the store is that of a `T` and in nobody else's hands.
                    callback: Box::new(move |store, instance, cells| unsafe {
                        let ($($a,)*) = Cells::read(cells, &*store);
                        let caller = Caller::<T>::new(store, instance);
                        self(caller, $($a),*).finish(&mut *store, cells)
                    }),
                }
            }
        }
    };
}
for_each_arity!(closures);
