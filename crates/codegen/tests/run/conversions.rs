//! Conversions between types.

use super::arithmetic::{FLOATS, INTS, constant, edge_floats, edge_ints, emit};
use crate::support::unit::{Unit, entry, input, output, targets};
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{InstData, Opcode, Type};

/// Check a conversion on all of `values`: from a register, from memory, of a constant.
fn check(unit: &mut Unit, opcode: Opcode, from: Type, to: Type, values: &[u64]) {
    let program = unit.load(&[entry(|b, data| {
        let arg = input(b, data, 0, from);
        let r = emit(b, InstData::Unary { opcode, arg }, to);
        output(b, data, 0, r);
        let arg = input(b, data, 0, from);
        output(b, data, 1, arg);
        let r = emit(b, InstData::Unary { opcode, arg }, to);
        output(b, data, 2, r);
        let again = emit(b, InstData::Unary { opcode, arg }, to);
        output(b, data, 3, again);
        output(b, data, 4, arg);
    })]);
    let all = [0, 2, 3];
    for &x in values {
        let want = ops::unary(opcode, from, to, x);
        let dirty = x | !ops::mask(from, !0);
        let (outcome, results) = program.run(&[dirty]);
        let what = format!("{opcode}.{to} of {from} {x:#x}");
        match want {
            Err(code) => assert_eq!(outcome, Outcome::Trap(code), "{what}"),
            Ok(want) => {
                assert_eq!(outcome, Outcome::Return, "{what}");
                for n in all {
                    let got = ops::mask(to, results[n]);
                    assert!(
                        ops::same(to, want, got),
                        "{what} is {got:#x}, not {want:#x}"
                    );
                }
                assert_eq!(results[4], x, "{what}: the operand");
            }
        }
    }
    for &x in values {
        let program = unit.load(&[entry(|b, data| {
            let arg = constant(b, from, x);
            let r = emit(b, InstData::Unary { opcode, arg }, to);
            output(b, data, 0, r);
        })]);
        let (outcome, results) = program.run(&[]);
        let what = format!("{opcode}.{to} of constant {from} {x:#x}");
        match ops::unary(opcode, from, to, x) {
            Err(code) => assert_eq!(outcome, Outcome::Trap(code), "{what}"),
            Ok(want) => {
                let got = ops::mask(to, results[0]);
                assert!(
                    ops::same(to, want, got),
                    "{what} is {got:#x}, not {want:#x}"
                );
            }
        }
    }
}

/// Floats at the bounds of the integer types.
fn bounds(ty: Type) -> Vec<u64> {
    let mut values = edge_floats(ty);
    for k in [7, 8, 15, 16, 24, 31, 32, 52, 53, 62, 63, 64, 65] {
        let power = 2f64.powi(k);
        for x in [power, power - 1.0, power - 0.5, power + 0.5, power + 1.0] {
            for x in [
                x,
                -x,
                x.next_down(),
                x.next_up(),
                -x.next_down(),
                -x.next_up(),
            ] {
                values.push(match ty {
                    Type::F32 => (x as f32).to_bits().into(),
                    _ => x.to_bits(),
                });
            }
        }
        if ty == Type::F32 {
            let power = 2f32.powi(k);
            for x in [power.next_down(), power.next_up()] {
                values.extend([u64::from(x.to_bits()), u64::from((-x).to_bits())]);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

#[test]
fn integers_of_other_widths() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for from in INTS {
            for to in INTS {
                let opcodes: &[Opcode] = match to.bits().cmp(&from.bits()) {
                    std::cmp::Ordering::Less => &[Opcode::Ireduce],
                    std::cmp::Ordering::Equal => &[Opcode::Bitcast],
                    std::cmp::Ordering::Greater => &[Opcode::Uextend, Opcode::Sextend],
                };
                for &opcode in opcodes {
                    check(&mut unit, opcode, from, to, &edge_ints(from));
                }
            }
        }
    }
}

#[test]
fn floats_to_integers() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for from in FLOATS {
            let values = bounds(from);
            for to in INTS {
                for opcode in [FcvtToSint, FcvtToUint, FcvtToSintSat, FcvtToUintSat] {
                    check(&mut unit, opcode, from, to, &values);
                }
            }
        }
    }
}

#[test]
fn integers_to_floats() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for from in INTS {
            let mut values = edge_ints(from);
            for k in [23, 24, 25, 52, 53, 54, 62, 63] {
                let near = [0u64, 1, 3].map(|d| (1u64 << k).wrapping_add(d));
                values.extend(near.iter().flat_map(|&x| [x, x << 1, x.wrapping_neg()]));
            }
            let values: Vec<u64> = values.iter().map(|&x| ops::mask(from, x)).collect();
            for to in FLOATS {
                check(&mut unit, Opcode::FcvtFromSint, from, to, &values);
                check(&mut unit, Opcode::FcvtFromUint, from, to, &values);
            }
        }
    }
}

#[test]
fn between_floats_and_bits() {
    for target in targets() {
        let mut unit = Unit::new(target);
        check(
            &mut unit,
            Opcode::Fpromote,
            Type::F32,
            Type::F64,
            &edge_floats(Type::F32),
        );
        let doubles = bounds(Type::F64);
        check(&mut unit, Opcode::Fdemote, Type::F64, Type::F32, &doubles);
        for (float, int) in [(Type::F32, Type::I32), (Type::F64, Type::I64)] {
            // Not those whose bits a load of a float may change: none on this machine.
            check(&mut unit, Opcode::Bitcast, float, int, &edge_floats(float));
            check(&mut unit, Opcode::Bitcast, int, float, &edge_ints(int));
            check(
                &mut unit,
                Opcode::Bitcast,
                float,
                float,
                &edge_floats(float),
            );
        }
    }
}
