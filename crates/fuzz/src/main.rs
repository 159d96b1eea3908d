#![doc = include_str!("../README.md")]

mod compare;
mod mutate;
mod opcodes;
mod oracle;
mod quiet;
mod shorten;
mod strip;
mod text;

use crate::mutate::Stage;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Looks for errors of Nopal's compiler with random input.
#[derive(Parser)]
#[command(name = "nopal-fuzz", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile random functions with Nopal and with Cranelift, run both, and compare.
    Compare(CompareArgs),
    /// Mutate CLIF text; reading, verifying and compiling it must neither panic nor hang.
    Text(TextArgs),
    /// Try texts that have failed once more, and write shorter ones that fail alike.
    Retry(RetryArgs),
}

/// What to generate, and for how long.
#[derive(Args, Clone)]
struct CompareArgs {
    /// Modules to generate; each has up to four functions.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// The most statements of a function, about.
    #[arg(long, default_value_t = 60)]
    size: usize,
    /// Stop after this time even if seeds are left, e.g. 90s, 10m, 1h.
    #[arg(long, value_parser = duration)]
    time: Option<Duration>,
    /// Where to write the reduced reproduction of a difference.
    #[arg(long, default_value = "fuzz-failures")]
    out: PathBuf,
}

/// What to mutate, and for how long.
#[derive(Args, Clone)]
struct TextArgs {
    /// Files, and folders of files, to mutate besides generated functions.
    paths: Vec<PathBuf>,
    /// Aim at one stage; without this, at each in turn.
    #[arg(long)]
    stage: Option<Stage>,
    /// How long, e.g. 90s, 10m, 1h.
    #[arg(long, value_parser = duration, default_value = "60s")]
    time: Duration,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Stop after so many findings.
    #[arg(long, default_value_t = 10)]
    findings: u64,
    /// Where to write inputs that fail.
    #[arg(long, default_value = "fuzz-failures")]
    out: PathBuf,
}

/// What to try again.
#[derive(Args, Clone)]
struct RetryArgs {
    /// The texts.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number and a unit".to_string())?;
    let seconds = match unit {
        "" | "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => return Err(format!("the unit {unit:?} is none of s, m, h")),
    };
    Ok(Duration::from_secs(seconds))
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Text(args) => text::run(&args),
        Command::Retry(args) => text::retry(&args),
    }
}
