//! Statements: stores, assignments, and the choice between all kinds.

use super::Body;
use crate::data::{F32S, F64S};
use nopal_ir::{TrapCode, Type, Value};

impl Body<'_, '_> {
    /// Statements until the budget is used up.
    pub(super) fn statements(&mut self) {
        while self.budget > 0 {
            self.statement();
        }
    }

    /// Up to `n` statements.
    pub(super) fn some_statements(&mut self, n: usize) {
        for _ in 0..n {
            if self.budget <= 0 {
                return;
            }
            self.statement();
        }
    }

    fn statement(&mut self) {
        self.budget -= 1;
        if self.rng.chance(self.shape.control) && self.depth < 6 {
            return self.control();
        }
        if self.rng.chance(self.shape.calls) {
            return self.call();
        }
        if self.rng.chance(self.shape.hooks) {
            return self.hook();
        }
        match self.rng.below(20) {
            0..=4 => {
                let ty = self.any_type();
                let v = self.value(ty);
                self.sink(v);
            }
            5 | 6 => self.assign(),
            7 if self.rng.chance(5) => self.conditional_trap(),
            8 if self.rng.chance(20) => {
                _ = match self.rng.below(3) {
                    0 => self.b.fence(),
                    1 => self.b.nop(),
                    _ => self.b.sequence_point(),
                };
            }
            _ => {
                let ty = self.any_type();
                self.operation(ty);
            }
        }
    }

    fn assign(&mut self) {
        if self.variables.is_empty() {
            return;
        }
        let (variable, ty) = self.rng.pick(&self.variables);
        let v = self.value(ty);
        self.b.def_var(variable, v);
    }

    fn conditional_trap(&mut self) {
        let ty = self.int_type();
        let x = self.value(ty);
        let code = TrapCode::user(1 + self.rng.below(9) as u8).expect("a code for users");
        if self.rng.chance(50) {
            self.b.trapz(x, code);
        } else {
            // Not often zero.
            let c = self.constant(ty);
            let same = self.b.icmp(nopal_ir::IntCC::Equal, x, c);
            self.b.trapnz(same, code);
        }
    }

    /// Store a value where it is seen.
    pub(super) fn sink(&mut self, v: Value) {
        let ty = self.b.func.value_type(v);
        let flags = self.flags();
        match ty {
            Type::F32 => {
                let (addr, offset) = self.cell(F32S, 4);
                self.b.store(flags, v, addr, offset);
            }
            Type::F64 => {
                let (addr, offset) = self.cell(F64S, 8);
                self.b.store(flags, v, addr, offset);
            }
            _ => self.sink_int(v, ty),
        }
    }

    fn sink_int(&mut self, v: Value, ty: Type) {
        let flags = self.flags();
        let sizes: &[u32] = match ty {
            Type::I8 => &[1],
            Type::I16 => &[2, 1],
            Type::I32 => &[4, 4, 2, 1],
            _ => &[8, 8, 8, 4, 2, 1],
        };
        let size = self.rng.pick(sizes);
        let (addr, offset) = self.address(size);
        if self.rng.chance(10) && size == ty.bytes() {
            // What an instruction with a memory destination could do.
            let old = self.b.load(ty, flags, addr, offset);
            let new = self.b.iadd(old, v);
            self.b.store(flags, new, addr, offset);
        } else if size == ty.bytes() {
            self.b.store(flags, v, addr, offset);
        } else {
            match size {
                1 => self.b.istore8(flags, v, addr, offset),
                2 => self.b.istore16(flags, v, addr, offset),
                _ => self.b.istore32(flags, v, addr, offset),
            };
        }
    }
}
