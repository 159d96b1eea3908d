//! What SSA construction needs beyond the public interface: values that exist before it is known
//! where they come from.

use super::{
    ExceptionItem, Function, KIND_ALIAS, KIND_NONE, KIND_PARAM, KIND_RESULT, MAX_NUM, ValueData,
};
use crate::{Block, BlockCall, EntityRef, Inst, InstData, SourceLoc, Type, Value};

impl Function {
    /// A number that is not in use as a value.
    pub(crate) fn create_unused_value(&mut self) -> Value {
        self.push_value(ValueData::new(Type::INVALID, KIND_NONE, 0, u32::MAX))
    }

    /// Give the instruction appended last results that are unused values so far: `first` and those
    /// that follow it.
    pub(crate) fn define_results(&mut self, inst: Inst, first: Option<Value>, types: &[Type]) {
        let Some(first) = first else {
            return;
        };
        self.results[inst.index()] = (first.as_u32(), types.len() as u32);
        for (num, &ty) in types.iter().enumerate() {
            let data = ValueData::new(ty, KIND_RESULT, num, inst.as_u32());
            self.values[first.index() + num] = data;
        }
    }

    /// Make an unused value the last parameter of a block.
    pub(crate) fn define_param(&mut self, block: Block, v: Value, ty: Type) {
        let params = &mut self.blocks[block.index()].params;
        let num = self.lists.len(*params);
        self.lists.push(params, v);
        self.values[v.index()] = ValueData::new(ty, KIND_PARAM, num, block.as_u32());
    }

    /// Make an unused value an alias of one that is not an alias of it.
    pub(crate) fn define_alias(&mut self, v: Value, to: Value) {
        let to = self.resolve(to);
        let ty = self.value_type(to);
        self.values[v.index()] = ValueData::new(ty, KIND_ALIAS, 0, to.as_u32());
    }

    /// A value that is meant to become a parameter of `block`, but is not yet.
    ///
    /// It must be [attached](Function::attach_param) or made an alias.
    pub(crate) fn create_pending_param(&mut self, block: Block, ty: Type) -> Value {
        self.push_value(ValueData::new(ty, KIND_PARAM, MAX_NUM, block.as_u32()))
    }

    /// Whether `v` is a pending parameter.
    pub(crate) fn is_pending_param(&self, v: Value) -> bool {
        let bits = self.values[v.index()].bits;
        (bits >> 8) & 3 == KIND_PARAM && (bits >> 10) as usize == MAX_NUM
    }

    /// Make the pending parameter `v` the last parameter of its block.
    pub(crate) fn attach_param(&mut self, v: Value) {
        debug_assert!(self.is_pending_param(v));
        let ty = self.value_type(v);
        let block = Block::from_u32(self.values[v.index()].entity);
        let params = &mut self.blocks[block.index()].params;
        let num = self.lists.len(*params);
        self.lists.push(params, v);
        self.values[v.index()] = ValueData::new(ty, KIND_PARAM, num, block.as_u32());
    }

    /// Keep the parameters of a block whose number `keep` wants. The others must be aliases.
    pub(crate) fn retain_params(&mut self, block: Block, keep: impl FnMut(usize) -> bool) {
        let params = &mut self.blocks[block.index()].params;
        self.lists.retain(params, keep);
        for (num, v) in self.lists.iter(*params).enumerate() {
            let ty = Type::from_raw(self.values[v.index()].bits as u8);
            self.values[v.index()] = ValueData::new(ty, KIND_PARAM, num, block.as_u32());
        }
    }

    /// Keep the arguments of an edge whose number `keep` wants.
    pub(crate) fn retain_args(&mut self, edge: BlockCall, keep: impl FnMut(usize) -> bool) {
        self.lists
            .retain(&mut self.block_calls[edge.index()].args, keep);
    }

    /// Put instructions before all others, each defining a pending value.
    ///
    /// The numbers of all other instructions grow by the number of new ones.
    pub(crate) fn prepend_insts(&mut self, new: &[(InstData, Value)]) {
        let shift = new.len() as u32;
        for data in &mut self.values {
            if (data.bits >> 8) & 3 == KIND_RESULT {
                data.entity += shift;
            }
        }
        for (at, &(_, v)) in new.iter().enumerate() {
            let ty = self.value_type(v);
            self.values[v.index()] = ValueData::new(ty, KIND_RESULT, 0, at as u32);
        }
        self.insts.splice(0..0, new.iter().map(|n| n.0));
        self.results
            .splice(0..0, new.iter().map(|n| (n.1.as_u32(), 1)));
        self.srclocs
            .splice(0..0, new.iter().map(|_| SourceLoc::NONE));
        self.notes.shift(shift);
        for (at, &block) in self.layout.iter().enumerate() {
            let data = &mut self.blocks[block.index()];
            data.first += if at == 0 { 0 } else { shift };
            data.end += shift;
        }
    }

    /// Make every alias point at the value it finally stands for, then replace every operand
    /// that is an alias.
    pub(crate) fn resolve_all_aliases(&mut self) {
        let aliases = self.shorten_aliases();
        let values = &self.values;
        let resolve = |v: &mut Value| {
            if aliases[v.index() / 64] >> (v.index() % 64) & 1 != 0 {
                *v = Value::from_u32(values[v.index()].entity);
            }
        };
        for inst in &mut self.insts {
            match inst.value_list() {
                Some(args) => self.lists.for_each_mut(args, resolve),
                None => inst.value_operands_mut().iter_mut().for_each(resolve),
            }
        }
        for table in &mut self.exception_tables {
            for item in &mut table.items {
                if let ExceptionItem::Context(v) = item {
                    resolve(v);
                }
            }
        }
        for edge in &self.block_calls {
            self.lists.for_each_mut(edge.args, resolve);
        }
        for attr in &self.site_attrs {
            self.lists.for_each_mut(attr.observe, resolve);
        }
    }

    /// Make every alias point at the value it finally stands for.
    ///
    /// A bit for each value that is an alias: operands are looked up in a table that stays in the cache,
    /// however many values there are.
    fn shorten_aliases(&mut self) -> Vec<u64> {
        let mut aliases = vec![0; self.values.len().div_ceil(64)];
        for v in 0..self.values.len() {
            if (self.values[v].bits >> 8) & 3 != KIND_ALIAS {
                continue;
            }
            aliases[v / 64] |= 1 << (v % 64);
            let root = self.resolve(Value::new(v));
            let mut at = v;
            while at != root.index() {
                let data = &mut self.values[at];
                debug_assert_eq!((data.bits >> 8) & 3, KIND_ALIAS);
                at = std::mem::replace(&mut data.entity, root.as_u32()) as usize;
            }
        }
        aliases
    }
}
