//! Which Wasm features are supported, and how the others are refused.

use crate::error::Error;
use wasmparser::{Parser, Validator, WasmFeatures};

/// WebAssembly 2.0 without SIMD, and extended constant expressions.
pub(crate) const SUPPORTED: WasmFeatures = WasmFeatures::WASM2
    .difference(WasmFeatures::SIMD)
    .union(WasmFeatures::EXTENDED_CONST);

/// Proposals that are refused by name.
const KNOWN: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::SIMD, "simd"),
    (WasmFeatures::RELAXED_SIMD, "relaxed-simd"),
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::TAIL_CALL, "tail-call"),
    (WasmFeatures::MULTI_MEMORY, "multi-memory"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy-exceptions"),
    (WasmFeatures::MEMORY64, "memory64"),
    (WasmFeatures::FUNCTION_REFERENCES, "function-references"),
    (WasmFeatures::GC, "gc"),
    (WasmFeatures::COMPONENT_MODEL, "component-model"),
    (WasmFeatures::MEMORY_CONTROL, "memory-control"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom-page-sizes"),
    (WasmFeatures::STACK_SWITCHING, "stack-switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide-arithmetic"),
    (WasmFeatures::COMPACT_IMPORTS, "compact-imports"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom-descriptors"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything-threads",
    ),
    (
        WasmFeatures::ACQUIRE_RELEASE_ATOMICS,
        "acquire-release-atomics",
    ),
];

const SIMD_PREFIX: u8 = 0xfd;

fn name_of(feature: WasmFeatures) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|(known, _)| feature.intersects(*known))
        .map(|&(_, name)| name)
}

/// The unsupported feature that `err` is about, if it says so; it was found in the part of the
/// module that begins at `start`.
fn missing_feature(err: &wasmparser::Error, bytes: &[u8], start: u64) -> Option<&'static str> {
    if let Some(name) = err.missing_wasm_feature().and_then(name_of) {
        return Some(name);
    }
    // The decoder does not know SIMD instructions at all.
    let at = usize::try_from(err.offset().checked_sub(start)?).ok()?;
    let simd = bytes.get(at) == Some(&SIMD_PREFIX) && err.message().contains("SIMD");
    simd.then_some("simd")
}

/// The error for what the validator found in a part of the module that begins at `start`.
#[cold]
pub(crate) fn refuse(err: &wasmparser::Error, bytes: &[u8], start: u64) -> Error {
    match missing_feature(err, bytes, start) {
        Some(name) => Error::unsupported(err.offset(), name),
        None => invalid(err),
    }
}

/// The message is kept to one line, also where it quotes bytes of the module.
fn invalid(err: &wasmparser::Error) -> Error {
    Error::invalid(err.offset(), err.message().replace('\n', " "))
}

/// The error for a module outside of whose function bodies the validator found `err`.
///
/// Not every use of an unsupported feature is recognized as such while the feature is off. If the
/// module is valid with more features on, the least of them that do are what is missing.
#[cold]
pub(super) fn refuse_module(err: &wasmparser::Error, wasm: &[u8]) -> Error {
    let valid = |features| {
        let mut validator = Validator::new_with_features(features);
        let mut parser = Parser::new(0);
        parser.set_features(features);
        parser
            .parse_all(wasm)
            .all(|payload| payload.is_ok_and(|payload| validator.payload(&payload).is_ok()))
    };
    if let Some(name) = missing_feature(err, wasm, 0) {
        return Error::unsupported(err.offset(), name);
    }
    let all = KNOWN.iter().map(|&(feature, _)| feature);
    let mut features = all.fold(SUPPORTED, WasmFeatures::union);
    if !valid(features) {
        return invalid(err);
    }
    let mut names = Vec::new();
    for &(feature, name) in KNOWN {
        let without = features.difference(feature);
        if valid(without) {
            features = without;
        } else {
            names.push(name);
        }
    }
    Error::unsupported(err.offset(), names.join(" and "))
}
