//! Rewriting code without a protocol: what goes wrong, and what does not.

use nopal_explore::{Action, Detail, Form, Head, Inst, Layout, Op, Patching, Promise, Site};

const BYTES: [u8; 3] = [0, 1, 2];
/// The whole site in one aligned unit.
const WITHIN: [u8; 3] = [0, 0, 0];
/// The first two bytes before a boundary, the last behind it.
const ACROSS: [u8; 3] = [0, 0, 1];

fn x86(units: [u8; 3], promise: Promise) -> Layout {
    Layout::X86 { units, promise }
}

/// One thread at a site that calls 1, and is to call 2.
fn move_a_site(layout: Layout) -> Patching {
    Patching {
        layout,
        sites: vec![Site {
            on: true,
            target: 1,
        }],
        branches: false,
        allowed: vec![
            vec![vec![Form::On(1), Form::Off, Form::On(2)]],
            vec![vec![Form::On(2)]],
        ],
        threads: 1,
        window: 2,
        detail: Detail::Reduced,
    }
}

fn head(head: Head) -> Op {
    Op::Head { site: 0, head }
}

fn tail(target: u8) -> Op {
    Op::Tail { site: 0, target }
}

/// How a run goes wrong.
fn wrong(patching: &Patching, actions: &[Action]) -> Option<String> {
    let outcome = patching.explore(actions);
    outcome.found().map(|trace| trace.what.clone())
}

/// One store of the whole site, which is split where it crosses units; the parts take effect in
/// either order.
fn whole_store(patching: &Patching) -> Vec<Vec<Action>> {
    let tail = patching.actions(&[tail(2)]).remove(0);
    let rest = patching.actions(&[Op::Broadcast, Op::Return]);
    let mut backwards = tail.clone();
    backwards.insts.reverse();
    [tail, backwards]
        .into_iter()
        .map(|store| [vec![store], rest.clone()].concat())
        .collect()
}

#[test]
fn one_store_is_enough_within_a_fetch_unit_only() {
    let within = move_a_site(x86(WITHIN, Promise::AnyMixture));
    for actions in whole_store(&within) {
        assert_eq!(wrong(&within, &actions), None);
    }
    for units in [BYTES, ACROSS] {
        let patching = move_a_site(x86(units, Promise::AnyMixture));
        for actions in whole_store(&patching) {
            let what = wrong(&patching, &actions).expect("a mixture is executed");
            assert!(what.contains("call of a mixture"), "{what}");
        }
    }
}

#[test]
fn two_stores_are_not_enough_in_any_order_without_broadcasts() {
    for promise in [Promise::AnyMixture, Promise::BreakpointOnly] {
        for units in [BYTES, ACROSS, WITHIN] {
            let patching = Patching {
                sites: vec![Site {
                    on: false,
                    target: 1,
                }],
                allowed: vec![vec![vec![Form::Off, Form::On(2)]], vec![vec![Form::On(2)]]],
                ..move_a_site(x86(units, promise))
            };
            for stores in [[tail(2), head(Head::On(2))], [head(Head::On(2)), tail(2)]] {
                let mut ops = stores.to_vec();
                ops.extend([Op::Broadcast, Op::Return]);
                let what = wrong(&patching, &patching.actions(&ops));
                // Within a unit, two stores in order are two whole versions of it; but the head
                // must not come first, nor may anything but a breakpoint be met.
                let in_order = stores[0] == tail(2);
                let fine = units == WITHIN && in_order && promise == Promise::AnyMixture;
                assert_eq!(
                    what.is_none(),
                    fine,
                    "{units:?} {promise:?} {stores:?} {what:?}"
                );
            }
        }
    }
}

#[test]
fn a_stored_breakpoint_needs_no_alignment() {
    let patching = Patching {
        allowed: vec![vec![vec![Form::On(1), Form::Trap]], vec![vec![Form::Trap]]],
        ..move_a_site(x86(BYTES, Promise::BreakpointOnly))
    };
    let actions = patching.actions(&[head(Head::Trap), Op::Broadcast, Op::Return]);
    assert_eq!(wrong(&patching, &actions), None);
}

