//! What the walk tells the checker.

use super::moves::Place;
use super::{AbiLoc, INCOMING, Isa, NO_REG, NO_SLOT, ParamLocs, Selector};
use crate::PReg;
use crate::checker::{self, CheckLoc, ENABLED, Note, Noted};
use nopal_ir::{EntityRef, Value};

impl<I: Isa> Selector<'_, I> {
    /// Make a note that stands above all that has been emitted.
    #[inline]
    pub(super) fn note(&mut self, note: impl FnOnce() -> Note) {
        if ENABLED {
            let at = self.out.insts.len() as u32;
            self.out.notes.push(Noted {
                at,
                chunk: self.chunk_label,
                note: note(),
            });
        }
    }

    /// `v` is an operand of the current instruction.
    #[inline]
    pub(super) fn note_operand(&mut self, v: Value) {
        if ENABLED {
            self.s.operands.push(v);
        }
    }

    /// The instruction above leaves `v` in `r`.
    #[inline]
    pub(super) fn note_def(&mut self, v: Value, r: PReg) {
        if ENABLED {
            self.s.defined.push(v);
        }
        self.note(|| Note::Def(v, CheckLoc::Reg(r)));
    }

    /// All code of the current instruction has been emitted: above it, its operands are where the
    /// walk believes them to be.
    pub(super) fn end_group(&mut self) {
        if !ENABLED {
            return;
        }
        let operands = core::mem::take(&mut self.s.operands);
        let defined = core::mem::take(&mut self.s.defined);
        // A merged instruction may define what another one of the group reads.
        for &v in operands.iter().filter(|v| !defined.contains(v)) {
            let state = self.s.vals[v.index()];
            if state.reg != NO_REG {
                let r = PReg::from_index(state.reg.into());
                self.note(|| Note::Use(v, CheckLoc::Reg(r)));
            } else if state.slot != NO_SLOT && !state.constant {
                self.note(|| Note::Use(v, CheckLoc::Slot(state.slot)));
            }
        }
        self.note(|| Note::Group(operands));
    }

    /// Run the checker.
    ///
    /// # Panics
    ///
    /// If it finds an error, which is one of the compiler.
    pub(super) fn check(&self) {
        let entry = self.an.order[0];
        let mut locs = ParamLocs::default();
        I::param_locs(&self.func.signature, &mut locs);
        let values = locs.locs.iter().map(|loc| match *loc {
            AbiLoc::Reg(r) => CheckLoc::Reg(r),
            AbiLoc::Stack(at) => CheckLoc::Slot(INCOMING | (at + 16)),
        });
        let params = self.func.block_params(entry).map(Some);
        let mut entry: Vec<_> = values.zip(params).collect();
        if locs.ret_area {
            entry.push((CheckLoc::Reg(I::first_int_arg()), None));
        }
        if let Err(e) = checker::check(self.func, self.an, self.out, &entry) {
            panic!(
                "selection of {} is wrong: {e}\n{}{}",
                self.func.name,
                self.func,
                self.listing()
            );
        }
    }
}

impl<I: Isa> Selector<'_, I> {
    /// The selected code, for the report of an error.
    fn listing(&self) -> String {
        let mut text = String::new();
        for (number, chunk) in self.out.chunks.iter().enumerate() {
            text += &format!("chunk {number} {:?}:\n", chunk.label);
            for at in chunk.insts.clone().rev() {
                text += &format!("  {at}: {:?}\n", self.out.insts[at as usize]);
            }
        }
        text
    }
}

/// The location of a place, if its content is followed.
pub(super) fn place_loc(place: Place) -> Option<CheckLoc> {
    match place {
        Place::Slot(n) => Some(CheckLoc::Slot(n)),
        Place::Outgoing(at) => Some(CheckLoc::Outgoing(at)),
        Place::StackArea(at) => Some(CheckLoc::StackArea(at)),
        Place::At(..) => None,
    }
}
