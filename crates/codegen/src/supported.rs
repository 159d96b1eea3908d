//! What no back end handles yet, refused before anything else looks at it.

use crate::CodegenError;
use nopal_ir::{ArgumentPurpose, CallConv, Function, Signature};

/// Refuse calling conventions and kinds of parameters that are not handled. Types of values are
/// looked at by [`crate::legalize::needed`].
pub(crate) fn check(func: &Function) -> Result<(), CodegenError> {
    let own = core::iter::once(&func.signature);
    for sig in own.chain(func.sigs()) {
        check_signature(sig)?;
    }
    Ok(())
}

fn check_signature(sig: &Signature) -> Result<(), CodegenError> {
    let unsupported = |what: String| Err(CodegenError::Unsupported(what));
    let supported = [
        CallConv::Fast,
        CallConv::Tail,
        CallConv::SystemV,
        CallConv::PreserveAll,
    ];
    if !supported.contains(&sig.call_conv) {
        return unsupported(format!("calling convention {}", sig.call_conv));
    }
    let by_copy = |purpose| matches!(purpose, ArgumentPurpose::StructArgument(_));
    match sig
        .params
        .iter()
        .chain(&sig.returns)
        .find(|p| by_copy(p.purpose))
    {
        Some(p) => unsupported(format!("passing `{p}`")),
        None => Ok(()),
    }
}