/// Even if it has no effect, and if nobody can have met the old tail under it.
#[test]
fn no_head_may_be_put_over_a_tail_that_is_not_settled() {
    let patching = move_a_site(x86(BYTES, Promise::BreakpointOnly));
    let patching = Patching {
        allowed: vec![vec![vec![Form::On(1), Form::Trap, Form::Off]]],
        ..patching
    };
    let trapped = [head(Head::Trap), Op::Broadcast, tail(2)];
    assert_eq!(wrong(&patching, &patching.actions(&trapped)), None);
    for last in [Head::Off, Head::On(2)] {
        let mut ops = trapped.to_vec();
        ops.push(head(last));
        let what = wrong(&patching, &patching.actions(&ops)).expect("old and new tails are met");
        assert!(what.contains("unpredictable"), "{what}");
    }
}

#[test]
fn a_word_may_be_replaced_by_any_other() {
    for layout in [
        Layout::RiscV,
        Layout::Arm {
            dic: false,
            idc: false,
        },
        Layout::Arm {
            dic: false,
            idc: true,
        },
        Layout::Arm {
            dic: true,
            idc: true,
        },
    ] {
        let patching = Patching {
            allowed: vec![
                vec![vec![Form::On(1), Form::On(2)]],
                vec![vec![Form::On(2)]],
            ],
            ..move_a_site(layout)
        };
        let line = vec![0];
        let mut ops = vec![head(Head::On(2))];
        if layout != Layout::RiscV {
            ops.extend([Op::Clean(line.clone()), Op::Complete, Op::Invalidate(line)]);
            ops.extend([Op::Complete, Op::Synchronize]);
        }
        ops.extend([Op::Broadcast, Op::Return]);
        assert_eq!(
            wrong(&patching, &patching.actions(&ops)),
            None,
            "{layout:?}"
        );
    }
}

/// A broadcast does not move a thread out of the middle of two instructions: what the first has put
/// into a register stays there while both are changed.
#[test]
fn two_instructions_cannot_be_changed_under_a_thread_between_them() {
    let patching = move_a_site(Layout::RiscVPair);
    let ops = [
        head(Head::Off),
        Op::Broadcast,
        tail(2),
        Op::Broadcast,
        head(Head::On(2)),
        Op::Broadcast,
        Op::Return,
    ];
    let outcome = patching.explore(&patching.actions(&ops));
    let trace = outcome.found().expect("half of an old target is used");
    assert!(trace.what.contains("call of a mixture"), "{trace}");
    let document = include_str!("../../../docs/protocols.md");
    assert!(
        document.contains(&trace.to_string()),
        "docs/protocols.md differs from\n{trace}"
    );
    // Without a thread between the two, the same order of operations is fine.
    let kept = Patching {
        layout: Layout::RiscV,
        ..patching.clone()
    };
    assert_eq!(wrong(&kept, &kept.actions(&ops)), None);
}

#[test]
fn traces_name_the_shortest_way() {
    let patching = Patching {
        allowed: vec![vec![vec![Form::On(1)]], vec![vec![Form::Off]]],
        ..move_a_site(Layout::RiscV)
    };
    let actions = patching.actions(&[head(Head::Off), Op::Broadcast, Op::Return]);
    assert!(actions[3].is_return() && matches!(actions[2].insts[..], [Inst::Rendezvous]));
    let outcome = patching.explore(&actions);
    let trace = outcome
        .found()
        .expect("off is not allowed before the return here");
    assert_eq!(
        trace.to_string(),
        "  core 0: store of 0x2 to site 0\n  \
           core 0: fence\n  \
           core 1 fetches site 0: off\n  \
           core 1 executes site 0: off\n  \
           => site 0 is executed as off before a commit has returned"
    );
}
