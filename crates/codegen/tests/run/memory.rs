//! Loads, stores, addresses and stack slots.

use super::arithmetic::INTS;
use crate::support::unit::{INPUTS, RESULTS, Unit, entry, input, output, targets};
use nopal_fuzzgen::Outcome;
use nopal_ir::{FunctionBuilder, InstData, MemFlags, Opcode, StackSlotData, TrapCode, Type, Value};

fn load(b: &mut FunctionBuilder<'_>, opcode: Opcode, ty: Type, arg: Value, offset: i32) -> Value {
    let flags = MemFlags::trusted();
    super::arithmetic::emit(
        b,
        InstData::Load {
            opcode,
            flags,
            arg,
            offset,
        },
        ty,
    )
}

fn store(b: &mut FunctionBuilder<'_>, opcode: Opcode, x: Value, addr: Value, offset: i32) {
    let data = InstData::Store {
        opcode,
        flags: MemFlags::trusted(),
        args: [x, addr],
        offset,
    };
    b.func.push_inst(data, nopal_ir::SourceLoc::NONE);
}

const BITS: [u64; 6] = [
    0,
    !0,
    0x8081_8283_8485_8687,
    0x7f7e_7d7c_7b7a_7978,
    0xffff_ffff,
    0xdead_beef_0bad_cafe,
];

#[test]
fn loads_of_every_width() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in Type::ALL {
            let narrow: &[Opcode] = match ty {
                Type::I16 => &[Uload8, Sload8],
                Type::I32 => &[Uload8, Sload8, Uload16, Sload16],
                Type::I64 => &[Uload8, Sload8, Uload16, Sload16, Uload32, Sload32],
                _ => &[],
            };
            for &opcode in narrow.iter().chain([&Load]) {
                let func = entry(|b, data| {
                    for at in 0..8 {
                        let v = load(b, opcode, ty, data, INPUTS + at);
                        output(b, data, at, v);
                    }
                    // Merged into what follows.
                    let (x, y) = (load(b, opcode, ty, data, 1), load(b, opcode, ty, data, 5));
                    let sum = if ty.is_int() {
                        b.iadd(x, y)
                    } else {
                        b.fcopysign(x, y)
                    };
                    output(b, data, 8, sum);
                });
                let program = unit.load(&[func]);
                for x in BITS {
                    program.agree(&[x, !x]);
                }
            }
        }
    }
}

#[test]
fn stores_of_every_width() {
    use Opcode::*;
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in Type::ALL {
            let narrow: &[Opcode] = match ty {
                Type::I16 => &[Istore8],
                Type::I32 => &[Istore8, Istore16],
                Type::I64 => &[Istore8, Istore16, Istore32],
                _ => &[],
            };
            for &opcode in narrow.iter().chain([&Store]) {
                let func = entry(|b, data| {
                    let x = input(b, data, 0, ty);
                    store(b, opcode, x, data, RESULTS + 3);
                    // A constant.
                    for (n, bits) in BITS.into_iter().enumerate() {
                        let c = super::arithmetic::constant(b, ty, bits);
                        store(b, opcode, c, data, RESULTS + 16 + 8 * n as i32);
                    }
                    // Read, change, write.
                    if ty.is_int() {
                        let at = RESULTS + 128;
                        let old = b.load(ty, MemFlags::trusted(), data, at);
                        let new = b.isub(old, x);
                        store(b, opcode, new, data, at);
                    }
                });
                let program = unit.load(&[func]);
                for x in BITS {
                    program.agree(&[x]);
                }
            }
        }
    }
}

