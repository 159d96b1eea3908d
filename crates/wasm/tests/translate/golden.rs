//! The IR of small modules, compared with what `tests/ir` says it should be.
//!
//! A file holds a module and, in comments after it, the IR of its functions. The first line may be a
//! comment `;; sites` to ask for patch sites. `NOPAL_BLESS=1` rewrites the IR in the files.

use crate::translate_and_verify;
use nopal_wasm::Sites;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Precedes every line of the expected IR.
const PREFIX: &str = ";;! ";

#[test]
fn functions_are_translated_as_expected() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ir");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("the folder of golden files")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "wat"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "golden files are missing");
    let bless = std::env::var_os("NOPAL_BLESS").is_some();
    let mut different = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let source = text
            .split_once(&format!("\n{PREFIX}"))
            .map_or(text.trim_end(), |(source, _)| source.trim_end());
        let got = format!("{source}\n\n{}", expected(&path, source));
        if got != text {
            if bless {
                std::fs::write(&path, got).expect("a writable file");
            } else {
                different.push(format!("{}:\n{got}", path.display()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "set NOPAL_BLESS=1 to accept:\n{}",
        different.join("\n")
    );
}

/// The lines that should follow a module.
fn expected(path: &Path, source: &str) -> String {
    let sites = match source.starts_with(";; sites") {
        true => Sites::ALL,
        false => Sites::NONE,
    };
    let wasm = wat::parse_str(source).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let funcs =
        translate_and_verify(&wasm, sites).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    for func in &funcs {
        for line in renumber(&func.to_string()).lines() {
            writeln!(text, "{}", format!("{PREFIX}{line}").trim_end())
                .expect("writing to a string");
        }
    }
    text
}

/// Number values by their first appearance in the text instead of by their making.
fn renumber(ir: &str) -> String {
    let mut numbers = HashMap::new();
    let mut text = String::new();
    let mut rest = ir;
    while let Some(at) = rest.find('v') {
        let (before, value) = rest.split_at(at);
        text.push_str(before);
        let in_word = text.ends_with(|c: char| c.is_ascii_alphanumeric());
        let digits = value[1..]
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(value.len() - 1);
        if in_word || digits == 0 {
            text.push('v');
            rest = &value[1..];
            continue;
        }
        let next = numbers.len();
        let number = numbers.entry(&value[..=digits]).or_insert(next);
        write!(text, "v{number}").expect("writing to a string");
        rest = &value[digits + 1..];
    }
    text.push_str(rest);
    text
}
