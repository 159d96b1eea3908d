use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use super::*;
use crate::engines::Prepared;

type Log = Rc<RefCell<Vec<String>>>;

/// An engine that does nothing but write down what it is asked, after using some processor time.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    log: Log,
    refuses: bool,
    exit: Result<i32, String>,
    prints: &'static str,
}

impl Fake {
    fn new(name: &'static str, log: &Log) -> Fake {
        Fake {
            name,
            log: log.clone(),
            refuses: false,
            exit: Ok(0),
            prints: "right",
        }
    }

    fn note(&self, what: &str) {
        // Longer than a short piece of work, so that each is done once a round.
        let start = cpu_time();
        while cpu_time() - start < SHORT {}
        self.log.borrow_mut().push(format!("{} {what}", self.name));
    }
}

impl Engine for Fake {
    fn id(&self) -> &'static str {
        self.name
    }

    fn label(&self) -> &str {
        self.name
    }

    fn runtime(&self) -> String {
        String::from("fake")
    }

    fn compile(&self, _wasm: &[u8]) -> Result<Box<dyn Compiled>, String> {
        self.note("compile");
        if self.refuses {
            Err(String::from("no SIMD"))
        } else {
            Ok(Box::new(self.clone()))
        }
    }
}

impl Compiled for Fake {
    fn code_bytes(&self) -> Option<usize> {
        Some(123)
    }

    fn prepare(&self, _command: &Command) -> Result<Box<dyn Prepared>, String> {
        Ok(Box::new(self.clone()))
    }

