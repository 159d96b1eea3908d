//! Calls: of functions of the module, of external ones, and patch sites.

use super::{Body, OBSERVED, TYPES};
use nopal_ir::{
    AbiParam, CallConv, ExtFunc, ExternalName, FuncRef, SigRef, Signature, Type, Value,
};

impl Body<'_, '_> {
    pub(super) fn call(&mut self) {
        let callees = self.sigs.len() - self.index - 1;
        if callees == 0 || self.rng.chance(30) {
            return self.clobber();
        }
        let index = self.index + 1 + self.rng.below(callees);
        let sig = self.sigs[index].clone();
        let args = self.arguments(&sig);
        let signature = self.b.func.import_signature(sig);
        let inst = if self.rng.chance(30) {
            let address = self.address_of(index, signature);
            if self.rng.chance(50) {
                self.some_statements(2);
            }
            self.b.call_indirect(signature, address, &args)
        } else {
            let callee = self.function(index, signature);
            self.b.call(callee, &args)
        };
        for v in self.b.inst_results(inst) {
            self.push(v);
        }
    }

    /// A function of this module.
    fn function(&mut self, index: usize, signature: SigRef) -> FuncRef {
        let name = ExternalName::User {
            namespace: 0,
            index: index as u32,
        };
        self.b.func.import_function(ExtFunc {
            name,
            signature,
            colocated: self.rng.chance(80),
            patchable: false,
        })
    }

    /// The address of a function of this module: from the table, or by its name.
    fn address_of(&mut self, index: usize, signature: SigRef) -> Value {
        if self.rng.chance(50) {
            return self.function_address(index);
        }
        let callee = self.function(index, signature);
        self.b.func_addr(Type::I64, callee)
    }

    /// End with a call in place of this function, if there is one it can be replaced by.
    pub(super) fn tail_call(&mut self) -> bool {
        let own = &self.sigs[self.index];
        let fits = |&n: &usize| {
            let sig: &Signature = &self.sigs[n];
            sig.call_conv.supports_tail_calls() && sig.returns == own.returns
        };
        let callees: Vec<usize> = (self.index + 1..self.sigs.len()).filter(fits).collect();
        if !own.call_conv.supports_tail_calls() || callees.is_empty() || self.rng.chance(20) {
            return false;
        }
        let index = self.rng.pick(&callees);
        let sig = self.sigs[index].clone();
        let args = self.arguments(&sig);
        let signature = self.b.func.import_signature(sig);
        if self.rng.chance(30) {
            let address = self.address_of(index, signature);
            self.b.return_call_indirect(signature, address, &args);
        } else {
            let callee = self.function(index, signature);
            self.b.return_call(callee, &args);
        }
        true
    }

    /// The first parameter is the address of the data.
    fn arguments(&mut self, sig: &Signature) -> Vec<Value> {
        let rest = sig.params[1..].iter().map(|p| self.value(p.ty));
        let mut args: Vec<Value> = rest.collect();
        args.insert(0, self.data);
        args
    }

    /// A call of what overwrites every register it may.
    fn clobber(&mut self) {
        let mut sig = Signature::new(CallConv::SystemV);
        for ty in [Type::I64, Type::I32, Type::F64, Type::F32] {
            sig.params.push(AbiParam::new(ty));
            sig.returns.push(AbiParam::new(ty));
        }
        let args: Vec<Value> = sig
            .params
            .clone()
            .iter()
            .map(|p| self.value(p.ty))
            .collect();
        let callee = self.named("clobber", sig, false);
        let inst = self.b.call(callee, &args);
        for v in self.b.inst_results(inst) {
            self.push(v);
        }
    }

    fn named(&mut self, name: &str, sig: Signature, patchable: bool) -> FuncRef {
        let signature = self.b.func.import_signature(sig);
        self.b.func.import_function(ExtFunc {
            name: ExternalName::Named(name.into()),
            signature,
            colocated: patchable || self.rng.chance(80),
            patchable,
        })
    }

    /// A call that is not patchable and preserves all registers.
    fn observe(&mut self) {
        let mut sig = Signature::new(CallConv::PreserveAll);
        sig.params.extend(OBSERVED.map(AbiParam::new));
        let args: Vec<Value> = OBSERVED.iter().map(|&ty| self.value(ty)).collect();
        let callee = self.named("observe", sig, false);
        self.b.call(callee, &args);
    }

    /// A patch site with arguments and observed values.
    pub(super) fn hook(&mut self) {
        if self.rng.chance(20) {
            return self.observe();
        }
        let mut sig = Signature::new(CallConv::PreserveAll);
        let most = self.rng.pick(&[1, 4, 18]);
        for _ in 0..self.rng.below(most) {
            sig.params.push(AbiParam::new(self.rng.pick(&TYPES)));
        }
        let args: Vec<Value> = sig
            .params
            .clone()
            .iter()
            .map(|p| self.value(p.ty))
            .collect();
        let callee = self.named("hook", sig, true);
        for _ in 0..1 + self.rng.below(2) {
            let observe: Vec<Value> = (0..self.rng.below(8))
                .map(|_| {
                    let ty = self.any_type();
                    self.value(ty)
                })
                .collect();
            self.sites += 1;
            self.b.patchable_call(callee, &args, self.sites, &observe);
        }
    }
}
