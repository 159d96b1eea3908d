//! Branches, tables, loops and traps.

use super::arithmetic::INTS;
use crate::support::unit::{Unit, entry, input, output, targets};
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{Block, IntCC, MemFlags, TrapCode, Type, Value};

#[test]
fn branches_on_integers_of_every_type() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let func = entry(|b, data| {
                let merge = b.create_block();
                let p = b.append_block_param(merge, Type::I32);
                let x = input(b, data, 0, ty);
                let [one, two] = [1, 2].map(|k| b.iconst(Type::I32, k));
                b.brif(x, merge, &[one], merge, &[two]);
                b.switch_to_block(merge);
                output(b, data, 0, p);
            });
            let program = unit.load(&[func]);
            for x in super::arithmetic::edge_ints(ty) {
                let dirty = x | !ops::mask(ty, !0);
                let (_, results) = program.run(&[dirty]);
                assert_eq!(results[0], if x != 0 { 1 } else { 2 }, "{ty} {x:#x}");
            }
        }
    }
}

#[test]
fn tables_of_every_length() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for len in [0, 1, 2, 3, 4, 5, 9, 40] {
            // With and without arguments, and with equal targets in a row.
            for form in 0..3 {
                let func = entry(|b, data| {
                    let merge = b.create_block();
                    let p = b.append_block_param(merge, Type::I64);
                    let arms: Vec<Block> = (0..len).map(|_| b.create_block()).collect();
                    let values: Vec<Value> =
                        (0..=len).map(|n| b.iconst(Type::I64, 100 + n)).collect();
                    let index = input(b, data, 0, Type::I32);
                    let live = input(b, data, 1, Type::I64);
                    let last = [values[len as usize]];
                    let targets: Vec<(Block, &[Value])> = (0..len as usize)
                        .map(|n| match form {
                            0 => (arms[n], &[][..]),
                            1 => (merge, &values[n..n + 1]),
                            _ => (arms[n / 2], &[][..]),
                        })
                        .collect();
                    b.br_table(index, (merge, &last), &targets);
                    let used = match form {
                        0 => len as usize,
                        1 => 0,
                        _ => (len as usize).div_ceil(2),
                    };
                    for (n, &arm) in arms.iter().enumerate() {
                        if n < used {
                            b.switch_to_block(arm);
                            b.jump(merge, &[values[n]]);
                        }
                    }
                    b.switch_to_block(merge);
                    output(b, data, 0, p);
                    output(b, data, 1, index);
                    output(b, data, 2, live);
                });
                let program = unit.load(&[func]);
                for index in (0..len as u64 + 3).chain([0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
                    let dirty = index | 0xdead_beef << 32;
                    let (_, results) = program.run(&[dirty, 77]);
                    let arm = match form {
                        _ if index >= len as u64 => len as u64,
                        2 => index / 2,
                        _ => index,
                    };
                    assert_eq!(results[..3], [100 + arm, index, 77], "{len} form {form}");
                }
            }
        }
    }
}

#[test]
fn parameters_rotate_around_a_loop() {
    for target in targets() {
        let mut unit = Unit::new(target);
        // More than there are registers.
        for n in [2, 3, 13, 30] {
            for ty in [Type::I64, Type::F64] {
                let func = entry(|b, data| {
                    let (header, exit) = (b.create_block(), b.create_block());
                    let count = b.append_block_param(header, Type::I32);
                    let params: Vec<Value> =
                        (0..n).map(|_| b.append_block_param(header, ty)).collect();
                    let mut args = vec![input(b, data, 0, Type::I32)];
                    args.extend((0..n).map(|k| input(b, data, 1 + k, ty)));
                    b.jump(header, &args);
                    b.switch_to_block(header);
                    let step = b.iconst(Type::I32, -1);
                    let mut next = vec![b.iadd(count, step)];
                    next.extend((0..n as usize).map(|k| params[(k + 1) % n as usize]));
                    b.brif(next[0], header, &next, exit, &[]);
                    b.switch_to_block(exit);
                    for (k, &p) in params.iter().enumerate() {
                        output(b, data, k as i32, p);
                    }
                });
                let program = unit.load(&[func]);
                for trips in [1, 2, 7] {
                    let inputs: Vec<u64> = [trips]
                        .into_iter()
                        .chain((0..n as u64).map(|k| 1000 + k))
                        .collect();
                    let (_, results) = program.run(&inputs);
                    for k in 0..n as u64 {
                        let want = 1000 + (k + trips - 1) % n as u64;
                        assert_eq!(results[k as usize], want, "{n} {ty} {trips}");
                    }
                }
            }
        }
    }
}

