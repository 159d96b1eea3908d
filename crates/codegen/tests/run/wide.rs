//! Operations on `i128`, which is two registers.

use super::arithmetic::emit;
use super::calls::{import, signature};
use crate::support::unit::{INPUTS, Program, RESULTS, Unit, entry, function, output, targets};
use nopal_codegen::{Context, Target, X64Features};
use nopal_fuzzgen::Outcome;
use nopal_ir::{
    AtomicRmwOp, CallConv, Endianness, ExternalName, FunctionBuilder, InstData, IntCC, MemFlags,
    Opcode, SourceLoc, TrapCode, Type, Value,
};

const I128: Type = Type::I128;

/// Numbers at the edges of both halves.
fn edges() -> Vec<u128> {
    let halves = [
        0u64,
        1,
        2,
        0x7f,
        1 << 63,
        (1 << 63) - 1,
        !0,
        !0 - 1,
        0x1234_5678_9abc_def0,
    ];
    let mut all = Vec::new();
    for hi in halves {
        for lo in halves {
            all.push(u128::from(hi) << 64 | u128::from(lo));
        }
    }
    all
}

/// Input `n`, of 16 bytes.
fn wide_input(b: &mut FunctionBuilder<'_>, data: Value, n: i32) -> Value {
    b.load(I128, MemFlags::trusted(), data, INPUTS + 16 * n)
}

/// Result `n`, of 16 bytes.
fn wide_output(b: &mut FunctionBuilder<'_>, data: Value, n: i32, v: Value) {
    b.store(MemFlags::trusted(), v, data, RESULTS + 16 * n);
}

fn run(program: &Program<'_>, inputs: &[u128]) -> (Outcome, Vec<u128>) {
    let words: Vec<u64> = inputs
        .iter()
        .flat_map(|&x| [x as u64, (x >> 64) as u64])
        .collect();
    let (outcome, results) = program.run(&words);
    let wide = results
        .chunks(2)
        .map(|c| u128::from(c[1]) << 64 | u128::from(c[0]));
    (outcome, wide.collect())
}

fn iconst128(b: &mut FunctionBuilder<'_>, x: u128) -> Value {
    let [lo, hi] = [x as i64, (x >> 64) as i64].map(|k| b.iconst(Type::I64, k));
    binary(b, Opcode::Iconcat, lo, hi)
}

fn binary(b: &mut FunctionBuilder<'_>, opcode: Opcode, x: Value, y: Value) -> Value {
    let args = [x, y];
    emit(b, InstData::Binary { opcode, args }, Type::INVALID)
}

fn unary(b: &mut FunctionBuilder<'_>, opcode: Opcode, ty: Type, arg: Value) -> Value {
    emit(b, InstData::Unary { opcode, arg }, ty)
}

/// This machine and one without features.
fn each_target(mut f: impl FnMut(&mut Unit)) {
    for target in targets() {
        f(&mut Unit::new(target));
    }
}

#[test]
fn arithmetic() {
    use Opcode::*;
    let reference = |opcode, x: u128, y: u128| match opcode {
        Iadd => x.wrapping_add(y),
        Isub => x.wrapping_sub(y),
        Imul => x.wrapping_mul(y),
        Band => x & y,
        Bor => x | y,
        Bxor => x ^ y,
        Smin => (x as i128).min(y as i128) as u128,
        Smax => (x as i128).max(y as i128) as u128,
        Umin => x.min(y),
        Umax => x.max(y),
        _ => unreachable!("not among them"),
    };
    each_target(|unit| {
        for opcode in [Iadd, Isub, Imul, Band, Bor, Bxor, Smin, Smax, Umin, Umax] {
            let program = unit.load(&[entry(|b, data| {
                let (x, y) = (wide_input(b, data, 0), wide_input(b, data, 1));
                let r = binary(b, opcode, x, y);
                wide_output(b, data, 0, r);
                wide_output(b, data, 1, x);
                wide_output(b, data, 2, y);
                let r = binary(b, opcode, x, x);
                wide_output(b, data, 3, r);
                let k = iconst128(b, 0xffff_ffff_ffff_ffff_0000_0000_0000_0007);
                let r = binary(b, opcode, x, k);
                wide_output(b, data, 4, r);
            })]);
            for x in edges() {
                for y in edges() {
                    let (_, results) = run(&program, &[x, y]);
                    let k = 0xffff_ffff_ffff_ffff_0000_0000_0000_0007;
                    let want = [
                        reference(opcode, x, y),
                        x,
                        y,
                        reference(opcode, x, x),
                        reference(opcode, x, k),
                    ];
                    assert_eq!(results[..5], want, "{opcode} of {x:#x} and {y:#x}");
                }
            }
        }
    });
}

