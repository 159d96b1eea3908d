//! A WebAssembly runtime that is observable while it runs.

mod builtins;
mod error;
mod inspect;
mod module_info;
mod parse;
mod sites;
mod translate;
mod trap_codes;
mod types;
mod vm_offsets;

pub use error::{Error, Result};
pub use inspect::Inspector;
pub use sites::{SiteKind, Sites};
pub use types::{ExternType, FuncType, GlobalType, MemoryType, RefType, TableType, ValType};
