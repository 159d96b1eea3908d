//! An instruction of any row of the opcode table.

use super::lines::Lines;
use nopal_fuzzgen::Rng;
use nopal_ir::{
    AtomicRmwOp, Control, EntityRef, FloatCC, Format, Function, IntCC, Opcode, Type, TypeRule,
    TypeSet,
};
use std::fmt::Write;

/// Types that are compiled.
const COMPILED: [Type; 7] = [
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::I128,
    Type::F32,
    Type::F64,
];

const TRAPS: [&str; 7] = [
    "heap_oob",
    "int_ovf",
    "int_divz",
    "bad_toint",
    "stk_ovf",
    "user1",
    "user250",
];

const FLAGS: [&str; 9] = [
    "",
    "",
    " notrap",
    " aligned",
    " notrap aligned",
    " readonly",
    " notrap aligned readonly can_move",
    " little",
    " user3",
];

/// Where an instruction goes, and lines before it that make its operands.
pub(super) struct Row<'a> {
    pub(super) lines: &'a mut Lines,
    /// The function before it was mutated.
    pub(super) func: &'a Function,
    pub(super) rng: &'a mut Rng,
    /// The line it will stand in.
    pub(super) at: usize,
    /// Whether to use types that are not compiled as often as others.
    pub(super) any_type: bool,
}

