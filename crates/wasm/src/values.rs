//! Values at the border between host and guest.

use crate::store::StoreOpaque;
use crate::{Func, Result, ValType};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A Wasm value.
#[derive(Clone, Debug)]
pub enum Val {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of an `f32`.
    F32(u32),
    /// The bits of an `f64`.
    F64(u64),
    /// A function or null.
    FuncRef(Option<Func>),
    /// A host object or null.
    ExternRef(Option<ExternRef>),
}

impl Val {
    /// Its type.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::FuncRef(_) => ValType::FuncRef,
            Val::ExternRef(_) => ValType::ExternRef,
        }
    }

    /// Zero or null.
    pub fn default_for(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::FuncRef => Val::FuncRef(None),
            ValType::ExternRef => Val::ExternRef(None),
        }
    }

    /// The integer, if it is an `i32`.
    pub fn i32(&self) -> Option<i32> {
        match self {
            Val::I32(n) => Some(*n),
            _ => None,
        }
    }

    /// The integer, if it is an `i64`.
    pub fn i64(&self) -> Option<i64> {
        match self {
            Val::I64(n) => Some(*n),
            _ => None,
        }
    }

    /// The number, if it is an `f32`.
    pub fn f32(&self) -> Option<f32> {
        match self {
            Val::F32(bits) => Some(f32::from_bits(*bits)),
            _ => None,
        }
    }

    /// The number, if it is an `f64`.
    pub fn f64(&self) -> Option<f64> {
        match self {
            Val::F64(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// The value as it is in a 64-bit cell. Functions of other stores panic.
    pub(crate) fn to_raw(&self, store: &mut StoreOpaque) -> Result<u64> {
        Ok(match self {
            Val::I32(n) => u64::from(*n as u32),
            Val::I64(n) => *n as u64,
            Val::F32(bits) => u64::from(*bits),
            Val::F64(bits) => *bits,
            Val::FuncRef(func) => Func::option_to_raw(*func, store),
            Val::ExternRef(object) => match object {
                Some(object) => store.externs.handle(object),
                None => 0,
            },
        })
    }

    /// The value in a 64-bit cell.
    ///
    /// # Safety
    /// The cell holds a value of this type that belongs to the store.
    pub(crate) unsafe fn from_raw(raw: u64, ty: ValType, store: &StoreOpaque) -> Val {
        match ty {
            ValType::I32 => Val::I32(raw as i32),
            ValType::I64 => Val::I64(raw as i64),
            ValType::F32 => Val::F32(raw as u32),
            ValType::F64 => Val::F64(raw),
            // SAFETY: as the caller says.
            ValType::FuncRef => Val::FuncRef(unsafe { Func::option_from_raw(raw, store) }),
            ValType::ExternRef => Val::ExternRef(store.externs.get(raw)),
        }
    }
}

macro_rules! val_from {
    ($($ty:ty, $from:ident => $val:expr;)*) => {
        $(impl From<$ty> for Val {
            fn from($from: $ty) -> Val {
                $val
            }
        })*
    };
}
val_from! {
    i32, n => Val::I32(n);
    i64, n => Val::I64(n);
    f32, x => Val::F32(x.to_bits());
    f64, x => Val::F64(x.to_bits());
    Func, func => Val::FuncRef(Some(func));
    Option<Func>, func => Val::FuncRef(func);
    ExternRef, object => Val::ExternRef(Some(object));
    Option<ExternRef>, object => Val::ExternRef(object);
}

/// An object of the host that the guest can hold, but not look into.
///
/// A store keeps every object that was given to its guest until the store is dropped.
#[derive(Clone)]
pub struct ExternRef(Arc<dyn Any + Send + Sync>);

impl ExternRef {
    /// Wrap an object.
    pub fn new(object: impl Any + Send + Sync) -> Self {
        ExternRef(Arc::new(object))
    }

    /// The object.
    pub fn data(&self) -> &(dyn Any + Send + Sync) {
        &*self.0
    }

    /// Whether both are the same object.
    pub fn ptr_eq(&self, other: &ExternRef) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for ExternRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternRef({:p})", Arc::as_ptr(&self.0))
    }
}

/// The host objects of a store. The guest has handles: positions, counted from 1; 0 is null.
#[derive(Debug, Default)]
pub(crate) struct ExternRefs {
    objects: Vec<ExternRef>,
    handles: HashMap<usize, u64>,
}

impl ExternRefs {
    /// The handle of an object, the same each time.
    pub(crate) fn handle(&mut self, object: &ExternRef) -> u64 {
        // Even objects of size 0 have addresses of their own: that of the reference count
        // determines it.
        let address = Arc::as_ptr(&object.0).cast::<()>() as usize;
        *self.handles.entry(address).or_insert_with(|| {
            self.objects.push(object.clone());
            self.objects.len() as u64
        })
    }

    /// The object with a handle; none for null.
    pub(crate) fn get(&self, handle: u64) -> Option<ExternRef> {
        let at = usize::try_from(handle).ok()?.checked_sub(1)?;
        self.objects.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_handles() {
        let mut refs = ExternRefs::default();
        let (a, b) = (ExternRef::new(()), ExternRef::new(()));
        let (ha, hb) = (refs.handle(&a), refs.handle(&b));
        assert_ne!(ha, 0);
        assert_ne!(ha, hb);
        assert_eq!(refs.handle(&a.clone()), ha);
        assert!(refs.get(hb).unwrap().ptr_eq(&b));
        assert!(refs.get(0).is_none() && refs.get(3).is_none());
    }
}
