//! From Wasm to IR, without running anything.

mod golden;
mod malformed;
mod spec;

use nopal_ir::Function;
use nopal_wasm::{Error, ErrorKind, Inspector, Sites};

/// The IR of every function a module defines.
fn translate(wasm: &[u8], sites: Sites) -> Result<Vec<Function>, Error> {
    let inspector = Inspector::new(wasm)?;
    inspector
        .defined_functions()
        .map(|index| Ok(inspector.ir(index, sites)?.expect("a defined function")))
        .collect()
}

/// Like [`translate`], panicking if the verifier finds anything wrong.
fn translate_and_verify(wasm: &[u8], sites: Sites) -> Result<Vec<Function>, Error> {
    let funcs = translate(wasm, sites)?;
    for func in &funcs {
        if let Err(errors) = nopal_ir::verify(func) {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            panic!("{}\n{func}", errors.join("\n"));
        }
    }
    Ok(funcs)
}

fn is_unsupported(err: &Error) -> bool {
    matches!(err.kind(), ErrorKind::Unsupported { .. })
}
