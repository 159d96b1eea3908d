//! Branches and returns match blocks and the signature.

use super::Verifier;
use crate::{BlockCall, EntityRef, Inst, InstData, Type, Value, ValueList};

impl Verifier<'_> {
    pub(super) fn check_control(&mut self, inst: Inst, data: &InstData) {
        match *data {
            InstData::Jump { dest, .. } => self.check_edge(inst, dest),
            InstData::Brif { dests, .. } => {
                dests.into_iter().for_each(|e| self.check_edge(inst, e));
            }
            InstData::BranchTable { table, .. } => match self.func.get_jump_table(table) {
                None => self.inst_error(inst, format!("{table} does not exist")),
                Some(table) => {
                    self.check_edge(inst, table.default);
                    table.table.iter().for_each(|&e| self.check_edge(inst, e));
                }
            },
            InstData::MultiAry { args, .. } => {
                let values = self.values(inst, args);
                let returns = self.func.signature.returns.iter().map(|p| p.ty);
                self.check_types(inst, &values, returns, "result", "the function");
            }
            _ => self.check_call(inst, data),
        }
    }

    /// The values of a list; reported if there is no such list.
    pub(super) fn values(&mut self, inst: Inst, list: ValueList) -> Vec<Value> {
        match self.func.lists.get_list(list) {
            Some(values) => values.collect(),
            None => {
                self.inst_error(
                    inst,
                    "refers to a list of values that does not exist".into(),
                );
                Vec::new()
            }
        }
    }

    pub(super) fn check_edge(&mut self, inst: Inst, edge: BlockCall) {
        let Some(data) = self.func.get_block_call(edge) else {
            return self.inst_error(inst, format!("{edge} does not exist"));
        };
        let block = data.block;
        match self.placed.get(block.index()) {
            None => return self.inst_error(inst, format!("{block} does not exist")),
            Some(false) => {
                return self.inst_error(inst, format!("{block} is not in the layout"));
            }
            Some(true) => {}
        }
        if block == self.func.layout()[0] {
            self.inst_error(inst, format!("branches to {block}, the entry"));
        }
        let args = self.values(inst, data.args);
        let func = self.func;
        let params = func.lists.get_list(func.block(block).params);
        let ty = |v| func.get_value(v).map_or(Type::INVALID, |(ty, _)| ty);
        // If there is no such list, this is reported with the block.
        if let Some(params) = params {
            let types = params.map(ty);
            self.check_types(inst, &args, types, "argument", &block.to_string());
        }
    }

    /// `values` have the types that `whom` wants.
    pub(super) fn check_types(
        &mut self,
        inst: Inst,
        values: &[Value],
        want: impl ExactSizeIterator<Item = Type>,
        what: &str,
        whom: &str,
    ) {
        if values.len() != want.len() {
            let (n, m) = (values.len(), want.len());
            let s = if n == 1 { "" } else { "s" };
            return self.inst_error(inst, format!("{n} {what}{s}, but {whom} has {m}"));
        }
        for (n, (&v, want)) in values.iter().zip(want).enumerate() {
            if let Some(ty) = self.ty(v)
                && ty != want
            {
                let message = format!("{what} {n}, {v}, has type {ty}, but {whom} has {want}");
                self.inst_error(inst, message);
            }
        }
    }
}
