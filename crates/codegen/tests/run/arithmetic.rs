//! Integer and float operations, comparisons and selects.

use crate::support::unit::{Unit, entry, input, output, targets};
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{FloatCC, FunctionBuilder, InstData, IntCC, Opcode, TrapCode, Type, Value};

pub(crate) const INTS: [Type; 4] = [Type::I8, Type::I16, Type::I32, Type::I64];
pub(crate) const FLOATS: [Type; 2] = [Type::F32, Type::F64];

/// Integers at the edges of every width.
pub(crate) fn edge_ints(ty: Type) -> Vec<u64> {
    let bits = ty.bits();
    let mut values = vec![
        0,
        1,
        2,
        3,
        5,
        7,
        8,
        9,
        0x55,
        100,
        0x7f,
        0x80,
        0xff,
        0x1234_5678_9abc_def0,
    ];
    for k in [8, 16, 32, 64] {
        if k <= bits {
            let top = 1u64 << (k - 1);
            values.extend([top, top - 1, top + 1, top.wrapping_mul(2).wrapping_sub(1)]);
        }
    }
    values.extend([!0, !0 - 1, !0 - 6]);
    let mut values: Vec<u64> = values.into_iter().map(|x| ops::mask(ty, x)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The bits of floats at the edges.
pub(crate) fn edge_floats(ty: Type) -> Vec<u64> {
    let values = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.0,
        -1.0,
        1.5,
        2.5,
        -2.5,
        0.499_999_999_999_999_94,
        4_503_599_627_370_497.5,
        8_388_609.5,
        1e30,
        -1e-30,
        f64::from(f32::MAX),
        f64::from(f32::MIN_POSITIVE),
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
    ];
    match ty {
        Type::F32 => values
            .iter()
            .map(|&x| u64::from((x as f32).to_bits()))
            .chain([0x7f80_0001, 1, 0x8000_0001])
            .collect(),
        _ => values
            .iter()
            .map(|&x| x.to_bits())
            .chain([0x7ff0_0000_0000_0001, 1 << 63 | 1])
            .collect(),
    }
}

pub(crate) fn constant(b: &mut FunctionBuilder<'_>, ty: Type, bits: u64) -> Value {
    match ty {
        Type::F32 => b.f32const(bits as u32),
        Type::F64 => b.f64const(bits),
        _ => b.iconst(ty, bits as i64),
    }
}

/// Append an instruction and give its result.
pub(crate) fn emit(b: &mut FunctionBuilder<'_>, data: InstData, ty: Type) -> Value {
    let inst = b
        .func
        .push_inst_with_results(data, ty, nopal_ir::SourceLoc::NONE);
    b.func.first_result(inst)
}

fn binary(b: &mut FunctionBuilder<'_>, opcode: Opcode, x: Value, y: Value) -> Value {
    let args = [x, y];
    emit(b, InstData::Binary { opcode, args }, Type::INVALID)
}

fn check(
    want: Result<u64, TrapCode>,
    ty: Type,
    got: (Outcome, Vec<u64>),
    result: usize,
    what: &str,
) {
    match want {
        Ok(want) => {
            assert_eq!(got.0, Outcome::Return, "{what}");
            let bits = ops::mask(ty, got.1[result]);
            assert!(
                ops::same(ty, want, bits),
                "{what} is {bits:#x}, not {want:#x}"
            );
        }
        Err(code) => assert_eq!(got.0, Outcome::Trap(code), "{what}"),
    }
}

/// Check a binary operation on all pairs of `xs` and `ys`: both operands in registers, either
/// constant, the right one in memory, and, if the types agree, both the same.
fn check_binary(unit: &mut Unit, opcode: Opcode, tx: Type, xs: &[u64], ty: Type, ys: &[u64]) {
    let name = |form: &str, x: u64, y: u64| format!("{opcode}.{tx} {form} of {x:#x} and {y:#x}");
    // Loads are merged if there is nothing between them and their use.
    let merged = entry(|b, data| {
        let x = input(b, data, 0, tx);
        let y = input(b, data, 1, ty);
        let r = binary(b, opcode, x, y);
        output(b, data, 0, r);
    });
    let registers = entry(|b, data| {
        let x = input(b, data, 0, tx);
        let y = input(b, data, 1, ty);
        output(b, data, 1, x);
        output(b, data, 2, y);
        let r = binary(b, opcode, x, y);
        output(b, data, 0, r);
        output(b, data, 3, x);
        output(b, data, 4, y);
    });
    for (form, func) in [("merged", merged), ("in registers", registers)] {
        let program = unit.load(&[func]);
        for &x in xs {
            for &y in ys {
                let want = ops::binary(opcode, tx, x, y);
                check(want, tx, program.run(&[x, y]), 0, &name(form, x, y));
            }
        }
    }
    for &y in ys {
        let program = unit.load(&[entry(|b, data| {
            let x = input(b, data, 0, tx);
            let y = constant(b, ty, y);
            let r = binary(b, opcode, x, y);
            output(b, data, 0, r);
            let again = binary(b, opcode, x, y);
            output(b, data, 1, again);
        })]);
        for &x in xs {
            let want = ops::binary(opcode, tx, x, y);
            check(
                want,
                tx,
                program.run(&[x]),
                0,
                &name("constant right", x, y),
            );
            check(
                want,
                tx,
                program.run(&[x]),
                1,
                &name("constant right, again", x, y),
            );
        }
    }
    for &x in xs {
        let program = unit.load(&[entry(|b, data| {
            let y = input(b, data, 0, ty);
            let x = constant(b, tx, x);
            let r = binary(b, opcode, x, y);
            output(b, data, 0, r);
        })]);
        for &y in ys {
            let want = ops::binary(opcode, tx, x, y);
            check(want, tx, program.run(&[y]), 0, &name("constant left", x, y));
        }
    }
    if tx == ty {
        let program = unit.load(&[entry(|b, data| {
            let x = input(b, data, 0, tx);
            let r = binary(b, opcode, x, x);
            output(b, data, 0, r);
        })]);
        for &x in xs {
            let want = ops::binary(opcode, tx, x, x);
            check(
                want,
                tx,
                program.run(&[x]),
                0,
                &name("twice the same", x, x),
            );
        }
    }
}

#[test]
fn integer_operations() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let values = edge_ints(ty);
            for opcode in [
                Iadd, Isub, Imul, Umulhi, Smulhi, Udiv, Sdiv, Urem, Srem, Band, Bor, Bxor,
            ] {
                check_binary(&mut unit, opcode, ty, &values, ty, &values);
            }
        }
    }
}

