//! A symbolic checker: proves that every operand of the selected code is where it is read.
//!
//! While it selects, the walk notes what it means: which value a register or slot holds at each use,
//! where a definition or a call leaves its results, and which edge of the IR a branch takes. The
//! checker does not trust any of it. It runs over the selected instructions forwards with a map
//! from locations to the sets of values they hold, and derives that map from the instructions
//! alone: a copy copies the set, any other write empties it, a definition puts its value there
//! (and, as this is a new instance of the value, nowhere else), an edge renames arguments to
//! parameters, and where paths meet the sets are intersected. Each noted use must then find its
//! value, and an instruction that reads a register which holds neither an operand nor a temporary
//! of its group is reported. So is one that reads flags where a constant was made meanwhile that spoils them, or
//! that are left by another chunk.
//!
//! It is compiled into builds with debug assertions and with the feature `checker`.

use crate::analyze::Analysis;
use crate::label::Label;
use crate::select::INCOMING;
use crate::selected::Selected;
use crate::{PReg, RegSet};
use nopal_ir::{BlockCall, EntityRef, Function, InstData, Value, ValueDef};
use std::collections::HashMap;

/// Whether the checker is compiled in.
pub(crate) const ENABLED: bool = cfg!(any(debug_assertions, feature = "checker"));

/// A place whose content is followed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CheckLoc {
    Reg(PReg),
    /// A spill slot, or with the top bit set an incoming stack argument.
    Slot(u32),
    Outgoing(u32),
    StackArea(u32),
}

/// What the walk means at a point of the code.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// The value is here.
    Use(Value, CheckLoc),
    /// The value has been left here by what stands above.
    Def(Value, CheckLoc),
    /// A call leaves nothing in these registers.
    Clobber(RegSet),
    /// Above stands an instruction of the IR of which these values are operands.
    Group(Vec<Value>),
    /// From here on the code is on this edge.
    Edge(BlockCall),
    /// A branch above that goes to the label takes this edge.
    Taken(Label, BlockCall),
    /// The call above may go to the label, with nothing left in registers but these values.
    Throw(Label, Vec<(Value, CheckLoc)>),
}

/// A note and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    /// Above the instruction with this number.
    pub(crate) at: u32,
    /// The label of the chunk.
    pub(crate) chunk: Label,
    pub(crate) note: Note,
}

/// What a machine instruction does to locations.
pub(crate) enum Symbolic {
    Copy {
        dst: CheckLoc,
        src: CheckLoc,
    },
    /// A copy that leaves the same in a register on the way.
    CopyVia {
        dst: CheckLoc,
        src: CheckLoc,
        via: PReg,
    },
    Const {
        dst: CheckLoc,
        bits: u64,
    },
    /// The instruction ends here, or goes elsewhere as well.
    Branch {
        target: Label,
        reads: RegSet,
    },
    Jump {
        target: Label,
    },
    Table {
        number: u32,
        reads: RegSet,
    },
    /// Nothing follows, if this is the end of a chunk.
    End,
    Other {
        reads: RegSet,
        writes: RegSet,
    },
}

/// What a machine instruction does to condition flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FlagUse {
    pub(crate) reads: bool,
    /// Whether those it leaves, if it writes them, say something that code looks at.
    pub(crate) writes: Option<bool>,
}

