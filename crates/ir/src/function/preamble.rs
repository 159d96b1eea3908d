//! The tables of a function that instructions refer to.

use super::{
    AliasRegionData, BlockCallData, BlockData, ConstantData, DynamicStackSlotData, DynamicTypeData,
    ExceptionTableData, ExtFunc, Function, GlobalValueData, JumpTableData, SiteAttrData,
    StackSlotData,
};
use crate::{
    AliasRegion, Block, BlockCall, Constant, DynamicStackSlot, DynamicType, EntityRef,
    ExceptionTable, FuncRef, GlobalValue, JumpTable, ShuffleMask, SigRef, Signature, SiteAttr,
    StackSlot, Type, Value,
};

impl Function {
    /// Add a signature for callees.
    pub fn import_signature(&mut self, data: Signature) -> SigRef {
        self.signatures.push(data);
        SigRef::new(self.signatures.len() - 1)
    }

    /// A signature for callees, which must exist.
    #[inline]
    pub fn sig(&self, n: SigRef) -> &Signature {
        &self.signatures[n.index()]
    }

    /// A signature for callees, if there is one with this number.
    pub fn get_sig(&self, n: SigRef) -> Option<&Signature> {
        self.signatures.get(n.index())
    }

    /// All signatures, in order.
    pub fn sigs(&self) -> &[Signature] {
        &self.signatures
    }

    /// Add a function that can be called.
    pub fn import_function(&mut self, data: ExtFunc) -> FuncRef {
        self.ext_funcs.push(data);
        FuncRef::new(self.ext_funcs.len() - 1)
    }

    /// A function that can be called, which must exist.
    #[inline]
    pub fn ext_func(&self, n: FuncRef) -> &ExtFunc {
        &self.ext_funcs[n.index()]
    }

    /// A function that can be called, if there is one with this number.
    pub fn get_ext_func(&self, n: FuncRef) -> Option<&ExtFunc> {
        self.ext_funcs.get(n.index())
    }

    /// All functions that can be called, in order.
    pub fn ext_funcs(&self) -> &[ExtFunc] {
        &self.ext_funcs
    }

    /// Add a stack slot.
    pub fn create_stack_slot(&mut self, data: StackSlotData) -> StackSlot {
        self.stack_slots.push(data);
        StackSlot::new(self.stack_slots.len() - 1)
    }

    /// A stack slot, which must exist.
    #[inline]
    pub fn stack_slot(&self, n: StackSlot) -> &StackSlotData {
        &self.stack_slots[n.index()]
    }

    /// A stack slot, if there is one with this number.
    pub fn get_stack_slot(&self, n: StackSlot) -> Option<&StackSlotData> {
        self.stack_slots.get(n.index())
    }

    /// All stack slots, in order.
    pub fn stack_slots(&self) -> &[StackSlotData] {
        &self.stack_slots
    }

    /// The number by which a front end finds a stack slot again.
    pub fn stack_slot_key(&self, slot: StackSlot) -> Option<u64> {
        let keys = &self.stack_slot_keys;
        let at = keys.binary_search_by_key(&slot, |k| k.0).ok()?;
        Some(keys[at].1)
    }

    /// Give a stack slot a number by which to find it again.
    pub fn set_stack_slot_key(&mut self, slot: StackSlot, key: u64) {
        let keys = &mut self.stack_slot_keys;
        match keys.binary_search_by_key(&slot, |k| k.0) {
            Ok(at) => keys[at].1 = key,
            Err(at) => keys.insert(at, (slot, key)),
        }
    }

    /// Add a stack slot of dynamic size.
    pub fn create_dynamic_stack_slot(&mut self, data: DynamicStackSlotData) -> DynamicStackSlot {
        self.dynamic_stack_slots.push(data);
        DynamicStackSlot::new(self.dynamic_stack_slots.len() - 1)
    }

    /// A stack slot of dynamic size, which must exist.
    #[inline]
    pub fn dynamic_stack_slot(&self, n: DynamicStackSlot) -> &DynamicStackSlotData {
        &self.dynamic_stack_slots[n.index()]
    }

    /// A stack slot of dynamic size, if there is one with this number.
    pub fn get_dynamic_stack_slot(&self, n: DynamicStackSlot) -> Option<&DynamicStackSlotData> {
        self.dynamic_stack_slots.get(n.index())
    }

    /// All stack slots of dynamic size, in order.
    pub fn dynamic_stack_slots(&self) -> &[DynamicStackSlotData] {
        &self.dynamic_stack_slots
    }

    /// Add a global value.
    pub fn create_global_value(&mut self, data: GlobalValueData) -> GlobalValue {
        self.global_values.push(data);
        GlobalValue::new(self.global_values.len() - 1)
    }

    /// A global value, which must exist.
    #[inline]
    pub fn global_value(&self, n: GlobalValue) -> &GlobalValueData {
        &self.global_values[n.index()]
    }

    /// A global value, if there is one with this number.
    pub fn get_global_value(&self, n: GlobalValue) -> Option<&GlobalValueData> {
        self.global_values.get(n.index())
    }

    /// All global values, in order.
    pub fn global_values(&self) -> &[GlobalValueData] {
        &self.global_values
    }

    /// Add a dynamic type.
    pub fn create_dynamic_type(&mut self, data: DynamicTypeData) -> DynamicType {
        self.dynamic_types.push(data);
        DynamicType::new(self.dynamic_types.len() - 1)
    }

