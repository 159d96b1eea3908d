//! The protocols on a model of instruction fetch: `run` itself decides what is done, the model finds
//! everything that threads may then execute. `docs/protocols.md` says what this shows.

use std::fmt::Write as _;

use nopal_explore::{
    Action, Detail, Form, Head as ModelHead, Layout, Op, Outcome, Patching, Promise, Site,
};
use nopal_icache::{CacheMaintenance, Operation};

use super::*;
use crate::bypass::Way;
use Protocol::{Direct, Strict};

const LINE: usize = 64;
const ERROR: nopal_icache::Error = nopal_icache::Error::Broadcast { errno: 12 };

const MIXTURE: Layout = x86(Promise::AnyMixture);
const BREAKPOINT: Layout = x86(Promise::BreakpointOnly);
const ARMS: [Layout; 4] = [
    arm(false, false),
    arm(false, true),
    arm(true, true),
    arm(true, false),
];

const fn x86(promise: Promise) -> Layout {
    let units = [0, 1, 2];
    Layout::X86 { units, promise }
}

const fn arm(dic: bool, idc: bool) -> Layout {
    Layout::Arm { dic, idc }
}

/// What `clear_cache` has to do on the machine.
fn maintenance(layout: Layout) -> CacheMaintenance {
    match layout {
        Layout::Arm { dic, idc } => CacheMaintenance::ByAddress {
            data_line: (!idc).then_some(LINE),
            instruction_line: (!dic).then_some(LINE),
        },
        _ => CacheMaintenance::Coherent,
    }
}

/// What sites are like in a layout.
fn shape(layout: Layout) -> Shape {
    match layout {
        Layout::X86 { .. } | Layout::S390 => Shape::HeadAndTail,
        Layout::Arm { .. } | Layout::RiscVIsland => Shape::OneWord,
        Layout::RiscV | Layout::RiscVPair => panic!("no protocol is made for it"),
    }
}

/// Writes down what a run does.
struct Recorder {
    shape: Shape,
    maintenance: CacheMaintenance,
    /// Where sites start.
    starts: Vec<u32>,
    /// Whether there is a branch before each.
    branches: bool,
    /// The targets that their tails name.
    tails: Vec<u8>,
    ops: Vec<Op>,
    /// Broadcasts to be made before one fails.
    fail_after: Option<usize>,
}

impl Recorder {
    fn site(&self, edit: &Edit) -> u8 {
        self.site_at(edit.start)
    }

    fn site_at(&self, start: u32) -> u8 {
        let site = self.starts.iter().position(|&other| other == start);
        site.expect("edits are of these sites") as u8
    }

    /// What becomes of the branches with edits.
    #[cfg(not(target_arch = "x86_64"))]
    fn reroutes(&self, _: &[Edit]) -> Vec<Reroute> {
        assert!(!self.branches, "there are none");
        Vec::new()
    }

    /// What becomes of the branches with edits.
    #[cfg(target_arch = "x86_64")]
    fn reroutes(&self, edits: &[Edit]) -> Vec<Reroute> {
        // The nearest that can be: what is in between does not matter.
        let branch = [0x3d, 0, 0, 0, 0, 0xeb, 0xf9];
        let end = isa::SITE_LEN as u32;
        let (kind, _) = isa::Branch::read(&branch, isa::SITE_LEN, end).unwrap();
        let switches = |edit: &&Edit| edit.transition.was_on != edit.transition.on;
        let switched = edits.iter().filter(switches);
        let reroute = |edit: &Edit| Reroute {
            route: Route {
                branch: edit.start + end,
                kind,
                through: edit.start,
                around: edit.start + end,
            },
            way: if edit.transition.on {
                Way::Through
            } else {
                Way::Around
            },
        };
        switched.filter(|_| self.branches).map(reroute).collect()
    }
}

