//! Atomic accesses to 16 bytes: all are made of a compare-and-swap.

use super::{Pair, Walk};
use crate::context::CodegenError;
use nopal_ir::{AtomicRmwOp, Inst, InstData, IntCC, MemFlags, Opcode, Type, Value};

impl Walk<'_> {
    pub(super) fn atomic(&mut self, inst: Inst, data: InstData) -> Result<(), CodegenError> {
        if !self.machine.cas_16 {
            let what = "atomic accesses to i128 without an instruction for them";
            return Err(CodegenError::Unsupported(what.into()));
        }
        match data {
            InstData::AtomicCas {
                flags,
                args: [addr, expected, new],
                ..
            } => {
                let addr = self.value(addr);
                let (expected, new) = (self.pair(expected), self.pair(new));
                let old = self.compare_and_swap(flags, addr, expected, new);
                self.define_pair(self.func.first_result(inst), old);
            }
            InstData::AtomicRmw {
                op,
                flags,
                args: [addr, operand],
                ..
            } => {
                let operand = self.pair(operand);
                let old = self.read_modify_write(flags, op, addr, operand);
                self.define_pair(self.func.first_result(inst), old);
            }
            InstData::LoadNoOffset { flags, arg, .. } => {
                // Replaces zero by zero, or nothing at all.
                let addr = self.value(arg);
                let zero = self.zero();
                let old = self.compare_and_swap(flags, addr, [zero; 2], [zero; 2]);
                self.define_pair(self.func.first_result(inst), old);
            }
            InstData::StoreNoOffset {
                flags,
                args: [v, addr],
                ..
            } => {
                let v = self.pair(v);
                self.read_modify_write(flags, AtomicRmwOp::Xchg, addr, v);
            }
            _ => unreachable!("not an atomic access"),
        }
        Ok(())
    }

    /// The instruction, with its operands in one piece and its result in two.
    fn compare_and_swap(
        &mut self,
        flags: MemFlags,
        addr: Value,
        expected: Pair,
        new: Pair,
    ) -> Pair {
        let [expected, new] = [expected, new].map(|args| {
            let opcode = Opcode::Iconcat;
            let inst = self
                .out
                .push_inst(InstData::Binary { opcode, args }, self.loc);
            self.out.push_result(inst, Type::I128)
        });
        let (opcode, args) = (Opcode::AtomicCas, [addr, expected, new]);
        let cas = InstData::AtomicCas {
            opcode,
            flags,
            args,
        };
        let inst = self.out.push_inst(cas, self.loc);
        [(); 2].map(|()| self.out.push_result(inst, Type::I64))
    }

    /// A loop of its own: the current block ends here, and goes on below it.
    fn read_modify_write(
        &mut self,
        flags: MemFlags,
        op: AtomicRmwOp,
        addr: Value,
        operand: Pair,
    ) -> Pair {
        let start = self.load(flags, addr, 0);
        let addr = self.value(addr);
        let (again, done) = (self.out.create_block(), self.out.create_block());
        let old = [(); 2].map(|()| self.out.append_block_param(again, Type::I64));
        self.jump(again, &start);
        self.out.begin_block(again);
        let new = self.combine(op, old, operand);
        let found = self.compare_and_swap(flags, addr, old, new);
        let differing = self.both(Opcode::Bxor, found, old);
        let any = self.any_bit(differing);
        let changed = self.icmp_zero(IntCC::NotEqual, any);
        self.brif(changed, (again, &found), (done, &[]));
        self.out.begin_block(done);
        found
    }

    fn combine(&mut self, op: AtomicRmwOp, old: Pair, x: Pair) -> Pair {
        match op {
            AtomicRmwOp::Add => self.add(old, x),
            AtomicRmwOp::Sub => self.sub(old, x),
            AtomicRmwOp::And => self.both(Opcode::Band, old, x),
            AtomicRmwOp::Or => self.both(Opcode::Bor, old, x),
            AtomicRmwOp::Xor => self.both(Opcode::Bxor, old, x),
            AtomicRmwOp::Nand => {
                let and = self.both(Opcode::Band, old, x);
                and.map(|half| self.unary(Opcode::Bnot, half))
            }
            AtomicRmwOp::Xchg => x,
            AtomicRmwOp::Umin => self.min_max(Opcode::Umin, old, x),
            AtomicRmwOp::Umax => self.min_max(Opcode::Umax, old, x),
            AtomicRmwOp::Smin => self.min_max(Opcode::Smin, old, x),
            AtomicRmwOp::Smax => self.min_max(Opcode::Smax, old, x),
        }
    }
}
