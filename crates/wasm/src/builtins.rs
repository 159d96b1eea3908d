//! The functions of the runtime that compiled code calls.
//!
//! Each has the platform's C convention and takes the pointer to the instance's context before the
//! parameters listed here. A builtin that fails does not return: it raises a trap.

use nopal_ir::Type;

/// Calls `$m!` with one row for every builtin: `name(param: type, ...) -> result;`, where a type
/// is `i32`, `i64` or, in place of the result, `none`.
macro_rules! for_each_builtin {
    ($m:ident) => {
        $m! {
            /// Grow a memory by `delta` pages; its old number of pages, or -1 if it cannot grow.
            memory_grow(memory: i32, delta: i32) -> i32;
            /// Copy `len` bytes. The memories are `*const VMMemory`.
            memory_copy(dst_memory: i64, src_memory: i64, dst: i32, src: i32, len: i32) -> none;
            /// Set `len` bytes to the low byte of `value`. The memory is a `*const VMMemory`.
            memory_fill(memory: i64, dst: i32, value: i32, len: i32) -> none;
            /// Copy `len` bytes of a data segment.
            memory_init(memory: i32, segment: i32, dst: i32, src: i32, len: i32) -> none;
            /// Empty a data segment.
            data_drop(segment: i32) -> none;
            /// Grow a table by `delta` elements `init`; its old length, or -1 if it cannot grow.
            table_grow(table: i32, delta: i32, init: i64) -> i32;
            /// Copy `len` elements.
            table_copy(dst_table: i32, src_table: i32, dst: i32, src: i32, len: i32) -> none;
            /// Set `len` elements to `value`.
            table_fill(table: i32, dst: i32, value: i64, len: i32) -> none;
            /// Copy `len` elements of an element segment.
            table_init(table: i32, segment: i32, dst: i32, src: i32, len: i32) -> none;
            /// Empty an element segment.
            elem_drop(segment: i32) -> none;
        }
    };
}
pub(crate) use for_each_builtin;

macro_rules! ir_type {
    (i32) => {
        Some(Type::I32)
    };
    (i64) => {
        Some(Type::I64)
    };
    (none) => {
        None
    };
}

macro_rules! define_builtins {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) -> $result:ident;)*) => {
        /// A function of the runtime that compiled code calls.
        #[allow(non_camel_case_types, reason = "named like the functions")]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Builtin { $($(#[$doc])* $name,)* }

        impl Builtin {
            /// Every builtin, in the order of the table of pointers.
            pub(crate) const ALL: &'static [Builtin] = &[$(Builtin::$name),*];

            /// The types of the parameters after the context.
            pub(crate) fn params(self) -> impl Iterator<Item = Type> {
                const PARAMS: &[&[Option<Type>]] = &[$(&[$(ir_type!($ty)),*]),*];
                PARAMS[self as usize].iter().copied().flatten()
            }

            /// The type of the result, if it has one.
            pub(crate) fn result(self) -> Option<Type> {
                const RESULTS: &[Option<Type>] = &[$(ir_type!($result)),*];
                RESULTS[self as usize]
            }
        }
    };
}
for_each_builtin!(define_builtins);

impl Builtin {
    /// Offset of its pointer in the table.
    pub(crate) fn offset(self) -> i32 {
        self as i32 * 8
    }
}
