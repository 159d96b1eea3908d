use super::*;
use crate::corpus::Command;

/// A module of 1 MB of code on a set of engines: identifier, compile seconds, code bytes, run seconds.
pub(crate) fn module(
    name: &str,
    engines: impl IntoIterator<Item = (&'static str, f64, usize, f64)>,
) -> ModuleReport {
    let samples = |(id, compile, code, run): (&'static str, f64, usize, f64)| {
        let samples = Samples {
            compile: vec![vec![compile]; 3],
            run: vec![vec![run]; 3],
            code_bytes: Some(code),
            side_table_bytes: None,
            rounds: 3,
        };
        (id, Ok(samples))
    };
    ModuleReport::new(&program(name), engines.into_iter().map(samples))
}

pub(crate) fn program(name: &str) -> Program {
    let command = Command {
        argv: Vec::new(),
        dir: ".".into(),
        expected: None,
    };
    Program {
        name: name.to_owned(),
        wasm: vec![0; 1_200_000],
        code_section_bytes: 1_000_000,
        usage: Usage::Run(command),
        file: None,
    }
}

pub(crate) fn engine(id: &'static str, label: &str, runtime: &str) -> EngineReport {
    EngineReport {
        id,
        label: label.to_owned(),
        runtime: Some(runtime.to_owned()),
        unavailable: None,
        relative: Relative::default(),
    }
}

pub(crate) fn report(engines: Vec<EngineReport>, modules: Vec<ModuleReport>) -> Report {
    let machine = Machine {
        arch: "x86_64",
        os: "linux",
        cpu: String::from("Test CPU"),
        threads: 2,
    };
    Report::new(machine, engines, modules, BTreeMap::new())
}

fn close(actual: Option<f64>, expected: f64) {
    assert!(
        (actual.unwrap() - expected).abs() < 1e-9,
        "{actual:?} is not {expected}"
    );
}

fn two_modules() -> Vec<ModuleReport> {
    vec![
        module(
            "one",
            [
                (id::CRANELIFT_SPEED, 2.0, 1000, 1.0),
                (id::WINCH, 0.3, 2000, 2.0),
                (id::NOPAL, 0.25, 1100, 1.1),
                (id::NOPAL_NO_SITES, 0.2, 1000, 1.0),
                (id::NOPAL_COUNT, 0.25, 1100, 2.2),
            ],
        ),
        module(
            "two",
            [
                (id::CRANELIFT_SPEED, 1.0, 1000, 4.0),
                (id::NOPAL, 0.5, 1000, 2.0),
            ],
        ),
    ]
}

#[test]
fn figures_of_a_module_compare_the_right_sides() {
    let figures = two_modules()[0].figures;
    close(figures.compile_speedup, 8.0);
    close(figures.compile_vs_winch, 1.2);
    close(figures.code_size_ratio, 1.1);
    close(figures.run_ratio, 1.1);
    close(figures.sites_off_ratio, 1.1);
    close(figures.count_hook_ratio, 2.0);
}

#[test]
fn ratios_are_taken_round_by_round() {
    let samples = |run: [f64; 3]| {
        Ok(Samples {
            run: run.map(|seconds| vec![seconds]).to_vec(),
            rounds: 3,
            ..Samples::default()
        })
    };
    // The machine slows down from round to round, but one engine always takes twice as long as the other.
    let results = [
        (id::NOPAL, samples([2.0, 4.0, 8.0])),
        (id::CRANELIFT_SPEED, samples([1.0, 2.0, 4.0])),
        (id::NOPAL_NO_SITES, samples([2.0, 4.0, 16.0])),
    ];
    let module = ModuleReport::new(&program("slower"), results);
    close(module.figures.run_ratio, 2.0);
    close(module.figures.sites_off_ratio, 1.0);
}

#[test]
fn figures_without_one_side_are_absent_and_left_out_of_the_means() {
    let modules = two_modules();
    assert_eq!(modules[1].figures.compile_vs_winch, None);
    assert_eq!(modules[1].figures.count_hook_ratio, None);
    let means = Figures::means(&modules);
    close(means.compile_speedup, 4.0);
    close(means.compile_vs_winch, 1.2);
    close(means.count_hook_ratio, 2.0);
    assert_eq!(Figures::means(&[]), Figures::default());
}

#[test]
fn engines_are_related_to_the_reference_over_shared_modules() {
    let engines = vec![
        engine(id::CRANELIFT_SPEED, "C", "W"),
        engine(id::WINCH, "Winch", "W"),
    ];
    let report = report(engines, two_modules());
    let reference = report.engines[0].relative;
    assert_eq!(reference.modules, 2);
    close(reference.compile_speed, 1.0);
    close(reference.compile_mb_per_s, 0.5f64.sqrt());
    let winch = report.engines[1].relative;
    assert_eq!(winch.modules, 1);
    close(winch.compile_mb_per_s, 1.0 / 0.3);
    close(winch.code_size, 2.0);
    close(winch.run_time, 2.0);
}

#[test]
fn json_holds_figures_medians_and_problems() {
    let refused = Problem {
        phase: Phase::Compile,
        message: String::from("no SIMD"),
    };
    let mut modules = two_modules();
    modules.push(ModuleReport::new(
        &program("three"),
        [(id::WINCH, Err(refused))],
    ));
    let json =
        serde_json::to_value(report(vec![engine(id::NOPAL, "Nopal", "Nopal")], modules)).unwrap();
    assert_eq!(json["format"], 1);
    let speedup = json["geometric_means"]["compile_speedup"].as_f64().unwrap();
    assert!((speedup - 4.0).abs() < 1e-9, "{speedup}");
    let one = &json["modules"][0];
    assert_eq!(one["name"], "one");
    assert_eq!(one["code_section_bytes"], 1_000_000);
    assert_eq!(one["compile_speedup"], 8.0);
    assert_eq!(one["engines"]["nopal"]["compile"]["median_seconds"], 0.25);
    assert_eq!(one["engines"]["nopal"]["run"]["samples"], 3);
    assert_eq!(one["engines"]["nopal"]["code_bytes"], 1100);
    let winch = &json["modules"][2]["engines"]["winch"];
    assert_eq!(winch["problem"]["phase"], "compile");
    assert_eq!(winch["problem"]["message"], "no SIMD");
    assert!(winch["compile"].is_null() && json["modules"][2]["run_ratio"].is_null());
}