impl Memory for Recorder {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn write_head(&mut self, edit: &Edit, head: Head) {
        let site = self.site(edit);
        if let (Head::On(target), Shape::OneWord) = (head, self.shape) {
            self.tails[site as usize] = target as u8;
        }
        let head = match head {
            Head::On(_) => ModelHead::On(self.tails[site as usize]),
            Head::Off => ModelHead::Off,
            Head::Trap => ModelHead::Trap,
        };
        self.ops.push(Op::Head { site, head });
    }

    fn write_tail(&mut self, edit: &Edit) {
        let (site, target) = (self.site(edit), edit.tail as u8);
        self.tails[site as usize] = target;
        self.ops.push(Op::Tail { site, target });
    }

    fn write_route(&mut self, reroute: &Reroute) {
        let site = self.site_at(reroute.route.through);
        let around = reroute.way == Way::Around;
        self.ops.push(Op::Route { site, around });
    }

    fn write_branch(&mut self, reroute: &Reroute, trap: bool) {
        let site = self.site_at(reroute.route.through);
        self.ops.push(Op::Branch { site, trap });
    }

    fn clear_cache(&mut self, line: usize) -> Result<(), nopal_icache::Error> {
        let sites = |at: usize| {
            let starts = (0u8..).zip(&self.starts);
            let inside = starts.filter(|(_, start)| (at..at + LINE).contains(&(**start as usize)));
            inside.map(|(site, _)| site).collect()
        };
        let ops = &mut self.ops;
        self.maintenance.each_operation(line, GRANULE, |operation| {
            ops.push(match operation {
                Operation::CleanData(at) => Op::Clean(sites(at)),
                Operation::InvalidateInstructions(at) => Op::Invalidate(sites(at)),
                Operation::Complete => Op::Complete,
                Operation::Synchronize => Op::Synchronize,
            });
        });
        Ok(())
    }

    fn broadcast(&mut self) -> Result<(), nopal_icache::Error> {
        if let Some(left) = &mut self.fail_after {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    self.fail_after = None;
                    return Err(ERROR);
                }
            }
        }
        self.ops.push(Op::Broadcast);
        Ok(())
    }
}

/// What a site calls, if it is on.
type Calls = Option<u8>;

/// A site's name for what it is.
fn form(calls: Calls) -> Form {
    calls.map_or(Form::Off, Form::On)
}

/// Sites, and commits that change them.
struct Story {
    protocol: Protocol,
    layout: Layout,
    recorder: Recorder,
    /// What the sites call, by the records of the space.
    now: Vec<Calls>,
    patching: Patching,
}

impl Story {
    /// Sites at some offsets, each with what it calls; one that is off called 1 before.
    fn new(protocol: Protocol, layout: Layout, sites: &[(u32, Calls)]) -> Story {
        let now: Vec<Calls> = sites.iter().map(|site| site.1).collect();
        let tails: Vec<u8> = now.iter().map(|calls| calls.unwrap_or(1)).collect();
        let site = |(calls, &target): (&Calls, _)| Site {
            on: calls.is_some(),
            target,
        };
        Story {
            protocol,
            layout,
            patching: Patching {
                layout,
                sites: now.iter().zip(&tails).map(site).collect(),
                branches: false,
                allowed: vec![now.iter().map(|&calls| vec![form(calls)]).collect()],
                threads: 1,
                window: 2,
                detail: Detail::Reduced,
            },
            recorder: Recorder {
                shape: shape(layout),
                maintenance: maintenance(layout),
                starts: sites.iter().map(|site| site.0).collect(),
                branches: false,
                tails,
                ops: Vec::new(),
                fail_after: None,
            },
            now,
        }
    }

