//! Expressions.

use super::{Body, TYPES};
use crate::data::{CELLS, F32S, F64S, INTS, INTS_LEN};
use nopal_ir::{FloatCC, IntCC, Type, Value};

impl Body<'_, '_> {
    /// A new value of a type, available from here on.
    pub(super) fn operation(&mut self, ty: Type) -> Value {
        let v = if ty.is_float() {
            self.float_operation(ty)
        } else {
            self.int_operation(ty)
        };
        self.push(v);
        v
    }

    fn int_operation(&mut self, ty: Type) -> Value {
        match self.rng.below(36) {
            32..=35 => self.rare_operation(ty),
            0..=13 => self.int_binary(ty),
            14..=16 => self.shift(ty),
            17 | 18 => self.int_unary(ty),
            19 => self.division(ty),
            20 | 21 => self.select(ty),
            22..=24 => self.comparison(ty),
            25..=28 => self.int_conversion(ty),
            _ => self.load(ty),
        }
    }

    fn int_binary(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let y = if self.rng.chance(25) {
            self.constant(ty)
        } else if self.rng.chance(8) {
            x
        } else {
            self.value(ty)
        };
        match self.rng.below(14) {
            0..=3 => self.b.iadd(x, y),
            4..=5 => self.b.isub(x, y),
            6 => self.b.imul(x, y),
            7 => self.b.umulhi(x, y),
            8 => self.b.smulhi(x, y),
            9 | 10 => self.b.band(x, y),
            11 => self.b.bor(x, y),
            12 => self.b.bxor(x, y),
            _ => {
                // What an address can express.
                let k = self.rng.below(5) as i64;
                let k = self.b.iconst(ty, k);
                let scaled = self.b.ishl(y, k);
                match self.rng.below(3) {
                    0 => self.b.iadd(x, scaled),
                    1 => self.b.iadd(scaled, x),
                    _ => {
                        let sum = self.b.iadd(x, scaled);
                        let c = self.constant(ty);
                        self.b.iadd(sum, c)
                    }
                }
            }
        }
    }

    fn shift(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let amount = self.int_type();
        let y = if self.rng.chance(50) {
            self.constant(amount)
        } else {
            self.value(amount)
        };
        match self.rng.below(5) {
            0 => self.b.ishl(x, y),
            1 => self.b.ushr(x, y),
            2 => self.b.sshr(x, y),
            3 => self.b.rotl(x, y),
            _ => self.b.rotr(x, y),
        }
    }

    fn int_unary(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        match self.rng.below(5) {
            0 => self.b.ineg(x),
            1 => self.b.bnot(x),
            2 => self.b.clz(x),
            3 => self.b.ctz(x),
            _ => self.b.popcnt(x),
        }
    }

    /// A division whose divisor is positive, nearly always.
    fn division(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let y = if self.rng.chance(40) {
            let c = self.rng.int(ty.bits());
            let c = if c == 0 || c == -1 { 7 } else { c };
            self.b.iconst(ty, c)
        } else if self.rng.chance(2) {
            self.value(ty)
        } else {
            let y = self.value(ty);
            let largest = self.b.iconst(ty, i64::MAX >> (64 - ty.bits()));
            let one = self.b.iconst(ty, 1);
            let y = self.b.band(y, largest);
            self.b.bor(y, one)
        };
        match self.rng.below(4) {
            0 => self.b.udiv(x, y),
            1 => self.b.sdiv(x, y),
            2 => self.b.urem(x, y),
            _ => self.b.srem(x, y),
        }
    }

    pub(super) fn select(&mut self, ty: Type) -> Value {
        let c = self.condition();
        let x = self.value(ty);
        let y = self.value(ty);
        let v = self.b.select(c, x, y);
        if self.rng.chance(15) {
            // The same condition once more.
            let other = self.b.select(c, y, x);
            self.push(other);
        }
        v
    }

