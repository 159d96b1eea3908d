//! The command line.

use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  that of the program, if it ran to its end
  1    a file or a module cannot be used, or output cannot be written
  2    the command line makes no sense
  134  the program trapped";

/// Run WebAssembly natively and look inside it while it runs.
#[derive(Parser, Debug)]
#[command(name = "nopal", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(RunArgs),
    Trace(TraceArgs),
    Compile(CompileArgs),
    Filetest(FiletestArgs),
}

const FILETEST_EXIT_CODES: &str = "\
Exit codes:
  0    nothing failed
  1    something failed
  2    the command line makes no sense, or a path does not exist";

/// Test the compiler with .clif files
#[derive(Args, Debug)]
#[command(after_help = FILETEST_EXIT_CODES)]
pub(crate) struct FiletestArgs {
    /// Files, and folders that stand for all .clif files in them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Rewrite the listings that `test compile precise-output` expects
    #[arg(long)]
    pub(crate) bless: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Run a program.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, override_usage = "nopal run [OPTIONS] FILE [ARGS]...")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
}

const PATTERNS: &str = "\
Patterns:
  A glob (`*`, `?`, `[a-z]`, `{a,b}`, backslash before a character that is meant itself), compared with the
  name of a function in the module, its demangled form, and the names under which it is exported; or `#12`,
  the function with that index.";

/// Run a program and record the entries and exits of functions.
#[derive(Args, Debug)]
#[command(
    after_help = format!("{PATTERNS}\n\n{EXIT_CODES}"),
    override_usage = "nopal trace [OPTIONS] FILE [ARGS]..."
)]
pub(crate) struct TraceArgs {
    /// Functions to trace: those that match any pattern
    #[arg(
        short = 'f',
        long = "function",
        value_name = "PATTERN",
        default_value = "*"
    )]
    pub(crate) patterns: Vec<String>,
    /// Record parameters and results
    #[arg(long = "args")]
    pub(crate) values: bool,
    /// Switch the hooks on when the program has run for this time (200ms, 1s, 50us)
    #[arg(long, value_name = "T", value_parser = duration, default_value = "0s")]
    pub(crate) after: Duration,
    /// Switch the hooks off when they were on for this time
    #[arg(long = "for", value_name = "T", value_parser = duration)]
    pub(crate) on_for: Option<Duration>,
    /// What to write: lines of text, or a file for <https://ui.perfetto.dev>
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Where to write it, instead of standard error
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    pub(crate) out: Option<PathBuf>,
    /// The most entries and exits to record; the hooks are switched off when it is reached
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
}

/// Formats of a trace.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// One line per entry or exit
    Text,
    /// Trace Event Format, JSON
    Chrome,
}

/// Show what a module is compiled to.
#[derive(Args, Debug)]
#[command(after_help = PATTERNS)]
pub(crate) struct CompileArgs {
    /// What to show
    #[arg(long, value_enum, default_value_t = Emit::Asm)]
    pub(crate) emit: Emit,
    /// Functions to show: those that match any pattern
    #[arg(
        short = 'f',
        long = "function",
        value_name = "PATTERN",
        default_value = "*"
    )]
    pub(crate) patterns: Vec<String>,
    /// Compile without patch sites
    #[arg(long)]
    pub(crate) no_sites: bool,
    /// Show the sites as JSON (with --emit sites)
    #[arg(long)]
    pub(crate) json: bool,
    /// The module: binary, or text (.wat)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// What `nopal compile` shows.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Emit {
    /// The intermediate representation
    Clif,
    /// The machine code, with sites and traps marked
    Asm,
    /// The table of patch sites
    Sites,
}

