//! Access to a function whose references may lead nowhere: what the verifier and the printer use.

use super::Function;
use crate::{Block, BlockCall, EntityRef, Inst, InstData, PackedOption, SiteAttr, Type, Value};
use crate::{ValueDef, ValueList};

impl Function {
    /// Type and origin of what `v` is a name of, if there is a value with this number.
    pub fn get_value(&self, v: Value) -> Option<(Type, ValueDef)> {
        if v.index() >= self.values.len() {
            return None;
        }
        let v = self.resolve(v);
        match self.value_def(v) {
            ValueDef::None => None,
            def => Some((self.value_type(v), def)),
        }
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
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. }
                if self.get_exception_table(table).is_none() => {}
            _ => self.for_each_edge(inst, f),
        }
    }

    /// Calls `f` with every value operand of `inst`, as [`Function::for_each_operand`] does; those
    /// of lists, edges, tables and attributes that do not exist are left out.
    pub(crate) fn for_each_valid_operand(&self, inst: Inst, mut f: impl FnMut(Value)) {
        let list = |list: ValueList, f: &mut dyn FnMut(Value)| {
            self.lists.get_list(list).into_iter().flatten().for_each(f);
        };
        let data = &self.insts[inst.index()];
        data.value_operands().iter().copied().for_each(&mut f);
        if let Some(args) = data.value_list() {
            list(args, &mut f);
        }
        self.for_each_valid_edge(inst, |edge| {
            if let Some(edge) = self.get_block_call(edge) {
                list(edge.args, &mut f);
            }
        });
        let mut attrs = PackedOption::NONE;
        match *data {
            InstData::Call { attrs: a, .. } => attrs = a,
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                if let Some(table) = self.get_exception_table(table) {
                    table.contexts().for_each(&mut f);
                    attrs = table.attrs;
                }
            }
            _ => {}
        }
        if let Some(attr) = attrs.expand().and_then(|a: SiteAttr| self.get_site_attr(a)) {
            list(attr.observe, &mut f);
        }
    }
}
