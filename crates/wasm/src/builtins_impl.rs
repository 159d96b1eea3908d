//! The functions of the runtime that compiled code calls; `builtins` lists them.

use crate::activation::{run_for_guest, run_leaf_for_guest};
use crate::builtins::for_each_builtin;
use crate::store::StoreOpaque;
use crate::vmctx::{VMMemory, VMStoreContext, instance_of};
use crate::{TrapKind, segments};
use std::ptr;

macro_rules! define_table {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
        mod shims {
            $(crate::arch::exit_shim!(pub(super) $name => super::$name);)*
        }

        static TABLE: &[unsafe extern "C" fn()] = &[$(shims::$name),*];
    };
}
for_each_builtin!(define_table);

/// What the context of an instance points to.
pub(crate) fn table() -> *const unsafe extern "C" fn() {
    TABLE.as_ptr()
}

/// What a store's contexts share.
///
/// # Safety
/// `context` is that of an instance.
unsafe fn store_context(context: *mut u8) -> *mut VMStoreContext {
    // SAFETY: the first word of a context points to it.
    unsafe { *context.cast() }
}

/// Run `f` with the store and the number of the instance that a context belongs to.
///
/// # Safety
/// The caller is a builtin, called by the guest through its shim, with nothing else to do.
unsafe fn with_instance<R>(
    context: *mut u8,
    f: impl FnOnce(&mut StoreOpaque, usize) -> Result<R, TrapKind>,
) -> R {
    // SAFETY: as the caller says.
    unsafe {
        run_for_guest(store_context(context), |store| {
            Ok(f(&mut *store, instance_of(context))?)
        })
    }
}

/// The address of a range of a memory.
fn bytes(memory: &VMMemory, from: u32, len: u32) -> Result<*mut u8, TrapKind> {
    if u64::from(from) + u64::from(len) > memory.len {
        return Err(TrapKind::MemoryOutOfBounds);
    }
    Ok(memory.base.wrapping_add(from as usize))
}

unsafe extern "C" fn memory_grow(context: *mut u8, memory: u32, delta: u32) -> u32 {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            let memory = store.instances[instance].memories[memory as usize].index;
            let old = store.memories[memory as usize].grow(delta.into());
            Ok(old.map_or(u32::MAX, |pages| pages as u32))
        })
    }
}

unsafe extern "C" fn memory_copy(
    context: *mut u8,
    dst_memory: *const VMMemory,
    src_memory: *const VMMemory,
    dst: u32,
    src: u32,
    len: u32,
) {
    // SAFETY: called by the guest, with its memories; both ranges are inside them.
    unsafe {
        run_leaf_for_guest(store_context(context), || {
            let src = bytes(&*src_memory, src, len)?;
            let dst = bytes(&*dst_memory, dst, len)?;
            ptr::copy(src, dst, len as usize);
            Ok(())
        });
    }
}

unsafe extern "C" fn memory_fill(
    context: *mut u8,
    memory: *const VMMemory,
    dst: u32,
    value: u32,
    len: u32,
) {
    // SAFETY: called by the guest, with its memory; the range is inside it.
    unsafe {
        run_leaf_for_guest(store_context(context), || {
            let dst = bytes(&*memory, dst, len)?;
            ptr::write_bytes(dst, value as u8, len as usize);
            Ok(())
        });
    }
}

unsafe extern "C" fn memory_init(
    context: *mut u8,
    memory: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            segments::memory_init(store, instance, memory, segment, dst, src, len)
        });
    }
}

unsafe extern "C" fn data_drop(context: *mut u8, segment: u32) {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            segments::data_drop(store, instance, segment);
            Ok(())
        });
    }
}

unsafe extern "C" fn table_grow(context: *mut u8, table: u32, delta: u32, init: u64) -> u32 {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            let table = store.instances[instance].tables[table as usize].index;
            let old = store.tables[table as usize].grow(delta, init);
            Ok(old.unwrap_or(u32::MAX))
        })
    }
}

unsafe extern "C" fn table_copy(
    context: *mut u8,
    dst_table: u32,
    src_table: u32,
    dst: u32,
    src: u32,
    len: u32,
) {
    // SAFETY: called by the guest; both ranges are inside their tables.
    unsafe {
        with_instance(context, |store, instance| {
            let mut range = |table: u32, from: u32| {
                let table = store.instances[instance].tables[table as usize].index;
                let range = store.tables[table as usize].range(from, len)?;
                Ok(range.as_mut_ptr())
            };
            let src: *const u64 = range(src_table, src)?;
            let dst = range(dst_table, dst)?;
            ptr::copy(src, dst, len as usize);
            Ok(())
        });
    }
}

unsafe extern "C" fn table_fill(context: *mut u8, table: u32, dst: u32, value: u64, len: u32) {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            let table = store.instances[instance].tables[table as usize].index;
            store.tables[table as usize].range(dst, len)?.fill(value);
            Ok(())
        });
    }
}

unsafe extern "C" fn table_init(
    context: *mut u8,
    table: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            segments::table_init(store, instance, table, segment, dst, src, len)
        });
    }
}

unsafe extern "C" fn elem_drop(context: *mut u8, segment: u32) {
    // SAFETY: called by the guest.
    unsafe {
        with_instance(context, |store, instance| {
            segments::elem_drop(store, instance, segment);
            Ok(())
        });
    }
}
