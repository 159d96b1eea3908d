//! The machine: cores, caches, memory, and the steps they take.

use crate::inst::{Event, Form, Inst, Loc, Locs, Pc, REGS, Reg, Word};
use crate::order::waits;

/// What distinguishes architectures here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// AArch64, with the two bits of `CTR_EL0` (Arm ARM D19.2.34).
    Arm {
        /// Instruction caches need no invalidation to the point of unification.
        dic: bool,
        /// Data caches need no cleaning to the point of unification.
        idc: bool,
    },
    /// x86-64.
    X86,
    /// RISC-V.
    RiscV,
}

impl Arch {
    /// Whether what was fetched once may be fetched again although memory has changed.
    fn keeps_instructions(self) -> bool {
        !matches!(self, Arch::Arm { dic: true, .. })
    }

    /// Whether stores are above the point of unification until they are cleaned.
    fn keeps_data(self) -> bool {
        matches!(self, Arch::Arm { idc: false, .. })
    }

    /// Whether context synchronization discards more than what is on its way to execution.
    fn sync_empties_cache(self) -> bool {
        !matches!(self, Arch::Arm { .. })
    }
}

/// What may be fetched, given the values of each location that can be seen.
pub type Possible = Box<dyn Fn(&[Vec<Word>]) -> Vec<Inst>>;

/// An instruction in the text of a core.
pub enum Slot {
    /// One that nobody changes.
    Fixed(Inst),
    /// One that lies in memory that may be stored to.
    Stored {
        /// The locations that it covers.
        at: Vec<Loc>,
        /// Decodes them.
        possible: Possible,
    },
}

impl Slot {
    /// An instruction of one location: values and what they mean.
    pub fn word<const N: usize>(loc: Loc, meanings: [(Word, Inst); N]) -> Slot {
        let decode = move |word: &Word| {
            let meaning = meanings.iter().find(|(value, _)| value == word);
            meaning.expect("every value stored has a meaning").1
        };
        Slot::Stored {
            at: vec![loc],
            possible: Box::new(move |seen| seen[0].iter().map(decode).collect()),
        }
    }
}

/// A core: what it runs, and how far ahead it fetches.
pub struct Core {
    /// Its program; the core stops at the end.
    pub text: Vec<Slot>,
    /// The most instructions that are fetched and not done.
    pub window: usize,
}

/// A machine, set up.
pub struct Machine {
    /// Its architecture.
    pub arch: Arch,
    /// What is in memory at the start.
    pub memory: Vec<Word>,
    /// What traces call the locations; `[n]` where there is no name.
    pub names: Vec<String>,
    /// Its cores.
    pub cores: Vec<Core>,
    /// Which steps are taken.
    pub detail: Detail,
}

/// How much of what a machine does are steps of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What makes a difference. The rest happens at once, or not at all, whichever allows more.
    Reduced,
    /// Also the execution of fences, branches and context synchronization, which may be late, and
    /// that caches write back and lose lines by themselves. Many more states with the same
    /// outcomes: this is how the reduction is tested.
    Everything,
}

/// A moment of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    cells: Vec<Cell>,
    cores: Vec<CoreState>,
}

/// A location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cell {
    /// Its values, in coherence order; loads see the last.
    history: Vec<Word>,
    /// The oldest one that a fetch that misses its cache may still see: what is at the point of
    /// unification. Nothing makes a newer one invisible to fetches.
    unified: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CoreState {
    /// The next instruction to be fetched.
    pc: Pc,
    regs: [Word; REGS],
    /// What is fetched, in the order of the program, from the first that is not done.
    window: Vec<Entry>,
    /// For each location, which values of its history can be fetched.
    visible: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    pc: Pc,
    inst: Inst,
    /// Where fetch went on behind it.
    next: Pc,
    done: bool,
    /// What it writes to its register, or where it goes.
    value: Word,
    /// Whether it has loaded where it goes.
    loaded: bool,
    /// The cores that have answered.
    reached: u16,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A core fetches an instruction from memory that may change.
    Fetch {
        /// The core.
        core: usize,
        /// What it finds.
        inst: Inst,
    },
    /// A core guesses how a branch goes, and fetches on.
    Guess {
        /// The core.
        core: usize,
        /// Where it goes on.
        next: Pc,
    },
    /// A core executes an instruction.
    Execute {
        /// The core.
        core: usize,
        /// Its position among those fetched.
        index: usize,
    },
    /// An operation that concerns all cores takes effect on one.
    Reach {
        /// The core that performs the operation.
        core: usize,
        /// Its position among those fetched.
        index: usize,
        /// The core where it takes effect.
        at: usize,
    },
    /// An instruction cache loses a location.
    Evict {
        /// The core whose cache it is.
        core: usize,
        /// The location.
        loc: Loc,
    },
    /// The next value of a location reaches the point of unification.
    WriteBack {
        /// The location.
        loc: Loc,
    },
}

