//! Measures one program on every engine, in interleaved rounds.
//!
//! In each round each engine compiles the module afresh and runs what it has just compiled, and each round starts with another
//! engine: a drift of the machine's speed falls on all of them, and so does the luck of code placement. Engines are compared
//! round by round, so that a drift from one round to the next falls on no ratio.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use crate::clock::{cpu_time, timed};
use crate::corpus::{Command, Program, Usage};
use crate::engines::{Compiled, Engine, id};

/// Work shorter than this is repeated within a round, each repetition being a sample.
const SHORT: Duration = Duration::from_millis(20);

/// Samples of one kind that a round takes at most.
const MAX_REPETITIONS: usize = 100;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds that every engine takes part in.
    pub(crate) min_rounds: usize,
    /// Rounds after which all stop.
    pub(crate) max_rounds: usize,
    /// Elapsed time on one module after which an engine takes part in no more than `min_rounds`.
    pub(crate) engine_budget: Duration,
}

impl Plan {
    /// This many rounds, however long they take.
    pub(crate) fn exactly(rounds: usize) -> Plan {
        Plan {
            min_rounds: rounds,
            max_rounds: rounds,
            engine_budget: Duration::ZERO,
        }
    }
}

/// What was measured of one engine on one program: for each round, the times of the repetitions, in seconds of processor time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples {
    pub(crate) compile: Vec<Vec<f64>>,
    /// Empty if the program is only compiled.
    pub(crate) run: Vec<Vec<f64>>,
    pub(crate) code_bytes: Option<usize>,
    pub(crate) side_table_bytes: Option<usize>,
    pub(crate) rounds: usize,
}

/// Why there are no figures of an engine on a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) phase: Phase,
    pub(crate) message: String,
}

/// Where an engine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It refused the module.
    Compile,
    /// It could not provide what the program needs.
    Prepare,
    /// The program trapped or exited with a code other than zero.
    Run,
    /// The program printed something else than it should.
    Output,
}

impl Phase {
    /// What happened, for a reader.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Phase::Compile => "refused the module",
            Phase::Prepare => "could not be set up",
            Phase::Run => "failed",
            Phase::Output => "wrong output",
        }
    }

    fn problem(self, message: String) -> Problem {
        Problem {
            phase: self,
            message,
        }
    }
}

/// A round that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundDone {
    /// From 1.
    pub(crate) round: usize,
    /// Engines that took part.
    pub(crate) engines: usize,
    /// What the round took.
    pub(crate) elapsed: Duration,
}

impl fmt::Display for RoundDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "round {}: {} engines, {seconds:.1} s",
            self.round, self.engines
        )
    }
}

/// Measures `program` on each of `engines` and returns the results in the same order.
pub(crate) fn measure(
    program: &Program,
    engines: &[Box<dyn Engine>],
    plan: Plan,
    mut progress: impl FnMut(RoundDone),
) -> Vec<Result<Samples, Problem>> {
    let mut course = Course::new(program, engines, plan);
    while let Some(done) = course.round() {
        progress(done);
    }
    course.finish()
}

/// One program's way through the rounds, to be taken along with those of others.
pub(crate) struct Course<'a> {
    program: &'a Program,
    lanes: Vec<Lane<'a>>,
    judge: Judge,
    /// The engine that starts the first round.
    first: usize,
    plan: Plan,
    rounds: usize,
}

impl<'a> Course<'a> {
    pub(crate) fn new(program: &'a Program, engines: &'a [Box<dyn Engine>], plan: Plan) -> Self {
        Course {
            program,
            lanes: engines.iter().map(|engine| Lane::new(&**engine)).collect(),
            judge: Judge::new(program),
            // Without an expected output, the first engine to run decides what is right.
            first: engines
                .iter()
                .position(|engine| engine.id() == id::CRANELIFT_SPEED)
                .unwrap_or(0),
            plan,
            rounds: 0,
        }
    }

    /// Lets every engine have its turn, unless none takes part any more.
    pub(crate) fn round(&mut self) -> Option<RoundDone> {
        if self.rounds == self.plan.max_rounds {
            return None;
        }
        let start = Instant::now();
        let round = self.rounds + 1;
        let mut took_part = 0;
        for turn in 0..self.lanes.len() {
            let index = (self.first + turn + self.rounds) % self.lanes.len();
            let lane = &mut self.lanes[index];
            if lane.takes_part(round, self.plan) {
                lane.round(self.program, &mut self.judge);
                took_part += 1;
            }
        }
        if took_part == 0 {
            return None;
        }
        self.rounds = round;
        Some(RoundDone {
            round,
            engines: took_part,
            elapsed: start.elapsed(),
        })
    }

    /// What was measured, in the order of the engines.
    pub(crate) fn finish(self) -> Vec<Result<Samples, Problem>> {
        self.lanes.into_iter().map(|lane| lane.result).collect()
    }
}

/// One engine's way through the rounds.
struct Lane<'a> {
    engine: &'a dyn Engine,
    result: Result<Samples, Problem>,
    elapsed: Duration,
}