    /// Performs a commit: sites, and what they are to call. Threads may execute, until it returns,
    /// the old and the new form, no effect while a site that has a tail is moved, and a trap while it is
    /// changed strictly. As in a space, sites that call what they are to call are left out.
    fn commit(&mut self, changes: &[(usize, Calls)]) -> Result<(), Failure> {
        let differs = |(site, to): &&(usize, Calls)| self.now[*site] != *to;
        let changes: Vec<_> = changes.iter().filter(differs).copied().collect();
        if changes.is_empty() {
            return Ok(());
        }
        let edit = |&(site, to): &(usize, Calls)| Edit {
            start: self.recorder.starts[site],
            link: Link::default(),
            tail: to.map_or(0, u32::from),
            old_tail: self.now[site].map_or(0, u32::from),
            transition: Transition {
                new_tail: to.is_some_and(|to| to != self.recorder.tails[site]),
                was_on: self.now[site].is_some(),
                on: to.is_some(),
            },
        };
        let edits: Vec<Edit> = changes.iter().map(edit).collect();
        let one_word = self.recorder.shape == Shape::OneWord;
        let last = self.patching.allowed.len() - 1;
        // Where a commit begins with a broadcast, what was stored before it is seen before what it stores:
        // also with what a program says that the commit before has returned.
        let first = match (one_word, self.protocol) {
            (true, Direct) => 0,
            _ => last,
        };
        for (edit, &(site, to)) in edits.iter().zip(&changes) {
            for allowed in &mut self.patching.allowed[first..] {
                allowed[site].push(form(to));
            }
            let allowed = &mut self.patching.allowed[last][site];
            if edit.transition.is_move() && !one_word {
                allowed.push(Form::Off);
            }
            if self.protocol == Strict {
                allowed.push(Form::Trap);
            }
        }
        let reroutes = self.recorder.reroutes(&edits);
        let outcome = run(self.protocol, &mut self.recorder, &*edits, &reroutes);
        for (edit, &(site, to)) in edits.iter().zip(&changes) {
            match outcome {
                Ok(()) | Err(Failure::Unsettled(_)) => self.now[site] = to,
                Err(Failure::MovesOff(_)) if edit.transition.is_move() => self.now[site] = None,
                Err(_) => {}
            }
        }
        if outcome.is_ok() {
            self.recorder.ops.push(Op::Return);
            let now = self.now.iter().map(|&calls| vec![form(calls)]).collect();
            self.patching.allowed.push(now);
        }
        outcome
    }

    /// With a branch before each site that leads around it while it is off.
    #[cfg(target_arch = "x86_64")]
    fn with_branches(mut self) -> Story {
        self.patching.branches = true;
        self.recorder.branches = true;
        self
    }

    fn with_threads(mut self, threads: usize, window: usize) -> Story {
        self.patching.threads = threads;
        self.patching.window = window;
        self
    }

    fn actions(&self) -> Vec<Action> {
        self.patching.actions(&self.recorder.ops)
    }

    fn explore(&self) -> Outcome {
        self.patching.explore(&self.actions())
    }

    /// Threads execute nothing but what they may.
    fn assert_right(&self) {
        let outcome = self.explore();
        if let Some(trace) = outcome.found() {
            panic!("{:?} on {:?}:\n{trace}", self.protocol, self.layout);
        }
    }
}

/// A change of one site, as the columns of tables name it.
struct Change {
    name: &'static str,
    from: Calls,
    to: Calls,
}

const CHANGES: [Change; 4] = [
    Change {
        name: "enable",
        from: None,
        to: Some(1),
    },
    Change {
        name: "enable elsewhere",
        from: None,
        to: Some(2),
    },
    Change {
        name: "disable",
        from: Some(1),
        to: None,
    },
    Change {
        name: "move",
        from: Some(1),
        to: Some(2),
    },
];

impl Change {
    fn story(&self, protocol: Protocol, layout: Layout) -> Story {
        let mut story = Story::new(protocol, layout, &[(0, self.from)]);
        assert_eq!(story.commit(&[(0, self.to)]), Ok(()));
        story
    }
}

