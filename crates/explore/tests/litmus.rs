//! The machine against verdicts of the architecture's own model.
//!
//! The programs are those of `catalogue/aarch64-ifetch` in herdtools7, which come from Simner et al.,
//! "ARMv8-A System Semantics: Instruction Fetch in Relaxed Architectures" (ESOP 2020). Verdicts are those
//! of Arm's axiomatic model (`aarch64.cat` there) for a machine that has neither DIC nor IDC, one that
//! has IDC, and one that has both.

use nopal_explore::{
    Arch, Core, Detail, Fence, Goal, Inst, Loc, Locs, Machine, Outcome, Reg, Slot, State, Word,
    search,
};

/// Whether an outcome may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Forbidden,
}

use Verdict::{Allowed as A, Forbidden as F};

/// What the final state is asked for.
#[derive(Clone, Copy)]
enum Is {
    Reg(usize, Reg, Word),
    Mem(Loc, Word),
}

struct Litmus {
    name: &'static str,
    /// Initial memory: locations 0 and 1 hold code, the others data.
    memory: &'static [Word],
    programs: fn() -> Vec<Vec<Slot>>,
    exists: &'static [Is],
    /// DIC/IDC = 00, 01, 11.
    verdicts: [Verdict; 3],
}

/// Code locations hold these: a branch over the next instruction at first, or what replaces it.
const B: Word = 0;
const NOP: Word = 1;
const B12: Word = 2;

/// The code locations, and the data.
const F0: Loc = 0;
const F1: Loc = 1;
const X: Loc = 2;
const Z: Loc = 3;

fn fixed<const N: usize>(insts: [Inst; N]) -> Vec<Slot> {
    insts.into_iter().map(Slot::Fixed).collect()
}

fn str(loc: Loc, value: Word) -> Inst {
    Inst::Store {
        loc,
        mask: Word::MAX,
        value,
    }
}

fn ldr(reg: Reg, loc: Loc) -> Inst {
    Inst::Load {
        reg,
        loc,
        address: None,
    }
}

fn mov(reg: Reg, value: Word) -> Inst {
    Inst::Set { reg, value }
}

fn dc(loc: Loc) -> Inst {
    Inst::Clean {
        locs: Locs::one(loc),
        address: None,
    }
}

fn ic(loc: Loc) -> Inst {
    Inst::Invalidate {
        locs: Locs::one(loc),
    }
}

const DSB: Inst = Inst::Fence(Fence::Completion);
const DMB: Inst = Inst::Fence(Fence::Full);
const DMB_ST: Inst = Inst::Fence(Fence::Stores);
const ISB: Inst = Inst::Sync;

/// `CBNZ` to the next instruction, which is at `next`: a control dependency and no more.
fn ctrl(reg: Reg, next: u8) -> Inst {
    Inst::BranchIf {
        reg,
        equals: 0,
        to: next,
        or: next,
    }
}

/// `B` over one instruction, at a position of the text; `NOP` may replace it.
fn branch_over(loc: Loc, at: u8) -> Slot {
    Slot::word(loc, [(B, Inst::Branch { to: at + 2 }), (NOP, Inst::Nop)])
}

/// The rest of a program, after some instructions that nobody changes: `m: B l; MOV reg,#1; l:`.
fn then_skip<const N: usize>(insts: [Inst; N], loc: Loc, reg: Reg) -> Vec<Slot> {
    let mut text = fixed(insts);
    text.push(branch_over(loc, N as u8));
    text.push(Slot::Fixed(mov(reg, 1)));
    text
}

