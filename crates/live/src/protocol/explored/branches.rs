//! Branches that lead around sites while these are off.

use super::*;

/// Where which protocol is right, on x86-64.
const SUPPORTED: [(Protocol, Layout); 3] =
    [(Direct, MIXTURE), (Strict, MIXTURE), (Strict, BREAKPOINT)];

fn story(change: &Change, protocol: Protocol, layout: Layout) -> Story {
    let mut story = Story::new(protocol, layout, &[(0, change.from)]).with_branches();
    assert_eq!(story.commit(&[(0, change.to)]), Ok(()));
    story
}

#[test]
fn one_site_and_two_threads() {
    for (protocol, layout) in SUPPORTED {
        for change in &CHANGES {
            let story = story(change, protocol, layout);
            story.with_threads(2, 2).assert_right();
        }
    }
}

#[test]
fn one_site_and_three_commits() {
    for (protocol, layout) in SUPPORTED {
        for calls in [
            [None, Some(1), None, Some(1)],
            [Some(1), None, Some(2), None],
            [None, Some(2), Some(3), None],
        ] {
            let mut story = Story::new(protocol, layout, &[(0, calls[0])]).with_branches();
            for to in &calls[1..] {
                assert_eq!(story.commit(&[(0, *to)]), Ok(()));
            }
            story.assert_right();
        }
    }
}

#[test]
fn two_sites_in_a_batch() {
    for (protocol, layout) in SUPPORTED {
        for (from, to) in [
            ([None, None], [Some(1), Some(2)]),
            ([Some(1), None], [None, Some(1)]),
            ([Some(1), Some(1)], [Some(2), None]),
        ] {
            let sites = [(0, from[0]), (LINE as u32, from[1])];
            let mut story = Story::new(protocol, layout, &sites).with_branches();
            assert_eq!(story.commit(&[(0, to[0]), (1, to[1])]), Ok(()));
            story.assert_right();
        }
    }
}

#[test]
fn any_broadcast_may_fail() {
    for (protocol, layout) in SUPPORTED {
        for change in &CHANGES {
            let whole = story(change, protocol, layout).recorder.ops;
            let broadcasts = whole.iter().filter(|op| **op == Op::Broadcast).count();
            for fail_after in 0..broadcasts {
                let fail = || {
                    let sites = [(0, change.from), (LINE as u32, None)];
                    let story = Story::new(protocol, layout, &sites).with_branches();
                    fail_in(story, change, fail_after)
                };
                fail().assert_right();
                for again in [change.to, Some(3)] {
                    let mut story = fail();
                    assert_eq!(story.commit(&[(0, again)]), Ok(()));
                    story.assert_right();
                }
            }
        }
    }
}

/// What is done to a branch, and what happens without it. A branch that leads through the site, or keeps its trap, is
/// right whatever the site is: what makes it lead around again is there for speed alone.
#[test]
fn what_each_operation_is_for() {
    use Without::{Fine, Stale, Unpredictable};
    let branch = |change: &Change, protocol, layout| -> Vec<(String, Without)> {
        let rows = without_each(&story(change, protocol, layout)).into_iter();
        let of_branch = rows.filter(|((_, name, _), _)| name.contains("branch "));
        of_branch
            .map(|((step, name, _), without)| {
                let name = name.trim_start_matches("site 0: branch ");
                (format!("{step} {name}"), without)
            })
            .collect()
    };
    let [enable, elsewhere, disable, change] = &CHANGES;
    let row = |name: &str, without| (name.to_string(), without);
    for switched in [enable, elsewhere] {
        assert_eq!(branch(switched, Direct, MIXTURE), [row("3 through", Stale)]);
        let strict = [
            row("1 trap", Unpredictable),
            row("2 through", Stale),
            row("3 back", Fine),
        ];
        assert_eq!(branch(switched, Strict, BREAKPOINT), strict);
    }
    assert_eq!(branch(disable, Direct, MIXTURE), [row("3 around", Fine)]);
    let strict = [
        row("1 trap", Unpredictable),
        row("2 around", Fine),
        row("3 back", Fine),
    ];
    assert_eq!(branch(disable, Strict, BREAKPOINT), strict);
    assert_eq!(branch(change, Direct, MIXTURE), []);
    assert_eq!(branch(change, Strict, BREAKPOINT), []);
}

/// The trap stays until all threads know of the byte behind it, and the byte is not changed before all know of the trap.
#[test]
fn strict_broadcasts_are_needed() {
    for change in [&CHANGES[0], &CHANGES[2]] {
        let rows = without_each(&story(change, Strict, BREAKPOINT));
        let broadcasts: Vec<_> = rows
            .iter()
            .filter(|((_, name, _), _)| name == "broadcast")
            .map(|(_, without)| *without)
            .collect();
        let middle = [Without::Unpredictable, Without::Unpredictable];
        assert_eq!(broadcasts[..2], middle, "{}", change.name);
        assert_eq!(broadcasts[2], Without::Stale);
    }
}

/// Without the trap, a thread may meet two bytes of displacement in one fetch.
#[test]
fn direct_is_not_right_where_only_breakpoints_may_be_met() {
    for change in [&CHANGES[0], &CHANGES[2]] {
        let outcome = story(change, Direct, BREAKPOINT).explore();
        let trace = outcome.found().expect("a byte changes under a thread");
        assert!(trace.what.contains("unpredictable"), "{trace}");
    }
}

#[test]
fn the_reduction_makes_no_difference() {
    for (protocol, layout) in SUPPORTED {
        let mut story = story(&CHANGES[0], protocol, layout);
        let reduced = without_each(&story);
        story.patching.detail = Detail::Everything;
        assert_eq!(without_each(&story), reduced);
        story.assert_right();
    }
}