    /// Something that is tested for not being zero.
    pub(super) fn condition(&mut self) -> Value {
        match self.rng.below(10) {
            0..=4 => self.compare(),
            5 => {
                let ty = self.int_type();
                let x = self.value(ty);
                let y = self.value(ty);
                self.b.band(x, y)
            }
            6 => {
                let inner = self.compare();
                let zero = self.b.iconst(Type::I8, 0);
                let cc = self.rng.pick(&[IntCC::Equal, IntCC::NotEqual]);
                self.b.icmp(cc, inner, zero)
            }
            7 => {
                let ty = self.int_type();
                let x = self.value(ty);
                let y = self.value(ty);
                let both = self.b.band(x, y);
                let zero = self.b.iconst(ty, 0);
                let cc = self.rng.pick(&[IntCC::Equal, IntCC::NotEqual]);
                self.b.icmp(cc, both, zero)
            }
            8 => {
                let ty = self.int_type();
                self.value(ty)
            }
            _ => {
                let c = self.compare();
                let ty = self.rng.pick(&[Type::I16, Type::I32, Type::I64]);
                self.b.uextend(ty, c)
            }
        }
    }

    fn compare(&mut self) -> Value {
        let v = if self.rng.chance(self.shape.floats) {
            let ty = self.rng.pick(&[Type::F32, Type::F64]);
            let (x, y) = (self.value(ty), self.value(ty));
            let cc = self.rng.pick(FloatCC::ALL);
            self.b.fcmp(cc, x, y)
        } else {
            let ty = self.int_type();
            let x = self.value(ty);
            let y = match self.rng.below(6) {
                0 => self.b.iconst(ty, 0),
                1 => self.constant(ty),
                _ => self.value(ty),
            };
            let cc = self.rng.pick(IntCC::ALL);
            self.b.icmp(cc, x, y)
        };
        if self.rng.chance(30) {
            self.push(v);
        }
        v
    }

    fn comparison(&mut self, ty: Type) -> Value {
        let v = self.compare();
        match ty {
            Type::I8 => v,
            _ => self.b.uextend(ty, v),
        }
    }

    fn int_conversion(&mut self, ty: Type) -> Value {
        let wider: Vec<Type> = TYPES[..4]
            .iter()
            .copied()
            .filter(|t| t.bits() > ty.bits())
            .collect();
        let narrower: Vec<Type> = TYPES[..4]
            .iter()
            .copied()
            .filter(|t| t.bits() < ty.bits())
            .collect();
        match self.rng.below(10) {
            0..=3 if !wider.is_empty() => {
                let from = self.rng.pick(&wider);
                let x = self.value(from);
                self.b.ireduce(ty, x)
            }
            0..=5 if !narrower.is_empty() => {
                let from = self.rng.pick(&narrower);
                let x = self.value(from);
                if self.rng.chance(50) {
                    self.b.uextend(ty, x)
                } else {
                    self.b.sextend(ty, x)
                }
            }
            6 | 7 if ty.bits() >= 32 || self.shape.everything => {
                let from = self.rng.pick(&[Type::F32, Type::F64]);
                let x = self.value(from);
                if self.rng.chance(50) {
                    self.b.fcvt_to_sint_sat(ty, x)
                } else {
                    self.b.fcvt_to_uint_sat(ty, x)
                }
            }
            8 if ty.bits() >= 32 || self.shape.everything => {
                // A number that is in range, mostly.
                let x = self.value(if ty == Type::I8 { ty } else { Type::I16 });
                if self.rng.chance(50) {
                    let x = self.b.fcvt_from_sint(Type::F32, x);
                    self.b.fcvt_to_sint(ty, x)
                } else {
                    let x = self.b.fcvt_from_uint(Type::F64, x);
                    self.b.fcvt_to_uint(ty, x)
                }
            }
            _ if ty.bits() >= 32 => {
                let from = if ty == Type::I32 {
                    Type::F32
                } else {
                    Type::F64
                };
                let x = self.no_nan(from);
                self.b.bitcast(ty, x)
            }
            _ => {
                let x = self.value(ty);
                self.b.bnot(x)
            }
        }
    }

