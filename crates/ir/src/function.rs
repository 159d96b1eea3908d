//! A function: its tables and how they refer to each other.

use crate::{
    Block, BlockCall, EntityRef, FuncRef, Inst, InstData, JumpTable, ListPool, Opcode, ResultType,
    SigRef, Signature, SiteAttr, StackSlot, Type, Value, ValueList,
};
use core::fmt;

mod checked;
mod pending;

/// A position in the source of the function, e.g. a Wasm code offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceLoc(u32);

impl SourceLoc {
    /// No position.
    pub const NONE: SourceLoc = SourceLoc(u32::MAX);

    /// The position `n`.
    #[inline]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The number of the position; `u32::MAX` for none.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is no position.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

/// The name of a function, resolved by whoever links the code.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ExternalName {
    /// A name made of two numbers, `u0:5`.
    User {
        /// What kind of thing it is, to the front end.
        namespace: u32,
        /// Which one.
        index: u32,
    },
    /// A name made of letters, `%memcpy`.
    Named(Box<str>),
}

impl fmt::Display for ExternalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternalName::User { namespace, index } => write!(f, "u{namespace}:{index}"),
            ExternalName::Named(name) => write!(f, "%{name}"),
        }
    }
}

/// A function that can be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtFunc {
    /// What it is called.
    pub name: ExternalName,
    /// Its signature.
    pub signature: SigRef,
    /// Whether it is close enough for a near call.
    pub colocated: bool,
    /// Whether calls to it are patch sites. Such a callee is colocated and returns nothing.
    pub patchable: bool,
}

/// Bytes in the frame whose address can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackSlotData {
    /// Size in bytes.
    pub size: u32,
    /// log2 of the alignment.
    pub align_shift: u8,
}

/// The target of an edge and the arguments for the parameters of that block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockCallData {
    /// The block.
    pub block: Block,
    /// One argument per parameter.
    pub args: ValueList,
}

/// The edges of a `br_table`. Indices that lead to the same block with the same arguments may share
/// an edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JumpTableData {
    /// Where an index outside the table leads.
    pub default: BlockCall,
    /// Where index 0, 1, … lead.
    pub table: Vec<BlockCall>,
}

/// The trailing attributes of a patchable call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SiteAttrData {
    /// `site=K`: a number that means something to the front end.
    pub site: u32,
    /// `observe=[…]`: values that a hook must be able to find.
    pub observe: ValueList,
}

/// A basic block: a contiguous range of instructions that ends with a terminator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockData {
    /// Its parameters.
    pub params: ValueList,
    /// Number of its first instruction.
    pub first: u32,
    /// One past the number of its last instruction.
    pub end: u32,
    /// Whether it is expected to be executed rarely.
    pub cold: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueDef {
    /// Result number `.1` of an instruction.
    Result(Inst, u32),
    /// Parameter number `.1` of a block.
    Param(Block, u32),
    /// Another value under a second name.
    Alias(Value),
}

/// Eight bytes: what the value is, its number there, its type, and the entity it comes from.
#[derive(Clone, Copy)]
struct ValueData {
    /// Bits 0–7 type, 8–9 kind, 10–31 number.
    bits: u32,
    entity: u32,
}

const KIND_RESULT: u32 = 0;
const KIND_PARAM: u32 = 1;
const KIND_ALIAS: u32 = 2;
/// The largest number of results of an instruction or parameters of a block.
const MAX_NUM: usize = (1 << 22) - 1;

impl ValueData {
    fn new(ty: Type, kind: u32, num: usize, entity: u32) -> Self {
        assert!(num <= MAX_NUM, "too many results or block parameters");
        Self {
            bits: u32::from(ty.raw()) | kind << 8 | (num as u32) << 10,
            entity,
        }
    }
}