#[test]
fn operations_on_one() {
    use Opcode::*;
    let reference = |opcode, x: u128| match opcode {
        Ineg => x.wrapping_neg(),
        Iabs => (x as i128).wrapping_abs() as u128,
        Bnot => !x,
        Bitrev => x.reverse_bits(),
        Bswap => x.swap_bytes(),
        Clz => x.leading_zeros().into(),
        Ctz => x.trailing_zeros().into(),
        Popcnt => x.count_ones().into(),
        Cls => {
            u128::from(if x >> 127 == 1 {
                x.leading_ones()
            } else {
                x.leading_zeros()
            }) - 1
        }
        _ => unreachable!("not among them"),
    };
    each_target(|unit| {
        for opcode in [Ineg, Iabs, Bnot, Bitrev, Bswap, Clz, Ctz, Cls, Popcnt] {
            let program = unit.load(&[entry(|b, data| {
                let x = wide_input(b, data, 0);
                let r = unary(b, opcode, Type::INVALID, x);
                wide_output(b, data, 0, r);
                wide_output(b, data, 1, x);
            })]);
            for k in 0..128 {
                for x in edges().into_iter().chain([1 << k, !(1 << k), !0 << k]) {
                    let (_, results) = run(&program, &[x]);
                    assert_eq!(
                        results[..2],
                        [reference(opcode, x), x],
                        "{opcode} of {x:#x}"
                    );
                    if k != 0 && x == 0 {
                        break;
                    }
                }
            }
        }
    });
}

#[test]
fn shifts() {
    use Opcode::*;
    let reference = |opcode, x: u128, k: u32| match opcode {
        Ishl => x.wrapping_shl(k),
        Ushr => x.wrapping_shr(k),
        Sshr => (x as i128).wrapping_shr(k) as u128,
        Rotl => x.rotate_left(k % 128),
        Rotr => x.rotate_right(k % 128),
        _ => unreachable!("not among them"),
    };
    let numbers = [
        0u128,
        1,
        !0,
        1 << 127,
        0x0123_4567_89ab_cdef_8899_aabb_ccdd_eeff,
        !0 << 63,
    ];
    let amounts = [
        0u32, 1, 2, 31, 32, 63, 64, 65, 100, 127, 128, 129, 191, 192, 255,
    ];
    each_target(|unit| {
        for opcode in [Ishl, Ushr, Sshr, Rotl, Rotr] {
            for ty in [Type::I8, Type::I16, Type::I32, Type::I64, I128] {
                let program = unit.load(&[entry(|b, data| {
                    let x = wide_input(b, data, 0);
                    let k = b.load(ty, MemFlags::trusted(), data, INPUTS + 16);
                    let r = binary(b, opcode, x, k);
                    wide_output(b, data, 0, r);
                    // Narrower values by wide amounts.
                    let low = unary(b, Ireduce, Type::I64, x);
                    let r = binary(b, opcode, low, k);
                    output(b, data, 2, r);
                })]);
                for x in numbers {
                    for k in amounts {
                        let dirty = if ty == I128 {
                            0
                        } else {
                            0x5500_0000_0000_0000u128
                        };
                        let upper = dirty & (!0u128 << ty.bits().min(127));
                        let (_, results) = run(&program, &[x, u128::from(k) | upper]);
                        let what = format!("{opcode} of {x:#x} by {ty} {k}");
                        assert_eq!(results[0], reference(opcode, x, k), "{what}");
                    }
                }
            }
            for k in amounts {
                let program = unit.load(&[entry(|b, data| {
                    let x = wide_input(b, data, 0);
                    let amount = b.iconst(Type::I32, k.into());
                    let r = binary(b, opcode, x, amount);
                    wide_output(b, data, 0, r);
                    let amount = iconst128(b, k.into());
                    let r = binary(b, opcode, x, amount);
                    wide_output(b, data, 1, r);
                })]);
                for x in numbers {
                    let (_, results) = run(&program, &[x]);
                    let want = reference(opcode, x, k);
                    assert_eq!(
                        results[..2],
                        [want; 2],
                        "{opcode} of {x:#x} by constant {k}"
                    );
                }
            }
        }
    });
}