    /// A float that is not a NaN, so that its bits are determined.
    fn no_nan(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let nan = self.b.fcmp(FloatCC::Unordered, x, x);
        let instead = match ty {
            Type::F32 => self.b.f32const(2.5f32.to_bits()),
            _ => self.b.f64const(2.5f64.to_bits()),
        };
        self.b.select(nan, instead, x)
    }

    fn float_operation(&mut self, ty: Type) -> Value {
        match self.rng.below(25) {
            24 => {
                let (x, y, z) = (self.value(ty), self.value(ty), self.value(ty));
                self.b.fma(x, y, z)
            }
            0..=9 => {
                let (x, y) = (self.value(ty), self.value(ty));
                match self.rng.below(9) {
                    0 | 1 => self.b.fadd(x, y),
                    2 | 3 => self.b.fsub(x, y),
                    4 | 5 => self.b.fmul(x, y),
                    6 => self.b.fdiv(x, y),
                    7 => self.b.fmin(x, y),
                    _ => self.b.fmax(x, y),
                }
            }
            10 => {
                let x = self.value(ty);
                let y = self.no_nan(ty);
                self.b.fcopysign(x, y)
            }
            11..=13 => {
                let x = self.value(ty);
                match self.rng.below(7) {
                    0 => self.b.sqrt(x),
                    1 => self.b.fneg(x),
                    2 => self.b.fabs(x),
                    3 => self.b.ceil(x),
                    4 => self.b.floor(x),
                    5 => self.b.trunc(x),
                    _ => self.b.nearest(x),
                }
            }
            14 | 15 => self.select(ty),
            16..=18 => {
                let from = self.int_type();
                let x = self.value(from);
                if self.rng.chance(50) {
                    self.b.fcvt_from_sint(ty, x)
                } else {
                    self.b.fcvt_from_uint(ty, x)
                }
            }
            19 => {
                let from = if ty == Type::F32 {
                    Type::I32
                } else {
                    Type::I64
                };
                let x = self.value(from);
                self.b.bitcast(ty, x)
            }
            20 | 21 => {
                if ty == Type::F32 {
                    let x = self.value(Type::F64);
                    self.b.fdemote(ty, x)
                } else {
                    let x = self.value(Type::F32);
                    self.b.fpromote(ty, x)
                }
            }
            _ => self.load(ty),
        }
    }

    /// A load of a value, available from here on.
    pub(super) fn load(&mut self, ty: Type) -> Value {
        let flags = self.flags();
        let v = match ty {
            Type::F32 => {
                let (addr, offset) = self.cell(F32S, 4);
                self.b.load(ty, flags, addr, offset)
            }
            Type::F64 => {
                let (addr, offset) = self.cell(F64S, 8);
                self.b.load(ty, flags, addr, offset)
            }
            _ => self.int_load(ty),
        };
        self.push(v);
        v
    }

    fn int_load(&mut self, ty: Type) -> Value {
        let flags = self.flags();
        let narrow = match ty {
            Type::I8 => 1,
            Type::I16 => 3,
            Type::I32 => 5,
            _ => 7,
        };
        let kind = if self.rng.chance(70) {
            0
        } else {
            self.rng.below(narrow)
        };
        let size = match kind {
            1 | 2 => 1,
            3 | 4 => 2,
            5 | 6 => 4,
            _ => ty.bytes(),
        };
        let (addr, offset) = self.address(size);
        let b = &mut self.b;
        match kind {
            1 => b.uload8(ty, flags, addr, offset),
            2 => b.sload8(ty, flags, addr, offset),
            3 => b.uload16(ty, flags, addr, offset),
            4 => b.sload16(ty, flags, addr, offset),
            5 => b.uload32(ty, flags, addr, offset),
            6 => b.sload32(ty, flags, addr, offset),
            _ => b.load(ty, flags, addr, offset),
        }
    }