/// A function in SSA form.
///
/// All tables are indexed by the dense references of [`crate`]. A function can be emptied with
/// [`Function::clear`] and filled again without freeing its memory.
#[derive(Clone)]
pub struct Function {
    /// What the function is called.
    pub name: ExternalName,
    /// Its parameters and results. The entry block has a parameter for each of the former.
    pub signature: Signature,
    /// Where its source begins, e.g. a Wasm code offset; 0 if that means nothing.
    pub base_srcloc: u32,
    signatures: Vec<Signature>,
    ext_funcs: Vec<ExtFunc>,
    stack_slots: Vec<StackSlotData>,
    jump_tables: Vec<JumpTableData>,
    site_attrs: Vec<SiteAttrData>,
    block_calls: Vec<BlockCallData>,
    blocks: Vec<BlockData>,
    layout: Vec<Block>,
    insts: Vec<InstData>,
    /// First result and number of results of each instruction.
    results: Vec<(u32, u32)>,
    srclocs: Vec<SourceLoc>,
    values: Vec<ValueData>,
    /// The lists of values the other tables refer to.
    pub lists: ListPool,
}

impl Function {
    /// An empty function.
    pub fn new(name: ExternalName, signature: Signature) -> Self {
        Self {
            name,
            signature,
            base_srcloc: 0,
            signatures: Vec::new(),
            ext_funcs: Vec::new(),
            stack_slots: Vec::new(),
            jump_tables: Vec::new(),
            site_attrs: Vec::new(),
            block_calls: Vec::new(),
            blocks: Vec::new(),
            layout: Vec::new(),
            insts: Vec::new(),
            results: Vec::new(),
            srclocs: Vec::new(),
            values: Vec::new(),
            lists: ListPool::default(),
        }
    }

    /// Empty the function, keeping its memory; name and signature stay until replaced.
    pub fn clear(&mut self) {
        self.base_srcloc = 0;
        self.signatures.clear();
        self.ext_funcs.clear();
        self.stack_slots.clear();
        self.jump_tables.clear();
        self.site_attrs.clear();
        self.block_calls.clear();
        self.blocks.clear();
        self.layout.clear();
        self.insts.clear();
        self.results.clear();
        self.srclocs.clear();
        self.values.clear();
        self.lists.clear();
    }

    // Preamble entities.

    /// Add a signature for callees.
    pub fn import_signature(&mut self, sig: Signature) -> SigRef {
        self.signatures.push(sig);
        SigRef::new(self.signatures.len() - 1)
    }

    /// A signature.
    pub fn sig(&self, sig: SigRef) -> &Signature {
        &self.signatures[sig.index()]
    }

    /// All signatures, in order.
    pub fn sigs(&self) -> &[Signature] {
        &self.signatures
    }

    /// Add a function that can be called.
    pub fn import_function(&mut self, func: ExtFunc) -> FuncRef {
        self.ext_funcs.push(func);
        FuncRef::new(self.ext_funcs.len() - 1)
    }

    /// A function that can be called.
    #[inline]
    pub fn ext_func(&self, func: FuncRef) -> &ExtFunc {
        &self.ext_funcs[func.index()]
    }

    /// All functions that can be called, in order.
    pub fn ext_funcs(&self) -> &[ExtFunc] {
        &self.ext_funcs
    }

    /// Add a stack slot.
    pub fn create_stack_slot(&mut self, slot: StackSlotData) -> StackSlot {
        self.stack_slots.push(slot);
        StackSlot::new(self.stack_slots.len() - 1)
    }

    /// All stack slots, in order.
    pub fn stack_slots(&self) -> &[StackSlotData] {
        &self.stack_slots
    }

    /// Add the targets of a `br_table`.
    pub fn create_jump_table(&mut self, table: JumpTableData) -> JumpTable {
        self.jump_tables.push(table);
        JumpTable::new(self.jump_tables.len() - 1)
    }

    /// The targets of a `br_table`.
    pub fn jump_table(&self, table: JumpTable) -> &JumpTableData {
        &self.jump_tables[table.index()]
    }

    /// Add the attributes of a patchable call.
    pub fn create_site_attr(&mut self, site: u32, observe: &[Value]) -> SiteAttr {
        let observe = self.lists.list(observe);
        self.site_attrs.push(SiteAttrData { site, observe });
        SiteAttr::new(self.site_attrs.len() - 1)
    }

    /// The attributes of a patchable call.
    pub fn site_attr(&self, attr: SiteAttr) -> SiteAttrData {
        self.site_attrs[attr.index()]
    }

    // Blocks.

