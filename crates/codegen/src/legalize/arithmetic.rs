//! Sums, products, comparisons and bit counts of halves.

use super::{Pair, Walk};
use nopal_ir::{InstData, IntCC, Opcode, Type, Value};

impl Walk<'_> {
    /// A sum or difference whose carry goes from the low half to the high one. `last` is what is
    /// done with the high halves; its flag comes with the result.
    pub(super) fn carried(
        &mut self,
        [first, last]: [Opcode; 2],
        x: Pair,
        y: Pair,
    ) -> (Pair, Value) {
        let args = [x[0], y[0]];
        let [lo, carry] = self.flagged(InstData::Binary {
            opcode: first,
            args,
        });
        let args = [x[1], y[1], carry];
        let [hi, flag] = self.flagged(InstData::Ternary { opcode: last, args });
        ([lo, hi], flag)
    }

    pub(super) fn add(&mut self, x: Pair, y: Pair) -> Pair {
        let steps = [Opcode::UaddOverflow, Opcode::UaddOverflowCin];
        self.carried(steps, x, y).0
    }

    pub(super) fn sub(&mut self, x: Pair, y: Pair) -> Pair {
        let steps = [Opcode::UsubOverflow, Opcode::UsubOverflowBin];
        self.carried(steps, x, y).0
    }

    /// `x * y`: the low halves make 128 bits, each other product 64.
    pub(super) fn mul(&mut self, x: Pair, y: Pair) -> Pair {
        let high = self.binary(Opcode::Umulhi, x[0], y[0]);
        let low = self.binary(Opcode::Imul, x[0], y[0]);
        let a = self.binary(Opcode::Imul, x[0], y[1]);
        let b = self.binary(Opcode::Imul, x[1], y[0]);
        let sum = self.binary(Opcode::Iadd, high, a);
        [low, self.binary(Opcode::Iadd, sum, b)]
    }

    /// 64 copies of the sign.
    pub(super) fn sign(&mut self, x: Pair) -> Value {
        self.binary_imm(Opcode::Sshr, x[1], 63)
    }

    pub(super) fn abs(&mut self, x: Pair) -> Pair {
        let sign = self.sign(x);
        let flipped = self.both(Opcode::Bxor, x, [sign; 2]);
        self.sub(flipped, [sign; 2])
    }

    pub(super) fn compare(&mut self, cond: IntCC, x: Pair, y: Pair) -> Value {
        use IntCC::*;
        match cond {
            Equal | NotEqual => {
                let differing = self.both(Opcode::Bxor, x, y);
                let any = self.any_bit(differing);
                self.icmp_zero(cond, any)
            }
            UnsignedLessThan => self.less(x, y),
            UnsignedGreaterThan => self.less(y, x),
            SignedLessThan => self.signed_less(x, y),
            SignedGreaterThan => self.signed_less(y, x),
            UnsignedGreaterThanOrEqual
            | UnsignedLessThanOrEqual
            | SignedGreaterThanOrEqual
            | SignedLessThanOrEqual => {
                let opposite = self.compare(cond.complement(), x, y);
                self.icmp_zero(Equal, opposite)
            }
        }
    }

    /// What `x - y` borrows.
    fn less(&mut self, x: Pair, y: Pair) -> Value {
        let steps = [Opcode::UsubOverflow, Opcode::UsubOverflowBin];
        self.carried(steps, x, y).1
    }

    /// With the signs flipped, signed numbers are in the order of unsigned ones.
    fn signed_less(&mut self, x: Pair, y: Pair) -> Value {
        let mut flip = |x: Pair| [x[0], self.binary_imm(Opcode::Bxor, x[1], i64::MIN)];
        let (x, y) = (flip(x), flip(y));
        self.less(x, y)
    }

    pub(super) fn min_max(&mut self, opcode: Opcode, x: Pair, y: Pair) -> Pair {
        let cond = match opcode {
            Opcode::Smin => IntCC::SignedLessThan,
            Opcode::Smax => IntCC::SignedGreaterThan,
            Opcode::Umin => IntCC::UnsignedLessThan,
            Opcode::Umax => IntCC::UnsignedGreaterThan,
            _ => unreachable!("{opcode} is no minimum or maximum"),
        };
        let first = self.compare(cond, x, y);
        self.select_pair(Opcode::Select, first, x, y)
    }

    /// The zeros of one half, or, if it is all zeros, 64 and those of the other.
    pub(super) fn count_zeros(&mut self, opcode: Opcode, first: Value, then: Value) -> Value {
        let own = self.unary(opcode, first);
        let rest = self.unary(opcode, then);
        let all = self.binary_imm(Opcode::Iadd, rest, 64);
        let empty = self.icmp_zero(IntCC::Equal, first);
        self.select(empty, all, own)
    }

    /// The leading bits that equal the sign, which itself does not count.
    pub(super) fn count_sign_bits(&mut self, x: Pair) -> Value {
        let sign = self.sign(x);
        let [lo, hi] = self.both(Opcode::Bxor, x, [sign; 2]);
        let zeros = self.count_zeros(Opcode::Clz, hi, lo);
        self.binary_imm(Opcode::Iadd, zeros, -1)
    }

    pub(super) fn count_ones(&mut self, x: Pair) -> Value {
        let [a, b] = x.map(|half| self.unary(Opcode::Popcnt, half));
        self.binary(Opcode::Iadd, a, b)
    }

    /// A value of up to 64 bits with zeros or copies of its sign above.
    pub(super) fn extend(&mut self, opcode: Opcode, v: Value) -> Pair {
        let x = self.value(v);
        let lo = match self.ty(v) {
            Type::I64 => x,
            _ => self.convert(opcode, Type::I64, x),
        };
        let hi = if opcode == Opcode::Sextend {
            self.binary_imm(Opcode::Sshr, lo, 63)
        } else {
            self.zero()
        };
        [lo, hi]
    }
}
