//! Copying segments into tables and memories, for instantiation and for the guest.

use crate::TrapKind;
use crate::store::StoreOpaque;

/// A range of a segment of `len` elements or bytes; one that was dropped has none.
fn range(
    len: usize,
    dropped: bool,
    from: u32,
    count: u32,
    trap: TrapKind,
) -> Result<std::ops::Range<usize>, TrapKind> {
    let len = if dropped { 0 } else { len };
    let range = from as usize..from as usize + count as usize;
    if range.end <= len {
        Ok(range)
    } else {
        Err(trap)
    }
}

/// `table.init` of instance number `instance`.
pub(crate) fn table_init(
    store: &mut StoreOpaque,
    instance: usize,
    table: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) -> Result<(), TrapKind> {
    let data = &store.instances[instance];
    let items = &data.module.info().elements[segment as usize].items;
    let dropped = data.dropped_elements[segment as usize];
    let src = range(items.len(), dropped, src, len, TrapKind::TableOutOfBounds)?;
    let table = data.tables[table as usize].index as usize;
    let dst = store.tables[table].range(dst, len)?;
    for (slot, i) in dst.iter_mut().zip(src) {
        *slot = data.element(items, i);
    }
    Ok(())
}

/// `elem.drop`.
pub(crate) fn elem_drop(store: &mut StoreOpaque, instance: usize, segment: u32) {
    store.instances[instance].dropped_elements[segment as usize] = true;
}

/// `memory.init` of instance number `instance`.
pub(crate) fn memory_init(
    store: &mut StoreOpaque,
    instance: usize,
    memory: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) -> Result<(), TrapKind> {
    let data = &store.instances[instance];
    let bytes = data.module.data_segment(segment);
    let dropped = data.dropped_data[segment as usize];
    let src = range(bytes.len(), dropped, src, len, TrapKind::MemoryOutOfBounds)?;
    let memory = data.memories[memory as usize].index as usize;
    let dst = dst as usize..dst as usize + len as usize;
    store.memories[memory]
        .data_mut()
        .get_mut(dst)
        .ok_or(TrapKind::MemoryOutOfBounds)?
        .copy_from_slice(&bytes[src]);
    Ok(())
}

/// `data.drop`.
pub(crate) fn data_drop(store: &mut StoreOpaque, instance: usize, segment: u32) {
    store.instances[instance].dropped_data[segment as usize] = true;
}
