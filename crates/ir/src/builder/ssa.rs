//! SSA construction while the function is being built.
//!
//! The algorithm is that of Braun et al., "Simple and Efficient Construction of Static Single
//! Assignment Form" (CC 2013), without recursion, and with a shortcut for what is by far the most
//! frequent: a variable whose latest assignment dominates its use. [`Ssa::current`] holds, for each
//! variable, the value it got last and the block where; [`path`] knows the dominators of the block
//! being filled. If the former is among the latter, with no unsealed loop between them, the value
//! is found. If there are unsealed loops between, the variable gets a parameter in each of their
//! headers that waits for the loop to be sealed; if nothing is assigned to it until then, it was not
//! needed, and nobody had to search for that. Only a variable that has been assigned on some of
//! several ways here takes the [`search`] through predecessors.
//!
//! A block parameter is *pending* until it is known to be needed: it is a value, but not yet in
//! its block's list. One that turns out to have a single source becomes an alias of it; the
//! others are attached, and an argument is appended to every edge into their block.

mod minimize;
mod path;
mod search;
mod tree;

use super::table::DefTable;
use crate::{Block, BlockCall, EntityRef, Function, PackedOption, Type, Value};
use path::Path;
use search::Frame;
use std::ops::Range;

const NONE: u32 = u32::MAX;

/// How many assignments to a variable are looked at to see whether one is in some range.
const MAX_ASSIGNMENTS: usize = 16;

/// The value a variable got last, by an assignment or a search.
#[derive(Clone, Copy)]
struct Current {
    value: u32,
    /// Where it got it; `NONE` if it never got any.
    block: u32,
    /// The depth of that block in the dominator tree.
    depth: u32,
}

/// A block that assigns to a variable.
#[derive(Clone, Copy)]
struct Assignment {
    /// How many blocks were begun before it.
    time: u32,
    /// The one before it; `NONE` if there is none.
    previous: u32,
}

#[derive(Clone, Copy)]
struct BlockState {
    /// A bit for `var % 64` of each variable that the table has for this block.
    known: u64,
    /// List of edges into the block, first and last.
    preds: (u32, u32),
    /// Number of edges into the block.
    num_preds: u32,
    /// The block the first edge comes from.
    first_pred: u32,
    /// List of parameters that wait for the block to be sealed, first and last.
    incomplete: (u32, u32),
    sealed: bool,
    filled: bool,
}

const NEW_BLOCK: BlockState = BlockState {
    known: 0,
    preds: (NONE, NONE),
    num_preds: 0,
    first_pred: NONE,
    incomplete: (NONE, NONE),
    sealed: false,
    filled: false,
};

/// An edge into a block.
#[derive(Clone, Copy)]
struct Pred {
    from: Block,
    edge: BlockCall,
    next: u32,
}

/// A parameter whose arguments are not known before its block is sealed.
#[derive(Clone, Copy)]
struct Incomplete {
    var: u32,
    param: Value,
    /// What the variable holds in the predecessors that were known when the block was begun;
    /// its `block` is `NONE` if that has to be searched for.
    outer: Current,
    next: u32,
}

#[derive(Clone)]
pub(super) struct Ssa {
    types: Vec<Type>,
    current: Vec<Current>,
    assignments: Vec<Assignment>,
    /// The last assignment to each variable.
    last_assignment: Vec<u32>,
    block: PackedOption<Block>,
    /// Variables that got a value in the block being filled.
    defined: Vec<u32>,
    path: Path,
    blocks: Vec<BlockState>,
    preds: Vec<Pred>,
    incomplete: Vec<Incomplete>,
    table: DefTable,
    frames: Vec<Frame>,
    values: Vec<Value>,
    /// Values of variables that are read before they are defined, by type.
    undefined: Vec<Value>,
    aliases: bool,
    /// Attached parameters that have other parameters among their arguments.
    candidates: Vec<Value>,
}

