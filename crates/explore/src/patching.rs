//! Patch sites under running threads: one core changes them, others execute them in a loop.

use crate::inst::{Event, Fence, Form, Inst, Loc, Locs, Word};
use crate::machine::{Arch, Core, Detail, Machine, Slot, State};
use crate::search::{Goal, Outcome, search};

/// How sites are laid out, and on which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One instruction of an opcode byte and a displacement, of which two bytes stand for all four.
    X86 {
        /// The fetch unit each byte is in: bytes of one unit are fetched together.
        units: [u8; 3],
        /// What is promised about executing bytes that change.
        promise: Promise,
    },
    /// One instruction of two bytes, the first of which may be a trap and the second of which says whether it
    /// calls, and a displacement, of which two bytes stand for all four. Any mixture of old and new bytes
    /// is executed (Principles of Operation, SA22-7832, chapter 5, "Instruction Fetching").
    S390,
    /// One aligned word: `bl` or `nop`.
    Arm {
        /// See [`Arch::Arm`].
        dic: bool,
        /// See [`Arch::Arm`].
        idc: bool,
    },
    /// One aligned word: `jal`, or the `jalr` behind an `auipc` that is never changed.
    RiscV,
    /// The same, always to the same place: an island, from where it goes on to an address that is loaded. That
    /// is stored before a head that calls.
    RiscVIsland,
    /// Two aligned words, `auipc` and `jalr`, both of which depend on the target.
    RiscVPair,
}

/// What an x86 processor promises about instructions that are changed while others execute them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It executes some mixture of old and new fetch units (AMD APM vol. 2 §7.6.1: what is stored
    /// within an aligned quadword takes effect, but the quadword may be read again and again).
    AnyMixture,
    /// It executes a breakpoint that replaces the first byte, or what was there before, and goes wrong
    /// in any other case: the assumption of `smp_text_poke_batch_finish` in Linux. Intel promises no
    /// more than the serialization of the cores (SDM vol. 3A §10.1.3).
    BreakpointOnly,
}

/// What decides what a site does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Calls; where the head holds the target as well, this one.
    On(u8),
    /// Does nothing.
    Off,
    /// Breakpoint.
    Trap,
}

/// An operation of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Stores the head of a site.
    Head {
        /// Which.
        site: u8,
        /// What.
        head: Head,
    },
    /// Stores the rest of a site, if it has one.
    Tail {
        /// Which.
        site: u8,
        /// What it is to call.
        target: u8,
    },
    /// Stores the first byte of the branch before a site.
    Branch {
        /// Which site.
        site: u8,
        /// Whether it is a breakpoint.
        trap: bool,
    },
    /// Stores the byte that says where the branch before a site leads.
    Route {
        /// Which site.
        site: u8,
        /// Whether it leads around.
        around: bool,
    },
    /// Cleans the data-cache line of some sites.
    Clean(Vec<u8>),
    /// Invalidates the instruction-cache line of some sites.
    Invalidate(Vec<u8>),
    /// Waits for completion of all that.
    Complete,
    /// Synchronizes the context of the core itself.
    Synchronize,
    /// `membarrier`: a memory barrier, and context synchronization of all cores.
    Broadcast,
    /// The commit returns to its caller.
    Return,
}

/// An operation of a protocol on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it is called.
    pub name: String,
    /// The instructions.
    pub insts: Vec<Inst>,
}

impl Action {
    /// Whether it is no operation but the end of a commit, which programs learn of.
    pub fn is_return(&self) -> bool {
        self.name == RETURN
    }
}

const RETURN: &str = "return";

/// A site: what it is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Whether it calls.
    pub on: bool,
    /// What it calls, or called last.
    pub target: u8,
}

/// What may be executed, by commits that have returned and by site.
pub type Allowed = Vec<Vec<Vec<Form>>>;

/// Sites, threads that execute them, and what these may execute.
#[derive(Clone, Debug)]
pub struct Patching {
    /// Layout of the sites.
    pub layout: Layout,
    /// The sites, in the order in which threads execute them, again and again.
    pub sites: Vec<Site>,
    /// Whether there is a branch before each site that leads around it while it is off: on x86 only.
    pub branches: bool,
    /// For each number of commits that have returned, and each site: the forms that a thread may
    /// execute.
    pub allowed: Allowed,
    /// How many threads execute the sites.
    pub threads: usize,
    /// How many instructions they fetch ahead.
    pub window: usize,
    /// Which steps the machine takes.
    pub detail: Detail,
}

