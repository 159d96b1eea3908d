//! What is measured beside compile time, code size and run time, as Markdown.

use std::fmt::Write as _;

use crate::child::Task;
use crate::engines::id;
use crate::extras::{Extras, Phases};
use crate::growth::GrowthReport;
use crate::memory::{MemoryReport, Peaks};
use crate::phases;
use crate::start::StartReport;
use crate::table::{NONE, Table, number, ratio};

/// Everything that was measured.
pub(crate) fn render(extras: &Extras) -> String {
    let sections = [
        extras.phases.as_ref().and_then(phases),
        extras.growth.as_deref().and_then(growth),
        extras.memory.as_deref().and_then(memory),
        extras.start.as_deref().and_then(start),
        problems(extras),
    ];
    let sections: Vec<String> = sections.into_iter().flatten().collect();
    sections.join("\n")
}

/// Where compile time goes.
pub(crate) fn phases(phases: &Phases) -> Option<String> {
    let titles = ["module", "ns a byte"].into_iter().chain(phases::NAMES);
    let mut table = Table::new(titles);
    for module in &phases.modules {
        let shares = module.phases.iter().map(|phase| {
            format!(
                "{} ({:.0} %)",
                number(Some(phase.ns_per_byte)),
                phase.share * 100.0
            )
        });
        let first = [module.name.clone(), number(Some(module.ns_per_byte))];
        table.row(first.into_iter().chain(shares));
    }
    table.captioned(
        "Processor time of compiling on one thread, ns for each byte of the code section:",
    )
}

/// Exponents, and the time at both ends of each series.
pub(crate) fn growth(reports: &[GrowthReport]) -> Option<String> {
    let mut table = Table::new([
        "growing",
        "code section, KB",
        "engine",
        "ns a byte, smallest",
        "ns a byte, largest",
        "exponent",
    ]);
    for report in reports {
        for (engine, exponent) in &report.exponents {
            let measured: Vec<(usize, f64)> = report
                .points
                .iter()
                .filter_map(|point| {
                    Some((
                        point.code_section_bytes,
                        *point.compile_seconds.get(engine)?,
                    ))
                })
                .collect();
            let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
                continue;
            };
            let per_byte =
                |(bytes, seconds): &(usize, f64)| number(Some(seconds * 1e9 / *bytes as f64));
            let kilobytes = |(bytes, _): &(usize, f64)| number(Some(*bytes as f64 / 1e3));
            table.row([
                report.title.to_owned(),
                format!("{} – {}", kilobytes(first), kilobytes(last)),
                label(engine).to_owned(),
                per_byte(first),
                per_byte(last),
                ratio(Some(*exponent)),
            ]);
        }
    }
    table.captioned(
        "Compile time of one thread against size; it grows as size to the power of the exponent:",
    )
}

/// Peaks.
pub(crate) fn memory(reports: &[MemoryReport]) -> Option<String> {
    let mut table = Table::new(
        ["module", "threads"]
            .into_iter()
            .chain(crate::memory::ENGINES.map(label))
            .chain(["Nopal / Cranelift `speed`"]),
    );
    for report in reports {
        let mut row = |threads: &str, peaks: &Peaks| {
            let cells =
                crate::memory::ENGINES.map(|engine| megabytes(peaks.bytes.get(engine).copied()));
            let first = [sized(&report.name, report.wasm_bytes), threads.to_owned()];
            table.row(first.into_iter().chain(cells).chain([ratio(peaks.ratio)]));
        };
        row("one", &report.one_thread);
        row("all", &report.all_threads);
    }
    table.captioned("Peak resident memory of compiling in a fresh process, MB beyond that of a process which only reads the file:")
}

/// Times of processes.
pub(crate) fn start(reports: &[StartReport]) -> Option<String> {
    let engines = crate::start::ENGINES;
    let mut table = Table::new(
        ["module", "until", "file only"]
            .into_iter()
            .chain(engines.map(label))
            .chain(["Nopal / Cranelift `speed`", "Nopal / Winch"]),
    );
    for report in reports {
        let until = match report.task {
            Task::Run => "its end",
            Task::Load | Task::Compile | Task::Instantiate => "instantiated",
        };
        let load = report
            .load
            .as_ref()
            .map(|timing| timing.median_seconds * 1e3);
        let cells = engines.map(|engine| {
            let timing = report.engines.get(engine);
            number(timing.map(|timing| timing.median_seconds * 1e3))
        });
        table.row(
            [
                sized(&report.name, report.wasm_bytes),
                until.to_owned(),
                number(load),
            ]
            .into_iter()
            .chain(cells)
            .chain([ratio(report.cranelift_ratio), ratio(report.winch_ratio)]),
        );
    }
    table.captioned("Elapsed time of a process from its start to its end, ms:")
}

/// What could not be measured, in the words of the engine.
pub(crate) fn problems(extras: &Extras) -> Option<String> {
    let problems = extras.problems();
    let mut text = String::from("Not measured:\n\n");
    for (what, engine, message) in &problems {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {what}, {}: {message}", label(engine));
    }
    (!problems.is_empty()).then_some(text)
}

/// What a reader sees of an engine's identifier.
pub(crate) fn label(engine: &str) -> &str {
    match engine {
        id::NOPAL => "Nopal",
        id::NOPAL_NO_SITES => "Nopal, no sites",
        id::CRANELIFT_SPEED => "Cranelift `speed`",
        id::CRANELIFT_NONE => "Cranelift `none`",
        id::WINCH => "Winch",
        other => other,
    }
}

/// A module by name and size.
pub(crate) fn sized(name: &str, bytes: usize) -> String {
    match bytes {
        0..100_000 => format!("{name}, {:.0} KB", bytes as f64 / 1e3),
        100_000..10_000_000 => format!("{name}, {:.1} MB", bytes as f64 / 1e6),
        _ => format!("{name}, {:.0} MB", bytes as f64 / 1e6),
    }
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| NONE.to_owned(), |bytes| number(Some(bytes as f64 / 1e6)))
}