fn compare(cond: IntCC, x: u128, y: u128) -> bool {
    let (sx, sy) = (x as i128, y as i128);
    match cond {
        IntCC::Equal => x == y,
        IntCC::NotEqual => x != y,
        IntCC::SignedLessThan => sx < sy,
        IntCC::SignedGreaterThanOrEqual => sx >= sy,
        IntCC::SignedGreaterThan => sx > sy,
        IntCC::SignedLessThanOrEqual => sx <= sy,
        IntCC::UnsignedLessThan => x < y,
        IntCC::UnsignedGreaterThanOrEqual => x >= y,
        IntCC::UnsignedGreaterThan => x > y,
        IntCC::UnsignedLessThanOrEqual => x <= y,
    }
}

#[test]
fn comparisons_and_their_uses() {
    each_target(|unit| {
        for &cond in IntCC::ALL {
            let program = unit.load(&[entry(|b, data| {
                let (x, y) = (wide_input(b, data, 0), wide_input(b, data, 1));
                let c = b.icmp(cond, x, y);
                let wide = unary(b, Opcode::Uextend, I128, c);
                wide_output(b, data, 0, wide);
                let c = b.icmp(cond, x, y);
                let chosen = b.select(c, x, y);
                wide_output(b, data, 1, chosen);
                let merge = b.create_block();
                let v = b.append_block_param(merge, I128);
                let c = b.icmp(cond, x, y);
                b.brif(c, merge, &[x], merge, &[y]);
                b.switch_to_block(merge);
                wide_output(b, data, 2, v);
                let c = b.icmp(cond, x, y);
                b.trapz(c, TrapCode::user(4).expect("a code for users"));
                wide_output(b, data, 3, v);
            })]);
            for x in edges() {
                for y in edges() {
                    let (outcome, results) = run(&program, &[x, y]);
                    let holds = compare(cond, x, y);
                    let chosen = if holds { x } else { y };
                    let last = if holds { chosen } else { 0 };
                    let what = format!("{x:#x} {cond:?} {y:#x}");
                    assert_eq!(results[..4], [holds.into(), chosen, chosen, last], "{what}");
                    assert_eq!(outcome == Outcome::Return, holds, "{what}");
                }
            }
        }
    });
}

