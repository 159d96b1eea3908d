//! What is measured beside compile time, code size and run time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::child::Task;
use crate::corpus::{Program, Usage};
use crate::engines::{self, id};
use crate::growth::{self, GrowthReport};
use crate::memory::{self, MemoryReport};
use crate::options::Options;
use crate::phases::{self, PhaseReport};
use crate::start::{self, StartReport};

/// The reports of the measurements that were asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Extras {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phases: Option<Phases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<Vec<GrowthReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Vec<MemoryReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<Vec<StartReport>>,
}

/// The phases of all modules.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Phases {
    pub(crate) modules: Vec<PhaseReport>,
    /// By module: why it could not be compiled.
    pub(crate) problems: BTreeMap<String, String>,
}

/// The phases of Nopal on each program.
pub(crate) fn phases<'a>(programs: impl Iterator<Item = &'a Program>, options: &Options) -> Phases {
    let mut all = Phases::default();
    for program in programs {
        eprintln!("phases of {}", program.name);
        match phases::run(program, options.phase_rounds()) {
            Ok(report) => all.modules.push(report),
            Err(message) => {
                all.problems.insert(program.name.clone(), message);
            }
        }
    }
    all
}

/// All series of growth.
pub(crate) fn growth(options: &Options) -> Result<Vec<GrowthReport>, String> {
    let (engines, refusals) = engines::all(|id| growth::ENGINES.contains(&id) && options.wants(id));
    if let Some(refusal) = refusals.first() {
        return Err(format!("{}: {}", refusal.id, refusal.message));
    }
    let mut reports = Vec::new();
    for series in growth::series(options.doublings) {
        eprintln!("growth with {}", series.title);
        let report = growth::run(&series, &engines, options.plan(), |done| {
            eprintln!("  {done}")
        });
        reports.push(report?);
    }
    Ok(reports)
}

/// The memory that compiling each large module takes.
pub(crate) fn memory(options: &Options) -> Result<Vec<MemoryReport>, String> {
    let rounds = options.rounds.unwrap_or(1) as usize;
    let modules = options.large.iter().map(|large| {
        eprintln!("memory of {}", large.name);
        memory::run(&large.name, &large.file, rounds)
            .map_err(|message| format!("{}: {message}", large.file.display()))
    });
    modules.collect()
}

/// The time that processes take for each program.
pub(crate) fn start<'a>(
    programs: impl Iterator<Item = &'a Program>,
    options: &Options,
) -> Result<Vec<StartReport>, String> {
    let mut reports = Vec::new();
    for program in programs {
        let Some(file) = &program.file else {
            continue;
        };
        eprintln!("start of {}", program.name);
        let tasks = match program.usage {
            Usage::Run(_) => &[Task::Instantiate, Task::Run][..],
            Usage::CompileOnly(_) => &[Task::Instantiate],
        };
        for &task in tasks {
            reports.push(start::run(&program.name, file, task, options.start_plan())?);
        }
    }
    Ok(reports)
}

impl Extras {
    /// What could not be measured: module or series, engine, and what the engine said.
    pub(crate) fn problems(&self) -> Vec<(String, &'static str, String)> {
        let mut all = Vec::new();
        if let Some(phases) = &self.phases {
            let problems = phases.problems.iter();
            all.extend(
                problems.map(|(name, text)| (format!("phases of {name}"), id::NOPAL, text.clone())),
            );
        }
        let mut add = |what: String, problems: &BTreeMap<&'static str, String>| {
            let problems = problems.iter();
            all.extend(problems.map(|(engine, text)| (what.clone(), *engine, text.clone())));
        };
        for report in self.growth.iter().flatten() {
            add(format!("growth with {}", report.title), &report.problems);
        }
        for report in self.memory.iter().flatten() {
            let name = &report.name;
            add(
                format!("memory of {name}, one thread"),
                &report.one_thread.problems,
            );
            add(
                format!("memory of {name}, all threads"),
                &report.all_threads.problems,
            );
        }
        for report in self.start.iter().flatten() {
            add(format!("start of {}", report.name), &report.problems);
        }
        all
    }
}
