//! Operations that few programs use: flags of overflows, orders of bits, minima, `i128`, atomics.

use super::Body;
use crate::data::{INTS, INTS_LEN};
use nopal_ir::{AtomicRmwOp, IntCC, MemFlags, TrapCode, Type, Value};

impl Body<'_, '_> {
    /// An integer by one of them.
    pub(super) fn rare_operation(&mut self, ty: Type) -> Value {
        match self.rng.below(14) {
            13 if ty.bits() >= 32 => self.checked_sum(ty),
            12 if self.shape.everything => self.carry(ty),
            0 | 1 => self.rare_unary(ty),
            2 | 3 => self.min_max(ty),
            4..=6 => self.overflow(ty),
            7 => {
                let (c, x, y) = (self.value(ty), self.value(ty), self.value(ty));
                self.b.bitselect(c, x, y)
            }
            8 => {
                let c = self.condition();
                let (x, y) = (self.value(ty), self.value(ty));
                self.b.select_spectre_guard(c, x, y)
            }
            9 | 10 => self.part_of_wide(ty),
            _ => self.atomic(ty),
        }
    }

    fn rare_unary(&mut self, ty: Type) -> Value {
        match self.rng.below(5) {
            4 => {
                let x = self.value(ty);
                self.b.cls(x)
            }
            0 => {
                let x = self.value(ty);
                self.b.iabs(x)
            }
            1 => {
                let x = self.value(ty);
                self.b.bitrev(x)
            }
            2 if ty != Type::I8 => {
                let x = self.value(ty);
                self.b.bswap(x)
            }
            _ => {
                let from = self.int_type();
                let x = self.value(from);
                self.b.bmask(ty, x)
            }
        }
    }

    fn min_max(&mut self, ty: Type) -> Value {
        let (x, y) = (self.value(ty), self.value(ty));
        match self.rng.below(4) {
            0 => self.b.smin(x, y),
            1 => self.b.smax(x, y),
            2 => self.b.umin(x, y),
            _ => self.b.umax(x, y),
        }
    }

    /// A result with a flag, which is available from here on, or chooses between two.
    fn overflow(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let y = if self.rng.chance(30) {
            self.constant(ty)
        } else {
            self.value(ty)
        };
        let other = self.rng.chance(40).then(|| self.value(ty));
        let (r, flag) = match self.rng.below(6) {
            0 => self.b.uadd_overflow(x, y),
            1 => self.b.sadd_overflow(x, y),
            2 => self.b.usub_overflow(x, y),
            3 => self.b.ssub_overflow(x, y),
            4 => self.b.umul_overflow(x, y),
            _ => self.b.smul_overflow(x, y),
        };
        match other {
            Some(other) => self.b.select(flag, other, r),
            None => {
                self.push(flag);
                r
            }
        }
    }

    /// A sum that traps if it overflows, which it does not, nearly always.
    fn checked_sum(&mut self, ty: Type) -> Value {
        let (mut x, mut y) = (self.value(ty), self.value(ty));
        if !self.rng.chance(3) {
            let half = self.b.iconst(ty, i64::MAX >> (64 - ty.bits()));
            (x, y) = (self.b.band(x, half), self.b.band(y, half));
        }
        let code = TrapCode::user(10 + self.rng.below(9) as u8).expect("a code for users");
        self.b.uadd_overflow_trap(x, y, code)
    }

    /// An addition or subtraction of two parts each, as of wide numbers.
    fn carry(&mut self, ty: Type) -> Value {
        let (x, y) = (self.value(ty), self.value(ty));
        let (a, b) = (self.value(ty), self.value(ty));
        let (low, (high, flag)) = match self.rng.below(4) {
            0 => {
                let (low, c) = self.b.uadd_overflow(x, y);
                (low, self.b.uadd_overflow_cin(a, b, c))
            }
            1 => {
                let (low, c) = self.b.uadd_overflow(x, y);
                (low, self.b.sadd_overflow_cin(a, b, c))
            }
            2 => {
                let (low, c) = self.b.usub_overflow(x, y);
                (low, self.b.usub_overflow_bin(a, b, c))
            }
            _ => {
                let (low, c) = self.b.usub_overflow(x, y);
                (low, self.b.ssub_overflow_bin(a, b, c))
            }
        };
        self.push(low);
        self.push(flag);
        high
    }

