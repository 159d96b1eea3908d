//! Copies between spill slots: where a block parameter and its argument both live in slots, the slots
//! are given one stack cell if they are never needed at once, and the copy on the edge is dropped.
//!
//! In a function with more values than registers that merges them often (a state machine, an
//! interpreter) such copies would be most of the code.

use super::{INCOMING, NO_SLOT, ValState};
use crate::analyze::{Analysis, Succ};
use nopal_ir::{BlockCall, EntityRef, Function, Value, ValueDef};

/// Slots that share a cell, at most: the work for each copy is bounded by it.
const MAX_CLASS: usize = 32;
/// Among more arguments of an edge a value is not looked for.
const MAX_ARGUMENTS: usize = 64;

/// A copy from one slot to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotCopy {
    /// Depth of the loop it is in.
    pub(super) depth: u32,
    /// The instruction.
    pub(super) inst: u32,
}

/// An edge into a block.
#[derive(Clone, Copy)]
struct EdgeIn {
    /// Program point of the branch.
    point: u32,
    edge: BlockCall,
}

/// Reused memory.
#[derive(Default)]
pub(super) struct Coalescing {
    pub(super) copies: Vec<SlotCopy>,
    /// For each slot, another in its class; the classes are rings.
    next: Vec<u32>,
    /// The slot that stands for the class of each.
    class: Vec<u32>,
    size: Vec<u8>,
    /// For each slot, the stretch in which its value is needed.
    live: Vec<(u32, u32)>,
    /// The edges into each block, block by block in layout order.
    edges_in: Vec<EdgeIn>,
    /// Where those of the block at each position begin, and at the end where the last ones end.
    first_edge: Vec<u32>,
}

/// What classes are made from.
pub(super) struct Slots<'a> {
    pub(super) func: &'a Function,
    pub(super) an: &'a Analysis,
    pub(super) vals: &'a [ValState],
    /// The value of each slot, or [`NO_VALUE`].
    pub(super) values: &'a [Value],
}

impl Coalescing {
    /// The stretch in which the value of each slot is needed, to be listed before [`Coalescing::classes`]: twice
    /// the program point, plus one where a result is written or the last use reads.
    /// Not needed, and none, if there are no copies.
    pub(super) fn live_for(&mut self, slots: usize) -> Option<&mut Vec<(u32, u32)>> {
        if self.copies.is_empty() {
            return None;
        }
        self.live.clear();
        self.live.reserve_exact(slots);
        Some(&mut self.live)
    }

    /// Form classes of slots. Gives, for each slot, the one that stands for its class. `copied` are the
    /// destination and source of a copy.
    pub(super) fn classes(
        &mut self,
        slots: &Slots<'_>,
        copied: impl Fn(SlotCopy) -> [u32; 2],
    ) -> &[u32] {
        let n = slots.values.len() as u32;
        self.class.clear();
        self.class.extend(0..n);
        if self.copies.is_empty() {
            return &self.class;
        }
        self.next.clear();
        self.next.extend(0..n);
        self.size.clear();
        self.size.resize(n as usize, 1);
        self.collect_edges(slots);
        let mut copies = core::mem::take(&mut self.copies);
        copies.sort_unstable_by_key(|c| (core::cmp::Reverse(c.depth), c.inst));
        for &copy in &copies {
            let [dst, src] = copied(copy);
            self.join(slots, dst, src);
        }
        self.copies = copies;
        &self.class
    }

    /// List the edges into each block, by a counting sort.
    fn collect_edges(&mut self, slots: &Slots<'_>) {
        let an = slots.an;
        self.first_edge.clear();
        self.first_edge.resize(an.order.len() + 1, 0);
        for succ in &an.succs {
            self.first_edge[succ.to as usize] += 1;
        }
        let mut end = 0;
        for count in &mut self.first_edge {
            end += *count;
            *count = end;
        }
        let nowhere = EdgeIn {
            point: 0,
            edge: BlockCall::from_u32(0),
        };
        self.edges_in.clear();
        self.edges_in.resize(end as usize, nowhere);
        // Filling from the end of each block's part leaves in `first_edge` where it begins.
        for pos in 0..an.order.len() {
            let point = an.branch_point(pos);
            for &Succ { to, edge } in &an.succs[an.succs_of(pos)] {
                let first = &mut self.first_edge[to as usize];
                *first -= 1;
                self.edges_in[*first as usize] = EdgeIn { point, edge };
            }
        }
    }

    /// Put two slots in one class, if no members of their classes conflict.
    fn join(&mut self, slots: &Slots<'_>, a: u32, b: u32) {
        let (a, b) = (self.class[a as usize], self.class[b as usize]);
        let size = self.size[a as usize] + self.size[b as usize];
        if a == b || size as usize > MAX_CLASS {
            return;
        }
        let conflict = self.members(a).any(|x| {
            self.members(b)
                .any(|y| self.conflict(slots, x, y) || self.conflict(slots, y, x))
        });
        if conflict {
            return;
        }
        let mut member = b;
        loop {
            self.class[member as usize] = a;
            member = self.next[member as usize];
            if member == b {
                break;
            }
        }
        self.next.swap(a as usize, b as usize);
        self.size[a as usize] = size;
    }

    /// The slots of the class that `first` is in.
    fn members(&self, first: u32) -> impl Iterator<Item = u32> {
        let mut at = Some(first);
        core::iter::from_fn(move || {
            let slot = at?;
            at = Some(self.next[slot as usize]).filter(|&next| next != first);
            Some(slot)
        })
    }

    /// Whether `a` is written while `b` is needed. (The converse is to be asked for too.)
    fn conflict(&self, slots: &Slots<'_>, a: u32, b: u32) -> bool {
        let (live_a, live_b) = (self.live[a as usize], self.live[b as usize]);
        if live_a.0 <= live_b.1 && live_b.0 <= live_a.1 {
            return true;
        }
        // Parameters are written on the edges into their block.
        let ValueDef::Param(block, num) = slots.func.value_def(slots.values[a as usize]) else {
            return false;
        };
        let to = slots.an.pos[block.index()] as usize;
        let edges = self.first_edge[to] as usize..self.first_edge[to + 1] as usize;
        self.edges_in[edges].iter().any(|&EdgeIn { point, edge }| {
            // What is live in the block the edge leads to has been found above. That leaves other
            // arguments on the edge.
            let at_branch = live_b.0 <= 2 * point + 1 && 2 * point <= live_b.1;
            at_branch && slots.argument(edge, num) != b && slots.is_argument(b, edge)
        })
    }
}

impl Slots<'_> {
    /// The slot of an argument of an edge, or [`NO_SLOT`].
    fn argument(&self, edge: BlockCall, num: u32) -> u32 {
        let mut args = self.func.block_call_args(edge);
        let v = args
            .nth(num as usize)
            .expect("an argument for each parameter");
        let slot = self.vals[self.an.repr[v.index()].index()].slot;
        if slot & INCOMING == 0 { slot } else { NO_SLOT }
    }

    /// Whether the value of a slot may be passed on an edge.
    fn is_argument(&self, slot: u32, edge: BlockCall) -> bool {
        let v = self.values[slot as usize];
        let mut args = self.func.block_call_args(edge);
        args.len() > MAX_ARGUMENTS || args.any(|a| self.an.repr[a.index()] == v)
    }
}
