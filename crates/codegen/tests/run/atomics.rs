//! Atomic accesses, fences, byte orders, registers with a purpose.

use super::arithmetic::{INTS, edge_ints, emit};
use crate::support::unit::{INPUTS, Unit, entry, input, output, targets};
use nopal_codegen::{Context, Settings};
use nopal_fuzzgen::{Outcome, ops};
use nopal_ir::{
    AtomicRmwOp, Endianness, FunctionBuilder, InstData, MemFlags, Opcode, SourceLoc, Type, Value,
};

/// Where the tests keep what is accessed: not among the inputs.
const CELL: i32 = INPUTS + 8 * 16;

fn cell(b: &mut FunctionBuilder<'_>, data: Value) -> Value {
    let at = b.iconst(Type::I64, CELL.into());
    b.iadd(data, at)
}

/// The whole of the cell, to see what is left of it and beside it.
fn whole(b: &mut FunctionBuilder<'_>, data: Value, n: i32) {
    let v = b.load(Type::I64, MemFlags::trusted(), data, CELL);
    output(b, data, n, v);
}

fn rmw_reference(op: AtomicRmwOp, ty: Type, old: u64, x: u64) -> u64 {
    let (so, sx) = (ops::signed(ty, old), ops::signed(ty, x));
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
        AtomicRmwOp::Smin => so.min(sx) as u64,
        AtomicRmwOp::Smax => so.max(sx) as u64,
    };
    ops::mask(ty, new)
}

#[test]
fn read_modify_write() {
    let opcode = Opcode::AtomicRmw;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            for &op in AtomicRmwOp::ALL {
                for used in [false, true] {
                    let program = unit.load(&[entry(|b, data| {
                        let start = input(b, data, 0, Type::I64);
                        b.store(MemFlags::trusted(), start, data, CELL);
                        let at = cell(b, data);
                        let x = input(b, data, 1, ty);
                        let flags = MemFlags::new();
                        let args = [at, x];
                        let data_ = InstData::AtomicRmw {
                            opcode,
                            op,
                            flags,
                            args,
                        };
                        let old = emit(b, data_, ty);
                        if used {
                            output(b, data, 0, old);
                        }
                        whole(b, data, 1);
                        output(b, data, 2, x);
                    })]);
                    let upper = !ops::mask(ty, !0);
                    for old in edge_ints(ty) {
                        for x in edge_ints(ty) {
                            let start = old | 0x5566_7788_99aa_bbcc & upper;
                            let (_, results) = program.run(&[start, x | upper]);
                            let what = format!("{op}.{ty} of {old:#x} and {x:#x}");
                            if used {
                                assert_eq!(ops::mask(ty, results[0]), old, "{what}: old");
                            }
                            let want = rmw_reference(op, ty, old, x) | start & upper;
                            assert_eq!(results[1], want, "{what}");
                            assert_eq!(ops::mask(ty, results[2]), x, "{what}: operand");
                        }
                    }
                }
            }
        }
    }
}

/// The operand is the address.
#[test]
fn read_modify_write_of_its_own_address() {
    let opcode = Opcode::AtomicRmw;
    for target in targets() {
        let mut unit = Unit::new(target);
        for &op in AtomicRmwOp::ALL {
            let program = unit.load(&[entry(|b, data| {
                let start = b.iconst(Type::I64, 1000);
                b.store(MemFlags::trusted(), start, data, CELL);
                let at = cell(b, data);
                let flags = MemFlags::trusted();
                let data_ = InstData::AtomicRmw {
                    opcode,
                    op,
                    flags,
                    args: [at, at],
                };
                let old = emit(b, data_, Type::I64);
                output(b, data, 0, old);
                whole(b, data, 1);
                output(b, data, 2, at);
            })]);
            let (_, results) = program.run(&[]);
            let want = rmw_reference(op, Type::I64, 1000, results[2]);
            assert_eq!(results[..2], [1000, want], "{op}");
        }
    }
}

#[test]
fn compare_and_swap_load_and_store() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let program = unit.load(&[entry(|b, data| {
                let flags = MemFlags::new();
                let at = cell(b, data);
                let [start, expected, new] = [0, 1, 2].map(|n| input(b, data, n, ty));
                let filler = b.iconst(Type::I64, -1);
                b.store(MemFlags::trusted(), filler, data, CELL);
                let args = [start, at];
                let opcode = Opcode::AtomicStore;
                b.func.push_inst(
                    InstData::StoreNoOffset {
                        opcode,
                        flags,
                        args,
                    },
                    SourceLoc::NONE,
                );
                let opcode = Opcode::Fence;
                b.func
                    .push_inst(InstData::NullAry { opcode }, SourceLoc::NONE);
                let opcode = Opcode::AtomicLoad;
                let back = emit(
                    b,
                    InstData::LoadNoOffset {
                        opcode,
                        flags,
                        arg: at,
                    },
                    ty,
                );
                output(b, data, 0, back);
                let args = [at, expected, new];
                let opcode = Opcode::AtomicCas;
                let old = emit(
                    b,
                    InstData::AtomicCas {
                        opcode,
                        flags,
                        args,
                    },
                    Type::INVALID,
                );
                let old = if ty == Type::I64 {
                    old
                } else {
                    b.uextend(Type::I64, old)
                };
                output(b, data, 1, old);
                whole(b, data, 2);
                output(b, data, 3, expected);
            })]);
            for x in edge_ints(ty) {
                for expected in [x, 7] {
                    let upper = !ops::mask(ty, !0);
                    let (_, results) = program.run(&[x, expected | upper, 0x33]);
                    assert_eq!(ops::mask(ty, results[0]), x);
                    assert_eq!(results[1], x);
                    let left = if x == expected { 0x33 } else { x };
                    assert_eq!(results[2], left | upper, "{ty} {x:#x} {expected:#x}");
                    assert_eq!(ops::mask(ty, results[3]), expected);
                }
            }
        }
    }
}