impl State {
    /// What a load of a location would see.
    pub fn load(&self, loc: Loc) -> Word {
        let cell = &self.cells[loc as usize];
        cell.history[cell.history.len() - 1]
    }

    /// What a register holds once everything is done.
    pub fn reg(&self, core: usize, reg: Reg) -> Word {
        self.cores[core].regs[reg as usize]
    }

    /// The instruction a step executes, and the site and form if it is one of a site.
    pub fn executed(&self, step: &Step) -> Option<(usize, Event)> {
        let Step::Execute { core, index } = *step else {
            return None;
        };
        let state = &self.cores[core];
        match state.window[index].inst {
            Inst::Site(event) => Some((core, event)),
            Inst::Around { site, .. } => {
                let form = Form::Off;
                Some((core, Event { site, form }))
            }
            Inst::Jump { site, reg, low } => {
                let form = match state.read(index, reg) {
                    Some(high) if high == low => Form::On(low as u8),
                    _ => Form::Torn,
                };
                Some((core, Event { site, form }))
            }
            Inst::Through { site, .. } if state.window[index].loaded => {
                let form = Form::On(state.window[index].value as u8);
                Some((core, Event { site, form }))
            }
            _ => None,
        }
    }

    pub(crate) fn inst(&self, core: usize, index: usize) -> Inst {
        self.cores[core].window[index].inst
    }
}

impl CoreState {
    /// A register as the instruction at a position finds it, if it is known.
    fn read(&self, index: usize, reg: Reg) -> Option<Word> {
        let writer = self.window[..index]
            .iter()
            .rev()
            .find(|entry| entry.inst.writes() == Some(reg));
        match writer {
            Some(entry) => entry.done.then_some(entry.value),
            None => Some(self.regs[reg as usize]),
        }
    }

    /// Whether everything the instruction at a position waits for has happened.
    fn ready(&self, arch: Arch, index: usize) -> bool {
        let inst = &self.window[index].inst;
        if matches!(inst, Inst::Through { .. }) && !self.window[index].loaded {
            // Patched code has nothing that loads would wait for, not even earlier sites: what these call is
            // predicted.
            return true;
        }
        let known = |index, reg: Option<Reg>| reg.is_none_or(|reg| self.read(index, reg).is_some());
        let earlier = &self.window[..index];
        earlier.iter().all(|e| e.done || !waits(arch, &e.inst, inst))
            && known(index, inst.address())
            // CSE-ob: ISB also waits until the addresses of earlier accesses are known.
            && (*inst != Inst::Sync
                || earlier.iter().enumerate().all(|(i, e)| known(i, e.inst.address())))
    }

    /// Whether what the instruction at a position reads is known.
    fn known(&self, index: usize) -> bool {
        match self.window[index].inst {
            Inst::BranchIf { reg, .. } | Inst::Zero { from: reg, .. } => {
                self.read(index, reg).is_some()
            }
            _ => true,
        }
    }

    /// Goes where a branch goes, if that is not where fetch went.
    fn resolve(&mut self, index: usize) {
        let Entry { inst, next, .. } = self.window[index];
        if let Inst::BranchIf {
            reg,
            equals,
            to,
            or,
        } = inst
        {
            let right = match self.read(index, reg) == Some(equals) {
                true => to,
                false => or,
            };
            if right != next {
                self.squash(index + 1);
                self.pc = right;
            }
        }
    }