    /// A new block without parameters, not yet in the layout.
    pub fn create_block(&mut self) -> Block {
        self.blocks.push(BlockData {
            params: ValueList::default(),
            first: 0,
            end: 0,
            cold: false,
        });
        Block::new(self.blocks.len() - 1)
    }

    /// Number of blocks, including those not in the layout.
    #[inline]
    pub fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks in the order in which they were filled; the first is the entry.
    #[inline]
    pub fn layout(&self) -> &[Block] {
        &self.layout
    }

    /// Put `block` at the end of the layout; the instructions that follow are its own.
    ///
    /// A block is filled in one go: instructions go to the block begun last.
    pub fn begin_block(&mut self, block: Block) {
        let at = self.insts.len() as u32;
        let data = &mut self.blocks[block.index()];
        data.first = at;
        data.end = at;
        self.layout.push(block);
    }

    /// The range and properties of a block.
    #[inline]
    pub fn block(&self, block: Block) -> &BlockData {
        &self.blocks[block.index()]
    }

    /// Mark a block as rarely executed.
    pub fn set_cold(&mut self, block: Block) {
        self.blocks[block.index()].cold = true;
    }

    /// The instructions of a block, in order.
    #[inline]
    pub fn block_insts(&self, block: Block) -> impl DoubleEndedIterator<Item = Inst> + use<> {
        let data = &self.blocks[block.index()];
        (data.first..data.end).map(Inst::from_u32)
    }

    /// The last instruction of a block, if it has any.
    #[inline]
    pub fn terminator(&self, block: Block) -> Option<Inst> {
        let data = &self.blocks[block.index()];
        (data.end > data.first).then(|| Inst::from_u32(data.end - 1))
    }

    /// Add a parameter to a block.
    pub fn append_block_param(&mut self, block: Block, ty: Type) -> Value {
        let num = self.lists.len(self.blocks[block.index()].params);
        let v = self.push_value(ValueData::new(ty, KIND_PARAM, num, block.as_u32()));
        self.lists.push(&mut self.blocks[block.index()].params, v);
        v
    }

    /// Remove parameter number `num` of a block; its value becomes an alias of `to`.
    ///
    /// The caller removes the argument from every edge.
    pub fn remove_block_param(&mut self, block: Block, num: usize, to: Value) {
        let mut params = self.blocks[block.index()].params;
        let removed = self.lists.get(params, num);
        self.lists.remove(&mut params, num);
        self.blocks[block.index()].params = params;
        for i in num..self.lists.len(params) {
            let v = self.lists.get(params, i);
            let ty = self.value_type(v);
            self.values[v.index()] = ValueData::new(ty, KIND_PARAM, i, block.as_u32());
        }
        self.make_alias(removed, to);
    }

    /// The parameters of a block.
    #[inline]
    pub fn block_params(
        &self,
        block: Block,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + Clone + '_ {
        self.lists.iter(self.blocks[block.index()].params)
    }

    /// A new edge.
    pub fn create_block_call(&mut self, block: Block, args: &[Value]) -> BlockCall {
        let args = self.lists.list(args);
        self.block_calls.push(BlockCallData { block, args });
        BlockCall::new(self.block_calls.len() - 1)
    }

    /// An edge.
    #[inline]
    pub fn block_call(&self, edge: BlockCall) -> BlockCallData {
        self.block_calls[edge.index()]
    }

    /// The arguments of an edge. They may be aliases; see [`Function::resolve`].
    #[inline]
    pub fn block_call_args(
        &self,
        edge: BlockCall,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + Clone + '_ {
        self.lists.iter(self.block_calls[edge.index()].args)
    }

    /// Append an argument to an edge.
    pub fn push_block_call_arg(&mut self, edge: BlockCall, arg: Value) {
        self.lists
            .push(&mut self.block_calls[edge.index()].args, arg);
    }

    /// Remove argument number `num` of an edge.
    pub fn remove_block_call_arg(&mut self, edge: BlockCall, num: usize) {
        self.lists
            .remove(&mut self.block_calls[edge.index()].args, num);
    }

