//! Peak memory of compiling a module, each time in a fresh process.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::child::{Cost, Job, Task, spawn};
use crate::engines::{Threads, id};
use crate::stats::median;

/// The engines that take part.
pub(crate) const ENGINES: [&str; 4] = [
    id::NOPAL,
    id::CRANELIFT_SPEED,
    id::CRANELIFT_NONE,
    id::WINCH,
];

/// One module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct MemoryReport {
    pub(crate) name: String,
    pub(crate) wasm_bytes: usize,
    /// Of a process that only reads the file. It is not part of the other figures.
    pub(crate) baseline_bytes: u64,
    pub(crate) one_thread: Peaks,
    pub(crate) all_threads: Peaks,
}

/// Peaks by engine, beyond the baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Peaks {
    pub(crate) bytes: BTreeMap<&'static str, u64>,
    /// Nopal's / that of Cranelift `speed`.
    pub(crate) ratio: Option<f64>,
    pub(crate) problems: BTreeMap<&'static str, String>,
}

/// Measures the module in `file`, in this many rounds.
pub(crate) fn run(name: &str, file: &Path, rounds: usize) -> Result<MemoryReport, String> {
    run_with(name, file, rounds, spawn)
}

fn run_with(
    name: &str,
    file: &Path,
    rounds: usize,
    mut spawn: impl FnMut(&Job) -> Result<Cost, String>,
) -> Result<MemoryReport, String> {
    let mut peak = |task, engine: &str, threads| {
        let job = Job {
            task,
            engine: engine.to_owned(),
            threads,
            file: file.to_owned(),
        };
        let peaks: Result<Vec<f64>, String> = (0..rounds)
            .map(|_| Ok(spawn(&job)?.peak_bytes as f64))
            .collect();
        // Whole numbers far below 2⁵³.
        Ok::<u64, String>(median(&peaks?).unwrap_or_default() as u64)
    };
    let wasm_bytes = file.metadata().map_err(|error| error.to_string())?.len();
    let baseline_bytes = peak(Task::Load, id::NOPAL, Threads::One)?;
    let mut peaks = |threads| {
        let mut peaks = Peaks::default();
        for engine in ENGINES {
            match peak(Task::Compile, engine, threads) {
                Ok(bytes) => {
                    let beyond = bytes.saturating_sub(baseline_bytes);
                    peaks.bytes.insert(engine, beyond);
                }
                Err(message) => {
                    peaks.problems.insert(engine, message);
                }
            }
        }
        let of = |engine| peaks.bytes.get(engine).map(|&bytes| bytes as f64);
        peaks.ratio = of(id::NOPAL)
            .zip(of(id::CRANELIFT_SPEED))
            .map(|(ours, theirs)| ours / theirs);
        peaks
    };
    Ok(MemoryReport {
        name: name.to_owned(),
        wasm_bytes: wasm_bytes as usize,
        baseline_bytes,
        one_thread: peaks(Threads::One),
        all_threads: peaks(Threads::All),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn peaks_are_medians_beyond_the_baseline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        std::fs::write(&file, [0; 7]).unwrap();
        let mut processes = 0;
        let report = run_with("a", &file, 3, |job| {
            processes += 1;
            let peak_bytes = match (job.task, job.engine.as_str(), job.threads) {
                (Task::Load, ..) => 100,
                (_, id::NOPAL, Threads::One) => [110, 150, 1000][processes % 3],
                (_, id::NOPAL, Threads::All) => 175,
                (_, id::WINCH, _) => return Err("no".into()),
                _ => 200,
            };
            Ok(Cost {
                elapsed: Duration::ZERO,
                peak_bytes,
            })
        })
        .unwrap();
        assert_eq!((report.wasm_bytes, report.baseline_bytes), (7, 100));
        assert_eq!(report.one_thread.bytes[id::NOPAL], 50);
        assert_eq!(report.one_thread.ratio, Some(0.5));
        assert_eq!(report.all_threads.ratio, Some(0.75));
        let refused = BTreeMap::from([(id::WINCH, String::from("no"))]);
        assert_eq!(report.one_thread.problems, refused);
        assert!(!report.one_thread.bytes.contains_key(id::WINCH));
    }

    #[test]
    fn no_ratio_without_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        std::fs::write(&file, []).unwrap();
        let report = run_with("a", &file, 1, |job| match job.engine.as_str() {
            id::CRANELIFT_SPEED => Err("no".into()),
            _ => Ok(Cost {
                elapsed: Duration::ZERO,
                peak_bytes: 10,
            }),
        });
        assert_eq!(report.unwrap().one_thread.ratio, None);
    }
}