    /// Discards what is fetched from a position on.
    fn squash(&mut self, index: usize) {
        if let Some(entry) = self.window.get(index) {
            self.pc = entry.pc;
            self.window.truncate(index);
        }
    }

    /// Whether an interrupt may be taken: it must be possible to go back to what is not done.
    fn interruptible(&self) -> bool {
        self.window.iter().all(|entry| {
            entry.reached == 0
                && !(entry.done && matches!(entry.inst, Inst::Store { .. } | Inst::Clean { .. }))
        })
    }
}

impl Machine {
    /// The state before anything has happened.
    pub fn start(&self) -> State {
        let cell = |&value| Cell {
            history: vec![value],
            unified: 0,
        };
        let core = CoreState {
            pc: 0,
            regs: [0; REGS],
            window: Vec::new(),
            visible: vec![1; self.memory.len()],
        };
        let mut state = State {
            cells: self.memory.iter().map(cell).collect(),
            cores: vec![core; self.cores.len()],
        };
        self.settle(&mut state, &mut |_, _| {});
        state
    }

    /// Whether all cores have reached the ends of their programs.
    pub fn finished(&self, state: &State) -> bool {
        let cores = self.cores.iter().zip(&state.cores);
        cores
            .into_iter()
            .all(|(core, now)| now.window.is_empty() && now.pc as usize == core.text.len())
    }