#[test]
fn shifts_by_any_amount() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let values = edge_ints(ty);
            for amount in INTS {
                let amounts: Vec<u64> = [
                    0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 255, !0,
                ]
                .iter()
                .map(|&k| ops::mask(amount, k))
                .collect();
                for opcode in [Ishl, Ushr, Sshr, Rotl, Rotr] {
                    check_binary(&mut unit, opcode, ty, &values, amount, &amounts);
                }
            }
        }
    }
}

#[test]
fn float_operations() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in FLOATS {
            let values = edge_floats(ty);
            for opcode in [Fadd, Fsub, Fmul, Fdiv, Fmin, Fmax, Fcopysign] {
                check_binary(&mut unit, opcode, ty, &values, ty, &values);
            }
        }
    }
}

#[test]
fn operations_on_one_value() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        let ints = [Ineg, Bnot, Clz, Ctz, Popcnt].map(|o| (o, &INTS[..]));
        let floats = [Sqrt, Fneg, Fabs, Ceil, Floor, Trunc, Nearest].map(|o| (o, &FLOATS[..]));
        for (opcode, types) in ints.into_iter().chain(floats) {
            for &ty in types {
                let program = unit.load(&[entry(|b, data| {
                    let arg = input(b, data, 0, ty);
                    let r = emit(b, InstData::Unary { opcode, arg }, Type::INVALID);
                    output(b, data, 0, r);
                    // The operand lives on.
                    let arg = input(b, data, 1, ty);
                    output(b, data, 1, arg);
                    let r = emit(b, InstData::Unary { opcode, arg }, Type::INVALID);
                    output(b, data, 2, r);
                    output(b, data, 3, arg);
                })]);
                let values = if ty.is_int() {
                    edge_ints(ty)
                } else {
                    edge_floats(ty)
                };
                for &x in &values {
                    // What is above a narrow value in memory does not matter.
                    let dirty = x | !ops::mask(ty, !0);
                    let want = ops::unary(opcode, ty, ty, x);
                    let got = program.run(&[dirty, dirty]);
                    check(
                        want,
                        ty,
                        got.clone(),
                        0,
                        &format!("{opcode}.{ty} of {x:#x}"),
                    );
                    check(want, ty, got, 2, &format!("{opcode}.{ty} of {x:#x}"));
                }
            }
        }
    }
}

