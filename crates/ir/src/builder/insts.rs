//! The builder's methods for instructions, generated from the opcode table.
//!
//! Branches, calls and returns, whose operands are lists, are written by hand beside this file.

use super::{FunctionBuilder, simplify::signed};
use crate::opcode::for_each_opcode;
use crate::{
    AtomicRmwOp, Block, Constant, DynamicStackSlot, FloatCC, FuncRef, GlobalValue, Inst, InstData,
    IntCC, MemFlags, Opcode, StackSlot, TrapCode, Type, Value,
};

macro_rules! method {
    ($doc:tt $op:ident $name:ident NullAry Fixed [] -> []) => {
        method!(@doc $doc ""
            pub fn $name(&mut self) -> Inst {
                self.push(InstData::NullAry { opcode: Opcode::$op })
            }
        );
    };
    ($doc:tt $op:ident $name:ident NullAry Written [] -> [T]) => {
        method!(@doc $doc "`ty` is the type of the result."
            pub fn $name(&mut self, ty: Type) -> Value {
                self.push_value(InstData::NullAry { opcode: Opcode::$op }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryImm $($rules:tt)*) => {
        method!(@doc $doc
            "`imm` is truncated to the width of `ty`."
            pub fn $name(&mut self, ty: Type, imm: i64) -> Value {
                let imm = signed(ty, imm);
                self.push_value(InstData::UnaryImm { opcode: Opcode::$op, imm }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryIeee16 $($rules:tt)*) => {
        method!(@doc $doc "`bits` is its IEEE 754 representation."
            pub fn $name(&mut self, bits: u16) -> Value {
                self.push_value(InstData::UnaryIeee16 { opcode: Opcode::$op, bits }, Type::F16)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryIeee32 $($rules:tt)*) => {
        method!(@doc $doc "`bits` is its IEEE 754 representation."
            pub fn $name(&mut self, bits: u32) -> Value {
                self.push_value(InstData::UnaryIeee32 { opcode: Opcode::$op, bits }, Type::F32)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryIeee64 $($rules:tt)*) => {
        method!(@doc $doc "`bits` is its IEEE 754 representation."
            pub fn $name(&mut self, bits: u64) -> Value {
                self.push_value(InstData::UnaryIeee64 { opcode: Opcode::$op, bits }, Type::F64)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryConst Fixed [] -> [$ty:ident]) => {
        method!(@doc $doc "The constant has as many bytes as the type."
            pub fn $name(&mut self, constant: Constant) -> Value {
                let data = InstData::UnaryConst { opcode: Opcode::$op, constant };
                self.push_value(data, Type::$ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryConst Written [] -> [T]) => {
        method!(@doc $doc "The constant has as many bytes as `ty`."
            pub fn $name(&mut self, ty: Type, constant: Constant) -> Value {
                self.push_value(InstData::UnaryConst { opcode: Opcode::$op, constant }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident UnaryGlobalValue $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of an address."
            pub fn $name(&mut self, ty: Type, global: GlobalValue) -> Value {
                self.push_value(InstData::UnaryGlobalValue { opcode: Opcode::$op, global }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Unary Infer [T] -> [T]) => {
        method!(@doc $doc "The result has the type of `x`."
            pub fn $name(&mut self, x: Value) -> Value {
                let ty = self.func.value_type(x);
                self.push_value(InstData::Unary { opcode: Opcode::$op, arg: x }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Unary Written [$arg:ident] -> [T]) => {
        method!(@doc $doc "`ty` is the type of the result."
            pub fn $name(&mut self, ty: Type, x: Value) -> Value {
                self.push_value(InstData::Unary { opcode: Opcode::$op, arg: x }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Unary $control:ident [$arg:ident] -> [$($r:ident)*]) => {
        method!(@results $doc $name (x: Value)
            InstData::Unary { opcode: Opcode::$op, arg: x } => [$($r)*]);
    };
    ($doc:tt $op:ident $name:ident Binary Infer [T $arg:ident] -> [T]) => {
        method!(@doc $doc "The result has the type of `x`."
            pub fn $name(&mut self, x: Value, y: Value) -> Value {
                let ty = self.func.value_type(x);
                self.push_value(InstData::Binary { opcode: Opcode::$op, args: [x, y] }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Binary $control:ident [$($arg:ident)*] -> [$($r:ident)*]) => {
        method!(@results $doc $name (x: Value, y: Value)
            InstData::Binary { opcode: Opcode::$op, args: [x, y] } => [$($r)*]);
    };
    ($doc:tt $op:ident $name:ident BinaryImm8 Infer [T] -> [$r:ident]) => {
        method!(@results $doc $name (x: Value, lane: u8)
            InstData::BinaryImm8 { opcode: Opcode::$op, arg: x, imm: lane } => [$r]);
    };
    ($doc:tt $op:ident $name:ident Ternary Infer [$x:ident T T] -> [T]) => {
        method!(@doc $doc "The result has the type of `y`."
            pub fn $name(&mut self, x: Value, y: Value, z: Value) -> Value {
                let ty = self.func.value_type(y);
                self.push_value(InstData::Ternary { opcode: Opcode::$op, args: [x, y, z] }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Ternary Infer [T T I8] -> [$($r:ident)*]) => {
        method!(@results $doc $name (x: Value, y: Value, carry: Value)
            InstData::Ternary { opcode: Opcode::$op, args: [x, y, carry] } => [$($r)*]);
    };
    ($doc:tt $op:ident $name:ident TernaryImm8 Infer [T Lane] -> [T]) => {
        method!(@results $doc $name (x: Value, y: Value, lane: u8)
            InstData::TernaryImm8 { opcode: Opcode::$op, args: [x, y], imm: lane } => [T]);
    };
    ($doc:tt $op:ident $name:ident Shuffle $($rules:tt)*) => {
        method!(@doc $doc "A byte of 0 to 15 selects from `x`, one of 16 to 31 from `y`."
            pub fn $name(&mut self, x: Value, y: Value, mask: [u8; 16]) -> Value {
                let mask = self.func.create_shuffle_mask(mask);
                let data = InstData::Shuffle { opcode: Opcode::$op, args: [x, y], mask };
                self.push_value(data, Type::I8X16)
            }
        );
    };
    ($doc:tt $op:ident $name:ident IntCompare $($rules:tt)*) => {
        method!(@doc $doc "1 if the condition holds and 0 if not; all ones in lanes of vectors."
            pub fn $name(&mut self, cond: IntCC, x: Value, y: Value) -> Value {
                let ty = self.func.value_type(x).as_truthy();
                let data = InstData::IntCompare { opcode: Opcode::$op, cond, args: [x, y] };
                self.push_value(data, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident FloatCompare $($rules:tt)*) => {
        method!(@doc $doc "1 if the condition holds and 0 if not; all ones in lanes of vectors."
            pub fn $name(&mut self, cond: FloatCC, x: Value, y: Value) -> Value {
                let ty = self.func.value_type(x).as_truthy();
                let data = InstData::FloatCompare { opcode: Opcode::$op, cond, args: [x, y] };
                self.push_value(data, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident IntAddTrap $($rules:tt)*) => {
        method!(@doc $doc "`code` says why."
            pub fn $name(&mut self, x: Value, y: Value, code: TrapCode) -> Value {
                let ty = self.func.value_type(x);
                let data = InstData::IntAddTrap { opcode: Opcode::$op, args: [x, y], code };
                self.push_value(data, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Load $($rules:tt)*) => {
        method!(@doc $doc "The address is `addr + offset`; `ty` is the type of the result."
            pub fn $name(&mut self, ty: Type, flags: MemFlags, addr: Value, offset: i32) -> Value {
                let opcode = Opcode::$op;
                self.push_value(InstData::Load { opcode, flags, arg: addr, offset }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident LoadNoOffset $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of the result."
            pub fn $name(&mut self, ty: Type, flags: MemFlags, addr: Value) -> Value {
                let opcode = Opcode::$op;
                self.push_value(InstData::LoadNoOffset { opcode, flags, arg: addr }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Store $($rules:tt)*) => {
        method!(@doc $doc "The address is `addr + offset`."
            pub fn $name(&mut self, flags: MemFlags, x: Value, addr: Value, offset: i32) -> Inst {
                let opcode = Opcode::$op;
                let data = InstData::Store { opcode, flags, args: [x, addr], offset };
                self.push(data)
            }
        );
    };
    ($doc:tt $op:ident $name:ident StoreNoOffset $($rules:tt)*) => {
        method!(@doc $doc ""
            pub fn $name(&mut self, flags: MemFlags, x: Value, addr: Value) -> Inst {
                let opcode = Opcode::$op;
                self.push(InstData::StoreNoOffset { opcode, flags, args: [x, addr] })
            }
        );
    };
    ($doc:tt $op:ident $name:ident AtomicRmw $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of `x` and of the result."
            pub fn $name(
                &mut self,
                ty: Type,
                flags: MemFlags,
                op: AtomicRmwOp,
                addr: Value,
                x: Value,
            ) -> Value {
                let opcode = Opcode::$op;
                self.push_value(InstData::AtomicRmw { opcode, op, flags, args: [addr, x] }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident AtomicCas $($rules:tt)*) => {
        method!(@doc $doc "The result has the type of `new`."
            pub fn $name(
                &mut self,
                flags: MemFlags,
                addr: Value,
                expected: Value,
                new: Value,
            ) -> Value {
                let ty = self.func.value_type(new);
                let (opcode, args) = (Opcode::$op, [addr, expected, new]);
                self.push_value(InstData::AtomicCas { opcode, flags, args }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident StackAddr $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of an address."
            pub fn $name(&mut self, ty: Type, slot: StackSlot, offset: i32) -> Value {
                self.push_value(InstData::StackAddr { opcode: Opcode::$op, slot, offset }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident DynamicStackAddr $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of an address."
            pub fn $name(&mut self, ty: Type, slot: DynamicStackSlot) -> Value {
                self.push_value(InstData::DynamicStackAddr { opcode: Opcode::$op, slot }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident FuncAddr $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of an address."
            pub fn $name(&mut self, ty: Type, func: FuncRef) -> Value {
                self.push_value(InstData::FuncAddr { opcode: Opcode::$op, func }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident ExceptionHandlerAddress $($rules:tt)*) => {
        method!(@doc $doc "`ty` is the type of an address; handlers count from 0."
            pub fn $name(&mut self, ty: Type, block: Block, index: i64) -> Value {
                let opcode = Opcode::$op;
                self.push_value(InstData::ExceptionHandlerAddress { opcode, block, index }, ty)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Trap $($rules:tt)*) => {
        method!(@doc $doc "`code` says why."
            pub fn $name(&mut self, code: TrapCode) -> Inst {
                self.terminate(InstData::Trap { opcode: Opcode::$op, code })
            }
        );
    };
    ($doc:tt $op:ident $name:ident CondTrap $($rules:tt)*) => {
        method!(@doc $doc "`code` says why."
            pub fn $name(&mut self, x: Value, code: TrapCode) -> Inst {
                let arg = self.condition(x);
                let data = InstData::CondTrap { opcode: Opcode::$op, arg, code };
                self.push(data)
            }
        );
    };
    ($doc:tt $op:ident $name:ident Jump $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident Brif $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident BranchTable $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident Call $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident CallIndirect $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident TryCall $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident TryCallIndirect $($rules:tt)*) => {};
    ($doc:tt $op:ident $name:ident MultiAry $($rules:tt)*) => {};

    (@results $doc:tt $name:ident ($($arg:ident: $ty:ty),*) $data:expr => []) => {
        method!(@doc $doc ""
            pub fn $name(&mut self, $($arg: $ty),*) -> Inst {
                self.push($data)
            }
        );
    };
    (@results $doc:tt $name:ident ($($arg:ident: $ty:ty),*) $data:expr => [$r:ident]) => {
        method!(@doc $doc ""
            pub fn $name(&mut self, $($arg: $ty),*) -> Value {
                let inst = self.push($data);
                self.func.first_result(inst)
            }
        );
    };
    (@results $doc:tt $name:ident ($($arg:ident: $ty:ty),*) $data:expr => [$r:ident $s:ident]) => {
        method!(@doc $doc ""
            pub fn $name(&mut self, $($arg: $ty),*) -> (Value, Value) {
                let inst = self.push($data);
                let first = self.func.first_result(inst);
                (first, Value::from_u32(first.as_u32() + 1))
            }
        );
    };

    (@doc [$($doc:literal)*] $more:literal $method:item) => {
        $(#[doc = $doc])*
        #[doc = ""]
        #[doc = $more]
        #[inline]
        $method
    };
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])* $op:ident $method:ident $name:literal $format:ident
        $control:ident($set:ident) $args:tt -> $results:tt ($effects:expr);)*) => {
        impl FunctionBuilder<'_> {
            $(method!([$($doc)*] $op $method $format $control $args -> $results);)*
        }
    };
}
for_each_opcode!(methods);
