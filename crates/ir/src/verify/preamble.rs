//! Declarations make sense.

use super::{Entity, Verifier};
use crate::{
    AbiParam, AliasRegion, ArgumentExtension, ArgumentPurpose, CallConv, DynamicStackSlot,
    DynamicType, EntityRef, FuncRef, GlobalValue, GlobalValueData, SigRef, Signature, StackSlot,
    Type, TypeSet,
};
use std::collections::HashMap;

impl Verifier<'_> {
    pub(super) fn check_preamble(&mut self) {
        let func = self.func;
        self.check_signature(Entity::Function, &func.signature);
        for (n, sig) in func.sigs().iter().enumerate() {
            self.check_signature(Entity::Signature(SigRef::new(n)), sig);
        }
        self.check_callees();
        for (n, slot) in func.stack_slots().iter().enumerate() {
            if slot.align_shift >= 32 {
                let message = format!("alignment 2^{} is too large", slot.align_shift);
                self.error(Entity::StackSlot(StackSlot::new(n)), message);
            }
        }
        self.check_regions();
        for (n, data) in func.global_values().iter().enumerate() {
            self.check_global(GlobalValue::new(n), data);
        }
        self.check_global_cycles();
        self.check_dynamic();
        if let Some(limit) = func.stack_limit {
            match self.global_type(limit) {
                None => self.error(Entity::Function, format!("{limit} does not exist")),
                Some(Type::I64) => {}
                Some(ty) => {
                    let message = format!("the stack limit has type {ty}, not i64");
                    self.error(Entity::Function, message);
                }
            }
        }
    }

    fn check_callees(&mut self) {
        for (n, callee) in self.func.ext_funcs().iter().enumerate() {
            let entity = Entity::Callee(FuncRef::new(n));
            if self.func.get_sig(callee.signature).is_none() {
                self.error(entity, format!("{} does not exist", callee.signature));
            }
        }
    }

    fn check_signature(&mut self, entity: Entity, sig: &Signature) {
        for (kind, list) in [("parameter", &sig.params), ("result", &sig.returns)] {
            for (n, param) in list.iter().enumerate() {
                let ty = param.ty;
                if !ty.is_valid() {
                    self.error(entity, format!("{kind} {n} has no valid type"));
                }
                if param.extension != ArgumentExtension::None && !ty.is_int() {
                    let message = format!("{kind} {n} has type {ty}, which cannot be extended");
                    self.error(entity, message);
                }
                let pointer = match param.purpose {
                    ArgumentPurpose::Normal => continue,
                    ArgumentPurpose::StructArgument(_) if kind == "result" => {
                        let message = format!("{kind} {n} cannot be a structure");
                        self.error(entity, message);
                        continue;
                    }
                    ArgumentPurpose::StructArgument(_) => "sarg",
                    ArgumentPurpose::StructReturn => "sret",
                    ArgumentPurpose::VMContext => "vmctx",
                };
                if ty != Type::I64 {
                    let message = format!("{kind} {n} is {pointer} but has type {ty}, not i64");
                    self.error(entity, message);
                }
            }
        }
        let structure = |p: &&AbiParam| matches!(p.purpose, ArgumentPurpose::StructArgument(_));
        if sig.call_conv == CallConv::Tail && sig.params.iter().find(structure).is_some() {
            self.error(entity, "tail functions take no structures, sarg".into());
        }
        if sig.call_conv == CallConv::PreserveAll && !sig.returns.is_empty() {
            self.error(entity, "preserve_all functions return nothing".into());
        }
    }

    fn check_regions(&mut self) {
        let mut seen = HashMap::new();
        for (n, data) in self.func.alias_regions().iter().enumerate() {
            let region = AliasRegion::new(n);
            if let Some(other) = seen.insert(data.user_id, region) {
                let message = format!("has the number {} of {other}", data.user_id);
                self.error(Entity::AliasRegion(region), message);
            }
        }
    }

    /// The type of a global value that exists.
    pub(super) fn global_type(&self, global: GlobalValue) -> Option<Type> {
        Some(match self.func.get_global_value(global)? {
            GlobalValueData::Load { ty, .. } | GlobalValueData::IaddImm { ty, .. } => *ty,
            GlobalValueData::VMContext
            | GlobalValueData::Symbol { .. }
            | GlobalValueData::DynScaleTargetConst { .. } => Type::I64,
        })
    }

    fn check_global(&mut self, global: GlobalValue, data: &GlobalValueData) {
        let entity = Entity::GlobalValue(global);
        match *data {
            GlobalValueData::VMContext => {
                let params = &self.func.signature.params;
                if !params
                    .iter()
                    .any(|p| p.purpose == ArgumentPurpose::VMContext)
                {
                    let message = "the function has no vmctx parameter".into();
                    self.error(entity, message);
                }
            }
            GlobalValueData::Load {
                base,
                ty,
                flags,
                region,
                ..
            } => {
                self.check_base(entity, base, Type::I64);
                if !ty.is_valid() {
                    self.error(entity, "has no valid type".into());
                }
                if !(flags.notrap() && flags.aligned()) {
                    self.error(entity, "must be loaded `notrap aligned`".into());
                }
                if let Some(region) = region
                    && self.func.get_alias_region(region).is_none()
                {
                    self.error(entity, format!("{region} does not exist"));
                }
            }
            GlobalValueData::IaddImm { base, ty, .. } => {
                if !ty.is_int() {
                    self.error(entity, format!("has type {ty}, not an integer type"));
                }
                self.check_base(entity, base, ty);
            }
            GlobalValueData::Symbol { .. } => {}
            GlobalValueData::DynScaleTargetConst { vector } => {
                if !TypeSet::FIXED_VECTOR.contains(vector) {
                    self.error(entity, format!("{vector} is not a fixed vector"));
                }
            }
        }
    }

    fn check_base(&mut self, entity: Entity, base: GlobalValue, want: Type) {
        match self.global_type(base) {
            None => self.error(entity, format!("{base} does not exist")),
            Some(ty) if ty != want => {
                self.error(entity, format!("{base} has type {ty}, not {want}"));
            }
            Some(_) => {}
        }
    }

    /// No global value leads back to itself.
    fn check_global_cycles(&mut self) {
        let globals = self.func.global_values();
        // 0 is new, 1 on the way that is being followed, 2 known to end.
        let mut state = vec![0u8; globals.len()];
        for n in 0..globals.len() {
            let mut way = Vec::new();
            let mut at = Some(n);
            while let Some(n) = at.filter(|&n| state.get(n) == Some(&0)) {
                state[n] = 1;
                way.push(n);
                at = match globals[n] {
                    GlobalValueData::Load { base, .. } | GlobalValueData::IaddImm { base, .. } => {
                        Some(base.index())
                    }
                    _ => None,
                };
            }
            if let Some(n) = at.filter(|&n| state.get(n) == Some(&1)) {
                let entity = Entity::GlobalValue(GlobalValue::new(n));
                self.error(entity, "depends on itself".into());
            }
            way.into_iter().for_each(|n| state[n] = 2);
        }
    }

    fn check_dynamic(&mut self) {
        for (n, data) in self.func.dynamic_types().iter().enumerate() {
            let entity = Entity::DynamicType(DynamicType::new(n));
            if data.base.to_dynamic().is_none() {
                let message = format!("there are no multiples of {}", data.base);
                self.error(entity, message);
            }
            if self.func.get_global_value(data.scale).is_none() {
                self.error(entity, format!("{} does not exist", data.scale));
            }
        }
        for (n, data) in self.func.dynamic_stack_slots().iter().enumerate() {
            if self.func.get_dynamic_type(data.ty).is_none() {
                let entity = Entity::DynamicStackSlot(DynamicStackSlot::new(n));
                self.error(entity, format!("{} does not exist", data.ty));
            }
        }
    }
}
