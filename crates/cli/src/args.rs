//! The command line.

use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

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
}

/// Run a program.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
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
    /// Call the exported function F with ARGS, and print its results one a line, instead of running the program
    #[arg(long, value_name = "F")]
    pub(crate) invoke: Option<String>,
    /// The module: binary, or text (.wat)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Arguments of the program; options after FILE are the program's, too
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) args: Vec<OsString>,
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
        assert!(missing.contains("<FILE>"), "{missing}");
        assert!(!missing.contains('\n'), "{missing}");
        let unknown = usage(&["nopal", "run", "--nonsense", "x.wasm"]);
        assert!(unknown.contains("--nonsense"), "{unknown}");
        assert!(!unknown.contains("Usage:"), "{unknown}");
        assert_eq!(usage(&["nopal"]), "no command given; see `nopal --help`");
    }

    #[test]
    fn options_after_the_file_are_the_programs() {
        let cli = Cli::try_parse_from(["nopal", "run", "a.wasm", "--dir", "-x", "--", "-v"]);
        let Command::Run(run) = cli.unwrap().command;
        assert_eq!(run.guest.args, ["--dir", "-x", "--", "-v"]);
        assert!(run.guest.dirs.is_empty());
    }
}
