//! An interpreter of integer functions without memory and calls: what the tests compare with.

use nopal_ir::{Block, BlockCall, Function, InstData, IntCC, Opcode, Type, Value, ValueList};
use std::collections::HashMap;

/// Random numbers, the same in each run (SplitMix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

#[derive(Debug, PartialEq, Clone)]
pub(crate) enum Outcome {
    /// Results, sign-extended from their types.
    Returned(Vec<i64>),
    Trapped,
    OutOfFuel,
}

fn sign_extend(ty: Type, n: i64) -> i64 {
    match ty.bits() {
        8 => i64::from(n as i8),
        16 => i64::from(n as i16),
        32 => i64::from(n as i32),
        _ => n,
    }
}

fn zero_extend(ty: Type, n: i64) -> u64 {
    match ty.bits() {
        8 => u64::from(n as u8),
        16 => u64::from(n as u16),
        32 => u64::from(n as u32),
        _ => n as u64,
    }
}

/// One arithmetic operation, by 128-bit numbers; none if it traps.
pub(crate) fn arithmetic(op: Opcode, ty: Type, x: i64, y: i64) -> Option<i64> {
    let (sx, sy) = (i128::from(x), i128::from(y));
    let (ux, uy) = (
        i128::from(zero_extend(ty, x)),
        i128::from(zero_extend(ty, y)),
    );
    let bits = ty.bits();
    let amount = (y as u64 % u64::from(bits)) as u32;
    let mask = (1i128 << bits) - 1;
    let n = match op {
        Opcode::Iadd => sx + sy,
        Opcode::Isub => sx - sy,
        Opcode::Imul => sx * sy,
        Opcode::Udiv | Opcode::Urem if uy == 0 => return None,
        Opcode::Sdiv | Opcode::Srem if sy == 0 => return None,
        Opcode::Udiv => ux / uy,
        Opcode::Urem => ux % uy,
        Opcode::Sdiv if sx / sy >= 1 << (bits - 1) => return None,
        Opcode::Sdiv => sx / sy,
        Opcode::Srem => sx % sy,
        Opcode::Band => sx & sy,
        Opcode::Bor => sx | sy,
        Opcode::Bxor => sx ^ sy,
        Opcode::Ishl => sx << amount,
        Opcode::Ushr => ux >> amount,
        Opcode::Sshr => sx >> amount,
        Opcode::Rotl => (ux << amount) | (ux >> (bits - amount)),
        Opcode::Rotr => (ux >> amount) | (ux << (bits - amount)),
        Opcode::Ineg => -sx,
        Opcode::Bnot => !sx,
        Opcode::Clz => (0..bits).rev().take_while(|b| ux >> b & 1 == 0).count() as i128,
        Opcode::Ctz => (0..bits).take_while(|b| ux >> b & 1 == 0).count() as i128,
        Opcode::Popcnt => (0..bits).filter(|b| ux >> b & 1 == 1).count() as i128,
        _ => panic!("{op} is not interpreted"),
    };
    Some(sign_extend(ty, (n & mask) as i64))
}

fn compare(cond: IntCC, ty: Type, x: i64, y: i64) -> bool {
    let (ux, uy) = (zero_extend(ty, x), zero_extend(ty, y));
    match cond {
        IntCC::Equal => x == y,
        IntCC::NotEqual => x != y,
        IntCC::SignedLessThan => x < y,
        IntCC::SignedGreaterThanOrEqual => x >= y,
        IntCC::SignedGreaterThan => x > y,
        IntCC::SignedLessThanOrEqual => x <= y,
        IntCC::UnsignedLessThan => ux < uy,
        IntCC::UnsignedGreaterThanOrEqual => ux >= uy,
        IntCC::UnsignedGreaterThan => ux > uy,
        IntCC::UnsignedLessThanOrEqual => ux <= uy,
    }
}

/// Runs a function. Reading a value that has not been computed panics.
pub(crate) fn interpret(func: &Function, args: &[i64], mut fuel: usize) -> Outcome {
    let mut env: HashMap<Value, i64> = HashMap::new();
    let entry = func.layout()[0];
    env.extend(func.block_params(entry).zip(args.iter().copied()));
    let mut block = entry;
    'blocks: loop {
        for inst in func.block_insts(block) {
            if fuel == 0 {
                return Outcome::OutOfFuel;
            }
            fuel -= 1;
            let take = |v: Value| *env.get(&v).unwrap_or_else(|| panic!("{v} is not computed"));
            let list = |l: ValueList| func.lists.iter(l).map(take).collect::<Vec<_>>();
            let follow = |e: BlockCall| -> (Block, Vec<i64>) {
                let edge = func.block_call(e);
                (edge.block, list(edge.args))
            };
            let ty = func.inst_results(inst).next().map(|v| func.value_type(v));
            let result = match *func.inst(inst) {
                InstData::UnaryImm { imm, .. } => imm,
                InstData::Unary { opcode, arg } => {
                    let (x, from) = (take(arg), func.value_type(arg));
                    match opcode {
                        Opcode::Uextend => zero_extend(from, x) as i64,
                        Opcode::Sextend => x,
                        Opcode::Ireduce => sign_extend(ty.unwrap(), x),
                        _ => arithmetic(opcode, from, x, 0).unwrap(),
                    }
                }
                InstData::Binary { opcode, args } => {
                    let ty = func.value_type(args[0]);
                    match arithmetic(opcode, ty, take(args[0]), take(args[1])) {
                        Some(n) => n,
                        None => return Outcome::Trapped,
                    }
                }
                InstData::IntCompare { cond, args, .. } => {
                    let ty = func.value_type(args[0]);
                    i64::from(compare(cond, ty, take(args[0]), take(args[1])))
                }
                InstData::Ternary { args, .. } => match take(args[0]) {
                    0 => take(args[2]),
                    _ => take(args[1]),
                },
                InstData::CondTrap { opcode, arg, .. } => {
                    if (take(arg) == 0) == (opcode == Opcode::Trapz) {
                        return Outcome::Trapped;
                    }
                    continue;
                }
                InstData::Trap { .. } => return Outcome::Trapped,
                InstData::MultiAry { args, .. } => return Outcome::Returned(list(args)),
                InstData::Jump { .. } | InstData::Brif { .. } | InstData::BranchTable { .. } => {
                    let (to, values) = match *func.inst(inst) {
                        InstData::Brif { arg, dests, .. } => {
                            follow(dests[usize::from(take(arg) == 0)])
                        }
                        InstData::BranchTable { arg, table, .. } => {
                            let table = func.jump_table(table);
                            let n = zero_extend(func.value_type(arg), take(arg)) as usize;
                            follow(table.table.get(n).copied().unwrap_or(table.default))
                        }
                        InstData::Jump { dest, .. } => follow(dest),
                        _ => unreachable!(),
                    };
                    assert_eq!(func.block_params(to).len(), values.len());
                    env.extend(func.block_params(to).zip(values));
                    block = to;
                    continue 'blocks;
                }
                other => panic!("{other:?} is not interpreted"),
            };
            if let Some(v) = func.inst_results(inst).next() {
                env.insert(v, result);
            }
        }
        panic!("{block} has no terminator");
    }
}
