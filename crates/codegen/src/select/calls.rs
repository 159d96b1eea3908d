//! Calls, returns, and the way into the function.

use super::moves::{Loc, Move, Place};
use super::notes::place_loc;
use super::values::Operand;
use super::{INCOMING, Isa, NO_REG, NO_SLOT, NO_VALUE, Selector};
use crate::analyze::clobbers_registers;
use crate::checker::{CheckLoc, Note};
use crate::context::CodegenError;
use crate::selected::{SelectedLoc, SelectedSite};
use crate::{PReg, RegClass, RegSet};
use nopal_ir::{
    AbiParam, ArgumentExtension, ArgumentPurpose, Block, CallConv, EntityRef, FuncRef, GlobalValue,
    Inst, InstData, SigRef, Signature, SiteAttr, Type, Value, ValueList,
};

/// Where a parameter or result travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AbiLoc {
    /// In a register.
    Reg(PReg),
    /// A parameter on the stack: bytes from the stack pointer at the call. A result: bytes from
    /// the start of the return area.
    Stack(u32),
}

/// A call in place of the function.
#[derive(Clone, Copy)]
pub(crate) struct TailCall {
    /// The callee; none if its address is in [`super::Isa::tail_target`].
    pub(crate) callee: Option<FuncRef>,
    /// Bytes of stack arguments that this function came with, a multiple of the alignment of the
    /// stack.
    pub(crate) incoming: u32,
    /// Bytes that the callee wants there.
    pub(crate) outgoing: u32,
}

/// Where the parameters of a signature travel.
#[derive(Default, Clone, Debug)]
pub(crate) struct ParamLocs {
    /// One for each parameter.
    pub(crate) locs: Vec<AbiLoc>,
    /// Bytes of stack they take.
    pub(crate) stack: u32,
    /// Whether the address of a return area precedes them, in the first integer register.
    pub(crate) ret_area: bool,
}

/// The values in which parameters or results travel: an `i128` is two.
pub(crate) fn pieces(params: &[AbiParam]) -> impl Iterator<Item = AbiParam> + '_ {
    params.iter().flat_map(|p| {
        let half = AbiParam {
            ty: Type::I64,
            extension: ArgumentExtension::None,
            ..*p
        };
        let (first, second) = match p.ty {
            Type::I128 => (half, Some(half)),
            _ => (*p, None),
        };
        core::iter::once(first).chain(second)
    })
}

/// The parameter that says where results go, if a function of this signature returns it as well
/// though it is not among the results: then it comes back in the first register for integers.
fn returned_param(sig: &Signature) -> Option<usize> {
    let special = |p: &AbiParam| p.purpose == ArgumentPurpose::StructReturn;
    if sig.returns.iter().any(special) {
        return None;
    }
    sig.params.iter().position(special)
}

/// Calls `f` with each result of `sig` and where it travels: in the next register of its class,
/// else in the area whose address the caller passes, one 8-byte cell per result.
pub(super) fn for_each_result<I: Isa>(sig: &Signature, mut f: impl FnMut(AbiParam, AbiLoc)) {
    let mut used = [usize::from(returned_param(sig).is_some()), 0];
    for (i, p) in pieces(&sig.returns).enumerate() {
        let class = if p.ty.is_float() {
            RegClass::Float
        } else {
            RegClass::Int
        };
        let next = &mut used[class as usize];
        let loc = match I::result_regs(class).get(*next) {
            Some(&r) => AbiLoc::Reg(r),
            None => AbiLoc::Stack(8 * i as u32),
        };
        *next += 1;
        f(p, loc);
    }
}

/// Whether some result of `sig` does not fit in registers.
pub(crate) fn needs_ret_area<I: Isa>(sig: &Signature) -> bool {
    let mut area = false;
    for_each_result::<I>(sig, |_, loc| area |= matches!(loc, AbiLoc::Stack(_)));
    area
}

/// Whether a value of this type must be extended to be passed, and if so, with its sign. The upper
/// half of a register that holds an `i32` is zero anyway.
fn extension(p: &AbiParam) -> Option<bool> {
    match p.extension {
        ArgumentExtension::Uext if p.ty.bits() < 32 => Some(false),
        ArgumentExtension::Sext if p.ty.bits() < 64 => Some(true),
        _ => None,
    }
}

