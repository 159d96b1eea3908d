//! The page that shows everything: `benchmarks.md`, with its plots in `benchmarks/`.

use std::fs;
use std::path::Path;

use crate::commands::Everything;
use crate::engines::id;
use crate::extras_table;
use crate::options::Options;
use crate::plots;
use crate::report::Report;
use crate::table::{self, Table};

/// Name of the page and, without extension, of the folder of its plots.
const NAME: &str = "benchmarks";

/// A file to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Relative to the folder asked for.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The page and its plots.
pub(crate) fn render(everything: &Everything, command: &str) -> Vec<File> {
    let mut page = Page {
        text: String::from("# Benchmarks\n"),
        plots: Vec::new(),
    };
    page.introduction(&everything.corpus, command);
    page.goals(everything);
    page.programs(&everything.corpus);
    if let Some(large) = &everything.large {
        page.large(large);
    }
    page.extras(everything);
    let mut files = page.plots;
    files.push(File {
        path: format!("{NAME}.md"),
        text: page.text,
    });
    files
}

/// Writes `files` below `dir`.
pub(crate) fn write(dir: &Path, files: &[File]) -> Result<(), String> {
    for file in files {
        let path = dir.join(&file.path);
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, &file.text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// The command line that makes the page, without where on a machine the files are.
pub(crate) fn command(options: &Options) -> String {
    let mut text = String::from("cargo run --release -p nopal-bench -- page");
    let corpus = options.corpus.as_deref().filter(|path| path.is_relative());
    let corpus = corpus.map_or("DIR".into(), |path| path.display().to_string());
    text.push_str(&format!(" --corpus {corpus}"));
    for large in &options.large {
        let file = large.file.file_name().unwrap_or_default().display();
        text.push_str(&format!(" --large '{}={file}'", large.name));
    }
    for (option, patterns) in [("filter", &options.filter), ("exclude", &options.exclude)] {
        for pattern in patterns {
            text.push_str(&format!(" --{option} '{pattern}'"));
        }
    }
    if !options.engines.is_empty() {
        text.push_str(&format!(" --engines {}", options.engines.join(",")));
    }
    if let Some(rounds) = options.rounds {
        text.push_str(&format!(" --rounds {rounds}"));
    }
    let seconds = options.seconds.as_secs_f64();
    text.push_str(&format!(
        " --seconds {seconds} --doublings {}",
        options.doublings
    ));
    text.push_str(" --out docs");
    text
}

struct Page {
    text: String,
    plots: Vec<File>,
}

impl Page {
    fn section(&mut self, title: &str) {
        self.text.push_str(&format!("\n## {title}\n"));
    }

    fn paragraph(&mut self, text: &str) {
        self.text.push('\n');
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn optional(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.paragraph(&text);
        }
    }

    fn plot(&mut self, name: &str, alternative: &str, svg: Option<String>) {
        if let Some(text) = svg {
            self.paragraph(&format!("![{alternative}]({NAME}/{name}.svg)"));
            self.plots.push(File {
                path: format!("{NAME}/{name}.svg"),
                text,
            });
        }
    }

    fn introduction(&mut self, report: &Report, command: &str) {
        let machine = &report.machine;
        let mut runtimes: Vec<&str> = report
            .engines
            .iter()
            .filter_map(|engine| engine.runtime.as_deref())
            .collect();
        runtimes.dedup();
        self.paragraph(&format!(
            "{}, on {} ({}, {}, {} threads). Everything on this page comes from one run of",
            runtimes.join(", "),
            machine.cpu,
            machine.arch,
            machine.os,
            machine.threads
        ));
        self.paragraph(&format!("```console\n$ {command}\n```"));
        self.paragraph(
            "which also writes the page. How it is measured is described in [`crates/bench`](../crates/bench/README.md): engines take \
             turns, round by round; figures are medians, ratios are medians of the rounds' ratios.",
        );
    }

    fn goals(&mut self, everything: &Everything) {
        let mut goals = Table::new(["figure", "goal", "measured", "met"]);
        for goal in goals_of(everything) {
            let (sign, met) = if goal.at_least {
                ("≥", goal.measured >= goal.limit)
            } else {
                ("≤", goal.measured <= goal.limit)
            };
            goals.row([
                goal.figure,
                format!("{sign} {:.2}", goal.limit),
                format!("{:.2}", goal.measured),
                String::from(if met { "yes" } else { "no" }),
            ]);
        }
        if let Some(table) = goals.captioned("What Nopal is meant to reach, and does or does not:")
        {
            self.section("Goals");
            self.paragraph(&table);
        }
    }

    fn programs(&mut self, report: &Report) {
        self.section("Programs");
        self.plot(
            "speed",
            "Compile speed against run time, for every engine",
            plots::speed(report),
        );
        self.optional(table::overview(report));
        self.optional(table::figures(report));
        self.optional(table::compile_speeds(report));
        self.optional(table::run_times(report));
        self.optional(table::gaps(report));
    }

    fn large(&mut self, report: &Report) {
        self.section("Large modules");
        self.paragraph("Programs of other people, compiled only, on one thread.");
        self.optional(table::overview(report));
        self.optional(table::figures(report));
        self.optional(table::compile_speeds(report));
        self.optional(table::gaps(report));
    }

    fn extras(&mut self, everything: &Everything) {
        let extras = &everything.extras;
        if let Some(phases) = &extras.phases {
            self.section("Where compile time goes");
            self.paragraph(
                "Nopal's phases: translating (decoding and validating included), analyzing, selecting instructions and registers, \
                 encoding, and what it takes to put the code of all functions together and publish it.",
            );
            self.optional(extras_table::phases(phases));
        }
        if let Some(growth) = &extras.growth {
            self.section("Growth");
            self.paragraph("Modules made up of what compiled programs are made of, doubling in size. Level lines are linear growth.");
            for report in growth {
                self.plot(
                    &format!("growth-{}", report.id),
                    report.title,
                    plots::growth(report),
                );
            }
            self.optional(extras_table::growth(growth));
        }
        if let Some(memory) = &extras.memory {
            self.section("Memory");
            self.plot("memory", "Peak memory of compiling", plots::memory(memory));
            self.optional(extras_table::memory(memory));
        }
        if let Some(start) = &extras.start {
            self.section("Start-up");
            self.paragraph(
                "Whole processes with nothing cached, compiling on all threads. Functions that a module imports are traps where it is \
                 only instantiated; programs that run to their end get WASI.",
            );
            self.plot(
                "start",
                "Time until a module is instantiated",
                plots::start(start),
            );
            self.optional(extras_table::start(start));
        }
        if let Some(problems) = extras_table::problems(extras) {
            self.section("Refused");
            self.paragraph(&problems);
        }
    }
}

/// A figure, what it should be, and what it is.
struct Goal {
    figure: String,
    /// Or at most.
    at_least: bool,
    limit: f64,
    measured: f64,
}

fn goals_of(everything: &Everything) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut add = |figure: String, at_least, limit, measured: Option<f64>| {
        goals.extend(measured.map(|measured| Goal {
            figure,
            at_least,
            limit,
            measured,
        }));
    };
    let corpus = &everything.corpus;
    let means = corpus.geometric_means;
    let worst = corpus
        .modules
        .iter()
        .filter_map(|module| Some((module.figures.run_ratio?, &module.name)))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let of_programs = |what: &str| format!("{what}, programs");
    add(
        of_programs("compile speed / Winch"),
        true,
        1.0,
        means.compile_vs_winch,
    );
    add(
        of_programs("run time / Cranelift `speed`"),
        false,
        1.05,
        means.run_ratio,
    );
    if let Some((ratio, name)) = worst {
        add(
            format!("run time / Cranelift `speed`, slowest ({name})"),
            false,
            1.25,
            Some(ratio),
        );
    }
    add(
        of_programs("code size / Cranelift `speed`"),
        false,
        1.1,
        means.code_size_ratio,
    );
    add(
        of_programs("run time with sites off / without"),
        false,
        1.02,
        means.sites_off_ratio,
    );
    if let Some(large) = &everything.large {
        let means = large.geometric_means;
        let of_large = |what: &str| format!("{what}, large modules");
        add(
            of_large("compile speed / Winch"),
            true,
            1.0,
            means.compile_vs_winch,
        );
        add(
            of_large("code size / Cranelift `speed`"),
            false,
            1.1,
            means.code_size_ratio,
        );
    }
    for report in everything.extras.growth.iter().flatten() {
        let exponent = report.exponents.get(id::NOPAL).copied();
        add(format!("exponent, {}", report.title), false, 1.05, exponent);
    }
    for report in everything.extras.memory.iter().flatten() {
        let figure = |threads| format!("memory / Cranelift `speed`, {}, {threads}", report.name);
        add(figure("one thread"), false, 0.5, report.one_thread.ratio);
        add(figure("all threads"), false, 0.5, report.all_threads.ratio);
    }
    for report in everything.extras.start.iter().flatten() {
        let large = everything.large.iter().flat_map(|large| &large.modules);
        if large.into_iter().any(|module| module.name == report.name) {
            let figure = |engine| format!("start / {engine}, {}", report.name);
            add(
                figure("Cranelift `speed`"),
                false,
                1.0,
                report.cranelift_ratio,
            );
            add(figure("Winch"), false, 1.0, report.winch_ratio);
        }
    }
    goals
}

#[cfg(test)]
mod tests;