/// Known results, so that the reference is not wrong in the same way as the compiler.
#[test]
fn the_reference_is_right() {
    use Opcode::*;
    let int = |o, ty, x: i64, y: i64| {
        let [x, y] = [x, y].map(|v| ops::mask(ty, v as u64));
        ops::binary(o, ty, x, y).map(|r| ops::signed(ty, r))
    };
    assert_eq!(int(Smulhi, Type::I8, -128, -128), Ok(64));
    assert_eq!(int(Umulhi, Type::I64, -1, -1), Ok(-2));
    assert_eq!(int(Srem, Type::I32, i32::MIN.into(), -1), Ok(0));
    assert_eq!(int(Sdiv, Type::I16, -7, 2), Ok(-3));
    assert_eq!(int(Srem, Type::I16, -7, 2), Ok(-1));
    assert_eq!(
        int(Sdiv, Type::I8, -128, -1),
        Err(TrapCode::INTEGER_OVERFLOW)
    );
    assert_eq!(
        int(Udiv, Type::I8, 1, 0),
        Err(TrapCode::INTEGER_DIVISION_BY_ZERO)
    );
    assert_eq!(int(Rotl, Type::I8, 0x81u8.into(), 9), Ok(3));
    assert_eq!(int(Sshr, Type::I16, -32768, 17), Ok(-16384));
    let float = |o, x: f64, y: f64| {
        f64::from_bits(ops::binary(o, Type::F64, x.to_bits(), y.to_bits()).expect("no trap"))
    };
    assert!(float(Fmin, 0.0, -0.0).is_sign_negative());
    assert!(float(Fmax, -0.0, 0.0).is_sign_positive());
    assert!(float(Fmin, f64::NAN, 1.0).is_nan() && float(Fmax, 1.0, f64::NAN).is_nan());
    let unary = |o, to, x: f64| ops::unary(o, Type::F64, to, x.to_bits());
    assert_eq!(unary(Nearest, Type::F64, 2.5), Ok(2f64.to_bits()));
    assert_eq!(unary(Nearest, Type::F64, -0.4), Ok((-0f64).to_bits()));
    assert_eq!(unary(FcvtToSintSat, Type::I32, -1e10), Ok(0x8000_0000));
    assert_eq!(unary(FcvtToUintSat, Type::I64, 1e30), Ok(u64::MAX));
    assert_eq!(unary(FcvtToUintSat, Type::I32, f64::NAN), Ok(0));
    assert_eq!(unary(FcvtToUint, Type::I32, -0.9), Ok(0));
    assert_eq!(
        unary(FcvtToSint, Type::I32, 2_147_483_648.0),
        Err(TrapCode::INTEGER_OVERFLOW)
    );
    assert_eq!(
        unary(FcvtToSint, Type::I32, f64::NAN),
        Err(TrapCode::BAD_CONVERSION_TO_INTEGER)
    );
    assert_eq!(ops::unary(Clz, Type::I16, Type::I16, 1), Ok(15));
    assert_eq!(ops::unary(Ctz, Type::I8, Type::I8, 0), Ok(8));
}

