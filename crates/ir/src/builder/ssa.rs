//! SSA construction while the function is being built.
//!
//! The algorithm is that of Braun et al., "Simple and Efficient Construction of Static Single
//! Assignment Form" (CC 2013), without recursion. What a variable holds in the block being filled
//! is in a dense table; what it holds at the end of other blocks is in a hash table, filled when a
//! block ends and when a search crosses blocks. A block that continues its only predecessor,
//! filled just before it, keeps the dense table as it is.
//!
//! A block parameter is *pending* until it is known to be needed: it is a value, but not yet in
//! its block's list. One that turns out to have a single source becomes an alias of it; the
//! others are attached, and an argument is appended to every edge into their block. So no
//! parameter ever has to be taken out of the middle of a list here.

use super::table::DefTable;
use crate::{Block, BlockCall, EntityRef, Function, PackedOption, Type, Value};

const NONE: u32 = u32::MAX;

/// What a variable holds in the block being filled.
#[derive(Clone, Copy)]
struct Current {
    value: u32,
    /// The value is out of date unless this is the current epoch.
    epoch: u32,
    /// The block that defined it, i.e. whose end has to record it.
    block: u32,
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
    /// List of parameters that wait for the block to be sealed.
    incomplete: u32,
    sealed: bool,
    filled: bool,
}

const NEW_BLOCK: BlockState = BlockState {
    known: 0,
    preds: (NONE, NONE),
    num_preds: 0,
    first_pred: NONE,
    incomplete: NONE,
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
    next: u32,
}

/// A search that waits for the values from further predecessors of `block`.
#[derive(Clone, Copy)]
struct Frame {
    block: Block,
    param: Value,
    next_pred: u32,
    /// Where the values found so far begin in the list of values.
    base: usize,
}

/// The end of a search along single predecessors.
enum Found {
    Value(Value),
    /// This block has no entry for the variable and not exactly one predecessor.
    Nothing(Block),
}

#[derive(Clone)]
pub(super) struct Ssa {
    types: Vec<Type>,
    current: Vec<Current>,
    epoch: u32,
    block: PackedOption<Block>,
    /// Variables defined in the block being filled.
    defined: Vec<u32>,
    blocks: Vec<BlockState>,
    preds: Vec<Pred>,
    incomplete: Vec<Incomplete>,
    table: DefTable,
    frames: Vec<Frame>,
    values: Vec<Value>,
    /// Values of variables that are read before they are defined, by type.
    undefined: Vec<Value>,
    aliases: bool,
}