    /// A part of an `i128`, or what a comparison of two says.
    fn part_of_wide(&mut self, ty: Type) -> Value {
        let x = self.wide(3);
        match self.rng.below(4) {
            0 if ty == Type::I64 => self.b.isplit(x).1,
            0 | 1 => {
                let y = self.wide(1);
                let cc = self.rng.pick(IntCC::ALL);
                let c = self.b.icmp(cc, x, y);
                let (x, y) = (self.value(ty), self.value(ty));
                self.b.select(c, x, y)
            }
            _ => self.b.ireduce(ty, x),
        }
    }

    /// An `i128`: an expression of this depth, at most.
    fn wide(&mut self, depth: usize) -> Value {
        if depth == 0 || self.rng.chance(20) {
            return match self.rng.below(4) {
                0 => {
                    let ty = self.int_type();
                    let x = self.value(ty);
                    self.b.uextend(Type::I128, x)
                }
                1 => {
                    let ty = self.int_type();
                    let x = self.value(ty);
                    self.b.sextend(Type::I128, x)
                }
                _ => {
                    let (lo, hi) = (self.value(Type::I64), self.value(Type::I64));
                    self.b.iconcat(lo, hi)
                }
            };
        }
        let x = self.wide(depth - 1);
        match self.rng.below(6) {
            0 | 1 => {
                let y = self.wide(depth - 1);
                match self.rng.below(12) {
                    7 if self.shape.everything => self.b.smin(x, y),
                    8 if self.shape.everything => self.b.smax(x, y),
                    9 if self.shape.everything => self.b.umin(x, y),
                    10 if self.shape.everything => self.b.umax(x, y),
                    11 => {
                        let c = self.wide(depth - 1);
                        self.b.bitselect(c, x, y)
                    }
                    0 => self.b.iadd(x, y),
                    1 => self.b.isub(x, y),
                    2 => self.b.imul(x, y),
                    3 => self.b.band(x, y),
                    4 => self.b.bor(x, y),
                    5 => self.b.bxor(x, y),
                    _ => {
                        let c = self.condition();
                        self.b.select(c, x, y)
                    }
                }
            }
            2 | 3 => {
                let ty = self.int_type();
                let k = if self.rng.chance(40) {
                    self.constant(ty)
                } else {
                    self.value(ty)
                };
                match self.rng.below(5) {
                    0 => self.b.ishl(x, k),
                    1 => self.b.ushr(x, k),
                    2 => self.b.sshr(x, k),
                    3 => self.b.rotl(x, k),
                    _ => self.b.rotr(x, k),
                }
            }
            _ => match self.rng.below(10) {
                8 => self.b.cls(x),
                9 => self.b.bmask(Type::I128, x),
                0 => self.b.ineg(x),
                1 => self.b.iabs(x),
                2 => self.b.bnot(x),
                3 => self.b.clz(x),
                4 => self.b.ctz(x),
                5 => self.b.popcnt(x),
                6 => self.b.bitrev(x),
                _ => self.b.bswap(x),
            },
        }
    }

    /// An atomic access to an aligned cell.
    fn atomic(&mut self, ty: Type) -> Value {
        let flags = MemFlags::trusted();
        let at = (INTS + 8 * self.rng.below(INTS_LEN / 8)) as i64;
        let at = self.b.iconst(Type::I64, at);
        let addr = self.b.iadd(self.data, at);
        match self.rng.below(6) {
            0 => {
                let x = self.value(ty);
                self.b.atomic_store(flags, x, addr);
                x
            }
            1 => self.b.atomic_load(ty, flags, addr),
            2 => {
                let (expected, new) = (self.value(ty), self.value(ty));
                self.b.atomic_cas(flags, addr, expected, new)
            }
            _ => {
                let op = self.rng.pick(AtomicRmwOp::ALL);
                let x = self.value(ty);
                self.b.atomic_rmw(ty, flags, op, addr, x)
            }
        }
    }
}
