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
    AbiParam, ArgumentExtension, Block, CallConv, EntityRef, FuncRef, Inst, InstData, SigRef,
    Signature, SiteAttr, Type, Value, ValueList,
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

/// Where result number `i` of `sig` travels: in the next register of its class, else in the area
/// whose address the caller passes, one 8-byte cell per result of the signature.
fn result_loc<I: Isa>(sig: &Signature, i: usize) -> AbiLoc {
    let class = |ty: Type| {
        if ty.is_float() {
            RegClass::Float
        } else {
            RegClass::Int
        }
    };
    let own = class(sig.returns[i].ty);
    let before = sig.returns[..i]
        .iter()
        .filter(|r| class(r.ty) == own)
        .count();
    match I::result_regs(own).get(before) {
        Some(&r) => AbiLoc::Reg(r),
        None => AbiLoc::Stack(8 * i as u32),
    }
}

/// Whether some result of `sig` does not fit in registers.
pub(crate) fn needs_ret_area<I: Isa>(sig: &Signature) -> bool {
    let floats = sig.returns.iter().filter(|r| r.ty.is_float()).count();
    let ints = sig.returns.len() - floats;
    ints > I::result_regs(RegClass::Int).len() || floats > I::result_regs(RegClass::Float).len()
}

/// What this function passes on, as arguments or results, is not extended beyond its type; only
/// the upper half of a register that holds an `i32` is zero anyway.
pub(super) fn check_extensions(passed: &[AbiParam]) -> Result<(), CodegenError> {
    let extended = |p: &&AbiParam| match p.extension {
        ArgumentExtension::None => false,
        ArgumentExtension::Uext => p.ty.bits() < 32,
        ArgumentExtension::Sext => p.ty.bits() < 64,
    };
    match passed.iter().find(extended) {
        Some(p) => Err(CodegenError::Unsupported(format!("passing `{p}`"))),
        None => Ok(()),
    }
}

