//! Layout of the context that compiled code reaches through its first parameter.
//!
//! All fields are naturally aligned; pointers take 8 bytes.
//!
//! ```text
//! VMContext
//!    0  *mut StoreContext         the store, see the STORE_* offsets
//!    8  *const Builtins           table of functions the code calls, one pointer each
//!   16  *const u32                engine-wide id of each type of the module
//!   24  imported functions        VMFunctionImport each: code pointer, context pointer
//!       imported tables           *mut VMTable each
//!       imported memories         *mut VMMemory each
//!       imported globals          *mut u8 each: where the value is
//!       defined tables            VMTable each: *mut u64 elements, u64 length
//!       defined memories          VMMemory each: *mut u8 base, u64 length in bytes
//!       defined globals           16 bytes each, 16-byte aligned, value first
//!       function references       VMFuncRef each, for functions that can be referred to
//!
//! VMFuncRef (24 bytes)
//!    0  code pointer (the Wasm-internal entry: fast convention, context first)
//!    8  context pointer of that code
//!   16  u32 engine-wide type id, 4 bytes padding
//! ```
//!
//! A `funcref` is a `*const VMFuncRef`, null for `ref.null`; an `externref` is a nonzero 64-bit
//! handle, 0 for null.

/// Offset of the pointer to the store's context.
pub(crate) const STORE_CONTEXT: i32 = 0;
/// Offset of the pointer to the table of built-in functions.
pub(crate) const BUILTINS: i32 = 8;
/// Offset of the pointer to the array of engine-wide type ids.
pub(crate) const TYPE_IDS: i32 = 16;
const FIRST: u32 = 24;

/// Offsets in `VMFunctionImport` and `VMFuncRef`.
pub(crate) const FUNC_CODE: i32 = 0;
pub(crate) const FUNC_CONTEXT: i32 = 8;
pub(crate) const FUNC_TYPE_ID: i32 = 16;
const FUNC_IMPORT_SIZE: u32 = 16;
const FUNC_REF_SIZE: u32 = 24;

/// Offsets in `VMTable`.
pub(crate) const TABLE_BASE: i32 = 0;
pub(crate) const TABLE_LEN: i32 = 8;
const TABLE_SIZE: u32 = 16;

/// Offsets in `VMMemory`.
pub(crate) const MEMORY_BASE: i32 = 0;
pub(crate) const MEMORY_LEN: i32 = 8;
const MEMORY_SIZE: u32 = 16;

const GLOBAL_SIZE: u32 = 16;

/// How many of each thing a module imports, defines and refers to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) imported_funcs: u32,
    pub(crate) imported_tables: u32,
    pub(crate) imported_memories: u32,
    pub(crate) imported_globals: u32,
    pub(crate) defined_tables: u32,
    pub(crate) defined_memories: u32,
    pub(crate) defined_globals: u32,
    pub(crate) func_refs: u32,
}

/// Offsets of the variable parts of a module's context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VMOffsets {
    func_imports: u32,
    table_imports: u32,
    memory_imports: u32,
    global_imports: u32,
    tables: u32,
    memories: u32,
    globals: u32,
    func_refs: u32,
    size: u32,
}

impl VMOffsets {
    /// The layout for a module; `None` if the context would exceed 1 GiB.
    pub(crate) fn new(counts: &Counts) -> Option<Self> {
        let mut at: u64 = FIRST.into();
        let mut area = |count: u32, size: u32, align: u64| {
            at = at.next_multiple_of(align);
            let start = at;
            at += u64::from(count) * u64::from(size);
            start as u32
        };
        let mut offsets = VMOffsets {
            func_imports: area(counts.imported_funcs, FUNC_IMPORT_SIZE, 8),
            table_imports: area(counts.imported_tables, 8, 8),
            memory_imports: area(counts.imported_memories, 8, 8),
            global_imports: area(counts.imported_globals, 8, 8),
            tables: area(counts.defined_tables, TABLE_SIZE, 8),
            memories: area(counts.defined_memories, MEMORY_SIZE, 8),
            globals: area(counts.defined_globals, GLOBAL_SIZE, 16),
            func_refs: area(counts.func_refs, FUNC_REF_SIZE, 8),
            size: 0,
        };
        if at > 1 << 30 {
            return None;
        }
        offsets.size = at as u32;
        Some(offsets)
    }

    /// Size of the context in bytes.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// The `VMFunctionImport` of imported function `index`.
    pub(crate) fn func_import(&self, index: u32) -> i32 {
        (self.func_imports + index * FUNC_IMPORT_SIZE) as i32
    }

    /// The `*mut VMTable` of imported table `index`.
    pub(crate) fn table_import(&self, index: u32) -> i32 {
        (self.table_imports + index * 8) as i32
    }

    /// The `*mut VMMemory` of imported memory `index`.
    pub(crate) fn memory_import(&self, index: u32) -> i32 {
        (self.memory_imports + index * 8) as i32
    }

    /// The `*mut u8` of imported global `index`.
    pub(crate) fn global_import(&self, index: u32) -> i32 {
        (self.global_imports + index * 8) as i32
    }

    /// The `VMTable` of defined table `index` (counted without imports).
    pub(crate) fn table(&self, index: u32) -> i32 {
        (self.tables + index * TABLE_SIZE) as i32
    }

    /// The `VMMemory` of defined memory `index` (counted without imports).
    pub(crate) fn memory(&self, index: u32) -> i32 {
        (self.memories + index * MEMORY_SIZE) as i32
    }

    /// The value of defined global `index` (counted without imports).
    pub(crate) fn global(&self, index: u32) -> i32 {
        (self.globals + index * GLOBAL_SIZE) as i32
    }

    /// The `VMFuncRef` number `index` (see `ModuleInfo` for which function has which).
    pub(crate) fn func_ref(&self, index: u32) -> i32 {
        (self.func_refs + index * FUNC_REF_SIZE) as i32
    }
}