/// First bytes and words of sites; on s390x, the first two are second bytes, and the others first ones.
const ON: Word = 1;
const OFF: Word = 2;
const TRAP: Word = 3;
const NO_TRAP: Word = 4;
/// Where branches lead.
const THROUGH: Word = 1;
const AROUND: Word = 2;
/// Locations of a branch: its first byte, and that which says where it leads.
const BRANCH_LOCS: u8 = 2;
/// Added to its target, the word of a site that calls.
const CALL: Word = 0x10;

impl Layout {
    fn arch(self) -> Arch {
        match self {
            // On s390x, too, nothing but loads passes earlier stores, and serialization discards all that
            // was fetched ("Conceptual Sequence").
            Layout::X86 { .. } | Layout::S390 => Arch::X86,
            Layout::Arm { dic, idc } => Arch::Arm { dic, idc },
            Layout::RiscV | Layout::RiscVIsland | Layout::RiscVPair => Arch::RiscV,
        }
    }

    /// Locations per site.
    fn locs(self) -> u8 {
        match self {
            Layout::X86 { units, .. } => units[2] + 1,
            Layout::S390 => 4,
            Layout::Arm { .. } | Layout::RiscV => 1,
            Layout::RiscVIsland | Layout::RiscVPair => 2,
        }
    }

    /// The stores that put a head in place: location, bits, value.
    fn head(self, head: Head) -> Vec<(Loc, Word, Word)> {
        let word = self.head_word(head);
        match self {
            Layout::X86 { .. } => vec![(0, 0xff, word)],
            Layout::S390 if head == Head::Trap => vec![(0, Word::MAX, word)],
            // One store, which may be fetched as two.
            Layout::S390 => vec![(1, Word::MAX, word), (0, Word::MAX, NO_TRAP)],
            Layout::Arm { .. } | Layout::RiscV | Layout::RiscVIsland => {
                vec![(0, Word::MAX, word)]
            }
            Layout::RiscVPair => vec![(1, Word::MAX, word)],
        }
    }

    fn head_word(self, head: Head) -> Word {
        match (self, head) {
            (Layout::X86 { .. } | Layout::S390 | Layout::RiscVIsland, Head::On(_)) => ON,
            (_, Head::On(target)) => CALL + Word::from(target),
            (_, Head::Off) => OFF,
            (_, Head::Trap) => TRAP,
        }
    }

    /// The stores that make the rest of a site name a target: location, bits, value.
    fn tail(self, target: u8) -> Vec<(Loc, Word, Word)> {
        let target = Word::from(target);
        match self {
            Layout::X86 { units, .. } => {
                let mut stores: Vec<(Loc, Word, Word)> = Vec::new();
                for byte in [1, 2] {
                    let shift = shift_of(units, byte);
                    let (mask, value) = (0xff << shift, target << shift);
                    match stores.last_mut().filter(|store| store.0 == units[byte]) {
                        Some(store) => *store = (store.0, store.1 | mask, store.2 | value),
                        None => stores.push((units[byte], mask, value)),
                    }
                }
                stores
            }
            Layout::S390 => vec![(2, Word::MAX, target), (3, Word::MAX, target)],
            Layout::Arm { .. } | Layout::RiscV | Layout::RiscVIsland => Vec::new(),
            Layout::RiscVPair => vec![(0, Word::MAX, target)],
        }
    }
}

/// Where a byte is in its unit.
fn shift_of(units: [u8; 3], byte: usize) -> u32 {
    let before = units[..byte].iter().filter(|&&unit| unit == units[byte]);
    8 * before.count() as u32
}

impl Patching {
    /// Locations per site, those of the branch last.
    fn locs(&self) -> u8 {
        self.layout.locs() + if self.branches { BRANCH_LOCS } else { 0 }
    }

    fn loc(&self, site: u8, loc: Loc) -> Loc {
        site * self.locs() + loc
    }

