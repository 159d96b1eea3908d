//! Calls, results and patch sites.

use super::arithmetic::constant;
use crate::support::unit::{ADDRESSES, Unit, entry, function, input, output, targets};
use nopal_codegen::Context;
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{
    AbiParam, ArgumentExtension, CallConv, ExtFunc, ExternalName, FuncRef, Function,
    FunctionBuilder, IntCC, MemFlags, Signature, TrapCode, Type, Value,
};

pub(crate) fn signature(conv: CallConv, params: &[Type], returns: &[Type]) -> Signature {
    let mut sig = Signature::new(conv);
    sig.params
        .extend(params.iter().map(|&ty| AbiParam::new(ty)));
    sig.returns
        .extend(returns.iter().map(|&ty| AbiParam::new(ty)));
    sig
}

pub(crate) fn import(
    b: &mut FunctionBuilder<'_>,
    name: ExternalName,
    sig: &Signature,
    patchable: bool,
) -> FuncRef {
    let signature = b.func.import_signature(sig.clone());
    b.func.import_function(ExtFunc {
        name,
        signature,
        colocated: true,
        patchable,
    })
}

fn user(index: u32) -> ExternalName {
    let namespace = 0;
    ExternalName::User { namespace, index }
}

/// A constant that tells number `n` of a type.
fn marker(n: usize) -> u64 {
    (0x0101_0101_0101_0101 * (n as u64 + 1)) ^ 0x8000_0000_8000_8080
}

/// The callee stores its parameters and returns results of its own.
fn callee(index: u32, sig: &Signature) -> Function {
    function(index, sig.clone(), |b, params| {
        for (n, &p) in params[1..].iter().enumerate() {
            output(b, params[0], n as i32, p);
        }
        let results: Vec<Value> = sig
            .returns
            .iter()
            .enumerate()
            .map(|(n, r)| {
                // One of them is a parameter, to be moved from where it came in.
                let same = params[1..].iter().find(|&&p| b.func.value_type(p) == r.ty);
                match same {
                    Some(&p) if n % 3 == 1 => p,
                    _ => constant(b, r.ty, marker(n + 40)),
                }
            })
            .collect();
        b.return_(&results);
    })
}

#[test]
fn many_arguments_and_results() {
    let mixed: Vec<Type> = (0..24).map(|n| Type::ALL[n * 5 % 6]).collect();
    let shapes: &[(&[Type], &[Type])] = &[
        (&[], &[]),
        (&[Type::I64; 1], &[Type::I64]),
        (&[Type::I32; 12], &[Type::I32; 2]),
        (&[Type::F64; 14], &[Type::F64; 2]),
        (&[Type::F32; 10], &[Type::F32; 3]),
        (&[Type::I8; 9], &[Type::I8; 8]),
        (&mixed, &mixed[..8]),
        (&mixed[..3], &mixed),
        (&[Type::I64; 20], &[Type::I64; 3]),
    ];
    for target in targets() {
        let mut unit = Unit::new(target);
        for conv in [CallConv::SystemV, CallConv::Fast] {
            for (params, returns) in shapes {
                let params: Vec<Type> = [Type::I64].iter().chain(*params).copied().collect();
                let sig = signature(conv, &params, returns);
                for indirect in [false, true] {
                    let caller = entry(|b, data| {
                        let mut args = vec![data];
                        for (n, &ty) in params[1..].iter().enumerate() {
                            let v = if n % 2 == 0 {
                                input(b, data, n as i32, ty)
                            } else {
                                constant(b, ty, marker(n))
                            };
                            args.push(v);
                        }
                        let inst = if indirect {
                            let sig = b.func.import_signature(sig.clone());
                            let flags = MemFlags::trusted();
                            let at = b.load(Type::I64, flags, data, ADDRESSES + 8);
                            b.call_indirect(sig, at, &args)
                        } else {
                            let callee = import(b, user(1), &sig, false);
                            b.call(callee, &args)
                        };
                        let results: Vec<Value> = b.inst_results(inst).collect();
                        for (n, &r) in results.iter().enumerate() {
                            output(b, data, 40 + n as i32, r);
                        }
                        // The arguments are still there.
                        for (n, &a) in args[1..].iter().enumerate() {
                            output(b, data, 80 + n as i32, a);
                        }
                    });
                    let inputs: Vec<u64> = (0..24).map(|n| marker(n).rotate_left(7)).collect();
                    let program = unit.load(&[caller, callee(1, &sig)]);
                    let (outcome, _) = program.agree(&inputs);
                    assert_eq!(outcome, Outcome::Return);
                }
            }
        }
    }
}

