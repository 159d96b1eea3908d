//! The operand stack.

use super::Translator;
use nopal_ir::{FunctionBuilder, Type, Value};

/// The operands of the instructions to come.
///
/// The result of a comparison is kept as the `i8` that the IR gives, marked as such, and becomes
/// an `i32` only where it is used as one: branches and `select` do not need it to.
#[derive(Default)]
pub(super) struct Stack {
    values: Vec<Value>,
}

/// Marks a value that is an `i8` of 0 or 1 in place of an `i32`.
const BOOL: u32 = 1 << 31;

impl Stack {
    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        debug_assert!(len <= self.values.len());
        self.values.truncate(len);
    }

    pub(super) fn extend(&mut self, values: impl Iterator<Item = Value>) {
        self.values.extend(values);
    }

    #[inline]
    fn push(&mut self, value: Value) {
        self.values.push(value);
    }

    #[inline]
    fn pop(&mut self) -> Value {
        self.values.pop().expect("validated operands")
    }

    /// The top `n` operands, all of their Wasm types.
    #[inline]
    pub(super) fn top(&mut self, n: usize, b: &mut FunctionBuilder<'_>) -> &[Value] {
        let from = self.values.len() - n;
        for value in &mut self.values[from..] {
            if value.as_u32() & BOOL != 0 {
                *value = extend(*value, b);
            }
        }
        &self.values[from..]
    }
}

fn extend(value: Value, b: &mut FunctionBuilder<'_>) -> Value {
    b.uextend(Type::I32, Value::from_u32(value.as_u32() & !BOOL))
}

impl Translator<'_> {
    #[inline]
    pub(super) fn push(&mut self, value: Value) {
        self.state.stack.push(value);
    }

    /// Push the `i8` of 0 or 1 that stands for an `i32`.
    #[inline]
    pub(super) fn push_bool(&mut self, value: Value) {
        self.state
            .stack
            .push(Value::from_u32(value.as_u32() | BOOL));
    }

    /// Pop a value of its Wasm type.
    #[inline]
    pub(super) fn pop(&mut self) -> Value {
        let value = self.state.stack.pop();
        if value.as_u32() & BOOL != 0 {
            return extend(value, &mut self.b);
        }
        value
    }

    /// Pop an `i32` of which only matters whether it is zero, or what it is as an unsigned number.
    #[inline]
    pub(super) fn pop_condition(&mut self) -> Value {
        let value = self.state.stack.pop();
        Value::from_u32(value.as_u32() & !BOOL)
    }

    /// Pop a value that is not needed.
    #[inline]
    pub(super) fn drop_operand(&mut self) {
        self.state.stack.pop();
    }

    /// Pop `n` values into `state.args`, which keeps what it holds already.
    pub(super) fn pop_args(&mut self, n: usize) {
        let values = self.state.stack.top(n, &mut self.b);
        self.state.args.extend_from_slice(values);
        let len = self.state.stack.len();
        self.state.stack.truncate(len - n);
    }
}
