//! The page `patching.md`, with its plots in `patching/`.

use super::table::{self, grouped, label};
use super::{Plan, ToggleReport, id};
use crate::page::File;
use crate::report::Machine;
use crate::svg::{Axis, Bar, Bars, Plot, Scale, Series};
use crate::table::Table;

/// Name of the page and, without extension, of the folder of its plots.
const NAME: &str = "patching";

/// The number of sites whose cost has a goal.
const BATCH: usize = 100_000;

/// The page and its plots.
pub(crate) fn files(report: &ToggleReport, machine: &Machine, plan: Plan) -> Vec<File> {
    let mut files = Vec::new();
    let mut sections = vec![
        String::from("# What patching costs"),
        introduction(machine, plan),
    ];
    sections.extend(goals(report));
    sections.push(String::from("## Switching one site"));
    sections.push(format!("{ONE_SITE}{}", parallelism(machine)));
    let mut plot = |name: &str, svg: Option<String>| {
        let text = svg?;
        let path = format!("{NAME}/{name}.svg");
        let shown = format!("![{name}]({path})");
        files.push(File { path, text });
        Some(shown)
    };
    sections.extend(plot("one-site", one_site(report)));
    sections.extend(table::one_site(report));
    sections.push(String::from("## Switching many"));
    sections.push(MANY_SITES.to_owned());
    sections.extend(plot("sites", many_sites(report, 0)));
    sections.extend(plot("sites-busy", many_sites(report, 1)));
    sections.extend(
        [0, 1]
            .into_iter()
            .filter_map(|busy| table::many_sites(report, busy)),
    );
    sections.push(String::from("## Passing a site that is off"));
    sections.push(OFF.to_owned());
    sections.extend(table::off(report));
    sections.push(String::from("## Passing a site that is on"));
    sections.extend(plot("hits", hits(report)));
    sections.extend(table::hits(report));
    let sections: Vec<&str> = sections.iter().map(|section| section.trim_end()).collect();
    files.push(File {
        path: format!("{NAME}.md"),
        text: sections.join("\n\n") + "\n",
    });
    files
}

const ONE_SITE: &str = "A commit of one operation, as a debugger makes it, with sites that were on before: their stubs are there. \
     *Broadcast* is `membarrier(PRIVATE_EXPEDITED_SYNC_CORE)`, after which no thread executes what was there before; a store without \
     it, or between two calls of `mprotect`, says nothing about that. Wasmtime's breakpoints and the keys of the `static-keys` crate may \
     only be switched while nobody executes them.";

const MANY_SITES: &str = "Sites in a row, eight bytes apart, all of them switched by one commit. The stores of *store + broadcast* are \
     one byte a site; Nopal also keeps a record for each site of what it calls.";

const OFF: &str = "Additions to eight registers, or all to one. Neither the sites nor \
     the NOPs cross a boundary of 16 bytes. The sled is a jump over nine bytes of NOP.";

fn introduction(machine: &Machine, plan: Plan) -> String {
    let (cpu, arch, os) = (&machine.cpu, machine.arch, machine.os);
    format!(
        "{cpu} ({arch}, {os}, {} threads). Everything on this page comes from one run of\n\n```console\n$ {}\n```\n\n\
         which also writes the page. All take turns, {} rounds of them; figures are medians of elapsed time, ratios are medians of \
         the rounds' ratios. What is measured while others take a processor away is measured again, ten times at most. \
         [protocols.md](protocols.md) says what the protocols are, \
         [`nopal-live`](../crates/live/README.md) what else there is.",
        machine.threads,
        command(plan),
        plan.rounds
    )
}

/// What to know of the columns with a busy thread.
fn parallelism(machine: &Machine) -> &'static str {
    match machine.threads {
        1 => " There is but one processor: a busy thread never executes while a site is switched.",
        _ => "",
    }
}

/// The command line that makes the page.
fn command(plan: Plan) -> String {
    let mut text = String::from("cargo run --release -p nopal-bench -- toggle");
    let default = Plan::default();
    if plan.rounds != default.rounds {
        text.push_str(&format!(" --rounds {}", plan.rounds));
    }
    if plan.sites != default.sites {
        text.push_str(&format!(" --sites {}", plan.sites));
    }
    text + " --out docs"
}

