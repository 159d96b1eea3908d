//! Shifts and rotates across halves.

use super::{Pair, Walk};
use nopal_ir::{InstData, Opcode, Type, Value, ValueDef};

impl Walk<'_> {
    pub(super) fn shift(&mut self, opcode: Opcode, x: Pair, amount: Value) -> Pair {
        if let Some(k) = self.constant(amount) {
            return self.shift_by_constant(opcode, x, k & 127);
        }
        let k = match self.ty(amount) {
            Type::I128 => self.pair(amount)[0],
            Type::I8 | Type::I16 => {
                let k = self.value(amount);
                self.convert(Opcode::Uextend, Type::I32, k)
            }
            _ => self.value(amount),
        };
        // Shifts by `k` count modulo 64; by `!k` they complete a shift by 1 to one by `64 - k`.
        let rest = self.unary(Opcode::Bnot, k);
        match opcode {
            Opcode::Ishl => {
                let lo = self.binary(Opcode::Ishl, x[0], k);
                let hi = self.funnel(Opcode::Ishl, x[1], x[0], k, rest);
                let zero = self.zero();
                [self.if_long(k, zero, lo), self.if_long(k, lo, hi)]
            }
            Opcode::Ushr | Opcode::Sshr => {
                let lo = self.funnel(Opcode::Ushr, x[0], x[1], k, rest);
                let hi = self.binary(opcode, x[1], k);
                let above = if opcode == Opcode::Ushr {
                    self.zero()
                } else {
                    self.sign(x)
                };
                [self.if_long(k, hi, lo), self.if_long(k, above, hi)]
            }
            Opcode::Rotl | Opcode::Rotr => {
                let a = self.if_long(k, x[1], x[0]);
                let b = self.if_long(k, x[0], x[1]);
                let by = if opcode == Opcode::Rotl {
                    Opcode::Ishl
                } else {
                    Opcode::Ushr
                };
                [
                    self.funnel(by, a, b, k, rest),
                    self.funnel(by, b, a, k, rest),
                ]
            }
            _ => unreachable!("{opcode} is no shift"),
        }
    }

    /// `x` shifted by `k` modulo 64, filled up from the other end of `y`.
    fn funnel(&mut self, opcode: Opcode, x: Value, y: Value, k: Value, rest: Value) -> Value {
        let back = match opcode {
            Opcode::Ishl => Opcode::Ushr,
            _ => Opcode::Ishl,
        };
        let shifted = self.binary(opcode, x, k);
        let by_one = self.binary_imm(back, y, 1);
        let filling = self.binary(back, by_one, rest);
        self.binary(Opcode::Bor, shifted, filling)
    }

    /// `x` if the amount is 64 or more, modulo 128, else `y`.
    fn if_long(&mut self, k: Value, x: Value, y: Value) -> Value {
        let long = self.binary_imm(Opcode::Band, k, 64);
        self.select(long, x, y)
    }

    fn shift_by_constant(&mut self, opcode: Opcode, x: Pair, k: i64) -> Pair {
        let [lo, hi] = x;
        match opcode {
            Opcode::Rotr => return self.shift_by_constant(Opcode::Rotl, x, -k & 127),
            Opcode::Rotl if k >= 64 => {
                return self.shift_by_constant(opcode, [hi, lo], k - 64);
            }
            _ if k == 0 => return x,
            _ => {}
        }
        match opcode {
            Opcode::Rotl => [self.funnel_imm(lo, hi, k), self.funnel_imm(hi, lo, k)],
            Opcode::Ishl if k >= 64 => {
                let zero = self.zero();
                [zero, self.by_imm(opcode, lo, k - 64)]
            }
            Opcode::Ishl => [self.by_imm(opcode, lo, k), self.funnel_imm(hi, lo, k)],
            _ if k >= 64 => {
                let above = if opcode == Opcode::Ushr {
                    self.zero()
                } else {
                    self.sign(x)
                };
                [self.by_imm(opcode, hi, k - 64), above]
            }
            _ => [self.funnel_imm(hi, lo, 64 - k), self.by_imm(opcode, hi, k)],
        }
    }

    fn by_imm(&mut self, opcode: Opcode, x: Value, k: i64) -> Value {
        if k == 0 {
            return x;
        }
        self.binary_imm(opcode, x, k)
    }

    /// `x << k | y >> (64 - k)`, with `k` of 0 to 63.
    fn funnel_imm(&mut self, x: Value, y: Value, k: i64) -> Value {
        if k == 0 {
            return x;
        }
        let upper = self.binary_imm(Opcode::Ishl, x, k);
        let lower = self.binary_imm(Opcode::Ushr, y, 64 - k);
        self.binary(Opcode::Bor, upper, lower)
    }

    /// The low bits of `v`, if they are known.
    fn constant(&self, v: Value) -> Option<i64> {
        let ValueDef::Result(def, 0) = self.func.value_def(self.func.resolve(v)) else {
            return None;
        };
        match *self.func.inst(def) {
            InstData::UnaryImm { imm, .. } => Some(imm),
            InstData::Unary {
                opcode: Opcode::Uextend | Opcode::Sextend,
                arg,
            } if self.is_wide(v) => self.constant(arg),
            InstData::Binary {
                opcode: Opcode::Iconcat,
                args,
            } if self.is_wide(v) => self.constant(args[0]),
            _ => None,
        }
    }
}
