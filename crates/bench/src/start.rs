//! How long a process takes that compiles a module: from before it is started until it is gone, with all processors, nothing cached.
//!
//! The engines take turns, round by round, and are compared round by round.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::child::{Cost, Job, Task, spawn};
use crate::engines::{Threads, id};
use crate::measure::Plan;
use crate::report::Timing;
use crate::stats::median;

/// The engines that take part.
pub(crate) const ENGINES: [&str; 4] = [
    id::NOPAL,
    id::NOPAL_NO_SITES,
    id::CRANELIFT_SPEED,
    id::WINCH,
];

/// One module and what is done with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StartReport {
    pub(crate) name: String,
    pub(crate) wasm_bytes: usize,
    /// `instantiate` (without a host, then exit) or `run` (with WASI, to its end).
    pub(crate) task: Task,
    /// Elapsed time of a process that only reads the file.
    pub(crate) load: Option<Timing>,
    /// Elapsed time, by engine.
    pub(crate) engines: BTreeMap<&'static str, Timing>,
    /// Nopal's time / that of Cranelift `speed`: the median of the rounds' ratios.
    pub(crate) cranelift_ratio: Option<f64>,
    /// Nopal's time / Winch's.
    pub(crate) winch_ratio: Option<f64>,
    pub(crate) problems: BTreeMap<&'static str, String>,
}

/// Measures the module in `file`.
pub(crate) fn run(name: &str, file: &Path, task: Task, plan: Plan) -> Result<StartReport, String> {
    run_with(name, file, task, plan, spawn)
}

/// The samples of one kind of process.
struct Lane {
    job: Job,
    /// What figures of it are called; `None` for the process that only reads the file.
    engine: Option<&'static str>,
    result: Result<Vec<f64>, String>,
}

fn run_with(
    name: &str,
    file: &Path,
    task: Task,
    plan: Plan,
    mut spawn: impl FnMut(&Job) -> Result<Cost, String>,
) -> Result<StartReport, String> {
    let lane = |engine: Option<&'static str>| Lane {
        job: Job {
            task: if engine.is_some() { task } else { Task::Load },
            engine: engine.unwrap_or(id::NOPAL).to_owned(),
            threads: Threads::All,
            file: file.to_owned(),
        },
        engine,
        result: Ok(Vec::new()),
    };
    let wasm_bytes = file.metadata().map_err(|error| error.to_string())?.len();
    let mut lanes: Vec<Lane> = [None]
        .into_iter()
        .chain(ENGINES.map(Some))
        .map(lane)
        .collect();
    let start = Instant::now();
    let budget = plan.engine_budget * ENGINES.len() as u32;
    for round in 0..plan.max_rounds {
        if round >= plan.min_rounds && start.elapsed() >= budget {
            break;
        }
        for turn in 0..lanes.len() {
            let index = (turn + round) % lanes.len();
            lanes[index].sample(&mut spawn);
        }
    }
    let mut report = StartReport {
        name: name.to_owned(),
        wasm_bytes: wasm_bytes as usize,
        task,
        load: None,
        engines: BTreeMap::new(),
        cranelift_ratio: None,
        winch_ratio: None,
        problems: BTreeMap::new(),
    };
    for lane in lanes {
        lane.enter(&mut report);
    }
    report.cranelift_ratio = report.ratio(id::CRANELIFT_SPEED);
    report.winch_ratio = report.ratio(id::WINCH);
    Ok(report)
}

impl Lane {
    fn sample(&mut self, spawn: &mut impl FnMut(&Job) -> Result<Cost, String>) {
        let Ok(samples) = &mut self.result else {
            return;
        };
        match spawn(&self.job) {
            Ok(cost) => samples.push(cost.elapsed.as_secs_f64()),
            Err(message) => self.result = Err(message),
        }
    }

    fn enter(self, report: &mut StartReport) {
        let timing = self.result.map(|samples| {
            let rounds: Vec<Vec<f64>> = samples.into_iter().map(|sample| vec![sample]).collect();
            Timing::of(&rounds)
        });
        match (self.engine, timing) {
            (None, timing) => report.load = timing.ok().flatten(),
            (Some(engine), Ok(timing)) => {
                report.engines.extend(timing.map(|timing| (engine, timing)));
            }
            (Some(engine), Err(message)) => {
                report.problems.insert(engine, message);
            }
        }
    }
}

impl StartReport {
    /// Nopal's time / that of `engine`.
    fn ratio(&self, engine: &str) -> Option<f64> {
        let rounds = |id| Some(&self.engines.get(id)?.round_seconds);
        let ratios: Vec<f64> = rounds(id::NOPAL)?
            .iter()
            .zip(rounds(engine)?)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        median(&ratios)
    }
}

/// Rounds unless a number is asked for.
pub(crate) fn plan(budget: Duration) -> Plan {
    Plan {
        min_rounds: 5,
        max_rounds: 25,
        engine_budget: budget,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_round_by_round() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        std::fs::write(&file, [0; 3]).unwrap();
        let mut calls = 0u32;
        let report = run_with("a", &file, Task::Run, Plan::exactly(3), |job| {
            calls += 1;
            // Each round is slower than the one before.
            let slow = 1 + (calls - 1) / 5;
            let seconds = match (job.task, job.engine.as_str()) {
                (Task::Load, _) => 1,
                (_, id::NOPAL) => 2,
                (_, id::CRANELIFT_SPEED) => 8,
                (_, id::WINCH) => return Err("refused".into()),
                _ => 3,
            };
            assert_eq!(job.threads, Threads::All);
            Ok(Cost {
                elapsed: Duration::from_secs(u64::from(seconds * slow)),
                peak_bytes: 0,
            })
        })
        .unwrap();
        assert_eq!(report.wasm_bytes, 3);
        assert_eq!(report.cranelift_ratio, Some(0.25));
        assert_eq!(report.winch_ratio, None);
        assert_eq!(report.problems[id::WINCH], "refused");
        assert_eq!(report.engines[id::NOPAL].samples, 3);
        assert_eq!(report.engines[id::NOPAL_NO_SITES].round_seconds.len(), 3);
        assert_eq!(report.load.unwrap().min_seconds, 1.0);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        assert!(run("a", Path::new("/no/such/file"), Task::Run, Plan::exactly(1)).is_err());
    }
}
