//! What `clear_cache` and a broadcast do on AArch64 and RISC-V, on a model of their caches: the operations are
//! the real ones, and each is needed where it is performed.

use nopal_explore::{
    Arch, Core, Detail, Fence, Goal, Inst, Loc, Locs, Machine, Slot, State, Word, search,
};
use nopal_icache::{CacheMaintenance, Operation};

/// Where the code is, and where its address is published.
const CODE: Loc = 0;
const FLAG: Loc = 1;
const OLD: Word = 0;
const NEW: Word = 1;

/// A thread that has learnt of the code executes what was there before.
struct Stale;

impl Goal for Stale {
    fn state(&self, machine: &Machine, state: &State) -> Option<String> {
        let (learnt, executed) = (state.reg(1, 0) == 1, state.reg(1, 1) == 1);
        (machine.finished(state) && learnt && !executed).then(|| "the old code is executed".into())
    }
}

fn store(loc: Loc, value: Word) -> Inst {
    Inst::Store {
        loc,
        mask: Word::MAX,
        value,
    }
}

/// `clear_cache` and what follows it up to the publication of the address.
fn publication(dic: bool, idc: bool) -> Vec<Inst> {
    let maintenance = CacheMaintenance::ByAddress {
        data_line: (!idc).then_some(64),
        instruction_line: (!dic).then_some(64),
    };
    let locs = Locs::one(CODE);
    let mut insts = vec![store(CODE, NEW)];
    maintenance.each_operation(0, 64, |operation| {
        insts.push(match operation {
            Operation::CleanData(_) => Inst::Clean {
                locs,
                address: None,
            },
            Operation::InvalidateInstructions(_) => Inst::Invalidate { locs },
            Operation::Complete => Inst::Fence(Fence::Completion),
            Operation::Synchronize => Inst::Sync,
        });
    });
    insts.extend([Inst::Fence(Fence::Full), Inst::Rendezvous, store(FLAG, 1)]);
    insts
}

/// Whether a thread that loads the address and goes there may find old code on AArch64.
fn stale(dic: bool, idc: bool, publication: &[Inst]) -> bool {
    stale_on(Arch::Arm { dic, idc }, publication)
}

fn stale_on(arch: Arch, publication: &[Inst]) -> bool {
    let code = [(OLD, Inst::Branch { to: 4 }), (NEW, Inst::Nop)];
    let reader = vec![
        Slot::Fixed(Inst::Load {
            reg: 0,
            loc: FLAG,
            address: None,
        }),
        Slot::Fixed(Inst::BranchIf {
            reg: 0,
            equals: 1,
            to: 2,
            or: 4,
        }),
        Slot::word(CODE, code),
        Slot::Fixed(Inst::Set { reg: 1, value: 1 }),
    ];
    let core = |text| Core { text, window: 10 };
    let machine = Machine {
        arch,
        memory: vec![OLD, 0],
        names: vec!["code".into(), "its address".into()],
        cores: vec![
            core(publication.iter().map(|&inst| Slot::Fixed(inst)).collect()),
            core(reader),
        ],
        detail: Detail::Reduced,
    };
    search(&machine, &Stale).found().is_some()
}

const MACHINES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn published_code_is_never_stale() {
    for (dic, idc) in MACHINES {
        assert!(!stale(dic, idc, &publication(dic, idc)), "{dic} {idc}");
    }
}

#[test]
fn what_is_needed_for_it() {
    for (dic, idc) in MACHINES {
        let all = publication(dic, idc);
        // Between the store of the code and that of its address.
        for i in 1..all.len() - 1 {
            let mut rest = all.clone();
            let removed = rest.remove(i);
            let needed = match removed {
                Inst::Clean { .. } | Inst::Invalidate { .. } | Inst::Rendezvous => true,
                // The fence of the broadcast does as well where it has only stores to order.
                Inst::Fence(Fence::Completion) => !dic,
                // The broadcast reaches this core, too.
                Inst::Sync | Inst::Fence(_) => false,
                other => panic!("unexpected {other:?}"),
            };
            assert_eq!(
                stale(dic, idc, &rest),
                needed,
                "{dic} {idc} without {removed:?}"
            );
        }
    }
}

/// On AArch64, fresh code needs the broadcast even if caches are coherent: the branch may have been
/// predicted, and its target fetched, before the address was loaded.
#[test]
fn learning_the_address_is_no_synchronization() {
    for (dic, idc) in MACHINES {
        let mut local = publication(dic, idc);
        local.retain(|inst| *inst != Inst::Rendezvous);
        assert!(stale(dic, idc, &local));
    }
}

/// What `riscv_flush_icache` does: `clear_cache` on RISC-V under Linux, where the broadcast does nothing more
/// for fresh code.
const FLUSH: [Inst; 2] = [Inst::Fence(Fence::Full), Inst::Rendezvous];

#[test]
fn flushing_all_harts_publishes_code_on_riscv() {
    let publish = |maintenance: &[Inst]| {
        let all = [&[store(CODE, NEW)], maintenance, &[store(FLAG, 1)]].concat();
        stale_on(Arch::RiscV, &all)
    };
    assert!(!publish(&FLUSH));
    // `FENCE.I` orders nothing for other harts: that takes a fence before, and one on each of them.
    assert!(publish(&FLUSH[1..]));
    assert!(publish(&FLUSH[..1]));
    assert!(publish(&[Inst::Fence(Fence::Full), Inst::Sync]));
    assert!(publish(&[Inst::Sync, Inst::Fence(Fence::Full)]));
}

/// A core executes what it has just written.
struct OwnStale;

impl Goal for OwnStale {
    fn state(&self, machine: &Machine, state: &State) -> Option<String> {
        (machine.finished(state) && state.reg(0, 1) != 1).then(|| "the old code is executed".into())
    }
}

#[test]
fn a_fence_is_enough_for_the_only_hart() {
    let stale = |maintenance: &[Inst]| {
        let mut text = vec![Slot::Fixed(store(CODE, NEW))];
        text.extend(maintenance.iter().map(|&inst| Slot::Fixed(inst)));
        let end = text.len() as u8 + 2;
        let code = [(OLD, Inst::Branch { to: end }), (NEW, Inst::Nop)];
        text.push(Slot::word(CODE, code));
        text.push(Slot::Fixed(Inst::Set { reg: 1, value: 1 }));
        let machine = Machine {
            arch: Arch::RiscV,
            memory: vec![OLD],
            names: vec!["code".into()],
            cores: vec![Core { text, window: 10 }],
            detail: Detail::Reduced,
        };
        search(&machine, &OwnStale).found().is_some()
    };
    let mut bare_metal = Vec::new();
    CacheMaintenance::Barrier.each_operation(0, 64, |operation| {
        assert_eq!(operation, Operation::Synchronize);
        bare_metal.push(Inst::Sync);
    });
    assert!(!stale(&bare_metal));
    assert!(stale(&[Inst::Fence(Fence::Full)]));
}
