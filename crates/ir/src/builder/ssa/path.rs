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
//! In code that is filled in the order of its nesting each step takes a few instructions. In other
//! orders the path may have to be rebuilt again and again; if that becomes too much, the block
//! becomes the root of a tree of its own, and less is found without a search.

use super::NONE;
use super::tree::{Kind, Tree};
use crate::Block;
use std::ops::Range;

/// How many blocks are put back on the path for each block begun, on average.
const CREDIT: usize = 32;

#[derive(Clone)]
pub(super) struct Path {
    pub(super) tree: Tree,
    /// The dominators of the block being filled, by depth, and itself.
    path: Vec<u32>,
    /// Those of them that are not [`Kind::Placed`], and maybe some that were not. The last is not.
    barriers: Vec<u32>,
    /// The depth of the last of them.
    barrier_depth: u32,
    /// How many more blocks may be put back on the path.
    credit: usize,
}

impl Path {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(),
            path: Vec::new(),
            barriers: Vec::new(),
            barrier_depth: 0,
            credit: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.tree.clear();
        self.path.clear();
        self.barriers.clear();
        self.barrier_depth = 0;
        self.credit = 1000;
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
        while first > 0 && self.tree.node(self.barriers[first - 1]).depth > depth {
            first -= 1;
            if self.tree.node(self.barriers[first]).kind == Kind::Opaque {
                return None;
            }
        }
        Some(first..self.barriers.len())
    }

    pub(super) fn unsealed(&self, number: usize) -> Option<Block> {
        let n = self.barriers[number];
        (self.tree.node(n).kind == Kind::Unsealed).then(|| Block::from_u32(n))
    }

    fn is_on_path(&self, n: u32) -> bool {
        self.path.get(self.tree.node(n).depth as usize) == Some(&n)
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
        self.credit += CREDIT;
        let mut clear = true;
        let idom = self
            .idom(preds, &mut clear)
            .filter(|&idom| self.extend_to(idom));
        if idom.is_none() {
            self.path.clear();
            self.barriers.clear();
            clear = is_entry;
        }
        let kind = match (clear, sealed) {
            (false, _) => Kind::Opaque,
            (true, false) => Kind::Unsealed,
            (true, true) => Kind::Placed,
        };
        self.tree.place(n, idom, kind, num_preds);
        self.push(n);
        self.update_barrier_depth();
        let enclosing = self.barriers.last().map_or(NONE, |&b| b);
        self.tree.set_enclosing(n, enclosing);
    }

    /// All predecessors of `block` are known, `late` being those that it did not have when it was
    /// begun. Whether it is the header of a loop or was sealed when it was begun.
    pub(super) fn seal_block(&mut self, block: Block, late: impl Iterator<Item = Block>) -> bool {
        let n = block.as_u32();
        if self.tree.node(n).kind == Kind::Unsealed {
            let tree = &mut self.tree;
            let natural = { late }.all(|pred| tree.dominates(n, pred.as_u32()));
            tree.seal(n, natural);
            self.update_barrier_depth();
        }
        self.tree.node(n).kind == Kind::Placed
    }

    fn push(&mut self, n: u32) {
        debug_assert_eq!(self.path.len() as u32, self.tree.node(n).depth);
        self.path.push(n);
        if self.tree.node(n).kind != Kind::Placed {
            self.barriers.push(n);
        }
    }

    fn update_barrier_depth(&mut self) {
        while let Some(&b) = self.barriers.last()
            && self.tree.node(b).kind == Kind::Placed
        {
            self.barriers.pop();
        }
        self.barrier_depth = self.barriers.last().map_or(0, |&b| self.tree.node(b).depth);
    }

    /// The nearest common dominator of some blocks. `clear` becomes false if there are barriers
    /// between it and one of them.
    fn idom(&mut self, mut preds: impl Iterator<Item = Block>, clear: &mut bool) -> Option<u32> {
        let first = preds.next()?.as_u32();
        preds.try_fold(first, |idom, pred| {
            let pred = pred.as_u32();
            if idom == pred {
                return Some(idom);
            }
            let (idom_depth, pred_depth) = (self.tree.node(idom).depth, self.tree.node(pred).depth);
            let above = if idom_depth <= pred_depth { idom } else { pred };
            // On a path everything is dominated by everything before it.
            let common = match self.is_on_path(idom) && self.is_on_path(pred) {
                true => above,
                false => self.tree.common(idom, pred)?,
            };
            *clear &= self.tree.is_clear(common, idom) && self.tree.is_clear(common, pred);
            Some(common)
        })
    }

    /// Make `n` the end of the path. False if that is too far.
    fn extend_to(&mut self, n: u32) -> bool {
        let mut top = n;
        let mut missing = 0;
        while !self.is_on_path(top) {
            top = self.tree.node(top).parent;
            if top == NONE || self.credit == 0 {
                return false;
            }
            self.credit -= 1;
            missing += 1;
        }
        let depth = self.tree.node(top).depth;
        self.path.truncate(depth as usize + 1);
        while let Some(&b) = self.barriers.last()
            && self.tree.node(b).depth > depth
        {
            self.barriers.pop();
        }
        self.path.resize(depth as usize + 1 + missing, NONE);
        let mut at = n;
        while at != top {
            let node = self.tree.node(at);
            self.path[node.depth as usize] = at;
            at = node.parent;
        }
        for i in depth as usize + 1..self.path.len() {
            if self.tree.node(self.path[i]).kind != Kind::Placed {
                self.barriers.push(self.path[i]);
            }
        }
        true
    }
}
