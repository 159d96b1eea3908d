//! Functions from text.
//!
//! [`parse_functions`] reads the functions of a file; [`parse_test`] also what stands around them:
//! the test commands, settings and targets at its head, and the comments, among which are the run
//! commands that [`parse_run_command`] reads.
//!
//! The grammar is that of Cranelift's reader, and beyond it:
//!
//! - `site=7` and `observe=[v1, v2]` after a call of a patchable function, beside `stack_map`;
//! - the convention `patchable`, another spelling of `preserve_all` for the signature of a
//!   `patchable` function, and the opcode `patchable_call`, of `call` to such a function;
//! - dynamic types wherever a type can be, as `dt0` or as `i32x4xN`;
//! - names between quotes, `%"a.b"`; floats without a point, `0x1p3`; commas between lanes.
//!
//! Values and blocks keep the numbers of the text, unless these are out of proportion to its
//! length. Other entities are numbered from 0 on in the order of their numbers. A value that is
//! an alias is replaced by what it stands for. Every text gives functions or an error, in time and
//! memory that grow with its length.

mod body;
mod cursor;
mod edges;
mod error;
mod function;
mod lexer;
mod numbers;
mod operands;
mod preamble;
mod run;
mod testfile;
mod values;

pub use error::ParseError;
pub use run::{Comparison, Invocation, RunCommand, parse_run_command};
pub use testfile::{
    Comment, Feature, Setting, TargetLine, TestCommand, TestFile, TestFunction, parse_test,
};

use crate::Function;

/// Read the functions of `text`, which may have the head of a test file.
///
/// A signature that names no convention has the default one of [`parse_test`].
///
/// # Errors
///
/// If the text is not what it should be; the error says where.
pub fn parse_functions(text: &str) -> Result<Vec<Function>, ParseError> {
    let file = parse_test(text)?;
    Ok(file.functions.into_iter().map(|f| f.function).collect())
}
