//! Constant expressions.

use super::Failure;
use crate::error::Error;
use crate::module_info::{ConstExpr, ConstOp};
use wasmparser::Operator;

/// The operations of an expression that is valid in a module without unsupported features.
pub(super) fn const_expr(expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Failure> {
    let mut ops = Vec::new();
    for op in expr.get_operators_reader().into_iter_with_offsets() {
        let (op, offset) = op?;
        ops.push(match op {
            Operator::I32Const { value } => ConstOp::Value(u64::from(value as u32)),
            Operator::I64Const { value } => ConstOp::Value(value as u64),
            Operator::F32Const { value } => ConstOp::Value(u64::from(value.bits())),
            Operator::F64Const { value } => ConstOp::Value(value.bits()),
            Operator::RefNull { .. } => ConstOp::Value(0),
            Operator::GlobalGet { global_index } => ConstOp::Global(global_index),
            Operator::RefFunc { function_index } => ConstOp::FuncRef(function_index),
            Operator::I32Add => ConstOp::I32Add,
            Operator::I32Sub => ConstOp::I32Sub,
            Operator::I32Mul => ConstOp::I32Mul,
            Operator::I64Add => ConstOp::I64Add,
            Operator::I64Sub => ConstOp::I64Sub,
            Operator::I64Mul => ConstOp::I64Mul,
            Operator::End => break,
            _ => {
                let feature = "this instruction in a constant expression";
                return Err(Error::unsupported(offset, feature).into());
            }
        });
    }
    Ok(match ops[..] {
        [ConstOp::Value(value)] => ConstExpr::Value(value),
        [ConstOp::Global(index)] => ConstExpr::Global(index),
        [ConstOp::FuncRef(index)] => ConstExpr::FuncRef(index),
        _ => ConstExpr::Ops(ops.into()),
    })
}

/// Calls `f` with every function that an expression refers to.
pub(super) fn for_each_func_ref(expr: &ConstExpr, mut f: impl FnMut(u32)) {
    match expr {
        ConstExpr::FuncRef(index) => f(*index),
        ConstExpr::Value(_) | ConstExpr::Global(_) => {}
        ConstExpr::Ops(ops) => {
            for op in ops {
                if let ConstOp::FuncRef(index) = *op {
                    f(index);
                }
            }
        }
    }
}