/// A machine instruction the checker understands.
pub(crate) trait Check: Copy + PartialEq + core::fmt::Debug {
    /// Stands where an instruction turned out not to be needed.
    const OMITTED: Self;
    fn symbolic(&self, out: &Selected<Self>) -> Symbolic;
    fn flags(&self) -> FlagUse;
    /// Registers that hold no values and may be read at any time.
    const ALWAYS_READABLE: RegSet;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Symbol {
    Value(Value),
    Const(u64),
    Temporary,
    /// The address of the area for the function's own results.
    ReturnArea,
}

type State = HashMap<CheckLoc, Vec<Symbol>>;

/// Check a selected function that finds its parameters as `entry` says, and there the address of
/// the area for its results where no value is named. The error says what is wrong and where.
pub(crate) fn check<I: Check>(
    func: &Function,
    an: &Analysis,
    out: &Selected<I>,
    entry: &[(CheckLoc, Option<Value>)],
) -> Result<(), String> {
    let mut notes: HashMap<Label, Vec<&Noted>> = HashMap::new();
    for noted in &out.notes {
        notes.entry(noted.chunk).or_default().push(noted);
    }
    for chunk in &out.chunks {
        notes.entry(chunk.label).or_default();
    }
    let mut checker = Checker {
        func,
        an,
        out,
        notes,
        chunks: HashMap::new(),
        states: HashMap::new(),
    };
    checker.run(entry)
}

/// What the notes on a chunk have said so far.
#[derive(Default)]
struct Meaning {
    /// Operands of the current instruction.
    group: Vec<Value>,
    /// Edges of the branches to come.
    taken: Vec<(Label, BlockCall)>,
    /// On an edge, parameters that are passed constants, and their bits.
    constants: Vec<(Value, u64)>,
}

struct Checker<'a, I> {
    func: &'a Function,
    an: &'a Analysis,
    out: &'a Selected<I>,
    /// The notes on each chunk.
    notes: HashMap<Label, Vec<&'a Noted>>,
    /// The number of the chunk each label is bound to.
    chunks: HashMap<Label, usize>,
    /// The state each chunk is entered with.
    states: HashMap<usize, State>,
}

