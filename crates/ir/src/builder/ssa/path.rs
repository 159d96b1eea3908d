//! The dominators of the block being filled, kept up to date from block to block.
//!
//! The immediate dominator of a block is the nearest common dominator of its predecessors. When a
//! block is begun that is sealed, they are known and have their own dominators, so it is found at
//! once. A block that is not sealed is taken for the header of a loop: predecessors still to come
//! are dominated by it. Until that is sure, it is a *barrier*: what is known above it holds only as
//! far as it. If it turns out otherwise, it stays a barrier; and so does a block if there are
//! barriers between its immediate dominator and it, on any way. Both come only from blocks filled
//! in an unusual order.
//!
//! So if a block is a dominator of the one being filled with no barrier between, all blocks on all
//! ways from the former to the latter have been begun after the former, and are filled.
//!
//! In code that is filled in the order of its nesting each step takes a few instructions. Climbing
//! from block to block is limited, so that no order makes building slow: where the limit is hit,
//! the block becomes the root of a tree of its own, and less is found without a search.

use super::NONE;
use crate::{Block, EntityRef};
use std::ops::Range;

/// How many blocks are visited to place one block.
const MAX_CLIMB: usize = 1000;

#[derive(Clone, Copy)]
struct Node {
    /// The immediate dominator; `NONE` for a root and a block that is not begun.
    parent: u32,
    depth: u32,
    /// Number of predecessors when it was begun; `NONE` before.
    preds_at_begin: u32,
    /// How many blocks were begun before it.
    begun: u32,
    /// How many blocks had been begun when its last predecessor was filled, or later.
    complete: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is where its parent says.
    Placed,
    /// It is not sealed.
    Unsealed,
    /// Not much is known about what is above it.
    Opaque,
}

#[derive(Clone)]
pub(super) struct Path {
    nodes: Vec<Node>,
    /// The dominators of the block being filled, by depth, and itself.
    path: Vec<u32>,
    /// Those of them that are not [`Kind::Placed`], and maybe some that were not. The last is not.
    barriers: Vec<u32>,
    /// The depth of the last of them.
    barrier_depth: u32,
    num_begun: u32,
}

