//! What the command line asks for: measures, prints, writes.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::corpus::{self, Corpus, Program, Selection};
use crate::engines::{self, Engine, Refusal, id};
use crate::extras::{self, Extras};
use crate::measure::{self, Phase, Plan};
use crate::options::{Measurement, Options, ToggleOptions};
use crate::report::{EngineReport, FORMAT, Machine, ModuleReport, Relative, Report};
use crate::{extras_table, page, table, toggle};

/// The engines that compile large modules.
const LARGE_ENGINES: [&str; 5] = [
    id::NOPAL,
    id::NOPAL_NO_SITES,
    id::CRANELIFT_SPEED,
    id::CRANELIFT_NONE,
    id::WINCH,
];

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Everything {
    #[serde(flatten)]
    pub(crate) corpus: Report,
    /// The large modules, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) large: Option<Report>,
    #[serde(flatten)]
    pub(crate) extras: Extras,
}

/// What was measured without compiling and running the corpus.
#[derive(Debug, Serialize)]
struct Part {
    format: u32,
    machine: Machine,
    #[serde(flatten)]
    extras: Extras,
}

/// Why nothing, or not everything, was done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that makes no sense.
    Usage(&'static str),
    Other(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Other(message)
    }
}

/// Does what was asked for. Returns whether Nopal measured all of it, and all engines computed what they should.
pub(crate) fn run(command: Option<&Measurement>, options: &Options) -> Result<bool, Failure> {
    // Builds with debug assertions are for tests; their figures mean nothing anyway.
    if nopal_codegen::CHECKED && !cfg!(debug_assertions) {
        return Err(Failure::Other(String::from(
            "built together with a package that has Nopal check all code it compiles, which would be measured too: \
             build it alone (cargo build --release -p nopal-bench)",
        )));
    }
    match command {
        None => everything(options, None, false),
        Some(Measurement::All(options)) => everything(options, None, true),
        Some(Measurement::Page { out, options }) => everything(options, Some(out), true),
        Some(Measurement::Toggle(options)) => toggle(options),
        Some(part) => measure_part(part),
    }
}

/// Compiles and runs, and measures everything else too if that is wanted.
fn everything(options: &Options, out: Option<&Path>, extras: bool) -> Result<bool, Failure> {
    if options.corpus.is_none() {
        return Err(Failure::Usage("--corpus DIR is missing"));
    }
    let mut modules = Modules::read(options)?;
    let json = options.json.as_deref().map(Output::create).transpose()?;
    let unreadable = std::mem::take(&mut modules.corpus.unreadable);
    let mut corpus = compile_and_run(
        &modules.corpus.programs,
        |id| options.wants(id),
        options.plan(),
    );
    corpus.unreadable = unreadable
        .into_iter()
        .map(|file| (file.name, file.message))
        .collect();
    let large = (!modules.large.is_empty()).then(|| {
        let wanted = |id: &str| options.wants(id) && LARGE_ENGINES.contains(&id);
        compile_and_run(&modules.large, wanted, options.large_plan())
    });
    let extras = if extras {
        Extras {
            phases: Some(extras::phases(modules.all(), options)),
            growth: Some(extras::growth(options)?),
            memory: Some(extras::memory(options)?),
            start: Some(extras::start(modules.all(), options)?),
        }
    } else {
        Extras::default()
    };
    let everything = Everything {
        corpus,
        large,
        extras,
    };
    let reports = [Some(&everything.corpus), everything.large.as_ref()];
    let tables = reports.into_iter().flatten().map(table::render);
    let tables = tables.chain([extras_table::render(&everything.extras)]);
    let tables: Vec<String> = tables.filter(|text| !text.is_empty()).collect();
    print!("{}", tables.join("\n"));
    if let Some(out) = out {
        page::write(out, &page::render(&everything, &page::command(options)))?;
    }
    if let Some(json) = json {
        json.write(&everything)?;
    }
    let wrong = reports.into_iter().flatten().any(went_wrong);
    Ok(!wrong && !nopal_failed(&everything.extras))
}