impl Row<'_> {
    /// Insert an instruction that is no terminator, and what it needs. Its results may be used below.
    pub(super) fn insert(&mut self) -> Option<()> {
        let opcode = loop {
            let opcode = self.rng.pick(Opcode::ALL);
            let vector = TypeSet::VECTOR;
            // What only vectors have is not compiled.
            let scalar = opcode.control() == Control::Fixed
                || Type::every().any(|t| opcode.control_set().contains(t) && !vector.contains(t));
            if !opcode.is_terminator() && (scalar || self.any_type || self.rng.chance(2)) {
                break opcode;
            }
        };
        if opcode.is_call() {
            return self.call();
        }
        let control = self.control(opcode)?;
        let operands: Option<Vec<u32>> = (opcode.operands().iter())
            .map(|&rule| self.operand(rule, control))
            .collect();
        let operands = self.immediates(opcode, control, &operands?)?;
        let mut line = String::from("    ");
        let results: Option<Vec<Type>> = opcode.results().iter().map(|r| r.only(control)).collect();
        let names: Vec<String> = (results?.iter())
            .map(|&ty| format!("v{}", self.lines.fresh(ty)))
            .collect();
        if !names.is_empty() {
            let _ = write!(line, "{} = ", names.join(", "));
        }
        let _ = write!(line, "{opcode}");
        if opcode.control() != Control::Fixed {
            let _ = write!(line, ".{control}");
        }
        self.push(line + &operands);
        Some(())
    }

    fn push(&mut self, line: String) {
        self.lines.lines.insert(self.at, line);
        self.at += 1;
    }

    fn control(&mut self, opcode: Opcode) -> Option<Type> {
        if opcode.control() == Control::Fixed {
            return Some(Type::INVALID);
        }
        let set = opcode.control_set();
        let compiled: Vec<Type> = COMPILED.into_iter().filter(|&t| set.contains(t)).collect();
        if !compiled.is_empty() && (!self.any_type || self.rng.chance(50)) && !self.rng.chance(1) {
            return Some(self.rng.pick(&compiled));
        }
        let types: Vec<Type> = Type::every()
            .filter(|&t| set.contains(t) && !t.is_dynamic())
            .collect();
        (!types.is_empty()).then(|| self.rng.pick(&types))
    }

    /// A value that the rule allows.
    fn operand(&mut self, rule: TypeRule, control: Type) -> Option<u32> {
        let here = self
            .lines
            .pick(self.at, self.rng, |ty| rule.allows(control, ty));
        match here {
            Some(v) if !self.rng.chance(15) => Some(v),
            _ => {
                let mut types: Vec<Type> =
                    Type::every().filter(|&t| rule.allows(control, t)).collect();
                if !self.any_type {
                    let compiled = |t: &Type| COMPILED.contains(t);
                    if types.iter().any(compiled) {
                        types.retain(compiled);
                    }
                }
                let ty = (!types.is_empty()).then(|| self.rng.pick(&types))?;
                Some(self.make(ty))
            }
        }
    }

    /// A new value of a type.
    pub(super) fn make(&mut self, ty: Type) -> u32 {
        let text = match ty {
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
                format!("iconst.{ty} {}", self.rng.int(ty.bits()))
            }
            Type::F32 => {
                let x = f32::from_bits(self.rng.f32_bits());
                format!("f32const {}", float(x.into()))
            }
            Type::F64 => {
                let x = f64::from_bits(self.rng.f64_bits());
                format!("f64const {}", float(x))
            }
            Type::I128 => {
                let lo = self.make(Type::I64);
                let hi = self.make(Type::I64);
                format!("iconcat.i64 v{lo}, v{hi}")
            }
            ty => {
                let at = self.make(Type::I64);
                format!("load.{ty} v{at}")
            }
        };
        let v = self.lines.fresh(ty);
        self.push(format!("    v{v} = {text}"));
        v
    }

    /// The operands, of which the values are known, as text.
    fn immediates(&mut self, opcode: Opcode, control: Type, values: &[u32]) -> Option<String> {
        let list = |values: &[u32]| {
            let names: Vec<String> = values.iter().map(|v| format!("v{v}")).collect();
            names.join(", ")
        };
        let all = list(values);
        let rng = &mut *self.rng;
        let number = |rng: &mut Rng, n: usize| match n {
            0 => None,
            n => Some(rng.below(n)),
        };
        let offset = |rng: &mut Rng| match rng.int(32) as i32 {
            x if rng.chance(50) => format!("{:+}", x % 256),
            x => format!("{x:+}"),
        };
        let flags = rng.pick(&FLAGS);
        Some(match opcode.format() {
            Format::NullAry => String::new(),
            Format::UnaryImm => format!(" {}", rng.int(control.bits())),
            Format::UnaryIeee16 => format!(" {}", rng.pick(&["0.0", "0x1.8p0", "+NaN", "-Inf"])),
            Format::UnaryIeee32 => {
                format!(" {}", float(f32::from_bits(rng.f32_bits()).into()))
            }
            Format::UnaryIeee64 => format!(" {}", float(f64::from_bits(rng.f64_bits()))),
            Format::UnaryConst => {
                format!(" const{}", number(rng, self.func.constants().len())?)
            }
            Format::UnaryGlobalValue => {
                format!(" gv{}", number(rng, self.func.global_values().len())?)
            }
            Format::Unary if opcode == Opcode::Bitcast && rng.chance(20) => {
                format!(" {} {all}", rng.pick(&["little", "big"]))
            }
            Format::Unary | Format::Binary | Format::Ternary => format!(" {all}"),
            Format::BinaryImm8 | Format::TernaryImm8 => format!(" {all}, {}", rng.below(4)),
            Format::Shuffle => format!(" {all}, 0x{:032x}", u128::from(rng.next()) % 0x2020),
            Format::IntCompare => format!(" {} {all}", rng.pick(IntCC::ALL).name()),
            Format::FloatCompare => format!(" {} {all}", rng.pick(FloatCC::ALL).name()),
            Format::IntAddTrap | Format::CondTrap => format!(" {all}, {}", rng.pick(&TRAPS)),
            Format::Load | Format::Store => format!("{flags} {all}{}", offset(rng)),
            Format::LoadNoOffset | Format::StoreNoOffset | Format::AtomicCas => {
                format!("{flags} {all}")
            }
            Format::AtomicRmw => format!("{flags} {} {all}", rng.pick(AtomicRmwOp::ALL)),
            Format::StackAddr => {
                let n = number(rng, self.func.stack_slots().len())?;
                format!(" ss{n}{}", offset(rng))
            }
            Format::DynamicStackAddr => {
                format!(
                    " dss{}",
                    number(rng, self.func.dynamic_stack_slots().len())?
                )
            }
            Format::FuncAddr => format!(" fn{}", number(rng, self.func.ext_funcs().len())?),
            Format::Trap => format!(" {}", rng.pick(&TRAPS)),
            _ => return None,
        })
    }

    /// Values of these types.
    pub(super) fn values(&mut self, types: &[Type]) -> Vec<u32> {
        let mut out = Vec::new();
        for &ty in types {
            let here = self.lines.pick(self.at, self.rng, |t| t == ty);
            out.push(here.unwrap_or_else(|| self.make(ty)));
        }
        out
    }

    /// A call of a function that is declared.
    fn call(&mut self) -> Option<()> {
        let callees = self.func.ext_funcs();
        if callees.is_empty() {
            return None;
        }
        let n = self.rng.below(callees.len());
        let callee = &callees[n];
        let sig = self.func.sigs().get(callee.signature.index())?.clone();
        let params: Vec<Type> = sig.params.iter().map(|p| p.ty).collect();
        let args = self.values(&params);
        let args: Vec<String> = args.iter().map(|v| format!("v{v}")).collect();
        let mut line = String::from("    ");
        let indirect = !callee.patchable && self.rng.chance(30);
        let address = indirect.then(|| self.values(&[Type::I64])[0]);
        let results: Vec<String> = (sig.returns.iter())
            .map(|r| format!("v{}", self.lines.fresh(r.ty)))
            .collect();
        if !results.is_empty() {
            let _ = write!(line, "{} = ", results.join(", "));
        }
        let args = args.join(", ");
        match address {
            Some(v) => {
                let sig = callee.signature.index();
                let _ = write!(line, "call_indirect.i64 sig{sig}, v{v}({args})");
            }
            None => {
                let _ = write!(line, "call fn{n}({args})");
            }
        }
        if callee.patchable && self.rng.chance(80) {
            let _ = write!(line, ", site={}, observe=[", self.rng.below(100));
            let seen: Vec<String> = (0..self.rng.below(12))
                .filter_map(|_| self.lines.pick(self.at, self.rng, |_| true))
                .map(|v| format!("v{v}"))
                .collect();
            let _ = write!(line, "{}]", seen.join(", "));
        }
        self.push(line);
        Some(())
    }
}

/// A float as it is read.
fn float(x: f64) -> String {
    match x {
        x if x.is_nan() => "+NaN".into(),
        x if x.is_infinite() => (if x > 0.0 { "+Inf" } else { "-Inf" }).into(),
        x if x == 0.0 => (if x.is_sign_negative() { "-0.0" } else { "0.0" }).into(),
        x => {
            let bits = x.to_bits();
            let sign = if x < 0.0 { "-" } else { "" };
            let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
            // The bits that an `f32` has as well, and no numbers that are not normal.
            let fraction = (bits & ((1 << 52) - 1)) >> 29;
            format!(
                "{sign}0x1.{:06x}p{}",
                fraction << 1,
                exponent.clamp(-126, 127)
            )
        }
    }
}
