//! Operands and results have the types that the opcode table demands.

use super::Verifier;
use crate::{
    Control, DebugTag, GlobalValue, GlobalValueData, Inst, InstData, Opcode, Type, TypeRule, Value,
};

impl Verifier<'_> {
    pub(super) fn check_inst(&mut self, inst: Inst) {
        let data = *self.func.inst(inst);
        let opcode = data.opcode();
        if data.format() != opcode.format() {
            let message = format!(
                "operands of format {:?}, but {opcode} has format {:?}",
                data.format(),
                opcode.format()
            );
            return self.inst_error(inst, message);
        }
        let control = self.check_control_type(inst, &data);
        if opcode.has_signature_results() {
            self.check_call_results(inst, &data);
        } else {
            self.check_results(inst, opcode, control);
        }
        self.check_operands(inst, &data, control);
        self.check_immediates(inst, &data);
        self.check_references(inst, &data);
        self.check_notes(inst, &data);
        self.check_control(inst, &data);
    }

    /// The type of the first result, if there is one.
    pub(super) fn result_type(&self, inst: Inst) -> Option<Type> {
        let result = self.func.inst_results(inst).next()?;
        Some(self.func.value_type(result))
    }

    /// The operand whose type controls those of the others.
    fn control_operand(&self, data: &InstData) -> Option<Value> {
        match data.value_list() {
            Some(list) => self.func.lists.get_list(list)?.next(),
            None => data.control_operand(),
        }
    }

    /// The controlling type, checked; none if it is not known or wrong, which has been reported.
    fn check_control_type(&mut self, inst: Inst, data: &InstData) -> Option<Type> {
        let opcode = data.opcode();
        let set = opcode.control_set();
        let fits = |ty: &Type| set.contains(*ty);
        match opcode.control() {
            Control::Fixed => Some(Type::INVALID),
            Control::Infer => {
                let v = self.control_operand(data)?;
                let ty = self.ty(v)?;
                self.demand(inst, v, |ty| set.contains(ty), set.name());
                Some(ty).filter(fits)
            }
            Control::Written => {
                let ty = self.result_type(inst)?;
                if !set.contains(ty) {
                    let want = set.name();
                    self.inst_error(inst, format!("the result has type {ty}, not {want}"));
                }
                Some(ty).filter(fits)
            }
        }
    }

    fn check_num_results(&mut self, inst: Inst, want: usize) -> bool {
        let have = self.func.inst_results(inst).len();
        if have != want {
            self.inst_error(inst, format!("has {have} results, not {want}"));
        }
        have == want
    }

    fn check_results(&mut self, inst: Inst, opcode: Opcode, control: Option<Type>) {
        let rules = opcode.results();
        let Some(control) = control.filter(|_| self.check_num_results(inst, rules.len())) else {
            return;
        };
        for (v, rule) in self.func.inst_results(inst).zip(rules) {
            let ty = self.func.value_type(v);
            if !rule.allows(control, ty) {
                let want = rule.describe(control);
                let message = match rules.len() {
                    1 => format!("the result has type {ty}, not {want}"),
                    _ => format!("{v} has type {ty}, not {want}"),
                };
                self.inst_error(inst, message);
            }
        }
    }

    fn check_operands(&mut self, inst: Inst, data: &InstData, control: Option<Type>) {
        let Some(control) = control else {
            return;
        };
        let controlling = self.control_operand(data);
        for (&v, rule) in data.value_operands().iter().zip(data.opcode().operands()) {
            let Some(ty) = self.ty(v).filter(|&ty| !rule.allows(control, ty)) else {
                continue;
            };
            let message = match (rule, controlling) {
                (TypeRule::T, Some(c)) if data.opcode().control() == Control::Infer => {
                    format!("{v} has type {ty}, but {c} has type {control}")
                }
                _ => format!("{v} has type {ty}, but must be {}", rule.describe(control)),
            };
            self.inst_error(inst, message);
        }
    }

    fn check_immediates(&mut self, inst: Inst, data: &InstData) {
        let result = self.result_type(inst);
        match *data {
            InstData::UnaryImm { imm, .. } => {
                let unused = 64 - result.map_or(64, Type::bits).clamp(1, 64);
                if imm << unused >> unused != imm {
                    let ty = result.unwrap_or(Type::INVALID);
                    let message = format!("{imm} is not a sign-extended number of type {ty}");
                    self.inst_error(inst, message);
                }
            }
            InstData::StackAddr { slot, offset, .. } => match self.func.get_stack_slot(slot) {
                None => self.inst_error(inst, format!("{slot} does not exist")),
                // The address right behind a slot is that of its end, as in C.
                Some(data) if offset < 0 || offset as u32 > data.size => {
                    let message = format!("offset {offset} is outside of {slot}");
                    self.inst_error(inst, message);
                }
                Some(_) => {}
            },
            InstData::Store { flags, .. }
            | InstData::StoreNoOffset { flags, .. }
            | InstData::AtomicRmw { flags, .. }
            | InstData::AtomicCas { flags, .. }
                if flags.readonly() =>
            {
                self.inst_error(inst, "a store to memory that is readonly".into());
            }
            InstData::BinaryImm8 {
                opcode: Opcode::Extractlane,
                arg,
                imm,
            }
            | InstData::TernaryImm8 {
                args: [arg, _],
                imm,
                ..
            } => {
                if let Some(ty) = self.ty(arg)
                    && u32::from(imm) >= ty.lanes()
                {
                    self.inst_error(inst, format!("{ty} has no lane {imm}"));
                }
            }
            InstData::Unary {
                opcode: Opcode::Bitcast,
                arg,
            } => {
                let (from, to) = (self.ty(arg), result);
                if let (Some(from), Some(to)) = (from, to)
                    && from.lanes() != to.lanes()
                    && self.func.bitcast_order(inst).is_none()
                {
                    let message = format!("{from} to {to} needs a byte order, `big` or `little`");
                    self.inst_error(inst, message);
                }
            }
            _ => {}
        }
    }

    /// References to declarations lead somewhere that makes sense.
    fn check_references(&mut self, inst: Inst, data: &InstData) {
        let result = self.result_type(inst);
        match *data {
            InstData::UnaryConst { constant, .. } => match self.func.get_constant(constant) {
                None => self.inst_error(inst, format!("{constant} does not exist")),
                Some(bytes) => {
                    if let Some(ty) = result
                        && bytes.len() != ty.bytes() as usize
                    {
                        let (have, want) = (bytes.len(), ty.bytes());
                        let message = format!("{constant} has {have} bytes, but {ty} has {want}");
                        self.inst_error(inst, message);
                    }
                }
            },
            InstData::UnaryGlobalValue { opcode, global } => {
                self.check_symbol(inst, opcode, global);
            }
            InstData::Shuffle { mask, .. } => match self.func.get_shuffle_mask(mask) {
                None => self.inst_error(inst, format!("{mask} does not exist")),
                Some(bytes) => {
                    if let Some(n) = bytes.iter().find(|&&n| n > 31) {
                        self.inst_error(inst, format!("lane {n} of two vectors of 16 lanes"));
                    }
                }
            },
            InstData::DynamicStackAddr { slot, .. }
                if self.func.get_dynamic_stack_slot(slot).is_none() =>
            {
                self.inst_error(inst, format!("{slot} does not exist"));
            }
            InstData::FuncAddr { func, .. } if self.func.get_ext_func(func).is_none() => {
                self.inst_error(inst, format!("{func} does not exist"));
            }
            InstData::ExceptionHandlerAddress { .. } => self.check_handler_address(inst, data),
            _ => {}
        }
    }

    fn check_symbol(&mut self, inst: Inst, opcode: Opcode, global: GlobalValue) {
        if let Some(ty) = self.result_type(inst)
            && ty != Type::I64
        {
            self.inst_error(
                inst,
                format!("the result has type {ty}, not an address, i64"),
            );
        }
        let wants_tls = opcode == Opcode::TlsValue;
        match self.func.get_global_value(global) {
            None => self.inst_error(inst, format!("{global} does not exist")),
            Some(GlobalValueData::Symbol { tls, .. }) if *tls != wants_tls => {
                let a = if wants_tls { "not " } else { "" };
                self.inst_error(inst, format!("{global} is {a}thread-local"));
            }
            Some(GlobalValueData::Symbol { .. }) => {}
            Some(_) => self.inst_error(inst, format!("{global} is not a symbol")),
        }
    }

    /// What stands beside an instruction is about such an instruction.
    fn check_notes(&mut self, inst: Inst, data: &InstData) {
        let opcode = data.opcode();
        if let Some(region) = self.func.alias_region(inst) {
            if self.func.get_alias_region(region).is_none() {
                self.inst_error(inst, format!("{region} does not exist"));
            } else if opcode.is_call() || !(opcode.is_load() || opcode.is_store()) {
                self.inst_error(inst, "a region, but no memory access".into());
            }
        }
        if self.func.bitcast_order(inst).is_some() && opcode != Opcode::Bitcast {
            self.inst_error(inst, format!("{opcode} has no byte order"));
        }
        let tags = self.func.debug_tags(inst);
        if !tags.is_empty() && !opcode.is_call() && opcode != Opcode::SequencePoint {
            self.inst_error(inst, "tags are for calls and sequence_point".into());
        }
        for tag in tags {
            if let DebugTag::Slot(slot) = *tag
                && self.func.get_stack_slot(slot).is_none()
            {
                self.inst_error(inst, format!("{slot} does not exist"));
            }
        }
        let Some(map) = self.func.stack_map(inst) else {
            return;
        };
        if !opcode.has_signature_results() {
            self.inst_error(inst, "a stack map is for calls that come back".into());
        }
        for entry in map {
            match self.func.get_stack_slot(entry.slot) {
                None => self.inst_error(inst, format!("{} does not exist", entry.slot)),
                Some(slot) => {
                    let end = u64::from(entry.offset) + u64::from(entry.ty.bytes());
                    if end > u64::from(slot.size) {
                        let (slot, at) = (entry.slot, entry.offset);
                        let message = format!("{} at offset {at} is outside of {slot}", entry.ty);
                        self.inst_error(inst, message);
                    }
                }
            }
        }
    }

    /// An operand whose type must satisfy `fits`.
    pub(super) fn demand(&mut self, inst: Inst, v: Value, fits: impl Fn(Type) -> bool, what: &str) {
        if let Some(ty) = self.ty(v)
            && !fits(ty)
        {
            self.inst_error(inst, format!("{v} has type {ty}, but must be {what}"));
        }
    }
}
