//! Operations on integers beyond arithmetic: those that tell of overflows, that work on the order of
//! bits, that choose; conversions between halves and wholes.

use super::arithmetic::{INTS, constant, edge_floats, edge_ints, emit};
use crate::support::unit::{Unit, entry, input, output, targets};
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{FunctionBuilder, InstData, Opcode, SourceLoc, TrapCode, Type, Value};

/// Append an instruction and give all its results.
fn emit_all(b: &mut FunctionBuilder<'_>, data: InstData, ty: Type) -> Vec<Value> {
    let inst = b.func.push_inst_with_results(data, ty, SourceLoc::NONE);
    b.func.inst_results(inst).collect()
}

/// What an operation on bits of one type gives.
fn unary_reference(opcode: Opcode, ty: Type, x: u64) -> u64 {
    let bits = ty.bits();
    let signed = ops::signed(ty, x);
    let result = match opcode {
        Opcode::Iabs => signed.wrapping_abs() as u64,
        Opcode::Bitrev => x.reverse_bits() >> (64 - bits),
        Opcode::Bswap => x.swap_bytes() >> (64 - bits),
        Opcode::Cls => {
            let same = (0..bits)
                .rev()
                .take_while(|&k| (x >> k & 1 == 1) == (signed < 0));
            same.count() as u64 - 1
        }
        _ => unreachable!("not among them"),
    };
    ops::mask(ty, result)
}

#[test]
fn operations_on_one_integer() {
    use Opcode::{Bitrev, Bswap, Cls, Iabs};
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for opcode in [Iabs, Bitrev, Cls, Bswap] {
                if opcode == Bswap && ty == Type::I8 {
                    continue;
                }
                let program = unit.load(&[entry(|b, data| {
                    let arg = input(b, data, 0, ty);
                    let r = emit(b, InstData::Unary { opcode, arg }, Type::INVALID);
                    output(b, data, 0, r);
                    output(b, data, 1, arg);
                    let arg = input(b, data, 1, ty);
                    let r = emit(b, InstData::Unary { opcode, arg }, Type::INVALID);
                    let wide = if ty == Type::I64 {
                        r
                    } else {
                        b.uextend(Type::I64, r)
                    };
                    output(b, data, 2, wide);
                })]);
                for x in edge_ints(ty) {
                    let dirty = x | !ops::mask(ty, !0);
                    let (_, results) = program.run(&[dirty, dirty]);
                    let want = unary_reference(opcode, ty, x);
                    let what = format!("{opcode}.{ty} of {x:#x}");
                    assert_eq!(ops::mask(ty, results[0]), want, "{what}");
                    assert_eq!(ops::mask(ty, results[1]), x, "{what}: the operand");
                    assert_eq!(results[2], want, "{what}, extended");
                }
            }
        }
    }
}