    /// A dynamic type, which must exist.
    #[inline]
    pub fn dynamic_type(&self, n: DynamicType) -> &DynamicTypeData {
        &self.dynamic_types[n.index()]
    }

    /// A dynamic type, if there is one with this number.
    pub fn get_dynamic_type(&self, n: DynamicType) -> Option<&DynamicTypeData> {
        self.dynamic_types.get(n.index())
    }

    /// All dynamic types, in order.
    pub fn dynamic_types(&self) -> &[DynamicTypeData] {
        &self.dynamic_types
    }

    /// The vector type that a dynamic type is the name of.
    pub fn dynamic_vector(&self, n: DynamicType) -> Option<Type> {
        self.dynamic_types.get(n.index())?.base.to_dynamic()
    }

    /// Add a constant.
    pub fn create_constant(&mut self, data: ConstantData) -> Constant {
        self.constants.push(data);
        Constant::new(self.constants.len() - 1)
    }

    /// A constant, which must exist.
    #[inline]
    pub fn constant(&self, n: Constant) -> &ConstantData {
        &self.constants[n.index()]
    }

    /// A constant, if there is one with this number.
    pub fn get_constant(&self, n: Constant) -> Option<&ConstantData> {
        self.constants.get(n.index())
    }

    /// All constants, in order.
    pub fn constants(&self) -> &[ConstantData] {
        &self.constants
    }

    /// Add the mask of a `shuffle`.
    pub fn create_shuffle_mask(&mut self, data: [u8; 16]) -> ShuffleMask {
        self.shuffle_masks.push(data);
        ShuffleMask::new(self.shuffle_masks.len() - 1)
    }

    /// The mask of a `shuffle`, which must exist.
    #[inline]
    pub fn shuffle_mask(&self, n: ShuffleMask) -> &[u8; 16] {
        &self.shuffle_masks[n.index()]
    }

    /// The mask of a `shuffle`, if there is one with this number.
    pub fn get_shuffle_mask(&self, n: ShuffleMask) -> Option<&[u8; 16]> {
        self.shuffle_masks.get(n.index())
    }

    /// Add a part of memory.
    pub fn create_alias_region(&mut self, data: AliasRegionData) -> AliasRegion {
        self.alias_regions.push(data);
        AliasRegion::new(self.alias_regions.len() - 1)
    }

    /// A part of memory, which must exist.
    #[inline]
    pub fn alias_region_data(&self, n: AliasRegion) -> &AliasRegionData {
        &self.alias_regions[n.index()]
    }

    /// A part of memory, if there is one with this number.
    pub fn get_alias_region(&self, n: AliasRegion) -> Option<&AliasRegionData> {
        self.alias_regions.get(n.index())
    }

    /// All parts of memory, in order.
    pub fn alias_regions(&self) -> &[AliasRegionData] {
        &self.alias_regions
    }

    /// Add the targets of a `br_table`.
    pub fn create_jump_table(&mut self, data: JumpTableData) -> JumpTable {
        self.jump_tables.push(data);
        JumpTable::new(self.jump_tables.len() - 1)
    }

    /// The targets of a `br_table`, which must exist.
    #[inline]
    pub fn jump_table(&self, n: JumpTable) -> &JumpTableData {
        &self.jump_tables[n.index()]
    }

    /// The targets of a `br_table`, if there is one with this number.
    pub fn get_jump_table(&self, n: JumpTable) -> Option<&JumpTableData> {
        self.jump_tables.get(n.index())
    }

    /// Add the edges of a `try_call`.
    pub fn create_exception_table(&mut self, data: ExceptionTableData) -> ExceptionTable {
        self.exception_tables.push(data);
        ExceptionTable::new(self.exception_tables.len() - 1)
    }

    /// The edges of a `try_call`, which must exist.
    #[inline]
    pub fn exception_table(&self, n: ExceptionTable) -> &ExceptionTableData {
        &self.exception_tables[n.index()]
    }

    /// The edges of a `try_call`, if there is one with this number.
    pub fn get_exception_table(&self, n: ExceptionTable) -> Option<&ExceptionTableData> {
        self.exception_tables.get(n.index())
    }

    pub(crate) fn exception_table_mut(&mut self, n: ExceptionTable) -> &mut ExceptionTableData {
        &mut self.exception_tables[n.index()]
    }

    /// Add the attributes of a patchable call.
    pub fn create_site_attr(&mut self, site: u32, observe: &[Value]) -> SiteAttr {
        let observe = self.lists.list(observe);
        self.site_attrs.push(SiteAttrData { site, observe });
        SiteAttr::new(self.site_attrs.len() - 1)
    }

    /// The attributes of a patchable call.
    pub fn site_attr(&self, attr: SiteAttr) -> SiteAttrData {
        self.site_attrs[attr.index()]
    }

    /// The attributes, if there are any with this number.
    pub fn get_site_attr(&self, attr: SiteAttr) -> Option<SiteAttrData> {
        self.site_attrs.get(attr.index()).copied()
    }

    /// The edge, if there is one with this number.
    pub fn get_block_call(&self, edge: BlockCall) -> Option<BlockCallData> {
        self.block_calls.get(edge.index()).copied()
    }

    /// The block, if there is one with this number.
    pub fn get_block(&self, block: Block) -> Option<&BlockData> {
        self.blocks.get(block.index())
    }
}
