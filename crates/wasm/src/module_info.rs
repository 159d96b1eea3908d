//! What is known about a parsed module besides its code.

use crate::sites::SiteKind;
use crate::types::{ExternType, FuncType, GlobalType, MemoryType, TableType, ValType};
use crate::vm_offsets::{Counts, VMOffsets};
use std::ops::Range;
use std::sync::Arc;

/// A module, valid and without the bodies of its functions.
///
/// Index spaces are the module's own: imports come first in `funcs`, `tables`, `memories` and `globals`.
#[derive(Debug)]
pub(crate) struct ModuleInfo {
    /// The function types. Not deduplicated.
    pub(crate) types: Vec<FuncType>,
    /// The imports, in order.
    pub(crate) imports: Vec<Import>,
    /// The index in `types` of each function.
    pub(crate) funcs: Vec<u32>,
    pub(crate) tables: Vec<TableType>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) globals: Vec<GlobalType>,
    /// The exports, in order.
    pub(crate) exports: Vec<(Box<str>, ExternIndex)>,
    /// The function to call when an instance is ready.
    pub(crate) start: Option<u32>,
    /// The initial value of each defined global.
    pub(crate) global_inits: Vec<ConstExpr>,
    /// The element segments, in order.
    pub(crate) elements: Vec<ElementSegment>,
    /// The data segments, in order.
    pub(crate) data: Vec<DataSegment>,
    /// For each function the number of its `VMFuncRef`, if a reference to it can exist: it is
    /// exported, or named by an element segment or a constant expression.
    pub(crate) func_ref_index: Vec<Option<u32>>,
    /// How many of each thing there are.
    pub(crate) counts: Counts,
    /// The layout of the context.
    pub(crate) offsets: VMOffsets,
    /// The module's name in the name section.
    pub(crate) module_name: Option<Arc<str>>,
    /// Names of functions in the name section, by ascending function index.
    pub(crate) func_names: Vec<(u32, Box<str>)>,
    /// Where the body of each defined function is in the module.
    pub(crate) func_bodies: Vec<Range<u32>>,
}

impl ModuleInfo {
    /// The type of function `index`.
    pub(crate) fn func_type(&self, index: u32) -> &FuncType {
        &self.types[self.funcs[index as usize] as usize]
    }

    /// The types of the values that are observed at the sites of a kind in function `index`.
    pub(crate) fn observed_types(&self, index: u32, kind: SiteKind) -> &[ValType] {
        let ty = self.func_type(index);
        match kind {
            SiteKind::Entry => ty.params(),
            SiteKind::Exit => ty.results(),
            SiteKind::Loop => &[],
        }
    }

    /// The name of function `index` in the name section.
    pub(crate) fn func_name(&self, index: u32) -> Option<&str> {
        let at = self
            .func_names
            .binary_search_by_key(&index, |&(func, _)| func)
            .ok()?;
        Some(&self.func_names[at].1)
    }

    /// The index of a function counted without imports; none if it is imported.
    pub(crate) fn defined_func(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.counts.imported_funcs)
    }

    /// The index of a table counted without imports; none if it is imported.
    pub(crate) fn defined_table(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.counts.imported_tables)
    }

    /// The index of a memory counted without imports; none if it is imported.
    pub(crate) fn defined_memory(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.counts.imported_memories)
    }

    /// The index of a global counted without imports; none if it is imported.
    pub(crate) fn defined_global(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.counts.imported_globals)
    }

    /// The type of something in one of the index spaces.
    pub(crate) fn extern_type(&self, index: ExternIndex) -> ExternType {
        match index {
            ExternIndex::Func(i) => ExternType::Func(self.func_type(i).clone()),
            ExternIndex::Table(i) => ExternType::Table(self.tables[i as usize]),
            ExternIndex::Memory(i) => ExternType::Memory(self.memories[i as usize]),
            ExternIndex::Global(i) => ExternType::Global(self.globals[i as usize]),
        }
    }
}

/// An import: its two names and where it is in the index spaces.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) index: ExternIndex,
}

/// A kind of thing and its index in the index space of that kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExternIndex {
    Func(u32),
    Table(u32),
    Memory(u32),
    Global(u32),
}

/// References to copy into tables.
#[derive(Debug)]
pub(crate) struct ElementSegment {
    pub(crate) mode: ElementMode,
    pub(crate) items: ElementItems,
}

/// When the references are copied.
#[derive(Debug)]
pub(crate) enum ElementMode {
    /// At instantiation, into a table from index `offset` (an `i32`) on.
    Active { table: u32, offset: ConstExpr },
    /// By `table.init`.
    Passive,
    /// Never: the segment declares that references to its functions exist.
    Declared,
}