impl<I: Check> Checker<'_, I> {
    /// Find the states that chunks are entered with, then check the uses.
    fn run(&mut self, entry: &[(CheckLoc, Option<Value>)]) -> Result<(), String> {
        for (i, chunk) in self.out.chunks.iter().enumerate() {
            self.chunks.insert(chunk.label, i);
        }
        let mut state = State::new();
        for &(loc, v) in entry {
            let symbol = v.map_or(Symbol::ReturnArea, Symbol::Value);
            state.entry(loc).or_default().push(symbol);
        }
        self.states.insert(0, state);
        let mut work = vec![0];
        // States only shrink, so errors are looked for once they are final.
        while let Some(chunk) = work.pop() {
            self.chunk(chunk, false, &mut work)?;
        }
        let mut reached: Vec<usize> = self.states.keys().copied().collect();
        reached.sort_unstable();
        for chunk in reached {
            self.chunk(chunk, true, &mut work)?;
            assert!(work.is_empty(), "the states were not final");
        }
        Ok(())
    }

    /// Run over a chunk from its entry state.
    fn chunk(&mut self, number: usize, report: bool, work: &mut Vec<usize>) -> Result<(), String> {
        let label = self.out.chunks[number].label;
        let notes = core::mem::take(self.notes.get_mut(&label).expect("every chunk has a list"));
        let result = self.run_over(number, &notes, report, work);
        self.notes.insert(label, notes);
        result
    }

    fn run_over(
        &mut self,
        number: usize,
        notes: &[&Noted],
        report: bool,
        work: &mut Vec<usize>,
    ) -> Result<(), String> {
        let chunk = &self.out.chunks[number];
        let mut state = self.states[&number].clone();
        // Notes are in the order in which they were made: upwards, like the instructions.
        let mut next = notes.len();
        let mut cx = Meaning::default();
        // A chunk may be entered from several others, which leave different flags.
        let mut flags_spoilt = true;
        let mut at = chunk.insts.end;
        loop {
            while next > 0 && notes[next - 1].at == at {
                next -= 1;
                let note = &notes[next].note;
                if let Note::Throw(label, thrown) = note {
                    let mut caught = state.clone();
                    caught.retain(|loc, _| !matches!(loc, CheckLoc::Reg(_)));
                    for &(v, loc) in thrown {
                        caught.insert(loc, vec![Symbol::Value(v)]);
                    }
                    self.follow(*label, &caught, &[], work);
                    continue;
                }
                self.note(note, &mut state, &mut cx, report)
                    .map_err(|e| format!("chunk {number} at {at}: {e}"))?;
            }
            if at == chunk.insts.start {
                break;
            }
            at -= 1;
            let inst = self.out.insts[at as usize];
            let flags = inst.flags();
            if flags.reads && flags_spoilt {
                return Err(format!(
                    "chunk {number} at {at}, {inst:?}: the flags are spoilt"
                ));
            }
            flags_spoilt = flags.writes.map_or(flags_spoilt, |meant| !meant);
            let last = at == chunk.insts.start;
            let goes_on = self
                .inst(inst, &mut state, &cx, report, work)
                .map_err(|e| format!("chunk {number} at {at}, {inst:?}: {e}"))?;
            if !goes_on && (last || !matches!(inst.symbolic(self.out), Symbolic::End)) {
                return Ok(());
            }
        }
        if number + 1 < self.out.chunks.len() {
            self.enter(number + 1, state, work);
        }
        Ok(())
    }

    fn note(
        &self,
        note: &Note,
        state: &mut State,
        cx: &mut Meaning,
        report: bool,
    ) -> Result<(), String> {
        match note {
            Note::Use(v, loc) => {
                if report && !self.holds(state, self.cell(*loc), *v) {
                    return Err(format!(
                        "{v} is not in {loc:?}, which holds {:?}",
                        state.get(&self.cell(*loc))
                    ));
                }
            }
            Note::Def(v, loc) => {
                for symbols in state.values_mut() {
                    symbols.retain(|s| *s != Symbol::Value(*v));
                }
                state.insert(self.cell(*loc), vec![Symbol::Value(*v)]);
            }
            Note::Clobber(regs) => {
                for r in regs.iter() {
                    state.remove(&CheckLoc::Reg(r));
                }
            }
            Note::Group(operands) => {
                cx.group.clone_from(operands);
                for symbols in state.values_mut() {
                    symbols.retain(|s| *s != Symbol::Temporary);
                }
            }
            Note::Edge(edge) => {
                *state = self.on_edge(state, *edge);
                cx.taken.clear();
                let block = self.func.block_call(*edge).block;
                let args = self
                    .func
                    .block_call_args(*edge)
                    .map(|a| self.an.repr[a.index()]);
                let pairs = self.func.block_params(block).zip(args);
                cx.constants = pairs
                    .filter_map(|(p, a)| Some((p, self.constant(a)?)))
                    .collect();
            }
            Note::Throw(..) => unreachable!("followed by the caller"),
            Note::Taken(label, edge) => cx.taken.push((self.out.resolve(*label), *edge)),
        }
        Ok(())
    }

    /// The location as the map knows it: slots that share a cell of the frame are one.
    fn cell(&self, loc: CheckLoc) -> CheckLoc {
        match loc {
            CheckLoc::Slot(n) if n & INCOMING == 0 => {
                CheckLoc::Slot(self.out.frame.spill_cells[n as usize])
            }
            loc => loc,
        }
    }

    fn holds(&self, state: &State, loc: CheckLoc, v: Value) -> bool {
        let Some(symbols) = state.get(&loc) else {
            return false;
        };
        symbols.iter().any(|s| match *s {
            Symbol::Value(held) => held == v,
            Symbol::Const(bits) => self.constant(v) == Some(bits),
            Symbol::Temporary | Symbol::ReturnArea => false,
        })
    }

    /// The bits of the constant that `v` is.
    fn constant(&self, v: Value) -> Option<u64> {
        let ValueDef::Result(inst, _) = self.func.value_def(v) else {
            return None;
        };
        match *self.func.inst(inst) {
            InstData::UnaryImm { imm, .. } => {
                Some(imm as u64 & (u64::MAX >> (64 - self.func.value_type(v).bits())))
            }
            InstData::UnaryIeee32 { bits, .. } => Some(bits.into()),
            InstData::UnaryIeee64 { bits, .. } => Some(bits),
            _ => None,
        }
    }

    /// The state after an edge has been taken: arguments are known by the names of the parameters.
    fn on_edge(&self, state: &State, edge: BlockCall) -> State {
        let block = self.func.block_call(edge).block;
        let params: Vec<Value> = self.func.block_params(block).collect();
        let args: Vec<Value> = self
            .func
            .block_call_args(edge)
            .map(|a| self.an.repr[a.index()])
            .collect();
        let mut after = State::new();
        for (&loc, symbols) in state {
            let mut new: Vec<Symbol> = symbols
                .iter()
                .copied()
                .filter(|s| !matches!(s, Symbol::Value(v) if params.contains(v)))
                .collect();
            for (&p, &a) in params.iter().zip(&args) {
                if self.holds(state, loc, a) {
                    new.push(Symbol::Value(p));
                }
            }
            after.insert(loc, new);
        }
        after
    }

    fn follow(
        &mut self,
        target: Label,
        state: &State,
        taken: &[(Label, BlockCall)],
        work: &mut Vec<usize>,
    ) {
        let target = self.out.resolve(target);
        // Labels inside the code of one instruction are not followed: what is written in between
        // is redefined at its end.
        let Some(&chunk) = self.chunks.get(&target) else {
            return;
        };
        let state = match taken.iter().rev().find(|t| t.0 == target) {
            Some(&(_, edge)) => self.on_edge(state, edge),
            None => state.clone(),
        };
        self.enter(chunk, state, work);
    }

    /// Meet `state` with what `chunk` has been entered with before.
    fn enter(&mut self, chunk: usize, state: State, work: &mut Vec<usize>) {
        let Some(known) = self.states.get_mut(&chunk) else {
            self.states.insert(chunk, state);
            work.push(chunk);
            return;
        };
        let mut changed = false;
        for (loc, symbols) in known.iter_mut() {
            let before = symbols.len();
            match state.get(loc) {
                Some(other) => symbols.retain(|s| other.contains(s)),
                None => symbols.clear(),
            }
            changed |= symbols.len() != before;
        }
        if changed && !work.contains(&chunk) {
            work.push(chunk);
        }
    }

    /// Apply an instruction. False if nothing follows it.
    fn inst(
        &mut self,
        inst: I,
        state: &mut State,
        cx: &Meaning,
        report: bool,
        work: &mut Vec<usize>,
    ) -> Result<bool, String> {
        match inst.symbolic(self.out) {
            Symbolic::Copy { dst, src } => {
                let mut symbols = state.get(&self.cell(src)).cloned().unwrap_or_default();
                // What programs keep in their stack slots is theirs: it may be read in any state.
                if matches!(src, CheckLoc::StackArea(_)) {
                    symbols.push(Symbol::Temporary);
                }
                state.insert(self.cell(dst), symbols);
            }
            Symbolic::CopyVia { dst, src, via } => {
                let symbols = state.get(&self.cell(src)).cloned().unwrap_or_default();
                state.insert(CheckLoc::Reg(via), symbols.clone());
                state.insert(self.cell(dst), symbols);
            }
            Symbolic::Const { dst, bits } => {
                let mut symbols = vec![Symbol::Const(bits), Symbol::Temporary];
                let same = cx.constants.iter().filter(|c| c.1 == bits);
                symbols.extend(same.map(|c| Symbol::Value(c.0)));
                state.insert(self.cell(dst), symbols);
            }
            Symbolic::Branch { target, reads } => {
                self.reads(state, reads, &cx.group, report)?;
                self.follow(target, state, &cx.taken, work);
            }
            Symbolic::Jump { target } => {
                let target = self.out.resolve(target);
                if self.chunks.contains_key(&target) {
                    self.follow(target, state, &cx.taken, work);
                    return Ok(false);
                }
            }
            Symbolic::Table { number, reads } => {
                self.reads(state, reads, &cx.group, report)?;
                let range = self.out.jump_tables[number as usize].clone();
                for i in range {
                    self.follow(
                        self.out.jump_table_labels[i as usize],
                        state,
                        &cx.taken,
                        work,
                    );
                }
                return Ok(false);
            }
            Symbolic::End => return Ok(false),
            Symbolic::Other { reads, writes } => {
                self.reads(state, reads, &cx.group, report)?;
                for r in writes.iter() {
                    state.insert(CheckLoc::Reg(r), vec![Symbol::Temporary]);
                }
            }
        }
        Ok(true)
    }

    fn reads(
        &self,
        state: &State,
        reads: RegSet,
        group: &[Value],
        report: bool,
    ) -> Result<(), String> {
        if !report {
            return Ok(());
        }
        for r in reads.minus(I::ALWAYS_READABLE).iter() {
            let loc = CheckLoc::Reg(r);
            let own = state
                .get(&loc)
                .is_some_and(|s| s.contains(&Symbol::Temporary) || s.contains(&Symbol::ReturnArea));
            if !own && !group.iter().any(|&v| self.holds(state, loc, v)) {
                return Err(format!(
                    "{r:?} holds {:?}, the operands are {group:?}",
                    state.get(&loc)
                ));
            }
        }
        Ok(())
    }
}