#[test]
fn values_survive_calls() {
    let types = [Type::I64, Type::I32, Type::F64, Type::F32];
    let clobber = signature(CallConv::SystemV, &types, &types);
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let callee = import(b, ExternalName::Named("clobber".into()), &clobber, false);
            let kept: Vec<Value> = (0..40)
                .map(|n| input(b, data, n, types[n as usize % 4]))
                .collect();
            let mut args = vec![kept[0], kept[1], kept[2], kept[3]];
            for _ in 0..3 {
                let inst = b.call(callee, &args);
                args = b.inst_results(inst).collect();
            }
            for (n, &v) in kept.iter().chain(&args).enumerate() {
                output(b, data, n as i32, v);
            }
        });
        let inputs: Vec<u64> = (0..40).map(|n| marker(n) >> 1).collect();
        let (_, results) = unit.load(&[func]).agree(&inputs);
        assert_eq!(results[40], inputs[0] + 3);
        assert_eq!(results[41], inputs[1] & 0xffff_ffff);
    }
}

/// The upper half of what comes in or back as an `i32` is not determined.
#[test]
fn narrow_results_of_others_are_extended() {
    let types = [Type::I64, Type::I32, Type::F64, Type::F32];
    let clobber = signature(CallConv::SystemV, &types, &types);
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let callee = import(b, ExternalName::Named("clobber".into()), &clobber, false);
            let args: Vec<Value> = (0..4)
                .map(|n| input(b, data, n, types[n as usize]))
                .collect();
            let inst = b.call(callee, &args);
            let narrow = b.inst_results(inst).nth(1).expect("four results");
            let wide = b.uextend(Type::I64, narrow);
            output(b, data, 0, wide);
            let at = b.iadd(data, wide);
            let far = b.load(Type::I8, MemFlags::new(), at, 0);
            output(b, data, 1, far);
        });
        let (outcome, results) = unit.load(&[func]).run(&[1, 8, 3, 4]);
        assert_eq!(outcome, Outcome::Return);
        assert_eq!(results[..2], [8, 8]);
    }
}

#[test]
fn recursion() {
    let sig = signature(CallConv::Fast, &[Type::I64, Type::I32], &[Type::I32]);
    for target in targets() {
        let mut unit = Unit::new(target);
        let caller = entry(|b, data| {
            let fib = import(b, user(1), &sig, false);
            let n = input(b, data, 0, Type::I32);
            let inst = b.call(fib, &[data, n]);
            let r = b.inst_results(inst).next().expect("one result");
            output(b, data, 0, r);
        });
        let fib = function(1, sig.clone(), |b, params| {
            let (base, rest) = (b.create_block(), b.create_block());
            let two = b.iconst(Type::I32, 2);
            let small = b.icmp(IntCC::UnsignedLessThan, params[1], two);
            b.brif(small, base, &[], rest, &[]);
            b.switch_to_block(base);
            b.return_(&[params[1]]);
            b.switch_to_block(rest);
            let fib = import(b, user(1), &sig, false);
            let [one, two] = [-1, -2].map(|k| b.iconst(Type::I32, k));
            let sums = [one, two].map(|k| {
                let n = b.iadd(params[1], k);
                let inst = b.call(fib, &[params[0], n]);
                b.inst_results(inst).next().expect("one result")
            });
            let sum = b.iadd(sums[0], sums[1]);
            b.return_(&[sum]);
        });
        let program = unit.load(&[caller, fib]);
        for (n, want) in [(0, 0), (1, 1), (10, 55), (20, 6765)] {
            assert_eq!(program.run(&[n]).1[0], want);
        }
    }
}

