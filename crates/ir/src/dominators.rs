//! Dominators.

use crate::{Block, EntityRef, Function};

const NONE: u32 = u32::MAX;

/// Which blocks are reached only through which others, and the order to visit them in.
///
/// Computed by the algorithm of Lengauer and Tarjan, "A Fast Algorithm for Finding Dominators in a
/// Flowgraph" (TOPLAS 1979), in its simple form with path compression: O(edges · log blocks),
/// whatever the shape. No recursion. Its memory is reused from function to function.
///
/// Edges that lead nowhere, and all but the last instruction of a block, are ignored, so it can
/// be computed for functions that are not known to be well-formed.
#[derive(Clone, Debug, Default)]
pub struct Dominators {
    /// The reachable blocks in the order of a depth-first search. All tables but those of blocks
    /// are indexed by the position in this list.
    order: Vec<Block>,
    /// Position of each block in `order`; `NONE` if it is not reachable.
    number: Vec<u32>,
    postorder: Vec<Block>,
    idom: Vec<u32>,
    /// Position in a preorder of the dominator tree, and number of blocks in the subtree.
    subtree: Vec<(u32, u32)>,
    scratch: Scratch,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Where the edges out of each block begin in `targets`.
    first_target: Vec<u32>,
    targets: Vec<u32>,
    /// Blocks on the path of the depth-first search and the next edge to follow from each.
    path: Vec<(Block, u32)>,
    /// Where the edges into each block begin in `sources`.
    first_source: Vec<u32>,
    sources: Vec<u32>,
    /// The block that the depth-first search came from.
    parent: Vec<u32>,
    /// Semidominator.
    semi: Vec<u32>,
    /// In the forest of blocks done: an ancestor, and the block with the smallest semidominator
    /// on the way to it.
    ancestor: Vec<u32>,
    label: Vec<u32>,
    /// Lists of blocks that have the same semidominator.
    bucket: Vec<u32>,
    next_in_bucket: Vec<u32>,
    stack: Vec<u32>,
}

fn reset<T: Copy>(table: &mut Vec<T>, len: usize, value: T) {
    table.clear();
    table.resize(len, value);
}

impl Dominators {
    /// Dominators of no function yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The dominators of `func`.
    pub fn of(func: &Function) -> Self {
        let mut dominators = Self::new();
        dominators.compute(func);
        dominators
    }

    /// Replace what is known by the dominators of `func`.
    pub fn compute(&mut self, func: &Function) {
        self.collect_edges(func);
        self.search(func);
        self.collect_sources();
        self.find_idoms();
        self.number_tree();
    }

