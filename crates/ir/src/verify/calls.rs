//! Calls match what they call.

use super::Verifier;
use crate::{
    CallConv, EntityRef, ExceptionTable, ExceptionTableData, FuncRef, Inst, InstData, Opcode,
    PackedOption, Signature, SiteAttr, Type, ValueDef, ValueList,
};

impl<'a> Verifier<'a> {
    pub(super) fn check_call(&mut self, inst: Inst, data: &InstData) {
        match *data {
            InstData::Call {
                opcode,
                func,
                args,
                attrs,
            } => {
                self.check_callee(inst, func);
                self.check_args(inst, args, 0, data);
                self.check_site(inst, Some(func), attrs);
                if opcode == Opcode::ReturnCall {
                    self.check_tail_call(inst, data);
                }
            }
            InstData::CallIndirect {
                opcode, sig, args, ..
            } => {
                self.check_indirect_callee(inst, args);
                if self.func.get_sig(sig).is_none() {
                    self.inst_error(inst, format!("{sig} does not exist"));
                }
                self.check_args(inst, args, 1, data);
                if opcode == Opcode::ReturnCallIndirect {
                    self.check_tail_call(inst, data);
                }
            }
            InstData::TryCall {
                func, args, table, ..
            } => {
                self.check_callee(inst, func);
                self.check_args(inst, args, 0, data);
                if let Some(table) = self.check_exception_table(inst, table) {
                    self.check_own_results(inst, args, table);
                    self.check_site(inst, Some(func), table.attrs);
                    let callee = self.func.get_ext_func(func).map(|c| c.signature);
                    let sig = callee.and_then(|sig| self.func.get_sig(sig));
                    if let (Some(have), Some(want)) = (self.func.get_sig(table.sig), sig)
                        && have != want
                    {
                        let message = format!("{} is not the signature of {func}", table.sig);
                        self.inst_error(inst, message);
                    }
                }
            }
            InstData::TryCallIndirect { args, table, .. } => {
                self.check_indirect_callee(inst, args);
                self.check_args(inst, args, 1, data);
                if let Some(table) = self.check_exception_table(inst, table) {
                    self.check_own_results(inst, args, table);
                    self.check_site(inst, None, table.attrs);
                }
            }
            _ => {}
        }
    }

    fn check_callee(&mut self, inst: Inst, func: FuncRef) {
        let Some(callee) = self.func.get_ext_func(func) else {
            return self.inst_error(inst, format!("{func} does not exist"));
        };
        if !callee.patchable {
            return;
        }
        if !callee.colocated {
            self.inst_error(inst, "a patchable callee must be colocated".into());
        }
        let sig = self.func.get_sig(callee.signature);
        if sig.is_some_and(|sig| !sig.returns.is_empty()) {
            self.inst_error(inst, "a patchable callee must return nothing".into());
        }
    }

    fn check_indirect_callee(&mut self, inst: Inst, args: ValueList) {
        if self.values(inst, args).is_empty() {
            self.inst_error(inst, "no callee".into());
        }
    }