    /// Everything that can happen next.
    pub fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for core in 0..self.cores.len() {
            self.fetches(state, core, &mut steps);
            self.executions(state, core, &mut steps);
        }
        if self.detail == Detail::Everything {
            self.losses(state, &mut steps);
        }
        steps
    }

    /// What caches do by themselves.
    fn losses(&self, state: &State, steps: &mut Vec<Step>) {
        for (loc, cell) in state.cells.iter().enumerate() {
            let stale = (1u16 << cell.unified) - 1;
            let loc = loc as Loc;
            if cell.unified + 1 < cell.history.len() {
                steps.push(Step::WriteBack { loc });
            }
            for (core, now) in state.cores.iter().enumerate() {
                if now.visible[loc as usize] & stale != 0 {
                    steps.push(Step::Evict { core, loc });
                }
            }
        }
    }

    /// The slot that a core can fetch.
    fn fetchable(&self, state: &State, core: usize) -> Option<&Slot> {
        let now = &state.cores[core];
        let stopped = now.window.iter().any(|e| !e.done && e.inst.stops_fetch());
        let full = now.window.len() >= self.cores[core].window;
        let slot = self.cores[core].text.get(now.pc as usize)?;
        (!stopped && !full).then_some(slot)
    }

    fn fetches(&self, state: &State, core: usize, steps: &mut Vec<Step>) {
        match self.fetchable(state, core) {
            Some(Slot::Stored { at, possible }) => {
                let seen: Vec<_> = at.iter().map(|&loc| self.seen(state, core, loc)).collect();
                let first = steps.len();
                for inst in possible(&seen) {
                    let step = Step::Fetch { core, inst };
                    if !steps[first..].contains(&step) {
                        steps.push(step);
                    }
                }
            }
            Some(Slot::Fixed(Inst::BranchIf { to, or, .. })) => {
                steps.push(Step::Guess { core, next: *to });
                if to != or {
                    steps.push(Step::Guess { core, next: *or });
                }
            }
            _ => {}
        }
    }

    /// The values of a location that a core may fetch.
    fn seen(&self, state: &State, core: usize, loc: Loc) -> Vec<Word> {
        let visible = state.cores[core].visible[loc as usize];
        let history = state.cells[loc as usize].history.iter().enumerate();
        let mut seen: Vec<Word> = history
            .filter(|(i, _)| visible >> i & 1 != 0)
            .map(|(_, &value)| value)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    fn executions(&self, state: &State, core: usize, steps: &mut Vec<Step>) {
        let now = &state.cores[core];
        for (index, entry) in now.window.iter().enumerate() {
            if entry.done || !now.ready(self.arch, index) {
                continue;
            }
            match entry.inst {
                Inst::Load { .. }
                | Inst::Store { .. }
                | Inst::Clean { .. }
                | Inst::Site(_)
                | Inst::Around { .. }
                | Inst::Jump { .. }
                | Inst::Through { .. } => steps.push(Step::Execute { core, index }),
                Inst::Fence(_) | Inst::Sync | Inst::BranchIf { .. }
                    if self.detail == Detail::Everything && now.known(index) =>
                {
                    steps.push(Step::Execute { core, index });
                }
                Inst::Invalidate { .. } | Inst::Rendezvous => {
                    for at in 0..self.cores.len() {
                        let taken = matches!(entry.inst, Inst::Invalidate { .. })
                            || at == core
                            || state.cores[at].interruptible();
                        if entry.reached >> at & 1 == 0 && taken {
                            steps.push(Step::Reach { core, index, at });
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The state after a step.
    pub fn apply(&self, state: &State, step: &Step) -> State {
        self.apply_noting(state, step, &mut |_, _| {})
    }

    /// The same, and what is done right after it by itself: core and instruction.
    pub(crate) fn apply_noting(
        &self,
        state: &State,
        step: &Step,
        note: &mut dyn FnMut(usize, Inst),
    ) -> State {
        let mut state = state.clone();
        match *step {
            Step::Fetch { core, inst } => self.fetch(&mut state.cores[core], inst),
            Step::Guess { core, next } => {
                let now = &mut state.cores[core];
                if let Slot::Fixed(inst) = &self.cores[core].text[now.pc as usize] {
                    self.fetch(now, *inst);
                }
                now.pc = next;
                if let Some(branch) = now.window.last_mut() {
                    branch.next = next;
                }
            }
            Step::Execute { core, index } => self.execute(&mut state, core, index),
            Step::Reach { core, index, at } => self.reach(&mut state, core, index, at),
            Step::Evict { core, loc } => refill(&mut state, core, loc),
            Step::WriteBack { loc } => {
                state.cells[loc as usize].unified += 1;
                self.forget(&mut state, Locs::one(loc));
            }
        }
        self.settle(&mut state, note);
        state
    }

    /// Enters an instruction into the window.
    fn fetch(&self, now: &mut CoreState, inst: Inst) {
        let pc = now.pc;
        now.pc = match inst {
            Inst::Branch { to } | Inst::Around { to, .. } => to,
            _ => pc + 1,
        };
        if matches!(inst, Inst::Nop | Inst::Branch { .. }) {
            return;
        }
        now.window.push(Entry {
            pc,
            inst,
            next: now.pc,
            done: false,
            value: 0,
            loaded: false,
            reached: 0,
        });
    }

    fn execute(&self, state: &mut State, core: usize, index: usize) {
        let inst = state.cores[core].window[index].inst;
        let mut value = 0;
        match inst {
            Inst::Load { loc, .. } => value = state.load(loc),
            Inst::Through { loc, .. } if !state.cores[core].window[index].loaded => {
                let value = state.load(loc);
                let entry = &mut state.cores[core].window[index];
                (entry.value, entry.loaded) = (value, true);
                return;
            }
            Inst::Store { loc, mask, value } => {
                let new = state.load(loc) & !mask | value & mask;
                self.store(state, loc, new);
            }
            Inst::Clean { locs, .. } => {
                clean(state, locs);
                self.forget(state, locs);
            }
            Inst::BranchIf { .. } => state.cores[core].resolve(index),
            Inst::Sync => self.synchronize(state, core, index + 1),
            _ => {}
        }
        let entry = &mut state.cores[core].window[index];
        entry.value = value;
        entry.done = true;
    }

    /// A store reaches memory, at once for all cores. Fetches may see it from now on.
    fn store(&self, state: &mut State, loc: Loc, value: Word) {
        let cell = &mut state.cells[loc as usize];
        cell.history.push(value);
        let last = cell.history.len() - 1;
        assert!(last < 16, "a location is stored to at most 15 times");
        if !self.arch.keeps_data() {
            cell.unified = last;
        }
        for core in &mut state.cores {
            core.visible[loc as usize] |= 1 << last;
        }
        self.forget(state, Locs::one(loc));
    }

    /// Without instruction caches, fetches see no more than what a miss would see.
    fn forget(&self, state: &mut State, locs: Locs) {
        if !self.arch.keeps_instructions() {
            for core in 0..state.cores.len() {
                invalidate(state, core, locs);
            }
        }
    }

    fn reach(&self, state: &mut State, core: usize, index: usize, at: usize) {
        match state.cores[core].window[index].inst {
            Inst::Invalidate { locs } => invalidate(state, at, locs),
            _ if at == core => self.synchronize(state, at, index + 1),
            _ => self.synchronize(state, at, 0),
        }
        let cores = self.cores.len();
        let entry = &mut state.cores[core].window[index];
        entry.reached |= 1 << at;
        if entry.reached.count_ones() as usize == cores {
            entry.done = true;
            // What is behind counts as done when it is; how it came about does not matter.
            entry.reached = 0;
        }
    }

    /// A context synchronization event: what is fetched is discarded.
    fn synchronize(&self, state: &mut State, core: usize, from: usize) {
        state.cores[core].squash(from);
        if self.arch.sync_empties_cache() {
            invalidate(state, core, Locs(u16::MAX));
        }
    }

    /// Does what may as well be done at once, since delay allows nothing more: retiring, fetching
    /// what nobody changes, fences, and branches whose outcome is known.
    fn settle(&self, state: &mut State, note: &mut dyn FnMut(usize, Inst)) {
        for core in 0..self.cores.len() {
            loop {
                self.retire(&mut state.cores[core]);
                let fetched = self.fetch_fixed(state, core);
                let advanced = self.advance(state, core, note);
                if !fetched && !advanced {
                    break;
                }
            }
        }
    }

    fn retire(&self, now: &mut CoreState) {
        let done = now.window.iter().take_while(|entry| entry.done).count();
        for entry in now.window.drain(..done) {
            if let Some(reg) = entry.inst.writes() {
                now.regs[reg as usize] = entry.value;
            }
        }
    }

    fn fetch_fixed(&self, state: &mut State, core: usize) -> bool {
        let mut any = false;
        while let Some(Slot::Fixed(inst)) = self.fetchable(state, core) {
            if matches!(inst, Inst::BranchIf { .. }) {
                break;
            }
            self.fetch(&mut state.cores[core], *inst);
            any = true;
        }
        any
    }

    fn advance(&self, state: &mut State, core: usize, note: &mut dyn FnMut(usize, Inst)) -> bool {
        for index in 0..state.cores[core].window.len() {
            let now = &mut state.cores[core];
            let entry = now.window[index];
            if entry.done || !now.ready(self.arch, index) {
                continue;
            }
            match entry.inst {
                Inst::Set { value, .. } => now.window[index].value = value,
                Inst::Zero { .. } if now.known(index) => {}
                Inst::Fence(_) | Inst::Sync | Inst::BranchIf { .. }
                    if self.detail == Detail::Reduced && now.known(index) =>
                {
                    self.execute(state, core, index);
                }
                _ => continue,
            }
            state.cores[core].window[index].done = true;
            note(core, entry.inst);
            return true;
        }
        false
    }
}

/// All values of the locations up to now are at the point of unification.
fn clean(state: &mut State, locs: Locs) {
    for (loc, cell) in state.cells.iter_mut().enumerate() {
        if locs.contains(loc as Loc) {
            cell.unified = cell.history.len() - 1;
        }
    }
}

/// The instruction cache of a core forgets the locations.
fn invalidate(state: &mut State, core: usize, locs: Locs) {
    for loc in 0..state.cells.len() as Loc {
        if locs.contains(loc) {
            refill(state, core, loc);
        }
    }
}

/// A core may fetch of a location what is at the point of unification or above it.
fn refill(state: &mut State, core: usize, loc: Loc) {
    let cell = &state.cells[loc as usize];
    let up_to_now = (1u16 << (cell.history.len() - 1) << 1).wrapping_sub(1);
    state.cores[core].visible[loc as usize] = up_to_now & !((1 << cell.unified) - 1);
}
