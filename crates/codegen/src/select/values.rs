//! Where values are: what selection rules say about their operands and results.

use super::moves::Place;
use super::{Isa, NO_REG, NO_SLOT, NO_VALUE, Selector};
use crate::{PReg, RegClass, RegSet};
use nopal_ir::{EntityRef, Inst, InstData, Opcode, Type, Value, ValueDef};

/// Where an operand was found by [`Selector::use_any`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    /// In a register.
    Reg(PReg),
    /// In the frame.
    Place(Place),
    /// It is this constant, zero-extended from its type.
    Const(u64),
}

/// A promise to [`Selector::finish_tie`].
#[derive(Clone, Copy)]
#[must_use]
pub(crate) struct Tied {
    dst: PReg,
    /// The operand, unless it lives in `dst` above.
    from: Option<Value>,
}

impl<I: Isa> Selector<'_, I> {
    /// The value that stands for `v` in registers and slots.
    #[inline]
    pub(crate) fn repr(&self, v: Value) -> Value {
        self.an.repr[v.index()]
    }

    /// The type of a value, as its user sees it.
    #[inline]
    pub(crate) fn ty(&self, v: Value) -> Type {
        self.func.value_type(v)
    }

    /// The register that holds `v` at the current point.
    #[inline]
    pub(super) fn reg_of(&self, v: Value) -> Option<PReg> {
        let reg = self.s.vals[v.index()].reg;
        (reg != NO_REG).then(|| PReg::from_index(reg.into()))
    }

    /// Let `v` live in `r`, which must be free, from here up.
    #[inline]
    pub(super) fn assign(&mut self, v: Value, r: PReg) {
        debug_assert!(
            self.value_in[r.index()] == NO_VALUE,
            "{r:?} holds {}",
            self.value_in[r.index()]
        );
        debug_assert!(self.s.vals[v.index()].reg == NO_REG);
        self.value_in[r.index()] = v;
        self.free.remove(r);
        self.used.insert(r);
        let state = &mut self.s.vals[v.index()];
        state.reg = r.index() as u8;
        state.hint = r.index() as u8;
        if state.constant {
            self.constants.insert(r);
        }
    }

    /// `v` has no register any more.
    #[inline]
    pub(super) fn release(&mut self, v: Value) {
        let state = &mut self.s.vals[v.index()];
        debug_assert!(state.reg != NO_REG);
        let r = PReg::from_index(state.reg.into());
        state.reg = NO_REG;
        self.value_in[r.index()] = NO_VALUE;
        self.free.insert(r);
        self.constants.remove(r);
    }

    /// No value has a register any more.
    pub(super) fn release_all(&mut self) {
        for r in self.all.minus(self.free).iter() {
            self.s.vals[self.value_in[r.index()].index()].reg = NO_REG;
            self.value_in[r.index()] = NO_VALUE;
        }
        self.free = self.all;
        self.constants = RegSet::EMPTY;
    }

    /// Keep `r` from being given to another value during this instruction.
    #[inline]
    pub(crate) fn lock(&mut self, r: PReg) {
        self.locked.insert(r);
    }

    /// The place of the slot of `v`, which is given one if it has none.
    pub(super) fn slot(&mut self, v: Value) -> Place {
        let slot = self.s.vals[v.index()].slot;
        if slot != NO_SLOT {
            return Place::Slot(slot);
        }
        let slot = self.new_slot(v);
        self.s.vals[v.index()].slot = slot;
        Place::Slot(slot)
    }

    /// A new slot that belongs to `v`, or to the whole function.
    pub(super) fn new_slot(&mut self, v: Value) -> u32 {
        self.s.slot_values.push(v);
        self.s.slot_values.len() as u32 - 1
    }

    /// A free register for a value that may outlive calls.
    pub(super) fn pick(&self, class: RegClass, hint: u8, crosses_call: bool) -> Option<PReg> {
        let order = I::ORDER[class as usize];
        let candidates = self.free.minus(self.locked);
        if hint != NO_REG {
            let hint = PReg::from_index(hint.into());
            if candidates.contains(hint)
                && hint.class() == class
                && (!crosses_call || I::CALLEE_SAVED.contains(hint))
            {
                return Some(hint);
            }
        }
        let good = if crosses_call {
            candidates.intersect(I::CALLEE_SAVED)
        } else {
            candidates.minus(I::CALLEE_SAVED.minus(self.used))
        };
        let find = |set: RegSet| {
            if set.is_empty() {
                None
            } else {
                order.iter().copied().find(|&r| set.contains(r))
            }
        };
        find(good).or_else(|| find(candidates))
    }

    /// A register that is free above the current instruction, taking it from another value if
    /// need be.
    fn allocate(&mut self, class: RegClass, hint: u8, crosses_call: bool) -> PReg {
        match self.pick(class, hint, crosses_call) {
            Some(r) => r,
            None => self.make_room(class),
        }
    }

    /// Take a register from the value that is cheapest to reload.
    fn make_room(&mut self, class: RegClass) -> PReg {
        let mut best = None;
        let mut best_cost = u64::MAX;
        let loop_id = self.an.loop_of[self.pos as usize];
        for &r in I::ORDER[class as usize] {
            if self.locked.contains(r) || !self.all.contains(r) {
                continue;
            }
            let v = self.value_in[r.index()];
            debug_assert!(v != NO_VALUE, "a free register was not picked");
            let state = &self.s.vals[v.index()];
            let info = &self.an.values[v.index()];
            let mut cost = u64::from(info.weight) << 16;
            // Values that are dense in uses are worth their register.
            cost /= u64::from(info.end.saturating_sub(info.def)) + 8;
            if state.constant {
                cost = 0;
            } else if state.slot == NO_SLOT {
                cost += 1 << 12;
            }
            if loop_id != crate::analyze::NO_LOOP && !self.an.defined_before(v, loop_id) {
                cost += 1 << 10;
            }
            if cost < best_cost {
                best_cost = cost;
                best = Some((r, v));
            }
        }
        let (r, v) = best.expect("an instruction locks every register");
        self.evict(v);
        r
    }

    /// Take the register from `v`: it is reloaded below the current instruction.
    pub(super) fn evict(&mut self, v: Value) {
        let r = self
            .reg_of(v)
            .expect("only a value in a register can be evicted");
        self.reload(v, r);
        self.release(v);
    }

    /// Emit code that puts `v` into `r` from its slot, or makes the constant it is.
    pub(super) fn reload(&mut self, v: Value, r: PReg) {
        if self.s.vals[v.index()].constant {
            let (bits, ty) = self.constant_bits(v);
            I::load_const(self.out, r, bits, ty, self.flags_live);
        } else {
            let place = self.slot(v);
            self.emit(I::load(r, place, self.func.value_type(v)));
        }
    }

    /// A register that is overwritten during this instruction.
    pub(crate) fn scratch(&mut self, class: RegClass) -> PReg {
        let r = self.allocate(class, NO_REG, false);
        self.used.insert(r);
        self.lock(r);
        r
    }

    /// The particular register `r` as one that is overwritten during this instruction.
    pub(crate) fn scratch_fixed(&mut self, r: PReg) {
        self.vacate(r);
        self.used.insert(r);
        self.lock(r);
    }

    /// Make `r` free above the current instruction; its value moves to another register or is
    /// reloaded below.
    pub(super) fn vacate(&mut self, r: PReg) {
        let v = self.value_in[r.index()];
        if v == NO_VALUE {
            return;
        }
        self.lock(r);
        let other = if self.s.vals[v.index()].constant {
            None
        } else {
            // A value that is live across the instruction cannot be where a result is written.
            let locked = self.locked;
            self.locked = locked.union(self.defined);
            let other = self.pick(r.class(), NO_REG, self.an.crosses_call(v));
            self.locked = locked;
            other
        };
        match other {
            Some(other) => {
                self.emit(I::mov(r, other));
                self.release(v);
                self.assign(v, other);
            }
            None => self.evict(v),
        }
    }

    /// The register in which the result `v` is wanted. It is free above, so operands may take it;
    /// [`Selector::lock`] it if the instruction writes it before it has read them.
    ///
    /// A store to the slot of `v` is emitted if it has one.
    pub(crate) fn def(&mut self, v: Value) -> PReg {
        let state = self.s.vals[v.index()];
        let r = if state.reg != NO_REG {
            self.release(v);
            PReg::from_index(state.reg.into())
        } else {
            let r = self.allocate(Self::class(self.func.value_type(v)), state.hint, false);
            self.used.insert(r);
            r
        };
        self.defined.insert(r);
        if state.slot != NO_SLOT {
            self.emit(I::store(Place::Slot(state.slot), r));
        }
        self.note_def(v, r);
        r
    }

    /// Like [`Selector::def`] for an instruction that leaves its result in `r`: if it is wanted
    /// elsewhere it is moved there. `r` is free and locked above.
    pub(crate) fn def_fixed(&mut self, v: Value, r: PReg) {
        let state = self.s.vals[v.index()];
        if state.reg == NO_REG && state.slot == NO_SLOT {
            self.scratch_fixed(r);
            return;
        }
        let wanted = self.reg_of(v);
        if let Some(w) = wanted {
            self.release(v);
            self.defined.insert(w);
        }
        if wanted != Some(r) {
            self.vacate(r);
        }
        if state.slot != NO_SLOT {
            self.emit(I::store(Place::Slot(state.slot), r));
        }
        if let Some(wanted) = wanted.filter(|&w| w != r) {
            self.emit(I::mov(wanted, r));
        }
        self.note_def(v, r);
        self.used.insert(r);
        self.lock(r);
    }

    /// The register that holds `v`, given to it now if it has none; locked.
    #[inline]
    pub(crate) fn use_reg(&mut self, v: Value) -> PReg {
        let v = self.repr(v);
        self.note_operand(v);
        if let Some(r) = self.reg_of(v) {
            self.lock(r);
            return r;
        }
        let hint = self.s.vals[v.index()].hint;
        let crosses = !self.an.calls.is_empty() && self.an.crosses_call(v);
        let r = self.allocate(Self::class(self.func.value_type(v)), hint, crosses);
        self.assign(v, r);
        self.lock(r);
        r
    }

    /// `v` in a register, or in its slot if it has that and no register, or the constant it is.
    pub(crate) fn use_any(&mut self, v: Value) -> Operand {
        let v = self.repr(v);
        self.note_operand(v);
        if let Some(r) = self.reg_of(v) {
            self.lock(r);
            return Operand::Reg(r);
        }
        let state = self.s.vals[v.index()];
        if state.constant {
            return Operand::Const(self.constant_bits(v).0);
        }
        if state.slot != NO_SLOT {
            return Operand::Place(Place::Slot(state.slot));
        }
        Operand::Reg(self.use_reg(v))
    }

    /// Like [`Selector::use_any`], without taking a register from another value: a value that has
    /// no home gets a free register or a slot.
    pub(crate) fn use_home(&mut self, v: Value) -> Operand {
        let v = self.repr(v);
        let state = self.s.vals[v.index()];
        if state.reg == NO_REG && state.slot == NO_SLOT && !state.constant {
            let class = Self::class(self.func.value_type(v));
            match self.pick(class, state.hint, self.an.crosses_call(v)) {
                Some(r) => self.assign(v, r),
                None => {
                    self.slot(v);
                }
            }
        }
        self.use_any(v)
    }

    /// Where a hook finds `v`; a value that has no home is given a slot, never a register.
    pub(super) fn observe(&mut self, v: Value) -> Operand {
        let v = self.repr(v);
        if let Some(r) = self.reg_of(v) {
            return Operand::Reg(r);
        }
        if self.s.vals[v.index()].constant {
            return Operand::Const(self.constant_bits(v).0);
        }
        Operand::Place(self.slot(v))
    }

    /// The first operand of an instruction that overwrites it with its result, which is wanted in
    /// `dst`. Call this before the other operands are asked for, and
    /// [`Selector::finish_tie`] after the instruction has been emitted.
    pub(crate) fn tie(&mut self, dst: PReg, v: Value) -> Tied {
        let v = self.repr(v);
        self.note_operand(v);
        self.lock(dst);
        let state = self.s.vals[v.index()];
        if state.reg == NO_REG && !state.constant && self.value_in[dst.index()] == NO_VALUE {
            self.assign(v, dst);
            return Tied { dst, from: None };
        }
        Tied {
            dst,
            from: (state.reg != dst.index() as u8).then_some(v),
        }
    }

    /// Whether `v` would be tied without a move: it has no register yet.
    #[inline]
    pub(crate) fn dies_here(&self, v: Value) -> bool {
        let state = self.s.vals[self.repr(v).index()];
        state.reg == NO_REG && !state.constant
    }

    /// How well `v` suits [`Selector::tie`] to `dst`: 0 if that takes a move, else more the less it keeps
    /// `v` from where it is to be above.
    #[inline]
    pub(crate) fn tie_affinity(&self, dst: PReg, v: Value) -> u8 {
        let state = self.s.vals[self.repr(v).index()];
        if state.reg != NO_REG || state.constant {
            0
        } else if state.hint == NO_REG {
            2
        } else if state.hint == dst.index() as u8 {
            3
        } else {
            1
        }
    }

    /// Bring the tied operand to its register, above the instruction.
    pub(crate) fn finish_tie(&mut self, tied: Tied) {
        let Some(v) = tied.from else { return };
        match self.use_any(v) {
            Operand::Reg(r) => {
                if r != tied.dst {
                    self.emit(I::mov(tied.dst, r));
                }
            }
            Operand::Place(place) => {
                self.emit(I::load(tied.dst, place, self.func.value_type(v)));
            }
            Operand::Const(bits) => {
                let ty = self.func.value_type(v);
                I::load_const(self.out, tied.dst, bits, ty, self.flags_live);
            }
        }
    }

    /// Bring `v` into `r` above the current instruction. The register is locked.
    pub(crate) fn use_fixed(&mut self, v: Value, r: PReg) -> Tied {
        if self.reg_of(self.repr(v)) == Some(r) {
            self.note_operand(self.repr(v));
            self.lock(r);
            return Tied { dst: r, from: None };
        }
        self.vacate(r);
        self.used.insert(r);
        self.tie(r, v)
    }

    /// Bring a copy of `v` into `r`, a scratch register, above the current instruction.
    pub(crate) fn use_copy(&mut self, v: Value, r: PReg) -> Tied {
        Tied {
            dst: r,
            from: Some(self.repr(v)),
        }
    }

    /// The constant that `v` is, sign-extended from its type.
    pub(crate) fn const_of(&self, v: Value) -> Option<i64> {
        let r = self.repr(v);
        if !self.s.vals[r.index()].constant {
            return None;
        }
        let (bits, ty) = self.constant_bits(r);
        if ty.is_float() {
            return None;
        }
        let shift = 64 - self.func.value_type(v).bits();
        Some((bits << shift) as i64 >> shift)
    }

    /// The constant that `v` is, if it is one of 32 bits after sign extension.
    pub(crate) fn imm32(&self, v: Value) -> Option<i32> {
        self.const_of(v).and_then(|c| c.try_into().ok())
    }

    /// The bits of the float constant that `v` is.
    pub(crate) fn float_const(&self, v: Value) -> Option<u64> {
        let r = self.repr(v);
        if !self.s.vals[r.index()].constant {
            return None;
        }
        let (bits, ty) = self.constant_bits(r);
        ty.is_float().then_some(bits)
    }

    /// The instruction that defines `v`, if `v` is used only by the current instruction, so that
    /// it can be merged into it, and nothing in between could change what it does.
    ///
    /// Call [`Selector::mark_fused`] once it has been decided to do so.
    pub(crate) fn fusible(&self, v: Value) -> Option<Inst> {
        let r = self.repr(v);
        if self.func.value_type(r) != self.func.value_type(v) {
            // The user sees an extension or reduction of what is computed.
            return None;
        }
        self.fusible_any(v)
    }

    /// Whether `v` is needed in a register or slot.
    pub(crate) fn is_wanted(&self, v: Value) -> bool {
        let state = self.s.vals[v.index()];
        state.reg != NO_REG || state.slot != NO_SLOT
    }

    /// The instruction of which `v` is the second result, a flag, if only `user` uses it and no
    /// code comes to stand between the two: then `user` finds the flag where the instruction
    /// leaves it.
    ///
    /// Call [`Selector::mark_flag_fused`] once it has been decided to do so.
    pub(crate) fn flag_producer(&self, v: Value, user: Inst) -> Option<Inst> {
        let r = self.repr(v);
        let ValueDef::Result(def, 1) = self.func.value_def(r) else {
            return None;
        };
        let block = self.func.block(self.an.order[self.pos as usize]);
        if self.an.values[r.index()].uses != 1
            || self.is_wanted(r)
            || def.as_u32() < block.first
            || def.as_u32() >= user.as_u32()
            || self.func.opcode(def).is_call()
        {
            return None;
        }
        let empty = |n: u32| {
            let inst = Inst::from_u32(n);
            !self.func.opcode(inst).has_side_effect() && {
                let v = self.func.first_result(inst);
                let state = self.s.vals[v.index()];
                self.an.repr[v.index()] != v || state.constant || state.mark
            }
        };
        (def.as_u32() + 1..user.as_u32()).all(empty).then_some(def)
    }

    /// The instruction of which `v` is the flag is merged into the current one.
    pub(crate) fn mark_flag_fused(&mut self, v: Value) {
        self.mark_fused(v);
        if let ValueDef::Result(def, _) = self.func.value_def(self.repr(v)) {
            self.s.vals[self.func.first_result(def).index()].mark = true;
        }
    }

    /// Like [`Selector::fusible`], also if `v` is an extension or reduction of what is computed.
    pub(crate) fn fusible_any(&self, v: Value) -> Option<Inst> {
        let r = self.repr(v);
        let state = self.s.vals[r.index()];
        if self.an.values[r.index()].uses != 1 || state.reg != NO_REG || state.slot != NO_SLOT {
            return None;
        }
        let ValueDef::Result(def, 0) = self.func.value_def(r) else {
            return None;
        };
        let block = self.func.block(self.an.order[self.pos as usize]);
        if def.as_u32() < block.first || def.as_u32() >= self.current.as_u32() {
            return None;
        }
        let opcode = self.func.opcode(def);
        if opcode.is_call() || opcode.has_side_effect() {
            return None;
        }
        if opcode.is_load() && self.an.color[def.index()] != self.an.color[self.current.index()] {
            return None;
        }
        Some(def)
    }

    /// The instruction that defines `v`, if it is `opcode` and can be merged into the current one.
    pub(crate) fn fusible_op(&self, v: Value, opcode: Opcode) -> Option<InstData> {
        let def = self.fusible(v)?;
        (self.func.opcode(def) == opcode).then(|| *self.func.inst(def))
    }

    /// The instruction that defines `v` is merged into the current one, which is where its operands
    /// are read then.
    pub(crate) fn mark_fused(&mut self, v: Value) {
        let v = self.repr(v);
        self.s.vals[v.index()].mark = true;
        let ValueDef::Result(def, _) = self.func.value_def(v) else {
            unreachable!("only results of instructions are merged")
        };
        let here = self.an.point(self.func, self.pos, self.current);
        let (an, late_uses) = (self.an, &mut self.s.late_uses);
        self.func.for_each_operand(def, |v| {
            let v = an.repr[v.index()];
            if an.values[v.index()].end < here {
                late_uses.push((v.as_u32(), here));
            }
        });
    }
}