    /// The address of a cell that only holds floats of `size` bytes.
    pub(super) fn cell(&mut self, base: usize, size: usize) -> (Value, i32) {
        let n = self.rng.below(CELLS);
        if self.rng.chance(70) {
            return (self.data, (base + size * n) as i32);
        }
        let index = self.value(Type::I64);
        let mask = self.b.iconst(Type::I64, CELLS as i64 - 1);
        let index = self.b.band(index, mask);
        let k = self.b.iconst(Type::I64, size.trailing_zeros().into());
        let at = self.b.ishl(index, k);
        (self.b.iadd(self.data, at), base as i32)
    }

    /// The address of `size` bytes of integers, and an offset to it.
    pub(super) fn address(&mut self, size: u32) -> (Value, i32) {
        if !self.slots.is_empty() && self.rng.chance(30) {
            return self.slot_address(size);
        }
        if self.rng.chance(50) {
            return (self.data, self.int_offset(size));
        }
        let index = self.index();
        match self.rng.below(9) {
            0 => (self.b.iadd(index, self.data), INTS as i32),
            1 => {
                let sum = self.b.iadd(self.data, index);
                let c = self.b.iconst(Type::I64, INTS as i64 - 100);
                (self.b.iadd(sum, c), 100)
            }
            2 => {
                let c = self.b.iconst(Type::I64, INTS as i64 + 20);
                let sum = self.b.iadd(self.data, c);
                (self.b.iadd(sum, index), -20)
            }
            3 => {
                let at = self.b.iadd(self.data, index);
                self.push(at);
                (at, INTS as i32)
            }
            4 => {
                // Offsets of which not all sums fit.
                let far = self
                    .rng
                    .pick(&[0x7fff_ff00, -0x7fff_ff00, 1 << 40, 0x8000_0000]);
                let [c, d] = [far, INTS as i64 - far].map(|c| self.b.iconst(Type::I64, c));
                let at = self.b.iadd(self.data, c);
                let at = self.b.iadd(at, index);
                (self.b.iadd(at, d), 0)
            }
            5 => {
                let far = self.rng.pick(&[0x7fff_0000, -0x7fff_0000]);
                let c = self.b.iconst(Type::I64, INTS as i64 - far);
                let at = self.b.iadd(index, c);
                (self.b.iadd(self.data, at), far as i32)
            }
            _ => (self.b.iadd(self.data, index), INTS as i32),
        }
    }

    /// A number below the number of bytes of integers, in one of several shapes.
    fn index(&mut self) -> Value {
        let last = INTS_LEN as i64 - 1;
        match self.rng.below(4) {
            0 => {
                let k = 1 + self.rng.below(3) as i64;
                let x = self.value(Type::I64);
                let mask = self.b.iconst(Type::I64, last >> k);
                let x = self.b.band(x, mask);
                let k = self.b.iconst(Type::I64, k);
                self.b.ishl(x, k)
            }
            1 => {
                let x = self.value(Type::I32);
                let mask = self.b.iconst(Type::I32, last);
                let x = self.b.band(x, mask);
                self.b.uextend(Type::I64, x)
            }
            2 => {
                let x = self.value(Type::I8);
                self.b.uextend(Type::I64, x)
            }
            _ => {
                let x = self.value(Type::I64);
                let mask = self.b.iconst(Type::I64, last);
                self.b.band(x, mask)
            }
        }
    }

    fn slot_address(&mut self, size: u32) -> (Value, i32) {
        let (slot, len) = self.rng.pick(&self.slots);
        let at = self.rng.below((len - size + 1) as usize) as i32;
        let split = self.rng.below(at as usize + 1) as i32;
        if self.rng.chance(50) {
            return (self.b.stack_addr(Type::I64, slot, at - split), split);
        }
        let base = self.b.stack_addr(Type::I64, slot, 0);
        let index = self.value(Type::I64);
        let mask = self.b.iconst(Type::I64, 7);
        let index = self.b.band(index, mask);
        let at = at.min(len as i32 - size as i32 - 7).max(0);
        (self.b.iadd(base, index), at)
    }
}
