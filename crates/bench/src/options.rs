//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::child;
use crate::engines::id;
use crate::measure::Plan;
use crate::start;
use crate::toggle;

/// Rounds that every engine takes part in unless a number is asked for.
const MIN_ROUNDS: usize = 3;

/// Rounds after which even the fastest engine stops.
const MAX_ROUNDS: usize = 25;

/// Rounds of measuring the phases.
const PHASE_ROUNDS: usize = 7;

/// Compiles and runs every module of a folder on Nopal, Wasmtime and wasmi, and prints the comparison as Markdown.
///
/// Beside X.wasm there may be X.args (the program's arguments, one a line) and X.expected (what it must print). The folder is the
/// program's current directory.
///
/// Exit code: 0 if all is measured, save modules that a peer refuses; 1 if nothing could be measured or written; 2 for a wrong command
/// line; 3 if Nopal failed on a module or any engine computed something wrong.
#[derive(Debug, Parser)]
#[command(
    name = "nopal-bench",
    version,
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Measurement>,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What to measure instead of compile time, code size and run time.
#[derive(Debug, Subcommand)]
pub(crate) enum Measurement {
    /// Where Nopal's compile time goes: translating, analyzing, selecting, encoding, publishing.
    Phases(Options),
    /// How compile time grows with the number and the size of functions, on modules that are made up.
    Growth(Options),
    /// Peak memory of compiling the large modules, each in a process of its own.
    Memory(Options),
    /// Time of a process from its start to its end: compiling and instantiating every module, running those that are programs.
    Start(Options),
    /// Everything: what is measured without a subcommand, and all of the above.
    All(Options),
    /// Everything, written as docs/benchmarks.md with its plots.
    Page {
        /// Folder for benchmarks.md and, in benchmarks/, its plots.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// What patching costs: switching one site and many, beside other ways to do it, and passing sites that are off and on.
    Toggle(ToggleOptions),
    #[command(name = child::COMMAND, hide = true)]
    Child(child::Job),
}

/// What measuring patches needs.
#[derive(Debug, Args)]
pub(crate) struct ToggleOptions {
    /// Folder to write patching.md to and, in patching/, its plots.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write everything measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How often to measure everything.
    #[arg(long, value_name = "N", default_value_t = toggle::Plan::default().rounds as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// The largest number of sites to switch together; it begins with one, and each is ten times as many as the one before.
    #[arg(long, value_name = "N", default_value_t = toggle::Plan::default().sites as u32, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) sites: u32,
}

impl ToggleOptions {
    pub(crate) fn plan(&self) -> toggle::Plan {
        toggle::Plan {
            rounds: self.rounds as usize,
            sites: self.sites as usize,
        }
    }
}

/// What the other measurements share.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with the modules to measure.
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: Option<PathBuf>,
    /// A large module, which is compiled and not run, and by some engines only. Tables call it NAME, else by its file. May be repeated.
    #[arg(long, value_name = "[NAME=]FILE", value_parser = large)]
    pub(crate) large: Vec<Large>,
    /// Write everything measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Take only modules of the folder whose name without .wasm matches this pattern with `*` and `?`. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) filter: Vec<String>,
    /// Leave out modules of the folder whose name matches this pattern. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Measure these engines only. Ratios to one that is left out are left out too.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(id::ALL))]
    pub(crate) engines: Vec<String>,
    /// Take exactly this many rounds of everything, instead of three and then as many as fit the time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Time for one engine on one module, in seconds; the least number of rounds is taken whatever they cost.
    #[arg(long, value_name = "S", default_value = "4", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How often sizes double in the series that show growth, at most.
    #[arg(long, value_name = "N", default_value = "8")]
    pub(crate) doublings: u32,
}

/// A large module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Large {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

fn large(text: &str) -> Result<Large, String> {
    let (name, file) = match text.split_once('=') {
        Some((name, file)) => (Some(name.to_owned()), PathBuf::from(file)),
        None => (None, PathBuf::from(text)),
    };
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let name = name.or_else(|| stem.map(str::to_owned));
    let name = name.filter(|name| !name.is_empty()).ok_or("no name")?;
    Ok(Large { name, file })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| String::from("not a number"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

impl Options {
    /// Whether an engine is to take part.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.engines.is_empty() || self.engines.iter().any(|engine| engine == id)
    }

    /// How long to compile and run.
    pub(crate) fn plan(&self) -> Plan {
        self.exactly().unwrap_or(Plan {
            min_rounds: MIN_ROUNDS,
            max_rounds: MAX_ROUNDS,
            engine_budget: self.seconds,
        })
    }

    /// How long to compile large modules.
    pub(crate) fn large_plan(&self) -> Plan {
        self.exactly().unwrap_or(Plan::exactly(MIN_ROUNDS))
    }

    /// How long to start processes.
    pub(crate) fn start_plan(&self) -> Plan {
        self.exactly().unwrap_or_else(|| start::plan(self.seconds))
    }

    pub(crate) fn phase_rounds(&self) -> usize {
        self.exactly().map_or(PHASE_ROUNDS, |plan| plan.min_rounds)
    }

    fn exactly(&self) -> Option<Plan> {
        let rounds = self.rounds?;
        Some(Plan::exactly(rounds as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_module_has_the_name_given_or_that_of_its_file() {
        let named = large("esbuild 1.2=/x/a.wasm").unwrap();
        assert_eq!(named.name, "esbuild 1.2");
        assert_eq!(named.file, PathBuf::from("/x/a.wasm"));
        assert_eq!(large("/x/a.wasm").unwrap().name, "a");
        assert!(large("=/x/a.wasm").is_err());
        assert!(large("").is_err());
    }

    #[test]
    fn options_go_before_or_after_a_measurement_but_not_both() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["nopal-bench"], args].concat());
        assert!(parse(&["--corpus", "x"]).unwrap().command.is_none());
        let cli = parse(&["growth", "--doublings", "2"]).unwrap();
        match cli.command {
            Some(Measurement::Growth(options)) => assert_eq!(options.doublings, 2),
            other => panic!("{other:?}"),
        }
        assert!(parse(&["--corpus", "x", "growth"]).is_err());
        assert!(parse(&["page", "--corpus", "x"]).is_err());
    }

    #[test]
    fn a_number_of_rounds_holds_for_everything() {
        let cli = Cli::try_parse_from(["nopal-bench", "all", "--rounds", "2"]).unwrap();
        let Some(Measurement::All(options)) = cli.command else {
            panic!("not all");
        };
        assert_eq!(options.phase_rounds(), 2);
        for plan in [options.plan(), options.start_plan()] {
            assert_eq!((plan.min_rounds, plan.max_rounds), (2, 2));
        }
    }
}
