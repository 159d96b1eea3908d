//! What modules import and export.

use crate::context::AsContext;
use crate::{ExternType, Func, Global, Memory, MemoryType, Table, TableType};

/// Something an instance can import or export.
#[derive(Clone, Copy, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A table.
    Table(Table),
    /// A memory.
    Memory(Memory),
    /// A global variable.
    Global(Global),
}

impl Extern {
    /// Its type. For a table or memory, the minimum is its present length.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        match self {
            Extern::Func(func) => ExternType::Func(func.ty(store)),
            Extern::Table(table) => {
                let (ty, len) = (table.ty(&store), table.size(&store));
                ExternType::Table(TableType::new(ty.element(), len, ty.max()))
            }
            Extern::Memory(memory) => {
                let (ty, pages) = (memory.ty(&store), memory.size(&store));
                ExternType::Memory(MemoryType::new(pages as u32, ty.max()))
            }
            Extern::Global(global) => ExternType::Global(global.ty(store)),
        }
    }

    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        match self {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        match self {
            Extern::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        match self {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        match self {
            Extern::Global(global) => Some(global),
            _ => None,
        }
    }
}

macro_rules! extern_from {
    ($($name:ident)*) => {
        $(impl From<$name> for Extern {
            fn from(value: $name) -> Extern {
                Extern::$name(value)
            }
        })*
    };
}
extern_from!(Func Table Memory Global);
