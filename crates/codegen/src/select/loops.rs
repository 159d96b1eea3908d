//! Loops: the state that backward edges lead to, chosen before the header is reached.

use super::edges::EntryState;
use super::moves::{Loc, Move, Place};
use super::{Isa, NO_REG, NO_SLOT, Selector};
use crate::analyze::NO_LOOP;
use crate::label::Label;
use crate::{PReg, RegClass, RegSet};
use nopal_ir::{Block, EntityRef, Value};

/// Registers of each class that a latch state leaves to the loop's own work.
const RESERVED: usize = 3;

/// What the backward edges to a block agree to deliver.
#[derive(Clone, Copy)]
pub(super) struct LatchState {
    state: EntryState,
    /// Where they lead: the block itself, or moves in front of it.
    label: Label,
}

impl<I: Isa> Selector<'_, I> {
    /// The state for edges from the current block back to `block` at `pos`, chosen now if this is
    /// the first such edge met.
    pub(super) fn latch_state(&mut self, block: Block, pos: u32) -> (EntryState, Label) {
        let known = self.s.latch_of[pos as usize];
        if known != u32::MAX {
            let latch = self.s.latches[known as usize];
            return (latch.state, latch.label);
        }
        let state = self.choose_latch_state(block, pos);
        let label = self.out.new_label();
        self.s.latch_of[pos as usize] = self.s.latches.len() as u32;
        self.s.latches.push(LatchState { state, label });
        (state, label)
    }

    /// Choose which values stay in registers around the loop: its parameters and the values from
    /// outside that it uses, densest first, then values that are needed after it.
    fn choose_latch_state(&mut self, block: Block, pos: u32) -> EntryState {
        let l = self.an.loop_of[pos as usize];
        let start = self.s.entry_pool.len() as u32;
        if l == NO_LOOP || self.an.loops[l as usize].first != pos {
            // Not a loop the analysis made out: everything goes through slots.
            return EntryState {
                regs: RegSet::EMPTY,
                params: RegSet::EMPTY,
                start,
            };
        }
        let mut candidates = core::mem::take(&mut self.s.candidates);
        self.collect_candidates(block, l, &mut candidates);
        let has_call = self.an.loops[l as usize].has_call;
        let mut chosen = [const { None }; 64];
        let mut regs = RegSet::EMPTY;
        let mut left = I::ORDER.map(|order| order.len() - RESERVED);
        // Those for which there is room keep what they have below, before others choose: a value that
        // took the register of another would have that one, too, take another's.
        let mut room = left;
        candidates.retain(|&(_, v)| {
            let class = Self::class(self.func.value_type(v));
            if room[class as usize] == 0 {
                return true;
            }
            room[class as usize] -= 1;
            let Some(r) = self.kept_register(v, class, regs, has_call) else {
                return true;
            };
            left[class as usize] -= 1;
            regs.insert(r);
            chosen[r.index()] = Some(v);
            false
        });
        for &(_, v) in &candidates {
            let class = Self::class(self.func.value_type(v));
            if left[class as usize] == 0 {
                continue;
            }
            let Some(r) = self.loop_register(v, class, regs, has_call) else {
                continue;
            };
            left[class as usize] -= 1;
            regs.insert(r);
            chosen[r.index()] = Some(v);
        }
        self.s.candidates = candidates;
        let mut params = RegSet::EMPTY;
        for r in regs.iter() {
            let v: Value = chosen[r.index()].expect("every chosen register has its value");
            self.s.vals[v.index()].hint = r.index() as u8;
            self.s.entry_pool.push(v);
            if self.is_param_of(v, block) {
                params.insert(r);
            }
        }
        EntryState {
            regs,
            params,
            start,
        }
    }

    /// The register that a value has below, if it can stay in it around a loop, and no value that crosses
    /// calls needs it more.
    fn kept_register(
        &self,
        v: Value,
        class: RegClass,
        taken: RegSet,
        has_call: bool,
    ) -> Option<PReg> {
        let (good, crosses) = self.loop_registers(v, class, taken, has_call);
        let needed = has_call && !crosses;
        let others = if needed {
            I::CALLEE_SAVED
        } else {
            RegSet::EMPTY
        };
        self.register_below(v, good.minus(others))
    }

    /// The register that a value has below, if it is one of these.
    fn register_below(&self, v: Value, set: RegSet) -> Option<PReg> {
        let hint = self.s.vals[v.index()].hint;
        let r = (hint != NO_REG).then(|| PReg::from_index(hint.into()));
        r.filter(|&r| set.contains(r))
    }

    /// A register for a value that is to stay in it around a loop: the one it has below, if that
    /// is possible.
    fn loop_register(
        &self,
        v: Value,
        class: RegClass,
        taken: RegSet,
        has_call: bool,
    ) -> Option<PReg> {
        let (good, crosses) = self.loop_registers(v, class, taken, has_call);
        let order = I::ORDER[class as usize];
        let find = |set: RegSet| order.iter().copied().find(|&r| set.contains(r));
        let best = self.register_below(v, good).or_else(|| find(good));
        if best.is_some() || crosses {
            return best;
        }
        find(self.all.minus(taken))
    }

    /// The registers that are good for a value around a loop, and whether it crosses calls there.
    fn loop_registers(
        &self,
        v: Value,
        class: RegClass,
        taken: RegSet,
        has_call: bool,
    ) -> (RegSet, bool) {
        let order = I::ORDER[class as usize];
        let all = RegSet::from_slice(order).intersect(self.all).minus(taken);
        let crosses = has_call && self.an.crosses_call(v);
        let good = if crosses {
            all.intersect(I::CALLEE_SAVED)
        } else if self.an.calls.is_empty() {
            all
        } else {
            // Leave the registers that survive calls to those that need them.
            all.minus(I::CALLEE_SAVED.minus(self.used))
        };
        (good, crosses)
    }

    /// Candidates for the registers of loop `l`, best first.
    fn collect_candidates(&mut self, block: Block, l: u32, out: &mut Vec<(u32, Value)>) {
        out.clear();
        let info = self.an.loops[l as usize];
        let unit = 1 << (3 * info.depth.min(6));
        for p in self.func.block_params(block) {
            if self.an.values[p.index()].uses != 0 {
                out.push((self.an.values[p.index()].weight.saturating_add(unit), p));
            }
        }
        let uses = info.outer_uses.0 as usize..info.outer_uses.1 as usize;
        for &(v, weight) in &self.an.outer_uses[uses] {
            if !self.s.vals[v.index()].constant {
                out.push((weight.saturating_mul(unit), v));
            }
        }
        // Values that are needed after the loop in a register, if there is room.
        for i in 0..self.an.exits(l).len() {
            let exit = self.an.pos[self.an.exits(l)[i].index()];
            let state = self.s.entries[exit as usize];
            for k in 0..state.regs.len() {
                let v = self.s.entry_pool[(state.start + k) as usize];
                if self.an.defined_before(v, l)
                    && !self.s.vals[v.index()].constant
                    && !out.iter().any(|&(_, o)| o == v)
                {
                    out.push((0, v));
                }
            }
        }
        out.sort_by_key(|&(weight, v)| (core::cmp::Reverse(weight), v.as_u32()));
    }

    /// Whether moves of backward edges stand right above the block at `pos`, which has been walked.
    pub(super) fn has_latch_code(&self, pos: u32) -> bool {
        self.s
            .latches
            .get(self.s.latch_of[pos as usize] as usize)
            .is_some_and(|latch| self.out.labels[latch.label.index()] == latch.label)
    }

    /// At the top of a block that backward edges lead to: reconcile what they deliver with what
    /// it expects. The moves stand right above the block, so that going round takes one jump;
    /// entering the loop jumps over them.
    pub(super) fn close_back_edges(&mut self, block: Block) {
        let latch = self.s.latches[self.s.latch_of[self.pos as usize] as usize];
        let entry = self.s.entries[self.pos as usize];
        // Where each value is on the backward edges.
        let mut delivered = [None; 64];
        self.for_each_in(latch.state, |_, r, v| delivered[r.index()] = Some(v));
        let find = |v: Value| {
            latch
                .state
                .regs
                .iter()
                .find(|r| delivered[r.index()] == Some(v))
                .map(Loc::Reg)
        };
        let mut moves = core::mem::take(&mut self.s.edge_moves[0]);
        moves.clear();
        self.for_each_in(entry, |cx, r, v| {
            let src = find(v).unwrap_or_else(|| {
                if cx.s.vals[v.index()].constant {
                    Loc::Const(v)
                } else {
                    Loc::Place(cx.slot(v))
                }
            });
            moves.push(Move {
                dst: Loc::Reg(r),
                src,
                ty: cx.func.value_type(v),
            });
        });
        // A parameter delivered in a register whose home turned out to be its slot.
        for p in self.func.block_params(block) {
            let state = self.s.vals[p.index()];
            if state.reg == NO_REG
                && state.slot != NO_SLOT
                && !state.mark
                && let Some(src) = find(p)
            {
                let dst = Loc::Place(Place::Slot(state.slot));
                moves.push(Move {
                    dst,
                    src,
                    ty: self.func.value_type(p),
                });
            }
        }
        moves.retain(|m| m.dst != m.src);
        if moves.is_empty() {
            let to = self.s.block_labels[self.pos as usize];
            self.out.labels[latch.label.index()] = to;
        } else {
            let free = self.all.minus(entry.regs).minus(latch.state.regs);
            self.chunk_label = latch.label;
            self.begin_chunk();
            self.parallel_move(&mut moves, free);
            // What goes round begins here.
            let header = self.out.chunks.last_mut().expect("the header's own chunk");
            let is_header = core::mem::take(&mut header.loop_header);
            self.end_chunk(latch.label, is_header);
            let moves = self.out.chunks.last_mut().expect("the chunk just ended");
            moves.latch = true;
        }
        self.s.edge_moves[0] = moves;
    }
}
