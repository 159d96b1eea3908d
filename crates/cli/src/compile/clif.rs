//! The intermediate representation.

use super::{Chosen, heading};
use crate::failure::Failure;
use crate::output;
use std::fmt::Display;
use std::io::Write;

/// Write the IR of each function, which `ir` makes.
pub(super) fn write<F: Display>(
    out: &mut impl Write,
    chosen: &Chosen<'_>,
    ir: impl Fn(u32) -> Result<Option<F>, Failure>,
) -> Result<(), Failure> {
    for func in chosen.iter() {
        if let Some(ir) = ir(func.index())? {
            writeln!(out, "; {}\n{ir}", heading(func)).map_err(output::failure)?;
        }
    }
    Ok(())
}