/// `i128` as a condition, for masks, selections and traps; conversions.
#[test]
fn conditions_and_conversions() {
    use Opcode::*;
    each_target(|unit| {
        let program = unit.load(&[entry(|b, data| {
            let x = wide_input(b, data, 0);
            let y = wide_input(b, data, 1);
            let m = unary(b, Bmask, I128, x);
            wide_output(b, data, 0, m);
            let m = unary(b, Bmask, Type::I64, x);
            output(b, data, 2, m);
            let low = unary(b, Ireduce, Type::I16, x);
            let m = unary(b, Bmask, I128, low);
            wide_output(b, data, 2, m);
            let r = b.select(x, y, x);
            wide_output(b, data, 3, r);
            let [lo, hi] = {
                let inst = b.func.push_inst_with_results(
                    InstData::Unary {
                        opcode: Isplit,
                        arg: x,
                    },
                    Type::INVALID,
                    SourceLoc::NONE,
                );
                let all: Vec<Value> = b.func.inst_results(inst).collect();
                [all[0], all[1]]
            };
            let r = binary(b, Iconcat, hi, lo);
            wide_output(b, data, 4, r);
            let mut n = 5;
            for ty in [Type::I8, Type::I16, Type::I32, Type::I64] {
                let part = unary(b, Ireduce, ty, x);
                for opcode in [Uextend, Sextend] {
                    let r = unary(b, opcode, I128, part);
                    wide_output(b, data, n, r);
                    n += 1;
                }
            }
            let args = [y, x, r];
            let r = emit(
                b,
                InstData::Ternary {
                    opcode: Bitselect,
                    args,
                },
                Type::INVALID,
            );
            wide_output(b, data, n, r);
            let merge = b.create_block();
            let (one, two) = (b.create_block(), b.create_block());
            b.brif(x, one, &[], two, &[]);
            b.switch_to_block(one);
            wide_output(b, data, n + 1, x);
            b.jump(merge, &[]);
            b.switch_to_block(two);
            wide_output(b, data, n + 1, y);
            b.jump(merge, &[]);
            b.switch_to_block(merge);
            b.trapnz(x, TrapCode::user(6).expect("a code for users"));
            wide_output(b, data, n + 2, y);
        })]);
        let y = 0x1111_2222_3333_4444_5555_6666_7777_8888u128;
        for x in edges() {
            let (outcome, results) = run(&program, &[x, y]);
            let mask = |any: bool| if any { !0 } else { 0 };
            assert_eq!(results[0], mask(x != 0));
            assert_eq!(results[1] as u64, mask(x != 0) as u64);
            assert_eq!(results[2], mask(x as u16 != 0));
            assert_eq!(results[3], if x != 0 { y } else { x });
            assert_eq!(results[4], x.rotate_left(64));
            let extended = [
                (x as u8).into(),
                x as i8 as u128,
                (x as u16).into(),
                x as i16 as u128,
                (x as u32).into(),
                x as i32 as u128,
                (x as u64).into(),
                x as i64 as u128,
            ];
            assert_eq!(results[5..13], extended, "{x:#x}");
            let r = if x != 0 { y } else { x };
            let _ = r;
            assert_eq!(results[13], y & x | !y & x.rotate_left(64), "{x:#x}");
            assert_eq!(results[14], if x != 0 { x } else { y });
            assert_eq!(outcome == Outcome::Return, x == 0);
            assert_eq!(results[15], if x == 0 { y } else { 0 });
        }
    });
}

#[test]
fn overflows() {
    use Opcode::*;
    each_target(|unit| {
        for opcode in [UaddOverflow, SaddOverflow, UsubOverflow, SsubOverflow] {
            let with_carry = match opcode {
                UaddOverflow => UaddOverflowCin,
                SaddOverflow => SaddOverflowCin,
                UsubOverflow => UsubOverflowBin,
                _ => SsubOverflowBin,
            };
            let program = unit.load(&[entry(|b, data| {
                let (x, y) = (wide_input(b, data, 0), wide_input(b, data, 1));
                let c = b.load(Type::I8, MemFlags::trusted(), data, INPUTS + 32);
                let args = [x, y];
                let plain = InstData::Binary { opcode, args };
                let carried = InstData::Ternary {
                    opcode: with_carry,
                    args: [x, y, c],
                };
                for (n, inst) in [plain, carried].into_iter().enumerate() {
                    let inst = b
                        .func
                        .push_inst_with_results(inst, Type::INVALID, SourceLoc::NONE);
                    let all: Vec<Value> = b.func.inst_results(inst).collect();
                    wide_output(b, data, 2 * n as i32, all[0]);
                    output(b, data, 4 * n as i32 + 2, all[1]);
                }
            })]);
            for x in edges() {
                for y in edges() {
                    for c in [0, 1] {
                        let (_, results) = run(&program, &[x, y, c]);
                        let (sx, sy, sc) = (x as i128, y as i128, c as i128);
                        let unsigned = |(a, o1): (u128, bool), (b, o2)| (a, b, o1, o2);
                        let signed =
                            |a: (i128, bool), b: (i128, bool)| (a.0 as u128, b.0 as u128, a.1, b.1);
                        let add = |(a, o): (u128, bool)| {
                            let (b, p) = a.overflowing_add(c);
                            (b, o | p)
                        };
                        let sub = |(a, o): (u128, bool)| {
                            let (b, p) = a.overflowing_sub(c);
                            (b, o | p)
                        };
                        let sadd = |(a, o): (i128, bool)| {
                            let (b, p) = a.overflowing_add(sc);
                            (b, o ^ p)
                        };
                        let ssub = |(a, o): (i128, bool)| {
                            let (b, p) = a.overflowing_sub(sc);
                            (b, o ^ p)
                        };
                        let (r, rc, o, oc) = match opcode {
                            UaddOverflow => {
                                let first = x.overflowing_add(y);
                                unsigned(first, add(first))
                            }
                            UsubOverflow => {
                                let first = x.overflowing_sub(y);
                                unsigned(first, sub(first))
                            }
                            SaddOverflow => {
                                let first = sx.overflowing_add(sy);
                                signed(first, sadd(first))
                            }
                            _ => {
                                let first = sx.overflowing_sub(sy);
                                signed(first, ssub(first))
                            }
                        };
                        let what = format!("{opcode} of {x:#x}, {y:#x}, {c}");
                        let flags = [results[1] as u8, results[3] as u8];
                        assert_eq!([results[0], results[2]], [r, rc], "{what}");
                        assert_eq!(flags, [u8::from(o), u8::from(oc)], "{what}");
                    }
                }
            }
        }
    });
}

