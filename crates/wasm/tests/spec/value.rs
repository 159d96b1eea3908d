//! Values of the test language.

use nopal_wasm::{ExternRef, Val};
use wast::core::{AbstractHeapType, HeapType, NanPattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// An argument of an invocation.
pub(crate) fn argument(arg: &WastArg<'_>) -> Result<Val, String> {
    let WastArg::Core(arg) = arg else {
        return Err(format!("argument {arg:?}"));
    };
    Ok(match arg {
        WastArgCore::I32(n) => Val::I32(*n),
        WastArgCore::I64(n) => Val::I64(*n),
        WastArgCore::F32(x) => Val::F32(x.bits),
        WastArgCore::F64(x) => Val::F64(x.bits),
        WastArgCore::RefExtern(n) => Val::from(ExternRef::new(*n)),
        WastArgCore::RefNull(ty) => null(ty)?,
        other => return Err(format!("argument {other:?}")),
    })
}

fn null(ty: &HeapType<'_>) -> Result<Val, String> {
    match ty {
        HeapType::Abstract {
            ty: AbstractHeapType::Func,
            ..
        } => Ok(Val::FuncRef(None)),
        HeapType::Abstract {
            ty: AbstractHeapType::Extern,
            ..
        } => Ok(Val::ExternRef(None)),
        other => Err(format!("null of type {other:?}")),
    }
}

/// Whether a result is an expected one.
pub(crate) fn matches(actual: &Val, expected: &WastRet<'_>) -> bool {
    match expected {
        WastRet::Core(expected) => matches_core(actual, expected),
        _ => false,
    }
}

fn matches_core(actual: &Val, expected: &WastRetCore<'_>) -> bool {
    match (actual, expected) {
        (Val::I32(a), WastRetCore::I32(b)) => a == b,
        (Val::I64(a), WastRetCore::I64(b)) => a == b,
        (Val::F32(a), WastRetCore::F32(b)) => matches_f32(*a, b),
        (Val::F64(a), WastRetCore::F64(b)) => matches_f64(*a, b),
        (Val::FuncRef(None), WastRetCore::RefNull(ty)) => {
            ty.is_none_or(|ty| matches!(null(&ty), Ok(Val::FuncRef(None))))
        }
        (Val::ExternRef(None), WastRetCore::RefNull(ty)) => {
            ty.is_none_or(|ty| matches!(null(&ty), Ok(Val::ExternRef(None))))
        }
        (Val::FuncRef(Some(_)), WastRetCore::RefFunc(None)) => true,
        (Val::ExternRef(Some(object)), WastRetCore::RefExtern(n)) => match n {
            Some(n) => object.data().downcast_ref::<u32>() == Some(n),
            None => true,
        },
        (_, WastRetCore::Either(cases)) => cases.iter().any(|case| matches_core(actual, case)),
        _ => false,
    }
}

/// A canonical NaN has only the highest bit of its fraction set; an arithmetic one at least that.
fn matches_f32(actual: u32, expected: &NanPattern<F32>) -> bool {
    const QUIET: u32 = 0x7fc0_0000;
    match expected {
        NanPattern::CanonicalNan => actual & 0x7fff_ffff == QUIET,
        NanPattern::ArithmeticNan => actual & QUIET == QUIET,
        NanPattern::Value(x) => actual == x.bits,
    }
}

fn matches_f64(actual: u64, expected: &NanPattern<F64>) -> bool {
    const QUIET: u64 = 0x7ff8_0000_0000_0000;
    match expected {
        NanPattern::CanonicalNan => actual & 0x7fff_ffff_ffff_ffff == QUIET,
        NanPattern::ArithmeticNan => actual & QUIET == QUIET,
        NanPattern::Value(x) => actual == x.bits,
    }
}