/// The references of an element segment.
#[derive(Debug)]
pub(crate) enum ElementItems {
    /// Functions by index.
    Functions(Box<[u32]>),
    /// The values of expressions.
    Expressions(Box<[ConstExpr]>),
}

impl ElementItems {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            ElementItems::Functions(funcs) => funcs.len(),
            ElementItems::Expressions(exprs) => exprs.len(),
        }
    }
}

/// Bytes to copy into a memory.
#[derive(Debug)]
pub(crate) struct DataSegment {
    pub(crate) mode: DataMode,
    /// Where the bytes are in the module.
    pub(crate) range: Range<u32>,
}

/// When the bytes are copied.
#[derive(Debug)]
pub(crate) enum DataMode {
    /// At instantiation, to address `offset` (an `i32`) of a memory.
    Active { memory: u32, offset: ConstExpr },
    /// By `memory.init`.
    Passive,
}

/// A constant expression: the operations of a valid one, in order.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ConstExpr {
    /// A number or null.
    Value(u64),
    /// The value of a global.
    Global(u32),
    /// A reference to a function.
    FuncRef(u32),
    /// Operations on a stack that leave one value.
    Ops(Box<[ConstOp]>),
}

/// One operation of a constant expression.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum ConstOp {
    Value(u64),
    Global(u32),
    FuncRef(u32),
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

/// What a constant expression can refer to.
pub(crate) trait ConstEnv {
    /// The value of a global.
    fn global(&mut self, index: u32) -> u64;
    /// A reference to a function: a pointer to its `VMFuncRef`.
    fn func_ref(&mut self, index: u32) -> u64;
}

impl ConstExpr {
    /// The value, in the form it has in a global: narrow values in the low bits, the others zero.
    pub(crate) fn eval(&self, env: &mut impl ConstEnv) -> u64 {
        match self {
            ConstExpr::Value(value) => *value,
            ConstExpr::Global(index) => env.global(*index),
            ConstExpr::FuncRef(index) => env.func_ref(*index),
            ConstExpr::Ops(ops) => eval_ops(ops, env),
        }
    }
}

fn eval_ops(ops: &[ConstOp], env: &mut impl ConstEnv) -> u64 {
    fn binary(stack: &mut Vec<u64>, f: impl FnOnce(u64, u64) -> u64) -> u64 {
        let b = stack.pop().expect("valid expression");
        let a = stack.pop().expect("valid expression");
        f(a, b)
    }
    let low = |value: u64| u64::from(value as u32);
    let mut stack = Vec::new();
    for op in ops {
        let value = match *op {
            ConstOp::Value(value) => value,
            ConstOp::Global(index) => env.global(index),
            ConstOp::FuncRef(index) => env.func_ref(index),
            ConstOp::I32Add => low(binary(&mut stack, u64::wrapping_add)),
            ConstOp::I32Sub => low(binary(&mut stack, u64::wrapping_sub)),
            ConstOp::I32Mul => low(binary(&mut stack, u64::wrapping_mul)),
            ConstOp::I64Add => binary(&mut stack, u64::wrapping_add),
            ConstOp::I64Sub => binary(&mut stack, u64::wrapping_sub),
            ConstOp::I64Mul => binary(&mut stack, u64::wrapping_mul),
        };
        stack.push(value);
    }
    stack.pop().expect("valid expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Env;

    impl ConstEnv for Env {
        fn global(&mut self, index: u32) -> u64 {
            u64::from(index) * 100
        }
        fn func_ref(&mut self, index: u32) -> u64 {
            0x1000 + u64::from(index)
        }
    }

    #[test]
    fn constant_expressions_evaluate() {
        assert_eq!(ConstExpr::Value(7).eval(&mut Env), 7);
        assert_eq!(ConstExpr::Global(3).eval(&mut Env), 300);
        assert_eq!(ConstExpr::FuncRef(2).eval(&mut Env), 0x1002);
        let ops = |ops: &[ConstOp]| ConstExpr::Ops(ops.into()).eval(&mut Env);
        use ConstOp::*;
        assert_eq!(ops(&[Value(1), Value(2), I32Sub]), 0xffff_ffff);
        assert_eq!(ops(&[Value(1), Value(2), I64Sub]), u64::MAX);
        assert_eq!(ops(&[Global(1), Value(3), I64Mul, Value(5), I64Add]), 305);
        assert_eq!(
            ops(&[Value(0xffff_ffff), Value(2), I32Mul, Value(1), I32Add]),
            0xffff_ffff
        );
    }
}
