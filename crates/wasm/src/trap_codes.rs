//! Codes of the traps that only Wasm code raises, attached to the trapping instructions.
//!
//! The others are the IR's own: `HEAP_OUT_OF_BOUNDS` for accesses to linear memory,
//! `INTEGER_OVERFLOW`, `INTEGER_DIVISION_BY_ZERO`, `BAD_CONVERSION_TO_INTEGER` and `STACK_OVERFLOW`.

use nopal_ir::TrapCode;

const fn user(n: u8) -> TrapCode {
    match TrapCode::user(n) {
        Some(code) => code,
        None => panic!("not a front end's trap code"),
    }
}

/// `unreachable` was executed.
pub(crate) const UNREACHABLE: TrapCode = user(1);
/// `call_indirect` with an index outside the table.
pub(crate) const UNDEFINED_ELEMENT: TrapCode = user(2);
/// `call_indirect` met a null reference. Raised by loading through it.
pub(crate) const UNINITIALIZED_ELEMENT: TrapCode = user(3);
/// `call_indirect` met a function of another type.
pub(crate) const BAD_SIGNATURE: TrapCode = user(4);
/// `table.get` or `table.set` with an index outside the table.
pub(crate) const TABLE_OUT_OF_BOUNDS: TrapCode = user(5);
