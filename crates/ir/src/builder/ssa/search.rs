//! The search for the value of a variable through the predecessors of a block.

use super::{Current, NONE, Ssa};
use crate::{Block, EntityRef, Function, PackedOption, Value, ValueDef};

/// A block with several predecessors whose values are being searched for.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    block: Block,
    /// The pending parameter, if it is needed already.
    param: PackedOption<Value>,
    next_pred: u32,
    /// Where the values found so far begin in the list of values.
    base: usize,
}

impl Frame {
    pub(super) fn new(
        block: Block,
        param: PackedOption<Value>,
        next_pred: u32,
        base: usize,
    ) -> Self {
        Self {
            block,
            param,
            next_pred,
            base,
        }
    }
}

/// The table has this plus the number of a frame for a block that has one.
const OPEN: u32 = 1 << 31;

/// After so many steps upward it pays to look for a shorter way, and to record what was found.
const FEW_STEPS: u32 = 4;

/// The end of a search upward.
enum Found {
    Value(Value),
    /// The block of this frame, whose value is being searched for.
    Open(usize),
    /// This block has several predecessors.
    Merge(Block),
    /// This block is not sealed, or nothing leads to it.
    End(Block),
}

impl Ssa {
    /// What `var` holds at the end of `block`, or at its start if it is not filled.
    pub(super) fn value_in(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        match self.find(func, block, var) {
            Found::Value(v) => v,
            Found::Open(_) => unreachable!("no search is going on"),
            Found::Merge(at) => {
                let frame = self.open(at, var, 0);
                self.run(func, var, frame)
            }
            Found::End(at) => self.boundary(func, at, var),
        }
    }

    /// Search from the end of `start` upward as long as it does not matter which way.
    fn find(&mut self, func: &Function, start: Block, var: u32) -> Found {
        let bit = 1 << (var % 64);
        let mut at = start;
        // A cycle of single predecessors is unreachable; Brent's algorithm ends the search.
        let (mut anchor, mut steps) = (start, 0u32);
        loop {
            let state = &self.blocks[at.index()];
            if state.known & bit != 0
                && let Some(v) = self.table.get(at, var)
            {
                if v.as_u32() & OPEN != 0 {
                    return Found::Open((v.as_u32() & !OPEN) as usize);
                }
                let v = func.resolve(v);
                if steps > FEW_STEPS {
                    self.record(start, var, v);
                }
                return Found::Value(v);
            }
            if steps >= FEW_STEPS
                && let Some(above) = self.same_value_above(at, var)
            {
                at = above;
                continue;
            }
            at = match (state.sealed, state.num_preds) {
                (true, 1) => Block::from_u32(state.first_pred),
                (true, 2..) => match self.path.tree.idom(at) {
                    // Nothing is assigned to it on any way from there.
                    Some((idom, times)) if !self.is_assigned(var, times.clone()) => idom,
                    _ => return Found::Merge(at),
                },
                _ => return Found::End(at),
            };
            if at == anchor {
                return Found::End(at);
            }
            steps += 1;
            if steps & (steps - 1) == 0 {
                anchor = at;
            }
        }
    }

    /// A block further up at whose end `var` has the same value as at the end of `block`, which
    /// does not assign to it.
    fn same_value_above(&self, block: Block, var: u32) -> Option<Block> {
        let tree = &self.path.tree;
        // Loops that are over when `block` is begun are between the assignment and `block` as a
        // whole. The one around it is not left.
        let time = self.assigned_before(var, tree.begun(block)).ok()?;
        let top = tree.top_since(block, time);
        (top != block).then_some(top)
    }

    /// The value of `var` in a block where the search ends for other reasons than a merge.
    fn boundary(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        if !self.is_sealed(block) {
            let unknown = Current {
                value: 0,
                block: NONE,
                depth: 0,
            };
            return self.pending_param(func, block, var, unknown);
        }
        let value = self.undefined_value(func, self.types[var as usize]);
        self.record(block, var, value);
        value
    }

    /// Begin to ask the predecessors of a merge.
    fn open(&mut self, block: Block, var: u32, base: usize) -> Frame {
        let number = self.frames.len() as u32;
        self.record(block, var, Value::from_u32(OPEN | number));
        let first_pred = self.blocks[block.index()].preds.0;
        Frame::new(block, PackedOption::NONE, first_pred, base)
    }

    /// The value of a block that is being asked for, and is asked for by itself: a loop.
    fn open_param(&mut self, func: &mut Function, var: u32, frame: usize) -> Value {
        let Frame { block, param, .. } = self.frames[frame];
        param.expand().unwrap_or_else(|| {
            let param = func.create_pending_param(block, self.types[var as usize]);
            self.record(block, var, param);
            self.frames[frame].param = param.into();
            param
        })
    }

    /// Ask the predecessors of `frame.block`, theirs, and so on.
    pub(super) fn run(&mut self, func: &mut Function, var: u32, frame: Frame) -> Value {
        debug_assert!(self.frames.is_empty());
        self.frames.push(frame);
        loop {
            let depth = self.frames.len() - 1;
            let frame = self.frames[depth];
            let value = if frame.next_pred == NONE {
                let value = self.close(func, var, frame);
                self.values.truncate(frame.base);
                self.frames.pop();
                if depth == 0 {
                    return value;
                }
                value
            } else {
                let pred = self.preds[frame.next_pred as usize];
                self.frames[depth].next_pred = pred.next;
                match self.find(func, pred.from, var) {
                    Found::Value(v) => v,
                    Found::Open(frame) => self.open_param(func, var, frame),
                    Found::Merge(at) => {
                        let frame = self.open(at, var, self.values.len());
                        self.frames.push(frame);
                        continue;
                    }
                    Found::End(at) => self.boundary(func, at, var),
                }
            };
            self.values.push(value);
        }
    }

    /// All predecessors have answered: there is either one value, or need for a parameter.
    fn close(&mut self, func: &mut Function, var: u32, frame: Frame) -> Value {
        let Frame { block, param, .. } = frame;
        let mut common = None;
        let mut trivial = true;
        for v in &mut self.values[frame.base..] {
            *v = func.resolve(*v);
            if param != (*v).into() {
                trivial &= common.is_none_or(|c| c == *v);
                common = Some(*v);
            }
        }
        let ty = self.types[var as usize];
        let value = match (param.expand(), trivial) {
            // Records of the parameter stay valid: they are resolved when they are read.
            (Some(param), true) => return self.replace_param(func, param, common),
            (None, true) => {
                let value = common.unwrap_or_else(|| self.undefined_value(func, ty));
                self.record(block, var, value);
                return value;
            }
            (Some(param), false) => {
                func.attach_param(param);
                param
            }
            (None, false) => {
                let param = func.append_block_param(block, ty);
                self.record(block, var, param);
                param
            }
        };
        let mut node = self.blocks[block.index()].preds.0;
        let mut from_param = false;
        for &arg in &self.values[frame.base..] {
            let pred = self.preds[node as usize];
            func.push_block_call_arg(pred.edge, arg);
            from_param |= matches!(func.value_def(arg), ValueDef::Param(..));
            node = pred.next;
        }
        if from_param {
            self.candidates.push(value);
        }
        value
    }
}