#[test]
fn minima_and_maxima() {
    use Opcode::{Smax, Smin, Umax, Umin};
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for opcode in [Smin, Smax, Umin, Umax] {
                let want = |x: u64, y: u64| {
                    let (sx, sy) = (ops::signed(ty, x), ops::signed(ty, y));
                    ops::mask(
                        ty,
                        match opcode {
                            Smin => sx.min(sy) as u64,
                            Smax => sx.max(sy) as u64,
                            Umin => x.min(y),
                            _ => x.max(y),
                        },
                    )
                };
                let both = unit.load(&[entry(|b, data| {
                    let args = [input(b, data, 0, ty), input(b, data, 1, ty)];
                    let r = emit(b, InstData::Binary { opcode, args }, Type::INVALID);
                    output(b, data, 0, r);
                    let r = emit(b, InstData::Binary { opcode, args }, Type::INVALID);
                    output(b, data, 1, r);
                    output(b, data, 2, args[0]);
                    output(b, data, 3, args[1]);
                })]);
                for x in edge_ints(ty) {
                    for y in edge_ints(ty) {
                        let dirty = !ops::mask(ty, !0);
                        let (_, results) = both.run(&[x | dirty, y]);
                        let got = [0, 1, 2, 3].map(|n| ops::mask(ty, results[n]));
                        let w = want(x, y);
                        assert_eq!(got, [w, w, x, y], "{opcode}.{ty} of {x:#x} and {y:#x}");
                    }
                }
                for y in [0, 1, ops::mask(ty, !0), 5] {
                    let program = unit.load(&[entry(|b, data| {
                        let args = [constant(b, ty, y), input(b, data, 0, ty)];
                        let r = emit(b, InstData::Binary { opcode, args }, Type::INVALID);
                        output(b, data, 0, r);
                    })]);
                    for x in edge_ints(ty) {
                        let (_, results) = program.run(&[x]);
                        let what = format!("{opcode}.{ty} of {x:#x} and constant {y:#x}");
                        assert_eq!(ops::mask(ty, results[0]), want(x, y), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn masks_and_bitwise_selections() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for from in INTS {
            for to in INTS {
                let program = unit.load(&[entry(|b, data| {
                    let arg = input(b, data, 0, from);
                    let opcode = Opcode::Bmask;
                    let r = emit(b, InstData::Unary { opcode, arg }, to);
                    output(b, data, 0, r);
                    output(b, data, 1, arg);
                })]);
                for x in edge_ints(from) {
                    let (_, results) = program.run(&[x | !ops::mask(from, !0)]);
                    let want = if x == 0 { 0 } else { ops::mask(to, !0) };
                    assert_eq!(
                        ops::mask(to, results[0]),
                        want,
                        "bmask.{to} of {from} {x:#x}"
                    );
                    assert_eq!(ops::mask(from, results[1]), x);
                }
            }
        }
        for ty in INTS.into_iter().chain([Type::F32, Type::F64]) {
            let program = unit.load(&[entry(|b, data| {
                let args = [0, 1, 2].map(|n| input(b, data, n, ty));
                let opcode = Opcode::Bitselect;
                let r = emit(b, InstData::Ternary { opcode, args }, Type::INVALID);
                output(b, data, 0, r);
                for (n, arg) in args.into_iter().enumerate() {
                    output(b, data, n as i32 + 1, arg);
                }
                let same = [args[0], args[1], args[1]];
                let r = emit(b, InstData::Ternary { opcode, args: same }, Type::INVALID);
                output(b, data, 4, r);
            })]);
            let [c, x, y] = [
                0x5a5a_0ff0_1234_5678,
                0x1111_2222_3333_4444,
                0x9876_5432_1357_9bdf,
            ];
            let (_, results) = program.run(&[c, x, y]);
            let want = [c & x | !c & y, c, x, y, x];
            for n in 0..5 {
                assert_eq!(ops::mask(ty, results[n] ^ want[n]), 0, "bitselect.{ty} {n}");
            }
        }
    }
}

/// The exact result, and whether it overflows.
fn overflow_reference(opcode: Opcode, ty: Type, x: u64, y: u64, c: u64) -> (u64, bool) {
    use Opcode::*;
    let signed = matches!(
        opcode,
        SaddOverflow | SsubOverflow | SmulOverflow | SaddOverflowCin | SsubOverflowBin
    );
    let wide = |x| {
        if signed {
            i128::from(ops::signed(ty, x))
        } else {
            i128::from(x)
        }
    };
    let (x, y, c) = (wide(x), wide(y), i128::from(c));
    let exact = match opcode {
        UaddOverflow | SaddOverflow => x + y,
        UsubOverflow | SsubOverflow => x - y,
        UmulOverflow | SmulOverflow => match x.checked_mul(y) {
            Some(product) => product,
            // Of 64-bit numbers without sign.
            None => return (ops::mask(ty, x.wrapping_mul(y) as u64), true),
        },
        UaddOverflowCin | SaddOverflowCin => x + y + c,
        UsubOverflowBin | SsubOverflowBin => x - y - c,
        _ => unreachable!("{opcode} cannot overflow"),
    };
    let bits = ops::mask(ty, exact as u64);
    (bits, wide(bits) != exact)
}

const OVERFLOWING: [Opcode; 6] = [
    Opcode::UaddOverflow,
    Opcode::SaddOverflow,
    Opcode::UsubOverflow,
    Opcode::SsubOverflow,
    Opcode::UmulOverflow,
    Opcode::SmulOverflow,
];

/// Call `build` with all uses of an instruction with a flag: both results, either, both as operands
/// of a select, the flag for a branch, for a branch around a use of the other, for a trap.
fn flag_uses(
    b: &mut FunctionBuilder<'_>,
    data: Value,
    mut build: impl FnMut(&mut FunctionBuilder<'_>) -> [Value; 2],
) {
    let [r, flag] = build(b);
    output(b, data, 0, r);
    let wide = b.uextend(Type::I64, flag);
    output(b, data, 1, wide);
    let [r, _] = build(b);
    output(b, data, 2, r);
    let [_, flag] = build(b);
    let wide = b.uextend(Type::I64, flag);
    output(b, data, 3, wide);
    let [r, flag] = build(b);
    let zero = constant(b, b.func.value_type(r), 0);
    let chosen = b.select(flag, zero, r);
    output(b, data, 4, chosen);
    // Branches.
    let (yes, no, merge) = (b.create_block(), b.create_block(), b.create_block());
    let v = b.append_block_param(merge, Type::I64);
    let [one, two] = [1, 2].map(|k| b.iconst(Type::I64, k));
    let [r, flag] = build(b);
    b.brif(flag, yes, &[], no, &[]);
    b.switch_to_block(yes);
    output(b, data, 5, r);
    b.jump(merge, &[one]);
    b.switch_to_block(no);
    output(b, data, 5, r);
    b.jump(merge, &[two]);
    b.switch_to_block(merge);
    output(b, data, 6, v);
    // Only the flag counts, inverted; nothing stands between.
    let merge = b.create_block();
    let v = b.append_block_param(merge, Type::I64);
    let [_, flag] = build(b);
    let zero = b.iconst(Type::I8, 0);
    let not = b.icmp(nopal_ir::IntCC::Equal, flag, zero);
    b.brif(not, merge, &[two], merge, &[one]);
    b.switch_to_block(merge);
    output(b, data, 7, v);
    let [r, flag] = build(b);
    b.trapnz(flag, TrapCode::user(9).expect("a code for users"));
    output(b, data, 8, r);
}

fn check_flag_uses(results: &[u64], outcome: Outcome, ty: Type, want: (u64, bool), what: &str) {
    let (bits, overflow) = want;
    let chosen = if overflow { 0 } else { bits };
    let branch = if overflow { 1 } else { 2 };
    let all = [
        bits,
        overflow.into(),
        bits,
        overflow.into(),
        chosen,
        bits,
        branch,
        branch,
    ];
    for (n, want) in all.into_iter().enumerate() {
        let ty = if matches!(n, 0 | 2 | 4 | 5) {
            ty
        } else {
            Type::I64
        };
        assert_eq!(ops::mask(ty, results[n]), want, "{what}, use {n}");
    }
    if overflow {
        let code = TrapCode::user(9).expect("a code for users");
        assert_eq!(outcome, Outcome::Trap(code), "{what}");
    } else {
        assert_eq!(outcome, Outcome::Return, "{what}");
        assert_eq!(ops::mask(ty, results[8]), bits, "{what}, after the trap");
    }
}

#[test]
fn overflows() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for opcode in OVERFLOWING {
                let merged = unit.load(&[entry(|b, data| {
                    flag_uses(b, data, |b| {
                        let args = [input(b, data, 0, ty), input(b, data, 1, ty)];
                        let all = emit_all(b, InstData::Binary { opcode, args }, Type::INVALID);
                        [all[0], all[1]]
                    });
                })]);
                for x in edge_ints(ty) {
                    for y in edge_ints(ty) {
                        let dirty = !ops::mask(ty, !0);
                        let (outcome, results) = merged.run(&[x | dirty, y | dirty]);
                        let want = overflow_reference(opcode, ty, x, y, 0);
                        let what = format!("{opcode}.{ty} of {x:#x} and {y:#x}");
                        check_flag_uses(&results, outcome, ty, want, &what);
                    }
                }
                let registers = unit.load(&[entry(|b, data| {
                    let args = [input(b, data, 0, ty), input(b, data, 1, ty)];
                    flag_uses(b, data, |b| {
                        let all = emit_all(b, InstData::Binary { opcode, args }, Type::INVALID);
                        [all[0], all[1]]
                    });
                    output(b, data, 9, args[0]);
                    output(b, data, 10, args[1]);
                })]);
                for x in edge_ints(ty) {
                    for y in edge_ints(ty) {
                        let (outcome, results) = registers.run(&[x, y]);
                        let want = overflow_reference(opcode, ty, x, y, 0);
                        let what = format!("{opcode}.{ty} of {x:#x} and {y:#x} in registers");
                        check_flag_uses(&results, outcome, ty, want, &what);
                    }
                }
                for (k, left) in [0, 1, 7, 0x7f, 0x80, !0]
                    .into_iter()
                    .flat_map(|k| [(k, false), (k, true)])
                {
                    let k = ops::mask(ty, k);
                    let program = unit.load(&[entry(|b, data| {
                        flag_uses(b, data, |b| {
                            let mut args = [input(b, data, 0, ty), constant(b, ty, k)];
                            if left {
                                args.reverse();
                            }
                            let all = emit_all(b, InstData::Binary { opcode, args }, Type::INVALID);
                            [all[0], all[1]]
                        });
                    })]);
                    for x in edge_ints(ty) {
                        let (outcome, results) = program.run(&[x]);
                        let (l, r) = if left { (k, x) } else { (x, k) };
                        let want = overflow_reference(opcode, ty, l, r, 0);
                        let what = format!("{opcode}.{ty} of {l:#x} and {r:#x}, constant");
                        check_flag_uses(&results, outcome, ty, want, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn overflows_with_carry() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for opcode in [
                UaddOverflowCin,
                SaddOverflowCin,
                UsubOverflowBin,
                SsubOverflowBin,
            ] {
                let program = unit.load(&[entry(|b, data| {
                    let c = input(b, data, 2, Type::I8);
                    flag_uses(b, data, |b| {
                        let args = [input(b, data, 0, ty), input(b, data, 1, ty), c];
                        let all = emit_all(b, InstData::Ternary { opcode, args }, Type::INVALID);
                        [all[0], all[1]]
                    });
                })]);
                for x in edge_ints(ty) {
                    for y in edge_ints(ty) {
                        for c in [0, 1] {
                            let (outcome, results) = program.run(&[x, y, c | 0xaaaa_aa00]);
                            let want = overflow_reference(opcode, ty, x, y, c);
                            let what = format!("{opcode}.{ty} of {x:#x}, {y:#x} and {c}");
                            check_flag_uses(&results, outcome, ty, want, &what);
                        }
                    }
                }
            }
        }
    }
}

/// Sums and differences of several words: the carry goes from one to the next.
#[test]
fn long_sums() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for (first, next) in [
            (UaddOverflow, UaddOverflowCin),
            (UsubOverflow, UsubOverflowBin),
        ] {
            let program = unit.load(&[entry(|b, data| {
                let word = |b: &mut FunctionBuilder<'_>, n| input(b, data, n, Type::I64);
                let words: Vec<[Value; 2]> = (0..4).map(|n| [word(b, n), word(b, n + 4)]).collect();
                let mut carry = None;
                let mut sums = Vec::new();
                for &[x, y] in &words {
                    let inst = match carry {
                        None => InstData::Binary {
                            opcode: first,
                            args: [x, y],
                        },
                        Some(c) => InstData::Ternary {
                            opcode: next,
                            args: [x, y, c],
                        },
                    };
                    let all = emit_all(b, inst, Type::INVALID);
                    sums.push(all[0]);
                    carry = Some(all[1]);
                }
                for (n, v) in sums.into_iter().chain(carry).enumerate() {
                    output(b, data, n as i32, v);
                }
                for (n, [x, y]) in words.into_iter().enumerate() {
                    output(b, data, n as i32 + 5, x);
                    output(b, data, n as i32 + 9, y);
                }
            })]);
            for words in [
                [0; 8],
                [!0; 8],
                [!0, !0, !0, 0, 1, 0, 0, 0],
                [0, 0, 0, 5, 1, 0, 0, 4],
            ] {
                let (_, results) = program.run(&words);
                let mut carry = 0;
                for n in 0..4 {
                    let (bits, over) =
                        overflow_reference(next, Type::I64, words[n], words[n + 4], carry);
                    assert_eq!(results[n], bits, "word {n} of {words:x?}");
                    carry = over.into();
                }
                assert_eq!(results[4] & 0xff, carry, "the last carry of {words:x?}");
                assert_eq!(results[5..13], words, "the operands");
            }
        }
    }
}

#[test]
fn additions_that_trap() {
    let code = TrapCode::user(3).expect("a code for users");
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in [Type::I32, Type::I64] {
            let program = unit.load(&[entry(|b, data| {
                let args = [input(b, data, 0, ty), input(b, data, 1, ty)];
                let opcode = Opcode::UaddOverflowTrap;
                let r = emit(
                    b,
                    InstData::IntAddTrap { opcode, args, code },
                    Type::INVALID,
                );
                output(b, data, 0, r);
            })]);
            for x in edge_ints(ty) {
                for y in edge_ints(ty) {
                    let (outcome, results) = program.run(&[x, y]);
                    match overflow_reference(Opcode::UaddOverflow, ty, x, y, 0) {
                        (_, true) => assert_eq!(outcome, Outcome::Trap(code), "{x:#x} + {y:#x}"),
                        (want, false) => assert_eq!(ops::mask(ty, results[0]), want),
                    }
                }
            }
        }
    }
}

#[test]
fn halves() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for (half, whole) in [
            (Type::I8, Type::I16),
            (Type::I16, Type::I32),
            (Type::I32, Type::I64),
        ] {
            let program = unit.load(&[entry(|b, data| {
                let arg = input(b, data, 0, whole);
                let opcode = Opcode::Isplit;
                let parts = emit_all(b, InstData::Unary { opcode, arg }, Type::INVALID);
                output(b, data, 0, parts[0]);
                output(b, data, 1, parts[1]);
                let opcode = Opcode::Iconcat;
                let [lo, hi] = [parts[0], parts[1]];
                for (n, args) in [[lo, hi], [hi, lo], [lo, lo]].iter().enumerate() {
                    let args = *args;
                    let r = emit(b, InstData::Binary { opcode, args }, Type::INVALID);
                    let r = if whole == Type::I64 {
                        r
                    } else {
                        b.uextend(Type::I64, r)
                    };
                    output(b, data, n as i32 + 2, r);
                }
            })]);
            for x in edge_ints(whole) {
                let (_, results) = program.run(&[x | !ops::mask(whole, !0)]);
                let (lo, hi) = (ops::mask(half, x), x >> half.bits());
                assert_eq!(ops::mask(half, results[0]), lo);
                assert_eq!(ops::mask(half, results[1]), hi);
                let k = half.bits();
                assert_eq!(
                    results[2..5],
                    [x, lo << k | hi, lo << k | lo],
                    "{whole} {x:#x}"
                );
            }
        }
    }
}