/// The program and its world.
#[derive(Args, Debug)]
pub(crate) struct GuestArgs {
    /// Give the program the directory HOST, under the name GUEST (HOST if not given)
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    pub(crate) dirs: Vec<OsString>,
    /// Set an environment variable of the program, which gets none otherwise
    #[arg(long = "env", value_name = "K=V")]
    pub(crate) env: Vec<OsString>,
    /// Compile functions before the program starts, or when they are first called
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Compile::Lazy)]
    pub(crate) compile: Compile,
    /// Keep compiled code in DIR, and look for it there, instead of $XDG_CACHE_HOME/nopal or ~/.cache/nopal
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Neither look for compiled code nor keep it
    #[arg(long, conflicts_with = "cache_dir")]
    no_cache: bool,
    /// Call the exported function F with ARGS, and print its results one a line, instead of running the program
    #[arg(long, value_name = "F")]
    pub(crate) invoke: Option<String>,
    /// The module, binary or text (.wat), and the arguments of the program. Options after FILE are
    /// the program's, too
    // One argument to clap: what follows the first value of it is not looked at.
    #[arg(value_name = "FILE [ARGS]", required = true, trailing_var_arg = true)]
    program: Vec<OsString>,
}

impl GuestArgs {
    /// The module.
    pub(crate) fn file(&self) -> &Path {
        Path::new(&self.program[0])
    }

    /// Where compiled code is kept.
    pub(crate) fn cache(&self) -> Cache<'_> {
        match &self.cache_dir {
            _ if self.no_cache => Cache::None,
            None => Cache::Default,
            Some(dir) => Cache::Dir(dir),
        }
    }

    /// The arguments of the program.
    pub(crate) fn args(&self) -> &[OsString] {
        &self.program[1..]
    }
}

/// When functions are compiled.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compile {
    /// All of them before the program starts, by all processors
    Eager,
    /// Each when it is first called
    Lazy,
}

/// Where compiled code is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cache<'a> {
    /// Nowhere.
    None,
    /// In the user's cache directory, if there is one that can be used.
    Default,
    /// In a directory that was asked for.
    Dir(&'a Path),
}

/// A duration: a number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 5] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("min", 60.0),
    ];
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS
        .iter()
        .find(|(name, _)| *name == &text[digits.len()..]);
    let number = digits.parse::<f64>().ok();
    number
        .zip(unit)
        .and_then(|(number, (_, seconds))| Duration::try_from_secs_f64(number * seconds).ok())
        .ok_or_else(|| "expected a number and a unit, as in 200ms, 1.5s, 50us, 2min".into())
}

/// The command line of this process.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(failure)
}

/// What clap says in several paragraphs, in one line.
fn failure(error: clap::Error) -> Failure {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Failure::Information(text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return Failure::Usage("no command given; see `nopal --help`".into());
        }
        _ => {}
    }
    let what = text
        .strip_prefix("error: ")
        .unwrap_or(&text)
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    Failure::Usage(format!("{what}; see `nopal --help`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn usage(line: &[&str]) -> String {
        match failure(Cli::try_parse_from(line).unwrap_err()) {
            Failure::Usage(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn errors_name_what_is_wrong_in_one_line() {
        let missing = usage(&["nopal", "run"]);
        assert!(missing.contains("FILE"), "{missing}");
        assert!(!missing.contains('\n'), "{missing}");
        let unknown = usage(&["nopal", "run", "--nonsense", "x.wasm"]);
        assert!(unknown.contains("--nonsense"), "{unknown}");
        assert!(!unknown.contains("Usage:"), "{unknown}");
        assert_eq!(usage(&["nopal"]), "no command given; see `nopal --help`");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "-1s", "1h", "NaNs", "1e300s", "infs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_after_the_file_are_the_programs() {
        let cli = Cli::try_parse_from(["nopal", "run", "a.wasm", "--dir", "-x", "--", "-v"]);
        let Command::Run(run) = cli.unwrap().command else {
            panic!("not run");
        };
        assert_eq!(run.guest.args(), ["--dir", "-x", "--", "-v"]);
        assert!(run.guest.dirs.is_empty());
    }
}