#[test]
fn memory_in_both_orders() {
    each_target(|unit| {
        let program = unit.load(&[entry(|b, data| {
            let big = MemFlags::new().with_endianness(Endianness::Big);
            let x = b.load(I128, big, data, INPUTS);
            wide_output(b, data, 0, x);
            b.store(big, x, data, RESULTS + 16);
            let far = b.iconst(Type::I64, -0x7fff_fff0);
            let far = b.iadd(data, far);
            let back = b.load(I128, MemFlags::new(), far, 0x7fff_fff0 + INPUTS);
            wide_output(b, data, 2, back);
        })]);
        let x = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10u128;
        let (_, results) = run(&program, &[x]);
        assert_eq!(results[..3], [x.swap_bytes(), x, x]);
    });
}

/// Loops and tables with `i128` block parameters, more than there are registers.
#[test]
fn control_flow() {
    each_target(|unit| {
        let program = unit.load(&[entry(|b, data| {
            let count = b.load(Type::I64, MemFlags::trusted(), data, INPUTS);
            let starts: Vec<Value> = (1..9).map(|n| wide_input(b, data, n)).collect();
            let (header, exit) = (b.create_block(), b.create_block());
            let i = b.append_block_param(header, Type::I64);
            let params: Vec<Value> = (0..8).map(|_| b.append_block_param(header, I128)).collect();
            let mut args = vec![count];
            args.extend(&starts);
            b.jump(header, &args);
            b.switch_to_block(header);
            let one = b.iconst(Type::I64, 1);
            let next = b.isub(i, one);
            // Each takes the place of the one before, plus it.
            let mut args = vec![next];
            for n in 0..8 {
                let sum = binary(b, Opcode::Iadd, params[n], params[(n + 1) % 8]);
                args.push(sum);
            }
            b.brif(next, header, &args, exit, &[]);
            b.switch_to_block(exit);
            for (n, &v) in args[1..].iter().enumerate() {
                wide_output(b, data, n as i32, v);
            }
        })]);
        let mut want: Vec<u128> = edges()[20..28].to_vec();
        let mut inputs = vec![7];
        inputs.extend(&want);
        let (_, results) = run(&program, &inputs);
        for _ in 0..7 {
            want = (0..8)
                .map(|n| want[n].wrapping_add(want[(n + 1) % 8]))
                .collect();
        }
        assert_eq!(results[..8], want);
    });
}