/// Where which protocol is right.
fn supported() -> Vec<(Protocol, Layout)> {
    let mut all = vec![(Direct, MIXTURE), (Strict, MIXTURE), (Strict, BREAKPOINT)];
    for protocol in [Direct, Strict] {
        all.push((protocol, Layout::S390));
        all.push((protocol, Layout::RiscVIsland));
        all.extend(ARMS.map(|layout| (protocol, layout)));
    }
    all
}

#[test]
fn one_site_and_two_threads() {
    for (protocol, layout) in supported() {
        for change in &CHANGES {
            change
                .story(protocol, layout)
                .with_threads(2, 2)
                .assert_right();
        }
    }
}

#[test]
fn one_site_and_two_commits() {
    for (protocol, layout) in supported() {
        for [start, middle, end] in [
            [Some(1), None, Some(2)],
            [Some(1), None, Some(1)],
            [None, Some(2), None],
            [None, Some(2), Some(3)],
            [Some(1), Some(2), Some(1)],
        ] {
            let mut story = Story::new(protocol, layout, &[(0, start)]);
            assert_eq!(story.commit(&[(0, middle)]), Ok(()));
            assert_eq!(story.commit(&[(0, end)]), Ok(()));
            story.assert_right();
        }
    }
}

/// Batches of two sites, in one line and in two.
fn batches(protocol: Protocol, layout: Layout) -> Vec<Story> {
    let mut stories = Vec::new();
    for second in [16, LINE as u32] {
        for (from, to) in [
            ([Some(1), None], [Some(2), Some(2)]),
            ([Some(1), None], [None, Some(1)]),
            ([None, None], [Some(1), Some(2)]),
            ([Some(1), Some(1)], [Some(2), None]),
        ] {
            let sites = [(0, from[0]), (second, from[1])];
            let mut story = Story::new(protocol, layout, &sites);
            assert_eq!(story.commit(&[(0, to[0]), (1, to[1])]), Ok(()));
            stories.push(story);
        }
    }
    stories
}

#[test]
fn two_sites_in_a_batch() {
    for (protocol, layout) in supported() {
        for story in batches(protocol, layout) {
            story.assert_right();
        }
    }
}

#[test]
fn two_sites_and_two_threads() {
    for (protocol, layout) in [
        (Direct, MIXTURE),
        (Strict, BREAKPOINT),
        (Direct, ARMS[0]),
        (Direct, Layout::RiscVIsland),
    ] {
        for story in batches(protocol, layout) {
            story.with_threads(2, 1).assert_right();
        }
    }
}

/// A broadcast that fails leaves each site such that every thread executes its old or new form, the
/// next commit, of another site, leaves it as the records say, and one of the site itself changes it.
#[test]
fn any_broadcast_may_fail() {
    for (protocol, layout) in supported() {
        for change in &CHANGES {
            let whole = change.story(protocol, layout).recorder.ops;
            let broadcasts = whole.iter().filter(|op| **op == Op::Broadcast).count();
            for fail_after in 0..broadcasts {
                fail(protocol, layout, change, fail_after).assert_right();
                for again in [change.to, Some(3)] {
                    let mut story = fail(protocol, layout, change, fail_after);
                    assert_eq!(story.commit(&[(0, again)]), Ok(()));
                    story.assert_right();
                }
            }
        }
    }
}

fn fail(protocol: Protocol, layout: Layout, change: &Change, fail_after: usize) -> Story {
    let sites = [(0, change.from), (LINE as u32, None)];
    fail_in(Story::new(protocol, layout, &sites), change, fail_after)
}

fn fail_in(mut story: Story, change: &Change, fail_after: usize) -> Story {
    let protocol = story.protocol;
    story.recorder.fail_after = Some(fail_after);
    assert!(story.commit(&[(0, change.to)]).is_err());
    let outcome = form(story.now[0]);
    story.patching.allowed[0][0].push(outcome);
    // What a space does first after a commit that failed.
    story.recorder.broadcast().unwrap();
    assert_eq!(story.commit(&[(1, Some(2))]), Ok(()));
    if protocol == Strict && outcome == Form::Off {
        // A trap that stands for off.
        story.patching.allowed[1][0].push(Form::Trap);
    }
    story
}

