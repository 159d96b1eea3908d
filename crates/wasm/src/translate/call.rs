//! Calls of functions and builtins.

use super::{NAMESPACE_FUNC, Translator};
use crate::builtins::Builtin;
use crate::trap_codes;
use crate::types::{FuncType, ValType};
use crate::vm_offsets;
use nopal_ir::{
    AbiParam, ArgumentPurpose, CallConv, ExtFunc, ExternalName, FuncRef, Inst, IntCC, MemFlags,
    SigRef, Signature, Type, Value,
};

/// The parameter that points to the instance's context.
const VMCTX: AbiParam = AbiParam::special(Type::I64, ArgumentPurpose::VMContext);

/// Make `sig` the signature of compiled functions of a type.
pub(super) fn set_signature(sig: &mut Signature, ty: &FuncType) {
    let param = |ty: &ValType| AbiParam::new(ty.ir());
    sig.call_conv = CallConv::Fast;
    sig.params.clear();
    sig.params.push(VMCTX);
    sig.params.extend(ty.params().iter().map(param));
    sig.returns.clear();
    sig.returns.extend(ty.results().iter().map(param));
}

/// The signature of compiled functions of a type.
pub(crate) fn signature(ty: &FuncType) -> Signature {
    let mut sig = Signature::new(CallConv::Fast);
    set_signature(&mut sig, ty);
    sig
}

/// The signature of a builtin.
pub(crate) fn builtin_signature(builtin: Builtin) -> Signature {
    let params = std::iter::once(VMCTX).chain(builtin.params().map(AbiParam::new));
    Signature {
        params: params.collect(),
        returns: builtin.result().map(AbiParam::new).into_iter().collect(),
        call_conv: CallConv::SystemV,
    }
}

/// A pointer or id in the context, or behind a pointer in it, that never changes.
pub(super) const FIXED: MemFlags = MemFlags::trusted().with_readonly().with_can_move();

impl Translator<'_> {
    pub(super) fn visit_call(&mut self, index: u32) {
        let ty = self.info.funcs[index as usize];
        if self.info.defined_func(index).is_some() {
            let callee = self.callee(index);
            self.set_args(self.vmctx, ty);
            let inst = self.b.call(callee, &self.state.args);
            self.push_results(inst);
        } else {
            let import = self.info.offsets.func_import(index);
            self.call_record(self.vmctx, import, FIXED, ty);
        }
    }

    /// Call what a record of code and context pointer refers to.
    fn call_record(&mut self, record: Value, offset: i32, flags: MemFlags, ty: u32) {
        let sig = self.sig(ty);
        let code = vm_offsets::FUNC_CODE + offset;
        let code = self.b.load(Type::I64, flags, record, code);
        let context = vm_offsets::FUNC_CONTEXT + offset;
        let context = self.b.load(Type::I64, flags, record, context);
        self.set_args(context, ty);
        let inst = self.b.call_indirect(sig, code, &self.state.args);
        self.push_results(inst);
    }

    pub(super) fn visit_call_indirect(&mut self, ty: u32, table: u32) {
        let index = self.pop();
        let element = self.table_element(table, index, trap_codes::UNDEFINED_ELEMENT);
        let func = self.b.load(Type::I64, MemFlags::trusted(), element, 0);
        // Null is where nothing is mapped: the load of the id raises the trap.
        let flags = MemFlags::trusted().with_trap_code(Some(trap_codes::UNINITIALIZED_ELEMENT));
        let id = vm_offsets::FUNC_TYPE_ID;
        let id = self.b.load(Type::I32, flags, func, id);
        let ids = vm_offsets::TYPE_IDS;
        let ids = self.b.load(Type::I64, FIXED, self.vmctx, ids);
        let expected = self.b.load(Type::I32, FIXED, ids, ty as i32 * 4);
        let other = self.b.icmp(IntCC::NotEqual, id, expected);
        self.b.trapnz(other, trap_codes::BAD_SIGNATURE);
        self.call_record(func, 0, MemFlags::trusted(), ty);
    }

    /// Call a builtin with the top operands, after those in `state.args` for its first parameters.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, operands: usize) {
        self.pop_args(operands);
        let sig = self.builtin_sig(builtin);
        let table = vm_offsets::BUILTINS;
        let table = self.b.load(Type::I64, FIXED, self.vmctx, table);
        let code = self.b.load(Type::I64, FIXED, table, builtin.offset());
        let inst = self.b.call_indirect(sig, code, &self.state.args);
        self.push_results(inst);
    }

    /// Make the context and these indices the first arguments of a builtin.
    pub(super) fn begin_builtin_args(&mut self, indices: &[u32]) {
        self.state.args.clear();
        self.state.args.push(self.vmctx);
        for &index in indices {
            let index = self.b.iconst(Type::I32, i64::from(index as i32));
            self.state.args.push(index);
        }
    }

    /// Take the arguments of a call from the operands.
    fn set_args(&mut self, context: Value, ty: u32) {
        let n = self.info.types[ty as usize].params().len();
        self.spend(n);
        self.state.args.clear();
        self.state.args.push(context);
        self.pop_args(n);
    }

    fn push_results(&mut self, inst: Inst) {
        let results = self.b.inst_results(inst);
        self.spend(results.len());
        self.state.stack.extend(results);
    }

    fn callee(&mut self, index: u32) -> FuncRef {
        if let Some(callee) = self.state.callees.get(index) {
            return callee;
        }
        let signature = self.sig(self.info.funcs[index as usize]);
        let callee = self.b.func.import_function(ExtFunc {
            name: ExternalName::User {
                namespace: NAMESPACE_FUNC,
                index,
            },
            signature,
            colocated: true,
            patchable: false,
        });
        self.state.callees.set(index, callee);
        callee
    }

    fn sig(&mut self, ty: u32) -> SigRef {
        if let Some(sig) = self.state.sigs.get(ty) {
            return sig;
        }
        let sig = signature(&self.info.types[ty as usize]);
        let sig = self.b.func.import_signature(sig);
        self.state.sigs.set(ty, sig);
        sig
    }

    fn builtin_sig(&mut self, builtin: Builtin) -> SigRef {
        let index = builtin as u32;
        if let Some(sig) = self.state.builtin_sigs.get(index) {
            return sig;
        }
        let sig = builtin_signature(builtin);
        let sig = self.b.func.import_signature(sig);
        self.state.builtin_sigs.set(index, sig);
        sig
    }
}
