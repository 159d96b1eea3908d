use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::child::Task;
use crate::extras::{Extras, Phases};
use crate::growth::{GrowthReport, Point};
use crate::memory::{MemoryReport, Peaks};
use crate::options::Large;
use crate::report::Timing;
use crate::report::tests::{engine, module, report};
use crate::start::StartReport;

fn timing(seconds: f64) -> Timing {
    Timing::of(&[vec![seconds]]).unwrap()
}

fn growth() -> GrowthReport {
    let point = |bytes: usize| Point {
        functions: 1,
        function_bytes: bytes,
        locals: 1,
        code_section_bytes: bytes,
        compile_seconds: [(id::NOPAL, bytes as f64 * 1e-8)].into(),
    };
    GrowthReport {
        id: "functions",
        title: "more functions",
        points: vec![point(1000), point(2000)],
        exponents: [(id::NOPAL, 1.0)].into(),
        problems: BTreeMap::new(),
    }
}

fn everything() -> Everything {
    let engines = || {
        vec![
            engine(id::NOPAL, "Nopal", "Nopal 1"),
            engine(id::CRANELIFT_SPEED, "Cranelift `speed`", "Wasmtime 2"),
        ]
    };
    let measured = |name| {
        let results = [
            (id::NOPAL, 0.25, 1200, 0.011),
            (id::CRANELIFT_SPEED, 2.0, 1000, 0.01),
        ];
        module(name, results)
    };
    let peaks = Peaks {
        bytes: [(id::NOPAL, 1_000_000), (id::CRANELIFT_SPEED, 4_000_000)].into(),
        ratio: Some(0.25),
        problems: [(id::WINCH, String::from("no SIMD"))].into(),
    };
    Everything {
        corpus: report(engines(), vec![measured("one")]),
        large: Some(report(engines(), vec![measured("big 1.0")])),
        extras: Extras {
            phases: Some(Phases {
                modules: Vec::new(),
                problems: [(String::from("big 1.0"), String::from("too big"))].into(),
            }),
            growth: Some(vec![growth()]),
            memory: Some(vec![MemoryReport {
                name: String::from("big 1.0"),
                wasm_bytes: 14_000_000,
                baseline_bytes: 1,
                one_thread: peaks.clone(),
                all_threads: peaks,
            }]),
            start: Some(vec![StartReport {
                name: String::from("big 1.0"),
                wasm_bytes: 14_000_000,
                task: Task::Instantiate,
                load: Some(timing(0.001)),
                engines: [(id::NOPAL, timing(0.5)), (id::WINCH, timing(0.4))].into(),
                cranelift_ratio: None,
                winch_ratio: Some(1.25),
                problems: BTreeMap::new(),
            }]),
        },
    }
}

fn page(files: &[File]) -> &str {
    let page = files.iter().find(|file| file.path == "benchmarks.md");
    &page.unwrap().text
}

#[test]
fn every_plot_is_written_and_shown() {
    let files = render(&everything(), "command");
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let plots = ["speed", "growth-functions", "memory", "start"];
    let plots = plots.map(|name| format!("benchmarks/{name}.svg"));
    assert_eq!(paths[..4], plots.each_ref().map(String::as_str));
    for plot in plots {
        assert!(page(&files).contains(&format!("]({plot})")), "{plot}");
    }
}

#[test]
fn goals_are_met_or_not() {
    let files = render(&everything(), "command");
    let page = page(&files);
    for row in [
        "| run time / Cranelift `speed`, programs | ≤ 1.05 | 1.10 | no |",
        "| run time / Cranelift `speed`, slowest (one) | ≤ 1.25 | 1.10 | yes |",
        "| code size / Cranelift `speed`, large modules | ≤ 1.10 | 1.20 | no |",
        "| exponent, more functions | ≤ 1.05 | 1.00 | yes |",
        "| memory / Cranelift `speed`, big 1.0, all threads | ≤ 0.50 | 0.25 | yes |",
        "| start / Winch, big 1.0 | ≤ 1.00 | 1.25 | no |",
    ] {
        assert!(page.contains(row), "{row} is not in\n{page}");
    }
    assert!(!page.contains("start / Cranelift"), "{page}");
}

#[test]
fn what_was_refused_is_listed_in_the_engines_words() {
    let files = render(&everything(), "command");
    for line in [
        "- phases of big 1.0, Nopal: too big\n",
        "- memory of big 1.0, one thread, Winch: no SIMD\n",
    ] {
        assert!(page(&files).contains(line), "{line}");
    }
}

#[test]
fn the_command_tells_no_folders_of_the_machine() {
    let options = |corpus: &str| Options {
        corpus: Some(corpus.into()),
        large: vec![Large {
            name: String::from("big 1.0"),
            file: "/home/x/big.wasm".into(),
        }],
        json: None,
        filter: Vec::new(),
        exclude: vec![String::from("a*")],
        engines: vec![String::from("nopal"), String::from("winch")],
        rounds: Some(3),
        seconds: Duration::from_millis(1500),
        doublings: 8,
    };
    let start = "cargo run --release -p nopal-bench -- page --corpus";
    let end = "--large 'big 1.0=big.wasm' --exclude 'a*' --engines nopal,winch --rounds 3 --seconds 1.5 --doublings 8 --out docs";
    assert_eq!(
        command(&options("crates/bench/corpus")),
        format!("{start} crates/bench/corpus {end}")
    );
    assert_eq!(command(&options("/x/y")), format!("{start} DIR {end}"));
}

#[test]
fn files_are_written_with_their_folders() {
    let dir = tempfile::tempdir().unwrap();
    let file = File {
        path: String::from("benchmarks/a.svg"),
        text: String::from("x"),
    };
    write(dir.path(), &[file]).unwrap();
    let written = fs::read_to_string(dir.path().join("benchmarks/a.svg"));
    assert_eq!(written.unwrap(), "x");
    let file = dir.path().join("benchmarks/a.svg");
    assert!(
        write(
            &file,
            &[File {
                path: "b".into(),
                text: String::new()
            }]
        )
        .is_err()
    );
}