/// The broadcast with which the next commit begins is not enough for heads that were put back.
#[test]
fn heads_that_are_put_back_need_maintenance() {
    let story = fail(Strict, ARMS[0], &CHANGES[3], 0);
    let actions = story.actions();
    let restored = actions.iter().position(|a| a.name == "site 0: on").unwrap();
    for name in ["dc cvau", "ic ivau"] {
        let rest = &actions[restored..];
        let at = restored + rest.iter().position(|a| a.name == name).unwrap();
        let mut without = actions.clone();
        without.remove(at);
        let outcome = story.patching.explore(&without);
        let trace = outcome
            .found()
            .expect("the form in between is executed for ever");
        assert!(trace.what.contains("as trap after the commit"), "{trace}");
    }
}

/// Branches that lead around sites: `explored/branches.rs`.
#[cfg(target_arch = "x86_64")]
mod branches;

/// Nobody but AMD promises what direct needs on x86-64.
#[test]
fn direct_is_not_right_where_only_breakpoints_may_be_met() {
    for change in &CHANGES {
        let outcome = change.story(Direct, BREAKPOINT).explore();
        let trace = outcome.found().expect("a byte changes under a thread");
        assert!(trace.what.contains("unpredictable"), "{trace}");
    }
}

/// What happens without an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    /// Nothing wrong.
    Fine,
    /// A thread calls what it was not, or not yet, to call.
    WrongCall,
    /// A thread executes bytes about which nothing is promised.
    Unpredictable,
    /// A thread executes the old form, or none, after the commit.
    Stale,
}

impl Without {
    fn of(story: &Story, actions: &[Action]) -> Without {
        let outcome = story.patching.explore(actions);
        match outcome.found().map(|trace| trace.what.as_str()) {
            None => Without::Fine,
            Some(what) if what.contains("unpredictable") => Without::Unpredictable,
            Some(what) if what.contains("mixture") => Without::WrongCall,
            Some(what) if what.contains("after the commit") => Without::Stale,
            Some(what) if what.contains("as call") => Without::WrongCall,
            Some(what) => panic!("{:?} on {:?}: {what}", story.protocol, story.layout),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Without::Fine => "–",
            Without::WrongCall => "wrong call",
            Without::Unpredictable => "unpredictable",
            Without::Stale => "stale",
        }
    }
}

/// An operation's place in a table: the step of the protocol, its name, and which of that name.
type Place = (usize, String, usize);

/// Everything a commit does, and what happens without each.
fn without_each(story: &Story) -> Vec<(Place, Without)> {
    let actions = story.actions();
    let broadcasts = story
        .recorder
        .ops
        .iter()
        .filter(|op| **op == Op::Broadcast)
        .count();
    // Both protocols leave out the steps that have nothing to do.
    let mut steps: Vec<usize> = match (broadcasts, story.protocol) {
        (1, _) => vec![3],
        (2, Direct) => vec![2, 3],
        (2, Strict) => vec![1, 3],
        _ => vec![1, 2, 3],
    };
    let mut rows: Vec<(Place, Without)> = Vec::new();
    for (i, action) in actions.iter().enumerate().filter(|(_, a)| !a.is_return()) {
        let mut rest = actions.clone();
        rest.remove(i);
        let same = |row: &&(Place, _)| row.0.0 == steps[0] && row.0.1 == action.name;
        let place = (
            steps[0],
            action.name.clone(),
            rows.iter().filter(same).count(),
        );
        rows.push((place, Without::of(story, &rest)));
        if action.name == "broadcast" {
            steps.remove(0);
        }
    }
    rows
}

