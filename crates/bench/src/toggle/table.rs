//! What was measured, as Markdown.

use super::{Off, ToggleReport, id};
use crate::table::{NONE, Table, number, ratio};

/// What an identifier stands for.
pub(super) fn label(id: &str) -> &'static str {
    match id {
        id::STORE => "store, no broadcast",
        id::STORE_BROADCAST => "store + broadcast",
        id::PROTECT => "`mprotect`, store, `mprotect`",
        id::BREAKPOINT => "Wasmtime 48, a breakpoint",
        id::STATIC_KEYS => "`static-keys`, a branch",
        id::DUAL_DIRECT => "Nopal, two mappings, direct",
        id::DUAL_STRICT => "Nopal, two mappings, strict",
        id::HIDDEN_DIRECT => "Nopal, hidden mapping, direct",
        id::HIDDEN_STRICT => "Nopal, hidden mapping, strict",
        id::SINGLE => "Nopal, one mapping",
        id::NOTHING => "nothing",
        id::SITE_OFF => "site, off",
        id::NOP => "5-byte NOP",
        id::SLED => "jump over a sled",
        id::COUNT_PER_CPU => "count, a word a CPU",
        id::COUNT_SHARED => "count, shared word",
        id::ONCE => "once",
        id::CALL_XMM => "call, `xmm0` to `xmm15` saved",
        id::CALL_FULL => "call, all vector state saved",
        id::CODE => "machine code that returns",
        id::INT3 => "`INT3` and a signal handler",
        _ => NONE,
    }
}

/// All tables.
pub(crate) fn render(report: &ToggleReport) -> String {
    let sections = [
        one_site(report),
        many_sites(report, 0),
        many_sites(report, 1),
        off(report),
        hits(report),
    ];
    let sections: Vec<String> = sections.into_iter().flatten().collect();
    sections.join("\n")
}

/// Every way to switch one site.
pub(super) fn one_site(report: &ToggleReport) -> Option<String> {
    let mut table = Table::new([
        "one site switched by",
        "broadcasts, on and off",
        "µs, idle",
        "/ store + broadcast",
        "µs, one busy thread",
        "/ store + broadcast",
    ]);
    let alone = report.switching.iter().find(|one| one.sites == 1)?;
    for way in &alone.ways {
        let broadcasts = way
            .broadcasts
            .map_or_else(|| String::from(NONE), |[on, off]| format!("{on}, {off}"));
        let mut cells = vec![label(way.id).to_owned(), broadcasts];
        for busy in [0, 1] {
            let way = report.way(1, busy, way.id);
            cells.push(number(way.map(|way| way.nanoseconds / 1e3)));
            cells.push(ratio(way.and_then(|way| way.ratio_to_floor)));
        }
        table.row(cells);
    }
    table.captioned("Time until one site is switched for every thread:")
}

/// Time for each site, by their number.
pub(super) fn many_sites(report: &ToggleReport, busy_threads: usize) -> Option<String> {
    let alike = || {
        let all = report.switching.iter();
        all.filter(move |one| one.busy_threads == busy_threads)
    };
    let ways: Vec<&str> = alike().next_back()?.ways.iter().map(|way| way.id).collect();
    let titles = ways.iter().map(|id| label(id));
    let mut table = Table::new(["sites"].into_iter().chain(titles));
    for one in alike() {
        let cells = ways.iter().map(|id| {
            let way = report.way(one.sites, busy_threads, id);
            number(way.map(|way| way.nanoseconds_per_site))
        });
        table.row([grouped(one.sites)].into_iter().chain(cells));
    }
    table.captioned(match busy_threads {
        0 => "Nanoseconds a site of one commit, nobody executing the sites:",
        _ => "Nanoseconds a site of one commit, a thread executing the sites:",
    })
}

/// Loops with something between their instructions.
pub(super) fn off(report: &ToggleReport) -> Option<String> {
    const INSERTIONS: [&str; 3] = [id::SITE_OFF, id::NOP, id::SLED];
    let first = ["additions", "one for every", "nothing, ns a round"];
    let mut table = Table::new(first.into_iter().chain(INSERTIONS.map(label)));
    for nothing in report.off.iter().filter(|off| off.insertion == id::NOTHING) {
        let alike = |off: &&Off| {
            off.dependent == nothing.dependent && off.instructions == nothing.instructions
        };
        let ratios = INSERTIONS.map(|insertion| {
            let mut all = report.off.iter().filter(alike);
            let found = all.find(|off| off.insertion == insertion);
            ratio(found.map(|off| off.ratio_to_nothing))
        });
        let work = match nothing.dependent {
            true => "each waiting for the one before",
            false => "as many at once as there is room for",
        };
        let first = [
            work.to_owned(),
            format!("{} instructions", nothing.instructions),
            number(Some(nothing.nanoseconds_per_round)),
        ];
        table.row(first.into_iter().chain(ratios));
    }
    table.captioned(
        "A loop of 64 additions, time relative to the same loop with nothing between them:",
    )
}

/// What a pass costs, by what the site calls.
pub(super) fn hits(report: &ToggleReport) -> Option<String> {
    let mut table = Table::new(["a site calls", "ns a pass"]);
    for hit in &report.hits {
        table.row([label(hit.id).to_owned(), number(Some(hit.nanoseconds))]);
    }
    table.captioned("A pass of a site that is on, beyond one that is off:")
}

/// A number of sites, with its thousands set apart.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
