//! Operands and results have the types that the opcode table demands.

use super::Verifier;
use crate::{Inst, InstData, Opcode, Operands, ResultType, Type, Value};

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
        self.check_results(inst, &data);
        self.check_operands(inst, &data);
        self.check_immediates(inst, &data);
        self.check_control(inst, &data);
    }

    /// The type of the only result, if there is one.
    fn result_type(&self, inst: Inst) -> Option<Type> {
        let result = self.func.inst_results(inst).next()?;
        Some(self.func.value_type(result))
    }

    fn check_results(&mut self, inst: Inst, data: &InstData) {
        let rule = data.opcode().result_type();
        if rule == ResultType::Signature {
            return self.check_call_results(inst, data);
        }
        let want = usize::from(rule != ResultType::None);
        let have = self.func.inst_results(inst).len();
        if have != want {
            return self.inst_error(inst, format!("has {have} results, not {want}"));
        }
        let Some(ty) = self.result_type(inst) else {
            return;
        };
        let same = |v: Value| (self.ty(v) == Some(ty), self.ty(v).map_or("", Type::name));
        let (fits, want) = match rule {
            ResultType::None | ResultType::Signature => (true, ""),
            ResultType::SameAsFirst => same(operands(data).0[0]),
            ResultType::SameAsSecond => same(operands(data).0[1]),
            ResultType::Bool => (ty == Type::I8, "i8"),
            ResultType::F32 => (ty == Type::F32, "f32"),
            ResultType::F64 => (ty == Type::F64, "f64"),
            ResultType::WrittenInt => (is_int(ty), "an integer type"),
            ResultType::WrittenFloat => (is_float(ty), "a floating-point type"),
            ResultType::Written => (Type::ALL.contains(&ty), "a valid type"),
        };
        // An operand that does not exist is reported as such.
        if !fits && !want.is_empty() {
            self.inst_error(inst, format!("the result has type {ty}, not {want}"));
        }
    }

    fn check_operands(&mut self, inst: Inst, data: &InstData) {
        let rule = data.opcode().operands();
        let (args, num) = operands(data);
        let args = &args[..num];
        let result = self.result_type(inst);
        match rule {
            Operands::ByFormat => {}
            Operands::Int => {
                for &v in args {
                    self.demand(inst, v, is_int, "an integer");
                }
                self.demand_same(inst, args);
            }
            Operands::Float => {
                for &v in args {
                    self.demand(inst, v, is_float, "a float");
                }
                self.demand_same(inst, args);
            }
            Operands::Shift => {
                for &v in args {
                    self.demand(inst, v, is_int, "an integer");
                }
            }
            Operands::Select => {
                self.demand(inst, args[0], is_int, "an integer");
                self.demand_same(inst, &args[1..]);
            }
            Operands::Address => self.demand_address(inst, args[0]),
            Operands::StoreAny => self.demand_address(inst, args[1]),
            Operands::StoreInt => {
                let width = access_bits(data.opcode());
                let wide = |ty: Type| is_int(ty) && ty.bits() > width;
                self.demand(inst, args[0], wide, "an integer wider than what is stored");
                self.demand_address(inst, args[1]);
            }
            _ => {
                if let Some(result) = result {
                    self.demand_conversion(inst, rule, args[0], result);
                }
            }
        }
    }

    /// The operand of a conversion to type `to`.
    fn demand_conversion(&mut self, inst: Inst, rule: Operands, arg: Value, to: Type) {
        let (bits, width) = (|ty: Type| ty.bits(), to.bits());
        match rule {
            Operands::IntNarrower => {
                let fits = |ty| is_int(ty) && bits(ty) < width;
                self.demand(inst, arg, fits, "an integer narrower than the result");
            }
            Operands::IntWider => {
                let fits = |ty| is_int(ty) && bits(ty) > width;
                self.demand(inst, arg, fits, "an integer wider than the result");
            }
            Operands::FloatNarrower => {
                let fits = |ty| is_float(ty) && bits(ty) < width;
                self.demand(inst, arg, fits, "a float narrower than the result");
            }
            Operands::FloatWider => {
                let fits = |ty| is_float(ty) && bits(ty) > width;
                self.demand(inst, arg, fits, "a float wider than the result");
            }
            Operands::SameWidth => {
                self.demand(inst, arg, |ty| bits(ty) == width, "as wide as the result");
            }
            _ => unreachable!("{rule:?} is not a rule for conversions"),
        }
    }

    fn check_immediates(&mut self, inst: Inst, data: &InstData) {
        let result = self.result_type(inst);
        match *data {
            InstData::UnaryImm { imm, .. } => {
                let unused = 64 - result.map_or(64, Type::bits).clamp(1, 64);
                if imm << unused >> unused != imm {
                    let ty = result.map_or("", Type::name);
                    let message = format!("{imm} is not a sign-extended number of type {ty}");
                    self.inst_error(inst, message);
                }
            }
            InstData::StackAddr { slot, offset, .. } => {
                if result.is_some_and(|ty| ty != Type::I64) {
                    self.inst_error(inst, "an address has type i64".into());
                }
                match self.func.get_stack_slot(slot) {
                    None => self.inst_error(inst, format!("{slot} does not exist")),
                    Some(data) if offset < 0 || offset as u32 >= data.size.max(1) => {
                        let message = format!("offset {offset} is outside of {slot}");
                        self.inst_error(inst, message);
                    }
                    Some(_) => {}
                }
            }
            InstData::Load { opcode, .. } => {
                let width = access_bits(opcode);
                if width != 0 && result.is_some_and(|ty| ty.bits() <= width) {
                    self.inst_error(inst, format!("the result is not wider than {width} bits"));
                }
            }
            InstData::Store { flags, .. } if flags.readonly() => {
                self.inst_error(inst, "a store to memory that is readonly".into());
            }
            _ => {}
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

    pub(super) fn demand_address(&mut self, inst: Inst, v: Value) {
        self.demand(inst, v, |ty| ty == Type::I64, "an address, i64");
    }

    fn demand_same(&mut self, inst: Inst, args: &[Value]) {
        let [first, rest @ ..] = args else {
            return;
        };
        let Some(want) = self.ty(*first) else {
            return;
        };
        for &v in rest {
            if let Some(ty) = self.ty(v)
                && ty != want
            {
                let message = format!("{v} has type {ty}, but {first} has type {want}");
                self.inst_error(inst, message);
            }
        }
    }
}

/// The operands of an instruction that are not in lists, and their number.
fn operands(data: &InstData) -> ([Value; 3], usize) {
    let unused = Value::from_u32(u32::MAX);
    match *data {
        InstData::Unary { arg, .. }
        | InstData::Load { arg, .. }
        | InstData::CondTrap { arg, .. } => ([arg, unused, unused], 1),
        InstData::Binary { args: [x, y], .. }
        | InstData::IntCompare { args: [x, y], .. }
        | InstData::FloatCompare { args: [x, y], .. }
        | InstData::Store { args: [x, y], .. } => ([x, y, unused], 2),
        InstData::Ternary { args, .. } => (args, 3),
        _ => ([unused; 3], 0),
    }
}

/// The width of the memory access of a load or store narrower than its value; 0 for others.
fn access_bits(opcode: Opcode) -> u32 {
    match opcode {
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => 8,
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => 16,
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => 32,
        _ => 0,
    }
}

pub(super) fn is_int(ty: Type) -> bool {
    ty.is_int() && Type::ALL.contains(&ty)
}

fn is_float(ty: Type) -> bool {
    ty.is_float() && Type::ALL.contains(&ty)
}