/// What is meant to be reached, and is or is not.
fn goals(report: &ToggleReport) -> Option<String> {
    let mut table = Table::new(["figure", "goal", "measured", "met"]);
    let mut add = |figure: &str, limit: f64, unit: &str, measured: Option<f64>| {
        if let Some(measured) = measured {
            table.row([
                figure.to_owned(),
                format!("≤ {limit}{unit}"),
                format!("{measured:.2}{unit}"),
                String::from(if measured <= limit { "yes" } else { "no" }),
            ]);
        }
    };
    let beside = ["idle", "one busy thread"];
    for (busy, beside) in beside.into_iter().enumerate() {
        let way = report.way(1, busy, id::DUAL_DIRECT);
        let figure = format!("one site, direct / store + broadcast, {beside}");
        add(&figure, 1.2, "", way.and_then(|way| way.ratio_to_floor));
    }
    for (protocol, id) in [("direct", id::DUAL_DIRECT), ("strict", id::DUAL_STRICT)] {
        for (busy, beside) in beside.into_iter().enumerate() {
            let figure = format!("{} sites, {protocol}, {beside}: each", grouped(BATCH));
            let way = report.way(BATCH, busy, id);
            add(
                &figure,
                10.0,
                " ns",
                way.map(|way| way.nanoseconds_per_site),
            );
        }
        let broadcasts = |sites| Some(report.way(sites, 0, id)?.broadcasts?[0]);
        let more = broadcasts(BATCH).zip(broadcasts(1));
        let figure = format!(
            "{} sites, {protocol}: broadcasts more than for one",
            grouped(BATCH)
        );
        add(
            &figure,
            0.0,
            "",
            more.map(|(many, one)| f64::from(many) - f64::from(one)),
        );
    }
    let count = report.hit(id::COUNT_PER_CPU);
    add(
        "a pass of a count hook",
        3.0,
        " ns",
        count.or(report.hit(id::COUNT_SHARED)),
    );
    add(
        "a pass of a call hook, all vector state",
        25.0,
        " ns",
        report.hit(id::CALL_FULL),
    );
    table.captioned("What Nopal is meant to reach, and does or does not:")
}

fn color(id: &str) -> &'static str {
    match id {
        id::DUAL_DIRECT => "#0a7d33",
        id::DUAL_STRICT => "#63b77c",
        id::HIDDEN_DIRECT => "#1f5fbf",
        id::HIDDEN_STRICT => "#6c9be0",
        id::SINGLE => "#d9730d",
        id::STORE_BROADCAST => "#222222",
        id::BREAKPOINT => "#8a4fbf",
        id::STATIC_KEYS => "#b8860b",
        id::PROTECT => "#c0392b",
        _ => "#777777",
    }
}

/// A bar for a duration, which is all there is to compare in it.
fn bar(id: &str, nanoseconds: f64) -> Bar {
    let text = match nanoseconds {
        _ if nanoseconds >= 1000.0 => format!("{:.2} µs", nanoseconds / 1e3),
        _ if nanoseconds >= 100.0 => format!("{nanoseconds:.0} ns"),
        _ => format!("{nanoseconds:.1} ns"),
    };
    Bar {
        // Room for a label is short.
        label: label(id).replace("Nopal, ", ""),
        color: color(id),
        value: nanoseconds,
        text,
    }
}

/// Every way to switch one site, idle and beside a busy thread.
fn one_site(report: &ToggleReport) -> Option<String> {
    let groups = report.switching.iter().filter(|one| one.sites == 1);
    let groups = groups.map(|one| {
        let title = match one.busy_threads {
            0 => "nobody executes the site",
            _ => "a thread executes the site",
        };
        let bars = one.ways.iter().map(|way| bar(way.id, way.nanoseconds));
        (title.to_owned(), bars.collect())
    });
    let bars = Bars {
        title: String::from("Time until one site is switched"),
        groups: groups.collect(),
    };
    bars.render()
}

/// Time of a commit against the number of its sites.
fn many_sites(report: &ToggleReport, busy_threads: usize) -> Option<String> {
    const WAYS: [&str; 6] = [
        id::STORE_BROADCAST,
        id::DUAL_DIRECT,
        id::DUAL_STRICT,
        id::HIDDEN_DIRECT,
        id::HIDDEN_STRICT,
        id::SINGLE,
    ];
    let series = WAYS.map(|id| {
        let all = report.switching.iter();
        let points = all.filter_map(|one| {
            let way = report.way(one.sites, busy_threads, id)?;
            let alike = one.busy_threads == busy_threads;
            alike.then_some((one.sites as f64, way.nanoseconds / 1e3))
        });
        Series {
            label: label(id).to_owned(),
            color: color(id),
            points: points.collect(),
        }
    });
    let beside = match busy_threads {
        0 => "nobody executing them",
        _ => "a thread executing them",
    };
    let plot = Plot {
        title: format!("Time of a commit, {beside}"),
        x: Axis {
            title: String::from("sites switched"),
            scale: Scale::Logarithmic,
        },
        y: Axis {
            title: String::from("µs"),
            scale: Scale::Logarithmic,
        },
        series: series.into(),
    };
    plot.render()
}

/// What a pass costs, without what takes a hundred times as long.
fn hits(report: &ToggleReport) -> Option<String> {
    let hooks = report.hits.iter().filter(|hit| hit.id != id::INT3);
    let bars = hooks.map(|hit| bar(hit.id, hit.nanoseconds));
    let bars = Bars {
        title: String::from("A pass of a site that is on, beyond one that is off"),
        groups: vec![(String::from("hooks"), bars.collect())],
    };
    bars.render()
}