/// A table in `docs/protocols.md`: commits side by side, and what happens without each operation.
fn table(columns: &[(&str, Story)]) -> String {
    let results: Vec<_> = columns
        .iter()
        .map(|(_, story)| without_each(story))
        .collect();
    let mut places: Vec<Place> = Vec::new();
    for result in &results {
        let mut after = None;
        for (place, _) in result {
            let known = places.iter().position(|known| known == place);
            let at = known.unwrap_or_else(|| {
                let start = places.iter().position(|known| known.0 >= place.0);
                let start = start.unwrap_or(places.len());
                let at = after.map_or(start, |after: usize| start.max(after + 1));
                places.insert(at, place.clone());
                at
            });
            after = Some(at);
        }
    }
    let names: Vec<_> = columns.iter().map(|column| column.0).collect();
    let mut text = format!("| step | without | {} |\n|---|---|", names.join(" | "));
    text += &"---|".repeat(columns.len());
    for place in &places {
        let name = place.1.trim_start_matches("site 0: ");
        let _ = write!(text, "\n| {} | {name} |", place.0);
        for result in &results {
            let cell = result.iter().find(|(other, _)| other == place);
            let _ = write!(
                text,
                " {} |",
                cell.map_or("", |(_, without)| without.name())
            );
        }
    }
    text + "\n"
}

fn by_change(protocol: Protocol, layout: Layout) -> String {
    table(
        &CHANGES
            .each_ref()
            .map(|c| (c.name, c.story(protocol, layout))),
    )
}

fn tables() -> String {
    let enable = |dic, idc| CHANGES[0].story(Direct, arm(dic, idc));
    format!(
        "\n**Direct on x86-64**, where any mixture of old and new bytes may be executed:\n\n{}\n\
         **Strict on x86-64**, where nothing but a breakpoint may replace a byte:\n\n{}\n\
         **Direct on RISC-V**:\n\n{}\n\
         **Direct on AArch64**, *enable* by `CTR_EL0`:\n\n{}\n",
        by_change(Direct, MIXTURE),
        by_change(Strict, BREAKPOINT),
        by_change(Direct, Layout::RiscVIsland),
        table(&[
            ("neither DIC nor IDC", enable(false, false)),
            ("IDC", enable(false, true)),
            ("DIC", enable(true, false)),
            ("DIC and IDC", enable(true, true)),
        ]),
    )
}

/// `NOPAL_BLESS=1` puts the tables as they are into the document.
#[test]
fn what_each_operation_is_for() {
    const BEGIN: &str = "<!-- tables of crates/live/src/protocol/explored.rs -->\n";
    const END: &str = "<!-- end of tables -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocols.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (present, after) = rest.split_once(END).unwrap();
    let tables = tables();
    if std::env::var_os("NOPAL_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        present, tables,
        "`NOPAL_BLESS=1 cargo test -p nopal-live` rewrites {path}"
    );
}

/// A trap over one byte and a switch in another come to the same as both in one.
#[test]
fn s390x_needs_what_x86_64_needs() {
    for protocol in [Direct, Strict] {
        for change in &CHANGES {
            let here = without_each(&change.story(protocol, Layout::S390));
            let there = without_each(&change.story(protocol, MIXTURE));
            assert_eq!(here, there, "{protocol:?} {}", change.name);
        }
    }
}

/// Whatever the document says: without these operations, something is wrong everywhere.
#[test]
fn stores_and_the_last_broadcast_are_needed() {
    for (protocol, layout) in supported() {
        for change in &CHANGES {
            let rows = without_each(&change.story(protocol, layout));
            let last_step = |name| rows.iter().rev().find(|((_, n, _), _)| n == name);
            let tail = last_step("site 0: tail").into_iter();
            let new_form = match change.to {
                // It goes on calling its island.
                Some(_) if layout == Layout::RiscVIsland && change.from.is_some() => {
                    "site 0: address"
                }
                Some(_) => "site 0: on",
                None => "site 0: off",
            };
            let needed = [last_step(new_form), last_step("broadcast")];
            for (place, without) in needed.into_iter().map(Option::unwrap).chain(tail) {
                assert_ne!(*without, Without::Fine, "{protocol:?} {layout:?} {place:?}");
            }
        }
    }
}

