//! Branches, calls and returns match blocks and signatures.

use super::Verifier;
use super::insts::is_int;
use crate::{
    BlockCall, EntityRef, FuncRef, Inst, InstData, PackedOption, Signature, SiteAttr, Type, Value,
    ValueList,
};

impl<'a> Verifier<'a> {
    pub(super) fn check_control(&mut self, inst: Inst, data: &InstData) {
        match *data {
            InstData::Jump { dest, .. } => self.check_edge(inst, dest),
            InstData::Brif { arg, dests, .. } => {
                self.demand(inst, arg, is_int, "an integer");
                dests.into_iter().for_each(|e| self.check_edge(inst, e));
            }
            InstData::BranchTable { arg, table, .. } => {
                self.demand(inst, arg, |ty| ty == Type::I32, "an index, i32");
                match self.func.get_jump_table(table) {
                    None => self.inst_error(inst, format!("{table} does not exist")),
                    Some(table) => {
                        self.check_edge(inst, table.default);
                        table.table.iter().for_each(|&e| self.check_edge(inst, e));
                    }
                }
            }
            InstData::Call {
                func, args, attrs, ..
            } => {
                self.check_callee(inst, func);
                if let Some(sig) = self.callee_signature(data) {
                    self.check_args(inst, args, 0, sig);
                }
                self.check_site(inst, func, attrs);
            }
            InstData::CallIndirect { sig, args, .. } => {
                match self.values(inst, args).first() {
                    Some(&callee) => self.demand_address(inst, callee),
                    None => self.inst_error(inst, "no callee".into()),
                }
                match self.func.get_sig(sig) {
                    Some(sig) => self.check_args(inst, args, 1, sig),
                    None => self.inst_error(inst, format!("{sig} does not exist")),
                }
            }
            InstData::MultiAry { args, .. } => {
                let values = self.values(inst, args);
                let returns = self.func.signature.returns.iter().map(|p| p.ty);
                self.check_types(inst, &values, returns, "result", "the function");
            }
            _ => {}
        }
    }

    /// The values of a list; reported if there is no such list.
    fn values(&mut self, inst: Inst, list: ValueList) -> Vec<Value> {
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

    fn check_edge(&mut self, inst: Inst, edge: BlockCall) {
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
        let params = self.param_types(block).into_iter();
        self.check_types(inst, &args, params, "argument", &block.to_string());
    }

    fn check_callee(&mut self, inst: Inst, func: FuncRef) {
        if self.func.get_ext_func(func).is_none() {
            self.inst_error(inst, format!("{func} does not exist"));
        }
    }

    /// The signature of what is called; none if it does not exist.
    fn callee_signature(&self, data: &InstData) -> Option<&'a Signature> {
        match *data {
            InstData::Call { func, .. } => {
                let callee = self.func.get_ext_func(func)?;
                self.func.get_sig(callee.signature)
            }
            InstData::CallIndirect { sig, .. } => self.func.get_sig(sig),
            _ => None,
        }
    }

    fn check_args(&mut self, inst: Inst, args: ValueList, skip: usize, sig: &Signature) {
        let values = self.values(inst, args);
        let params = sig.params.iter().map(|p| p.ty);
        let values = values.get(skip..).unwrap_or_default();
        self.check_types(inst, values, params, "argument", "the callee");
    }

    pub(super) fn check_call_results(&mut self, inst: Inst, data: &InstData) {
        if let Some(sig) = self.callee_signature(data) {
            let values: Vec<_> = self.func.inst_results(inst).collect();
            let returns = sig.returns.iter().map(|p| p.ty);
            self.check_types(inst, &values, returns, "result", "the callee");
        }
    }

    /// `values` have the types that `whom` wants.
    fn check_types(
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

    fn check_site(&mut self, inst: Inst, func: FuncRef, attrs: PackedOption<SiteAttr>) {
        let Some(attr) = attrs.expand() else {
            return;
        };
        let callee = self.func.get_ext_func(func);
        if callee.is_some_and(|c| !c.patchable) {
            let message = format!("site attributes, but {func} is not patchable");
            self.inst_error(inst, message);
        }
        match self.func.get_site_attr(attr) {
            None => self.inst_error(inst, format!("{attr} does not exist")),
            Some(data) => {
                self.values(inst, data.observe);
            }
        }
    }
}
