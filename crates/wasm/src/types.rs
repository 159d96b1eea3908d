//! Types of values, functions, tables, memories and globals.

use std::fmt;

/// The type of a Wasm value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// A function or null.
    FuncRef,
    /// A host object or null.
    ExternRef,
}

impl ValType {
    /// Whether this is an integer or floating-point type.
    pub fn is_num(self) -> bool {
        !self.is_ref()
    }

    /// Whether this is a reference type.
    pub fn is_ref(self) -> bool {
        matches!(self, ValType::FuncRef | ValType::ExternRef)
    }

    /// The type of the IR value that holds a value of this type.
    pub(crate) fn ir(self) -> nopal_ir::Type {
        match self {
            ValType::I32 => nopal_ir::Type::I32,
            ValType::F32 => nopal_ir::Type::F32,
            ValType::F64 => nopal_ir::Type::F64,
            ValType::I64 | ValType::FuncRef | ValType::ExternRef => nopal_ir::Type::I64,
        }
    }
}

impl fmt::Display for ValType {
    /// The name in the Wasm text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::FuncRef => "funcref",
            ValType::ExternRef => "externref",
        })
    }
}

/// The type of a reference; every reference may be null.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefType {
    /// A function.
    Func,
    /// A host object.
    Extern,
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        match ty {
            RefType::Func => ValType::FuncRef,
            RefType::Extern => ValType::ExternRef,
        }
    }
}

impl fmt::Display for RefType {
    /// The name in the Wasm text format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValType::from(*self).fmt(f)
    }
}

/// Parameters and results of a function.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
}

impl FuncType {
    /// The type of functions from `params` to `results`.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        FuncType {
            params: params.into_iter().collect(),
            results: results.into_iter().collect(),
        }
    }

    /// The parameters, in order.
    pub fn params(&self) -> &[ValType] {
        &self.params
    }

    /// The results, in order.
    pub fn results(&self) -> &[ValType] {
        &self.results
    }
}

impl fmt::Display for FuncType {
    /// `(i32, i64) -> (f32)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[ValType]| {
            f.write_str("(")?;
            for (i, ty) in types.iter().enumerate() {
                write!(f, "{}{ty}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str(")")
        };
        list(f, &self.params)?;
        f.write_str(" -> ")?;
        list(f, &self.results)
    }
}

/// The type of a table: what it holds and how many elements it may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableType {
    element: RefType,
    min: u32,
    max: Option<u32>,
}

impl TableType {
    /// A table of `element` with at least `min` and at most `max` elements.
    pub fn new(element: RefType, min: u32, max: Option<u32>) -> Self {
        TableType { element, min, max }
    }

    /// What the table holds.
    pub fn element(&self) -> RefType {
        self.element
    }

    /// The least number of elements.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// The largest number of elements, if there is a limit.
    pub fn max(&self) -> Option<u32> {
        self.max
    }
}

impl fmt::Display for TableType {
    /// `table 1 10 funcref`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.min)?;
        if let Some(max) = self.max {
            write!(f, " {max}")?;
        }
        write!(f, " {}", self.element)
    }
}

/// The type of a memory: how many pages of 64 KiB it may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemoryType {
    min: u32,
    max: Option<u32>,
}

impl MemoryType {
    /// A memory of at least `min` and at most `max` pages of 64 KiB.
    ///
    /// No memory has more than 65,536 pages, whatever its type says.
    pub fn new(min: u32, max: Option<u32>) -> Self {
        MemoryType { min, max }
    }

    /// The least number of pages.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// The largest number of pages, if there is a limit.
    pub fn max(&self) -> Option<u32> {
        self.max
    }
}

impl fmt::Display for MemoryType {
    /// `memory 1 10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory {}", self.min)?;
        match self.max {
            Some(max) => write!(f, " {max}"),
            None => Ok(()),
        }
    }
}

/// The type of a global variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GlobalType {
    content: ValType,
    mutable: bool,
}

impl GlobalType {
    /// A global variable that holds `content`.
    pub fn new(content: ValType, mutable: bool) -> Self {
        GlobalType { content, mutable }
    }

    /// The type of the value.
    pub fn content(&self) -> ValType {
        self.content
    }

    /// Whether the value can change.
    pub fn mutable(&self) -> bool {
        self.mutable
    }
}

impl fmt::Display for GlobalType {
    /// `global i32` or `global (mut i32)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mutable {
            write!(f, "global (mut {})", self.content)
        } else {
            write!(f, "global {}", self.content)
        }
    }
}

/// The type of something that a module imports or exports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global variable.
    Global(GlobalType),
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "func {ty}"),
            ExternType::Table(ty) => ty.fmt(f),
            ExternType::Memory(ty) => ty.fmt(f),
            ExternType::Global(ty) => ty.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_like_the_text_format() {
        let func = FuncType::new([ValType::I32, ValType::ExternRef], [ValType::F64]);
        let print = |ty: ExternType| ty.to_string();
        assert_eq!(
            print(ExternType::Func(func)),
            "func (i32, externref) -> (f64)"
        );
        assert_eq!(
            print(ExternType::Table(TableType::new(RefType::Func, 1, Some(2)))),
            "table 1 2 funcref"
        );
        assert_eq!(
            print(ExternType::Memory(MemoryType::new(3, None))),
            "memory 3"
        );
        assert_eq!(
            print(ExternType::Global(GlobalType::new(ValType::I64, true))),
            "global (mut i64)"
        );
    }
}
