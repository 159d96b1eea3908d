//! Short names for the instructions that the rules are made of.

use super::{Pair, Walk};
use nopal_ir::{Inst, InstData, IntCC, Opcode, Type, Value};

impl Walk<'_> {
    /// An instruction whose first result is of type `ty`.
    fn one(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.out.push_inst(data, self.loc);
        self.out.push_result(inst, ty)
    }

    pub(super) fn iconst(&mut self, ty: Type, imm: i64) -> Value {
        let opcode = Opcode::Iconst;
        self.one(InstData::UnaryImm { opcode, imm }, ty)
    }

    pub(super) fn zero(&mut self) -> Value {
        self.iconst(Type::I64, 0)
    }

    pub(super) fn unary(&mut self, opcode: Opcode, arg: Value) -> Value {
        let ty = self.out.value_type(arg);
        self.one(InstData::Unary { opcode, arg }, ty)
    }

    /// A conversion to `ty`.
    pub(super) fn convert(&mut self, opcode: Opcode, ty: Type, arg: Value) -> Value {
        self.one(InstData::Unary { opcode, arg }, ty)
    }

    pub(super) fn binary(&mut self, opcode: Opcode, x: Value, y: Value) -> Value {
        let ty = self.out.value_type(x);
        let args = [x, y];
        self.one(InstData::Binary { opcode, args }, ty)
    }

    /// With a constant on the right.
    pub(super) fn binary_imm(&mut self, opcode: Opcode, x: Value, imm: i64) -> Value {
        let y = self.iconst(self.out.value_type(x), imm);
        self.binary(opcode, x, y)
    }

    pub(super) fn icmp(&mut self, cond: IntCC, x: Value, y: Value) -> Value {
        let (opcode, args) = (Opcode::Icmp, [x, y]);
        self.one(InstData::IntCompare { opcode, cond, args }, Type::I8)
    }

    /// Compare with zero.
    pub(super) fn icmp_zero(&mut self, cond: IntCC, x: Value) -> Value {
        let zero = self.iconst(self.out.value_type(x), 0);
        self.icmp(cond, x, zero)
    }

    pub(super) fn ternary(&mut self, opcode: Opcode, args: [Value; 3]) -> Value {
        let ty = self.out.value_type(args[1]);
        self.one(InstData::Ternary { opcode, args }, ty)
    }

    pub(super) fn select(&mut self, c: Value, x: Value, y: Value) -> Value {
        self.ternary(Opcode::Select, [c, x, y])
    }

    /// An operation with a flag: the result and the flag.
    pub(super) fn flagged(&mut self, data: InstData) -> Pair {
        let inst: Inst = self.out.push_inst(data, self.loc);
        let ty = self.out.value_type(data.value_operands()[0]);
        [
            self.out.push_result(inst, ty),
            self.out.push_result(inst, Type::I8),
        ]
    }

    /// The same operation on both halves.
    pub(super) fn both(&mut self, opcode: Opcode, x: Pair, y: Pair) -> Pair {
        [
            self.binary(opcode, x[0], y[0]),
            self.binary(opcode, x[1], y[1]),
        ]
    }

    /// Not zero if either half is not.
    pub(super) fn any_bit(&mut self, x: Pair) -> Value {
        self.binary(Opcode::Bor, x[0], x[1])
    }

    /// A condition that may be of any integer type.
    pub(super) fn condition(&mut self, c: Value) -> Value {
        if self.is_wide(c) {
            let pair = self.pair(c);
            self.any_bit(pair)
        } else {
            self.value(c)
        }
    }

    /// The operand as a pair: one of fewer bits is extended with zeros.
    pub(super) fn select_pair(&mut self, opcode: Opcode, c: Value, x: Pair, y: Pair) -> Pair {
        [
            self.ternary(opcode, [c, x[0], y[0]]),
            self.ternary(opcode, [c, x[1], y[1]]),
        ]
    }
}
