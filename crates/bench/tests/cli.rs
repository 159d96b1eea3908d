//! The command line: what it prints, where, and its exit code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nopal-bench"))
        .args(args)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write_module(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), wat::parse_str(text).unwrap()).unwrap();
}

const STARTS: &str = r#"(module (func (export "_start")))"#;

#[test]
fn a_missing_folder_is_one_clear_line() {
    let output = bench(&["--corpus", "/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with("nopal-bench: cannot read /no/such/folder: "),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = text(dir.path());
    for wrong in [
        &["--rounds", "3"][..],
        &["--corpus", corpus, "--rounds", "0"],
        &["--corpus", corpus, "--engines", "v8"],
        &["--corpus", corpus, "--seconds", "-1"],
        &["phases"],
        &["start", "--rounds", "1"],
        &["memory", "--corpus", corpus],
        &["all"],
        &["page", "--corpus", corpus],
        &["--corpus", corpus, "growth"],
    ] {
        assert_eq!(bench(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn an_unwritable_output_is_reported_before_measuring() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let output = bench(&[
        "--corpus",
        text(dir.path()),
        "--json",
        "/no/such/folder/out.json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with("nopal-bench: cannot write /no/such/folder/out.json: "),
        "{message}"
    );
}

#[test]
fn a_measurement_prints_the_tables_and_writes_json() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let json = dir.path().join("out.json");
    let args = [
        "--rounds",
        "1",
        "--engines",
        "cranelift-speed,wasmi",
        "--json",
        text(&json),
    ];
    let output = bench(&[&["--corpus", text(dir.path())], &args[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        table.contains("| module | Cranelift `speed` | wasmi |"),
        "{table}"
    );
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["modules"][0]["name"], "a");
    assert!(
        report["modules"][0]["engines"]["wasmi"]["run"]["median_seconds"]
            .as_f64()
            .unwrap()
            > 0.0
    );
}

#[test]
fn a_wrong_output_is_listed_and_exits_with_three() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    fs::write(dir.path().join("a.expected"), "something\n").unwrap();
    let output = bench(&[
        "--corpus",
        text(dir.path()),
        "--rounds",
        "1",
        "--engines",
        "wasmi",
    ]);
    assert_eq!(output.status.code(), Some(3));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(table.contains("- a, wasmi: wrong output: "), "{table}");
}

/// Runs `args`, which must succeed, and returns standard output and the JSON.
fn measured(args: &[&str], dir: &Path) -> (String, serde_json::Value) {
    let json = dir.join("out.json");
    let output = bench(&[args, &["--rounds", "1", "--json", text(&json)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    (String::from_utf8(output.stdout).unwrap(), report)
}

#[test]
fn each_measurement_can_be_had_alone() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let corpus = text(dir.path());
    let file = format!("big 1.0={corpus}/a.wasm");

    let (table, report) = measured(&["phases", "--corpus", corpus], dir.path());
    assert!(
        table.contains("| module | ns a byte | translate |"),
        "{table}"
    );
    let phases = report["phases"]["modules"][0]["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 5);

    let (table, report) = measured(&["growth", "--doublings", "1"], dir.path());
    assert!(table.contains("| more functions |"), "{table}");
    assert!(report["growth"][0]["exponents"]["winch"].is_f64());

    let (table, report) = measured(&["memory", "--large", &file], dir.path());
    assert!(table.contains("| big 1.0, 0 KB | all |"), "{table}");
    let bytes = &report["memory"][0]["one_thread"]["bytes"];
    assert!(bytes["cranelift-speed"].as_u64().unwrap() > 0, "{report}");

    let (table, report) = measured(&["start", "--corpus", corpus], dir.path());
    assert!(table.contains("| a, 0 KB | its end |"), "{table}");
    assert_eq!(report["start"][0]["task"], "instantiate");
    assert!(report["start"][1]["winch_ratio"].is_f64());
}

#[test]
fn patching_needs_no_modules_and_has_a_page_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("docs");
    let args = ["toggle", "--sites", "1", "--out", text(&out)];
    let (table, report) = measured(&args, dir.path());
    assert!(table.contains("| store + broadcast | 1, 1 |"), "{table}");
    assert_eq!(report["toggle"]["switching"][1]["busy_threads"], 1);
    let page = fs::read_to_string(out.join("patching.md")).unwrap();
    assert!(
        page.contains("-- toggle --rounds 1 --sites 1 --out docs"),
        "{page}"
    );
    let svg = fs::read_to_string(out.join("patching/one-site.svg")).unwrap();
    assert!(svg.contains("Wasmtime 48, a breakpoint"), "{svg}");
}

#[test]
fn the_page_is_written_with_its_plots() {
    let dir = tempfile::tempdir().unwrap();
    write_module(dir.path(), "a.wasm", STARTS);
    let corpus = text(dir.path());
    let (file, out) = (format!("big 1.0={corpus}/a.wasm"), dir.path().join("docs"));
    let args = [
        "page",
        "--corpus",
        corpus,
        "--large",
        &file,
        "--out",
        text(&out),
    ];
    let few = ["--doublings", "0", "--engines", "nopal,cranelift-speed"];
    let (_, report) = measured(&[&args[..], &few].concat(), dir.path());
    assert_eq!(report["modules"][0]["name"], "a");
    assert_eq!(report["large"]["modules"][0]["name"], "big 1.0");
    let page = fs::read_to_string(out.join("benchmarks.md")).unwrap();
    assert!(page.contains("big 1.0") && !page.contains(corpus), "{page}");
    for plot in ["speed", "growth-function-size", "memory", "start"] {
        let svg = fs::read_to_string(out.join(format!("benchmarks/{plot}.svg"))).unwrap();
        assert!(svg.starts_with("<svg "), "{plot}: {svg}");
    }
}

#[test]
fn what_an_engine_refuses_is_listed_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let simd = "(module (func (result v128) (v128.const i64x2 1 2)))";
    write_module(dir.path(), "a.wasm", simd);
    let file = format!("simd={}/a.wasm", text(dir.path()));
    for part in ["phases", "memory", "start"] {
        let output = bench(&[part, "--large", &file, "--rounds", "1"]);
        let table = String::from_utf8(output.stdout.clone()).unwrap();
        let line = table.lines().find(|line| {
            line.starts_with("- ") && line.contains("simd") && line.contains("Nopal:")
        });
        let words = line.unwrap_or_else(|| panic!("{part}: {table}"));
        assert!(words.contains("unsupported: simd"), "{words}");
        assert_eq!(output.status.code(), Some(3), "{part}");
    }
}
