//! The dominator tree as far as it is known while blocks are being filled.
//!
//! Beside its parent, each node has a pointer to an ancestor further up, chosen so that every
//! ancestor is reached in a logarithmic number of steps (Myers, "An Applicative Random-Access
//! Stack", Information Processing Letters 17, 1983).

use super::NONE;
use crate::{Block, EntityRef};
use std::ops::Range;

#[derive(Clone, Copy)]
pub(super) struct Node {
    /// The immediate dominator; `NONE` for a root and for a block that is not begun.
    pub(super) parent: u32,
    /// An ancestor; a root is its own.
    jump: u32,
    pub(super) depth: u32,
    pub(super) kind: Kind,
    /// Number of predecessors when it was begun; `NONE` before.
    preds_at_begin: u32,
    /// How many blocks were begun before it.
    begun: u32,
    /// How many blocks had been begun when its last predecessor was filled, or later.
    complete: u32,
    /// The nearest ancestor, or itself, that was a barrier when it was begun: if all went well, the
    /// header of the innermost loop around it.
    enclosing: u32,
    /// The nearest ancestor, or itself, that may still be a barrier.
    barrier: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is where its parent says.
    Placed,
    /// It is not sealed. A barrier.
    Unsealed,
    /// Not much is known about what is above it. A barrier.
    Opaque,
}

const NEW_NODE: Node = Node {
    parent: NONE,
    jump: NONE,
    depth: 0,
    kind: Kind::Placed,
    preds_at_begin: NONE,
    begun: 0,
    complete: 0,
    enclosing: NONE,
    barrier: NONE,
};

#[derive(Clone)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    num_begun: u32,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            num_begun: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.num_begun = 0;
    }

    pub(super) fn add_blocks(&mut self, num_blocks: usize) {
        self.nodes.resize(num_blocks, NEW_NODE);
    }

    #[inline]
    pub(super) fn node(&self, n: u32) -> &Node {
        &self.nodes[n as usize]
    }

    pub(super) fn depth(&self, block: Block) -> u32 {
        self.nodes[block.index()].depth
    }

    /// How many predecessors `block` had when it was begun.
    pub(super) fn preds_at_begin(&self, block: Block) -> Option<u32> {
        let n = self.nodes[block.index()].preds_at_begin;
        (n != NONE).then_some(n)
    }

    /// How many blocks have been begun before the one being filled.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        self.num_begun.wrapping_sub(1)
    }

    /// How many blocks have been begun before `block`.
    pub(super) fn begun(&self, block: Block) -> u32 {
        self.nodes[block.index()].begun
    }

    /// The immediate dominator of a block that is filled and no barrier, and which blocks may lie
    /// on the ways from the former to the latter: those begun at these times.
    pub(super) fn idom(&self, block: Block) -> Option<(Block, Range<u32>)> {
        let node = self.node(block.as_u32());
        if node.kind != Kind::Placed || node.parent == NONE {
            return None;
        }
        let between = self.node(node.parent).begun + 1..node.complete;
        Some((Block::from_u32(node.parent), between))
    }

    /// `n` is begun, below `parent`.
    pub(super) fn place(&mut self, n: u32, parent: Option<u32>, kind: Kind, num_preds: u32) {
        let (depth, jump) = match parent {
            None => (0, n),
            Some(p) => {
                let parent = self.node(p);
                let jump = self.node(parent.jump);
                let equal = parent.depth - jump.depth == jump.depth - self.node(jump.jump).depth;
                (parent.depth + 1, if equal { jump.jump } else { p })
            }
        };
        let barrier = match (kind, parent) {
            (Kind::Placed, Some(parent)) => self.node(parent).barrier,
            (Kind::Placed, None) => NONE,
            _ => n,
        };
        self.nodes[n as usize] = Node {
            parent: parent.unwrap_or(NONE),
            jump,
            depth,
            kind,
            preds_at_begin: num_preds,
            begun: self.num_begun,
            complete: self.num_begun,
            enclosing: NONE,
            barrier,
        };
        self.num_begun += 1;
    }

    pub(super) fn set_enclosing(&mut self, n: u32, enclosing: u32) {
        self.nodes[n as usize].enclosing = enclosing;
    }

    /// `n` is sealed; it is the header of a loop if that is `natural`.
    pub(super) fn seal(&mut self, n: u32, natural: bool) {
        let complete = self.num_begun;
        let node = &mut self.nodes[n as usize];
        node.complete = complete;
        node.kind = match natural {
            true => Kind::Placed,
            false => Kind::Opaque,
        };
    }

    /// The topmost ancestor of `block`, or itself, that was begun after `time`, if there is one, and
    /// is not outside of the innermost loop around `block`.
    pub(super) fn top_since(&self, block: Block, time: Option<u32>) -> Block {
        let mut n = block.as_u32();
        let enclosing = self.node(n).enclosing;
        let limit = match enclosing {
            NONE => 0,
            head => self.node(head).depth,
        };
        let fits = |n: u32| {
            let node = self.node(n);
            time.is_none_or(|t| node.begun > t) && node.depth >= limit
        };
        while self.node(n).parent != NONE && fits(self.node(n).parent) {
            let jump = self.node(n).jump;
            n = if fits(jump) {
                jump
            } else {
                self.node(n).parent
            };
        }
        Block::from_u32(n)
    }

    /// The nearest common ancestor of `a` and `b`.
    pub(super) fn common(&self, a: u32, b: u32) -> Option<u32> {
        let depth = self.node(a).depth.min(self.node(b).depth);
        let (mut a, mut b) = (self.ancestor(a, depth), self.ancestor(b, depth));
        while a != b {
            let (x, y) = (self.node(a), self.node(b));
            if x.depth == 0 {
                return None;
            }
            // At equal depths the pointers lead to equal depths.
            (a, b) = match x.jump != y.jump {
                true => (x.jump, y.jump),
                false => (x.parent, y.parent),
            };
        }
        Some(a)
    }

    /// The ancestor of `n`, or itself, at a depth that is not greater than its own.
    fn ancestor(&self, mut n: u32, depth: u32) -> u32 {
        while self.node(n).depth > depth {
            let node = self.node(n);
            let far = self.node(node.jump).depth >= depth;
            n = if far { node.jump } else { node.parent };
        }
        n
    }

    /// Whether `above` is an ancestor of `below`, or the same, with no barrier between.
    pub(super) fn dominates(&mut self, above: u32, below: u32) -> bool {
        let depth = self.node(above).depth;
        depth <= self.node(below).depth
            && self.ancestor(below, depth) == above
            && self.is_clear(above, below)
    }

    /// Whether there is no barrier among `below` and its ancestors up to `above`, its ancestor,
    /// which does not count itself.
    pub(super) fn is_clear(&mut self, above: u32, below: u32) -> bool {
        let barrier = self.barrier(below);
        barrier == NONE || self.node(barrier).depth <= self.node(above).depth
    }

    /// The nearest ancestor of `n`, or itself, that is a barrier.
    fn barrier(&mut self, n: u32) -> u32 {
        let mut barrier = self.node(n).barrier;
        while barrier != NONE && self.node(barrier).kind == Kind::Placed {
            let parent = self.node(barrier).parent;
            let next = match parent {
                NONE => NONE,
                parent => self.node(parent).barrier,
            };
            // Shorten the way for the next time.
            self.nodes[barrier as usize].barrier = next;
            self.nodes[n as usize].barrier = next;
            barrier = next;
        }
        barrier
    }
}
