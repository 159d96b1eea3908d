//! What few instructions have, kept beside them.

use super::Function;
use crate::{AliasRegion, DebugTag, Endianness, Inst, StackMapEntry};

/// What some instructions have: entries by ascending instruction.
#[derive(Clone)]
pub(crate) struct SideTable<T>(Vec<(Inst, T)>);

impl<T> SideTable<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn get(&self, inst: Inst) -> Option<&T> {
        let at = self.0.binary_search_by_key(&inst, |e| e.0).ok()?;
        Some(&self.0[at].1)
    }

    fn set(&mut self, inst: Inst, value: Option<T>) {
        match (self.0.binary_search_by_key(&inst, |e| e.0), value) {
            (Ok(at), Some(value)) => self.0[at].1 = value,
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(at), Some(value)) => self.0.insert(at, (inst, value)),
            (Err(_), None) => {}
        }
    }

    /// The numbers of all instructions grew.
    pub(super) fn shift(&mut self, by: u32) {
        for (inst, _) in &mut self.0 {
            *inst = Inst::from_u32(inst.as_u32() + by);
        }
    }
}

/// The side tables of a function.
#[derive(Clone)]
pub(super) struct Notes {
    regions: SideTable<AliasRegion>,
    byte_orders: SideTable<Endianness>,
    tags: SideTable<Box<[DebugTag]>>,
    stack_maps: SideTable<Box<[StackMapEntry]>>,
}

impl Notes {
    pub(super) const fn new() -> Self {
        Self {
            regions: SideTable::new(),
            byte_orders: SideTable::new(),
            tags: SideTable::new(),
            stack_maps: SideTable::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.regions.clear();
        self.byte_orders.clear();
        self.tags.clear();
        self.stack_maps.clear();
    }

    pub(super) fn shift(&mut self, by: u32) {
        self.regions.shift(by);
        self.byte_orders.shift(by);
        self.tags.shift(by);
        self.stack_maps.shift(by);
    }
}

impl Function {
    /// The part of memory that a memory access is known to keep to.
    pub fn alias_region(&self, inst: Inst) -> Option<AliasRegion> {
        self.notes.regions.get(inst).copied()
    }

    /// Say which part of memory a memory access keeps to.
    pub fn set_alias_region(&mut self, inst: Inst, region: Option<AliasRegion>) {
        self.notes.regions.set(inst, region);
    }

    /// The byte order by which a `bitcast` sees lanes, if it is not the target's own.
    pub fn bitcast_order(&self, inst: Inst) -> Option<Endianness> {
        self.notes.byte_orders.get(inst).copied()
    }

    /// Set the byte order by which a `bitcast` sees lanes.
    pub fn set_bitcast_order(&mut self, inst: Inst, order: Option<Endianness>) {
        self.notes.byte_orders.set(inst, order);
    }

    /// The marks on an instruction.
    pub fn debug_tags(&self, inst: Inst) -> &[DebugTag] {
        self.notes.tags.get(inst).map_or(&[], |tags| tags)
    }

    /// Mark a call or a `sequence_point`.
    pub fn set_debug_tags(&mut self, inst: Inst, tags: &[DebugTag]) {
        let tags = (!tags.is_empty()).then(|| tags.into());
        self.notes.tags.set(inst, tags);
    }

    /// Where a call finds live references; none if it has no `stack_map`.
    pub fn stack_map(&self, inst: Inst) -> Option<&[StackMapEntry]> {
        self.notes.stack_maps.get(inst).map(|entries| &**entries)
    }

    /// Say where a call finds live references.
    pub fn set_stack_map(&mut self, inst: Inst, entries: Option<&[StackMapEntry]>) {
        self.notes.stack_maps.set(inst, entries.map(Into::into));
    }

    /// Whether any instruction has debug tags.
    pub(crate) fn has_debug_tags(&self) -> bool {
        !self.notes.tags.0.is_empty()
    }
}
