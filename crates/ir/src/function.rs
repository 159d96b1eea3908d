//! A function: its tables and how they refer to each other.

use crate::{
    Block, BlockCall, Control, EntityRef, GlobalValue, Inst, InstData, ListPool, Opcode, Signature,
    StackSlot, Type, TypeRule, Value, ValueList,
};
use notes::Notes;

mod checked;
mod data;
mod notes;
mod pending;
mod preamble;

pub use data::*;

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
const KIND_NONE: u32 = 3;
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
    /// The global value that the stack pointer must stay above.
    pub stack_limit: Option<GlobalValue>,
    signatures: Vec<Signature>,
    ext_funcs: Vec<ExtFunc>,
    stack_slots: Vec<StackSlotData>,
    stack_slot_keys: Vec<(StackSlot, u64)>,
    dynamic_stack_slots: Vec<DynamicStackSlotData>,
    global_values: Vec<GlobalValueData>,
    dynamic_types: Vec<DynamicTypeData>,
    constants: Vec<ConstantData>,
    shuffle_masks: Vec<[u8; 16]>,
    alias_regions: Vec<AliasRegionData>,
    exception_tables: Vec<ExceptionTableData>,
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
    notes: Notes,
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
            stack_limit: None,
            signatures: Vec::new(),
            ext_funcs: Vec::new(),
            stack_slots: Vec::new(),
            stack_slot_keys: Vec::new(),
            dynamic_stack_slots: Vec::new(),
            global_values: Vec::new(),
            dynamic_types: Vec::new(),
            constants: Vec::new(),
            shuffle_masks: Vec::new(),
            alias_regions: Vec::new(),
            exception_tables: Vec::new(),
            jump_tables: Vec::new(),
            site_attrs: Vec::new(),
            block_calls: Vec::new(),
            blocks: Vec::new(),
            layout: Vec::new(),
            insts: Vec::new(),
            results: Vec::new(),
            srclocs: Vec::new(),
            values: Vec::new(),
            notes: Notes::new(),
            lists: ListPool::default(),
        }
    }

    /// Empty the function, keeping its memory; name and signature stay until replaced.
    pub fn clear(&mut self) {
        self.base_srcloc = 0;
        self.stack_limit = None;
        self.signatures.clear();
        self.ext_funcs.clear();
        self.stack_slots.clear();
        self.stack_slot_keys.clear();
        self.dynamic_stack_slots.clear();
        self.global_values.clear();
        self.dynamic_types.clear();
        self.constants.clear();
        self.shuffle_masks.clear();
        self.alias_regions.clear();
        self.exception_tables.clear();
        self.notes.clear();
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
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                self.exception_tables[table.index()].edges().for_each(f);
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
    /// `ty` is the controlling type where it is [written](Control::Written); it is ignored
    /// otherwise.
    pub fn push_inst_with_results(&mut self, data: InstData, ty: Type, loc: SourceLoc) -> Inst {
        let inst = self.push_inst(data, loc);
        let opcode = data.opcode();
        if opcode.is_call() {
            self.push_signature_results(inst, &data);
            return inst;
        }
        let rules = opcode.results();
        if rules.is_empty() {
            return inst;
        }
        let control = match opcode.control() {
            Control::Infer => data
                .control_operand()
                .map_or(Type::INVALID, |v| self.value_type(v)),
            Control::Written | Control::Fixed => ty,
        };
        for rule in rules {
            let ty = match rule {
                TypeRule::T => control,
                rule => rule.only(control).unwrap_or(Type::INVALID),
            };
            self.push_result(inst, ty);
        }
        inst
    }

    /// Calls `f` with the type of each result that a call has.
    pub(crate) fn for_each_call_result(&self, data: &InstData, mut f: impl FnMut(Type)) {
        let (sig, payload) = match *data {
            _ if !data.opcode().has_signature_results() => return,
            InstData::Call { func, .. } => (self.ext_funcs[func.index()].signature, false),
            InstData::CallIndirect { sig, .. } => (sig, false),
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                (self.exception_tables[table.index()].sig, true)
            }
            _ => return,
        };
        let sig = &self.signatures[sig.index()];
        sig.returns.iter().for_each(|r| f(r.ty));
        if payload {
            sig.call_conv.exception_payload().iter().for_each(|&t| f(t));
        }
    }

    fn push_signature_results(&mut self, inst: Inst, data: &InstData) {
        let first = self.values.len();
        let mut types = Vec::new();
        self.for_each_call_result(data, |ty| types.push(ty));
        for (num, ty) in types.into_iter().enumerate() {
            self.push_value(ValueData::new(ty, KIND_RESULT, num, inst.as_u32()));
        }
        let len = self.values.len() - first;
        self.results[inst.index()] = (first as u32, len as u32);
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
            InstData::Unary { arg, .. }
            | InstData::Load { arg, .. }
            | InstData::CondTrap { arg, .. } => f(arg),
            InstData::Binary { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::Store { args, .. } => args.into_iter().for_each(f),
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
            InstData::TryCall { args, table, .. }
            | InstData::TryCallIndirect { args, table, .. } => {
                self.lists.iter(args).for_each(&mut f);
                let table = &self.exception_tables[table.index()];
                table
                    .edges()
                    .for_each(|d| self.block_call_args(d).for_each(&mut f));
                table.contexts().for_each(&mut f);
                if let Some(attr) = table.attrs.expand() {
                    self.lists.iter(self.site_attr(attr).observe).for_each(f);
                }
            }
            ref data => data.value_operands().iter().copied().for_each(f),
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
            KIND_ALIAS => ValueDef::Alias(Value::from_u32(data.entity)),
            _ => ValueDef::None,
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
