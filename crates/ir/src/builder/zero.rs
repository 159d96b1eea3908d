//! The zero of every type: what a variable holds that nothing has been assigned to.

use super::FunctionBuilder;
use crate::{Block, Function, InstData, Opcode, Type, Value};

/// How the zero of a type is made.
enum Zero {
    /// By one instruction.
    Inst(InstData),
    /// By an operation on the zero of another type.
    Of(Opcode, Type),
}

fn zero(func: &mut Function, ty: Type) -> Zero {
    let constant = |func: &mut Function, opcode| {
        let constant = func.create_constant(vec![0; ty.bytes() as usize].into());
        Zero::Inst(InstData::UnaryConst { opcode, constant })
    };
    match ty {
        Type::F16 => Zero::Inst(InstData::UnaryIeee16 {
            opcode: Opcode::F16const,
            bits: 0,
        }),
        Type::F32 => Zero::Inst(InstData::UnaryIeee32 {
            opcode: Opcode::F32const,
            bits: 0,
        }),
        Type::F64 => Zero::Inst(InstData::UnaryIeee64 {
            opcode: Opcode::F64const,
            bits: 0,
        }),
        Type::F128 => constant(func, Opcode::F128const),
        Type::I128 => Zero::Of(Opcode::Uextend, Type::I64),
        _ if ty.is_dynamic() => Zero::Of(Opcode::Splat, ty.lane()),
        _ if ty.is_vector() => constant(func, Opcode::Vconst),
        _ => Zero::Inst(InstData::UnaryImm {
            opcode: Opcode::Iconst,
            imm: 0,
        }),
    }
}

/// Append to `out` the instructions, each with its result, that define `v` as zero.
pub(super) fn define(func: &mut Function, v: Value, out: &mut Vec<(InstData, Value)>) {
    let data = match zero(func, func.value_type(v)) {
        Zero::Inst(data) => data,
        Zero::Of(opcode, of) => {
            let arg = func.create_pending_param(Block::from_u32(0), of);
            define(func, arg, out);
            InstData::Unary { opcode, arg }
        }
    };
    out.push((data, v));
}

impl FunctionBuilder<'_> {
    /// The zero of a type, made here.
    pub(super) fn zero(&mut self, ty: Type) -> Value {
        let data = match zero(self.func, ty) {
            Zero::Inst(data) => data,
            Zero::Of(opcode, of) => {
                let arg = self.zero(of);
                InstData::Unary { opcode, arg }
            }
        };
        self.push_value(data, ty)
    }
}
