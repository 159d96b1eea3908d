//! The plots of the page, from what was measured.

use crate::child::Task;
use crate::engines::id;
use crate::extras_table::{label, sized};
use crate::growth::GrowthReport;
use crate::memory::MemoryReport;
use crate::report::Report;
use crate::start::StartReport;
use crate::svg::{Axis, Bar, Bars, Plot, Scale, Series};

/// The same colour for an engine in all plots.
fn color(engine: &str) -> &'static str {
    match engine {
        id::NOPAL => "#0a7d33",
        id::NOPAL_NO_SITES => "#63b77c",
        id::NOPAL_COUNT => "#a5d6b4",
        id::CRANELIFT_SPEED => "#1f5fbf",
        id::CRANELIFT_NONE => "#6c9be0",
        id::CRANELIFT_SINGLE_PASS => "#a9c4ee",
        id::WINCH => "#d9730d",
        id::GUEST_DEBUG => "#8a4fbf",
        _ => "#777777",
    }
}

/// Compile speed against run time, a point an engine.
pub(crate) fn speed(report: &Report) -> Option<String> {
    let points = report.engines.iter().filter_map(|engine| {
        let relative = engine.relative;
        Some(Series {
            label: engine.label.clone(),
            color: color(engine.id),
            points: vec![(relative.compile_mb_per_s?, relative.run_time?)],
        })
    });
    let plot = Plot {
        title: String::from("Compile speed and run time"),
        x: Axis {
            title: String::from(
                "compile speed, MB of code section a second on one thread (more is better)",
            ),
            scale: Scale::Logarithmic,
        },
        y: Axis {
            title: String::from("run time / Cranelift speed (less is better)"),
            scale: Scale::Logarithmic,
        },
        series: points.collect(),
    };
    plot.render()
}

/// Compile time for each byte against size: a level line is linear growth.
pub(crate) fn growth(report: &GrowthReport) -> Option<String> {
    let series = crate::growth::ENGINES.map(|engine| Series {
        label: label(engine).to_owned(),
        color: color(engine),
        points: (report.points.iter())
            .filter_map(|point| {
                let seconds = *point.compile_seconds.get(engine)?;
                let bytes = point.code_section_bytes as f64;
                Some((bytes, seconds * 1e9 / bytes))
            })
            .collect(),
    });
    let plot = Plot {
        title: format!("Compile time of a byte, {}", report.title),
        x: Axis {
            title: String::from("bytes of code section"),
            scale: Scale::Logarithmic,
        },
        y: Axis {
            title: String::from("ns a byte on one thread"),
            scale: Scale::Linear,
        },
        series: series.into(),
    };
    plot.render()
}

/// Peaks on all threads, a group a module.
pub(crate) fn memory(reports: &[MemoryReport]) -> Option<String> {
    let groups = reports.iter().map(|report| {
        let bars = crate::memory::ENGINES.into_iter().filter_map(|engine| {
            let megabytes = *report.all_threads.bytes.get(engine)? as f64 / 1e6;
            Some(bar(engine, megabytes, format!("{megabytes:.0} MB")))
        });
        (sized(&report.name, report.wasm_bytes), bars.collect())
    });
    let bars = Bars {
        title: String::from("Peak memory of compiling, all threads"),
        groups: groups.collect(),
    };
    bars.render()
}

/// Times from the start of a process until the module is instantiated, a group a module.
pub(crate) fn start(reports: &[StartReport]) -> Option<String> {
    let instantiated = reports
        .iter()
        .filter(|report| report.task == Task::Instantiate);
    let groups = instantiated.map(|report| {
        let bars = crate::start::ENGINES.into_iter().filter_map(|engine| {
            let milliseconds = report.engines.get(engine)?.median_seconds * 1e3;
            let digits = usize::from(milliseconds < 100.0);
            Some(bar(
                engine,
                milliseconds,
                format!("{milliseconds:.digits$} ms"),
            ))
        });
        (sized(&report.name, report.wasm_bytes), bars.collect())
    });
    let bars = Bars {
        title: String::from("Process start until the module is instantiated, all threads"),
        groups: groups.collect(),
    };
    bars.render()
}

fn bar(engine: &str, value: f64, text: String) -> Bar {
    Bar {
        label: label(engine).to_owned(),
        color: color(engine),
        value,
        text,
    }
}
