//! Building a function, instruction by instruction, from code that has mutable variables.

mod calls;
mod insts;
mod simplify;
mod ssa;
mod table;
mod zero;

use crate::{
    Block, BlockCall, EntityRef, Function, Inst, InstData, JumpTableData, Opcode, PackedOption,
    SourceLoc, Type, Value,
};
pub use calls::{EdgeArg, TryItem};
use simplify::{Simplified, simplify};
use ssa::Ssa;

/// A variable of the front end: something that can be assigned more than once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Variable(u32);

impl Variable {
    /// The variable that was the `n`-th to be declared, counted from 0.
    #[inline]
    pub const fn from_u32(n: u32) -> Self {
        Self(n)
    }

    /// How many variables were declared before this one.
    #[inline]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// The memory of a [`FunctionBuilder`], to be reused from function to function.
#[derive(Clone)]
pub struct BuilderContext {
    ssa: Ssa,
    /// The last edge of the `br_table` being built to each block, valid up to its length.
    table_edges: Vec<(u32, BlockCall)>,
    num_tables: u32,
}

impl BuilderContext {
    /// An empty context.
    pub fn new() -> Self {
        Self {
            ssa: Ssa::new(),
            table_edges: Vec::new(),
            num_tables: 0,
        }
    }
}

impl Default for BuilderContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills a [`Function`] block by block.
///
/// A block is created, named in branches, and *filled* in one go: [`switch_to_block`], then its
/// instructions up to the terminator. When no further branch to it will be built, it is *sealed*;
/// the sooner, the better the code and the faster the building. The first block filled is the
/// entry; it cannot be branched to.
///
/// Variables are read with [`use_var`] and assigned with [`def_var`]; the builder finds the value
/// that reaches each read and adds block parameters where several do. A variable that is read
/// where nothing has been assigned to it holds zero.
///
/// Misuse, such as an instruction in a block that is filled already, panics: it is an error of
/// the front end, not of its input. Types are checked by [`verify`](crate::verify), not here.
///
/// [`switch_to_block`]: FunctionBuilder::switch_to_block
/// [`use_var`]: FunctionBuilder::use_var
/// [`def_var`]: FunctionBuilder::def_var
pub struct FunctionBuilder<'a> {
    /// The function being built.
    pub func: &'a mut Function,
    ctx: &'a mut BuilderContext,
    block: PackedOption<Block>,
    srcloc: SourceLoc,
    simplify: bool,
}

impl<'a> FunctionBuilder<'a> {
    /// Begin to build `func`, which has no blocks yet.
    pub fn new(func: &'a mut Function, ctx: &'a mut BuilderContext) -> Self {
        assert!(func.num_blocks() == 0, "the function has blocks already");
        ctx.ssa.clear();
        ctx.table_edges.clear();
        ctx.num_tables = 0;
        Self {
            func,
            ctx,
            block: PackedOption::NONE,
            srcloc: SourceLoc::NONE,
            simplify: false,
        }
    }

    /// Everything is built: settle what could not be settled before.
    ///
    /// No operand of the function is an alias afterwards. If a variable is read on some path
    /// before anything is assigned to it, the constants it needs are put at the start of the entry
    /// block, and the numbers of all other instructions grow by as many.
    ///
    /// Panics if a block that is filled or branched to is not filled and sealed.
    pub fn finalize(self) {
        for n in 0..self.func.num_blocks() {
            let block = Block::new(n);
            let begun = self.func.terminator(block).is_some() || self.block == block.into();
            if begun || self.ctx.ssa.has_preds(block) {
                assert!(self.ctx.ssa.is_filled(block), "{block} is not filled");
                assert!(self.ctx.ssa.is_sealed(block), "{block} is not sealed");
            }
        }
        if !self.ctx.ssa.undefined().is_empty() {
            let mut zeros = Vec::new();
            for &v in self.ctx.ssa.undefined() {
                zero::define(self.func, v, &mut zeros);
            }
            self.func.prepend_insts(&zeros);
        }
        if self.ctx.ssa.finish(self.func) {
            self.func.resolve_all_aliases();
        }
    }

    // Blocks.

    /// A new block, without parameters and predecessors.
    pub fn create_block(&mut self) -> Block {
        let block = self.func.create_block();
        self.ctx.ssa.add_blocks(self.func.num_blocks());
        block
    }