/// Values from outside a loop nest that are used inside and after it, more than fit in registers.
#[test]
fn values_live_through_loops() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for many in [4, 20, 40] {
            let func = entry(|b, data| {
                let ints: Vec<Value> = (0..many)
                    .map(|k| input(b, data, k % 8, Type::I64))
                    .collect();
                let floats: Vec<Value> = (0..many)
                    .map(|k| input(b, data, k % 8, Type::F64))
                    .collect();
                let (outer, inner, after, exit) = (
                    b.create_block(),
                    b.create_block(),
                    b.create_block(),
                    b.create_block(),
                );
                let i = b.append_block_param(outer, Type::I32);
                let sum = b.append_block_param(outer, Type::I64);
                let j = b.append_block_param(inner, Type::I32);
                let inner_sum = b.append_block_param(inner, Type::I64);
                let four = b.iconst(Type::I32, 4);
                let zero = b.iconst(Type::I64, 0);
                b.jump(outer, &[four, zero]);
                b.switch_to_block(outer);
                let three = b.iconst(Type::I32, 3);
                b.jump(inner, &[three, sum]);
                b.switch_to_block(inner);
                let mut total = inner_sum;
                for &v in &ints[..ints.len() / 2] {
                    total = b.iadd(total, v);
                }
                let step = b.iconst(Type::I32, -1);
                let next_j = b.iadd(j, step);
                b.brif(next_j, inner, &[next_j, total], after, &[]);
                b.switch_to_block(after);
                let next_i = b.iadd(i, step);
                b.brif(next_i, outer, &[next_i, total], exit, &[]);
                b.switch_to_block(exit);
                output(b, data, 0, total);
                for (k, &v) in ints.iter().chain(&floats).enumerate() {
                    output(b, data, 1 + k as i32, v);
                }
            });
            let inputs: Vec<u64> = (0..8).map(|k| 10 + k).collect();
            let (_, results) = unit.load(&[func]).agree(&inputs);
            let once: u64 = (0..many as u64 / 2).map(|k| 10 + k % 8).sum();
            assert_eq!(results[0], 12 * once);
        }
    }
}

#[test]
fn conditional_traps() {
    let code = TrapCode::user(9).expect("a code for users");
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for if_zero in [false, true] {
                let func = entry(|b, data| {
                    let x = input(b, data, 0, ty);
                    if if_zero {
                        b.trapz(x, code);
                    } else {
                        b.trapnz(x, code);
                    }
                    output(b, data, 0, x);
                });
                let program = unit.load(&[func]);
                for x in super::arithmetic::edge_ints(ty) {
                    let dirty = x | !ops::mask(ty, !0);
                    let (outcome, results) = program.run(&[dirty]);
                    if (x == 0) == if_zero {
                        assert_eq!(outcome, Outcome::Trap(code));
                        assert_eq!(results[0], 0);
                    } else {
                        assert_eq!(outcome, Outcome::Return);
                        assert_eq!(results[0], x);
                    }
                }
            }
        }
    }
}

/// Blocks that nothing leads to, blocks that lead nowhere, and a loop without an end.
#[test]
fn unreachable_and_endless() {
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let (dead, endless, exit) = (b.create_block(), b.create_block(), b.create_block());
            let x = input(b, data, 0, Type::I32);
            let zero = b.iconst(Type::I32, 0);
            let never = b.icmp(IntCC::Equal, x, zero);
            b.brif(never, endless, &[], exit, &[]);
            b.switch_to_block(dead);
            output(b, data, 0, zero);
            b.jump(exit, &[]);
            b.switch_to_block(endless);
            b.jump(endless, &[]);
            b.switch_to_block(exit);
            output(b, data, 1, x);
        });
        let (_, results) = unit.load(&[func]).agree(&[6]);
        assert_eq!(results[..2], [0, 6]);
    }
}

/// A limit found through the context, compared before anything else is done.
#[test]
fn stack_limits() {
    use crate::support::unit::function;
    use nopal_ir::{AbiParam, ArgumentPurpose, CallConv, GlobalValueData, Signature};
    for target in targets() {
        let mut unit = Unit::new(target);
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params
            .push(AbiParam::special(Type::I64, ArgumentPurpose::VMContext));
        let mut func = function(0, sig, |b, params| {
            let one = b.iconst(Type::I64, 1);
            output(b, params[0], 0, one);
        });
        let vmctx = func.create_global_value(GlobalValueData::VMContext);
        let near = func.create_global_value(GlobalValueData::IaddImm {
            base: vmctx,
            offset: -8,
            ty: Type::I64,
        });
        let limit = func.create_global_value(GlobalValueData::Load {
            base: near,
            offset: 16,
            ty: Type::I64,
            flags: MemFlags::trusted(),
            region: None,
        });
        func.stack_limit = Some(limit);
        let program = unit.load(&[func]);
        let (outcome, results) = program.run(&[0, 4096]);
        assert_eq!((outcome, results[0]), (Outcome::Return, 1));
        let (outcome, results) = program.run(&[0, u64::MAX]);
        assert_eq!(outcome, Outcome::Trap(TrapCode::STACK_OVERFLOW));
        assert_eq!(results[0], 0);
    }
}