    /// Calls `f` with every edge out of `inst`, in operand order (a table's default first).
    #[inline]
    pub fn for_each_edge(&self, inst: Inst, mut f: impl FnMut(BlockCall)) {
        match self.insts[inst.index()] {
            InstData::Jump { dest, .. } => f(dest),
            InstData::Brif { dests, .. } => dests.into_iter().for_each(f),
            InstData::BranchTable { table, .. } => {
                let table = &self.jump_tables[table.index()];
                f(table.default);
                table.table.iter().copied().for_each(f);
            }
            _ => {}
        }
    }

    // Instructions.

    /// Append an instruction without results to the block begun last.
    #[inline]
    pub fn push_inst(&mut self, data: InstData, loc: SourceLoc) -> Inst {
        let inst = Inst::new(self.insts.len());
        self.insts.push(data);
        self.results.push((self.values.len() as u32, 0));
        self.srclocs.push(loc);
        let block = *self.layout.last().expect("no block to append to");
        self.blocks[block.index()].end = inst.as_u32() + 1;
        inst
    }

    /// Give the instruction appended last one more result.
    #[inline]
    pub fn push_result(&mut self, inst: Inst, ty: Type) -> Value {
        debug_assert_eq!(inst.index() + 1, self.insts.len());
        let num = self.results[inst.index()].1;
        self.results[inst.index()].1 += 1;
        self.push_value(ValueData::new(ty, KIND_RESULT, num as usize, inst.as_u32()))
    }

    /// Append an instruction that has one result, of type `ty`.
    #[inline]
    pub fn push_inst_with_result(&mut self, data: InstData, ty: Type, loc: SourceLoc) -> Value {
        let inst = self.push_inst(data, loc);
        self.results[inst.index()].1 = 1;
        self.push_value(ValueData::new(ty, KIND_RESULT, 0, inst.as_u32()))
    }

    /// Append an instruction and the results its opcode has.
    ///
    /// `ty` is the result type where the opcode has one that is
    /// [written](ResultType::Written); it is ignored otherwise.
    pub fn push_inst_with_results(&mut self, data: InstData, ty: Type, loc: SourceLoc) -> Inst {
        let inst = self.push_inst(data, loc);
        match data.opcode().result_type() {
            ResultType::None => {}
            ResultType::Signature => {
                let sig = match data {
                    InstData::Call { func, .. } => self.ext_funcs[func.index()].signature,
                    InstData::CallIndirect { sig, .. } => sig,
                    _ => unreachable!("only calls have the results of a signature"),
                };
                for i in 0..self.signatures[sig.index()].returns.len() {
                    let ty = self.signatures[sig.index()].returns[i].ty;
                    self.push_result(inst, ty);
                }
            }
            rule => {
                let ty = self.fixed_result_type(&data, rule).unwrap_or(ty);
                self.push_result(inst, ty);
            }
        }
        inst
    }

    /// The result type that follows from the operands; none if it is written.
    fn fixed_result_type(&self, data: &InstData, rule: ResultType) -> Option<Type> {
        match rule {
            ResultType::SameAsFirst => Some(self.value_type(match *data {
                InstData::Unary { arg, .. } => arg,
                InstData::Binary { args, .. } => args[0],
                _ => unreachable!("no first operand"),
            })),
            ResultType::SameAsSecond => Some(self.value_type(match *data {
                InstData::Ternary { args, .. } => args[1],
                _ => unreachable!("no second operand"),
            })),
            ResultType::Bool => Some(Type::I8),
            ResultType::F32 => Some(Type::F32),
            ResultType::F64 => Some(Type::F64),
            _ => None,
        }
    }

    /// Number of instructions.
    #[inline]
    pub fn num_insts(&self) -> usize {
        self.insts.len()
    }

    /// An instruction. Its operands may be aliases; see [`Function::resolve`].
    #[inline]
    pub fn inst(&self, inst: Inst) -> &InstData {
        &self.insts[inst.index()]
    }

    /// Replace an instruction by one that has the same results.
    #[inline]
    pub fn replace_inst(&mut self, inst: Inst, data: InstData) {
        self.insts[inst.index()] = data;
    }

    /// The opcode of an instruction.
    #[inline]
    pub fn opcode(&self, inst: Inst) -> Opcode {
        self.insts[inst.index()].opcode()
    }

