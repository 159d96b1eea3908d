//! The `nopal` command: see README.md beside this crate's manifest, or `nopal --help`.

#![forbid(unsafe_code)]

mod args;
mod compile;
mod failure;
mod filetest;
mod guest;
mod load;
mod output;
mod trace;
mod values;

use args::{Cli, Command};
use failure::Failure;

fn main() {
    let outcome = args::parse().and_then(run);
    let code = match outcome {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    };
    std::process::exit(code);
}

/// Do what the command line says; returns the exit code.
fn run(cli: Cli) -> Result<i32, Failure> {
    match cli.command {
        Command::Run(args) => guest::run(&args.guest),
        Command::Trace(args) => trace::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Filetest(args) => filetest::run(&args),
    }
}