impl Ssa {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            current: Vec::new(),
            epoch: 1,
            block: PackedOption::NONE,
            defined: Vec::new(),
            blocks: Vec::new(),
            preds: Vec::new(),
            incomplete: Vec::new(),
            table: DefTable::new(),
            frames: Vec::new(),
            values: Vec::new(),
            undefined: Vec::new(),
            aliases: false,
        }
    }

    pub(super) fn clear(&mut self) {
        self.types.clear();
        self.current.clear();
        self.epoch = 1;
        self.block = PackedOption::NONE;
        self.defined.clear();
        self.blocks.clear();
        self.preds.clear();
        self.incomplete.clear();
        self.table.clear();
        self.frames.clear();
        self.values.clear();
        self.undefined.clear();
        self.aliases = false;
    }

    pub(super) fn declare_var(&mut self, ty: Type) -> u32 {
        self.types.push(ty);
        self.current.push(Current {
            value: 0,
            epoch: 0,
            block: NONE,
        });
        self.types.len() as u32 - 1
    }

    pub(super) fn var_type(&self, var: u32) -> Type {
        self.types[var as usize]
    }

    /// Make room for blocks up to number `num_blocks`.
    pub(super) fn add_blocks(&mut self, num_blocks: usize) {
        self.blocks.resize(num_blocks, NEW_BLOCK);
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

    /// Definitions and uses are those of `block` from here on.
    pub(super) fn begin_block(&mut self, block: Block) {
        let state = &self.blocks[block.index()];
        let previous = self.block.expand().map_or(NONE, Block::as_u32);
        let continues = state.sealed && state.num_preds == 1 && state.first_pred == previous;
        if !continues {
            self.epoch += 1;
        }
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
        let current = &mut self.current[var as usize];
        current.value = value.as_u32();
        current.epoch = self.epoch;
        if current.block != block.as_u32() {
            current.block = block.as_u32();
            self.defined.push(var);
        }
    }

    /// What `var` holds in the block being filled, if that is known without a search.
    #[inline]
    pub(super) fn current(&self, var: u32) -> Option<Value> {
        let current = self.current[var as usize];
        (current.epoch == self.epoch).then(|| Value::from_u32(current.value))
    }

    /// What `var` holds in `block`, the block being filled, which does not define it.
    pub(super) fn search(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        let value = match self.find(func, block, var) {
            Found::Value(v) => v,
            Found::Nothing(at) => {
                let v = if self.is_merge(at) {
                    self.merge(func, at, var)
                } else {
                    self.boundary(func, at, var)
                };
                if at != block {
                    self.record(block, var, v);
                }
                v
            }
        };
        let current = &mut self.current[var as usize];
        current.value = value.as_u32();
        current.epoch = self.epoch;
        value
    }

    /// All edges into `block` are known.
    pub(super) fn seal_block(&mut self, func: &mut Function, block: Block) {
        let state = &mut self.blocks[block.index()];
        if std::mem::replace(&mut state.sealed, true) {
            return;
        }
        let first_pred = state.preds.0;
        let mut node = std::mem::replace(&mut state.incomplete, NONE);
        while node != NONE {
            let Incomplete { var, param, next } = self.incomplete[node as usize];
            node = next;
            self.run(
                func,
                var,
                Frame {
                    block,
                    param,
                    next_pred: first_pred,
                    base: 0,
                },
            );
        }
    }

    /// Values that are read without having been defined; they need an instruction each.
    pub(super) fn undefined(&self) -> &[Value] {
        &self.undefined
    }

    /// Whether any value has been made an alias.
    pub(super) fn has_aliases(&self) -> bool {
        self.aliases
    }

    #[inline]
    fn record(&mut self, block: Block, var: u32, value: Value) {
        self.blocks[block.index()].known |= 1 << (var % 64);
        self.table.insert(block, var, value);
    }

    fn is_merge(&self, block: Block) -> bool {
        let state = &self.blocks[block.index()];
        state.sealed && state.num_preds > 1
    }

    /// Search from the end of `start` upward as long as there is one way.
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
                let v = func.resolve(v);
                if at != start {
                    self.record(start, var, v);
                }
                return Found::Value(v);
            }
            if state.num_preds != 1 || !state.sealed {
                return Found::Nothing(at);
            }
            at = Block::from_u32(state.first_pred);
            if at == anchor {
                return Found::Nothing(at);
            }
            steps += 1;
            if steps.is_power_of_two() {
                anchor = at;
            }
        }
    }

    /// The value of `var` in a block where the search ends for other reasons than a merge.
    fn boundary(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        let ty = self.types[var as usize];
        let state = &mut self.blocks[block.index()];
        let value = if state.sealed {
            self.undefined_value(func, ty)
        } else {
            let param = func.create_pending_param(block, ty);
            let next = std::mem::replace(&mut state.incomplete, self.incomplete.len() as u32);
            self.incomplete.push(Incomplete { var, param, next });
            param
        };
        self.record(block, var, value);
        value
    }

    /// The value of `var` in a block with several predecessors.
    fn merge(&mut self, func: &mut Function, block: Block, var: u32) -> Value {
        if let Some(v) = self.agreed(func, block, var) {
            self.record(block, var, v);
            return v;
        }
        let frame = self.open(func, block, var, 0);
        self.run(func, var, frame)
    }

    /// The one value that all predecessors of a merge are known to have, without creating any.
    fn agreed(&mut self, func: &Function, block: Block, var: u32) -> Option<Value> {
        let mut common = None;
        let mut node = self.blocks[block.index()].preds.0;
        while node != NONE {
            let pred = self.preds[node as usize];
            node = pred.next;
            match self.find(func, pred.from, var) {
                Found::Value(v) if common.is_none_or(|c| c == v) => common = Some(v),
                _ => return None,
            }
        }
        common
    }

    /// Begin to ask the predecessors of a merge; until they have answered, its value is a
    /// pending parameter.
    fn open(&mut self, func: &mut Function, block: Block, var: u32, base: usize) -> Frame {
        let param = func.create_pending_param(block, self.types[var as usize]);
        self.record(block, var, param);
        Frame {
            block,
            param,
            next_pred: self.blocks[block.index()].preds.0,
            base,
        }
    }

    /// Ask the predecessors of `frame.block`, theirs, and so on.
    fn run(&mut self, func: &mut Function, var: u32, frame: Frame) -> Value {
        debug_assert!(self.frames.is_empty() && self.values.is_empty());
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
                    Found::Nothing(at) if self.is_merge(at) => {
                        let frame = self.open(func, at, var, self.values.len());
                        self.frames.push(frame);
                        continue;
                    }
                    Found::Nothing(at) => self.boundary(func, at, var),
                }
            };
            self.values.push(value);
        }
    }

    /// All predecessors have answered: the parameter is either one value or needed.
    fn close(&mut self, func: &mut Function, var: u32, frame: Frame) -> Value {
        let Frame { block, param, .. } = frame;
        let mut common = None;
        let mut trivial = true;
        for v in &mut self.values[frame.base..] {
            *v = func.resolve(*v);
            if *v != param {
                trivial &= common.is_none_or(|c| c == *v);
                common = Some(*v);
            }
        }
        if trivial {
            let ty = self.types[var as usize];
            let value = common.unwrap_or_else(|| self.undefined_value(func, ty));
            // Records of the parameter stay valid: they are resolved when they are read.
            func.make_alias(param, value);
            self.aliases = true;
            return value;
        }
        func.attach_param(param);
        let mut node = self.blocks[block.index()].preds.0;
        for &value in &self.values[frame.base..] {
            let pred = self.preds[node as usize];
            func.push_block_call_arg(pred.edge, value);
            node = pred.next;
        }
        param
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
