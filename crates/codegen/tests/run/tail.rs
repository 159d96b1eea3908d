//! Calls in place of the calling function, and parameters that are returned.

use super::calls::{import, signature};
use crate::support::unit::{ADDRESSES, RESULTS, Unit, entry, function, input, output, targets};
use nopal_fuzzgen::Outcome;
use nopal_ir::{
    AbiParam, ArgumentPurpose, CallConv, ExternalName, FuncRef, Function, FunctionBuilder, IntCC,
    MemFlags, Signature, Type, Value,
};

fn user(index: u32) -> ExternalName {
    let namespace = 0;
    ExternalName::User { namespace, index }
}

fn return_call(b: &mut FunctionBuilder<'_>, func: FuncRef, args: &[Value]) {
    b.return_call(func, args);
}

/// `data`, then `n` integers, `i8` among them.
fn many(n: usize, returns: &[Type]) -> Signature {
    let params: Vec<Type> = (0..=n)
        .map(|k| match k % 7 {
            _ if k == 0 => Type::I64,
            3 => Type::I8,
            5 => Type::F64,
            _ => Type::I64,
        })
        .collect();
    signature(CallConv::Tail, &params, returns)
}

/// Arguments of a signature made of `seeds`: each the sum of its number and one of them.
fn arguments(
    b: &mut FunctionBuilder<'_>,
    sig: &Signature,
    data: Value,
    seeds: &[Value],
) -> Vec<Value> {
    let mut args = vec![data];
    for (k, p) in sig.params.iter().enumerate().skip(1) {
        let seed = seeds[k % seeds.len()];
        let number = b.iconst(Type::I64, 10 * k as i64);
        let sum = b.iadd(seed, number);
        args.push(match p.ty {
            Type::I64 => sum,
            Type::F64 => b.fcvt_from_sint(Type::F64, sum),
            ty => b.ireduce(ty, sum),
        });
    }
    args
}

/// Stores its parameters and gives two results.
fn last(index: u32, sig: &Signature) -> Function {
    function(index, sig.clone(), |b, params| {
        for (k, &p) in params.iter().enumerate().skip(1) {
            output(b, params[0], k as i32, p);
        }
        let results: Vec<Value> = (0..sig.returns.len())
            .map(|k| b.iconst(Type::I64, 77 + k as i64))
            .collect();
        b.return_(&results);
    })
}

/// From functions with few and many stack arguments to such with more, fewer and as many: directly,
/// indirectly, far away; with callee-saved registers in use, and results on the stack.
#[test]
fn stack_arguments_of_all_sizes() {
    let sizes = [0, 4, 7, 8, 9, 10, 12, 20];
    for target in targets() {
        let mut unit = Unit::new(target);
        for from in sizes {
            for to in sizes {
                for kind in 0..3 {
                    for num_returns in [1, 4] {
                        let returns = vec![Type::I64; num_returns];
                        let (outer, inner) = (many(from, &returns), many(to, &returns));
                        let clobber_types = [Type::I64, Type::I32, Type::F64, Type::F32];
                        let clobber = signature(CallConv::SystemV, &clobber_types, &clobber_types);
                        let func = entry(|b, data| {
                            let callee = import(b, user(1), &outer, false);
                            let seeds: Vec<Value> =
                                (0..5).map(|k| input(b, data, k, Type::I64)).collect();
                            let args = arguments(b, &outer, data, &seeds);
                            for round in 0..2 {
                                let inst = b.call(callee, &args);
                                let results: Vec<Value> = b.inst_results(inst).collect();
                                for (k, &v) in results.iter().enumerate() {
                                    output(b, data, 50 + 5 * round + k as i32, v);
                                }
                            }
                            for (k, &v) in seeds.iter().enumerate() {
                                output(b, data, 40 + k as i32, v);
                            }
                        });
                        let middle = function(1, outer.clone(), |b, params| {
                            let callee = import(b, user(2), &inner, false);
                            let data = params[0];
                            let wide: Vec<Value> = params[1..]
                                .iter()
                                .copied()
                                .filter(|&p| b.func.value_type(p) == Type::I64)
                                .collect();
                            let mut seeds: Vec<Value> =
                                (0..3).map(|k| input(b, data, k, Type::I64)).collect();
                            // Values that survive a call take registers to be restored.
                            let narrow = b.ireduce(Type::I32, seeds[0]);
                            let float = b.f64const(0);
                            let single = b.f32const(0);
                            let other =
                                import(b, ExternalName::Named("clobber".into()), &clobber, false);
                            b.call(other, &[seeds[1], narrow, float, single]);
                            seeds.extend(wide);
                            let args = arguments(b, &inner, data, &seeds);
                            match kind {
                                0 => return_call(b, callee, &args),
                                1 => {
                                    let sig = b.func.import_signature(inner.clone());
                                    let flags = MemFlags::trusted();
                                    let target = b.load(Type::I64, flags, data, ADDRESSES + 16);
                                    b.return_call_indirect(sig, target, &args);
                                }
                                _ => {
                                    let signature = b.func.import_signature(inner.clone());
                                    let far = b.func.import_function(nopal_ir::ExtFunc {
                                        name: user(2),
                                        signature,
                                        colocated: false,
                                        patchable: false,
                                    });
                                    return_call(b, far, &args);
                                }
                            }
                        });
                        let end = last(2, &inner);
                        let program = unit.load(&[func, middle, end]);
                        let inputs = [1000, 2000, 3000, 4000, 5000];
                        let (outcome, results) = program.run(&inputs);
                        let what = format!("{from} to {to}, kind {kind}, {num_returns} results");
                        assert_eq!(outcome, Outcome::Return, "{what}");
                        // What the first function passed.
                        let passed = |k: usize| inputs[k % 5] + 10 * k as u64;
                        let mut seeds = vec![1000, 2000, 3000];
                        let wide = (1..=from).filter(|&k| outer.params[k].ty == Type::I64);
                        seeds.extend(wide.map(passed));
                        for k in 1..=to {
                            let sum = seeds[k % seeds.len()] + 10 * k as u64;
                            let want = match inner.params[k].ty {
                                Type::F64 => (sum as f64).to_bits(),
                                Type::I8 => sum & 0xff,
                                _ => sum,
                            };
                            let got = match inner.params[k].ty {
                                Type::I8 => results[k] & 0xff,
                                _ => results[k],
                            };
                            assert_eq!(got, want, "{what}, argument {k}");
                        }
                        for round in 0..2 {
                            for k in 0..num_returns {
                                assert_eq!(results[50 + 5 * round + k], 77 + k as u64, "{what}");
                            }
                        }
                        assert_eq!(results[40..45], inputs, "{what}");
                    }
                }
            }
        }
    }
}