/// From a base and an index, an address and an offset.
type Shape = fn(&mut FunctionBuilder<'_>, Value, Value) -> (Value, i32);

/// Every shape an address is put together in.
#[test]
fn addresses() {
    let shapes: &[Shape] = &[
        |b, data, i| (b.iadd(data, i), 0),
        |b, data, i| (b.iadd(i, data), 3),
        |b, data, i| {
            let k = b.iconst(Type::I64, 1);
            let i = b.ishl(i, k);
            (b.iadd(data, i), -5)
        },
        |b, data, i| {
            let k = b.iconst(Type::I64, 3);
            let i = b.ishl(i, k);
            (b.iadd(i, data), 8)
        },
        |b, data, i| {
            // The amount counts modulo 64.
            let k = b.iconst(Type::I64, 66);
            let i = b.ishl(i, k);
            (b.iadd(i, data), 8)
        },
        |b, data, i| {
            let k = b.iconst(Type::I64, 4);
            let i = b.ishl(i, k);
            (b.iadd(i, data), 8)
        },
        |b, data, i| {
            let c = b.iconst(Type::I64, 40);
            let at = b.iadd(data, i);
            (b.iadd(at, c), -3)
        },
        |b, data, i| {
            let c = b.iconst(Type::I64, 40);
            let at = b.iadd(i, c);
            (b.iadd(data, at), 7)
        },
        |b, data, i| {
            let [c, d] = [100, -90].map(|c| b.iconst(Type::I64, c));
            let at = b.iadd(i, c);
            let at = b.iadd(data, at);
            (b.iadd(at, d), 7)
        },
        |b, data, i| {
            // Offsets that do not fit when added up.
            let [c, d] = [0x7fff_ff00, -0x7fff_ff00].map(|c| b.iconst(Type::I64, c));
            let at = b.iadd(data, c);
            let at = b.iadd(at, d);
            (b.iadd(at, i), 0)
        },
        |b, data, i| {
            let c = b.iconst(Type::I64, -0x7fff_ff00);
            let at = b.iadd(data, c);
            (b.iadd(at, i), 0x7fff_ff00)
        },
        |b, data, i| {
            let c = b.iconst(Type::I64, -0x8000_0100);
            let at = b.iadd(data, c);
            let d = b.iconst(Type::I64, 0x100);
            let at = b.iadd(at, d);
            let at = b.iadd(at, i);
            let e = b.iconst(Type::I64, 16);
            (b.iadd(at, e), 0x7fff_fff0)
        },
        |b, data, i| {
            let narrow = b.ireduce(Type::I32, i);
            let wide = b.uextend(Type::I64, narrow);
            (b.iadd(data, wide), 1)
        },
        |b, data, i| {
            // The sum wraps in 32 bits.
            let narrow = b.ireduce(Type::I32, i);
            let c = b.iconst(Type::I32, -1);
            let narrow = b.iadd(narrow, c);
            let d = b.iconst(Type::I32, 2);
            let narrow = b.iadd(narrow, d);
            let wide = b.uextend(Type::I64, narrow);
            (b.iadd(data, wide), 1)
        },
        |b, data, i| {
            let narrow = b.ireduce(Type::I32, i);
            let k = b.iconst(Type::I32, 2);
            let scaled = b.ishl(narrow, k);
            let wide = b.uextend(Type::I64, scaled);
            (b.iadd(data, wide), 1)
        },
        |b, data, i| {
            // The address itself doubled, and half of it taken away.
            let one = b.iconst(Type::I64, 1);
            let twice = b.ishl(data, one);
            let at = b.isub(twice, data);
            (b.iadd(at, i), 0)
        },
    ];
    for target in targets() {
        let mut unit = Unit::new(target);
        for (n, shape) in shapes.iter().enumerate() {
            let func = entry(|b, data| {
                let at = b.iconst(Type::I64, RESULTS.into());
                let base = b.iadd(data, at);
                for ty in Type::ALL {
                    let i = input(b, data, 0, Type::I64);
                    let v = input(b, data, 1, ty);
                    let (addr, offset) = shape(b, base, i);
                    b.store(MemFlags::new(), v, addr, offset);
                    let (addr, offset) = shape(b, base, i);
                    let back = b.load(ty, MemFlags::new(), addr, offset);
                    output(b, data, 64, back);
                    let (addr, _) = shape(b, base, i);
                    output(b, data, 65, addr);
                }
            });
            let program = unit.load(&[func]);
            for i in [0, 1, 2, 8, 15, 16] {
                let (outcome, _) = program.agree(&[i, 0x0102_0304_0506_0708]);
                assert_eq!(outcome, Outcome::Return, "shape {n}");
            }
        }
    }
}

#[test]
fn stack_slots_are_apart_and_aligned() {
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let slots: Vec<_> = [(1, 0), (16, 4), (3, 1), (8, 3), (40, 2)]
                .into_iter()
                .map(|(size, align_shift)| {
                    let data = StackSlotData { size, align_shift };
                    (b.func.create_stack_slot(data), size, align_shift)
                })
                .collect();
            let fill = |b: &mut FunctionBuilder<'_>, n: usize| b.iconst(Type::I8, 0x11 * n as i64);
            for (n, &(slot, size, align_shift)) in slots.iter().enumerate() {
                let v = fill(b, n + 1);
                for at in 0..size as i32 {
                    let addr = b.stack_addr(Type::I64, slot, at);
                    b.store(MemFlags::trusted(), v, addr, 0);
                }
                let addr = b.stack_addr(Type::I64, slot, 0);
                let mask = b.iconst(Type::I64, (1 << align_shift) - 1);
                let low = b.band(addr, mask);
                output(b, data, n as i32, low);
            }
            for (n, &(slot, size, _)) in slots.iter().enumerate() {
                let first = b.stack_addr(Type::I64, slot, 0);
                let x = b.load(Type::I8, MemFlags::trusted(), first, size as i32 - 1);
                let i = input(b, data, 0, Type::I64);
                let at = b.iadd(first, i);
                let y = b.load(Type::I8, MemFlags::trusted(), at, 0);
                let sum = b.iadd(x, y);
                output(b, data, 8 + n as i32, sum);
            }
        });
        let program = unit.load(&[func]);
        let (_, results) = program.agree(&[0]);
        assert_eq!(results[..5], [0; 5]);
        assert_eq!(results[8..13], [0x22, 0x44, 0x66, 0x88, 0xaa]);
    }
}

