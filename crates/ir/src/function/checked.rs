//! Access to a function whose references may lead nowhere: what the verifier and the printer use.

use super::{
    BlockCallData, BlockData, ExtFunc, Function, JumpTableData, SiteAttrData, StackSlotData,
};
use crate::{
    Block, BlockCall, EntityRef, FuncRef, Inst, InstData, JumpTable, SigRef, Signature, SiteAttr,
    StackSlot, Type, Value, ValueDef, ValueList,
};

impl Function {
    /// The signature, if there is one with this number.
    pub fn get_sig(&self, sig: SigRef) -> Option<&Signature> {
        self.signatures.get(sig.index())
    }

    /// The callee, if there is one with this number.
    pub fn get_ext_func(&self, func: FuncRef) -> Option<&ExtFunc> {
        self.ext_funcs.get(func.index())
    }

    /// The stack slot, if there is one with this number.
    pub fn get_stack_slot(&self, slot: StackSlot) -> Option<&StackSlotData> {
        self.stack_slots.get(slot.index())
    }

    /// The jump table, if there is one with this number.
    pub fn get_jump_table(&self, table: JumpTable) -> Option<&JumpTableData> {
        self.jump_tables.get(table.index())
    }

    /// The edge, if there is one with this number.
    pub fn get_block_call(&self, edge: BlockCall) -> Option<BlockCallData> {
        self.block_calls.get(edge.index()).copied()
    }

    /// The attributes, if there are any with this number.
    pub fn get_site_attr(&self, attr: SiteAttr) -> Option<SiteAttrData> {
        self.site_attrs.get(attr.index()).copied()
    }

    /// The block, if there is one with this number.
    pub fn get_block(&self, block: Block) -> Option<&BlockData> {
        self.blocks.get(block.index())
    }

    /// Type and origin of what `v` is a name of, if there is a value with this number.
    pub fn get_value(&self, v: Value) -> Option<(Type, ValueDef)> {
        if v.index() >= self.values.len() {
            return None;
        }
        let v = self.resolve(v);
        Some((self.value_type(v), self.value_def(v)))
    }

    /// The block an instruction is in.
    ///
    /// Found by binary search: instructions are numbered in layout order.
    pub fn inst_block(&self, inst: Inst) -> Option<Block> {
        let n = inst.as_u32();
        let after = self.layout.partition_point(|&b| self.block(b).first <= n);
        let block = *self.layout.get(after.checked_sub(1)?)?;
        (n < self.block(block).end).then_some(block)
    }

    /// Calls `f` with every edge out of `inst`, as [`Function::for_each_edge`] does; those of a
    /// jump table that does not exist are left out.
    pub(crate) fn for_each_valid_edge(&self, inst: Inst, f: impl FnMut(BlockCall)) {
        match self.insts[inst.index()] {
            InstData::BranchTable { table, .. } if self.get_jump_table(table).is_none() => {}
            _ => self.for_each_edge(inst, f),
        }
    }

    /// Calls `f` with every value operand of `inst`, as [`Function::for_each_operand`] does; those
    /// of lists, edges, tables and attributes that do not exist are left out.
    pub(crate) fn for_each_valid_operand(&self, inst: Inst, mut f: impl FnMut(Value)) {
        let list = |list: ValueList, f: &mut dyn FnMut(Value)| {
            self.lists.get_list(list).into_iter().flatten().for_each(f);
        };
        match self.insts[inst.index()] {
            InstData::Jump { .. } => {}
            InstData::Brif { arg, .. } | InstData::BranchTable { arg, .. } => f(arg),
            InstData::Call { args, attrs, .. } => {
                list(args, &mut f);
                let attr = attrs.expand().and_then(|a| self.get_site_attr(a));
                if let Some(attr) = attr {
                    list(attr.observe, &mut f);
                }
                return;
            }
            InstData::CallIndirect { args, .. } | InstData::MultiAry { args, .. } => {
                list(args, &mut f);
                return;
            }
            _ => return self.for_each_operand(inst, f),
        }
        self.for_each_valid_edge(inst, |edge| {
            if let Some(edge) = self.get_block_call(edge) {
                list(edge.args, &mut f);
            }
        });
    }
}
