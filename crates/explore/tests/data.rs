//! The data side of the machine: the well-known tests of each architecture's memory model, and what
//! context synchronization does to a core's own stores.

use nopal_explore::{
    Arch, Core, Detail, Fence, Goal, Inst, Loc, Machine, Reg, Slot, State, Word, search,
};

const ARM: Arch = Arch::Arm {
    dic: true,
    idc: true,
};
const X: Loc = 0;
const Y: Loc = 1;

/// Values of registers at the end.
struct Exists(&'static [(usize, Reg, Word)]);

impl Goal for Exists {
    fn state(&self, machine: &Machine, state: &State) -> Option<String> {
        let holds = |&(core, reg, value): &(usize, Reg, Word)| state.reg(core, reg) == value;
        (machine.finished(state) && self.0.iter().all(holds)).then(|| "as asked".into())
    }
}

fn store(loc: Loc, value: Word) -> Inst {
    Inst::Store {
        loc,
        mask: Word::MAX,
        value,
    }
}

fn load(reg: Reg, loc: Loc) -> Inst {
    Inst::Load {
        reg,
        loc,
        address: None,
    }
}

fn fixed(insts: &[Inst]) -> Vec<Slot> {
    insts.iter().map(|&inst| Slot::Fixed(inst)).collect()
}

fn allowed(arch: Arch, programs: Vec<Vec<Slot>>, exists: &Exists) -> bool {
    let machine = Machine {
        arch,
        memory: vec![0; 3],
        names: Vec::new(),
        cores: programs
            .into_iter()
            .map(|text| Core { text, window: 8 })
            .collect(),
        detail: Detail::Reduced,
    };
    search(&machine, exists).found().is_some()
}

/// Two accesses on each of two cores, with the same fence between them, if any.
fn two(arch: Arch, cores: [[Inst; 2]; 2], fence: Option<Fence>, exists: &Exists) -> bool {
    let program = |[first, second]: [Inst; 2]| {
        let mut insts = vec![first];
        insts.extend(fence.map(Inst::Fence));
        insts.push(second);
        fixed(&insts)
    };
    allowed(arch, cores.map(program).into(), exists)
}

#[test]
fn store_buffering() {
    let cores = [[store(X, 1), load(0, Y)], [store(Y, 1), load(0, X)]];
    let exists = Exists(&[(0, 0, 0), (1, 0, 0)]);
    for arch in [ARM, Arch::X86, Arch::RiscV] {
        assert!(two(arch, cores, None, &exists), "{arch:?}");
        assert!(!two(arch, cores, Some(Fence::Full), &exists), "{arch:?}");
    }
}

#[test]
fn message_passing() {
    let cores = [[store(X, 1), store(Y, 1)], [load(0, Y), load(1, X)]];
    let exists = Exists(&[(1, 0, 1), (1, 1, 0)]);
    for arch in [ARM, Arch::X86, Arch::RiscV] {
        assert_eq!(
            two(arch, cores, None, &exists),
            arch != Arch::X86,
            "{arch:?}"
        );
        assert!(!two(arch, cores, Some(Fence::Full), &exists), "{arch:?}");
    }
    // Each side needs its fence, and a fence of its own kind is enough.
    let one = |stores: Option<Fence>, loads: Option<Fence>| {
        let with = |[first, second]: [Inst; 2], fence: Option<Fence>| {
            let mut insts = vec![first];
            insts.extend(fence.map(Inst::Fence));
            insts.push(second);
            fixed(&insts)
        };
        allowed(
            ARM,
            vec![with(cores[0], stores), with(cores[1], loads)],
            &exists,
        )
    };
    assert!(one(Some(Fence::Stores), None));
    assert!(one(None, Some(Fence::Loads)));
    assert!(one(Some(Fence::Loads), Some(Fence::Loads)));
    assert!(!one(Some(Fence::Stores), Some(Fence::Loads)));
}

#[test]
fn load_buffering() {
    let cores = [[load(0, X), store(Y, 1)], [load(0, Y), store(X, 1)]];
    let exists = Exists(&[(0, 0, 1), (1, 0, 1)]);
    for arch in [ARM, Arch::X86, Arch::RiscV] {
        assert_eq!(
            two(arch, cores, None, &exists),
            arch != Arch::X86,
            "{arch:?}"
        );
        assert!(!two(arch, cores, Some(Fence::Full), &exists), "{arch:?}");
    }
}

#[test]
fn one_location_is_coherent() {
    let cores = [[store(X, 1), store(X, 2)], [load(0, X), load(1, X)]];
    for arch in [ARM, Arch::X86, Arch::RiscV] {
        assert!(two(arch, cores, None, &Exists(&[(1, 0, 1), (1, 1, 2)])));
        assert!(
            !two(arch, cores, None, &Exists(&[(1, 0, 2), (1, 1, 1)])),
            "{arch:?}"
        );
        assert!(
            !two(arch, cores, None, &Exists(&[(1, 0, 1), (1, 1, 0)])),
            "{arch:?}"
        );
    }
}

/// A guess that turns out wrong leaves nothing behind but what was fetched.
#[test]
fn a_wrong_path_has_no_effect() {
    for arch in [ARM, Arch::X86, Arch::RiscV] {
        for taken in [0, 1] {
            let branch = Inst::BranchIf {
                reg: 0,
                equals: taken,
                to: 2,
                or: 3,
            };
            let first = fixed(&[load(0, X), branch, store(Y, 1)]);
            let second = fixed(&[load(0, Y)]);
            let stored = allowed(arch, vec![first, second], &Exists(&[(1, 0, 1)]));
            assert_eq!(stored, taken == 0, "{arch:?}");
        }
    }
}

/// A core replaces an instruction, synchronizes its context, and goes there.
#[test]
fn synchronization_follows_own_stores_where_it_is_the_only_operation() {
    let program = |sync: bool| {
        let mut insts = vec![store(X, 1)];
        insts.extend(sync.then_some(Inst::Sync));
        let here = insts.len() as u8;
        let mut text = fixed(&insts);
        text.push(Slot::word(
            X,
            [(0, Inst::Branch { to: here + 2 }), (1, Inst::Nop)],
        ));
        text.push(Slot::Fixed(Inst::Set { reg: 0, value: 1 }));
        vec![text]
    };
    let stale = Exists(&[(0, 0, 0)]);
    assert!(allowed(Arch::RiscV, program(false), &stale));
    for arch in [Arch::X86, Arch::RiscV] {
        assert!(!allowed(arch, program(true), &stale), "{arch:?}");
    }
    assert!(allowed(ARM, program(true), &stale));
}

/// `FENCE.I` of the reader sees what has reached memory, not what is still on its way there.
#[test]
fn the_writer_needs_a_fence_of_its_own() {
    let program = |fence: bool| {
        let mut insts = vec![store(X, 1)];
        insts.extend(fence.then_some(Inst::Fence(Fence::Full)));
        insts.push(store(Y, 1));
        let branch = Inst::BranchIf {
            reg: 0,
            equals: 1,
            to: 2,
            or: 5,
        };
        let mut reader = fixed(&[load(0, Y), branch, Inst::Sync]);
        reader.push(Slot::word(X, [(0, Inst::Branch { to: 5 }), (1, Inst::Nop)]));
        reader.push(Slot::Fixed(Inst::Set { reg: 1, value: 1 }));
        vec![fixed(&insts), reader]
    };
    let stale = Exists(&[(1, 0, 1), (1, 1, 0)]);
    assert!(allowed(Arch::RiscV, program(false), &stale));
    assert!(!allowed(Arch::RiscV, program(true), &stale));
    // Stores are in order by themselves there.
    assert!(!allowed(Arch::X86, program(false), &stale));
}