#[test]
fn guarded_selections() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS.into_iter().chain([Type::F32, Type::F64]) {
            let program = unit.load(&[entry(|b, data| {
                let [x, y] = [1, 2].map(|n| input(b, data, n, ty));
                let opcode = Opcode::SelectSpectreGuard;
                let c = input(b, data, 0, Type::I32);
                let args = [c, x, y];
                let r = emit(b, InstData::Ternary { opcode, args }, Type::INVALID);
                output(b, data, 0, r);
                let f = input(b, data, 3, Type::F64);
                for (n, cc) in nopal_ir::FloatCC::ALL.iter().copied().enumerate() {
                    let c = b.fcmp(cc, f, f);
                    let args = [c, x, y];
                    let r = emit(b, InstData::Ternary { opcode, args }, Type::INVALID);
                    output(b, data, n as i32 + 1, r);
                }
            })]);
            for c in [0, 1, 0x8000_0000] {
                for f in edge_floats(Type::F64) {
                    let (_, results) = program.run(&[c, 0x1234, 0x5678, f]);
                    let pick = |yes| if yes { 0x1234 } else { 0x5678 };
                    assert_eq!(ops::mask(ty, results[0] ^ pick(c != 0)), 0);
                    for (n, cc) in nopal_ir::FloatCC::ALL.iter().copied().enumerate() {
                        let want = pick(ops::fcmp(cc, Type::F64, f, f));
                        assert_eq!(ops::mask(ty, results[n + 1] ^ want), 0, "{cc:?} {f:#x}");
                    }
                }
            }
        }
    }
}