/// The stack does not grow.
#[test]
fn a_million_calls() {
    let sig = signature(CallConv::Tail, &[Type::I64; 10], &[Type::I64]);
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let callee = import(b, user(1), &sig, false);
            let n = b.iconst(Type::I64, 1_000_000);
            let mut args = vec![n];
            args.extend((0..9).map(|k| input(b, data, k, Type::I64)));
            let inst = b.call(callee, &args);
            let r = b.inst_results(inst).next().expect("a result");
            output(b, data, 0, r);
        });
        let even = function(1, sig.clone(), |b, params| {
            let callee = import(b, user(1), &sig, false);
            let (stop, go) = (b.create_block(), b.create_block());
            let zero = b.iconst(Type::I64, 0);
            let done = b.icmp(IntCC::Equal, params[0], zero);
            b.brif(done, stop, &[], go, &[]);
            b.switch_to_block(stop);
            b.return_(&[params[9]]);
            b.switch_to_block(go);
            let one = b.iconst(Type::I64, 1);
            let n = b.isub(params[0], one);
            // All others move on by one place.
            let mut args = vec![n];
            args.extend((0..9).map(|k| params[1 + (k + 1) % 9]));
            return_call(b, callee, &args);
        });
        let (outcome, results) = unit.load(&[func, even]).run(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(outcome, Outcome::Return);
        // The ninth, once it has moved on by a million and eight places.
        assert_eq!(results[0], 1);
    }
}

/// `sret`: the pointer comes back in `rax`, where a caller that knows nothing of it finds it.
#[test]
fn returned_parameters() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for before in [0, 2, 6] {
            let mut sig = signature(CallConv::SystemV, &vec![Type::I64; before], &[]);
            sig.params
                .push(AbiParam::special(Type::I64, ArgumentPurpose::StructReturn));
            let mut seen = signature(CallConv::SystemV, &vec![Type::I64; before + 1], &[]);
            seen.returns.push(AbiParam::new(Type::I64));
            let func = entry(|b, data| {
                let callee = import(b, user(1), &seen, false);
                let at = b.iconst(Type::I64, RESULTS.into());
                let at = b.iadd(data, at);
                let mut args: Vec<Value> = (0..before)
                    .map(|k| input(b, data, k as i32, Type::I64))
                    .collect();
                args.push(at);
                let inst = b.call(callee, &args);
                let back = b.inst_results(inst).next().expect("a result");
                output(b, data, 1, back);
                output(b, data, 2, at);
            });
            let callee = function(1, sig, |b, params| {
                let x = b.iconst(Type::I64, 99);
                b.store(MemFlags::trusted(), x, params[before], 0);
                b.return_(&[]);
            });
            let (_, results) = unit.load(&[func, callee]).run(&[1, 2, 3, 4, 5, 6]);
            assert_eq!(results[0], 99);
            assert_eq!(results[1], results[2]);
        }
    }
}