    fn instantiate_alone(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Prepared for Fake {
    fn run(&mut self) -> Result<i32, String> {
        self.note("run");
        self.exit.clone()
    }

    fn finish(&self) -> Result<Vec<u8>, String> {
        Ok(self.prints.into())
    }
}

fn program(expected: Option<&str>) -> Program {
    let command = Command {
        argv: vec![String::from("p.wasm")],
        dir: PathBuf::from("."),
        expected: expected.map(|text| text.as_bytes().to_vec()),
    };
    Program {
        name: String::from("p"),
        wasm: Vec::new(),
        code_section_bytes: 1,
        usage: Usage::Run(command),
        file: None,
    }
}

fn measure_fakes(
    program: &Program,
    engines: Vec<Fake>,
    plan: Plan,
) -> Vec<Result<Samples, Problem>> {
    let engines: Vec<Box<dyn Engine>> = engines
        .into_iter()
        .map(|engine| Box::new(engine) as Box<dyn Engine>)
        .collect();
    measure(program, &engines, plan, |_| {})
}

#[test]
fn rounds_are_interleaved_and_rotate() {
    let log = Log::default();
    let results = measure_fakes(
        &program(Some("right")),
        vec![Fake::new("a", &log), Fake::new("b", &log)],
        Plan::exactly(2),
    );
    let expected = [
        "a compile",
        "a run",
        "b compile",
        "b run", // first round
        "b compile",
        "b run",
        "a compile",
        "a run", // second round
    ];
    assert_eq!(*log.borrow(), expected);
    for result in results {
        let samples = result.unwrap();
        assert_eq!(
            (samples.compile.len(), samples.run.len(), samples.rounds),
            (2, 2, 2)
        );
        assert_eq!(samples.code_bytes, Some(123));
        assert!(
            samples
                .run
                .iter()
                .flatten()
                .all(|&seconds| seconds >= SHORT.as_secs_f64())
        );
    }
}

#[test]
fn every_engine_takes_part_in_the_least_number_of_rounds_even_over_budget() {
    let log = Log::default();
    let plan = Plan {
        min_rounds: 2,
        max_rounds: 10,
        engine_budget: Duration::ZERO,
    };
    let results = measure_fakes(&program(None), vec![Fake::new("a", &log)], plan);
    assert_eq!(results[0].as_ref().unwrap().rounds, 2);
}

#[test]
fn within_budget_the_rounds_go_on_to_the_limit() {
    let log = Log::default();
    let plan = Plan {
        min_rounds: 1,
        max_rounds: 3,
        engine_budget: Duration::MAX,
    };
    let results = measure_fakes(&program(None), vec![Fake::new("a", &log)], plan);
    assert_eq!(results[0].as_ref().unwrap().rounds, 3);
}

#[test]
fn a_problem_costs_that_engine_its_figures_and_no_other() {
    let log = Log::default();
    let good = Fake::new("good", &log);
    let refusing = Fake {
        refuses: true,
        ..Fake::new("refusing", &log)
    };
    let failing = Fake {
        exit: Ok(7),
        ..Fake::new("failing", &log)
    };
    let trapping = Fake {
        exit: Err(String::from("unreachable")),
        ..Fake::new("trapping", &log)
    };
    let wrong = Fake {
        prints: "rigid",
        ..Fake::new("wrong", &log)
    };
    let engines = vec![good, refusing, failing, trapping, wrong];
    let results = measure_fakes(&program(Some("right")), engines, Plan::exactly(2));
    let problem = |phase, message: &str| {
        Err(Problem {
            phase,
            message: String::from(message),
        })
    };
    assert_eq!(results[0].as_ref().unwrap().rounds, 2);
    assert_eq!(results[1], problem(Phase::Compile, "no SIMD"));
    assert_eq!(results[2], problem(Phase::Run, "exit code 7"));
    assert_eq!(results[3], problem(Phase::Run, "unreachable"));
    let message = r#"at byte 3 of its output "id", in p.expected "ht""#;
    assert_eq!(results[4], problem(Phase::Output, message));
    assert_eq!(
        log.borrow()
            .iter()
            .filter(|line| line.starts_with("wrong"))
            .count(),
        2
    );
}

#[test]
fn a_panic_is_the_problem_of_the_engine() {
    assert_eq!(guarded(|| Ok(1)), Ok(1));
    assert_eq!(
        guarded::<()>(|| panic!("bad\nworse")),
        Err(String::from("panicked: bad"))
    );
    assert_eq!(
        guarded::<()>(|| panic!("bad {}", 1)),
        Err(String::from("panicked: bad 1"))
    );
}

#[test]
fn without_an_expected_output_the_first_engine_decides() {
    let log = Log::default();
    let first = Fake {
        prints: "",
        ..Fake::new("first", &log)
    };
    let results = measure_fakes(
        &program(None),
        vec![first, Fake::new("second", &log)],
        Plan::exactly(1),
    );
    assert!(results[0].is_ok());
    let message = r#"at byte 0 of its output "right", in the output of first the end"#;
    assert_eq!(
        results[1],
        Err(Problem {
            phase: Phase::Output,
            message: String::from(message)
        })
    );
}

#[test]
fn the_reference_engine_runs_first_if_it_takes_part() {
    let log = Log::default();
    let engines = vec![Fake::new("a", &log), Fake::new(id::CRANELIFT_SPEED, &log)];
    let results = measure_fakes(&program(None), engines, Plan::exactly(1));
    assert!(results.iter().all(Result::is_ok));
    let runs: Vec<_> = log
        .borrow()
        .iter()
        .filter(|line| line.ends_with("run"))
        .cloned()
        .collect();
    assert_eq!(runs, ["cranelift-speed run", "a run"]);
}

#[test]
fn a_module_that_is_only_compiled_is_not_run() {
    let log = Log::default();
    let usage = Usage::CompileOnly(String::from("a library"));
    let library = Program {
        usage,
        ..program(None)
    };
    let results = measure_fakes(&library, vec![Fake::new("a", &log)], Plan::exactly(1));
    assert_eq!(*log.borrow(), ["a compile"]);
    assert!(results[0].as_ref().unwrap().run.is_empty());
}

#[test]
fn short_work_is_repeated() {
    let mut rounds = Vec::new();
    let last = repeat(&mut rounds, || Ok(("done", Duration::from_micros(1))));
    assert_eq!(last, Ok("done"));
    assert_eq!(rounds.len(), 1);
    let samples = rounds[0].len();
    assert!((2..=MAX_REPETITIONS).contains(&samples), "{samples}");
}
