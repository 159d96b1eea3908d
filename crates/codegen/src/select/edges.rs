//! Block ends: entry states of successors and the moves that bring them about.

use super::moves::{Loc, Move, Place};
use super::{Isa, NO_REG, NO_SLOT, NO_VALUE, Selector};
use crate::analyze::NO_LOOP;
use crate::checker::Note;
use crate::label::Label;
use crate::selected::{Chunk, reserve};
use crate::{PReg, RegClass, RegSet};
use nopal_ir::{Block, BlockCall, EntityRef, JumpTable, Type, Value, ValueDef};

/// Which value each register holds at the top of a block. Values in slots are not listed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct EntryState {
    pub(super) regs: RegSet,
    /// Those that hold parameters of the block.
    pub(super) params: RegSet,
    /// Index of the value in the first register; those in the others follow in register order.
    pub(super) start: u32,
}

/// No edge of a table.
pub(super) const NO_EDGE: u32 = u32::MAX;

/// One of the different edges of a table branch.
#[derive(Clone, Copy)]
pub(super) struct TableEdge {
    edge: BlockCall,
    label: Label,
    /// Whether there are no moves on it.
    direct: bool,
    /// Another one to the same block.
    next: u32,
}

/// A conditional branch for the target to emit: to `target` if `cond` is not zero (or is, if
/// `invert`), else on to what stands below.
#[derive(Clone, Copy)]
pub(crate) struct CondBranch {
    pub(crate) cond: Value,
    pub(crate) invert: bool,
    pub(crate) target: Label,
}

/// List a move, unless it is from a place to itself.
pub(super) fn add_move(moves: &mut Vec<Move>, dst: Loc, src: Loc, ty: Type) {
    if dst != src {
        moves.push(Move { dst, src, ty });
    }
}

