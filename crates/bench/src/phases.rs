//! Where Nopal's compile time goes, on one thread.
//!
//! The phases are timed as they follow each other, function by function. What it takes to read the clock is known and taken off. The
//! clock is that of elapsed time: reading that of the thread takes a system call, which costs a short function more than its phases do.

use std::time::{Duration, Instant};

use nopal_codegen::{Context, Target};
use nopal_wasm::{Inspector, Sites};
use serde::Serialize;

use crate::clock::cpu_time;
use crate::corpus::Program;
use crate::engines::{Engine, Threads, id, one};
use crate::stats::median;

/// The phases, in their order.
pub(crate) const NAMES: [&str; PHASES] = ["translate", "analyze", "select", "encode", "publish"];

const PHASES: usize = 5;

/// The phases that are timed one by one; the last one is what remains.
const TIMED: usize = PHASES - 1;

/// A round goes on until it has taken this much processor time.
const ROUND: Duration = Duration::from_millis(50);

/// The phases of one module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PhaseReport {
    pub(crate) name: String,
    pub(crate) code_section_bytes: usize,
    pub(crate) rounds: usize,
    /// Time for each byte of the code section.
    pub(crate) ns_per_byte: f64,
    pub(crate) phases: Vec<PhaseShare>,
}

/// One phase: medians over the rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PhaseShare {
    pub(crate) name: &'static str,
    /// For each byte of the code section.
    pub(crate) ns_per_byte: f64,
    pub(crate) share: f64,
}

/// Measures the phases of compiling `program` in this many rounds.
pub(crate) fn run(program: &Program, rounds: usize) -> Result<PhaseReport, String> {
    let engine = one(id::NOPAL, Threads::One)?;
    let mut walker = Walker::new()?;
    let mut samples = Vec::new();
    for _ in 0..rounds {
        samples.push(round(program, &*engine, &mut walker)?);
    }
    report(program, &samples)
}

/// One round: seconds, for each phase of one compilation.
type Sample = [f64; PHASES];

fn round(program: &Program, engine: &dyn Engine, walker: &mut Walker) -> Result<Sample, String> {
    let start = cpu_time();
    let mut repetitions = 0u32;
    let mut whole = Duration::ZERO;
    walker.phases = [Duration::ZERO; TIMED];
    while repetitions == 0 || cpu_time().saturating_sub(start) < ROUND {
        walker.walk(&program.wasm)?;
        let before = Instant::now();
        drop(engine.compile(&program.wasm)?);
        whole += before.elapsed();
        repetitions += 1;
    }
    let each = |time: Duration| time.as_secs_f64() / f64::from(repetitions);
    let mut sample = [0.0; PHASES];
    for (phase, time) in sample.iter_mut().zip(walker.phases) {
        *phase = each(time);
    }
    // What a compilation does beyond the phases that were walked through: putting code and tables together, publishing them. Where
    // that is next to nothing, noise may make it less.
    sample[TIMED] = each(whole) - sample[..TIMED].iter().sum::<f64>();
    Ok(sample)
}

/// Goes through the phases of every function.
struct Walker {
    target: Target,
    context: Context,
    phases: [Duration; TIMED],
    /// What reading the clock takes.
    reading: Duration,
}

impl Walker {
    fn new() -> Result<Walker, String> {
        const READINGS: u32 = 1000;
        let start = Instant::now();
        let mut last = start;
        for _ in 0..READINGS {
            last = Instant::now();
        }
        Ok(Walker {
            target: Target::host().map_err(|error| error.to_string())?,
            context: Context::new(),
            phases: [Duration::ZERO; TIMED],
            reading: (last - start) / READINGS,
        })
    }

    fn walk(&mut self, wasm: &[u8]) -> Result<(), String> {
        let mut last = Instant::now();
        let (phases, reading) = (&mut self.phases, self.reading);
        let mut lap = |phase: usize| {
            let now = Instant::now();
            phases[phase] += (now - last).saturating_sub(reading);
            last = now;
        };
        let mut failure = None;
        let inspector = Inspector::new(wasm).map_err(|error| error.to_string())?;
        let translated = inspector.for_each_ir(Sites::ALL, |func| {
            lap(0);
            // The phases of the compiler follow translation in the order in which it knows them.
            let compiled = (self.context)
                .compile_observed(func, &self.target, |phase| lap(1 + phase as usize));
            failure = compiled.err().or(failure.take());
        });
        translated.map_err(|error| error.to_string())?;
        failure.map_or(Ok(()), |error| Err(error.to_string()))
    }
}

fn report(program: &Program, samples: &[Sample]) -> Result<PhaseReport, String> {
    let bytes = program.code_section_bytes as f64;
    let middle = |value: &dyn Fn(&Sample) -> f64| {
        let values: Vec<f64> = samples.iter().map(value).collect();
        median(&values).ok_or_else(|| String::from("no rounds"))
    };
    let total = |sample: &Sample| sample.iter().sum::<f64>();
    let mut phases = Vec::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        phases.push(PhaseShare {
            name,
            ns_per_byte: middle(&|sample| sample[index] * 1e9 / bytes)?,
            share: middle(&|sample| sample[index] / total(sample))?,
        });
    }
    Ok(PhaseReport {
        name: program.name.clone(),
        code_section_bytes: program.code_section_bytes,
        rounds: samples.len(),
        ns_per_byte: middle(&|sample| total(sample) * 1e9 / bytes)?,
        phases,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::program;

    #[test]
    fn the_phases_are_named_in_the_order_of_the_compiler() {
        use nopal_codegen::Phase;
        for (phase, name) in [
            (Phase::Analyze, "analyze"),
            (Phase::Select, "select"),
            (Phase::Encode, "encode"),
        ] {
            assert_eq!(NAMES[1 + phase as usize], name);
        }
    }

    #[test]
    fn each_phase_takes_time_and_all_of_them_the_whole() {
        let mut program = program("one");
        program.wasm =
            wat::parse_str("(module (func (param i32) (result i32) local.get 0))").unwrap();
        program.code_section_bytes = 6;
        let report = run(&program, 2).unwrap();
        assert_eq!((report.rounds, report.phases.len()), (2, PHASES));
        for phase in &report.phases[..TIMED] {
            assert!(phase.ns_per_byte > 0.0, "{phase:?}");
        }
    }

    #[test]
    fn figures_are_medians_over_the_rounds() {
        let samples = [
            [1.0, 1.0, 1.0, 1.0, 0.0],
            [1.0, 2.0, 3.0, 4.0, 10.0],
            [8.0, 4.0, 2.0, 1.0, 1.0],
        ];
        let mut program = program("one");
        program.code_section_bytes = 1_000_000_000;
        let report = report(&program, &samples).unwrap();
        assert_eq!(report.ns_per_byte, 16.0);
        let of = |name| {
            report
                .phases
                .iter()
                .find(|phase| phase.name == name)
                .unwrap()
        };
        assert_eq!(
            (of("analyze").ns_per_byte, of("analyze").share),
            (2.0, 0.25)
        );
        assert_eq!(
            (of("publish").ns_per_byte, of("publish").share),
            (1.0, 0.0625)
        );
    }

    #[test]
    fn what_is_invalid_is_refused() {
        let mut program = program("one");
        program.wasm = wat::parse_str("(module (func (result i32) f32.const 0))").unwrap();
        assert!(run(&program, 1).is_err());
    }
}
