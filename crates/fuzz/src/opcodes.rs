//! Which operations have been compared with Cranelift, which have not, and why.

use nopal_ir::{Control, EntityRef, Function, Inst, Opcode, Type, TypeRule};
use std::collections::BTreeMap;

/// Whether an operation has a form on scalars.
fn is_scalar(opcode: Opcode) -> bool {
    let vector = |rule: &TypeRule| match rule {
        TypeRule::AnyVector => true,
        rule => rule.only(Type::INVALID).is_some_and(Type::is_vector),
    };
    let rules = [opcode.operands(), opcode.results()].concat();
    let types = opcode.control() == Control::Fixed
        || Type::SCALARS
            .into_iter()
            .any(|t| opcode.control_set().contains(t));
    types && !rules.iter().any(vector)
}

/// Why an operation on scalars is not generated for the comparison.
fn why_not_generated(opcode: Opcode) -> Option<&'static str> {
    use Opcode::*;
    Some(match opcode {
        TryCall | TryCallIndirect | GetExceptionHandlerAddress => {
            "calls with handlers need somebody who throws"
        }
        Debugtrap => "it stops for a debugger",
        F16const | F128const => "Nopal compiles neither f16 nor f128",
        Blendv | X86Cvtt2dq => "Cranelift compiles it on vectors only",
        DynamicStackAddr => "Nopal compiles no vectors of dynamic size",
        SymbolValue | TlsValue => "modules have no data of their own",
        GetPinnedReg | SetPinnedReg => "no register is pinned",
        GetFramePointer | GetStackPointer | GetReturnAddress => "what it gives is not determined",
        StackSwitch => "there is no other stack",
        _ => return None,
    })
}

/// Why Cranelift 0.135 does not compile an instruction for x86-64, and the type in question.
fn why_not_compiled(func: &Function, inst: Inst) -> Option<(Type, &'static str)> {
    use Opcode::*;
    let opcode = func.opcode(inst);
    let ty = func.inst_results(inst).next().map(|v| func.value_type(v))?;
    let why = match opcode {
        UaddOverflowCin | SaddOverflowCin | UsubOverflowBin | SsubOverflowBin => {
            "Cranelift has no rule for it on x86-64"
        }
        Smin | Smax | Umin | Umax if ty == Type::I128 => "Cranelift has no rule for it on x86-64",
        FcvtToSintSat | FcvtToUintSat | FcvtToSint | FcvtToUint if ty.bits() < 32 => {
            "Cranelift converts to 32 and 64 bits only on x86-64"
        }
        _ => return None,
    };
    Some((ty, why))
}

/// How often operations have been met.
#[derive(Default)]
pub(crate) struct Met {
    compared: BTreeMap<&'static str, u64>,
    /// By operation and type; why, and how often.
    interpreted: BTreeMap<(&'static str, String), (&'static str, u64)>,
}

impl Met {
    /// Whether Cranelift compiles every instruction of a module; if not, those that it does not are
    /// counted.
    pub(crate) fn look(&mut self, funcs: &[Function]) -> bool {
        let mut all = true;
        for_each(funcs, |func, inst| {
            if let Some((ty, why)) = why_not_compiled(func, inst) {
                let key = (func.opcode(inst).name(), ty.to_string());
                self.interpreted.entry(key).or_insert((why, 0)).1 += 1;
                all = false;
            }
        });
        all
    }

    /// A module has been compared with Cranelift.
    pub(crate) fn compared(&mut self, funcs: &[Function]) {
        for_each(funcs, |func, inst| {
            *self.compared.entry(func.opcode(inst).name()).or_default() += 1;
        });
    }

    /// The operations on scalars of which none has been compared, and that nothing is known to stand
    /// in the way of.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let met = |name: &str| {
            self.compared.contains_key(name) || self.interpreted.keys().any(|k| k.0 == name)
        };
        let scalar = Opcode::ALL.iter().filter(|&&o| is_scalar(o));
        let unknown = scalar.filter(|&&o| why_not_generated(o).is_none());
        unknown.map(|o| o.name()).filter(|n| !met(n)).collect()
    }

    /// What has not been compared, in words.
    pub(crate) fn print(&self) {
        println!(
            "{} operations on scalars, {} instructions, are compared with Cranelift; not compared are",
            self.compared.len(),
            self.compared.values().sum::<u64>()
        );
        for ((name, ty), (why, count)) in &self.interpreted {
            println!("  {name}.{ty}: {count} compared with the interpreter alone: {why}");
        }
        for opcode in Opcode::ALL {
            if let Some(why) = why_not_generated(*opcode) {
                println!("  {opcode}: 0, not generated: {why}");
            }
        }
        let vectors = Opcode::ALL.iter().filter(|o| !is_scalar(**o)).count();
        println!("  {vectors} operations on vectors: 0, not generated: Nopal compiles no vectors");
        for name in self.missing() {
            println!("  {name}: 0, not met with these seeds");
        }
    }
}

fn for_each(funcs: &[Function], mut f: impl FnMut(&Function, Inst)) {
    for func in funcs {
        for n in 0..func.num_insts() {
            f(func, Inst::new(n));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nopal_fuzzgen::{Options, generate};

    /// Every operation on scalars is generated, or there is a reason why not, and never both.
    #[test]
    fn nothing_is_left_out_silently() {
        let mut met = Met::default();
        for seed in 0..1500 {
            let everything = crate::compare::has_everything(seed);
            let options = Options {
                largest: 100,
                everything,
                ..Options::default()
            };
            let funcs = generate(seed, &options);
            let all = met.look(&funcs);
            assert!(all || everything, "seed {seed}");
            if all {
                met.compared(&funcs);
            }
        }
        assert_eq!(met.missing(), [""; 0]);
        for opcode in Opcode::ALL {
            let generated = met.compared.contains_key(opcode.name());
            assert!(
                !(generated && why_not_generated(*opcode).is_some()),
                "{opcode}"
            );
            assert!(!generated || is_scalar(*opcode), "{opcode}");
        }
        for opcode in [
            "uadd_overflow_cin",
            "sadd_overflow_cin",
            "usub_overflow_bin",
            "ssub_overflow_bin",
        ] {
            assert!(!met.compared.contains_key(opcode), "{opcode}");
            assert!(met.interpreted.keys().any(|k| k.0 == opcode), "{opcode}");
        }
        assert!(met.interpreted.contains_key(&("smin", "i128".into())));
    }
}