/// Arguments and results in registers and on the stack, among others.
#[test]
fn calls() {
    let (w, i, f) = (I128, Type::I64, Type::F64);
    let shapes: [(&[Type], &[Type]); 6] = [
        (&[w], &[w]),
        (&[i, w, i], &[w]),
        (&[i, i, w, w, i], &[i, w]),
        (&[i, i, i, w, f, w, i, i, i, w], &[w, w]),
        (&[w, w, w, w, w, i], &[i, f, w, i]),
        (&[f, i, i, i, i, w, i, i], &[f, w, f]),
    ];
    let at = |n: usize| RESULTS + 16 * n as i32;
    each_target(|unit| {
        for conv in [CallConv::SystemV, CallConv::Fast] {
            for (params, returns) in shapes {
                let mut all = vec![Type::I64];
                all.extend(params);
                let sig = signature(conv, &all, returns);
                let func = entry(|b, data| {
                    let name = ExternalName::User {
                        namespace: 0,
                        index: 1,
                    };
                    let callee = import(b, name, &sig, false);
                    let mut args = vec![data];
                    for (n, &ty) in params.iter().enumerate() {
                        let offset = INPUTS + 16 * n as i32;
                        args.push(b.load(ty, MemFlags::trusted(), data, offset));
                    }
                    let inst = b.call(callee, &args);
                    let results: Vec<Value> = b.inst_results(inst).collect();
                    for (n, &v) in results.iter().enumerate() {
                        b.store(MemFlags::trusted(), v, data, at(n + 20));
                    }
                    for (n, &v) in args[1..].iter().enumerate() {
                        b.store(MemFlags::trusted(), v, data, at(n + 10));
                    }
                });
                let callee = function(1, sig.clone(), |b, values| {
                    for (n, &v) in values[1..].iter().enumerate() {
                        b.store(MemFlags::trusted(), v, values[0], at(n));
                    }
                    let results: Vec<Value> = returns
                        .iter()
                        .map(|&ty| {
                            let own = values[1..].iter().rev();
                            let mut own = own.filter(|&&v| b.func.value_type(v) == ty);
                            match own.next() {
                                Some(&v) => v,
                                None => b.f64const(1.5f64.to_bits()),
                            }
                        })
                        .collect();
                    b.return_(&results);
                });
                let program = unit.load(&[func, callee]);
                let inputs: Vec<u128> = (0..params.len())
                    .map(|n| edges()[7 * n + 2] ^ n as u128)
                    .collect();
                let (outcome, results) = run(&program, &inputs);
                assert_eq!(outcome, Outcome::Return);
                let bits = |ty: Type, x: u128| if ty == w { x } else { x as u64 as u128 };
                for (n, &ty) in params.iter().enumerate() {
                    let want = bits(ty, inputs[n]);
                    assert_eq!(results[n], want, "parameter {n} of {sig}");
                    assert_eq!(results[n + 10], want, "argument {n} of {sig}");
                }
                for (n, &ty) in returns.iter().enumerate() {
                    let source = params.iter().rposition(|&p| p == ty);
                    let want = source.map_or(1.5f64.to_bits().into(), |p| inputs[p]);
                    assert_eq!(results[n + 20], bits(ty, want), "result {n} of {sig}");
                }
            }
        }
    });
}

