use super::*;
use crate::engines::id;
use crate::measure::{Phase, Problem};
use crate::report::tests::{engine, module, program, report};

#[test]
fn the_tables_read_as_markdown() {
    let engines = vec![
        engine(id::NOPAL, "Nopal", "Nopal 1"),
        engine(id::CRANELIFT_SPEED, "Cranelift `speed`", "Wasmtime 2"),
    ];
    let modules = vec![module(
        "one",
        [
            (id::NOPAL, 0.25, 1100, 0.0121),
            (id::CRANELIFT_SPEED, 2.0, 1000, 0.011),
        ],
    )];
    let expected = "\
Nopal 1, Wasmtime 2. Modules: 1. Test CPU (x86_64, linux, 2 threads); processor time of one thread, medians of interleaved rounds; ratios are medians of the rounds' ratios.

Geometric means; speed, size and time relative to Cranelift `speed`:

| engine | compile MB/s | compile speed | code size | run time | modules |
| :-- | --: | --: | --: | --: | --: |
| Nopal | 4.00 | 8.00 | 1.10 | 1.10 | 1 |
| Cranelift `speed` | 0.500 | 1.00 | 1.00 | 1.00 | 1 |

Nopal by module:

| module | compile speed / Cranelift `speed` | code size / Cranelift `speed` | run time / Cranelift `speed` |
| :-- | --: | --: | --: |
| one | 8.00 | 1.10 | 1.10 |
| **geometric mean** | **8.00** | **1.10** | **1.10** |

Compile speed, MB of code section a second:

| module | Nopal | Cranelift `speed` |
| :-- | --: | --: |
| one | 4.00 | 0.500 |

Run time, ms:

| module | Nopal | Cranelift `speed` |
| :-- | --: | --: |
| one | 12.1 | 11.0 |
";
    assert_eq!(render(&report(engines, modules)), expected);
}

#[test]
fn what_has_no_figures_is_listed_with_the_reason() {
    let mut absent = engine(id::NOPAL, "nopal", "");
    absent.unavailable = Some(String::from("no executable memory"));
    let engines = vec![absent, engine(id::WINCH, "Winch", "W")];
    let problem = Problem {
        phase: Phase::Compile,
        message: String::from("no SIMD"),
    };
    let mut refused = ModuleReport::new(&program("one"), [(id::WINCH, Err(problem))]);
    refused.not_run = Some(String::from("exports no function _start"));
    let mut report = report(engines, vec![refused]);
    report
        .unreadable
        .insert(String::from("two"), String::from("no code section"));
    let text = render(&report);
    let expected = "\
Not measured:

- every module, nopal: no executable memory
- one, compiled, not run: exports no function _start
- one, Winch: refused the module: no SIMD
- two, not a module: no code section
";
    assert!(text.ends_with(expected), "{text}");
    assert!(!text.contains("Nopal by module"), "{text}");
    assert!(!text.contains("| nopal |"), "{text}");
}

#[test]
fn numbers_keep_three_significant_digits() {
    let shown = [0.0123, 1.234, 12.34, 123.4, 1234.5].map(|value| number(Some(value)));
    assert_eq!(shown, ["0.012", "1.23", "12.3", "123", "1234"]);
    assert_eq!(number(None), "–");
}