    /// Where an instruction comes from.
    #[inline]
    pub fn srcloc(&self, inst: Inst) -> SourceLoc {
        self.srclocs[inst.index()]
    }

    /// The results of an instruction.
    #[inline]
    pub fn inst_results(
        &self,
        inst: Inst,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + use<> {
        let (first, len) = self.results[inst.index()];
        (first..first + len).map(Value::from_u32)
    }

    /// The first result of an instruction that has one.
    #[inline]
    pub fn first_result(&self, inst: Inst) -> Value {
        debug_assert!(self.results[inst.index()].1 > 0);
        Value::from_u32(self.results[inst.index()].0)
    }

    /// Calls `f` with every value operand of an instruction: arguments, edge arguments and
    /// observed values. They may be aliases.
    pub fn for_each_operand(&self, inst: Inst, mut f: impl FnMut(Value)) {
        match self.insts[inst.index()] {
            InstData::UnaryImm { .. }
            | InstData::UnaryIeee32 { .. }
            | InstData::UnaryIeee64 { .. }
            | InstData::StackAddr { .. }
            | InstData::Trap { .. } => {}
            InstData::Unary { arg, .. }
            | InstData::Load { arg, .. }
            | InstData::CondTrap { arg, .. } => f(arg),
            InstData::Binary { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::Store { args, .. } => args.into_iter().for_each(f),
            InstData::Ternary { args, .. } => args.into_iter().for_each(f),
            InstData::Jump { dest, .. } => self.block_call_args(dest).for_each(f),
            InstData::Brif { arg, dests, .. } => {
                f(arg);
                dests
                    .into_iter()
                    .for_each(|d| self.block_call_args(d).for_each(&mut f));
            }
            InstData::BranchTable { arg, table, .. } => {
                f(arg);
                let table = &self.jump_tables[table.index()];
                self.block_call_args(table.default).for_each(&mut f);
                table
                    .table
                    .iter()
                    .for_each(|&d| self.block_call_args(d).for_each(&mut f));
            }
            InstData::Call { args, attrs, .. } => {
                self.lists.iter(args).for_each(&mut f);
                if let Some(attr) = attrs.expand() {
                    self.lists.iter(self.site_attr(attr).observe).for_each(f);
                }
            }
            InstData::CallIndirect { args, .. } | InstData::MultiAry { args, .. } => {
                self.lists.iter(args).for_each(f);
            }
        }
    }

    // Values.

    #[inline]
    fn push_value(&mut self, data: ValueData) -> Value {
        self.values.push(data);
        Value::new(self.values.len() - 1)
    }

    /// Number of values, including aliases.
    #[inline]
    pub fn num_values(&self) -> usize {
        self.values.len()
    }

    /// The type of a value.
    #[inline]
    pub fn value_type(&self, v: Value) -> Type {
        Type::from_raw(self.values[v.index()].bits as u8)
    }

    /// Where a value comes from.
    #[inline]
    pub fn value_def(&self, v: Value) -> ValueDef {
        let data = self.values[v.index()];
        let num = data.bits >> 10;
        match (data.bits >> 8) & 3 {
            KIND_RESULT => ValueDef::Result(Inst::from_u32(data.entity), num),
            KIND_PARAM => ValueDef::Param(Block::from_u32(data.entity), num),
            _ => ValueDef::Alias(Value::from_u32(data.entity)),
        }
    }

    /// Make `v` another name of `to`, which must have the same type and not be an alias of `v`.
    pub fn make_alias(&mut self, v: Value, to: Value) {
        let to = self.resolve(to);
        assert_ne!(v, to, "a value cannot be an alias of itself");
        let ty = self.value_type(to);
        debug_assert_eq!(self.value_type(v), ty);
        self.values[v.index()] = ValueData::new(ty, KIND_ALIAS, 0, to.as_u32());
    }

    /// The value that `v` is a name of; `v` itself unless it is an alias.
    #[inline]
    pub fn resolve(&self, mut v: Value) -> Value {
        loop {
            let data = self.values[v.index()];
            if (data.bits >> 8) & 3 != KIND_ALIAS {
                return v;
            }
            v = Value::from_u32(data.entity);
        }
    }
}