    /// The first byte of a branch, and the byte that says where it leads.
    fn branch_locs(&self) -> [Loc; 2] {
        [0, 1].map(|i| self.layout.locs() + i)
    }

    /// The location where commits say that they have returned.
    fn returned(&self) -> Loc {
        self.sites.len() as u8 * self.locs()
    }

    /// What operations are on this machine.
    pub fn actions(&self, ops: &[Op]) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut commits = 0;
        for op in ops {
            self.push(op, &mut commits, &mut actions);
        }
        actions
    }

    fn push(&self, op: &Op, commits: &mut Word, actions: &mut Vec<Action>) {
        let action = |name: String, insts| Action { name, insts };
        let mut add = |name: &str, inst| actions.push(action(name.into(), vec![inst]));
        match op {
            Op::Head { site, head } => {
                let name = match head {
                    Head::On(_) => "on",
                    Head::Off => "off",
                    Head::Trap => "trap",
                };
                if let (Layout::RiscVIsland, Head::On(target)) = (self.layout, head) {
                    let address = (1, Word::MAX, Word::from(*target));
                    let insts = self.stores(*site, &[address]);
                    actions.push(action(format!("site {site}: address"), insts));
                    let fence = Inst::Fence(Fence::Stores);
                    actions.push(action("fence w, w".into(), vec![fence]));
                }
                let insts = self.stores(*site, &self.layout.head(*head));
                actions.push(action(format!("site {site}: {name}"), insts));
            }
            Op::Tail { site, target } => {
                let insts = self.stores(*site, &self.layout.tail(*target));
                if !insts.is_empty() {
                    actions.push(action(format!("site {site}: tail"), insts));
                }
            }
            Op::Branch { site, trap } => {
                let (name, word) = match trap {
                    true => ("trap", TRAP),
                    false => ("back", NO_TRAP),
                };
                let [first, _] = self.branch_locs();
                let insts = self.stores(*site, &[(first, Word::MAX, word)]);
                actions.push(action(format!("site {site}: branch {name}"), insts));
            }
            Op::Route { site, around } => {
                let (name, word) = match around {
                    true => ("around", AROUND),
                    false => ("through", THROUGH),
                };
                let [_, way] = self.branch_locs();
                let insts = self.stores(*site, &[(way, Word::MAX, word)]);
                actions.push(action(format!("site {site}: branch {name}"), insts));
            }
            Op::Clean(sites) => {
                let locs = self.line(sites);
                add(
                    "dc cvau",
                    Inst::Clean {
                        locs,
                        address: None,
                    },
                );
            }
            Op::Invalidate(sites) => {
                let locs = self.line(sites);
                add("ic ivau", Inst::Invalidate { locs });
            }
            Op::Complete => add("dsb ish", Inst::Fence(Fence::Completion)),
            Op::Synchronize => add("isb", Inst::Sync),
            Op::Broadcast => {
                add("fence of the broadcast", Inst::Fence(Fence::Full));
                add("broadcast", Inst::Rendezvous);
            }
            Op::Return => {
                *commits += 1;
                let store = Inst::Store {
                    loc: self.returned(),
                    mask: Word::MAX,
                    value: *commits,
                };
                add(RETURN, store);
            }
        }
    }

    /// Stores to locations of a site.
    fn stores(&self, site: u8, stores: &[(Loc, Word, Word)]) -> Vec<Inst> {
        let store = |&(loc, mask, value)| Inst::Store {
            loc: self.loc(site, loc),
            mask,
            value,
        };
        stores.iter().map(store).collect()
    }

    fn line(&self, sites: &[u8]) -> Locs {
        let locs = sites
            .iter()
            .flat_map(|&site| (0..self.locs()).map(move |i| (site, i)));
        Locs(locs.fold(0, |set, (site, i)| set | Locs::one(self.loc(site, i)).0))
    }

    /// Looks for a thread that executes what it must not, in every run of these actions.
    pub fn explore(&self, actions: &[Action]) -> Outcome {
        let writer = actions.iter().flat_map(|action| &action.insts);
        let mut cores = vec![Core {
            text: writer.map(|&inst| Slot::Fixed(inst)).collect(),
            // No more than what is between two broadcasts is ever in it.
            window: actions.len() * 2,
        }];
        for _ in 0..self.threads {
            cores.push(Core {
                text: self.text(),
                window: self.window,
            });
        }
        let machine = Machine {
            arch: self.layout.arch(),
            memory: self.memory(),
            names: self.names(),
            cores,
            detail: self.detail,
        };
        search(&machine, self)
    }

    /// The sites in a loop.
    fn text(&self) -> Vec<Slot> {
        let mut text = Vec::new();
        for site in 0..self.sites.len() as u8 {
            if self.branches {
                text.push(self.branch(site, text.len() as u8));
            }
            match self.layout {
                Layout::X86 { units, promise } => text.push(self.x86(site, units, promise)),
                Layout::S390 => text.push(self.s390(site)),
                Layout::Arm { .. } | Layout::RiscV => text.push(self.word(site)),
                Layout::RiscVIsland => text.push(self.island(site)),
                Layout::RiscVPair => text.extend(self.pair(site)),
            }
        }
        text.push(Slot::Fixed(Inst::Branch { to: 0 }));
        text
    }

    fn x86(&self, site: u8, units: [u8; 3], promise: Promise) -> Slot {
        let at = (0..self.layout.locs()).map(|i| self.loc(site, i)).collect();
        let bytes = move |words: &Vec<Word>| {
            [0, 1, 2].map(|byte| words[units[byte] as usize] >> shift_of(units, byte) & 0xff)
        };
        let form = |[head, tail, end]: [Word; 3]| match head {
            OFF => Form::Off,
            TRAP => Form::Trap,
            ON if tail == end => Form::On(tail as u8),
            _ => Form::Torn,
        };
        let inst = move |form| Inst::Site(Event { site, form });
        Slot::Stored {
            at,
            possible: Box::new(move |seen| {
                let all = products(seen).iter().map(bytes).collect::<Vec<_>>();
                let (traps, others): (Vec<_>, Vec<_>) = all.iter().partition(|b| b[0] == TRAP);
                let mut forms: Vec<Form> = traps.iter().take(1).map(|_| Form::Trap).collect();
                match promise {
                    Promise::BreakpointOnly if others.len() > 1 => forms.push(Form::Unpredictable),
                    _ => forms.extend(others.into_iter().map(form)),
                }
                forms.into_iter().map(inst).collect()
            }),
        }
    }

    /// The branch at a position of the text, right before its site. A breakpoint over it leads through.
    fn branch(&self, site: u8, at: u8) -> Slot {
        let Layout::X86 { promise, .. } = self.layout else {
            panic!("there are branches on x86 only");
        };
        let through = Inst::Branch { to: at + 1 };
        let unpredictable = Inst::Site(Event {
            site,
            form: Form::Unpredictable,
        });
        let inst = move |way: &Word| match *way {
            AROUND => Inst::Around { site, to: at + 2 },
            _ => through,
        };
        Slot::Stored {
            at: self.branch_locs().map(|loc| self.loc(site, loc)).to_vec(),
            possible: Box::new(move |seen| {
                let [first, ways] = seen else {
                    panic!("a branch has two locations");
                };
                let mut insts = Vec::new();
                if first.contains(&TRAP) {
                    insts.push(through);
                }
                if first.contains(&NO_TRAP) {
                    match promise {
                        Promise::BreakpointOnly if ways.len() > 1 => insts.push(unpredictable),
                        _ => insts.extend(ways.iter().map(inst)),
                    }
                }
                insts
            }),
        }
    }

    fn s390(&self, site: u8) -> Slot {
        let form = |bytes: Vec<Word>| match bytes[..] {
            [TRAP, ..] => Form::Trap,
            [_, OFF, ..] => Form::Off,
            [_, _, tail, end] if tail == end => Form::On(tail as u8),
            _ => Form::Torn,
        };
        Slot::Stored {
            at: (0..self.layout.locs()).map(|i| self.loc(site, i)).collect(),
            possible: Box::new(move |seen| {
                let mut forms: Vec<Form> = Vec::new();
                for found in products(seen).into_iter().map(form) {
                    if !forms.contains(&found) {
                        forms.push(found);
                    }
                }
                let event = |form| Inst::Site(Event { site, form });
                forms.into_iter().map(event).collect()
            }),
        }
    }

    fn word(&self, site: u8) -> Slot {
        let form = move |word: &Word| match *word {
            OFF => Form::Off,
            TRAP => Form::Trap,
            word => Form::On((word - CALL) as u8),
        };
        Slot::Stored {
            at: vec![self.loc(site, 0)],
            possible: Box::new(move |seen| {
                let event = |form| Inst::Site(Event { site, form });
                seen[0].iter().map(form).map(event).collect()
            }),
        }
    }

    /// Between the call and the load, a thread has passed the site: that it is interrupted there is left out.
    fn island(&self, site: u8) -> Slot {
        let loc = self.loc(site, 1);
        let inst = move |word: &Word| match *word {
            OFF => Inst::Site(Event {
                site,
                form: Form::Off,
            }),
            TRAP => Inst::Site(Event {
                site,
                form: Form::Trap,
            }),
            _ => Inst::Through { site, loc },
        };
        Slot::Stored {
            at: vec![self.loc(site, 0)],
            possible: Box::new(move |seen| seen[0].iter().map(inst).collect()),
        }
    }

    /// `auipc` puts its part of the target into a register, `jalr` adds its own.
    fn pair(&self, site: u8) -> [Slot; 2] {
        let upper = |word: &Word| Inst::Set {
            reg: 0,
            value: *word,
        };
        let lower = move |word: &Word| match *word {
            OFF => Inst::Site(Event {
                site,
                form: Form::Off,
            }),
            TRAP => Inst::Site(Event {
                site,
                form: Form::Trap,
            }),
            word => Inst::Jump {
                site,
                reg: 0,
                low: word - CALL,
            },
        };
        let slot = |loc, possible| Slot::Stored {
            at: vec![self.loc(site, loc)],
            possible,
        };
        [
            slot(0, Box::new(move |seen| seen[0].iter().map(upper).collect())),
            slot(1, Box::new(move |seen| seen[0].iter().map(lower).collect())),
        ]
    }

    fn memory(&self) -> Vec<Word> {
        let mut memory = vec![0; self.returned() as usize + 1];
        for (site, start) in (0u8..).zip(&self.sites) {
            let head = match start.on {
                true => Head::On(start.target),
                false => Head::Off,
            };
            let mut stores = self.layout.tail(start.target);
            stores.extend(self.layout.head(head));
            if self.layout == Layout::RiscVIsland {
                stores.push((1, Word::MAX, Word::from(start.target)));
            }
            if self.branches {
                let [first, way] = self.branch_locs();
                let leads = if start.on { THROUGH } else { AROUND };
                stores.extend([(first, Word::MAX, NO_TRAP), (way, Word::MAX, leads)]);
            }
            for (loc, mask, value) in stores {
                let word = &mut memory[self.loc(site, loc) as usize];
                *word = *word & !mask | value & mask;
            }
        }
        memory
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for site in 0..self.sites.len() {
            for part in 0..self.locs() {
                names.push(match self.locs() {
                    1 => format!("site {site}"),
                    _ => format!("part {part} of site {site}"),
                });
            }
        }
        names.push("the number of commits that have returned".into());
        names
    }
}

/// Every way to take one value of each set.
fn products(sets: &[Vec<Word>]) -> Vec<Vec<Word>> {
    let mut all = vec![Vec::new()];
    for set in sets {
        all = all
            .iter()
            .flat_map(|start| {
                set.iter().map(move |&value| {
                    let mut longer = start.clone();
                    longer.push(value);
                    longer
                })
            })
            .collect();
    }
    all
}

impl Goal for Patching {
    fn event(&self, state: &State, _core: usize, event: Event) -> Option<String> {
        let Event { site, form } = event;
        let returned = state.load(self.returned()) as usize;
        if self.allowed[returned][site as usize].contains(&form) {
            return None;
        }
        let when = match returned {
            0 => "before a commit has returned".into(),
            1 => "after the commit has returned".into(),
            n => format!("after {n} commits have returned"),
        };
        Some(format!("site {site} is executed as {form} {when}"))
    }
}