impl Path {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            path: Vec::new(),
            barriers: Vec::new(),
            barrier_depth: 0,
            num_begun: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.path.clear();
        self.barriers.clear();
        self.barrier_depth = 0;
        self.num_begun = 0;
    }

    pub(super) fn add_blocks(&mut self, num_blocks: usize) {
        let new = Node {
            parent: NONE,
            depth: 0,
            preds_at_begin: NONE,
            begun: 0,
            complete: 0,
            kind: Kind::Placed,
        };
        self.nodes.resize(num_blocks, new);
    }

    pub(super) fn depth(&self, block: Block) -> u32 {
        self.nodes[block.index()].depth
    }

    /// How many blocks have been begun before the one being filled.
    pub(super) fn now(&self) -> u32 {
        self.num_begun.wrapping_sub(1)
    }

    /// The immediate dominator of a block that is filled and no barrier, and which blocks may lie
    /// on the ways from the former to the latter: those begun after these times.
    pub(super) fn idom_of(&self, block: Block) -> Option<(Block, Range<u32>)> {
        let node = self.node(block.as_u32());
        if node.kind != Kind::Placed || node.parent == NONE {
            return None;
        }
        let between = self.node(node.parent).begun + 1..node.complete;
        Some((Block::from_u32(node.parent), between))
    }

    /// How many predecessors `block` had when it was begun.
    pub(super) fn preds_at_begin(&self, block: Block) -> Option<u32> {
        let n = self.nodes[block.index()].preds_at_begin;
        (n != NONE).then_some(n)
    }

    /// Whether `block`, of this depth, is a dominator with no barrier between.
    #[inline]
    pub(super) fn is_visible(&self, block: u32, depth: u32) -> bool {
        depth >= self.barrier_depth && self.path.get(depth as usize) == Some(&block)
    }

    /// The unsealed blocks between `block`, of this depth, and the block being filled, among those
    /// that [`Path::unsealed`] gives for these numbers, from the top down; none if `block` is not
    /// a dominator, or if there are other barriers.
    pub(super) fn loops_since(&self, block: u32, depth: u32) -> Option<Range<usize>> {
        if self.path.get(depth as usize) != Some(&block) {
            return None;
        }
        let mut first = self.barriers.len();
        while first > 0 && self.node(self.barriers[first - 1]).depth > depth {
            first -= 1;
            if self.node(self.barriers[first]).kind == Kind::Opaque {
                return None;
            }
        }
        Some(first..self.barriers.len())
    }

    pub(super) fn unsealed(&self, number: usize) -> Option<Block> {
        let n = self.barriers[number];
        (self.node(n).kind == Kind::Unsealed).then(|| Block::from_u32(n))
    }

    fn node(&self, n: u32) -> &Node {
        &self.nodes[n as usize]
    }

    fn is_on_path(&self, n: u32) -> bool {
        self.path.get(self.node(n).depth as usize) == Some(&n)
    }

    /// Make `block` the end of the path.
    pub(super) fn begin_block(
        &mut self,
        block: Block,
        sealed: bool,
        num_preds: u32,
        preds: impl Iterator<Item = Block>,
    ) {
        let n = block.as_u32();
        let is_entry = self.path.is_empty();
        let node = &mut self.nodes[n as usize];
        node.preds_at_begin = num_preds;
        node.begun = self.num_begun;
        node.complete = self.num_begun;
        self.num_begun += 1;
        let mut clear = true;
        match self
            .idom(preds, &mut clear)
            .filter(|&idom| self.extend_to(idom, &mut clear))
        {
            Some(idom) => {
                let depth = self.node(idom).depth + 1;
                let node = &mut self.nodes[n as usize];
                node.parent = idom;
                node.depth = depth;
                node.kind = match (clear, sealed) {
                    (false, _) => Kind::Opaque,
                    (true, false) => Kind::Unsealed,
                    (true, true) => Kind::Placed,
                };
            }
            None => {
                self.path.clear();
                self.barriers.clear();
                if !is_entry {
                    self.nodes[n as usize].kind = Kind::Opaque;
                }
            }
        }
        self.push(n);
        self.update_barrier_depth();
    }

    /// All predecessors of `block` are known, `late` being those that it did not have when it was
    /// begun. Whether it is the header of a loop or was sealed when it was begun.
    pub(super) fn seal_block(&mut self, block: Block, late: impl Iterator<Item = Block>) -> bool {
        let n = block.as_u32();
        if self.node(n).kind != Kind::Unsealed {
            return self.node(n).kind == Kind::Placed;
        }
        let mut climb = MAX_CLIMB;
        let natural = { late }.all(|pred| self.dominates(n, pred.as_u32(), &mut climb));
        if !natural {
            self.nodes[n as usize].kind = Kind::Opaque;
            return false;
        }
        let node = &mut self.nodes[n as usize];
        node.kind = Kind::Placed;
        node.complete = self.num_begun;
        self.update_barrier_depth();
        true
    }

    fn push(&mut self, n: u32) {
        debug_assert_eq!(self.path.len() as u32, self.node(n).depth);
        self.path.push(n);
        if self.node(n).kind != Kind::Placed {
            self.barriers.push(n);
        }
    }

    fn update_barrier_depth(&mut self) {
        while let Some(&b) = self.barriers.last()
            && self.node(b).kind == Kind::Placed
        {
            self.barriers.pop();
        }
        self.barrier_depth = self.barriers.last().map_or(0, |&b| self.node(b).depth);
    }

    /// The nearest common dominator of some blocks. `clear` becomes false if there are barriers
    /// off the path below it.
    fn idom(&self, mut preds: impl Iterator<Item = Block>, clear: &mut bool) -> Option<u32> {
        let mut climb = MAX_CLIMB;
        let first = preds.next()?.as_u32();
        preds.try_fold(first, |idom, pred| {
            self.common(idom, pred.as_u32(), &mut climb, clear)
        })
    }

    fn common(&self, mut a: u32, mut b: u32, climb: &mut usize, clear: &mut bool) -> Option<u32> {
        while a != b {
            let (above, below) = match self.node(a).depth <= self.node(b).depth {
                true => (a, b),
                false => (b, a),
            };
            // On a path everything is dominated by everything before it.
            if self.is_on_path(above) && self.is_on_path(below) {
                return Some(above);
            }
            *climb = climb.checked_sub(1)?;
            *clear &= self.node(below).kind == Kind::Placed;
            (a, b) = (above, self.node(below).parent);
            if b == NONE {
                return None;
            }
        }
        Some(a)
    }

    /// Whether `above` is a dominator of `below` with no barrier between, and that is not too far
    /// to see.
    fn dominates(&self, above: u32, mut below: u32, climb: &mut usize) -> bool {
        let depth = self.node(above).depth;
        while self.node(below).depth > depth {
            if self.is_on_path(below) {
                return self.is_on_path(above) && self.barrier_depth <= depth;
            }
            if *climb == 0 || self.node(below).kind != Kind::Placed {
                return false;
            }
            *climb -= 1;
            below = self.node(below).parent;
        }
        above == below
    }

    /// Make `n` the end of the path. False if that is too far. `clear` becomes false if there are
    /// barriers on what is cut off from the path.
    fn extend_to(&mut self, n: u32, clear: &mut bool) -> bool {
        let mut top = n;
        let mut missing = 0;
        while !self.is_on_path(top) {
            top = self.node(top).parent;
            missing += 1;
            if top == NONE || missing > MAX_CLIMB {
                return false;
            }
        }
        let depth = self.node(top).depth;
        self.path.truncate(depth as usize + 1);
        while let Some(&b) = self.barriers.last()
            && self.node(b).depth > depth
        {
            self.barriers.pop();
            *clear &= self.node(b).kind == Kind::Placed;
        }
        self.path.resize(depth as usize + 1 + missing, NONE);
        let mut at = n;
        while at != top {
            let depth = self.node(at).depth as usize;
            self.path[depth] = at;
            at = self.node(at).parent;
        }
        for i in depth as usize + 1..self.path.len() {
            if self.node(self.path[i]).kind != Kind::Placed {
                self.barriers.push(self.path[i]);
            }
        }
        true
    }
}
