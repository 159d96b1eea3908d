//! The builder's methods for instructions, generated from the opcode table.
//!
//! Branches, calls and returns, whose operands are lists, are written by hand beside this file.

use super::{FunctionBuilder, simplify::signed};
use crate::opcode::for_each_opcode;
use crate::{FloatCC, Inst, InstData, IntCC, MemFlags, Opcode, StackSlot, TrapCode, Type, Value};

macro_rules! method {
    ($doc:tt $op:ident $name:ident UnaryImm $result:ident) => {
        method!(@doc $doc
            "`imm` is truncated to the width of `ty`."
            pub fn $name(&mut self, ty: Type, imm: i64) -> Value {
                let imm = signed(ty, imm);
                self.push_value(InstData::UnaryImm { opcode: Opcode::$op, imm }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryIeee32 F32) => {
        method!(@doc $doc "`bits` is its IEEE 754 representation."
            pub fn $name(&mut self, bits: u32) -> Value {
                self.push_value(InstData::UnaryIeee32 { opcode: Opcode::$op, bits }, Type::F32)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryIeee64 F64) => {
        method!(@doc $doc "`bits` is its IEEE 754 representation."
            pub fn $name(&mut self, bits: u64) -> Value {
                self.push_value(InstData::UnaryIeee64 { opcode: Opcode::$op, bits }, Type::F64)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Unary SameAsFirst) => {
        method!(@doc $doc "The result has the type of `x`."
            pub fn $name(&mut self, x: Value) -> Value {
                let ty = self.func.value_type(x);
                self.push_value(InstData::Unary { opcode: Opcode::$op, arg: x }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Unary $written:ident) => {
        method!(@doc $doc "`ty` is the type of the result."
            pub fn $name(&mut self, ty: Type, x: Value) -> Value {
                self.push_value(InstData::Unary { opcode: Opcode::$op, arg: x }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Binary SameAsFirst) => {
        method!(@doc $doc "The result has the type of `x`."
            pub fn $name(&mut self, x: Value, y: Value) -> Value {
                let ty = self.func.value_type(x);
                self.push_value(InstData::Binary { opcode: Opcode::$op, args: [x, y] }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Ternary SameAsSecond) => {
        method!(@doc $doc "The result has the type of `y`."
            pub fn $name(&mut self, x: Value, y: Value, z: Value) -> Value {
                let ty = self.func.value_type(y);
                self.push_value(InstData::Ternary { opcode: Opcode::$op, args: [x, y, z] }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident IntCompare Bool) => {
        method!(@doc $doc "The result is an `i8`, 1 if the condition holds and 0 if not."
            pub fn $name(&mut self, cond: IntCC, x: Value, y: Value) -> Value {
                let data = InstData::IntCompare { opcode: Opcode::$op, cond, args: [x, y] };
                self.push_value(data, Type::I8)
            }
        );
    };
    ($doc:tt $op:ident $name:ident FloatCompare Bool) => {
        method!(@doc $doc "The result is an `i8`, 1 if the condition holds and 0 if not."
            pub fn $name(&mut self, cond: FloatCC, x: Value, y: Value) -> Value {
                let data = InstData::FloatCompare { opcode: Opcode::$op, cond, args: [x, y] };
                self.push_value(data, Type::I8)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Load $result:ident) => {
        method!(@doc $doc "The address is `addr + offset`; `ty` is the type of the result."
            pub fn $name(&mut self, ty: Type, flags: MemFlags, addr: Value, offset: i32) -> Value {
                let opcode = Opcode::$op;
                self.push_value(InstData::Load { opcode, flags, arg: addr, offset }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Store $result:ident) => {
        method!(@doc $doc "The address is `addr + offset`."
            pub fn $name(&mut self, flags: MemFlags, x: Value, addr: Value, offset: i32) -> Inst {
                let opcode = Opcode::$op;
                let data = InstData::Store { opcode, flags, args: [x, addr], offset };
                self.push(data)
            }
        );
    };
    ($doc:tt $op:ident $name:ident StackAddr $result:ident) => {
        method!(@doc $doc "`ty` is the type of an address."
            pub fn $name(&mut self, ty: Type, slot: StackSlot, offset: i32) -> Value {
                self.push_value(InstData::StackAddr { opcode: Opcode::$op, slot, offset }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Trap $result:ident) => {
        method!(@doc $doc "`code` says why."
            pub fn $name(&mut self, code: TrapCode) -> Inst {
                self.terminate(InstData::Trap { opcode: Opcode::$op, code })
            }
        );
    };
    ($doc:tt $op:ident $name:ident CondTrap $result:ident) => {
        method!(@doc $doc "`code` says why."
            pub fn $name(&mut self, x: Value, code: TrapCode) -> Inst {
                let arg = self.condition(x);
                let data = InstData::CondTrap { opcode: Opcode::$op, arg, code };
                self.push(data)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Jump $result:ident) => {};
    ($doc:tt $op:ident $name:ident Brif $result:ident) => {};
    ($doc:tt $op:ident $name:ident BranchTable $result:ident) => {};
    ($doc:tt $op:ident $name:ident Call $result:ident) => {};
    ($doc:tt $op:ident $name:ident CallIndirect $result:ident) => {};
    ($doc:tt $op:ident $name:ident MultiAry $result:ident) => {};

    (@doc [$($doc:literal)*] $more:literal $method:item) => {
        $(#[doc = $doc])*
        #[doc = ""]
        #[doc = $more]
        #[inline]
        $method
    };
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])* $op:ident $method:ident $name:literal $format:ident $operands:ident $result:ident ($effects:expr);)*) => {
        impl FunctionBuilder<'_> {
            $(method!([$($doc)*] $op $method $format $result);)*
        }
    };
}
for_each_opcode!(methods);
