//! Nopal measured next to its peers, in one process and run. The command line is described in the README.

mod clock;
mod corpus;
mod engines;
mod figures;
mod measure;
mod report;
mod stats;
mod table;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use corpus::{Corpus, Selection};
use engines::{Engine, Refusal, id};
use measure::{Phase, Plan};
use report::{EngineReport, Machine, ModuleReport, Relative, Report};

/// Rounds that every engine takes part in unless a number is asked for.
const MIN_ROUNDS: usize = 3;

/// Rounds after which even the fastest engine stops.
const MAX_ROUNDS: usize = 25;

/// Compiles and runs every module of a folder on Nopal, Wasmtime and wasmi, and prints the comparison as Markdown.
///
/// Beside X.wasm there may be X.args (the program's arguments, one a line) and X.expected (what it must print). The folder is the
/// program's current directory.
///
/// Exit code: 0 if all is measured, save modules that a peer refuses; 1 if nothing could be measured or written; 2 for a wrong command
/// line; 3 if Nopal failed on a module or any engine computed something wrong.
#[derive(Debug, Parser)]
#[command(name = "nopal-bench", version, verbatim_doc_comment)]
struct Options {
    /// Folder with the modules to measure.
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    /// Write everything measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Take only modules whose name without .wasm matches this pattern with `*` and `?`. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    filter: Vec<String>,
    /// Leave out modules whose name matches this pattern. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Measure only these engines. Ratios to one that is left out are left out too.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(id::ALL))]
    engines: Vec<String>,
    /// Take exactly this many rounds of every engine, instead of three and then as many as fit the time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Time for one engine on one module, in seconds; three rounds are taken whatever they cost.
    #[arg(long, value_name = "S", default_value = "4", value_parser = seconds)]
    seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| String::from("not a number"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(report) if went_wrong(&report) => ExitCode::from(3),
        Ok(_) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("nopal-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report, String> {
    let selection =
        Selection::new(&options.filter, &options.exclude).map_err(|error| error.to_string())?;
    let corpus = corpus::read(&options.corpus, &selection).map_err(|error| error.to_string())?;
    let json = options.json.as_deref().map(Output::create).transpose()?;
    let plan = match options.rounds {
        Some(rounds) => Plan::exactly(rounds as usize),
        None => Plan {
            min_rounds: MIN_ROUNDS,
            max_rounds: MAX_ROUNDS,
            engine_budget: options.seconds,
        },
    };
    let wanted =
        |id: &str| options.engines.is_empty() || options.engines.iter().any(|engine| engine == id);
    let (engines, refusals) = engines::all(wanted);
    let modules = measure_all(&corpus, &engines, plan);
    let unreadable = corpus
        .unreadable
        .into_iter()
        .map(|file| (file.name, file.message))
        .collect();
    let report = Report::new(
        Machine::this(),
        engine_reports(&engines, refusals),
        modules,
        unreadable,
    );
    print!("{}", table::render(&report));
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(report)
}

/// Measures every program, telling standard error how it goes.
fn measure_all(corpus: &Corpus, engines: &[Box<dyn Engine>], plan: Plan) -> Vec<ModuleReport> {
    let mut modules = Vec::new();
    for (index, program) in corpus.programs.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, corpus.programs.len(), program.name);
        let results = measure::measure(program, engines, plan, |done| {
            eprintln!(
                "  round {}: {} engines, {:.1} s",
                done.round,
                done.engines,
                done.elapsed.as_secs_f64()
            );
        });
        for (engine, result) in engines.iter().zip(&results) {
            if let Err(problem) = result {
                eprintln!(
                    "  {}: {}: {}",
                    engine.id(),
                    problem.phase.verb(),
                    problem.message
                );
            }
        }
        modules.push(ModuleReport::new(
            program,
            engines.iter().map(|engine| engine.id()).zip(results),
        ));
    }
    modules
}

fn engine_reports(engines: &[Box<dyn Engine>], refusals: Vec<Refusal>) -> Vec<EngineReport> {
    let available = engines.iter().map(|engine| EngineReport {
        id: engine.id(),
        label: engine.label().to_owned(),
        runtime: Some(engine.runtime()),
        unavailable: None,
        relative: Relative::default(),
    });
    let refused = refusals.into_iter().map(|refusal| EngineReport {
        id: refusal.id,
        label: refusal.id.to_owned(),
        runtime: None,
        unavailable: Some(refusal.message),
        relative: Relative::default(),
    });
    available.chain(refused).collect()
}

/// Whether Nopal failed on a module, or an engine computed something wrong. That a peer refuses a module is no failure.
fn went_wrong(report: &Report) -> bool {
    let nopal_unavailable = report
        .engines
        .iter()
        .any(|engine| engine.unavailable.is_some() && id::is_nopal(engine.id));
    let problems = report.modules.iter().flat_map(|module| &module.engines);
    nopal_unavailable
        || problems
            .filter_map(|(id, measured)| Some((id, measured.problem.as_ref()?)))
            .any(|(id, problem)| {
                id::is_nopal(id) || matches!(problem.phase, Phase::Run | Phase::Output)
            })
}

/// The JSON file, opened before hours are spent on what goes into it.
struct Output {
    path: PathBuf,
    file: fs::File,
}

impl Output {
    fn create(path: &Path) -> Result<Output, String> {
        let file = fs::File::create(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Output {
            path: path.to_owned(),
            file,
        })
    }

    fn write(mut self, report: &Report) -> Result<(), String> {
        serde_json::to_writer_pretty(&self.file, report)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