impl<I: Isa> Selector<'_, I> {
    pub(super) fn start_empty(&mut self) {
        debug_assert!(self.s.vals.iter().all(|v| v.reg == NO_REG));
    }

    /// Remember what the registers hold at the top of `block`, the current one.
    pub(super) fn save_entry_state(&mut self, block: Block) {
        let regs = self.all.minus(self.free);
        let pool = &mut self.s.entry_pool;
        let start = pool.len();
        reserve(pool, regs.len() as usize);
        pool.extend(regs.iter().map(|r| self.value_in[r.index()]));
        let mut params = RegSet::EMPTY;
        for p in self.func.block_params(block) {
            if let Some(r) = self.reg_of(p) {
                params.insert(r);
            }
        }
        self.s.entries[self.pos as usize] = EntryState {
            regs,
            params,
            start: start as u32,
        };
    }

    /// Calls `f` with every register and value of a state.
    pub(super) fn for_each_in(
        &mut self,
        state: EntryState,
        mut f: impl FnMut(&mut Self, PReg, Value),
    ) {
        for (i, r) in state.regs.iter().enumerate() {
            let v = self.s.entry_pool[state.start as usize + i];
            f(self, r, v);
        }
    }

    /// The state in which `block` expects to be entered from the current block, and the label
    /// that leads there.
    pub(super) fn target(&mut self, block: Block) -> (EntryState, Label) {
        let pos = self.an.pos[block.index()];
        if pos <= self.pos {
            return self.latch_state(block, pos);
        }
        (
            self.s.entries[pos as usize],
            self.s.block_labels[pos as usize],
        )
    }

    /// Whether control falls through to `block` from the end of the current one: it comes next, and
    /// no moves of backward edges stand between.
    pub(super) fn is_next(&self, block: Block) -> bool {
        let pos = self.an.pos[block.index()];
        pos == self.pos + 1 && !self.has_latch_code(pos)
    }

    pub(super) fn is_param_of(&self, v: Value, block: Block) -> bool {
        matches!(self.func.value_def(v), ValueDef::Param(b, _) if b == block)
    }

    /// Let every value of the state that is not a parameter of its block live in its register.
    fn adopt(&mut self, state: EntryState) {
        self.for_each_in(state, |cx, r, v| {
            if !state.params.contains(r) {
                cx.assign(v, r);
            }
        });
    }

    /// Bring the values of another successor's state to where they are expected, as far as the
    /// registers of the present state allow; what remains becomes moves on the edge.
    fn reconcile(&mut self, state: EntryState, block: Block, moves: &mut Vec<Move>) {
        self.for_each_in(state, |cx, r, v| {
            if state.params.contains(r) {
                return;
            }
            let ty = cx.func.value_type(v);
            if cx.reg_of(v).is_none()
                && !cx.s.vals[v.index()].constant
                && !cx.rests_in_slot(v, block)
            {
                if cx.value_in[r.index()] == NO_VALUE && !cx.locked.contains(r) {
                    cx.assign(v, r);
                } else if let Some(other) = cx.pick_for_edge(v) {
                    cx.assign(v, other);
                }
            }
            let src = cx.source(v);
            add_move(moves, Loc::Reg(r), src, ty);
        });
    }

    /// Whether the edge to `block` leaves a loop that `v` is only live through.
    fn rests_in_slot(&self, v: Value, block: Block) -> bool {
        let to = self.an.pos[block.index()];
        let l = self.an.loop_of[self.pos as usize];
        l != NO_LOOP && !self.an.contains(l, to) && self.an.defined_before(v, l)
    }

    fn pick_for_edge(&self, v: Value) -> Option<PReg> {
        let class = Self::class(self.func.value_type(v));
        let crosses = !self.an.calls.is_empty() && self.an.crosses_call(v);
        self.pick(class, self.s.vals[v.index()].hint, crosses)
    }

    /// Where `v` can be read at the end of the current block. It is given a slot if it has no home.
    pub(super) fn source(&mut self, v: Value) -> Loc {
        if let Some(r) = self.reg_of(v) {
            return Loc::Reg(r);
        }
        if self.s.vals[v.index()].constant {
            return Loc::Const(v);
        }
        Loc::Place(self.slot(v))
    }

    /// Where a block expects its parameters on an edge, calling `f` with location and argument.
    pub(super) fn for_each_argument(
        &mut self,
        edge: BlockCall,
        state: EntryState,
        mut f: impl FnMut(&mut Self, Loc, Value),
    ) {
        let call = self.func.block_call(edge);
        let func = self.func;
        // Registers of parameters, by a scan of the state: they are few.
        let mut arrives = core::mem::take(&mut self.s.param_regs);
        arrives.clear();
        arrives.resize(func.lists.len(call.args), NO_REG);
        for r in state.params.iter() {
            let i = state.regs.rank(r);
            let v = self.s.entry_pool[(state.start + i) as usize];
            if let ValueDef::Param(_, num) = func.value_def(v) {
                arrives[num as usize] = r.index() as u8;
            }
        }
        let latch = self.an.pos[call.block.index()] <= self.pos;
        for (i, (p, a)) in func
            .block_params(call.block)
            .zip(func.lists.iter(call.args))
            .enumerate()
        {
            let a = self.repr(a);
            if arrives[i] != NO_REG {
                f(self, Loc::Reg(PReg::from_index(arrives[i].into())), a);
            } else if latch && self.an.values[p.index()].uses != 0 {
                self.s.vals[p.index()].mark = true;
                let place = self.slot(p);
                f(self, Loc::Place(place), a);
            } else if self.s.vals[p.index()].slot != NO_SLOT {
                let place = Place::Slot(self.s.vals[p.index()].slot);
                f(self, Loc::Place(place), a);
            }
        }
        self.s.param_regs = arrives;
    }

    /// Let arguments that have no home yet live where the parameters are expected.
    fn coalesce(&mut self, edge: BlockCall, state: EntryState) {
        let to = self.an.pos[self.func.block_call(edge).block.index()];
        if state.params.is_empty() && to > self.pos {
            // All parameters are expected in their slots, which they have, or not at all.
            return;
        }
        self.for_each_argument(edge, state, |cx, loc, a| {
            if let Loc::Reg(r) = loc
                && cx.s.vals[a.index()].reg == NO_REG
                && !cx.s.vals[a.index()].constant
                && cx.value_in[r.index()] == NO_VALUE
                && !cx.locked.contains(r)
            {
                cx.assign(a, r);
            }
        });
    }

    /// The moves that bring the arguments of an edge to the parameters.
    fn argument_moves(&mut self, edge: BlockCall, state: EntryState, moves: &mut Vec<Move>) {
        let most = self.func.block_call_args(edge).len();
        moves.reserve_exact(most);
        self.for_each_argument(edge, state, |cx, dst, a| {
            let homeless = cx.s.vals[a.index()].slot == NO_SLOT && !cx.s.vals[a.index()].constant;
            if cx.reg_of(a).is_none()
                && homeless
                && let Some(r) = cx.pick_for_edge(a)
            {
                cx.assign(a, r);
            }
            let src = cx.source(a);
            let ty = cx.func.value_type(a);
            add_move(moves, dst, src, ty);
        });
    }

    /// Registers that hold nothing on an edge: neither before it nor in the state it leads to.
    fn free_on_edge(&self, state: EntryState) -> RegSet {
        self.free.minus(state.regs)
    }

    pub(super) fn jump(&mut self, dest: BlockCall) {
        let block = self.func.block_call(dest).block;
        let (state, label) = self.target(block);
        self.begin_chunk();
        self.adopt(state);
        self.coalesce(dest, state);
        let mut moves = core::mem::take(&mut self.s.edge_moves[0]);
        moves.clear();
        self.argument_moves(dest, state, &mut moves);
        if !self.is_next(block) {
            self.emit(I::jump(label));
        }
        let free = self.free_on_edge(state);
        self.distinct_moves(&mut moves, free);
        self.note(|| Note::Edge(dest));
        self.s.edge_moves[0] = moves;
    }

    pub(super) fn brif(&mut self, cond: Value, dests: [BlockCall; 2]) {
        let blocks = dests.map(|d| self.func.block_call(d).block);
        let targets = [self.target(blocks[0]), self.target(blocks[1])];
        let depths = blocks.map(|b| self.an.depth(self.an.pos[b.index()]));
        let first = match depths[0].cmp(&depths[1]) {
            core::cmp::Ordering::Greater => 0,
            core::cmp::Ordering::Less => 1,
            core::cmp::Ordering::Equal => usize::from(self.is_next(blocks[1])),
        };
        let other = 1 - first;
        let mut moves = core::mem::take(&mut self.s.edge_moves);
        moves.iter_mut().for_each(Vec::clear);
        self.adopt(targets[first].0);
        self.coalesce(dests[first], targets[first].0);
        self.reconcile(targets[other].0, blocks[other], &mut moves[other]);
        self.coalesce(dests[other], targets[other].0);
        for i in [first, other] {
            self.argument_moves(dests[i], targets[i].0, &mut moves[i]);
        }
        self.emit_brif(cond, dests, targets, depths, &mut moves);
        self.s.edge_moves = moves;
    }

    /// Lay out a branch whose edges may carry moves. At most one edge's code stands right below
    /// the branch; the other's is put at the end of the function.
    fn emit_brif(
        &mut self,
        cond: Value,
        dests: [BlockCall; 2],
        targets: [(EntryState, Label); 2],
        depths: [u32; 2],
        moves: &mut [Vec<Move>; 2],
    ) {
        let here = self.an.depth(self.pos);
        let next = dests.map(|d| self.is_next(self.func.block_call(d).block));
        // The edge that falls through.
        let below = match (moves[0].is_empty(), moves[1].is_empty()) {
            (true, true) => usize::from(!next[0]),
            (true, false) if next[0] && depths[1] < here => 0,
            (true, false) => 1,
            (false, true) if next[1] && depths[0] < here => 1,
            (false, true) => 0,
            (false, false) => usize::from(depths[1] > depths[0]),
        };
        let taken = 1 - below;
        let mut target = targets[taken].1;
        let direct = moves[taken].is_empty();
        if !direct {
            target = self.out.new_label();
            let free = self.free_on_edge(targets[taken].0);
            self.edge_chunk(
                target,
                targets[taken].1,
                &mut moves[taken],
                free,
                dests[taken],
            );
        }
        self.begin_chunk();
        if !next[below] {
            self.emit(I::jump(targets[below].1));
        }
        let free = self.free_on_edge(targets[below].0);
        self.distinct_moves(&mut moves[below], free);
        self.note(|| Note::Edge(dests[below]));
        let invert = taken == 1;
        I::lower_cond_branch(
            self,
            CondBranch {
                cond,
                invert,
                target,
            },
        );
        if direct {
            self.note(|| Note::Taken(target, dests[taken]));
        }
    }

    /// A chunk of its own, at the end of the function, for the moves of `edge`.
    pub(super) fn edge_chunk(
        &mut self,
        label: Label,
        to: Label,
        moves: &mut [Move],
        free: RegSet,
        edge: BlockCall,
    ) {
        let outer = core::mem::replace(&mut self.chunk_label, label);
        let start = self.out.insts.len() as u32;
        self.emit(I::jump(to));
        self.distinct_moves(moves, free);
        self.note(|| Note::Edge(edge));
        self.chunk_label = outer;
        let insts = start..self.out.insts.len() as u32;
        self.s.late_chunks.push(Chunk {
            label,
            insts,
            loop_header: false,
            latch: false,
        });
    }

    pub(super) fn branch_table(&mut self, index: Value, table: JumpTable) {
        let func = self.func;
        let table = func.jump_table(table);
        let edges = || table.table.iter().copied().chain([table.default]);
        let depth = |cx: &Self, e| cx.an.depth(cx.an.pos[func.block_call(e).block.index()]);
        let mut first = table.default;
        for e in edges() {
            if depth(self, e) > depth(self, first) {
                first = e;
            }
        }
        // The jump needs registers that no target expects a value in, as far as there are such.
        let mut expected = RegSet::EMPTY;
        for e in edges() {
            expected = expected.union(self.target(func.block_call(e).block).0.regs);
        }
        let order = I::ORDER[RegClass::Int as usize];
        let unexpected = order.iter().rev().filter(|&&r| !expected.contains(r));
        let rest = order.iter().rev().filter(|&&r| expected.contains(r));
        let mut temps = unexpected
            .chain(rest)
            .copied()
            .filter(|&r| !I::CALLEE_SAVED.contains(r));
        let temps = [(); 2].map(|()| temps.next().expect("there are two such registers"));
        temps.into_iter().for_each(|r| {
            self.used.insert(r);
            self.lock(r);
        });
        let mut distinct = core::mem::take(&mut self.s.table_edges);
        distinct.clear();
        let mut which = core::mem::take(&mut self.s.table_labels_of);
        which.clear();
        for e in edges() {
            let known = self.known_edge(&distinct, e);
            which.push(known);
            if known as usize == distinct.len() {
                let pos = self.an.pos[func.block_call(e).block.index()] as usize;
                let next = core::mem::replace(&mut self.s.table_heads[pos], known);
                distinct.push(TableEdge {
                    edge: e,
                    label: Label::new(0),
                    direct: true,
                    next,
                });
            }
        }
        // Give every value of any target a home before code on an edge relies on it.
        let mut moves = core::mem::take(&mut self.s.edge_moves[0]);
        self.table_edge_moves(first, &mut moves);
        for e in &distinct {
            moves.clear();
            self.table_edge_moves(e.edge, &mut moves);
        }
        for e in &mut distinct {
            moves.clear();
            let (state, label) = self.table_edge_moves(e.edge, &mut moves);
            e.label = label;
            e.direct = moves.is_empty();
            if !e.direct {
                e.label = self.out.new_label();
                let free = self.free_on_edge(state);
                self.edge_chunk(e.label, label, &mut moves, free, e.edge);
            }
            self.s.table_heads[self.an.pos[func.block_call(e.edge).block.index()] as usize] =
                NO_EDGE;
        }
        self.s.edge_moves[0] = moves;
        let mut labels = core::mem::take(&mut self.s.table_labels);
        labels.clear();
        labels.extend(which.iter().map(|&i| distinct[i as usize].label));
        self.begin_chunk();
        let default = labels.pop().expect("the default edge comes last");
        I::lower_table_branch(self, index, &labels, default, temps);
        for e in &distinct {
            if e.direct {
                self.note(|| Note::Taken(e.label, e.edge));
            }
        }
        self.s.table_labels = labels;
        self.s.table_edges = distinct;
        self.s.table_labels_of = which;
    }

    /// The number of the edge in `distinct` that is the same as `e`, or the next number.
    fn known_edge(&self, distinct: &[TableEdge], e: BlockCall) -> u32 {
        let pos = self.an.pos[self.func.block_call(e).block.index()] as usize;
        let mut at = self.s.table_heads[pos];
        while at != NO_EDGE {
            let known = distinct[at as usize];
            if self.same_edge(known.edge, e) {
                return at;
            }
            at = known.next;
        }
        distinct.len() as u32
    }

    fn same_edge(&self, a: BlockCall, b: BlockCall) -> bool {
        let (a, b) = (self.func.block_call(a), self.func.block_call(b));
        a.block == b.block
            && self
                .func
                .lists
                .iter(a.args)
                .eq(self.func.lists.iter(b.args))
    }

    fn table_edge_moves(&mut self, edge: BlockCall, moves: &mut Vec<Move>) -> (EntryState, Label) {
        let block = self.func.block_call(edge).block;
        let (state, label) = self.target(block);
        self.reconcile(state, block, moves);
        self.coalesce(edge, state);
        self.argument_moves(edge, state, moves);
        (state, label)
    }
}