const TESTS: &[Litmus] = &[
    Litmus {
        name: "SM.B+cachesync-isb",
        memory: &[B],
        programs: || {
            vec![then_skip(
                [str(F0, NOP), dc(F0), DSB, ic(F0), DSB, ISB],
                F0,
                1,
            )]
        },
        exists: &[Is::Reg(0, 1, 0)],
        verdicts: [F, F, F],
    },
    Litmus {
        name: "SM.B+isb",
        memory: &[B],
        programs: || vec![then_skip([str(F0, NOP), ISB], F0, 1)],
        exists: &[Is::Reg(0, 1, 0)],
        verdicts: [A, A, A],
    },
    Litmus {
        name: "SM.B+dsb.ish-ic.ivau-dsb.ish-isb",
        memory: &[B],
        programs: || vec![then_skip([str(F0, NOP), DSB, ic(F0), DSB, ISB], F0, 1)],
        exists: &[Is::Reg(0, 1, 0)],
        verdicts: [A, F, F],
    },
    Litmus {
        name: "SM.B+dsb.ish-isb",
        memory: &[B],
        programs: || vec![then_skip([str(F0, NOP), DSB, ISB], F0, 1)],
        exists: &[Is::Reg(0, 1, 0)],
        verdicts: [A, A, F],
    },
    Litmus {
        name: "coFF",
        memory: &[B],
        // The second program is written as the two calls that it makes, one after the other.
        programs: || {
            let mut twice = vec![branch_over(F0, 0), Slot::Fixed(mov(1, 1))];
            twice.extend([branch_over(F0, 2), Slot::Fixed(mov(2, 1))]);
            vec![fixed([str(F0, NOP)]), twice]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
        verdicts: [A, A, F],
    },
    Litmus {
        name: "coFF+cachesync",
        memory: &[B],
        programs: || {
            // `B j0` leaves 0, `B .+12` to j1 makes it 1, `NOP` makes it 2.
            let call = |at: u8, reg| {
                let meanings = [
                    (B, Inst::Branch { to: at + 4 }),
                    (NOP, Inst::Nop),
                    (B12, Inst::Branch { to: at + 3 }),
                ];
                let end = Inst::Branch { to: at + 4 };
                vec![
                    Slot::word(F0, meanings),
                    Slot::Fixed(mov(reg, 2)),
                    Slot::Fixed(end),
                    Slot::Fixed(mov(reg, 1)),
                ]
            };
            let mut twice = call(0, 1);
            twice.extend(call(4, 2));
            vec![
                fixed([str(F0, B12), dc(F0), DSB, ic(F0), DSB, str(F0, NOP)]),
                twice,
            ]
        },
        exists: &[Is::Reg(1, 1, 2), Is::Reg(1, 2, 0)],
        verdicts: [F, F, F],
    },
    Litmus {
        name: "MP.RF+cachesync+ctrlisb",
        memory: &[B, 0, 0],
        programs: || {
            vec![
                fixed([str(F0, NOP), dc(F0), DSB, ic(F0), DSB, str(X, 1)]),
                then_skip([ldr(1, X), ctrl(1, 2), ISB], F0, 2),
            ]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
        verdicts: [F, F, F],
    },
    Litmus {
        name: "MP.RF+dc-dsb-ic-dsb+addr",
        memory: &[B, 0, 0, 0],
        programs: || {
            // z holds the address of `Lend`, and then that of `Lself`, the next instruction.
            let br = Inst::BranchIf {
                reg: 1,
                equals: 1,
                to: 2,
                or: 4,
            };
            vec![
                fixed([str(F0, NOP), dc(F0), DSB, ic(F0), DSB, str(Z, 1)]),
                then_skip([ldr(1, Z), br], F0, 2),
            ]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
        verdicts: [A, A, A],
    },
    Litmus {
        name: "MP.FF+dmb.st+po",
        memory: &[B, B],
        programs: || {
            let mut second = vec![branch_over(F1, 0), Slot::Fixed(mov(1, 1))];
            second.extend([branch_over(F0, 2), Slot::Fixed(mov(2, 1))]);
            vec![fixed([str(F0, NOP), DMB_ST, str(F1, NOP)]), second]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
        verdicts: [A, A, F],
    },
    Litmus {
        name: "MP.FR+dmb.st+po",
        memory: &[B, 0, 0],
        programs: || {
            let mut second = vec![branch_over(F0, 0), Slot::Fixed(mov(1, 1))];
            second.extend(fixed([ldr(2, X)]));
            vec![fixed([str(X, 1), DMB_ST, str(F0, NOP)]), second]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
        verdicts: [F, F, F],
    },
    Litmus {
        name: "MP.FW+dmb.st+po",
        memory: &[B, 0, 0],
        programs: || {
            let mut second = vec![branch_over(F0, 0), Slot::Fixed(mov(1, 1))];
            second.extend(fixed([str(X, 2)]));
            vec![fixed([str(X, 1), DMB_ST, str(F0, NOP)]), second]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Mem(X, 1)],
        verdicts: [F, F, F],
    },
    Litmus {
        name: "WRC-inst+cachesync+ctrlisb",
        memory: &[B, 0, 0],
        programs: || {
            let mut second = vec![branch_over(F0, 0), Slot::Fixed(mov(1, 1))];
            second.extend(fixed([str(X, 1)]));
            vec![
                fixed([str(F0, NOP), dc(F0), DSB, ic(F0), DSB, ISB]),
                second,
                then_skip([ldr(1, X), ctrl(1, 2), ISB], F0, 2),
            ]
        },
        exists: &[Is::Reg(1, 1, 1), Is::Reg(2, 1, 1), Is::Reg(2, 2, 0)],
        verdicts: [A, A, F],
    },
];

/// Tests whose verdicts are in the catalogue itself (`kinds.txt`), some for one machine only.
const KINDS: &[(Litmus, [bool; 3])] = &[
    (
        Litmus {
            name: "MP+dmb.st+addrisb-Imp_Instr_R",
            memory: &[B, 0, 0, 0],
            programs: || {
                let dependent = Inst::Load {
                    reg: 3,
                    loc: Z,
                    address: Some(2),
                };
                vec![
                    fixed([str(F0, NOP), DMB_ST, str(X, 1)]),
                    then_skip(
                        [ldr(1, X), Inst::Zero { reg: 2, from: 1 }, dependent, ISB],
                        F0,
                        0,
                    ),
                ]
            },
            exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 0, 0)],
            verdicts: [A, A, F],
        },
        [true, true, true],
    ),
    (
        Litmus {
            name: "MP.RF+dc.cvau-dmb.ish+ctrl-ic.ivau-dsb.ish-isb",
            memory: &[B, 0, 0, 0],
            programs: || {
                let cbz = Inst::BranchIf {
                    reg: 1,
                    equals: 0,
                    to: 7,
                    or: 2,
                };
                vec![
                    fixed([str(F0, NOP), dc(F0), DMB, str(Z, 1)]),
                    then_skip([ldr(1, Z), cbz, ic(F0), DSB, ISB], F0, 2),
                ]
            },
            exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
            verdicts: [F, F, F],
        },
        [true, false, false],
    ),
    (
        Litmus {
            name: "MP.RF+dc.cvau-dmb.ish+pickctrl-ic.ivau-isb",
            memory: &[B, 0, 0, 0],
            programs: || {
                let csel = Inst::Zero { reg: 3, from: 1 };
                let cbnz = Inst::BranchIf {
                    reg: 3,
                    equals: 0,
                    to: 3,
                    or: 8,
                };
                vec![
                    fixed([str(F0, NOP), dc(F0), DMB, str(Z, 1)]),
                    then_skip([ldr(1, Z), csel, cbnz, ic(F0), DSB, ISB], F0, 2),
                ]
            },
            exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
            verdicts: [F, F, F],
        },
        [true, false, false],
    ),
    (
        Litmus {
            name: "MP.RF+dmb.st+pickaddr-cachesyncisb",
            memory: &[B, 0, 0, 0],
            programs: || {
                // Where z was not yet 1, the other line is maintained; that is not asked about.
                let clean = Inst::Clean {
                    locs: Locs::one(F0),
                    address: Some(1),
                };
                vec![
                    fixed([str(F0, NOP), DMB_ST, str(Z, 1)]),
                    then_skip([ldr(1, Z), clean, DSB, ic(F0), DSB, ISB], F0, 2),
                ]
            },
            exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
            verdicts: [F, F, F],
        },
        [true, false, false],
    ),
    (
        Litmus {
            name: "MP.FF+dsb.ish-ic.ivau-dsb.ish+po",
            memory: &[B, B],
            programs: || {
                let mut second = vec![branch_over(F1, 0), Slot::Fixed(mov(1, 1))];
                second.extend([branch_over(F0, 2), Slot::Fixed(mov(2, 1))]);
                vec![
                    fixed([str(F0, NOP), DSB, ic(F0), DSB, str(F1, NOP)]),
                    second,
                ]
            },
            exists: &[Is::Reg(1, 1, 1), Is::Reg(1, 2, 0)],
            verdicts: [A, F, F],
        },
        [false, true, false],
    ),
];

impl Goal for Litmus {
    fn state(&self, machine: &Machine, state: &State) -> Option<String> {
        let holds = |is: &Is| match *is {
            Is::Reg(core, reg, value) => state.reg(core, reg) == value,
            Is::Mem(loc, value) => state.load(loc) == value,
        };
        (machine.finished(state) && self.exists.iter().all(holds)).then(|| "as asked".into())
    }
}

const MACHINES: [(bool, bool); 3] = [(false, false), (false, true), (true, true)];

fn run(litmus: &Litmus, (dic, idc): (bool, bool), detail: Detail) -> Outcome {
    let core = |text| Core { text, window: 8 };
    let machine = Machine {
        arch: Arch::Arm { dic, idc },
        memory: litmus.memory.to_vec(),
        names: Vec::new(),
        cores: (litmus.programs)().into_iter().map(core).collect(),
        detail,
    };
    search(&machine, litmus)
}

fn check(litmus: &Litmus, which: [bool; 3], detail: Detail) {
    for (i, machine) in MACHINES.into_iter().enumerate().filter(|(i, _)| which[*i]) {
        let outcome = run(litmus, machine, detail);
        let verdict = match outcome {
            Outcome::Found(_) => A,
            Outcome::Nowhere { .. } => F,
        };
        let way = outcome.found().map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            verdict, litmus.verdicts[i],
            "{} on {machine:?}\n{way}",
            litmus.name
        );
    }
}

#[test]
fn verdicts_computed_from_arms_model() {
    for litmus in TESTS {
        check(litmus, [true; 3], Detail::Reduced);
    }
}

#[test]
fn verdicts_in_the_catalogue() {
    for (litmus, which) in KINDS {
        check(litmus, *which, Detail::Reduced);
    }
}

#[test]
fn the_reduction_loses_and_adds_nothing() {
    for (litmus, which) in TESTS
        .iter()
        .map(|litmus| (litmus, [true; 3]))
        .chain(KINDS.iter().map(|(litmus, which)| (litmus, *which)))
    {
        check(litmus, which, Detail::Everything);
    }
}

/// Both values of every observation are reachable by themselves: no test passes because something
/// cannot happen at all.
#[test]
fn each_half_of_a_condition_can_be_met() {
    for litmus in TESTS.iter().chain(KINDS.iter().map(|(litmus, _)| litmus)) {
        if litmus.exists.len() < 2 {
            continue;
        }
        for half in litmus.exists.chunks(1) {
            let one = Litmus {
                exists: half,
                ..*litmus
            };
            for machine in MACHINES {
                let outcome = run(&one, machine, Detail::Reduced);
                assert!(outcome.found().is_some(), "{} on {machine:?}", litmus.name);
            }
        }
    }
}
