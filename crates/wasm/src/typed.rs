//! Functions whose types are known when the host is compiled.

use crate::context::AsContextMut;
use crate::func::Func;
use crate::store::StoreOpaque;
use crate::trampoline::EnterTrampoline;
use crate::values::ExternRef;
use crate::{Result, ValType};
use std::marker::PhantomData;

use sealed::Cell;
pub(crate) use sealed::Cells;

/// A Rust type that corresponds to a Wasm value type.
pub trait WasmTy: sealed::Cell {}

/// Parameters of a [`TypedFunc`]: a [`WasmTy`] or a tuple of up to 16.
pub trait WasmParams: sealed::Cells {}

/// Results of a [`TypedFunc`]: a [`WasmTy`] or a tuple of up to 16.
pub trait WasmResults: sealed::Cells {}

/// The most parameters or results.
pub(crate) const MAX_ARITY: usize = 16;

mod sealed {
    use super::*;

    /// A value that fits a 64-bit cell.
    pub trait Cell: Sized {
        const TYPE: ValType;

        fn into_cell(self, store: &mut StoreOpaque) -> u64;

        /// # Safety
        /// The cell holds a value of the type that belongs to the store.
        unsafe fn from_cell(cell: u64, store: &StoreOpaque) -> Self;
    }

    /// Values that take a cell each, at most [`MAX_ARITY`].
    pub trait Cells: Sized {
        fn types() -> Vec<ValType>;

        /// # Safety
        /// There is room for as many cells as there are types.
        unsafe fn write(self, store: &mut StoreOpaque, cells: *mut u64);

        /// # Safety
        /// The cells hold values of the types that belong to the store.
        unsafe fn read(cells: *const u64, store: &StoreOpaque) -> Self;
    }
}

macro_rules! cells {
    ($($rust:ty = $ty:ident, ($value:ident, $into_store:ident) => $into:expr, ($cell:ident, $from_store:ident) => $from:expr;)*) => {
        $(
            impl Cell for $rust {
                const TYPE: ValType = ValType::$ty;

                #[inline]
                fn into_cell(self, $into_store: &mut StoreOpaque) -> u64 {
                    let $value = self;
                    $into
                }

                #[inline]
                unsafe fn from_cell($cell: u64, $from_store: &StoreOpaque) -> Self {
                    $from
                }
            }

            impl WasmTy for $rust {}
        )*
    };
}
cells! {
    i32 = I32, (n, _store) => u64::from(n as u32), (cell, _store) => cell as i32;
    u32 = I32, (n, _store) => u64::from(n), (cell, _store) => cell as u32;
    i64 = I64, (n, _store) => n as u64, (cell, _store) => cell as i64;
    u64 = I64, (n, _store) => n, (cell, _store) => cell;
    f32 = F32, (x, _store) => u64::from(x.to_bits()), (cell, _store) => f32::from_bits(cell as u32);
    f64 = F64, (x, _store) => x.to_bits(), (cell, _store) => f64::from_bits(cell);
    Option<Func> = FuncRef, (func, store) => Func::option_to_raw(func, store),
        // SAFETY: the cell holds a reference of the store.
        (cell, store) => unsafe { Func::option_from_raw(cell, store) };
    Option<ExternRef> = ExternRef, (object, store) => object.map_or(0, |object| store.externs.handle(&object)),
        (cell, store) => store.externs.get(cell);
}

impl<A: WasmTy> Cells for A {
    fn types() -> Vec<ValType> {
        vec![A::TYPE]
    }

    #[inline]
    unsafe fn write(self, store: &mut StoreOpaque, cells: *mut u64) {
        // SAFETY: there is room for one.
        unsafe { *cells = self.into_cell(store) }
    }

    #[inline]
    unsafe fn read(cells: *const u64, store: &StoreOpaque) -> Self {
        // SAFETY: there is one of this type.
        unsafe { A::from_cell(*cells, store) }
    }
}

impl<A: WasmTy> WasmParams for A {}
impl<A: WasmTy> WasmResults for A {}

/// Calls `$m!` with the type parameters of each tuple of up to [`MAX_ARITY`] elements.
macro_rules! for_each_arity {
    ($m:ident) => {
        $m!();
        $m!(A0);
        $m!(A0, A1);
        $m!(A0, A1, A2);
        $m!(A0, A1, A2, A3);
        $m!(A0, A1, A2, A3, A4);
        $m!(A0, A1, A2, A3, A4, A5);
        $m!(A0, A1, A2, A3, A4, A5, A6);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8, A9);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12);
        $m!(A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13);
        $m!(
            A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14
        );
        $m!(
            A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15
        );
    };
}
pub(crate) use for_each_arity;

macro_rules! tuple_cells {
    ($($a:ident),*) => {
        #[allow(
            non_snake_case,
            unused_variables,
            unused_mut,
            unused_assignments,
            clippy::unused_unit,
            reason = "the variables are named like the types, and the empty tuple uses none"
        )]
        impl<$($a: WasmTy),*> Cells for ($($a,)*) {
            fn types() -> Vec<ValType> {
                vec![$($a::TYPE),*]
            }

            #[inline]
            unsafe fn write(self, store: &mut StoreOpaque, cells: *mut u64) {
                let ($($a,)*) = self;
                let mut at = 0;
                // SAFETY: there is room for as many.
                $(unsafe { *cells.add(at) = $a.into_cell(store) };
                at += 1;)*
            }

            #[inline]
            unsafe fn read(cells: *const u64, store: &StoreOpaque) -> Self {
                let mut at = 0;
                // SAFETY: there are as many of these types.
                $(let $a = unsafe { $a::from_cell(*cells.add(at), store) };
                at += 1;)*
                ($($a,)*)
            }
        }

        impl<$($a: WasmTy),*> WasmParams for ($($a,)*) {}
        impl<$($a: WasmTy),*> WasmResults for ($($a,)*) {}
    };
}
for_each_arity!(tuple_cells);

/// A function with parameters `P` and results `R`.
#[derive(Debug)]
pub struct TypedFunc<P, R> {
    func: Func,
    trampoline: EnterTrampoline,
    ty: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P: WasmParams, R: WasmResults> TypedFunc<P, R> {
    /// # Safety
    /// The function has these types, and `trampoline` is that for its type.
    pub(crate) unsafe fn new(func: Func, trampoline: EnterTrampoline) -> Self {
        TypedFunc {
            func,
            trampoline,
            ty: PhantomData,
        }
    }

    /// The function without its type.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Call it.
    ///
    /// Fails if the guest traps, or a host function that it calls fails.
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R> {
        let mut store = store.as_context_mut();
        store.opaque().check(self.func.store_id());
        let mut cells = [0; MAX_ARITY];
        // SAFETY: no more parameters or results than there are cells; the function has these types.
        unsafe {
            params.write(store.opaque(), cells.as_mut_ptr());
            self.func
                .call_cells(store.as_ptr(), self.trampoline, cells.as_mut_ptr())?;
            Ok(R::read(cells.as_ptr(), store.opaque()))
        }
    }
}
