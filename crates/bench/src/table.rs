//! The report as Markdown, fit for a README.

use std::fmt::Write as _;

use crate::figures::{FIELDS, Field, Figures};
use crate::report::{Measured, ModuleReport, Report};

/// A cell without a figure.
pub(crate) const NONE: &str = "–";

/// How the figures are called in the tables, in the order of [`FIELDS`].
const FIGURE_TITLES: [&str; FIELDS.len()] = [
    "compile speed / Cranelift `speed`",
    "compile speed / Winch",
    "code size / Cranelift `speed`",
    "run time / Cranelift `speed`",
    "sites off / no sites",
    "count hook on every entry / sites off",
    "side tables / code",
];

/// The whole report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    let sections = [
        heading(report),
        overview(report),
        figures(report),
        compile_speeds(report),
        run_times(report),
    ];
    for section in sections.into_iter().chain([gaps(report)]).flatten() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&section);
    }
    text
}

fn heading(report: &Report) -> Option<String> {
    let machine = &report.machine;
    let mut runtimes: Vec<&str> = report
        .engines
        .iter()
        .filter_map(|engine| engine.runtime.as_deref())
        .collect();
    runtimes.dedup();
    Some(format!(
        "{}. Modules: {}. {} ({}, {}, {} threads); processor time of one thread, medians of interleaved rounds; ratios are medians of the rounds' ratios.\n",
        runtimes.join(", "),
        report.modules.len(),
        machine.cpu,
        machine.arch,
        machine.os,
        machine.threads
    ))
}

/// Every engine relative to the reference.
pub(crate) fn overview(report: &Report) -> Option<String> {
    let mut table = Table::new([
        "engine",
        "compile MB/s",
        "compile speed",
        "code size",
        "run time",
        "modules",
    ]);
    for engine in report
        .engines
        .iter()
        .filter(|engine| engine.unavailable.is_none())
    {
        let relative = &engine.relative;
        table.row([
            engine.label.clone(),
            number(relative.compile_mb_per_s),
            ratio(relative.compile_speed),
            ratio(relative.code_size),
            ratio(relative.run_time),
            relative.modules.to_string(),
        ]);
    }
    table.captioned("Geometric means; speed, size and time relative to Cranelift `speed`:")
}

/// The figures of Nopal, one module a line. A figure that no module has gets no column.
pub(crate) fn figures(report: &Report) -> Option<String> {
    let columns: Vec<(&str, Field)> = FIGURE_TITLES
        .into_iter()
        .zip(FIELDS)
        .map(|(title, (_, field))| (title, field))
        .filter(|(_, field)| field(&report.geometric_means).is_some())
        .collect();
    if columns.is_empty() {
        return None;
    }
    let cells = |figures: &Figures| -> Vec<String> {
        (columns.iter())
            .map(|(_, field)| ratio(field(figures)))
            .collect()
    };
    let titles = columns.iter().map(|(title, _)| *title);
    let mut table = Table::new(["module"].into_iter().chain(titles));
    for module in &report.modules {
        table.row([vec![module.name.clone()], cells(&module.figures)].concat());
    }
    let means = cells(&report.geometric_means).into_iter();
    let means = means.map(|cell| format!("**{cell}**"));
    table.row(
        [String::from("**geometric mean**")]
            .into_iter()
            .chain(means),
    );
    table.captioned("Nopal by module:")
}

pub(crate) fn compile_speeds(report: &Report) -> Option<String> {
    by_engine(
        report,
        "Compile speed, MB of code section a second:",
        |measured| measured.compile_mb_per_s,
    )
}

pub(crate) fn run_times(report: &Report) -> Option<String> {
    by_engine(report, "Run time, ms:", |measured| {
        measured.run.as_ref().map(|run| run.median_seconds * 1e3)
    })
}

/// One line a module, one column an engine.
fn by_engine(
    report: &Report,
    caption: &str,
    value: impl Fn(&Measured) -> Option<f64>,
) -> Option<String> {
    let engines: Vec<_> = report
        .engines
        .iter()
        .filter(|engine| engine.unavailable.is_none())
        .collect();
    let labels = engines.iter().map(|engine| engine.label.clone());
    let mut table = Table::new([String::from("module")].into_iter().chain(labels));
    for module in &report.modules {
        let cells = engines
            .iter()
            .map(|engine| number(module.engines.get(engine.id).and_then(&value)));
        table.row([module.name.clone()].into_iter().chain(cells));
    }
    table.captioned(caption)
}

/// Everything that has no figures, and why.
pub(crate) fn gaps(report: &Report) -> Option<String> {
    let mut text = String::new();
    for engine in &report.engines {
        if let Some(reason) = &engine.unavailable {
            gap(&mut text, "every module", &engine.label, reason);
        }
    }
    for module in &report.modules {
        if let Some(reason) = &module.not_run {
            gap(&mut text, &module.name, "compiled, not run", reason);
        }
        for (label, reason) in problems(report, module) {
            gap(&mut text, &module.name, label, &reason);
        }
    }
    for (name, reason) in &report.unreadable {
        gap(&mut text, name, "not a module", reason);
    }
    (!text.is_empty()).then(|| format!("Not measured:\n\n{text}"))
}

fn gap(text: &mut String, module: &str, what: &str, reason: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "- {module}, {what}: {reason}");
}

/// What went wrong with `module`, by label of the engine.
fn problems<'a>(
    report: &'a Report,
    module: &'a ModuleReport,
) -> impl Iterator<Item = (&'a str, String)> {
    report.engines.iter().filter_map(|engine| {
        let problem = module.engines.get(engine.id)?.problem.as_ref()?;
        Some((
            engine.label.as_str(),
            format!("{}: {}", problem.phase.verb(), problem.message),
        ))
    })
}

/// A ratio, with enough digits to tell one percent.
pub(crate) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| String::from(NONE), |value| format!("{value:.2}"))
}

/// A quantity with three significant digits.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => String::from(NONE),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// A Markdown table under construction, first column to the left, the others to the right.
pub(crate) struct Table {
    text: String,
    rows: usize,
}

impl Table {
    pub(crate) fn new(titles: impl IntoIterator<Item = impl AsRef<str>>) -> Table {
        let mut table = Table {
            text: String::new(),
            rows: 0,
        };
        let columns = table.line(titles);
        table.line((0..columns).map(|column| if column == 0 { ":--" } else { "--:" }));
        table
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.line(cells);
        self.rows += 1;
    }

    /// Returns how many cells there are.
    fn line(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> usize {
        let mut count = 0;
        self.text.push('|');
        for cell in cells {
            self.text.push(' ');
            self.text.push_str(&cell.as_ref().replace('|', "\\|"));
            self.text.push_str(" |");
            count += 1;
        }
        self.text.push('\n');
        count
    }

    /// The table under `caption`, or nothing if it has no rows.
    pub(crate) fn captioned(self, caption: &str) -> Option<String> {
        (self.rows > 0).then(|| format!("{caption}\n\n{}", self.text))
    }
}

#[cfg(test)]
mod tests;