/// Loads and stores of all widths in both byte orders.
#[test]
fn byte_orders() {
    use Opcode::*;
    let x = 0x8182_8384_8586_8788u64;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS.into_iter().chain([Type::F32, Type::F64]) {
            let flags = MemFlags::new().with_endianness(Endianness::Big);
            let program = unit.load(&[entry(|b, data| {
                let v = b.load(ty, flags, data, INPUTS);
                output(b, data, 0, v);
                b.store(flags, v, data, CELL);
                b.store(flags, v, data, CELL + 8);
                let back = b.load(Type::I64, MemFlags::trusted(), data, CELL);
                output(b, data, 1, back);
                output(b, data, 2, v);
            })]);
            let (_, results) = program.run(&[x]);
            let bytes = x.swap_bytes() >> (64 - ty.bits());
            assert_eq!(ops::mask(ty, results[0] ^ bytes), 0, "{ty}");
            assert_eq!(ops::mask(ty, results[1] ^ x), 0, "{ty} stored");
            assert_eq!(ops::mask(ty, results[2] ^ bytes), 0, "{ty} kept");
        }
        for (load, store, bits) in [
            (Uload8, Istore8, 8),
            (Uload16, Istore16, 16),
            (Uload32, Istore32, 32),
        ] {
            let sload = match load {
                Uload8 => Sload8,
                Uload16 => Sload16,
                _ => Sload32,
            };
            let flags = MemFlags::new().with_endianness(Endianness::Big);
            let program = unit.load(&[entry(|b, data| {
                for (n, opcode) in [load, sload].into_iter().enumerate() {
                    let offset = INPUTS;
                    let inst = InstData::Load {
                        opcode,
                        flags,
                        arg: data,
                        offset,
                    };
                    let v = emit(b, inst, Type::I64);
                    output(b, data, n as i32, v);
                    let args = [v, data];
                    let offset = CELL + 8 * n as i32;
                    let inst = InstData::Store {
                        opcode: store,
                        flags,
                        args,
                        offset,
                    };
                    b.func.push_inst(inst, SourceLoc::NONE);
                    let back = b.load(Type::I64, MemFlags::trusted(), data, offset);
                    output(b, data, n as i32 + 2, back);
                }
            })]);
            let (_, results) = program.run(&[x]);
            let want = x.swap_bytes() >> (64 - bits);
            let sign = (want << (64 - bits)) as i64 >> (64 - bits);
            assert_eq!(results[..2], [want, sign as u64], "{load}");
            for n in [2, 3] {
                let written = results[n] & (u64::MAX >> (64 - bits));
                assert_eq!(written, x & (u64::MAX >> (64 - bits)), "{store}");
            }
        }
    }
}

#[test]
fn registers_with_a_purpose() {
    let get =
        |b: &mut FunctionBuilder<'_>, opcode| emit(b, InstData::NullAry { opcode }, Type::I64);
    for target in targets() {
        let mut unit = Unit::new(target);
        let program = unit.load(&[entry(|b, data| {
            let fp = get(b, Opcode::GetFramePointer);
            let sp = get(b, Opcode::GetStackPointer);
            let ret = get(b, Opcode::GetReturnAddress);
            let there = b.load(Type::I64, MemFlags::trusted(), fp, 8);
            for (n, v) in [fp, sp, ret, there].into_iter().enumerate() {
                output(b, data, n as i32, v);
            }
            for opcode in [Opcode::Nop, Opcode::SequencePoint] {
                b.func
                    .push_inst(InstData::NullAry { opcode }, SourceLoc::NONE);
            }
        })]);
        let (outcome, results) = program.run(&[]);
        assert_eq!(outcome, Outcome::Return);
        assert!(results[1] <= results[0] && results[0] - results[1] < 64);
        assert_eq!(results[2], results[3]);
    }
}

#[test]
fn the_pinned_register_needs_its_setting() {
    let func = entry(|b, data| {
        let opcode = Opcode::SetPinnedReg;
        b.func
            .push_inst(InstData::Unary { opcode, arg: data }, SourceLoc::NONE);
        // More values than registers.
        let values: Vec<Value> = (0..20).map(|n| input(b, data, n, Type::I64)).collect();
        let opcode = Opcode::GetPinnedReg;
        let pinned = emit(b, InstData::NullAry { opcode }, Type::I64);
        for (n, v) in values.into_iter().enumerate() {
            output(b, data, n as i32, v);
        }
        output(b, pinned, 20, pinned);
    });
    let target = targets()[0];
    let mut context = Context::new();
    let error = context.compile(&func, &target).map(|_| ());
    assert!(
        error
            .expect_err("it is refused")
            .to_string()
            .contains("pinned")
    );
    context.settings = Settings {
        enable_pinned_reg: true,
    };
    let code = context
        .compile(&func, &target)
        .expect("it compiles")
        .code
        .clone();
    let decoder = iced_x86::Decoder::new(64, &code, iced_x86::DecoderOptions::NONE);
    let r15 = iced_x86::Register::R15;
    let (mut written, mut saved) = (0, 0);
    for inst in decoder {
        let first = inst.op_count() > 0 && inst.op0_register() == r15;
        match inst.mnemonic() {
            iced_x86::Mnemonic::Push | iced_x86::Mnemonic::Pop => saved += u32::from(first),
            _ => written += u32::from(first),
        }
    }
    assert_eq!((written, saved), (1, 0));
}