/// Nor is anything too much in a batch, where the protocols are made for.
#[test]
fn batches_do_nothing_in_vain() {
    for (protocol, layout) in [(Direct, MIXTURE), (Strict, BREAKPOINT)] {
        for story in batches(protocol, layout) {
            let actions = story.actions();
            for i in (0..actions.len()).filter(|&i| !actions[i].is_return()) {
                let mut rest = actions.clone();
                let without = rest.remove(i).name;
                let outcome = story.patching.explore(&rest);
                assert!(outcome.found().is_some(), "{protocol:?} without {without}");
            }
        }
    }
}

/// Where a site is one word, direct is one step, of which all is needed that is not marked in the tables.
#[test]
fn one_word_takes_one_step() {
    for layout in ARMS.into_iter().chain([Layout::RiscVIsland]) {
        for change in &CHANGES {
            let ops = change.story(Direct, layout).recorder.ops;
            let count = |wanted: fn(&Op) -> bool| ops.iter().filter(|op| wanted(op)).count();
            assert_eq!(count(|op| matches!(op, Op::Head { .. })), 1);
            assert_eq!(count(|op| *op == Op::Broadcast), 1);
        }
    }
}

/// With coherent caches, the completion of stores is seen to twice: by `dsb`, and by the fence of
/// the broadcast. One of them is needed.
#[test]
fn stores_complete_before_cores_are_interrupted() {
    for dic_only in [true, false] {
        let story = CHANGES[0].story(Direct, arm(true, !dic_only));
        let mut actions = story.actions();
        let fence = actions
            .iter()
            .position(|a| a.name == "fence of the broadcast");
        actions.remove(fence.unwrap());
        assert_eq!(Without::of(&story, &actions), Without::Fine);
        actions.retain(|action| action.name != "dsb ish");
        assert_eq!(Without::of(&story, &actions), Without::Stale);
    }
}

/// Neighbours that may change places.
fn exchangeable(story: &Story) -> Vec<(String, String)> {
    let actions = story.actions();
    let harmless = |i: &usize| {
        let mut other = actions.clone();
        other.swap(*i, i + 1);
        Without::of(story, &other) == Without::Fine
    };
    let places = (0..actions.len() - 1).filter(harmless);
    places
        .map(|i| (actions[i].name.clone(), actions[i + 1].name.clone()))
        .collect()
}

#[test]
fn the_order_of_operations_matters() {
    for change in &CHANGES {
        assert_eq!(exchangeable(&change.story(Direct, MIXTURE)), []);
        assert_eq!(exchangeable(&change.story(Strict, BREAKPOINT)), []);
    }
    let elsewhere = CHANGES[1].story(Direct, Layout::RiscVIsland);
    assert_eq!(exchangeable(&elsewhere), []);
    let enable = |layout| exchangeable(&CHANGES[0].story(Direct, layout));
    // What nothing depends on where a broadcast follows may also be elsewhere.
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    let idle = [
        pair("dsb ish", "isb"),
        pair("isb", "fence of the broadcast"),
        pair("fence of the broadcast", "broadcast"),
    ];
    assert_eq!(enable(ARMS[0]), idle);
    assert_eq!(enable(ARMS[1]), idle);
}

/// The model leaves out what it takes for irrelevant; it makes no difference to any result here.
#[test]
fn the_reduction_makes_no_difference() {
    for (protocol, layout) in supported() {
        for change in [&CHANGES[0], &CHANGES[3]] {
            let mut story = change.story(protocol, layout);
            let reduced = without_each(&story);
            story.patching.detail = Detail::Everything;
            assert_eq!(without_each(&story), reduced);
            story.assert_right();
        }
    }
}
