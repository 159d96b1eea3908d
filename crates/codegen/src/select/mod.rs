//! The bottom-up walk: instruction selection and register allocation at once.
//!
//! Blocks are walked in reverse layout order and instructions from last to first, so everything
//! emitted later stands *above* what was emitted before. Going up, the first use met of a value is
//! its last use in the program: that is where the value gets a register, which it keeps until its
//! definition unless the register is taken away.
//!
//! **Invariant.** Every value that is live at the current point is in a register, or has a slot,
//! or is a constant. A slot, once given, is filled right after the value's definition (a block
//! parameter's: on the edges into the block, or at its top), so it is valid wherever the value
//! is live, including in code already emitted below. Hence taking a register away costs a reload
//! below the current point and never a store there, and values that live only in their slot
//! need no attention on any edge.

mod calls;
mod cells;
mod coalesce;
mod edges;
mod loops;
mod moves;
mod notes;
mod try_call;
mod values;

pub(crate) use calls::{AbiLoc, ParamLocs, TailCall, needs_ret_area};
pub(crate) use edges::CondBranch;
pub(crate) use moves::Place;
pub(crate) use values::Operand;

use crate::analyze::Analysis;
use crate::buffer::EncodeError;
use crate::checker::Check;
use crate::context::CodegenError;
use crate::label::Label;
use crate::selected::{Chunk, Selected, reserve};
use crate::{PReg, RegClass, RegSet};
use edges::EntryState;
use loops::LatchState;
use moves::Move;
use nopal_ir::{Block, CallConv, EntityRef, Function, Inst, InstData, Type, Value, ValueDef};

/// What a target provides to the walk.
pub(crate) trait Isa: Sized {
    /// A machine instruction with physical registers.
    type Inst: Check;
    /// CPU features and the like.
    type Flags: Copy;