#[test]
fn atomics() {
    let target = Target::host().expect("a machine with a back end");
    let mut unit = Unit::new(target);
    let flags = MemFlags::new();
    for &op in AtomicRmwOp::ALL {
        for busy in [false, true] {
            let program = unit.load(&[entry(|b, data| {
                let (old, x) = (wide_input(b, data, 0), wide_input(b, data, 1));
                let at = b.iconst(Type::I64, i64::from(RESULTS) + 16 * 8);
                let at = b.iadd(data, at);
                let kept: Vec<Value> = (0..8).map(|n| wide_input(b, data, n)).collect();
                let opcode = Opcode::AtomicStore;
                let args = [old, at];
                b.func.push_inst(
                    InstData::StoreNoOffset {
                        opcode,
                        flags,
                        args,
                    },
                    SourceLoc::NONE,
                );
                let opcode = Opcode::AtomicRmw;
                let args = [at, x];
                let r = emit(
                    b,
                    InstData::AtomicRmw {
                        opcode,
                        op,
                        flags,
                        args,
                    },
                    I128,
                );
                wide_output(b, data, 0, r);
                let opcode = Opcode::AtomicLoad;
                let r = emit(
                    b,
                    InstData::LoadNoOffset {
                        opcode,
                        flags,
                        arg: at,
                    },
                    I128,
                );
                wide_output(b, data, 1, r);
                let opcode = Opcode::AtomicCas;
                for (n, expected) in [r, x].into_iter().enumerate() {
                    let args = [at, expected, old];
                    let inst = InstData::AtomicCas {
                        opcode,
                        flags,
                        args,
                    };
                    let r = emit(b, inst, Type::INVALID);
                    wide_output(b, data, n as i32 + 2, r);
                }
                if busy {
                    for (n, v) in kept.into_iter().enumerate() {
                        wide_output(b, data, n as i32 + 10, v);
                    }
                }
            })]);
            for old in edges().into_iter().step_by(3) {
                for x in edges().into_iter().step_by(4) {
                    let new = match op {
                        AtomicRmwOp::Add => old.wrapping_add(x),
                        AtomicRmwOp::Sub => old.wrapping_sub(x),
                        AtomicRmwOp::And => old & x,
                        AtomicRmwOp::Nand => !(old & x),
                        AtomicRmwOp::Or => old | x,
                        AtomicRmwOp::Xor => old ^ x,
                        AtomicRmwOp::Xchg => x,
                        AtomicRmwOp::Umin => old.min(x),
                        AtomicRmwOp::Umax => old.max(x),
                        AtomicRmwOp::Smin => (old as i128).min(x as i128) as u128,
                        AtomicRmwOp::Smax => (old as i128).max(x as i128) as u128,
                    };
                    let (outcome, results) = run(&program, &[old, x, 3, 4, 5, 6, 7, 8]);
                    assert_eq!(outcome, Outcome::Return);
                    // The first swap finds what it expects and puts the old number back.
                    let last = if old == x { x } else { old };
                    let want = [old, new, new, last];
                    assert_eq!(results[..4], want, "{op} of {old:#x} and {x:#x}");
                    if busy {
                        assert_eq!(results[10..18], [old, x, 3, 4, 5, 6, 7, 8]);
                    }
                }
            }
        }
    }
}

#[test]
fn what_has_no_rule_is_named() {
    let refused = |target: Target, what: &str, build: &dyn Fn(&mut FunctionBuilder<'_>, Value)| {
        let func = entry(|b, data| build(b, data));
        let error = Context::new().compile(&func, &target).map(|_| ());
        let error = error.expect_err("it is refused").to_string();
        assert!(error.contains(what), "{error}");
    };
    let host = targets()[0];
    refused(host, "udiv on i128", &|b, data| {
        let x = wide_input(b, data, 0);
        let r = binary(b, Opcode::Udiv, x, x);
        wide_output(b, data, 0, r);
    });
    refused(host, "fcvt_from_uint on i128", &|b, data| {
        let x = wide_input(b, data, 0);
        let r = unary(b, Opcode::FcvtFromUint, Type::F64, x);
        output(b, data, 0, r);
    });
    refused(Target::x64(X64Features::default()), "atomic", &|b, data| {
        let (opcode, flags) = (Opcode::AtomicLoad, MemFlags::new());
        let r = emit(
            b,
            InstData::LoadNoOffset {
                opcode,
                flags,
                arg: data,
            },
            I128,
        );
        wide_output(b, data, 0, r);
    });
    refused(host, "vector type i32x4", &|b, data| {
        let v = b.load(Type::I32X4, MemFlags::trusted(), data, 0);
        b.store(MemFlags::trusted(), v, data, 16);
    });
    refused(host, "type f16", &|b, data| {
        let v = b.load(Type::F16, MemFlags::trusted(), data, 0);
        b.store(MemFlags::trusted(), v, data, 16);
    });
}
