use super::*;

const START: &str = r#"(module (func (export "_start")))"#;

/// A folder holding `files`.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn read_all(dir: &Path) -> Result<Corpus, CorpusError> {
    read(dir, &Selection::new(&[], &[]).unwrap())
}

#[test]
fn arguments_and_expected_output_are_read_beside_the_module() {
    let start = wasm(START);
    let dir = folder(&[
        ("p.wasm", &start),
        ("p.args", b"-x\na b\n"),
        ("p.expected", b"out\n"),
        ("notes.txt", b""),
    ]);
    let corpus = read_all(dir.path()).unwrap();
    assert_eq!(corpus.programs.len(), 1);
    let program = &corpus.programs[0];
    assert_eq!(program.name, "p");
    let Usage::Run(command) = &program.usage else {
        panic!("{:?}", program.usage)
    };
    let expected = Command {
        argv: ["p.wasm", "-x", "a b"].map(String::from).to_vec(),
        dir: dir.path().to_owned(),
        expected: Some(b"out\n".to_vec()),
    };
    assert_eq!(*command, expected);
}

#[test]
fn the_side_files_are_optional() {
    let dir = folder(&[("p.wasm", &wasm(START))]);
    let corpus = read_all(dir.path()).unwrap();
    let Usage::Run(command) = &corpus.programs[0].usage else {
        panic!("not runnable")
    };
    assert_eq!(command.argv, ["p.wasm"]);
    assert_eq!(command.expected, None);
}

#[test]
fn modules_are_sorted_and_filtered_by_name() {
    let start = wasm(START);
    let dir = folder(&[("b.wasm", &start), ("a.wasm", &start), ("a.g.wasm", &start)]);
    let names = |include: &[&str], exclude: &[&str]| -> Vec<String> {
        let owned = |patterns: &[&str]| {
            patterns
                .iter()
                .map(|&pattern| pattern.to_owned())
                .collect::<Vec<_>>()
        };
        let corpus = read(
            dir.path(),
            &Selection::new(&owned(include), &owned(exclude)).unwrap(),
        )
        .unwrap();
        corpus
            .programs
            .into_iter()
            .map(|program| program.name)
            .collect()
    };
    assert_eq!(names(&[], &[]), ["a", "a.g", "b"]);
    assert_eq!(names(&["a"], &[]), ["a"]);
    assert_eq!(names(&[], &["*.g"]), ["a", "b"]);
    assert_eq!(names(&["a*", "b"], &["a.?"]), ["a", "b"]);
}

#[test]
fn what_is_no_module_is_reported_by_name() {
    // The preamble of a component (Component Model, "Binary Format"), which has nothing in it.
    let component = b"\0asm\x0d\0\x01\0";
    let no_code = wasm("(module)");
    let truncated = &wasm(START)[..20];
    let dir = folder(&[
        ("c.wasm", component),
        ("n.wasm", &no_code),
        ("t.wasm", truncated),
        ("x.wasm", b"text"),
    ]);
    let corpus = read_all(dir.path()).unwrap();
    assert!(corpus.programs.is_empty());
    let found: Vec<_> = corpus
        .unreadable
        .iter()
        .map(|file| (file.name.as_str(), file.message.as_str()))
        .collect();
    assert_eq!(found[0], ("c", "a component, not a module"));
    assert_eq!(found[1], ("n", "no code section"));
    assert!(
        found[2].0 == "t" && found[2].1.contains("unexpected end"),
        "{:?}",
        found[2]
    );
    assert!(
        found[3].0 == "x" && found[3].1.contains("magic"),
        "{:?}",
        found[3]
    );
}

#[test]
fn what_cannot_be_started_is_only_compiled() {
    let reason = |text: &str| inspect(&wasm(text)).unwrap().obstacle();
    assert_eq!(reason(START), None);
    assert_eq!(
        reason("(module (func))").unwrap(),
        "exports no function _start"
    );
    assert_eq!(
        reason(r#"(module (func) (global (export "_start") i32 (i32.const 0)))"#).unwrap(),
        "exports no function _start"
    );
    let foreign = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (import "env" "f" (func))
        (func (export "_start")))"#;
    assert_eq!(
        reason(foreign).unwrap(),
        "imports env::f, which is not part of WASI preview 1"
    );
}

#[test]
fn the_code_section_is_counted_without_its_header() {
    // One function: its count (1 byte), the body's size (1), no locals (1), `end` (1); the section's header is 2 bytes.
    let shape = inspect(&wasm("(module (func))")).unwrap();
    assert!(
        (3..=4).contains(&shape.code_section_bytes),
        "{}",
        shape.code_section_bytes
    );
}

#[test]
fn errors_name_the_path() {
    let dir = folder(&[]);
    let empty = read_all(dir.path()).unwrap_err().to_string();
    assert!(
        empty.contains("no module to measure") && empty.contains(&dir.path().display().to_string()),
        "{empty}"
    );
    let missing = read_all(&dir.path().join("gone")).unwrap_err().to_string();
    assert!(
        missing.contains("cannot read") && missing.contains("gone"),
        "{missing}"
    );
    let args = folder(&[("p.wasm", &wasm(START)), ("p.args", b"\xff")]);
    let bad_text = read_all(args.path()).unwrap_err().to_string();
    assert!(bad_text.contains("p.args: not UTF-8"), "{bad_text}");
    assert!(Selection::new(&[String::from("[")], &[]).is_err());
}
