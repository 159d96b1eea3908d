#![doc = include_str!("../README.md")]

mod commands;
mod config;
mod discover;
pub mod exec;
mod file;
mod filecheck;
mod report;
mod run;

pub use report::{Check, FileReport, Outcome, Report, Summary};

use rayon::prelude::*;
use std::path::PathBuf;

/// How files are tested.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Rewrite the expectations of `test compile precise-output` instead of comparing.
    pub bless: bool,
}

/// Test files; folders stand for all `.clif` files in them. Files are tested in parallel.
///
/// Nothing about a file stops the others: what cannot be read or parsed has failed.
///
/// # Errors
///
/// A path does not exist, or a folder cannot be listed; the text names it.
pub fn run(paths: &[PathBuf], options: &Options) -> Result<Report, String> {
    let files = discover::files(paths)?;
    let pool = rayon::ThreadPoolBuilder::new()
        // Tests recurse and have large frames.
        .stack_size(64 << 20)
        .build()
        .map_err(|e| e.to_string())?;
    let test = |path: &PathBuf| file::test(path, options);
    let files = pool.install(|| files.par_iter().map(test).collect());
    Ok(Report { files })
}