    /// Add a parameter to a block that is not branched to yet.
    pub fn append_block_param(&mut self, block: Block, ty: Type) -> Value {
        debug_assert!(
            !self.ctx.ssa.has_preds(block),
            "{block} is branched to already"
        );
        self.func.append_block_param(block, ty)
    }

    /// Give the entry block a parameter for each parameter of the function.
    pub fn append_block_params_for_function_params(&mut self, entry: Block) {
        for i in 0..self.func.signature.params.len() {
            let ty = self.func.signature.params[i].ty;
            self.append_block_param(entry, ty);
        }
    }

    /// The parameters of a block.
    pub fn block_params(
        &self,
        block: Block,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + Clone + '_ {
        self.func.block_params(block)
    }

    /// Parameter number `num` of a block.
    pub fn block_param(&self, block: Block, num: usize) -> Value {
        self.func.lists.get(self.func.block(block).params, num)
    }

    /// Fill `block` from here on. The block filled before must have got its terminator.
    pub fn switch_to_block(&mut self, block: Block) {
        assert!(
            self.block.expand().is_none() || self.is_filled(),
            "the previous block has no terminator"
        );
        assert!(!self.ctx.ssa.is_filled(block), "{block} is filled already");
        if self.func.layout().is_empty() {
            assert!(!self.ctx.ssa.has_preds(block), "branch to the entry block");
            self.ctx.ssa.seal_block(self.func, block);
        }
        self.func.begin_block(block);
        self.ctx.ssa.begin_block(block);
        self.block = block.into();
    }

    /// No further branch to `block` will be built. The entry block is sealed from the start.
    pub fn seal_block(&mut self, block: Block) {
        self.ctx.ssa.seal_block(self.func, block);
    }

    /// Seal every block that is not sealed yet.
    pub fn seal_all_blocks(&mut self) {
        for n in 0..self.func.num_blocks() {
            self.seal_block(Block::new(n));
        }
    }

    /// The block being filled, or filled last.
    pub fn current_block(&self) -> Option<Block> {
        self.block.expand()
    }

    /// Whether the current block has its terminator.
    #[inline]
    pub fn is_filled(&self) -> bool {
        self.block
            .expand()
            .is_some_and(|b| self.ctx.ssa.is_filled(b))
    }

    /// Whether nothing leads to the current block: it is sealed, not the entry, and has no
    /// predecessors.
    pub fn is_unreachable(&self) -> bool {
        self.block.expand().is_some_and(|b| {
            self.ctx.ssa.is_sealed(b) && !self.ctx.ssa.has_preds(b) && self.func.layout()[0] != b
        })
    }

    // Variables.

    /// A new variable.
    pub fn declare_var(&mut self, ty: Type) -> Variable {
        Variable(self.ctx.ssa.declare_var(ty))
    }

    /// Assign to a variable.
    #[inline]
    pub fn def_var(&mut self, var: Variable, value: Value) {
        debug_assert_eq!(
            self.ctx.ssa.var_type(var.0),
            self.func.value_type(value),
            "type of {value} and of the variable it is assigned to"
        );
        let block = self.open_block();
        self.ctx.ssa.def_var(block, var.0, value);
    }

    /// The value of a variable here.
    #[inline]
    pub fn use_var(&mut self, var: Variable) -> Value {
        match self.ctx.ssa.current(var.0) {
            Some(value) => value,
            None => self.search_var(var),
        }
    }

    #[inline(never)]
    fn search_var(&mut self, var: Variable) -> Value {
        let block = self.open_block();
        if self.is_unreachable() {
            let ty = self.ctx.ssa.var_type(var.0);
            let value = self.zero(ty);
            self.def_var(var, value);
            return value;
        }
        self.ctx.ssa.search(self.func, block, var.0)
    }

    // Instructions.

    /// Where the instructions that follow come from.
    pub fn set_srcloc(&mut self, loc: SourceLoc) {
        self.srcloc = loc;
    }

    /// Whether to simplify instructions as they are built: operations on constants, operations
    /// that change nothing, conversions and comparisons of each other. Off at first, so that what
    /// is built is what was asked for.
    ///
    /// The value a method returns may then be one that existed before.
    pub fn set_simplify(&mut self, on: bool) {
        self.simplify = on;
    }

