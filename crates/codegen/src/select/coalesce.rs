//! Copies between spill slots: where a block parameter and its argument both live in slots, the slots
//! are given one stack cell if they are never needed at once, and the copy on the edge is dropped.
//!
//! In a function with more values than registers that merges them often (a state machine, an
//! interpreter) such copies would be most of the code.

use super::{INCOMING, NO_SLOT, NO_VALUE, ValState};
use crate::analyze::Analysis;
use core::ops::Range;
use nopal_ir::{BlockCall, EntityRef, Function, Value};

/// Slots that share a cell, at most: the work for each copy is bounded by it.
const MAX_CLASS: usize = 32;
/// Among more arguments of an edge a value is not looked for.
const MAX_ARGUMENTS: usize = 64;

/// A copy from one slot to another.
#[derive(Clone, Debug)]
pub(super) struct SlotCopy {
    pub(super) dst: u32,
    pub(super) src: u32,
    /// Its instructions.
    pub(super) insts: Range<u32>,
    /// Depth of the loop it is in.
    pub(super) depth: u32,
}

/// Where a slot of a block parameter is written: on an edge into the block.
#[derive(Clone, Copy)]
struct EdgeWrite {
    /// Slot of the parameter.
    slot: u32,
    /// Program point of the branch.
    point: u32,
    /// The slot of the argument, or [`NO_SLOT`].
    src: u32,
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
    size: Vec<u32>,
    /// For each slot, the stretch in which its value is needed: twice the program point, plus one
    /// where a result is written or the last use reads.
    live: Vec<(u32, u32)>,
    writes: Vec<EdgeWrite>,
    /// Where the writes of each slot begin in `writes`.
    first_write: Vec<u32>,
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
    /// Form classes of slots. Gives, for each slot, the one that stands for its class. `late` are slots
    /// that are read as late as at a program point.
    pub(super) fn classes(
        &mut self,
        slots: &Slots<'_>,
        late: impl Iterator<Item = (u32, u32)>,
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
        self.live.clear();
        self.live.extend(slots.values.iter().map(|&v| match v {
            NO_VALUE => (0, u32::MAX),
            v => slots.an.live_extent(slots.func, v),
        }));
        for (slot, point) in late {
            let end = &mut self.live[slot as usize].1;
            *end = (*end).max(2 * point + 1);
        }
        self.collect_writes(slots);
        let mut copies = core::mem::take(&mut self.copies);
        copies.sort_by_key(|c| core::cmp::Reverse(c.depth));
        for copy in &copies {
            self.join(slots, copy.dst, copy.src);
        }
        self.copies = copies;
        &self.class
    }

    fn collect_writes(&mut self, slots: &Slots<'_>) {
        self.writes.clear();
        let slot_of = |v: Value| {
            let slot = slots.vals[slots.an.repr[v.index()].index()].slot;
            if slot & INCOMING == 0 { slot } else { NO_SLOT }
        };
        let func = slots.func;
        for (pos, &block) in slots.an.order.iter().enumerate() {
            let Some(term) = func.terminator(block) else {
                continue;
            };
            let point = slots.an.point(func, pos as u32, term);
            func.for_each_edge(term, |edge| {
                let params = func.block_params(func.block_call(edge).block);
                for (p, a) in params.zip(func.block_call_args(edge)) {
                    let slot = slot_of(p);
                    if slot != NO_SLOT {
                        let src = slot_of(a);
                        self.writes.push(EdgeWrite {
                            slot,
                            point,
                            src,
                            edge,
                        });
                    }
                }
            });
        }
        self.writes.sort_by_key(|w| w.slot);
        self.first_write.clear();
        let mut at = 0;
        for slot in 0..=slots.values.len() as u32 {
            while self.writes.get(at).is_some_and(|w| w.slot < slot) {
                at += 1;
            }
            self.first_write.push(at as u32);
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
        let first = self.first_write[a as usize] as usize;
        let end = self.first_write[a as usize + 1] as usize;
        self.writes[first..end].iter().any(|w| {
            // What is live in the block the edge leads to has been found above. That leaves other
            // arguments on the edge.
            let at_branch = live_b.0 <= 2 * w.point + 1 && 2 * w.point <= live_b.1;
            at_branch && w.src != b && slots.is_argument(b, w.edge)
        })
    }
}

impl Slots<'_> {
    /// Whether the value of a slot may be passed on an edge.
    fn is_argument(&self, slot: u32, edge: BlockCall) -> bool {
        let v = self.values[slot as usize];
        let mut args = self.func.block_call_args(edge);
        args.len() > MAX_ARGUMENTS || args.any(|a| self.an.repr[a.index()] == v)
    }
}
