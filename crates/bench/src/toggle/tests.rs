use std::sync::atomic::Ordering;

use super::*;

const PLAN: Plan = Plan {
    rounds: 2,
    sites: 10,
};

/// One test: breakpoints that it counts are those of the whole process.
#[test]
fn everything_is_measured_and_shown() {
    let before = passes::BREAKPOINTS.load(Ordering::Relaxed);
    let report = run(PLAN).unwrap();
    let met = passes::BREAKPOINTS.load(Ordering::Relaxed) - before;
    // The first round is not counted, but measured.
    assert_eq!(met, 3 * passes::ROUNDS);

    let numbers: Vec<(usize, usize)> = report
        .switching
        .iter()
        .map(|one| (one.sites, one.busy_threads))
        .collect();
    assert_eq!(numbers, [(1, 0), (1, 1), (10, 0), (10, 1)]);
    for (sites, busy) in numbers {
        for id in [
            id::STORE_BROADCAST,
            id::PROTECT,
            id::DUAL_STRICT,
            id::SINGLE,
        ] {
            let way = report.way(sites, busy, id).unwrap();
            assert!(way.least_nanoseconds > 0.0 && way.least_nanoseconds <= way.nanoseconds);
        }
        let floor = report.way(sites, busy, id::STORE_BROADCAST).unwrap();
        assert_eq!(floor.ratio_to_floor, Some(1.0));
        // What must not be executed meanwhile, or takes but one site.
        for id in [id::BREAKPOINT, id::STATIC_KEYS] {
            let measured = report.way(sites, busy, id).is_some();
            assert_eq!(measured, (sites, busy) == (1, 0), "{id}");
        }
    }
    let broadcasts = |sites, id| report.way(sites, 0, id).unwrap().broadcasts.unwrap();
    for sites in [1, 10] {
        assert_eq!(broadcasts(sites, id::DUAL_DIRECT), [1, 1]);
        assert_eq!(broadcasts(sites, id::DUAL_STRICT), [2, 2]);
        assert_eq!(broadcasts(sites, id::SINGLE), [2, 2]);
    }
    assert_eq!(report.off.len(), 24);
    let int3 = report.hit(id::INT3).unwrap();
    assert!(int3 > report.hit(id::ONCE).unwrap());

    let text = render(&report);
    for row in [
        "| Nopal, two mappings, direct | 1, 1 |",
        "| 10 |",
        "| once |",
    ] {
        assert!(text.contains(row), "{row} is not in\n{text}");
    }
    shown(&report);
}

fn shown(report: &ToggleReport) {
    let files = files(report, &Machine::this(), PLAN);
    let (page, plots) = files.split_last().unwrap();
    assert_eq!(page.path, "patching.md");
    assert_eq!(plots.len(), 4);
    for plot in plots {
        assert!(
            page.text.contains(&format!("]({})", plot.path)),
            "{}",
            plot.path
        );
        assert!(plot.text.starts_with("<svg "), "{}", plot.path);
    }
    assert!(
        page.text
            .contains("-- toggle --rounds 2 --sites 10 --out docs\n")
    );
    assert!(page.text.contains("| a pass of a count hook | ≤ 3 ns |"));
}

#[test]
fn numbers_of_sites_are_grouped() {
    let grouped = [1, 1000, 100_000, 1_000_000].map(table::grouped);
    assert_eq!(grouped, ["1", "1,000", "100,000", "1,000,000"]);
}