/// Where an observed value is.
pub(super) fn selected_loc(home: Operand) -> SelectedLoc {
    match home {
        Operand::Reg(r) => SelectedLoc::Reg(r),
        Operand::Place(Place::Slot(s)) if s & INCOMING != 0 => {
            SelectedLoc::Frame((s & !INCOMING) as i32)
        }
        Operand::Place(Place::Slot(s)) => SelectedLoc::Spill(s),
        Operand::Place(_) => unreachable!("values live in slots"),
        Operand::Const(bits) => SelectedLoc::Const(bits),
    }
}

impl<I: Isa> Selector<'_, I> {
    /// At the top of the entry block: bring the parameters from where they come in to where they
    /// are expected.
    pub(super) fn enter_function(&mut self, entry: Block) -> Result<(), CodegenError> {
        let locs = core::mem::take(&mut self.s.params);
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        let mut incoming = RegSet::EMPTY;
        let narrow = self.own_convention() != CallConv::Fast;
        for (p, loc) in self.func.block_params(entry).zip(&locs.locs) {
            let state = self.s.vals[p.index()];
            let ty = self.func.value_type(p);
            let src = match *loc {
                AbiLoc::Reg(r) => Loc::Reg(r),
                AbiLoc::Stack(at) => Loc::Place(Place::Slot(INCOMING | (at + 16))),
            };
            if let Loc::Reg(r) = src {
                incoming.insert(r);
            }
            if state.reg != NO_REG {
                let r = PReg::from_index(state.reg.into());
                moves.push(Move {
                    dst: Loc::Reg(r),
                    src,
                    ty,
                });
            }
            if state.slot != NO_SLOT && state.slot & INCOMING == 0 {
                moves.push(Move {
                    dst: Loc::Place(Place::Slot(state.slot)),
                    src,
                    ty,
                });
            }
        }
        if let Some(n) = returned_param(&self.func.signature)
            && let Some((loc, dst)) = self.sret_home(&locs, n)
        {
            let src = Loc::Reg(loc);
            let dst = Loc::Place(dst);
            moves.push(Move {
                dst,
                src,
                ty: Type::I64,
            });
        }
        if locs.ret_area {
            let src = Loc::Reg(I::first_int_arg());
            incoming.insert(I::first_int_arg());
            let dst = Loc::Place(Place::Slot(self.ret_area_slot));
            moves.push(Move {
                dst,
                src,
                ty: Type::I64,
            });
        }
        let free = self.free.minus(incoming);
        self.parallel_move(&mut moves, free);
        for (p, loc) in self.func.block_params(entry).zip(&locs.locs) {
            if let AbiLoc::Reg(r) = *loc
                && narrow
                && self.func.value_type(p) == Type::I32
            {
                self.emit(I::zero_extend_32(r));
            }
        }
        let checked = match self.func.stack_limit {
            Some(limit) => self.check_stack(limit, &locs),
            None => Ok(()),
        };
        self.s.call_moves = moves;
        self.s.params = locs;
        checked
    }

    /// At the very top: the stack must not have grown beyond its limit.
    fn check_stack(&mut self, limit: GlobalValue, locs: &ParamLocs) -> Result<(), CodegenError> {
        let mut params = pieces(&self.func.signature.params);
        let context = params.position(|p| p.purpose == ArgumentPurpose::VMContext);
        I::check_stack(self, limit, context.map(|n| locs.locs[n]))?;
        let entry = self.func.block_params(self.an.order[0]);
        let read = context.and_then(|n| entry.clone().nth(n));
        self.note(|| Note::Group(read.into_iter().collect()));
        Ok(())
    }

    /// Where the parameter that is returned comes in, and where it is kept meanwhile.
    fn sret_home(&self, locs: &ParamLocs, n: usize) -> Option<(PReg, Place)> {
        let at = pieces(&self.func.signature.params[..n]).count();
        match locs.locs[at] {
            AbiLoc::Reg(r) => Some((r, Place::Slot(self.sret_slot))),
            AbiLoc::Stack(_) => None,
        }
    }

    /// Give the parameter that is returned a slot.
    pub(super) fn keep_returned_param(&mut self, locs: &ParamLocs) {
        let Some(n) = returned_param(&self.func.signature) else {
            return;
        };
        let at = pieces(&self.func.signature.params[..n]).count();
        self.sret_slot = match locs.locs[at] {
            AbiLoc::Reg(_) => self.new_slot(NO_VALUE),
            AbiLoc::Stack(at) => INCOMING | (at + 16),
        };
    }

    /// The results of the function, brought to where the caller expects them, and the return.
    pub(super) fn return_values(&mut self, args: ValueList) {
        let func = self.func;
        self.emit(I::ret());
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        let area = needs_ret_area::<I>(&func.signature).then(|| {
            // No result comes back in this register.
            let r = I::ret_area_temp();
            self.scratch_fixed(r);
            r
        });
        let mut results = core::mem::take(&mut self.s.results);
        results.clear();
        for_each_result::<I>(&func.signature, |p, loc| results.push((p, loc)));
        for (a, &(p, loc)) in func.lists.iter(args).zip(&results) {
            if let AbiLoc::Reg(r) = loc {
                self.bind_argument(a, r);
            }
            self.extend_passed(&p, loc);
        }
        for (a, &(_, loc)) in func.lists.iter(args).zip(&results) {
            let dst = match (loc, area) {
                (AbiLoc::Reg(r), _) => Loc::Reg(r),
                (AbiLoc::Stack(at), Some(base)) => Loc::Place(Place::At(base, at as i32)),
                (AbiLoc::Stack(_), None) => unreachable!("a result on the stack needs an area"),
            };
            self.push_argument_move(a, dst, &mut moves);
        }
        self.s.results = results;
        if self.sret_slot != NO_SLOT {
            let r = I::result_regs(RegClass::Int)[0];
            self.scratch_fixed(r);
            moves.push(Move {
                dst: Loc::Reg(r),
                src: Loc::Place(Place::Slot(self.sret_slot)),
                ty: Type::I64,
            });
        }
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        if let Some(base) = area {
            self.emit(I::load(base, Place::Slot(self.ret_area_slot), Type::I64));
        }
        self.s.call_moves = moves;
    }

    /// Let an argument that has no home yet live in the register it is to be passed in.
    fn bind_argument(&mut self, a: Value, r: PReg) {
        let a = self.repr(a);
        let state = self.s.vals[a.index()];
        if state.reg == NO_REG && !state.constant && self.value_in[r.index()] == NO_VALUE {
            self.assign(a, r);
        }
        self.used.insert(r);
        self.lock(r);
    }

    /// Above a call or return, and below the moves to `loc`: extend what is passed there. Results
    /// in the return area are not.
    fn extend_passed(&mut self, p: &AbiParam, loc: AbiLoc) {
        if let (Some(signed), AbiLoc::Reg(r)) = (extension(p), loc) {
            self.emit(I::extend(r, p.ty, signed));
        }
    }

    /// The same for all arguments of a call.
    fn extend_arguments(&mut self, params: &[AbiParam], locs: &[AbiLoc]) {
        let mut temp = None;
        for (p, &loc) in pieces(params).zip(locs) {
            self.extend_passed(&p, loc);
            if let (Some(signed), AbiLoc::Stack(at)) = (extension(&p), loc) {
                let temp = *temp.get_or_insert_with(|| self.scratch(RegClass::Int));
                self.emit(I::store(Place::Outgoing(at), temp));
                self.emit(I::extend(temp, p.ty, signed));
                self.emit(I::load(temp, Place::Outgoing(at), p.ty));
            }
        }
    }

    /// Let `a` live in the register it is to be passed in, if it has no home yet. If it is extended
    /// there and the callee keeps registers, that is a copy.
    fn bind_passed(&mut self, a: Value, p: &AbiParam, r: PReg, kept: bool) {
        if kept && extension(p).is_some() {
            return self.scratch_fixed(r);
        }
        // A callee that preserves all registers leaves values where they are.
        if self.reg_of(self.repr(a)) != Some(r) {
            self.vacate(r);
        }
        self.bind_argument(a, r);
    }

    fn push_argument_move(&mut self, a: Value, dst: Loc, moves: &mut Vec<Move>) {
        let a = self.repr(a);
        // There may be more arguments than registers.
        let src = match self.use_home(a) {
            Operand::Reg(r) => Loc::Reg(r),
            Operand::Place(p) => Loc::Place(p),
            Operand::Const(_) => Loc::Const(a),
        };
        let loc = match dst {
            Loc::Reg(r) => Some(CheckLoc::Reg(r)),
            Loc::Place(p) => place_loc(p),
            Loc::Const(_) => None,
        };
        if let Some(loc) = loc {
            self.note(|| Note::Use(a, loc));
        }
        moves.push(Move {
            dst,
            src,
            ty: self.func.value_type(a),
        });
    }

    /// Registers that hold nothing before or after `moves`.
    fn free_for_moves(&self, moves: &[Move]) -> RegSet {
        let mut free = self.free.minus(self.locked);
        for m in moves {
            for loc in [m.dst, m.src] {
                if let Loc::Reg(r) = loc {
                    free.remove(r);
                }
            }
        }
        free
    }

    pub(super) fn lower_call(&mut self, inst: Inst) -> Result<(), CodegenError> {
        self.has_calls = true;
        match *self.func.inst(inst) {
            InstData::Call {
                func, args, attrs, ..
            } => {
                let callee = self.func.ext_func(func);
                if callee.patchable {
                    let signature = callee.signature;
                    self.site_arguments(signature, args);
                    // Bringing the arguments about may move observed values.
                    let number = self.site(func, attrs.expand());
                    return self.emit_site(number, signature);
                }
                let sig = callee.signature;
                self.finish_call(inst, sig, args, 0, Some(func));
            }
            InstData::CallIndirect { sig, args, .. } => {
                self.finish_call(inst, sig, args, 1, None);
            }
            _ => unreachable!("not a call"),
        }
        Ok(())
    }

    /// Record a patch site and where its observed values are.
    fn site(&mut self, callee: FuncRef, attrs: Option<SiteAttr>) -> u32 {
        let start = self.out.observed.len() as u32;
        let attrs = attrs.map(|a| self.func.site_attr(a));
        if let Some(attrs) = attrs {
            for v in self.func.lists.iter(attrs.observe) {
                let home = self.observe(v);
                let value = self.repr(v);
                match home {
                    Operand::Reg(r) => self.note(|| Note::Use(value, CheckLoc::Reg(r))),
                    Operand::Place(Place::Slot(s)) => {
                        self.note(|| Note::Use(value, CheckLoc::Slot(s)));
                    }
                    _ => {}
                }
                let loc = selected_loc(home);
                self.out.observed.push((self.func.value_type(v), loc));
            }
        }
        self.out.sites.push(SelectedSite {
            callee,
            site: attrs.map_or(u32::MAX, |a| a.site),
            srcloc: self.srcloc(),
            observed: start..self.out.observed.len() as u32,
        });
        self.out.sites.len() as u32 - 1
    }

    fn emit_site(&mut self, number: u32, sig: SigRef) -> Result<(), CodegenError> {
        // Above the site stand the moves of its arguments, which were collected before.
        self.emit(I::patch_site(number));
        let locs = core::mem::take(&mut self.s.call);
        self.extend_arguments(&self.func.sig(sig).params, &locs.locs);
        self.s.call = locs;
        let mut moves = core::mem::take(&mut self.s.call_moves);
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        self.s.call_moves = moves;
        Ok(())
    }

    /// The arguments of a patch site: each ends up in its register, where it may stay.
    fn site_arguments(&mut self, sig: SigRef, args: ValueList) {
        let func = self.func;
        let mut locs = core::mem::take(&mut self.s.call);
        I::param_locs(func.sig(sig), &mut locs);
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        let params = pieces(&func.sig(sig).params);
        for ((a, loc), p) in func.lists.iter(args).zip(&locs.locs).zip(params) {
            if let AbiLoc::Reg(r) = *loc {
                self.bind_passed(a, &p, r, true);
            }
        }
        for (a, loc) in func.lists.iter(args).zip(&locs.locs) {
            let dst = self.argument_destination(*loc);
            self.push_argument_move(a, dst, &mut moves);
        }
        self.outgoing = self.outgoing.max(locs.stack);
        self.s.call_moves = moves;
        self.s.call = locs;
    }

    fn argument_destination(&self, loc: AbiLoc) -> Loc {
        match loc {
            AbiLoc::Reg(r) => Loc::Reg(r),
            AbiLoc::Stack(at) => Loc::Place(Place::Outgoing(at)),
        }
    }

    /// A call in place of a return: all that is live are its arguments.
    pub(super) fn tail_call(
        &mut self,
        sig: SigRef,
        callee: Option<FuncRef>,
        args: ValueList,
    ) -> Result<(), CodegenError> {
        let func = self.func;
        let signature = func.sig(sig);
        if [signature.call_conv, self.own_convention()] != [CallConv::Tail; 2] {
            let what = "a tail call between functions of other conventions than `tail`";
            return Err(CodegenError::Unsupported(what.into()));
        }
        self.start_empty();
        self.begin_chunk();
        let mut locs = core::mem::take(&mut self.s.call);
        I::param_locs(signature, &mut locs);
        self.outgoing = self.outgoing.max(locs.stack);
        let target = callee.is_none().then(I::tail_target);
        if let Some(r) = target {
            self.bind_argument(func.lists.get(args, 0), r);
        }
        if locs.ret_area {
            self.scratch_fixed(I::first_int_arg());
        }
        let skip = usize::from(target.is_some());
        let passed = locs.locs.iter().zip(pieces(&signature.params));
        for (a, (loc, p)) in func.lists.iter(args).skip(skip).zip(passed) {
            if let AbiLoc::Reg(r) = *loc {
                self.bind_passed(a, &p, r, false);
            }
        }
        let call = TailCall {
            callee,
            incoming: self.s.params.stack,
            outgoing: locs.stack,
        };
        I::tail_call(self, call);
        self.extend_arguments(&signature.params, &locs.locs);
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        if let Some(r) = target {
            self.push_argument_move(func.lists.get(args, 0), Loc::Reg(r), &mut moves);
        }
        for (a, loc) in func.lists.iter(args).skip(skip).zip(&locs.locs) {
            let dst = self.argument_destination(*loc);
            self.push_argument_move(a, dst, &mut moves);
        }
        if locs.ret_area {
            // The callee's results are this function's.
            moves.push(Move {
                dst: Loc::Reg(I::first_int_arg()),
                src: Loc::Place(Place::Slot(self.ret_area_slot)),
                ty: Type::I64,
            });
        }
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        self.s.call_moves = moves;
        self.s.call = locs;
        Ok(())
    }

    /// An ordinary call: results, then values that outlive it, then the call, then arguments.
    fn finish_call(
        &mut self,
        inst: Inst,
        sig: SigRef,
        args: ValueList,
        skip: usize,
        callee: Option<FuncRef>,
    ) {
        let signature = self.func.sig(sig);
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        self.result_moves(inst, signature, &mut moves);
        if clobbers_registers(self.func, inst) {
            self.survivor_moves(&mut moves);
        }
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        self.extend_results(signature);
        self.note_call(inst, signature);
        self.s.call_moves = moves;
        self.unlock_all();
        self.pass_and_call(signature, args, skip, callee, None);
    }

    /// The call itself, with `mark` right below it, and above it its arguments. The callee's address,
    /// if it has no number, is the one before the first of them, at `skip`.
    pub(super) fn pass_and_call(
        &mut self,
        signature: &Signature,
        args: ValueList,
        skip: usize,
        callee: Option<FuncRef>,
        mark: Option<I::Inst>,
    ) {
        let func = self.func;
        let mut moves = core::mem::take(&mut self.s.call_moves);
        let mut locs = core::mem::take(&mut self.s.call);
        I::param_locs(signature, &mut locs);
        let ret_area = locs.ret_area;
        self.outgoing = self.outgoing.max(locs.stack);
        if ret_area {
            let cells = pieces(&signature.returns).count() as u32;
            self.ret_area = self.ret_area.max(8 * cells);
            let r = I::first_int_arg();
            self.scratch_fixed(r);
        }
        let kept = signature.call_conv == CallConv::PreserveAll;
        let passed = locs.locs.iter().zip(pieces(&signature.params));
        for (a, (loc, p)) in func.lists.iter(args).skip(skip).zip(passed) {
            if let AbiLoc::Reg(r) = *loc {
                self.bind_passed(a, &p, r, kept);
            }
        }
        if signature.call_conv == CallConv::Tail && locs.stack != 0 {
            self.emit(I::lower_stack(locs.stack));
        }
        mark.into_iter().for_each(|inst| self.emit(inst));
        match callee {
            Some(callee) => I::call(self, callee),
            None => {
                let target = self.use_reg(func.lists.get(args, 0));
                I::call_reg(self, target);
            }
        }
        self.extend_arguments(&signature.params, &locs.locs);
        moves.clear();
        for (a, loc) in func.lists.iter(args).skip(skip).zip(&locs.locs) {
            let dst = self.argument_destination(*loc);
            self.push_argument_move(a, dst, &mut moves);
        }
        if ret_area {
            let at = Place::StackArea(self.own_stack_slots);
            self.emit(I::place_addr(I::first_int_arg(), at));
        }
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        self.s.call_moves = moves;
        self.s.call = locs;
    }

    /// Moves from where results come back to where they are wanted.
    fn result_moves(&mut self, inst: Inst, sig: &Signature, moves: &mut Vec<Move>) {
        let mut results = self.func.inst_results(inst);
        for_each_result::<I>(sig, |_, loc| {
            let v = results.next().expect("a value for each result");
            let ty = self.func.value_type(v);
            let src = match loc {
                AbiLoc::Reg(r) => {
                    self.used.insert(r);
                    Loc::Reg(r)
                }
                AbiLoc::Stack(at) => Loc::Place(Place::StackArea(self.own_stack_slots + at)),
            };
            let state = self.s.vals[v.index()];
            if let Some(r) = self.reg_of(v) {
                self.release(v);
                self.lock(r);
                moves.push(Move {
                    dst: Loc::Reg(r),
                    src,
                    ty,
                });
            }
            if state.slot != NO_SLOT {
                moves.push(Move {
                    dst: Loc::Place(Place::Slot(state.slot)),
                    src,
                    ty,
                });
            }
        });
    }

    /// The call above leaves its results where the convention has them, and nothing in the
    /// registers it overwrites.
    pub(super) fn note_call(&mut self, inst: Inst, sig: &Signature) {
        let mut results = self.func.inst_results(inst);
        for_each_result::<I>(sig, |_, loc| {
            let v = results.next().expect("a value for each result");
            let loc = match loc {
                AbiLoc::Reg(r) => CheckLoc::Reg(r),
                AbiLoc::Stack(at) => CheckLoc::StackArea(self.own_stack_slots + at),
            };
            self.note(|| Note::Def(v, loc));
        });
        if clobbers_registers(self.func, inst) {
            let clobbered = self.all.minus(I::CALLEE_SAVED);
            self.note(|| Note::Clobber(clobbered));
        }
    }

    /// Other conventions leave the upper half of the register of an `i32` undefined.
    pub(super) fn extend_results(&mut self, sig: &Signature) {
        if sig.call_conv == CallConv::Fast {
            return;
        }
        for_each_result::<I>(sig, |p, loc| {
            if let AbiLoc::Reg(r) = loc
                && p.ty == Type::I32
            {
                self.emit(I::zero_extend_32(r));
            }
        });
    }

    /// Values that outlive a call leave the registers it overwrites, for others or their slots.
    fn survivor_moves(&mut self, moves: &mut Vec<Move>) {
        for order in I::ORDER {
            for &r in order {
                if I::CALLEE_SAVED.contains(r) {
                    continue;
                }
                self.used.insert(r);
                let v = self.value_in[r.index()];
                if v == NO_VALUE {
                    continue;
                }
                self.release(v);
                let ty = self.func.value_type(v);
                let src = if self.s.vals[v.index()].constant {
                    Loc::Const(v)
                } else if let Some(saved) = self.free_saved(r.class()) {
                    self.assign(v, saved);
                    Loc::Reg(saved)
                } else {
                    Loc::Place(self.slot(v))
                };
                moves.push(Move {
                    dst: Loc::Reg(r),
                    src,
                    ty,
                });
            }
        }
    }

    /// A free register that survives calls; not one a result of this call is brought to.
    fn free_saved(&self, class: RegClass) -> Option<PReg> {
        let set = self.free.intersect(I::CALLEE_SAVED).minus(self.locked);
        I::ORDER[class as usize]
            .iter()
            .copied()
            .find(|&r| set.contains(r))
    }
}