/// All uses of a comparison: its value, wider; twice; of its own value; selects, branches, traps.
fn comparison_uses(
    b: &mut FunctionBuilder<'_>,
    data: Value,
    compare: impl Fn(&mut FunctionBuilder<'_>) -> Value,
) {
    let plain = compare(b);
    output(b, data, 0, plain);
    let c = compare(b);
    let wide = b.uextend(Type::I64, c);
    output(b, data, 1, wide);
    let c = compare(b);
    let zero = b.iconst(Type::I8, 0);
    let not = b.icmp(IntCC::Equal, c, zero);
    output(b, data, 2, not);
    let [one, two] = [0x1_0000_0001, 0x2_0000_0002].map(|k| b.iconst(Type::I64, k));
    let c = compare(b);
    let chosen = b.select(c, one, two);
    output(b, data, 3, chosen);
    let c = compare(b);
    let [x, y] = [1.5f64, 2.5].map(|k| b.f64const(k.to_bits()));
    let chosen = b.select(c, x, y);
    output(b, data, 4, chosen);
    // Once more where the comparison is not repeated.
    let again = b.select(plain, two, one);
    output(b, data, 5, again);
    let (then, otherwise, merge) = (b.create_block(), b.create_block(), b.create_block());
    let v = b.append_block_param(merge, Type::I64);
    let c = compare(b);
    b.brif(c, then, &[], otherwise, &[]);
    b.switch_to_block(then);
    b.jump(merge, &[one]);
    b.switch_to_block(otherwise);
    b.jump(merge, &[two]);
    b.switch_to_block(merge);
    output(b, data, 6, v);
    let merge = b.create_block();
    let v = b.append_block_param(merge, Type::I64);
    let c = compare(b);
    let zero = b.iconst(Type::I8, 0);
    let not = b.icmp(IntCC::NotEqual, c, zero);
    b.brif(not, merge, &[one], merge, &[two]);
    b.switch_to_block(merge);
    output(b, data, 7, v);
    let c = compare(b);
    b.trapz(c, TrapCode::user(7).expect("a code for users"));
    output(b, data, 8, one);
}

fn check_comparison(
    program: &crate::support::unit::Program<'_>,
    inputs: &[u64],
    want: bool,
    what: &str,
) {
    let (outcome, results) = program.run(inputs);
    let bit = u64::from(want);
    assert_eq!(results[0] & 0xff, bit, "{what}");
    assert_eq!(results[1], bit, "{what}, extended");
    assert_eq!(results[2] & 0xff, 1 - bit, "{what}, inverted");
    let (yes, no) = (0x1_0000_0001, 0x2_0000_0002);
    assert_eq!(results[3], if want { yes } else { no }, "{what}, select");
    let float = if want { 1.5f64 } else { 2.5 };
    assert_eq!(results[4], float.to_bits(), "{what}, select of floats");
    assert_eq!(
        results[5],
        if want { no } else { yes },
        "{what}, select again"
    );
    assert_eq!(results[6], if want { yes } else { no }, "{what}, branch");
    assert_eq!(
        results[7],
        if want { yes } else { no },
        "{what}, branch on inverse"
    );
    let code = TrapCode::user(7).expect("a code for users");
    let end = if want {
        Outcome::Return
    } else {
        Outcome::Trap(code)
    };
    assert_eq!(outcome, end, "{what}, trap");
    assert_eq!(
        results[8],
        if want { yes } else { 0 },
        "{what}, after the trap"
    );
}

#[test]
fn integer_comparisons() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let values = edge_ints(ty);
            for &cc in IntCC::ALL {
                let program = unit.load(&[entry(|b, data| {
                    comparison_uses(b, data, |b| {
                        let x = input(b, data, 0, ty);
                        let y = input(b, data, 1, ty);
                        b.icmp(cc, x, y)
                    });
                })]);
                for &x in &values {
                    for &y in &values {
                        let want = ops::icmp(cc, ty, x, y);
                        check_comparison(
                            &program,
                            &[x, y],
                            want,
                            &format!("{cc}.{ty} {x:#x} {y:#x}"),
                        );
                    }
                }
                for &y in &values {
                    for left in [false, true] {
                        let program = unit.load(&[entry(|b, data| {
                            let x = input(b, data, 0, ty);
                            comparison_uses(b, data, |b| {
                                let y = constant(b, ty, y);
                                let (x, y) = if left { (y, x) } else { (x, y) };
                                b.icmp(cc, x, y)
                            });
                        })]);
                        for &x in &values {
                            let (l, r) = if left { (y, x) } else { (x, y) };
                            let want = ops::icmp(cc, ty, l, r);
                            check_comparison(
                                &program,
                                &[x],
                                want,
                                &format!("{cc}.{ty} {l:#x} {r:#x} constant"),
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn float_comparisons() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in FLOATS {
            let values = edge_floats(ty);
            for &cc in FloatCC::ALL {
                for merged in [false, true] {
                    let program = unit.load(&[entry(|b, data| {
                        let early = [0, 1].map(|n| input(b, data, n, ty));
                        comparison_uses(b, data, |b| {
                            let [x, y] = if merged {
                                [0, 1].map(|n| input(b, data, n, ty))
                            } else {
                                early
                            };
                            b.fcmp(cc, x, y)
                        });
                    })]);
                    for &x in &values {
                        for &y in &values {
                            let want = ops::fcmp(cc, ty, x, y);
                            check_comparison(
                                &program,
                                &[x, y],
                                want,
                                &format!("{cc}.{ty} {x:#x} {y:#x}"),
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn masks_as_conditions() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let values = edge_ints(ty);
            let program = unit.load(&[entry(|b, data| {
                comparison_uses(b, data, |b| {
                    let x = input(b, data, 0, ty);
                    let y = input(b, data, 1, ty);
                    let both = b.band(x, y);
                    let zero = b.iconst(ty, 0);
                    b.icmp(IntCC::NotEqual, both, zero)
                });
            })]);
            for &x in &values {
                for &y in &values {
                    check_comparison(
                        &program,
                        &[x, y],
                        x & y != 0,
                        &format!("{x:#x} & {y:#x} ({ty})"),
                    );
                }
            }
        }
    }
}

#[test]
fn selects_of_every_type() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in Type::ALL {
            for cond in INTS {
                let program = unit.load(&[entry(|b, data| {
                    let c = input(b, data, 0, cond);
                    let [x, y] = [1, 2].map(|n| input(b, data, n, ty));
                    let v = b.select(c, x, y);
                    output(b, data, 0, v);
                    let v = b.select(c, y, x);
                    output(b, data, 1, v);
                    output(b, data, 2, x);
                    output(b, data, 3, y);
                })]);
                for c in edge_ints(cond) {
                    let dirty = c | !ops::mask(cond, !0);
                    let [x, y] = [0x1111_2222_3333_4444, 0x5555_6666_7777_8888];
                    let (_, results) = program.run(&[dirty, x, y]);
                    let want = if c != 0 { [x, y] } else { [y, x] };
                    for (n, want) in want.into_iter().enumerate() {
                        let what = format!("select.{ty} {c:#x}, result {n}");
                        assert_eq!(results[n], ops::mask(ty, want), "{what}");
                    }
                    assert_eq!(results[2..4], [ops::mask(ty, x), ops::mask(ty, y)]);
                }
            }
        }
    }
}
