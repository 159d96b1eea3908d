//! Everything that was measured, in the shape of the JSON output.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::corpus::{Program, Usage};
use crate::engines::id;
use crate::figures::{Figures, Quantity};
use crate::measure::{Phase, Problem, Samples};
use crate::stats::{geometric_mean, median};

/// Version of the JSON layout. A field that is added does not change it.
pub(crate) const FORMAT: u32 = 1;

/// A whole run of the benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) machine: Machine,
    /// In the order of the tables.
    pub(crate) engines: Vec<EngineReport>,
    pub(crate) modules: Vec<ModuleReport>,
    /// Files that are not modules, by name.
    pub(crate) unreadable: BTreeMap<String, String>,
    pub(crate) geometric_means: Figures,
}

/// Where the figures were taken.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) arch: &'static str,
    pub(crate) os: &'static str,
    pub(crate) cpu: String,
    pub(crate) threads: usize,
}

/// An engine and its means over the corpus.
#[derive(Debug, Serialize)]
pub(crate) struct EngineReport {
    pub(crate) id: &'static str,
    pub(crate) label: String,
    /// Name and version; `None` if unavailable.
    pub(crate) runtime: Option<String>,
    /// Why this engine cannot be used at all here.
    pub(crate) unavailable: Option<String>,
    /// Geometric means over the modules that both this engine and Cranelift `speed` have figures for.
    pub(crate) relative: Relative,
}

/// Means relative to the reference engine, Cranelift `speed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Relative {
    /// Modules that took part.
    pub(crate) modules: usize,
    /// In MB of code section a second, not relative: the geometric mean over the same modules.
    pub(crate) compile_mb_per_s: Option<f64>,
    /// Compile time of the reference / of this engine: higher is better.
    pub(crate) compile_speed: Option<f64>,
    /// Code bytes / those of the reference.
    pub(crate) code_size: Option<f64>,
    /// Run time / that of the reference.
    pub(crate) run_time: Option<f64>,
}

/// One module on every engine.
#[derive(Debug, Serialize)]
pub(crate) struct ModuleReport {
    pub(crate) name: String,
    pub(crate) wasm_bytes: usize,
    pub(crate) code_section_bytes: usize,
    /// Why the module was compiled but not run.
    pub(crate) not_run: Option<String>,
    /// By engine identifier.
    pub(crate) engines: BTreeMap<&'static str, Measured>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// What one engine did with one module: figures, or a problem and no figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) rounds: usize,
    pub(crate) compile: Option<Timing>,
    pub(crate) compile_mb_per_s: Option<f64>,
    pub(crate) code_bytes: Option<usize>,
    pub(crate) side_table_bytes: Option<usize>,
    pub(crate) run: Option<Timing>,
    pub(crate) problem: Option<Trouble>,
}

/// Time: processor time, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Timing {
    /// Of all samples.
    pub(crate) median_seconds: f64,
    pub(crate) min_seconds: f64,
    pub(crate) samples: usize,
    /// The median of each round.
    pub(crate) round_seconds: Vec<f64>,
}

/// A [`Problem`] as it is written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    pub(crate) phase: Phase,
    pub(crate) message: String,
}

impl Report {
    /// Puts a report together; `engines` come without their means.
    pub(crate) fn new(
        machine: Machine,
        mut engines: Vec<EngineReport>,
        modules: Vec<ModuleReport>,
        unreadable: BTreeMap<String, String>,
    ) -> Report {
        for engine in &mut engines {
            engine.relative = Relative::of(engine.id, &modules);
        }
        let geometric_means = Figures::means(&modules);
        Report {
            format: FORMAT,
            machine,
            engines,
            modules,
            unreadable,
            geometric_means,
        }
    }
}