impl Ssa {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            current: Vec::new(),
            assignments: Vec::new(),
            last_assignment: Vec::new(),
            block: PackedOption::NONE,
            defined: Vec::new(),
            path: Path::new(),
            blocks: Vec::new(),
            preds: Vec::new(),
            incomplete: Vec::new(),
            table: DefTable::new(),
            frames: Vec::new(),
            values: Vec::new(),
            undefined: Vec::new(),
            aliases: false,
            candidates: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.types.clear();
        self.current.clear();
        self.assignments.clear();
        self.last_assignment.clear();
        self.block = PackedOption::NONE;
        self.defined.clear();
        self.path.clear();
        self.blocks.clear();
        self.preds.clear();
        self.incomplete.clear();
        self.table.clear();
        self.frames.clear();
        self.values.clear();
        self.undefined.clear();
        self.aliases = false;
        self.candidates.clear();
    }

    pub(super) fn declare_var(&mut self, ty: Type) -> u32 {
        self.types.push(ty);
        self.last_assignment.push(NONE);
        self.current.push(Current {
            value: 0,
            block: NONE,
            depth: 0,
        });
        self.types.len() as u32 - 1
    }

    pub(super) fn var_type(&self, var: u32) -> Type {
        self.types[var as usize]
    }

    /// Make room for blocks up to number `num_blocks`.
    pub(super) fn add_blocks(&mut self, num_blocks: usize) {
        self.blocks.resize(num_blocks, NEW_BLOCK);
        self.path.tree.add_blocks(num_blocks);
    }

    pub(super) fn is_sealed(&self, block: Block) -> bool {
        self.blocks[block.index()].sealed
    }

    pub(super) fn is_filled(&self, block: Block) -> bool {
        self.blocks[block.index()].filled
    }

    pub(super) fn has_preds(&self, block: Block) -> bool {
        self.blocks[block.index()].num_preds != 0
    }

    /// Values that are read without having been defined; they need an instruction each.
    pub(super) fn undefined(&self) -> &[Value] {
        &self.undefined
    }

    /// All blocks are filled and sealed. Whether there are aliases among the values.
    pub(super) fn finish(&mut self, func: &mut Function) -> bool {
        if self.aliases {
            self.remove_trivial_params(func);
        }
        self.aliases
    }

    /// Definitions and uses are those of `block` from here on.
    pub(super) fn begin_block(&mut self, block: Block) {
        let state = &self.blocks[block.index()];
        let mut node = state.preds.0;
        let preds = std::iter::from_fn(|| {
            let pred = self.preds.get(node as usize)?;
            node = pred.next;
            Some(pred.from)
        });
        self.path
            .begin_block(block, state.sealed, state.num_preds, preds);
        self.defined.clear();
        self.block = block.into();
    }

    /// The block being filled has got its terminator, with successors or without.
    pub(super) fn end_block(&mut self, block: Block, has_successors: bool) {
        debug_assert_eq!(self.block.expand(), Some(block));
        self.blocks[block.index()].filled = true;
        if has_successors {
            for i in 0..self.defined.len() {
                let var = self.defined[i];
                let value = Value::from_u32(self.current[var as usize].value);
                self.record(block, var, value);
            }
        }
    }

    /// There is an edge from `from` to `to`.
    pub(super) fn add_edge(&mut self, from: Block, to: Block, edge: BlockCall) {
        let node = self.preds.len() as u32;
        let next = NONE;
        self.preds.push(Pred { from, edge, next });
        let state = &mut self.blocks[to.index()];
        assert!(!state.sealed, "new edge to {to}, which is sealed");
        if state.num_preds == 0 {
            state.preds.0 = node;
            state.first_pred = from.as_u32();
        } else {
            self.preds[state.preds.1 as usize].next = node;
        }
        state.preds.1 = node;
        state.num_preds += 1;
    }

    #[inline]
    pub(super) fn def_var(&mut self, block: Block, var: u32, value: Value) {
        let time = self.path.tree.now();
        let last = &mut self.last_assignment[var as usize];
        if self
            .assignments
            .get(*last as usize)
            .is_none_or(|a| a.time != time)
        {
            let previous = std::mem::replace(last, self.assignments.len() as u32);
            self.assignments.push(Assignment { time, previous });
        }
        self.set_current(block, var, value);
    }

    /// When `var` was assigned to last before `time`; `Ok(None)` if never, and an error if it has
    /// been assigned to so often since that it takes too long to tell.
    fn assigned_before(&self, var: u32, time: u32) -> Result<Option<u32>, ()> {
        let mut last = self.last_assignment[var as usize];
        for _ in 0..MAX_ASSIGNMENTS {
            let Some(assignment) = self.assignments.get(last as usize) else {
                return Ok(None);
            };
            if assignment.time < time {
                return Ok(Some(assignment.time));
            }
            last = assignment.previous;
        }
        Err(())
    }

    /// Whether a block begun at one of these times assigns to `var`, as far as that can be told.
    fn is_assigned(&self, var: u32, times: Range<u32>) -> bool {
        match self.assigned_before(var, times.end) {
            Ok(time) => time.is_some_and(|t| t >= times.start),
            Err(()) => true,
        }
    }

    /// What `var` holds in the block being filled, if that is known without further ado.
    #[inline]
    pub(super) fn current(&self, var: u32) -> Option<Value> {
        let current = self.current[var as usize];
        self.path
            .is_visible(current.block, current.depth)
            .then(|| Value::from_u32(current.value))
    }

    /// `var` holds `value` from here on, in `block`, which is the one being filled or on its path.
    #[inline]
    fn set_current(&mut self, block: Block, var: u32, value: Value) {
        let current = &mut self.current[var as usize];
        if current.block != block.as_u32() {
            current.block = block.as_u32();
            current.depth = self.path.tree.depth(block);
            if self.block == block.into() {
                self.defined.push(var);
            }
        }
        current.value = value.as_u32();
    }

    /// What `var` holds in `block`, the block being filled, where [`Ssa::current`] has no answer.
    pub(super) fn search(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        if self.current[var as usize].block == NONE {
            // Nothing has been assigned to it anywhere.
            let value = self.undefined_value(func, self.types[var as usize]);
            self.set_current(func.layout()[0], var, value);
        }
        let current = self.current[var as usize];
        if let Some(loops) = self.path.loops_since(current.block, current.depth) {
            for i in loops {
                if let Some(head) = self.path.unsealed(i) {
                    self.pass_loop(func, head, var);
                }
            }
            return Value::from_u32(self.current[var as usize].value);
        }
        let value = self.value_in(func, block, var);
        self.set_current(block, var, value);
        value
    }

    /// The latest value of `var` is visible in the predecessors of `head`, an unsealed loop: make
    /// it visible inside.
    fn pass_loop(&mut self, func: &mut Function, head: Block, var: u32) {
        let outer = self.current[var as usize];
        let param = self.pending_param(func, head, var, outer);
        self.set_current(head, var, param);
    }

    /// A parameter of `block`, which is not sealed, for `var`.
    fn pending_param(
        &mut self,
        func: &mut Function,
        block: Block,
        var: u32,
        outer: Current,
    ) -> Value {
        let param = func.create_pending_param(block, self.types[var as usize]);
        let node = self.incomplete.len() as u32;
        self.incomplete.push(Incomplete {
            var,
            param,
            outer,
            next: NONE,
        });
        let list = &mut self.blocks[block.index()].incomplete;
        match self.incomplete.get_mut(list.1 as usize) {
            Some(last) => last.next = node,
            None => list.0 = node,
        }
        list.1 = node;
        self.record(block, var, param);
        param
    }

    /// All edges into `block` are known.
    pub(super) fn seal_block(&mut self, func: &mut Function, block: Block) {
        let state = &mut self.blocks[block.index()];
        if std::mem::replace(&mut state.sealed, true) {
            return;
        }
        let mut node = std::mem::replace(&mut state.incomplete, (NONE, NONE)).0;
        let first_pred = state.preds.0;
        let (mut early, mut late) = (0, first_pred);
        if let Some(known) = self.path.tree.preds_at_begin(block) {
            while early < known {
                late = self.preds[late as usize].next;
                early += 1;
            }
        }
        let mut at = late;
        let latches = std::iter::from_fn(|| {
            let pred = self.preds.get(at as usize)?;
            at = pred.next;
            Some(pred.from)
        });
        let natural = self.path.seal_block(block, latches);
        while node != NONE {
            let incomplete = self.incomplete[node as usize];
            node = incomplete.next;
            let Incomplete {
                var, param, outer, ..
            } = incomplete;
            let known = outer.block != NONE;
            let current = self.current[var as usize];
            let unchanged = current.value == param.as_u32() && current.block == block.as_u32();
            if known && natural && unchanged {
                // Nothing has been assigned to it in the loop.
                self.current[var as usize] = outer;
                let outer = func.resolve(Value::from_u32(outer.value));
                self.replace_param(func, param, (outer != param).then_some(outer));
                continue;
            }
            let (next_pred, early) = if known {
                (late, early)
            } else {
                (first_pred, 0)
            };
            let value = Value::from_u32(outer.value);
            self.values.extend((0..early).map(|_| value));
            self.run(func, var, Frame::new(block, param.into(), next_pred, 0));
        }
    }

    /// A pending parameter is not needed: its value is always `value`, or there is none because it
    /// is in a loop that nothing leads to.
    fn replace_param(&mut self, func: &mut Function, param: Value, value: Option<Value>) -> Value {
        let value = match value {
            Some(value) => value,
            None => self.undefined_value(func, func.value_type(param)),
        };
        func.make_alias(param, value);
        self.aliases = true;
        value
    }

    #[inline]
    fn record(&mut self, block: Block, var: u32, value: Value) {
        let known = &mut self.blocks[block.index()].known;
        let bit = 1 << (var % 64);
        let is_new = *known & bit == 0;
        *known |= bit;
        self.table.insert(block, var, value, is_new);
    }

    /// What a variable of type `ty` holds where nothing defines it.
    fn undefined_value(&mut self, func: &mut Function, ty: Type) -> Value {
        let known = self.undefined.iter().find(|&&v| func.value_type(v) == ty);
        known.copied().unwrap_or_else(|| {
            let entry = func.layout()[0];
            let value = func.create_pending_param(entry, ty);
            self.undefined.push(value);
            value
        })
    }
}