/// With the instruction, and by a call.
#[test]
fn multiply_and_add() {
    let opcode = Opcode::Fma;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in [Type::F32, Type::F64] {
            let program = unit.load(&[entry(|b, data| {
                let args = [0, 1, 2].map(|n| input(b, data, n, ty));
                let kept = input(b, data, 3, Type::I64);
                let r = emit(b, InstData::Ternary { opcode, args }, Type::INVALID);
                output(b, data, 0, r);
                let [x, y, _] = args;
                for (n, args) in [[x, x, x], [y, x, y], args].into_iter().enumerate() {
                    let r = emit(b, InstData::Ternary { opcode, args }, Type::INVALID);
                    output(b, data, n as i32 + 1, r);
                }
                output(b, data, 4, kept);
            })]);
            let reference = |x: u64, y: u64, z: u64| match ty {
                Type::F32 => {
                    let [x, y, z] = [x, y, z].map(|v| f32::from_bits(v as u32));
                    u64::from(x.mul_add(y, z).to_bits())
                }
                _ => {
                    let [x, y, z] = [x, y, z].map(f64::from_bits);
                    x.mul_add(y, z).to_bits()
                }
            };
            let values = edge_floats(ty);
            for &x in &values {
                for &y in values.iter().step_by(2) {
                    for &z in values.iter().step_by(3) {
                        let (_, results) = program.run(&[x, y, z, 77]);
                        let want = [[x, y, z], [x, x, x], [y, x, y], [x, y, z]];
                        for (n, [x, y, z]) in want.into_iter().enumerate() {
                            let got = ops::mask(ty, results[n]);
                            let what = format!("fma.{ty} of {x:#x}, {y:#x}, {z:#x}: {got:#x}");
                            assert!(ops::same(ty, reference(x, y, z), got), "{what}");
                        }
                        assert_eq!(results[4], 77);
                    }
                }
            }
        }
    }
}
