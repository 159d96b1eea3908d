//! `nopal compile` as its users see it.

mod common;

use common::{Files, corpus, run};
use serde_json::Value as Json;

const MODULE: &str = r#"(module
    (memory 1)
    (func $pair (param $a i32) (param $b f64) (result f64 i32)
        (i32.store (i32.const 8) (local.get $a))
        (local.get $b) (local.get $a))
    (func $spin (param i32)
        (loop $again
            (drop (drop (call $pair (local.get 0) (f64.const 1))))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "exported") (result i64) (i64.const 5)))"#;

fn compile(args: &[&str]) -> String {
    let files = Files::new();
    let text = MODULE
        .replace("(drop (drop (call", "(call")
        .replace("(f64.const 1))))", "(f64.const 1)) drop drop");
    let path = files.wasm("a.wasm", &text);
    let mut line = vec!["compile"];
    line.extend(args);
    line.push(path.to_str().unwrap());
    run(line).printed(0).to_owned()
}

#[test]
fn the_site_table_says_where_values_are() {
    let json: Json = serde_json::from_str(&compile(&["--emit", "sites", "--json"])).unwrap();
    let sites = json.as_array().unwrap();
    let kinds = |func: u64| -> Vec<&str> {
        let of_func = sites.iter().filter(|site| site["func"] == func);
        of_func.map(|site| site["kind"].as_str().unwrap()).collect()
    };
    assert_eq!(kinds(0), ["entry", "exit"]);
    assert_eq!(kinds(1), ["entry", "loop", "exit"]);
    assert_eq!(kinds(2), ["entry", "exit"]);
    let types = |at: usize| -> Vec<&str> {
        let values = sites[at]["values"].as_array().unwrap();
        values
            .iter()
            .map(|value| value["type"].as_str().unwrap())
            .collect()
    };
    assert_eq!(sites[0]["name"], "pair");
    assert_eq!(types(0), ["i32", "f64"]);
    assert_eq!(types(1), ["f64", "i32"]);
    for value in sites
        .iter()
        .flat_map(|site| site["values"].as_array().unwrap())
    {
        let places = ["register", "frame_offset", "bits"];
        assert_eq!(
            places
                .iter()
                .filter(|place| value.get(place).is_some())
                .count(),
            1,
            "{value}"
        );
    }
    let offsets: Vec<u64> = sites
        .iter()
        .map(|site| site["code_offset"].as_u64().unwrap())
        .collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    let text = compile(&["--emit", "sites"]);
    assert_eq!(text.lines().count(), sites.len() + 1);
    assert!(text.contains("i64 constant 5"), "{text}");
}

#[test]
fn the_disassembly_marks_sites_traps_and_callees() {
    let text = compile(&["--emit", "asm"]);
    for expected in ["; site 0: entry, off", ": exit, off", ": loop, off"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(
        text.contains("; trap: out of bounds memory access (wasm 0x"),
        "{text}"
    );
    let call = text
        .lines()
        .find(|line| line.ends_with("; pair"))
        .expect(&text);
    assert!(call.contains("call"), "{call}");
    assert!(!text.contains("(bad)"), "{text}");
    let marked = text.lines().filter(|line| line.contains("; site "));
    assert_eq!(marked.clone().count(), 7);
    assert!(
        marked.clone().all(|line| line.contains("cmp eax, 0")),
        "{text}"
    );
}

#[test]
fn sites_can_be_left_out() {
    assert!(!compile(&["--no-sites"]).contains("; site "));
    assert!(compile(&["--emit", "clif"]).contains("site="));
    assert!(!compile(&["--emit", "clif", "--no-sites"]).contains("site="));
    assert_eq!(
        compile(&["--emit", "sites", "--json", "--no-sites"]),
        "[]\n"
    );
}

#[test]
fn patterns_choose_functions() {
    let text = compile(&["-f", "pair", "-f", "#2"]);
    let headings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("; function"))
        .collect();
    assert_eq!(headings.len(), 2, "{text}");
    assert!(headings[0].starts_with("; function 0 pair: (i32, f64) -> (f64, i32), wasm 0x"));
    assert!(headings[1].starts_with("; function 2 exported: () -> (i64), wasm 0x"));
    assert!(compile(&["--emit", "clif", "-f", "spin"]).contains("; function 1 spin"));
}

#[test]
fn every_instruction_of_the_corpus_decodes() {
    for (path, _) in corpus() {
        let listing = run(["compile".as_ref(), path.as_os_str()]);
        let text = listing.printed(0);
        assert!(text.lines().count() > 1000, "{}", path.display());
        let bad = text.lines().find(|line| line.contains("(bad)"));
        assert_eq!(bad, None, "{}", path.display());
    }
}
