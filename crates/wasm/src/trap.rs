//! Traps and backtraces.

use crate::trap_codes;
use nopal_ir::TrapCode;
use std::fmt;
use std::sync::Arc;

/// Why the guest trapped. Prints as the Wasm specification's tests word it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrapKind {
    /// `unreachable` was executed.
    #[error("unreachable")]
    Unreachable,
    /// An access outside a linear memory.
    #[error("out of bounds memory access")]
    MemoryOutOfBounds,
    /// An access outside a table.
    #[error("out of bounds table access")]
    TableOutOfBounds,
    /// `call_indirect` with an index outside the table.
    #[error("undefined element")]
    UndefinedElement,
    /// `call_indirect` met a null reference.
    #[error("uninitialized element")]
    IndirectCallToNull,
    /// `call_indirect` met a function of another type.
    #[error("indirect call type mismatch")]
    BadSignature,
    /// A signed division or a conversion whose result has no representation.
    #[error("integer overflow")]
    IntegerOverflow,
    /// A division by zero.
    #[error("integer divide by zero")]
    IntegerDivisionByZero,
    /// NaN was converted to an integer.
    #[error("invalid conversion to integer")]
    BadConversionToInteger,
    /// The guest used up its stack.
    #[error("call stack exhausted")]
    StackOverflow,
    /// A hook stopped the guest.
    #[error("interrupted")]
    Interrupted,
}

impl TrapKind {
    /// The kind of an instruction's trap code; none for a code that Wasm code never has.
    pub(crate) fn from_code(code: TrapCode) -> Option<TrapKind> {
        Some(match code {
            TrapCode::STACK_OVERFLOW => TrapKind::StackOverflow,
            TrapCode::INTEGER_OVERFLOW => TrapKind::IntegerOverflow,
            TrapCode::HEAP_OUT_OF_BOUNDS => TrapKind::MemoryOutOfBounds,
            TrapCode::INTEGER_DIVISION_BY_ZERO => TrapKind::IntegerDivisionByZero,
            TrapCode::BAD_CONVERSION_TO_INTEGER => TrapKind::BadConversionToInteger,
            trap_codes::UNREACHABLE => TrapKind::Unreachable,
            trap_codes::UNDEFINED_ELEMENT => TrapKind::UndefinedElement,
            trap_codes::UNINITIALIZED_ELEMENT => TrapKind::IndirectCallToNull,
            trap_codes::BAD_SIGNATURE => TrapKind::BadSignature,
            trap_codes::TABLE_OUT_OF_BOUNDS => TrapKind::TableOutOfBounds,
            _ => return None,
        })
    }
}

/// A trap and where the guest was.
#[derive(Clone, Debug)]
pub struct TrapError {
    kind: TrapKind,
    frames: Box<[Frame]>,
    depth: usize,
}

impl TrapError {
    pub(crate) fn new(kind: TrapKind) -> Self {
        TrapError {
            kind,
            frames: Box::default(),
            depth: 0,
        }
    }

    /// Attach the frames, innermost first, and the number there would be without a limit. A trap
    /// that has frames already keeps them: they are nearer to its cause.
    pub(crate) fn add_backtrace(&mut self, frames: Vec<Frame>, depth: usize) {
        if self.frames.is_empty() {
            self.frames = frames.into();
            self.depth = depth;
        }
    }

    /// Why the guest trapped.
    pub fn kind(&self) -> TrapKind {
        self.kind
    }

    /// The guest's frames, innermost first; at most 64 of them.
    pub fn backtrace(&self) -> &[Frame] {
        &self.frames
    }

    /// The number of guest frames there were, which may be more than
    /// [`TrapError::backtrace`] has.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

impl fmt::Display for TrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for TrapError {}

/// A function of the guest in a backtrace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub(crate) module: Option<Arc<str>>,
    pub(crate) func_index: u32,
    pub(crate) func_name: Option<Box<str>>,
    pub(crate) wasm_offset: Option<u32>,
}

impl Frame {
    /// The name the module has in its name section.
    pub fn module_name(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// The index of the function in its module, imports included.
    pub fn func_index(&self) -> u32 {
        self.func_index
    }

    /// The name the function has in the name section.
    pub fn func_name(&self) -> Option<&str> {
        self.func_name.as_deref()
    }

    /// The position of the instruction in the module, in bytes; of the call in the frames but
    /// the innermost. None where a function had not begun its body.
    pub fn wasm_offset(&self) -> Option<u32> {
        self.wasm_offset
    }
}

impl fmt::Display for Frame {
    /// `name (function 3, offset 0x1f2)`, the name being `module!function` if both are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(module) = &self.module {
            write!(f, "{module}!")?;
        }
        let name = self.func_name.as_deref().unwrap_or("<unnamed>");
        write!(f, "{name} (function {}", self.func_index)?;
        if let Some(offset) = self.wasm_offset {
            write!(f, ", offset {offset:#x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_print_what_is_known() {
        let mut frame = Frame {
            module: None,
            func_index: 3,
            func_name: None,
            wasm_offset: None,
        };
        assert_eq!(frame.to_string(), "<unnamed> (function 3)");
        frame.module = Some("m".into());
        frame.func_name = Some("f".into());
        frame.wasm_offset = Some(0x1f2);
        assert_eq!(frame.to_string(), "m!f (function 3, offset 0x1f2)");
    }

    #[test]
    fn the_innermost_backtrace_is_kept() {
        let frame = |func_index| Frame {
            module: None,
            func_index,
            func_name: None,
            wasm_offset: None,
        };
        let mut trap = TrapError::new(TrapKind::Unreachable);
        trap.add_backtrace(vec![frame(1)], 1);
        trap.add_backtrace(vec![frame(2), frame(3)], 2);
        assert_eq!(trap.backtrace(), [frame(1)]);
        assert_eq!(trap.depth(), 1);
    }
}
