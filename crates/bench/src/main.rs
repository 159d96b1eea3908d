//! Nopal measured next to its peers, in one run. The command line is described in the README.

mod child;
mod clock;
mod commands;
mod corpus;
mod engines;
mod extras;
mod extras_table;
mod figures;
mod growth;
mod measure;
mod memory;
mod options;
mod page;
mod phases;
mod plots;
mod report;
mod start;
mod stats;
mod svg;
mod synthetic;
mod table;
mod toggle;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use commands::Failure;
use options::{Cli, Measurement};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Measurement::Child(job)) = &cli.command {
        child::main(job);
    }
    match commands::run(cli.command.as_ref(), &cli.options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(Failure::Usage(message)) => Cli::command()
            .error(ErrorKind::MissingRequiredArgument, message)
            .exit(),
        Err(Failure::Other(message)) => {
            eprintln!("nopal-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