    /// Registers that can hold values, in the order in which they are taken, per class.
    const ORDER: [&'static [PReg]; 2];
    /// Registers a callee preserves.
    const CALLEE_SAVED: RegSet;

    /// Registers a callee of a convention preserves: [`Isa::CALLEE_SAVED`] and perhaps others, on which
    /// callers do not rely.
    fn preserved(conv: CallConv) -> RegSet;

    /// Assign parameters and results to registers and stack.
    fn param_locs(sig: &nopal_ir::Signature, out: &mut ParamLocs);
    /// Those of [`Isa::ORDER`] that must not hold values all the same.
    fn reserved(flags: &Self::Flags) -> RegSet;
    /// Registers that results of each class come back in.
    fn result_regs(class: RegClass) -> &'static [PReg];
    /// An integer register in which no result comes back.
    fn ret_area_temp() -> PReg;
    /// The first integer argument register: where the address of the return area goes.
    fn first_int_arg() -> PReg;

    /// `dst = src`, 64 bits, same class. Keeps flags.
    fn mov(dst: PReg, src: PReg) -> Self::Inst;
    /// Load a value from a place of the frame.
    fn load(dst: PReg, src: Place, ty: Type) -> Self::Inst;
    /// Store a whole register to a place of the frame.
    fn store(dst: Place, src: PReg) -> Self::Inst;
    /// Copy a value of type `ty` between spill slots, by way of a register if one is given.
    fn copy_slot(dst: u32, src: u32, ty: Type, via: Option<PReg>) -> Self::Inst;
    /// The slots that [`Isa::copy_slot`] copies between, the destination first.
    fn copied_slots(inst: &Self::Inst) -> [u32; 2];
    /// Copy 8 bytes between places without a register, emitted upwards.
    fn copy_place(out: &mut Vec<Self::Inst>, dst: Place, src: Place);
    /// Store a constant to a place, if one instruction can.
    fn store_const(dst: Place, bits: u64) -> Option<Self::Inst>;
    /// Load a constant, emitted upwards.
    fn load_const(out: &mut Selected<Self::Inst>, dst: PReg, bits: u64, ty: Type, keep_flags: bool);
    /// An unconditional branch.
    fn jump(target: Label) -> Self::Inst;
    /// The instruction that returns.
    fn ret() -> Self::Inst;
    /// Clear the upper half of an integer register.
    fn zero_extend_32(dst: PReg) -> Self::Inst;
    /// Extend an integer of type `ty` to the whole register.
    fn extend(reg: PReg, ty: Type, signed: bool) -> Self::Inst;
    /// The address of a place of the frame.
    fn place_addr(dst: PReg, place: Place) -> Self::Inst;

    /// The offset of each stack slot in their area, and the size of that.
    fn stack_slot_offsets(
        slots: &[nopal_ir::StackSlotData],
        offsets: &mut Vec<u32>,
    ) -> Result<u32, EncodeError>;

    /// Select an instruction that is not a terminator or call.
    fn lower(cx: &mut Selector<'_, Self>, inst: Inst) -> Result<(), CodegenError>;
    /// Branch to a label on a condition, falling through otherwise.
    fn lower_cond_branch(cx: &mut Selector<'_, Self>, branch: CondBranch);
    /// Branch to the label an index selects, or to the default. The two integer registers hold
    /// nothing.
    fn lower_table_branch(
        cx: &mut Selector<'_, Self>,
        index: Value,
        table: &[Label],
        default: Label,
        temps: [PReg; 2],
    );
    /// Emit a direct call; the registers of its arguments are locked.
    fn call(cx: &mut Selector<'_, Self>, func: nopal_ir::FuncRef);
    /// Emit a call of the address in a register.
    fn call_reg(cx: &mut Selector<'_, Self>, target: PReg);
    /// Trap if the stack pointer is below a global value, in a register in which no argument comes;
    /// `vmctx` is where the pointer to the context comes in.
    fn check_stack(
        cx: &mut Selector<'_, Self>,
        limit: nopal_ir::GlobalValue,
        vmctx: Option<AbiLoc>,
    ) -> Result<(), CodegenError>;
    /// Subtract from the stack pointer what a callee that takes its arguments off the stack added.
    fn lower_stack(bytes: u32) -> Self::Inst;
    /// A register for the address of a callee that takes the place of this function: no argument
    /// comes in it, and it is not preserved.
    fn tail_target() -> PReg;
    /// Take down the frame and go to the callee; the arguments are in their registers and at the
    /// stack pointer.
    fn tail_call(cx: &mut Selector<'_, Self>, call: TailCall);
    /// The registers in which handlers find what is thrown.
    fn exception_payload() -> [PReg; 2];
    /// Mark the call above as one with handlers.
    fn handlers(number: u32) -> Self::Inst;
    /// Emit a patch site.
    fn patch_site(site: u32) -> Self::Inst;
}

/// Few instructions become more than so many.
const MOST_INSTS: usize = 32;
/// No register.
const NO_REG: u8 = u8::MAX;
/// No slot.
const NO_SLOT: u32 = u32::MAX;
/// In a slot number: the value came in on the stack; the rest is the offset from the frame pointer.
pub(crate) const INCOMING: u32 = 1 << 31;

/// Where a value is, at the current point.
#[derive(Clone, Copy)]
struct ValState {
    /// Its register, or [`NO_REG`].
    reg: u8,
    /// The register it had last, or should get.
    hint: u8,
    /// Whether it is a constant, which is never stored.
    constant: bool,
    /// A result: the instruction was merged into its only use. A block parameter: it arrives in its
    /// slot.
    mark: bool,
    /// Its slot, or [`NO_SLOT`].
    slot: u32,
}

const _: () = assert!(size_of::<ValState>() == 8);

/// Memory of the walk that is reused from function to function.
#[derive(Default)]
pub(crate) struct Scratch {
    vals: Vec<ValState>,
    entries: Vec<EntryState>,
    entry_pool: Vec<Value>,
    block_labels: Vec<Label>,
    latches: Vec<LatchState>,
    latch_of: Vec<u32>,
    latch_pool: Vec<Value>,
    ordering: moves::Ordering,
    candidates: Vec<(u32, Value)>,
    /// Registers in which a block expects its parameters, [`NO_REG`] for the others.
    param_regs: Vec<u8>,
    params: ParamLocs,
    call: ParamLocs,
    call_moves: Vec<Move>,
    /// Where the function's own results travel.
    results: Vec<(nopal_ir::AbiParam, AbiLoc)>,
    slot_values: Vec<Value>,
    /// Values that are read after their last use, at the program point of the instruction into
    /// which that use is merged.
    late_uses: Vec<(u32, u32)>,
    late_chunks: Vec<Chunk>,
    edge_moves: [Vec<Move>; 2],
    table_labels: Vec<Label>,
    table_edges: Vec<edges::TableEdge>,
    table_labels_of: Vec<u32>,
    /// For each position, the last of the edges of the current table that lead there.
    table_heads: Vec<u32>,
    cells: cells::Cells,
    coalescing: coalesce::Coalescing,
    /// The offset of each stack slot in their area.
    slot_offsets: Vec<u32>,
    /// Operands of the current instruction, for the checker.
    operands: Vec<Value>,
    /// What it defines, for the checker.
    defined: Vec<Value>,
}

/// The walk over one function.
pub(crate) struct Selector<'a, I: Isa> {
    pub(crate) func: &'a Function,
    pub(crate) an: &'a Analysis,
    pub(crate) out: &'a mut Selected<I::Inst>,
    pub(crate) flags: I::Flags,
    s: &'a mut Scratch,
    /// The value in each register.
    value_in: [Value; 64],
    /// Registers that can hold values.
    all: RegSet,
    /// Those of them that hold no value.
    free: RegSet,
    /// Those that hold constants.
    constants: RegSet,
    /// Registers that must not be given to another value during the current instruction.
    locked: RegSet,
    /// Registers in which the current instruction leaves results.
    defined: RegSet,
    /// All registers that have been given to a value.
    used: RegSet,
    /// Whether the flags are needed by an instruction below.
    pub(crate) flags_live: bool,
    /// The number of an instruction that compares a register with zero, of which nothing but equality
    /// and the sign is looked at.
    pub(crate) zero_test: Option<u32>,
    /// Position of the current block.
    pos: u32,
    /// The instruction being selected.
    current: Inst,
    /// The label of the current chunk.
    chunk_label: Label,
    /// Where the current chunk starts in the list of instructions.
    chunk_start: u32,
    /// Bytes of explicit stack slots, a multiple of 16. The return area follows them.
    own_stack_slots: u32,
    /// Bytes of the area in which calls leave results that do not fit in registers.
    ret_area: u32,
    /// Slot in which the address of the caller's return area is kept.
    ret_area_slot: u32,
    /// Slot in which the parameter is kept that is returned without being a result.
    sret_slot: u32,
    outgoing: u32,
    has_calls: bool,
}

/// No value.
const NO_VALUE: Value = Value::from_u32(u32::MAX);

/// Select code for `func`.
pub(crate) fn select<I: Isa>(
    func: &Function,
    an: &Analysis,
    flags: I::Flags,
    out: &mut Selected<I::Inst>,
    scratch: &mut Scratch,
) -> Result<(), CodegenError> {
    if func.signature.call_conv == CallConv::PreserveAll {
        let what = "a function that preserves all registers";
        return Err(CodegenError::Unsupported(what.into()));
    }
    scratch.slot_offsets.clear();
    let slots = I::stack_slot_offsets(func.stack_slots(), &mut scratch.slot_offsets)?;
    let own_stack_slots = slots.next_multiple_of(16);
    let all = I::ORDER
        .iter()
        .fold(RegSet::EMPTY, |s, regs| s.union(RegSet::from_slice(regs)))
        .minus(I::reserved(&flags));
    let mut cx = Selector::<I> {
        func,
        an,
        out,
        flags,
        s: scratch,
        value_in: [NO_VALUE; 64],
        all,
        free: all,
        constants: RegSet::EMPTY,
        locked: RegSet::EMPTY,
        defined: RegSet::EMPTY,
        used: RegSet::EMPTY,
        flags_live: false,
        zero_test: None,
        pos: 0,
        current: Inst::from_u32(0),
        chunk_label: Label::new(0),
        chunk_start: 0,
        own_stack_slots,
        ret_area: 0,
        ret_area_slot: NO_SLOT,
        sret_slot: NO_SLOT,
        outgoing: 0,
        has_calls: false,
    };
    cx.begin();
    for pos in (0..an.order.len() as u32).rev() {
        cx.block(pos)?;
    }
    cx.finish();
    if crate::checker::ENABLED {
        cx.check();
    }
    crate::layout::simplify(cx.out);
    Ok(())
}

impl<'a, I: Isa> Selector<'a, I> {
    fn begin(&mut self) {
        self.out.clear();
        let n = self.an.order.len();
        self.s.vals.clear();
        self.s.vals.resize(
            self.func.num_values(),
            ValState {
                reg: NO_REG,
                hint: NO_REG,
                constant: false,
                mark: false,
                slot: NO_SLOT,
            },
        );
        self.s.entries.clear();
        self.s.entries.resize(n, EntryState::default());
        self.s.entry_pool.clear();
        self.s.table_heads.clear();
        self.s.table_heads.resize(n, edges::NO_EDGE);
        self.s.latches.clear();
        self.s.latch_of.clear();
        self.s.latch_of.resize(n, u32::MAX);
        self.s.latch_pool.clear();
        self.s.slot_values.clear();
        self.s.coalescing.copies.clear();
        self.s.late_uses.clear();
        self.s.late_chunks.clear();
        self.s.block_labels.clear();
        for _ in 0..n {
            let label = self.out.new_label();
            self.s.block_labels.push(label);
        }
        self.mark_definitions();
        self.incoming_params();
    }

    /// Constants are made where they are needed; results of calls are hinted to where they come back.
    fn mark_definitions(&mut self) {
        for v in &self.an.constants {
            self.s.vals[v.index()].constant = true;
        }
        for &v in &self.an.call_results {
            let class = Self::class(self.func.value_type(v));
            let r = I::result_regs(class)[0];
            self.s.vals[v.index()].hint = r.index() as u8;
        }
    }

    /// Values that come in on the stack have their slot there; the others are hinted to where
    /// they come in.
    fn incoming_params(&mut self) {
        let mut locs = core::mem::take(&mut self.s.params);
        I::param_locs(&self.func.signature, &mut locs);
        let entry = self.an.order[0];
        for (v, loc) in self.func.block_params(entry).zip(&locs.locs) {
            match *loc {
                AbiLoc::Reg(r) => {
                    if !(self.an.calls.is_empty() || I::CALLEE_SAVED.contains(r))
                        && self.an.crosses_call(v)
                    {
                        continue;
                    }
                    self.s.vals[v.index()].hint = r.index() as u8;
                }
                // Other conventions leave the upper half of the cell of an `i32` undefined.
                AbiLoc::Stack(_)
                    if self.own_convention() != CallConv::Fast
                        && self.func.value_type(v) == Type::I32 => {}
                AbiLoc::Stack(at) => self.s.vals[v.index()].slot = INCOMING | (at + 16),
            }
        }
        if locs.ret_area {
            self.ret_area_slot = self.new_slot(NO_VALUE);
        }
        self.keep_returned_param(&locs);
        self.s.params = locs;
    }

    fn block(&mut self, pos: u32) -> Result<(), CodegenError> {
        self.pos = pos;
        let block = self.an.order[pos as usize];
        debug_assert!(self.locked.is_empty());
        let data = self.func.block(block);
        let term = Inst::from_u32(data.end - 1);
        self.current = term;
        self.chunk_label = self.s.block_labels[pos as usize];
        self.terminator(term)?;
        for n in (data.first..data.end - 1).rev() {
            self.current = Inst::from_u32(n);
            reserve(&mut self.out.insts, MOST_INSTS);
            self.instruction(self.current)?;
            self.end_group();
            self.unlock_all();
            debug_assert!(!self.flags_live);
        }
        self.block_top(block)
    }

    fn terminator(&mut self, inst: Inst) -> Result<(), CodegenError> {
        match *self.func.inst(inst) {
            InstData::Jump { dest, .. } => self.jump(dest),
            InstData::Brif { arg, dests, .. } => self.brif(arg, dests),
            InstData::BranchTable { arg, table, .. } => self.branch_table(arg, table),
            InstData::MultiAry { args, .. } => {
                self.start_empty();
                self.begin_chunk();
                self.return_values(args);
            }
            InstData::Call { func, args, .. } => {
                let sig = self.func.ext_func(func).signature;
                self.tail_call(sig, Some(func), args)?;
            }
            InstData::CallIndirect { sig, args, .. } => self.tail_call(sig, None, args)?,
            InstData::TryCall {
                func, args, table, ..
            } => self.try_call(inst, Some(func), args, table)?,
            InstData::TryCallIndirect { args, table, .. } => {
                self.try_call(inst, None, args, table)?;
            }
            InstData::Trap { .. } => {
                self.start_empty();
                self.begin_chunk();
                I::lower(self, inst)?;
            }
            _ => unreachable!("{} is no terminator", self.func.opcode(inst)),
        }
        self.end_group();
        self.unlock_all();
        Ok(())
    }

    fn unlock_all(&mut self) {
        self.locked = RegSet::EMPTY;
        self.defined = RegSet::EMPTY;
    }

    fn instruction(&mut self, inst: Inst) -> Result<(), CodegenError> {
        let opcode = self.func.opcode(inst);
        if opcode.is_call() {
            return self.lower_call(inst);
        }
        if !opcode.has_side_effect() {
            let v = self.func.first_result(inst);
            if self.an.repr[v.index()] != v {
                return Ok(());
            }
            let state = self.s.vals[v.index()];
            if state.constant {
                self.define_constant(v);
                return Ok(());
            }
            let wanted = state.reg != NO_REG || state.slot != NO_SLOT || self.wants_more(inst);
            let trapping_load = matches!(*self.func.inst(inst),
                InstData::Load { flags, .. } if !flags.notrap());
            if state.mark || (!wanted && !trapping_load) {
                return Ok(());
            }
        }
        I::lower(self, inst)
    }

    /// Whether a result other than the first is used.
    fn wants_more(&self, inst: Inst) -> bool {
        self.func.inst_results(inst).skip(1).any(|v| {
            let state = self.s.vals[v.index()];
            state.reg != NO_REG || state.slot != NO_SLOT
        })
    }

    /// A constant is made where it is wanted; here it only needs its register, if it has one.
    fn define_constant(&mut self, v: Value) {
        let state = self.s.vals[v.index()];
        if state.reg != NO_REG {
            let r = PReg::from_index(state.reg.into());
            let (bits, ty) = self.constant_bits(v);
            I::load_const(self.out, r, bits, ty, false);
            self.release(v);
        }
    }

    /// Constants do not travel between blocks: those that are in registers are made here.
    fn make_constants(&mut self) {
        if self.constants.is_empty() {
            return;
        }
        for order in I::ORDER {
            for &r in order {
                if self.constants.contains(r) {
                    self.evict(self.value_in[r.index()]);
                }
            }
        }
    }

    /// Close the block: fix its entry state, finish the loop it heads, or enter the function.
    fn block_top(&mut self, block: Block) -> Result<(), CodegenError> {
        self.make_constants();
        if self.pos == 0 {
            self.enter_function(block)?;
        } else {
            for p in self.func.block_params(block) {
                self.param_home(p);
            }
        }
        self.save_entry_state(block);
        let label = self.s.block_labels[self.pos as usize];
        let l = self.an.loop_of[self.pos as usize];
        let header = l != crate::analyze::NO_LOOP && self.an.loops[l as usize].first == self.pos;
        self.end_chunk(label, header);
        if self.s.latch_of[self.pos as usize] != u32::MAX {
            self.close_back_edges(block);
        }
        self.release_all();
        Ok(())
    }

    /// A parameter with a register and a slot is stored at the top of its block. One whose home on
    /// the back edges is its slot is loaded there.
    fn param_home(&mut self, p: Value) {
        let state = self.s.vals[p.index()];
        if state.reg == NO_REG || state.slot == NO_SLOT {
            return;
        }
        let r = PReg::from_index(state.reg.into());
        if state.mark {
            self.out
                .insts
                .push(I::load(r, Place::Slot(state.slot), self.func.value_type(p)));
            self.release(p);
        } else {
            self.out.insts.push(I::store(Place::Slot(state.slot), r));
        }
    }

    fn begin_chunk(&mut self) {
        self.chunk_start = self.out.insts.len() as u32;
        // What stands below may be reached from elsewhere.
        self.zero_test = None;
    }

    fn end_chunk(&mut self, label: Label, loop_header: bool) {
        let insts = self.chunk_start..self.out.insts.len() as u32;
        self.out.chunks.push(Chunk {
            label,
            insts,
            loop_header,
            latch: false,
        });
    }

    /// Append an instruction; it stands above all that have been appended to this chunk.
    #[inline]
    pub(crate) fn emit(&mut self, inst: I::Inst) {
        self.out.insts.push(inst);
    }

    fn finish(&mut self) {
        self.out.chunks.reverse();
        self.out.chunks.append(&mut self.s.late_chunks);
        let preserved = I::preserved(self.own_convention());
        let mut saved = self.used.intersect(preserved);
        if !self.an.calls.is_empty() {
            // Callees of other conventions do not preserve these.
            saved = saved.union(preserved.minus(I::CALLEE_SAVED));
        }
        self.out.frame.saved = saved;
        self.out.frame.outgoing = self.outgoing.next_multiple_of(16);
        self.out.frame.has_calls = self.has_calls;
        if self.own_convention() == CallConv::Tail {
            self.out.frame.popped = self.s.params.stack;
        }
        self.out.frame.stack_slots = self.own_stack_slots + self.ret_area;
        self.assign_cells();
    }

    /// Give slots their cells of the frame, and drop copies between slots that share one.
    fn assign_cells(&mut self) {
        let Scratch {
            cells,
            coalescing,
            slot_values,
            late_uses,
            vals,
            ..
        } = self.s;
        let slots = coalesce::Slots {
            func: self.func,
            an: self.an,
            vals,
            values: slot_values,
        };
        // From here on, slots take the place of the values that have them.
        late_uses.retain_mut(|(v, _)| {
            *v = vals[*v as usize].slot;
            *v != NO_SLOT && *v & INCOMING == 0
        });
        let frame = &mut self.out.frame;
        let insts = &mut self.out.insts;
        let copied = |copy: coalesce::SlotCopy| I::copied_slots(&insts[copy.inst as usize]);
        cells.colour(&slots, coalescing, copied, late_uses, frame);
        for copy in coalescing.copies.drain(..) {
            let inst = &mut insts[copy.inst as usize];
            let [dst, src] = I::copied_slots(inst).map(|slot| frame.spill_cells[slot as usize]);
            if dst == src {
                *inst = I::Inst::OMITTED;
            }
        }
    }

    /// The instruction being selected.
    pub(crate) fn current(&self) -> Inst {
        self.current
    }

    /// The instruction before it in its block.
    pub(crate) fn above(&self) -> Option<Inst> {
        let first = self.func.block(self.an.order[self.pos as usize]).first;
        let current = self.current.as_u32();
        (current > first).then(|| Inst::from_u32(current - 1))
    }

    /// The source location of the current instruction.
    pub(crate) fn srcloc(&self) -> nopal_ir::SourceLoc {
        self.func.srcloc(self.current)
    }

    /// The convention of the function being compiled.
    fn own_convention(&self) -> CallConv {
        self.func.signature.call_conv
    }

    /// The register class of values of type `ty`.
    #[inline]
    pub(crate) fn class(ty: Type) -> RegClass {
        if ty.is_float() {
            RegClass::Float
        } else {
            RegClass::Int
        }
    }

    /// The bits of a constant and the type of the value.
    pub(crate) fn constant_bits(&self, v: Value) -> (u64, Type) {
        let v = self.an.repr[v.index()];
        let ty = self.func.value_type(v);
        let ValueDef::Result(inst, _) = self.func.value_def(v) else {
            unreachable!("{v} is not a constant")
        };
        let bits = match *self.func.inst(inst) {
            InstData::UnaryImm { imm, .. } => imm as u64 & (u64::MAX >> (64 - ty.bits())),
            InstData::UnaryIeee32 { bits, .. } => bits.into(),
            InstData::UnaryIeee64 { bits, .. } => bits,
            _ => unreachable!("{v} is not a constant"),
        };
        (bits, ty)
    }

    /// The offset of a stack slot in the area of stack slots.
    pub(crate) fn slot_offset(&self, slot: nopal_ir::StackSlot) -> u32 {
        self.s.slot_offsets[slot.index()]
    }
}