    /// Whether there is a path from the entry to `block`.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.position(block).is_some()
    }

    /// The immediate dominator of `block`; none for the entry and for unreachable blocks.
    pub fn idom(&self, block: Block) -> Option<Block> {
        let at = self.position(block)?;
        (at != 0).then(|| self.order[self.idom[at] as usize])
    }

    /// Whether every path from the entry to `b` goes through `a`. True for `a == b`, and if `b` is
    /// not reachable.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let Some(b) = self.position(b) else {
            return true;
        };
        let Some(a) = self.position(a) else {
            return false;
        };
        let (first, size) = self.subtree[a];
        (first..first + size).contains(&self.subtree[b].0)
    }

    /// The reachable blocks; each before those it dominates, and before its successors but for
    /// back edges.
    pub fn reverse_postorder(&self) -> impl DoubleEndedIterator<Item = Block> + ExactSizeIterator {
        self.postorder.iter().rev().copied()
    }

    fn position(&self, block: Block) -> Option<usize> {
        let n = *self.number.get(block.index())?;
        (n != NONE).then_some(n as usize)
    }

    fn collect_edges(&mut self, func: &Function) {
        let s = &mut self.scratch;
        s.targets.clear();
        reset(&mut s.first_target, func.num_blocks() + 1, 0);
        for n in 0..func.num_blocks() {
            s.first_target[n] = s.targets.len() as u32;
            let Some(last) = func.terminator(Block::new(n)) else {
                continue;
            };
            func.for_each_valid_edge(last, |edge| {
                let target = func.get_block_call(edge).map(|e| e.block);
                if let Some(to) = target.filter(|&to| to.index() < func.num_blocks()) {
                    s.targets.push(to.as_u32());
                }
            });
        }
        s.first_target[func.num_blocks()] = s.targets.len() as u32;
    }

    /// Depth-first search from the entry.
    fn search(&mut self, func: &Function) {
        let s = &mut self.scratch;
        self.order.clear();
        self.postorder.clear();
        s.parent.clear();
        s.path.clear();
        reset(&mut self.number, func.num_blocks(), NONE);
        let Some(&entry) = func.layout().first() else {
            return;
        };
        self.number[entry.index()] = 0;
        self.order.push(entry);
        s.parent.push(0);
        s.path.push((entry, s.first_target[entry.index()]));
        while let Some((block, next)) = s.path.last_mut() {
            if *next == s.first_target[block.index() + 1] {
                self.postorder.push(*block);
                s.path.pop();
                continue;
            }
            let to = Block::from_u32(s.targets[*next as usize]);
            *next += 1;
            if self.number[to.index()] == NONE {
                s.parent.push(self.number[block.index()]);
                self.number[to.index()] = self.order.len() as u32;
                self.order.push(to);
                s.path.push((to, s.first_target[to.index()]));
            }
        }
    }

    fn collect_sources(&mut self) {
        let s = &mut self.scratch;
        let num = self.order.len();
        reset(&mut s.first_source, num + 1, 0);
        let edges = |s: &Scratch, at: usize| {
            let block = self.order[at].index();
            s.first_target[block] as usize..s.first_target[block + 1] as usize
        };
        for at in 0..num {
            for edge in edges(s, at) {
                let to = self.number[s.targets[edge] as usize];
                s.first_source[to as usize] += 1;
            }
        }
        let mut sum = 0;
        for first in &mut s.first_source {
            sum += *first;
            *first = sum;
        }
        reset(&mut s.sources, sum as usize, 0);
        for at in 0..num {
            for edge in edges(s, at) {
                let to = self.number[s.targets[edge] as usize] as usize;
                s.first_source[to] -= 1;
                s.sources[s.first_source[to] as usize] = at as u32;
            }
        }
    }

    fn find_idoms(&mut self) {
        let s = &mut self.scratch;
        let num = self.order.len();
        reset(&mut self.idom, num, 0);
        reset(&mut s.ancestor, num, NONE);
        reset(&mut s.bucket, num, NONE);
        reset(&mut s.next_in_bucket, num, NONE);
        s.semi.clear();
        s.semi.extend(0..num as u32);
        s.label.clear();
        s.label.extend(0..num as u32);
        for w in (1..num).rev() {
            for edge in s.first_source[w] as usize..s.first_source[w + 1] as usize {
                let best = s.eval(s.sources[edge] as usize);
                s.semi[w] = s.semi[w].min(s.semi[best]);
            }
            let semi = s.semi[w] as usize;
            s.next_in_bucket[w] = std::mem::replace(&mut s.bucket[semi], w as u32);
            let parent = s.parent[w];
            s.ancestor[w] = parent;
            let mut v = std::mem::replace(&mut s.bucket[parent as usize], NONE);
            while v != NONE {
                let best = s.eval(v as usize);
                let nearer = s.semi[best] < s.semi[v as usize];
                self.idom[v as usize] = if nearer { best as u32 } else { parent };
                v = s.next_in_bucket[v as usize];
            }
        }
        for w in 1..num {
            if self.idom[w] != s.semi[w] {
                self.idom[w] = self.idom[self.idom[w] as usize];
            }
        }
    }

    /// Number the dominator tree so that a subtree is a range.
    fn number_tree(&mut self) {
        let num = self.order.len();
        reset(&mut self.subtree, num, (0, 1));
        for w in (1..num).rev() {
            self.subtree[self.idom[w] as usize].1 += self.subtree[w].1;
        }
        // An immediate dominator is found by the depth-first search before what it dominates.
        let next = &mut self.scratch.stack;
        reset(next, num, 1);
        for w in 1..num {
            let idom = self.idom[w] as usize;
            self.subtree[w].0 = next[idom];
            next[w] = next[idom] + 1;
            next[idom] += self.subtree[w].1;
        }
    }
}

impl Scratch {
    /// The block with the smallest semidominator on the way from `v` to the root of its tree in
    /// the forest, the root excluded; `v` if it is a root.
    fn eval(&mut self, v: usize) -> usize {
        if self.ancestor[v] == NONE {
            return v;
        }
        self.stack.clear();
        let mut at = v;
        while self.ancestor[self.ancestor[at] as usize] != NONE {
            self.stack.push(at as u32);
            at = self.ancestor[at] as usize;
        }
        // From the top down, so that each ancestor is compressed already.
        while let Some(w) = self.stack.pop() {
            let w = w as usize;
            let above = self.ancestor[w] as usize;
            let (mine, other) = (self.label[w] as usize, self.label[above] as usize);
            if self.semi[other] < self.semi[mine] {
                self.label[w] = other as u32;
            }
            self.ancestor[w] = self.ancestor[above];
        }
        self.label[v] as usize
    }
}