#[test]
fn a_trap_in_a_callee_ends_it_all() {
    let sig = signature(CallConv::Fast, &[Type::I64], &[]);
    let code = TrapCode::user(5).expect("a code for users");
    for target in targets() {
        let mut unit = Unit::new(target);
        let caller = entry(|b, data| {
            let callee = import(b, user(1), &sig, false);
            b.call(callee, &[data]);
            let one = b.iconst(Type::I64, 1);
            output(b, data, 0, one);
        });
        let callee = function(1, sig.clone(), |b, _| {
            b.trap(code);
        });
        let (outcome, results) = unit.load(&[caller, callee]).agree(&[]);
        assert_eq!(outcome, Outcome::Trap(code));
        assert_eq!(results[0], 0);
    }
}

/// A hook finds arguments and observed values: in registers, in slots, constants, results of
/// operations that are otherwise merged, values that nothing else uses.
#[test]
fn hooks_see_what_is_observed() {
    let mixed: Vec<Type> = (0..18).map(|n| Type::ALL[n * 5 % 6]).collect();
    for target in targets() {
        let mut unit = Unit::new(target);
        for params in [&mixed[..0], &mixed[..4], &mixed[..]] {
            let sig = signature(CallConv::PreserveAll, params, &[]);
            let func = entry(|b, data| {
                let hook = import(b, ExternalName::Named("hook".into()), &sig, true);
                let kept: Vec<Value> = (0..40)
                    .map(|n| input(b, data, n, Type::ALL[n as usize % 6]))
                    .collect();
                let args: Vec<Value> = params
                    .iter()
                    .enumerate()
                    .map(
                        |(n, &ty)| match kept.iter().find(|&&v| b.func.value_type(v) == ty) {
                            Some(&v) if n % 2 == 0 => v,
                            _ => constant(b, ty, marker(n)),
                        },
                    )
                    .collect();
                let only_observed = b.iadd(kept[3], kept[9]);
                let c = b.icmp(IntCC::SignedLessThan, kept[3], kept[9]);
                let float = b.fcvt_from_sint(Type::F64, kept[3]);
                let constant = b.iconst(Type::I32, -7);
                let observe: Vec<Value> = [only_observed, c, float, constant]
                    .into_iter()
                    .chain(kept.iter().copied())
                    .collect();
                b.patchable_call(hook, &args, 77, &observe);
                b.patchable_call(hook, &args, 78, &observe[..2]);
                for (n, &v) in kept.iter().enumerate() {
                    output(b, data, n as i32, v);
                }
                b.patchable_call(hook, &args, 79, &observe[3..]);
            });
            let inputs: Vec<u64> = (0..40).map(|n| marker(n) >> 1).collect();
            // `agree` compares what the hooks saw.
            let (outcome, _) = unit.load(&[func]).agree(&inputs);
            assert_eq!(outcome, Outcome::Return);
        }
    }
}

/// Callees that are far away are called by their address, which is no register's that matters.
#[test]
fn far_calls() {
    let types = [Type::I64, Type::I32, Type::F64, Type::F32];
    let clobber = signature(CallConv::SystemV, &types, &types);
    let observe = signature(CallConv::PreserveAll, &types, &[]);
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let [clobber, observe] =
                [("clobber", &clobber), ("observe", &observe)].map(|(n, s)| {
                    let signature = b.func.import_signature(s.clone());
                    b.func.import_function(ExtFunc {
                        name: ExternalName::Named(n.into()),
                        signature,
                        colocated: false,
                        patchable: false,
                    })
                });
            let kept: Vec<Value> = (0..24)
                .map(|n| input(b, data, n, types[n as usize % 4]))
                .collect();
            for k in 0..3 {
                b.call(observe, &kept[4 * k..4 * k + 4]);
            }
            let inst = b.call(clobber, &kept[8..12]);
            let results: Vec<Value> = b.inst_results(inst).collect();
            b.call(observe, &results);
            for (n, &v) in kept.iter().chain(&results).enumerate() {
                output(b, data, n as i32, v);
            }
        });
        let inputs: Vec<u64> = (0..24).map(|n| marker(n) >> 1).collect();
        let (outcome, _) = unit.load(&[func]).agree(&inputs);
        assert_eq!(outcome, Outcome::Return);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = |func: &Function, what: &str| {
        let error = Context::new().compile(func, &targets()[0]).map(|_| ());
        let error = error.expect_err("it is refused").to_string();
        assert!(error.contains(what), "{error}");
    };
    let conv = CallConv::PreserveAll;
    let func = function(0, signature(conv, &[Type::I64], &[]), |_, _| ());
    refused(&func, "preserves all registers");
}