    /// The results of an instruction.
    pub fn inst_results(
        &self,
        inst: Inst,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + use<> {
        self.func.inst_results(inst)
    }

    /// The block that takes instructions.
    #[inline]
    fn open_block(&self) -> Block {
        debug_assert!(!self.is_filled(), "the current block is filled already");
        self.block.expand().expect("no current block")
    }

    /// Append an instruction that has no results, or those of a signature.
    #[inline]
    fn push(&mut self, data: InstData) -> Inst {
        self.open_block();
        let ty = Type::INVALID;
        self.func.push_inst_with_results(data, ty, self.srcloc)
    }

    /// Append an instruction that has one result, of type `ty`, or what is simpler.
    #[inline]
    fn push_value(&mut self, mut data: InstData, ty: Type) -> Value {
        self.open_block();
        if self.simplify {
            while let Some(simpler) = simplify(self.func, &data, ty) {
                match simpler {
                    Simplified::Value(v) => return v,
                    Simplified::Inst(inst) => data = inst,
                    Simplified::Const(imm) => {
                        let opcode = Opcode::Iconst;
                        data = InstData::UnaryImm { opcode, imm };
                    }
                }
            }
        }
        self.func.push_inst_with_result(data, ty, self.srcloc)
    }

    /// The condition that takes the place of `cond` in a branch or conditional trap.
    #[inline]
    fn condition(&self, cond: Value) -> Value {
        match self.simplify {
            true => simplify::condition(self.func, cond),
            false => cond,
        }
    }

    fn terminate(&mut self, data: InstData) -> Inst {
        let block = self.open_block();
        let inst = self.func.push_inst(data, self.srcloc);
        let branch = data.opcode().is_branch();
        self.ctx.ssa.end_block(block, branch);
        inst
    }

    /// A new edge out of the current block.
    fn edge(&mut self, to: Block, args: &[Value]) -> BlockCall {
        let from = self.open_block();
        debug_assert_ne!(self.func.layout()[0], to, "branch to the entry block");
        let edge = self.func.create_block_call(to, args);
        self.ctx.ssa.add_edge(from, to, edge);
        edge
    }

    /// Go to a block.
    pub fn jump(&mut self, block: Block, args: &[Value]) -> Inst {
        let opcode = Opcode::Jump;
        let dest = self.edge(block, args);
        self.terminate(InstData::Jump { opcode, dest })
    }

    /// Go to `then` if `cond` is not zero, else to `otherwise`.
    pub fn brif(
        &mut self,
        cond: Value,
        then: Block,
        then_args: &[Value],
        otherwise: Block,
        else_args: &[Value],
    ) -> Inst {
        let opcode = Opcode::Brif;
        let arg = self.condition(cond);
        let dests = [self.edge(then, then_args), self.edge(otherwise, else_args)];
        self.terminate(InstData::Brif { opcode, arg, dests })
    }

    /// Go to the target that `index`, unsigned, selects, or to the default if there is none.
    ///
    /// Targets that are the same in block and arguments share an edge.
    pub fn br_table(
        &mut self,
        index: Value,
        default: (Block, &[Value]),
        targets: &[(Block, &[Value])],
    ) -> Inst {
        let opcode = Opcode::BrTable;
        self.ctx.num_tables += 1;
        self.ctx
            .table_edges
            .resize(self.func.num_blocks(), (0, BlockCall::from_u32(0)));
        let default = self.table_edge(default);
        let table = targets.iter().map(|&t| self.table_edge(t)).collect();
        let table = self
            .func
            .create_jump_table(JumpTableData { default, table });
        let arg = index;
        self.terminate(InstData::BranchTable { opcode, arg, table })
    }

    fn table_edge(&mut self, (to, args): (Block, &[Value])) -> BlockCall {
        let (table, edge) = self.ctx.table_edges[to.index()];
        if table == self.ctx.num_tables && self.func.block_call_args(edge).eq(args.iter().copied())
        {
            return edge;
        }
        let edge = self.edge(to, args);
        self.ctx.table_edges[to.index()] = (self.ctx.num_tables, edge);
        edge
    }
}
