//! One rule for each operation on `i128`.

use super::{Pair, Walk};
use crate::context::CodegenError;
use nopal_ir::{Endianness, Inst, InstData, MemFlags, Opcode, Type, Value};

impl Walk<'_> {
    pub(super) fn wide(&mut self, inst: Inst, data: InstData) -> Result<(), CodegenError> {
        match data {
            InstData::Unary { opcode, arg } => self.wide_unary(inst, opcode, arg),
            InstData::Binary { opcode, args } => self.wide_binary(inst, opcode, args),
            InstData::Ternary { opcode, args } => self.wide_ternary(inst, opcode, args),
            InstData::IntCompare {
                cond, args: [x, y], ..
            } => {
                let (x, y) = (self.pair(x), self.pair(y));
                let flag = self.compare(cond, x, y);
                self.define(self.func.first_result(inst), flag);
                Ok(())
            }
            InstData::CondTrap { opcode, arg, code } => {
                let arg = self.condition(arg);
                self.out
                    .push_inst(InstData::CondTrap { opcode, arg, code }, self.loc);
                Ok(())
            }
            InstData::Load {
                opcode: Opcode::Load,
                flags,
                arg,
                offset,
            } => {
                let pair = self.load(flags, arg, offset);
                self.define_pair(self.func.first_result(inst), pair);
                Ok(())
            }
            InstData::Store {
                opcode: Opcode::Store,
                flags,
                args: [v, addr],
                offset,
            } => {
                self.store(flags, v, addr, offset);
                Ok(())
            }
            InstData::AtomicRmw { .. }
            | InstData::AtomicCas { .. }
            | InstData::LoadNoOffset { .. }
            | InstData::StoreNoOffset { .. } => self.atomic(inst, data),
            _ => Err(unsupported(data.opcode())),
        }
    }

    fn wide_unary(&mut self, inst: Inst, opcode: Opcode, arg: Value) -> Result<(), CodegenError> {
        use Opcode::*;
        let v = self.func.first_result(inst);
        // What is not `i128` is not looked at.
        let x = self.pair(arg);
        let pair = match opcode {
            Ineg => {
                let zero = self.zero();
                self.sub([zero, zero], x)
            }
            Iabs => self.abs(x),
            Bnot => x.map(|half| self.unary(Bnot, half)),
            Bitrev | Bswap => {
                let [lo, hi] = x.map(|half| self.unary(opcode, half));
                [hi, lo]
            }
            Clz => self.counted(|w| w.count_zeros(Clz, x[1], x[0])),
            Ctz => self.counted(|w| w.count_zeros(Ctz, x[0], x[1])),
            Cls => self.counted(|w| w.count_sign_bits(x)),
            Popcnt => self.counted(|w| w.count_ones(x)),
            Uextend | Sextend => self.extend(opcode, arg),
            Bitcast if self.ty(arg) == self.ty(v) => x,
            Bmask if self.is_wide(v) => {
                let any = self.condition(arg);
                let mask = self.convert(Bmask, Type::I64, any);
                [mask; 2]
            }
            Bmask => {
                let any = self.any_bit(x);
                let mask = self.convert(Bmask, self.ty(v), any);
                self.define(v, mask);
                return Ok(());
            }
            Ireduce => {
                let low = match self.ty(v) {
                    Type::I64 => x[0],
                    ty => self.convert(Ireduce, ty, x[0]),
                };
                self.define(v, low);
                return Ok(());
            }
            Isplit => {
                for (v, half) in self.func.inst_results(inst).zip(x) {
                    self.define(v, half);
                }
                return Ok(());
            }
            _ => return Err(unsupported(opcode)),
        };
        self.define_pair(v, pair);
        Ok(())
    }

    /// A number of bits, as a pair.
    fn counted(&mut self, count: impl FnOnce(&mut Self) -> Value) -> Pair {
        let lo = count(self);
        [lo, self.zero()]
    }

    fn wide_binary(
        &mut self,
        inst: Inst,
        opcode: Opcode,
        args: [Value; 2],
    ) -> Result<(), CodegenError> {
        use Opcode::*;
        let v = self.func.first_result(inst);
        if let Ishl | Ushr | Sshr | Rotl | Rotr = opcode {
            if self.is_wide(v) {
                let x = self.pair(args[0]);
                let pair = self.shift(opcode, x, args[1]);
                self.define_pair(v, pair);
            } else {
                let (x, low) = (self.value(args[0]), self.pair(args[1])[0]);
                let shifted = self.binary(opcode, x, low);
                self.define(v, shifted);
            }
            return Ok(());
        }
        let [x, y] = args.map(|v| self.pair(v));
        let pair = match opcode {
            Iadd => self.add(x, y),
            Isub => self.sub(x, y),
            Imul => self.mul(x, y),
            Band | Bor | Bxor => self.both(opcode, x, y),
            Smin | Smax | Umin | Umax => self.min_max(opcode, x, y),
            Iconcat => [x[0], y[0]],
            UaddOverflow | SaddOverflow | UsubOverflow | SsubOverflow => {
                let steps = match opcode {
                    UaddOverflow => [UaddOverflow, UaddOverflowCin],
                    SaddOverflow => [UaddOverflow, SaddOverflowCin],
                    UsubOverflow => [UsubOverflow, UsubOverflowBin],
                    _ => [UsubOverflow, SsubOverflowBin],
                };
                let (pair, flag) = self.carried(steps, x, y);
                return self.define_flagged(inst, pair, flag);
            }
            _ => return Err(unsupported(opcode)),
        };
        self.define_pair(v, pair);
        Ok(())
    }

    fn define_flagged(&mut self, inst: Inst, pair: Pair, flag: Value) -> Result<(), CodegenError> {
        let mut results = self.func.inst_results(inst);
        let (v, f) = (results.next(), results.next());
        self.define_pair(v.expect("two results"), pair);
        self.define(f.expect("two results"), flag);
        Ok(())
    }

    fn wide_ternary(
        &mut self,
        inst: Inst,
        opcode: Opcode,
        args: [Value; 3],
    ) -> Result<(), CodegenError> {
        use Opcode::*;
        let v = self.func.first_result(inst);
        match opcode {
            Select | SelectSpectreGuard => {
                let c = self.condition(args[0]);
                if self.is_wide(v) {
                    let (x, y) = (self.pair(args[1]), self.pair(args[2]));
                    let pair = self.select_pair(opcode, c, x, y);
                    self.define_pair(v, pair);
                } else {
                    let (x, y) = (self.value(args[1]), self.value(args[2]));
                    let chosen = self.ternary(opcode, [c, x, y]);
                    self.define(v, chosen);
                }
            }
            Bitselect => {
                let [c, x, y] = args.map(|v| self.pair(v));
                let pair = [0, 1].map(|n| self.ternary(opcode, [c[n], x[n], y[n]]));
                self.define_pair(v, pair);
            }
            UaddOverflowCin | SaddOverflowCin | UsubOverflowBin | SsubOverflowBin => {
                let first = match opcode {
                    UaddOverflowCin | SaddOverflowCin => UaddOverflowCin,
                    _ => UsubOverflowBin,
                };
                let (x, y) = (self.pair(args[0]), self.pair(args[1]));
                let args = [x[0], y[0], self.value(args[2])];
                let [lo, carry] = self.flagged(InstData::Ternary {
                    opcode: first,
                    args,
                });
                let args = [x[1], y[1], carry];
                let [hi, flag] = self.flagged(InstData::Ternary { opcode, args });
                return self.define_flagged(inst, [lo, hi], flag);
            }
            _ => return Err(unsupported(opcode)),
        }
        Ok(())
    }

    /// The address of an access to 16 bytes, and the offsets of the low and the high half.
    fn halves(&mut self, flags: MemFlags, addr: Value, offset: i32) -> (Value, [i32; 2]) {
        let mut addr = self.value(addr);
        let mut offset = offset;
        if offset > i32::MAX - 8 {
            addr = self.binary_imm(Opcode::Iadd, addr, offset.into());
            offset = 0;
        }
        let [first, second] = [offset, offset + 8];
        match flags.explicit_endianness() {
            Some(Endianness::Big) => (addr, [second, first]),
            _ => (addr, [first, second]),
        }
    }

    pub(super) fn load(&mut self, flags: MemFlags, addr: Value, offset: i32) -> Pair {
        let (arg, offsets) = self.halves(flags, addr, offset);
        offsets.map(|offset| {
            let opcode = Opcode::Load;
            let load = InstData::Load {
                opcode,
                flags,
                arg,
                offset,
            };
            let inst = self.out.push_inst(load, self.loc);
            self.out.push_result(inst, Type::I64)
        })
    }

    fn store(&mut self, flags: MemFlags, v: Value, addr: Value, offset: i32) {
        let (addr, offsets) = self.halves(flags, addr, offset);
        for (v, offset) in self.pair(v).into_iter().zip(offsets) {
            let opcode = Opcode::Store;
            let store = InstData::Store {
                opcode,
                flags,
                args: [v, addr],
                offset,
            };
            self.out.push_inst(store, self.loc);
        }
    }
}

/// There is no rule for an operation.
pub(super) fn unsupported(opcode: Opcode) -> CodegenError {
    CodegenError::Unsupported(format!("{opcode} on i128"))
}