impl<'a> Lane<'a> {
    fn new(engine: &'a dyn Engine) -> Self {
        Lane {
            engine,
            result: Ok(Samples::default()),
            elapsed: Duration::ZERO,
        }
    }

    fn takes_part(&self, round: usize, plan: Plan) -> bool {
        self.result.is_ok() && (round <= plan.min_rounds || self.elapsed < plan.engine_budget)
    }

    fn round(&mut self, program: &Program, judge: &mut Judge) {
        let start = Instant::now();
        if let Ok(samples) = &mut self.result
            && let Err(problem) = sample(self.engine, program, judge, samples)
        {
            // Times of code that does the wrong thing mean nothing: the samples so far go too.
            self.result = Err(problem);
        }
        self.elapsed += start.elapsed();
    }
}

/// Takes one round's samples.
fn sample(
    engine: &dyn Engine,
    program: &Program,
    judge: &mut Judge,
    samples: &mut Samples,
) -> Result<(), Problem> {
    let compiled = repeat(&mut samples.compile, || {
        let (compiled, time) = timed(|| guarded(|| engine.compile(&program.wasm)));
        Ok((
            compiled.map_err(|message| Phase::Compile.problem(message))?,
            time,
        ))
    })?;
    samples.code_bytes = compiled.code_bytes();
    samples.side_table_bytes = compiled.side_table_bytes();
    if let Usage::Run(command) = &program.usage {
        repeat(&mut samples.run, || {
            run_once(&*compiled, command, judge, engine.label()).map(|time| ((), time))
        })?;
    }
    samples.rounds += 1;
    Ok(())
}

/// Does `work` until [`SHORT`] is over, at least once, appends the times in seconds to `rounds` and returns the last result.
fn repeat<R>(
    rounds: &mut Vec<Vec<f64>>,
    mut work: impl FnMut() -> Result<(R, Duration), Problem>,
) -> Result<R, Problem> {
    let start = cpu_time();
    let mut samples = Vec::new();
    loop {
        let (result, time) = work()?;
        samples.push(time.as_secs_f64());
        if samples.len() == MAX_REPETITIONS || cpu_time().saturating_sub(start) >= SHORT {
            rounds.push(samples);
            return Ok(result);
        }
    }
}

fn run_once(
    compiled: &dyn Compiled,
    command: &Command,
    judge: &mut Judge,
    label: &str,
) -> Result<Duration, Problem> {
    let mut prepared = compiled
        .prepare(command)
        .map_err(|message| Phase::Prepare.problem(message))?;
    let (exit, time) = timed(|| guarded(|| prepared.run()));
    match exit.map_err(|message| Phase::Run.problem(message))? {
        0 => {}
        code => return Err(Phase::Run.problem(format!("exit code {code}"))),
    }
    prepared
        .finish()
        .and_then(|output| judge.check(&output, label))
        .map_err(|message| Phase::Output.problem(message))?;
    Ok(time)
}

/// Does `work` for an engine. A panic in it is that engine's problem, not the end of the benchmark.
fn guarded<R>(work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    // What `work` leaves behind is dropped and not used again: after a problem the engine takes no further part in the module.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
        let line = message.and_then(|text| text.lines().next());
        Err(format!("panicked: {}", line.unwrap_or("no message")))
    })
}

/// Decides whether what a program printed is right: it must be what the corpus expects, or, if nothing is expected, what the first run
/// printed.
pub(crate) struct Judge {
    expected: Option<(Vec<u8>, String)>,
}

impl Judge {
    pub(crate) fn new(program: &Program) -> Judge {
        let expected = match &program.usage {
            Usage::Run(command) => command.expected.clone(),
            Usage::CompileOnly(_) => None,
        };
        Judge {
            expected: expected.map(|bytes| (bytes, format!("{}.expected", program.name))),
        }
    }

    pub(crate) fn check(&mut self, output: &[u8], label: &str) -> Result<(), String> {
        match &self.expected {
            Some((expected, _)) if expected == output => Ok(()),
            Some((expected, source)) => Err(difference(output, expected, source)),
            None => {
                self.expected = Some((output.to_vec(), format!("the output of {label}")));
                Ok(())
            }
        }
    }
}

/// Where `output` departs from `expected`, on one line.
fn difference(output: &[u8], expected: &[u8], source: &str) -> String {
    let at = output
        .iter()
        .zip(expected)
        .take_while(|(left, right)| left == right)
        .count();
    format!(
        "at byte {at} of its output {}, in {source} {}",
        excerpt(&output[at..]),
        excerpt(&expected[at..])
    )
}

/// The beginning of `bytes` in a form that fits on a line.
fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    match bytes.len() {
        0 => String::from("the end"),
        length if length <= SHOWN => format!("{:?}", String::from_utf8_lossy(bytes)),
        _ => format!("{:?}…", String::from_utf8_lossy(&bytes[..SHOWN])),
    }
}

#[cfg(test)]
mod tests;