impl Relative {
    fn of(engine: &str, modules: &[ModuleReport]) -> Relative {
        let reference = id::CRANELIFT_SPEED;
        let shared: Vec<&ModuleReport> = modules
            .iter()
            .filter(|module| {
                module
                    .ratio(Measured::compile_rounds, reference, engine)
                    .is_some()
            })
            .collect();
        let mean = |value: &dyn Fn(&ModuleReport) -> Option<f64>| {
            geometric_mean(shared.iter().filter_map(|module| value(module)))
        };
        Relative {
            modules: shared.len(),
            compile_mb_per_s: mean(&|module| module.engines.get(engine)?.compile_mb_per_s),
            compile_speed: mean(&|module| {
                module.ratio(Measured::compile_rounds, reference, engine)
            }),
            code_size: mean(&|module| module.ratio(Measured::code_size, engine, reference)),
            run_time: mean(&|module| module.ratio(Measured::run_rounds, engine, reference)),
        }
    }
}

impl ModuleReport {
    /// The report of `program`, given what each engine made of it.
    pub(crate) fn new(
        program: &Program,
        results: impl IntoIterator<Item = (&'static str, Result<Samples, Problem>)>,
    ) -> ModuleReport {
        let code_section_bytes = program.code_section_bytes;
        let mut module = ModuleReport {
            name: program.name.clone(),
            wasm_bytes: program.wasm.len(),
            code_section_bytes,
            not_run: match &program.usage {
                Usage::Run(_) => None,
                Usage::CompileOnly(reason) => Some(reason.clone()),
            },
            engines: results
                .into_iter()
                .map(|(id, result)| (id, Measured::new(result, code_section_bytes)))
                .collect(),
            figures: Figures::default(),
        };
        module.figures = Figures::of(&module);
        module
    }

    /// `quantity` of one engine divided by that of another, if both were measured: the median of the ratios of the rounds in which
    /// both took part.
    pub(crate) fn ratio(
        &self,
        quantity: Quantity,
        numerator: &str,
        denominator: &str,
    ) -> Option<f64> {
        let of = |id| self.engines.get(id).and_then(quantity);
        let ratios: Vec<f64> = of(numerator)?
            .into_iter()
            .zip(of(denominator)?)
            .map(|(above, below)| above / below)
            .collect();
        median(&ratios)
    }
}

impl Measured {
    fn new(result: Result<Samples, Problem>, code_section_bytes: usize) -> Measured {
        match result {
            Ok(samples) => {
                let compile = Timing::of(&samples.compile);
                Measured {
                    rounds: samples.rounds,
                    compile_mb_per_s: compile
                        .as_ref()
                        .map(|timing| code_section_bytes as f64 / 1e6 / timing.median_seconds),
                    compile,
                    code_bytes: samples.code_bytes,
                    side_table_bytes: samples.side_table_bytes,
                    run: Timing::of(&samples.run),
                    problem: None,
                }
            }
            Err(Problem { phase, message }) => Measured {
                problem: Some(Trouble { phase, message }),
                ..Measured::default()
            },
        }
    }

    /// Compile time by round, in seconds.
    pub(crate) fn compile_rounds(&self) -> Option<Vec<f64>> {
        Some(self.compile.as_ref()?.round_seconds.clone())
    }

    /// Run time by round, in seconds.
    pub(crate) fn run_rounds(&self) -> Option<Vec<f64>> {
        Some(self.run.as_ref()?.round_seconds.clone())
    }

    /// Code bytes, which are the same in every round.
    pub(crate) fn code_size(&self) -> Option<Vec<f64>> {
        self.code_bytes.map(|bytes| vec![bytes as f64])
    }
}

impl Timing {
    /// Of the samples by round.
    pub(crate) fn of(rounds: &[Vec<f64>]) -> Option<Timing> {
        let samples = rounds.concat();
        Some(Timing {
            median_seconds: median(&samples)?,
            min_seconds: samples.iter().copied().min_by(f64::total_cmp)?,
            samples: samples.len(),
            round_seconds: rounds.iter().filter_map(|round| median(round)).collect(),
        })
    }
}

impl Machine {
    /// The machine this runs on.
    pub(crate) fn this() -> Machine {
        Machine {
            arch: std::env::consts::ARCH,
            os: std::env::consts::OS,
            cpu: cpu_model().unwrap_or_else(|| String::from("unknown CPU")),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The first `model name` that Linux reports.
fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