    /// The signature of what is called; none if it does not exist.
    fn callee_signature(&self, data: &InstData) -> Option<&'a Signature> {
        let sig = match *data {
            InstData::Call { func, .. } => self.func.get_ext_func(func)?.signature,
            InstData::CallIndirect { sig, .. } => sig,
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                self.func.get_exception_table(table)?.sig
            }
            _ => return None,
        };
        self.func.get_sig(sig)
    }

    fn check_args(&mut self, inst: Inst, args: ValueList, skip: usize, data: &InstData) {
        let Some(sig) = self.callee_signature(data) else {
            return;
        };
        let values = self.values(inst, args);
        let params = sig.params.iter().map(|p| p.ty);
        let values = values.get(skip..).unwrap_or_default();
        self.check_types(inst, values, params, "argument", "the callee");
    }

    pub(super) fn check_call_results(&mut self, inst: Inst, data: &InstData) {
        let Some(sig) = self.callee_signature(data) else {
            return;
        };
        let values: Vec<_> = self.func.inst_results(inst).collect();
        let mut returns: Vec<Type> = sig.returns.iter().map(|p| p.ty).collect();
        if data.opcode().is_branch() {
            returns.extend(sig.call_conv.exception_payload());
        }
        self.check_types(inst, &values, returns.into_iter(), "result", "the callee");
    }

    /// A call in place of the caller.
    fn check_tail_call(&mut self, inst: Inst, data: &InstData) {
        if let InstData::Call { func, .. } = *data
            && self.func.get_ext_func(func).is_some_and(|c| c.patchable)
        {
            let message = format!("{func} is patchable, so it cannot be called in tail position");
            self.inst_error(inst, message);
        }
        let Some(sig) = self.callee_signature(data) else {
            return;
        };
        let (own, conv) = (self.func.signature.call_conv, sig.call_conv);
        if !conv.supports_tail_calls() {
            self.inst_error(inst, format!("convention {conv} has no tail calls"));
        }
        if own != conv {
            let message = format!("the callee has convention {conv}, but the function {own}");
            self.inst_error(inst, message);
        }
        let types = |sig: &'a Signature| sig.returns.iter().map(|p| p.ty);
        let (have, want) = (types(sig), types(&self.func.signature));
        if !have.clone().eq(want.clone()) {
            let message = format!(
                "the callee returns {}, but the function {}",
                first_types(have),
                first_types(want)
            );
            self.inst_error(inst, message);
        }
    }

    /// The edges of a `try_call`, if they exist.
    fn check_exception_table(
        &mut self,
        inst: Inst,
        table: ExceptionTable,
    ) -> Option<&'a ExceptionTableData> {
        let Some(data) = self.func.get_exception_table(table) else {
            self.inst_error(inst, format!("{table} does not exist"));
            return None;
        };
        data.edges().for_each(|edge| self.check_edge(inst, edge));
        let Some(sig) = self.func.get_sig(data.sig) else {
            self.inst_error(inst, format!("{} does not exist", data.sig));
            return Some(data);
        };
        let conv: CallConv = sig.call_conv;
        if !conv.supports_exceptions() {
            self.inst_error(inst, format!("convention {conv} has no handlers"));
        }
        let returns = sig.returns.len() as u32;
        for (n, edge) in data.edges().enumerate() {
            let Some(edge) = self.func.get_block_call(edge) else {
                continue;
            };
            for v in self.values(inst, edge.args) {
                let of = self.func.get_value(v).map(|(_, def)| def);
                let Some(num) = of.and_then(|def| match def {
                    ValueDef::Result(of, num) if of == inst => Some(num),
                    _ => None,
                }) else {
                    continue;
                };
                match (n, num.checked_sub(returns)) {
                    (0, Some(n)) => self.inst_error(inst, format!("exn{n} on the normal edge")),
                    (1.., None) => {
                        self.inst_error(inst, format!("ret{num} on an edge to a handler"));
                    }
                    _ => {}
                }
            }
        }
        Some(data)
    }

    /// `func` is none for an indirect call.
    fn check_site(&mut self, inst: Inst, func: Option<FuncRef>, attrs: PackedOption<SiteAttr>) {
        let Some(attr) = attrs.expand() else {
            return;
        };
        match func {
            None => {
                let message = "site attributes, but an indirect call cannot be patchable".into();
                self.inst_error(inst, message);
            }
            Some(func) => {
                let callee = self.func.get_ext_func(func);
                if callee.is_some_and(|c| !c.patchable) {
                    let message = format!("site attributes, but {func} is not patchable");
                    self.inst_error(inst, message);
                }
            }
        }
        match self.func.get_site_attr(attr) {
            None => self.inst_error(inst, format!("{attr} does not exist")),
            Some(data) => {
                self.values(inst, data.observe);
            }
        }
    }

    /// A call with handlers has its own results only as arguments of its edges.
    fn check_own_results(&mut self, inst: Inst, args: ValueList, data: &ExceptionTableData) {
        let attr = data.attrs.expand().and_then(|a| self.func.get_site_attr(a));
        let mut values = self.values(inst, args);
        values.extend(data.contexts());
        if let Some(attr) = attr {
            values.extend(self.func.lists.get_list(attr.observe).into_iter().flatten());
        }
        for v in values {
            let def = self.func.get_value(v).map(|(_, def)| def);
            if matches!(def, Some(ValueDef::Result(of, _)) if of == inst) {
                self.inst_error(inst, format!("{v} is its own result"));
            }
        }
    }

    /// The address of a handler is that of one there is.
    pub(super) fn check_handler_address(&mut self, inst: Inst, data: &InstData) {
        let InstData::ExceptionHandlerAddress { block, index, .. } = *data else {
            return;
        };
        if !self.placed.get(block.index()).copied().unwrap_or(false) {
            return self.inst_error(inst, format!("{block} does not exist"));
        }
        let table = self
            .func
            .terminator(block)
            .and_then(|last| match *self.func.inst(last) {
                InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                    self.func.get_exception_table(table)
                }
                _ => None,
            });
        let Some(table) = table else {
            return self.inst_error(inst, format!("{block} does not end with a try_call"));
        };
        let handlers = table.handlers().count();
        if !usize::try_from(index).is_ok_and(|n| n < handlers) {
            let message = format!("{block} has {handlers} handlers, so there is no number {index}");
            self.inst_error(inst, message);
        }
    }
}

/// The names of the first few types.
fn first_types(types: impl ExactSizeIterator<Item = Type>) -> String {
    const MAX: usize = 4;
    let more = types.len() > MAX;
    let mut names: Vec<_> = types.take(MAX).map(|ty| ty.to_string()).collect();
    if more {
        names.push("…".into());
    }
    match names.is_empty() {
        true => "nothing".into(),
        false => names.join(", "),
    }
}