/// What is passed as `uext` or `sext` fills the whole register or cell: the callee takes it for 64
/// bits.
#[test]
fn passed_values_are_extended() {
    use ArgumentExtension::{Sext, Uext};
    let narrow = [Type::I8, Type::I16, Type::I32];
    let kinds: Vec<(Type, ArgumentExtension)> = (0..4)
        .flat_map(|_| narrow.map(|ty| [(ty, Uext), (ty, Sext)]))
        .flatten()
        .collect();
    let mut narrow_sig = signature(CallConv::SystemV, &[Type::I64], &[]);
    let mut wide_sig = narrow_sig.clone();
    for &(ty, extension) in &kinds {
        let mut p = AbiParam::new(ty);
        p.extension = extension;
        narrow_sig.params.push(p);
        wide_sig.params.push(AbiParam::new(Type::I64));
    }
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let callee = import(b, user(1), &narrow_sig, false);
            let mut args = vec![data];
            for (n, &(ty, _)) in kinds.iter().enumerate() {
                args.push(input(b, data, n as i32, ty));
            }
            b.call(callee, &args);
        });
        let callee = function(1, wide_sig.clone(), |b, params| {
            for (n, &p) in params[1..].iter().enumerate() {
                output(b, params[0], n as i32, p);
            }
        });
        let program = unit.load(&[func, callee]);
        for x in [0u64, 0x8182_8384_8586_8788, 0x7172_7374_7576_7778, !0] {
            let (outcome, results) = program.run(&vec![x; kinds.len()]);
            assert_eq!(outcome, Outcome::Return);
            for (n, &(ty, extension)) in kinds.iter().enumerate() {
                let low = ops::mask(ty, x);
                let want = match extension {
                    Sext => ops::signed(ty, low) as u64,
                    _ => low,
                };
                assert_eq!(results[n], want, "{ty} {extension:?} of {x:#x}");
            }
        }
    }
}

/// The same of results.
#[test]
fn returned_values_are_extended() {
    use ArgumentExtension::{Sext, Uext};
    for target in targets() {
        let mut unit = Unit::new(target);
        for (ty, extension) in [
            (Type::I8, Uext),
            (Type::I8, Sext),
            (Type::I16, Uext),
            (Type::I16, Sext),
            (Type::I32, Uext),
            (Type::I32, Sext),
        ] {
            let mut narrow = signature(CallConv::SystemV, &[Type::I64], &[ty, ty]);
            narrow.returns[0].extension = extension;
            narrow.returns[1].extension = extension;
            let wide = signature(CallConv::SystemV, &[Type::I64], &[Type::I64; 2]);
            let func = entry(|b, data| {
                let callee = import(b, user(1), &wide, false);
                let inst = b.call(callee, &[data]);
                let results: Vec<Value> = b.inst_results(inst).collect();
                output(b, data, 0, results[0]);
                output(b, data, 1, results[1]);
            });
            let callee = function(1, narrow, |b, params| {
                let x = input(b, params[0], 0, ty);
                b.return_(&[x, x]);
            });
            let program = unit.load(&[func, callee]);
            for x in [0x8182_8384_8586_8788, 0x7172_7374_7576_7778] {
                let (_, results) = program.run(&[x]);
                let low = ops::mask(ty, x);
                let want = match extension {
                    Sext => ops::signed(ty, low) as u64,
                    _ => low,
                };
                assert_eq!(results[..2], [want, want], "{ty} {extension:?} of {x:#x}");
            }
        }
    }
}