/// Measures something other than compiling and running.
fn measure_part(part: &Measurement) -> Result<bool, Failure> {
    let mut extras = Extras::default();
    let json = match part {
        Measurement::Phases(options) => {
            let modules = Modules::some(options)?;
            let json = options.json.as_deref().map(Output::create).transpose()?;
            extras.phases = Some(extras::phases(modules.all(), options));
            json
        }
        Measurement::Growth(options) => {
            let json = options.json.as_deref().map(Output::create).transpose()?;
            extras.growth = Some(extras::growth(options)?);
            json
        }
        Measurement::Memory(options) if options.large.is_empty() => {
            return Err(Failure::Usage("--large FILE is missing"));
        }
        Measurement::Memory(options) => {
            let json = options.json.as_deref().map(Output::create).transpose()?;
            extras.memory = Some(extras::memory(options)?);
            json
        }
        Measurement::Start(options) => {
            let modules = Modules::some(options)?;
            let json = options.json.as_deref().map(Output::create).transpose()?;
            extras.start = Some(extras::start(modules.all(), options)?);
            json
        }
        Measurement::All(_)
        | Measurement::Page { .. }
        | Measurement::Toggle(_)
        | Measurement::Child(_) => {
            return Err(Failure::Usage("not a part of the benchmark"));
        }
    };
    print!("{}", extras_table::render(&extras));
    let fine = !nopal_failed(&extras);
    if let Some(json) = json {
        json.write(&Part {
            format: FORMAT,
            machine: Machine::this(),
            extras,
        })?;
    }
    Ok(fine)
}

/// Measures patching.
fn toggle(options: &ToggleOptions) -> Result<bool, Failure> {
    let json = options.json.as_deref().map(Output::create).transpose()?;
    let plan = options.plan();
    let document = toggle::Document {
        format: FORMAT,
        machine: Machine::this(),
        toggle: toggle::run(plan)?,
    };
    print!("{}", toggle::render(&document.toggle));
    if let Some(out) = &options.out {
        page::write(
            out,
            &toggle::files(&document.toggle, &document.machine, plan),
        )?;
    }
    if let Some(json) = json {
        json.write(&document)?;
    }
    Ok(true)
}

/// What there is to measure.
#[derive(Default)]
struct Modules {
    corpus: Corpus,
    large: Vec<Program>,
}

impl Modules {
    fn read(options: &Options) -> Result<Modules, Failure> {
        let mut modules = Modules::default();
        if let Some(dir) = &options.corpus {
            let selection = Selection::new(&options.filter, &options.exclude)
                .map_err(|error| error.to_string())?;
            modules.corpus = corpus::read(dir, &selection).map_err(|error| error.to_string())?;
        }
        for large in &options.large {
            let program = corpus::read_large(&large.name, &large.file);
            modules
                .large
                .push(program.map_err(|error| error.to_string())?);
        }
        Ok(modules)
    }

    /// As [`Modules::read`]; there must be some.
    fn some(options: &Options) -> Result<Modules, Failure> {
        if options.corpus.is_none() && options.large.is_empty() {
            return Err(Failure::Usage("--corpus DIR or --large FILE is missing"));
        }
        Modules::read(options)
    }

    fn all(&self) -> impl Iterator<Item = &Program> {
        self.corpus.programs.iter().chain(&self.large)
    }
}

/// Compiles each program on the engines that are wanted, runs those that can be run, and reports.
fn compile_and_run(programs: &[Program], wanted: impl Fn(&str) -> bool, plan: Plan) -> Report {
    let (engines, refusals) = engines::all(wanted);
    let modules = measure_all(programs, &engines, plan);
    let engines = engine_reports(&engines, refusals);
    Report::new(Machine::this(), engines, modules, Default::default())
}

/// Measures every program, telling standard error how it goes.
fn measure_all(programs: &[Program], engines: &[Box<dyn Engine>], plan: Plan) -> Vec<ModuleReport> {
    let mut modules = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, programs.len(), program.name);
        let results = measure::measure(program, engines, plan, |done| {
            eprintln!("  {done}");
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

/// Whether Nopal could not do something that was to be measured.
fn nopal_failed(extras: &Extras) -> bool {
    let mut problems = extras.problems().into_iter();
    problems.any(|(_, engine, _)| id::is_nopal(engine))
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

    fn write(mut self, report: &impl Serialize) -> Result<(), String> {
        serde_json::to_writer_pretty(&self.file, report)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