#[test]
fn accesses_that_trap() {
    let code = TrapCode::user(44).expect("a code for users");
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in Type::ALL {
            for flags in [MemFlags::new(), MemFlags::new().with_trap_code(Some(code))] {
                let want = flags.trap_code().expect("it may trap");
                // The load is used, unused, merged; or it is a store.
                for form in 0..5 {
                    let func = entry(|b, data| {
                        let addr = input(b, data, 0, Type::I64);
                        let x = input(b, data, 1, ty);
                        output(b, data, 0, x);
                        match form {
                            0 => {
                                let v = b.load(ty, flags, addr, 16);
                                output(b, data, 1, v);
                            }
                            1 => {
                                b.load(ty, flags, addr, 16);
                            }
                            2 => {
                                let v = b.load(ty, flags, addr, 16);
                                let v = if ty.is_int() {
                                    b.bxor(x, v)
                                } else {
                                    b.fadd(x, v)
                                };
                                output(b, data, 1, v);
                            }
                            3 => {
                                b.store(flags, x, addr, 16);
                            }
                            _ => {
                                let zero = super::arithmetic::constant(b, ty, 0);
                                b.store(flags, zero, addr, 16);
                            }
                        }
                        output(b, data, 2, x);
                    });
                    let program = unit.load(&[func]);
                    let (outcome, results) = program.run(&[0, 0x1234]);
                    assert_eq!(outcome, Outcome::Trap(want), "{ty} form {form}");
                    assert_eq!(results[0], 0x1234 & !(!0 << (ty.bits() - 1) << 1));
                    assert_eq!(results[2], 0, "{ty} form {form}: after the trap");
                }
            }
        }
    }
}

/// A load is not merged into an instruction behind a store that changes what it reads.
#[test]
fn loads_stay_before_stores() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for ty in INTS {
            let func = entry(|b, data| {
                let old = b.load(ty, MemFlags::trusted(), data, RESULTS);
                let x = input(b, data, 0, ty);
                b.store(MemFlags::trusted(), x, data, RESULTS);
                let sum = b.iadd(x, old);
                output(b, data, 1, sum);
                let old = b.load(ty, MemFlags::trusted(), data, RESULTS + 8);
                let zero = b.iconst(ty, 0);
                b.store(MemFlags::trusted(), zero, data, RESULTS + 8);
                let c = b.icmp(nopal_ir::IntCC::Equal, old, x);
                output(b, data, 2, c);
            });
            let (_, results) = unit.load(&[func]).agree(&[5]);
            assert_eq!(results[..3], [5, 0, 1]);
        }
    }
}

/// Frames larger than the guard below a stack are probed page by page.
#[test]
fn large_frames() {
    for target in targets() {
        let mut unit = Unit::new(target);
        for size in [4000, 4096, 5000, 12_000, 20_000, 100_000, 1_000_000] {
            let func = entry(|b, data| {
                let align_shift = 4;
                let slot = b
                    .func
                    .create_stack_slot(StackSlotData { size, align_shift });
                let x = input(b, data, 0, Type::I64);
                let last = size as i32 - 8;
                for at in [0, last / 2, last] {
                    let addr = b.stack_addr(Type::I64, slot, at);
                    b.store(MemFlags::trusted(), x, addr, 0);
                    let back = b.load(Type::I64, MemFlags::trusted(), addr, 0);
                    output(b, data, 0, back);
                }
            });
            let (_, results) = unit.load(&[func]).agree(&[77]);
            assert_eq!(results[0], 77);
        }
    }
}

#[test]
fn stack_slots_of_any_alignment() {
    for target in targets() {
        let mut unit = Unit::new(target);
        let func = entry(|b, data| {
            let x = input(b, data, 0, Type::I64);
            let mut addrs = Vec::new();
            for (n, align_shift) in [0u8, 5, 3, 12, 4, 6].into_iter().enumerate() {
                let size = 24;
                let slot = b
                    .func
                    .create_stack_slot(StackSlotData { size, align_shift });
                let first = b.stack_addr(Type::I64, slot, 0);
                let last = b.stack_addr(Type::I64, slot, 16);
                b.store(MemFlags::trusted(), x, last, 0);
                output(b, data, 2 * n as i32, first);
                output(b, data, 2 * n as i32 + 1, last);
                addrs.push(last);
            }
            for (n, addr) in addrs.into_iter().enumerate() {
                let back = b.load(Type::I64, MemFlags::trusted(), addr, 0);
                output(b, data, 20 + n as i32, back);
            }
        });
        let (_, results) = unit.load(&[func]).run(&[0x7788]);
        for (n, align_shift) in [0u8, 5, 3, 12, 4, 6].into_iter().enumerate() {
            assert_eq!(results[2 * n] % (1 << align_shift), 0, "{align_shift}");
            assert_eq!(results[2 * n + 1], results[2 * n] + 16);
            assert_eq!(results[20 + n], 0x7788, "slots do not overlap");
        }
    }
}
