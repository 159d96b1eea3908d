//! What no back end handles yet, refused before anything else looks at it.

use crate::CodegenError;
use nopal_ir::{AbiParam, ArgumentPurpose, CallConv, Function, Signature, Type};

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
        CallConv::WindowsFastcall,
    ];
    if !supported.contains(&sig.call_conv) {
        return unsupported(format!("calling convention {}", sig.call_conv));
    }
    if sig.call_conv == CallConv::WindowsFastcall {
        let wide = |p: &AbiParam| p.ty == Type::I128;
        if sig.returns.len() > 1 {
            return unsupported("several results with convention windows_fastcall".into());
        }
        if sig.params.iter().chain(&sig.returns).any(wide) {
            return unsupported("i128 with convention windows_fastcall".into());
        }
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