impl<I: Isa> Selector<'_, I> {
    /// At the top of the entry block: bring the parameters from where they come in to where they
    /// are expected.
    pub(super) fn enter_function(&mut self, entry: Block) {
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
        self.s.call_moves = moves;
        self.s.params = locs;
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
        for (i, a) in func.lists.iter(args).enumerate() {
            if let AbiLoc::Reg(r) = result_loc::<I>(&func.signature, i) {
                self.bind_argument(a, r);
            }
        }
        for (i, a) in func.lists.iter(args).enumerate() {
            let dst = match (result_loc::<I>(&func.signature, i), area) {
                (AbiLoc::Reg(r), _) => Loc::Reg(r),
                (AbiLoc::Stack(at), Some(base)) => Loc::Place(Place::At(base, at as i32)),
                (AbiLoc::Stack(_), None) => unreachable!("a result on the stack needs an area"),
            };
            self.push_argument_move(a, dst, &mut moves);
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

    fn push_argument_move(&mut self, a: Value, dst: Loc, moves: &mut Vec<Move>) {
        // There may be more arguments than registers.
        let src = match self.use_home(a) {
            Operand::Reg(r) => Loc::Reg(r),
            Operand::Place(p) => Loc::Place(p),
            Operand::Const(bits) => Loc::Const(bits),
        };
        let a = self.repr(a);
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
                check_extensions(&self.func.sig(callee.signature).params)?;
                if callee.patchable {
                    self.site_arguments(callee.signature, args);
                    // Bringing the arguments about may move observed values.
                    let number = self.site(func, attrs.expand());
                    return self.emit_site(number);
                }
                let sig = callee.signature;
                self.finish_call(inst, sig, args, 0, Some(func));
            }
            InstData::CallIndirect { sig, args, .. } => {
                check_extensions(&self.func.sig(sig).params)?;
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
                let loc = match home {
                    Operand::Reg(r) => SelectedLoc::Reg(r),
                    Operand::Place(Place::Slot(s)) if s & INCOMING != 0 => {
                        SelectedLoc::Frame((s & !INCOMING) as i32)
                    }
                    Operand::Place(Place::Slot(s)) => SelectedLoc::Spill(s),
                    Operand::Place(_) => unreachable!("values live in slots"),
                    Operand::Const(bits) => SelectedLoc::Const(bits),
                };
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

    fn emit_site(&mut self, number: u32) -> Result<(), CodegenError> {
        // Above the site stand the moves of its arguments, which were collected before.
        self.emit(I::patch_site(number));
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
        for (a, loc) in func.lists.iter(args).zip(&locs.locs) {
            if let AbiLoc::Reg(r) = *loc {
                if self.reg_of(self.repr(a)) != Some(r) {
                    self.vacate(r);
                }
                self.bind_argument(a, r);
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

    /// An ordinary call: results, then values that outlive it, then the call, then arguments.
    fn finish_call(
        &mut self,
        inst: Inst,
        sig: SigRef,
        args: ValueList,
        skip: usize,
        callee: Option<FuncRef>,
    ) {
        let func = self.func;
        let signature = func.sig(sig);
        let ret_area = needs_ret_area::<I>(signature);
        let mut moves = core::mem::take(&mut self.s.call_moves);
        moves.clear();
        self.result_moves(inst, signature, &mut moves);
        if clobbers_registers(func, inst) {
            self.survivor_moves(&mut moves);
        }
        let free = self.free_for_moves(&moves);
        self.parallel_move(&mut moves, free);
        self.extend_results(inst, signature);
        self.note_call(inst, signature);
        self.unlock_all();

        let mut locs = core::mem::take(&mut self.s.call);
        I::param_locs(signature, &mut locs);
        self.outgoing = self.outgoing.max(locs.stack);
        if ret_area {
            self.ret_area = self.ret_area.max(8 * signature.returns.len() as u32);
            let r = I::first_int_arg();
            self.scratch_fixed(r);
        }
        for (a, loc) in func.lists.iter(args).skip(skip).zip(&locs.locs) {
            if let AbiLoc::Reg(r) = *loc {
                // A callee that preserves all registers leaves values where they are.
                if self.reg_of(self.repr(a)) != Some(r) {
                    self.vacate(r);
                }
                self.bind_argument(a, r);
            }
        }
        match callee {
            Some(callee) => I::call(self, callee),
            None => {
                let target = self.use_reg(func.lists.get(args, 0));
                I::call_reg(self, target);
            }
        }
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
        for (i, v) in self.func.inst_results(inst).enumerate() {
            let ty = self.func.value_type(v);
            let src = match result_loc::<I>(sig, i) {
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
        }
    }

    /// The call above leaves its results where the convention has them, and nothing in the
    /// registers it overwrites.
    fn note_call(&mut self, inst: Inst, sig: &Signature) {
        for (i, v) in self.func.inst_results(inst).enumerate() {
            let loc = match result_loc::<I>(sig, i) {
                AbiLoc::Reg(r) => CheckLoc::Reg(r),
                AbiLoc::Stack(at) => CheckLoc::StackArea(self.own_stack_slots + at),
            };
            self.note(|| Note::Def(v, loc));
        }
        if clobbers_registers(self.func, inst) {
            let all = I::ORDER
                .iter()
                .fold(RegSet::EMPTY, |s, o| s.union(RegSet::from_slice(o)));
            self.note(|| Note::Clobber(all.minus(I::CALLEE_SAVED)));
        }
    }

    /// Other conventions leave the upper half of the register of an `i32` undefined.
    fn extend_results(&mut self, inst: Inst, sig: &Signature) {
        if sig.call_conv == CallConv::Fast {
            return;
        }
        for (i, v) in self.func.inst_results(inst).enumerate() {
            if let AbiLoc::Reg(r) = result_loc::<I>(sig, i)
                && self.func.value_type(v) == Type::I32
            {
                self.emit(I::zero_extend_32(r));
            }
        }
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
                    Loc::Const(self.constant_bits(v).0)
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
