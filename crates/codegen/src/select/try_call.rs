//! Calls with handlers.
//!
//! Nothing survives such a call in a register: on all edges, what is live comes from its slot. That
//! costs reloads behind calls that return, and keeps the way of what is thrown simple: handlers
//! need the frame only.

use super::calls::{for_each_result, selected_loc};
use super::edges::{EntryState, add_move};
use super::moves::{Loc, Move, Place};
use super::{AbiLoc, Isa, Selector};
use crate::RegSet;
use crate::checker::{CheckLoc, Note};
use crate::context::CodegenError;
use crate::label::Label;
use crate::selected::SelectedHandler;
use nopal_ir::{
    BlockCall, ExceptionItem, ExceptionTable, FuncRef, Inst, Signature, Type, Value, ValueList,
};

/// A result of the call, or a word that is thrown, and where its edges find it.
type Result = (Value, Loc);

impl<I: Isa> Selector<'_, I> {
    pub(super) fn try_call(
        &mut self,
        inst: Inst,
        callee: Option<FuncRef>,
        args: ValueList,
        table: ExceptionTable,
    ) -> core::result::Result<(), CodegenError> {
        let func = self.func;
        if callee.is_some_and(|f| func.ext_func(f).patchable) {
            let what = "a patchable call with handlers";
            return Err(CodegenError::Unsupported(what.into()));
        }
        let data = func.exception_table(table);
        let signature = func.sig(data.sig);
        self.has_calls = true;
        self.start_empty();
        let (results, thrown) = self.try_results(inst, signature);
        let mut handlers = Vec::new();
        let mut pads = Vec::new();
        for item in &data.items {
            handlers.push(match *item {
                ExceptionItem::Tag(tag, edge) => {
                    SelectedHandler::Tag(tag, self.landing_pad(edge, &thrown, &mut pads))
                }
                ExceptionItem::Default(edge) => {
                    SelectedHandler::Default(self.landing_pad(edge, &thrown, &mut pads))
                }
                ExceptionItem::Context(v) => {
                    SelectedHandler::Context(selected_loc(self.observe(v)))
                }
            });
        }
        self.begin_chunk();
        self.normal_edge(data.normal, &results);
        self.extend_results(signature);
        for label in pads {
            self.note(|| {
                let in_register = |&(v, loc): &Result| match loc {
                    Loc::Reg(r) => Some((v, CheckLoc::Reg(r))),
                    _ => None,
                };
                Note::Throw(label, thrown.iter().filter_map(in_register).collect())
            });
        }
        self.note_call(inst, signature);
        let mut mark = None;
        if !handlers.is_empty() {
            // Who throws does not restore what functions in between have saved.
            self.used = self.used.union(I::CALLEE_SAVED.intersect(self.all));
            let start = self.out.handlers.len() as u32;
            self.out.handlers.extend(handlers);
            let end = self.out.handlers.len() as u32;
            self.out.try_calls.push(start..end);
            let number = self.out.try_calls.len() as u32 - 1;
            mark = Some(I::handlers(number));
        }
        self.unlock_all();
        let skip = usize::from(callee.is_none());
        self.pass_and_call(signature, args, skip, callee, mark);
        Ok(())
    }

    /// Where the results of the call, and what is thrown, are found.
    fn try_results(&mut self, inst: Inst, sig: &Signature) -> (Vec<Result>, Vec<Result>) {
        let mut values = self.func.inst_results(inst);
        let mut results = Vec::new();
        for_each_result::<I>(sig, |_, loc| {
            let v = values.next().expect("a value for each result");
            let loc = match loc {
                AbiLoc::Reg(r) => Loc::Reg(r),
                AbiLoc::Stack(at) => Loc::Place(Place::StackArea(self.own_stack_slots + at)),
            };
            results.push((v, loc));
        });
        let payload = I::exception_payload().map(Loc::Reg);
        let thrown = values.zip(payload).collect();
        for (_, loc) in results.iter().chain(&thrown) {
            if let Loc::Reg(r) = *loc {
                self.used.insert(r);
            }
        }
        (results, thrown)
    }

    /// Code of its own for the edge to a handler.
    fn landing_pad(&mut self, edge: BlockCall, thrown: &[Result], pads: &mut Vec<Label>) -> Label {
        let (state, target) = self.target(self.func.block_call(edge).block);
        let mut moves = self.moves_from_frame(edge, state, thrown);
        let free = self.free_after_call(state, &moves);
        let label = self.out.new_label();
        self.edge_chunk(label, target, &mut moves, free, edge);
        pads.push(label);
        label
    }

    /// Below the call, what it returns goes on.
    fn normal_edge(&mut self, edge: BlockCall, results: &[Result]) {
        let block = self.func.block_call(edge).block;
        let (state, target) = self.target(block);
        let mut moves = self.moves_from_frame(edge, state, results);
        if !self.is_next(block) {
            self.emit(I::jump(target));
        }
        let free = self.free_after_call(state, &moves);
        self.parallel_move(&mut moves, free);
        self.note(|| Note::Edge(edge));
    }

    /// The moves that bring about the state in which the target of an edge is entered, from slots and
    /// the results.
    fn moves_from_frame(
        &mut self,
        edge: BlockCall,
        state: EntryState,
        results: &[Result],
    ) -> Vec<Move> {
        let mut moves = Vec::new();
        self.for_each_in(state, |cx, r, v| {
            if !state.params.contains(r) {
                let ty: Type = cx.func.value_type(v);
                let (dst, src) = (Loc::Reg(r), cx.source(v));
                add_move(&mut moves, dst, src, ty);
            }
        });
        self.for_each_argument(edge, state, |cx, dst, a| {
            let ty = cx.func.value_type(a);
            let src = match results.iter().find(|(v, _)| *v == a) {
                Some(&(_, loc)) => loc,
                None => cx.source(a),
            };
            add_move(&mut moves, dst, src, ty);
        });
        moves
    }

    /// Registers that hold nothing while `moves` are made after a call.
    fn free_after_call(&self, state: EntryState, moves: &[Move]) -> RegSet {
        let mut free = self.all.minus(state.regs);
        for m in moves {
            if let Loc::Reg(r) = m.src {
                free.remove(r);
            }
        }
        free
    }
}
