//! The functions of the runtime that compiled code calls; `builtins` lists them.

use crate::activation::run_for_guest;
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

/// Run `f` with the store and the number of the instance that a context belongs to.
///
/// # Safety
/// The caller is a builtin, called by the guest through its shim, with nothing else to do.
unsafe fn with_instance<R>(
    context: *mut u8,
    f: impl FnOnce(&mut StoreOpaque, usize) -> Result<R, TrapKind>,
) -> R {
    // SAFETY: the first word of a context points to that of its store.
    unsafe {
        let store_context = *context.cast::<*mut VMStoreContext>();
        run_for_guest(store_context, |store| {
            Ok(f(&mut *store, instance_of(context))?)
        })
    }
}

/// The description of a memory of an instance.
fn memory(store: &StoreOpaque, instance: usize, memory: u32) -> VMMemory {
    let memory = store.instances[instance].memories[memory as usize];
    // SAFETY: descriptions are valid as long as the store.
    unsafe { memory.get(store).vm().read() }
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
    dst_memory: u32,
    src_memory: u32,
    dst: u32,
    src: u32,
    len: u32,
) {
    // SAFETY: called by the guest; both ranges are inside their memories.
    unsafe {
        with_instance(context, |store, instance| {
            let src = bytes(&memory(store, instance, src_memory), src, len)?;
            let dst = bytes(&memory(store, instance, dst_memory), dst, len)?;
            ptr::copy(src, dst, len as usize);
            Ok(())
        });
    }
}

unsafe extern "C" fn memory_fill(context: *mut u8, index: u32, dst: u32, value: u32, len: u32) {
    // SAFETY: called by the guest; the range is inside the memory.
    unsafe {
        with_instance(context, |store, instance| {
            let dst = bytes(&memory(store, instance, index), dst, len)?;
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
