//! Is a function well-formed?

mod control;
mod insts;
mod uses;

use crate::{
    AbiParam, Block, CallConv, EntityRef, FuncRef, Function, Inst, SigRef, Signature, StackSlot,
    Type, Value, ValueDef,
};
use core::fmt;

/// No more than this many errors are reported.
const MAX_ERRORS: usize = 100;

/// What a [`VerifierError`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entity {
    /// The function as a whole.
    Function,
    /// A signature of the preamble.
    Signature(SigRef),
    /// A callee of the preamble.
    Callee(FuncRef),
    /// A stack slot of the preamble.
    StackSlot(StackSlot),
    /// A block.
    Block(Block),
    /// An instruction.
    Inst(Inst),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entity::Function => f.write_str("function"),
            Entity::Signature(sig) => sig.fmt(f),
            Entity::Callee(func) => func.fmt(f),
            Entity::StackSlot(slot) => slot.fmt(f),
            Entity::Block(block) => block.fmt(f),
            Entity::Inst(inst) => inst.fmt(f),
        }
    }
}

/// A rule that a function breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierError {
    /// What is wrong.
    pub entity: Entity,
    /// The text of the instruction, if it is one.
    pub text: Option<String>,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.entity)?;
        if let Some(text) = &self.text {
            write!(f, " `{text}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl core::error::Error for VerifierError {}

/// Check that a function is well-formed; the errors, up to 100, say what is not.
///
/// - Blocks: each ends with a terminator and has no other; the entry has the parameters of the
///   function and no edges to it; edges lead to blocks of the layout with one argument for each
///   parameter, of its type.
/// - Values: each operand exists and is defined on every path from the entry to its use.
/// - Types: operands and results are as the opcode demands; an `iconst` fits its type; conversions
///   and narrow loads and stores do change the width; calls and returns match the signatures.
/// - References to signatures, callees, stack slots, jump tables and attributes lead somewhere.
/// - A patchable callee is colocated and returns nothing; a `preserve_all` signature returns
///   nothing; only calls of patchable callees have `site` and `observe` attributes.
///
/// The function may be malformed in any way; nothing here panics.
pub fn verify(func: &Function) -> Result<(), Vec<VerifierError>> {
    let mut verifier = Verifier::new(func);
    verifier.check_preamble();
    if verifier.check_layout() {
        verifier.check_blocks();
        verifier.check_uses();
    }
    match verifier.errors.is_empty() {
        true => Ok(()),
        false => Err(verifier.errors),
    }
}

struct Verifier<'a> {
    func: &'a Function,
    /// Whether each block is in the layout.
    placed: Vec<bool>,
    errors: Vec<VerifierError>,
}

impl<'a> Verifier<'a> {
    fn new(func: &'a Function) -> Self {
        Self {
            func,
            placed: vec![false; func.num_blocks()],
            errors: Vec::new(),
        }
    }

    fn error(&mut self, entity: Entity, message: String) {
        if self.errors.len() < MAX_ERRORS {
            let text = match entity {
                Entity::Inst(inst) => Some(self.func.display_inst(inst).to_string()),
                _ => None,
            };
            self.errors.push(VerifierError {
                entity,
                text,
                message,
            });
        }
    }

    fn inst_error(&mut self, inst: Inst, message: String) {
        self.error(Entity::Inst(inst), message);
    }

    fn check_preamble(&mut self) {
        let func = self.func;
        self.check_signature(Entity::Function, &func.signature);
        for (n, sig) in func.sigs().iter().enumerate() {
            self.check_signature(Entity::Signature(SigRef::new(n)), sig);
        }
        for (n, callee) in func.ext_funcs().iter().enumerate() {
            let entity = Entity::Callee(FuncRef::new(n));
            let Some(sig) = func.get_sig(callee.signature) else {
                self.error(entity, format!("{} does not exist", callee.signature));
                continue;
            };
            if callee.patchable && !callee.colocated {
                self.error(entity, "a patchable callee must be colocated".into());
            }
            if callee.patchable && !sig.returns.is_empty() {
                self.error(entity, "a patchable callee must return nothing".into());
            }
        }
        for (n, slot) in func.stack_slots().iter().enumerate() {
            if slot.align_shift >= 32 {
                let message = format!("alignment 2^{} is too large", slot.align_shift);
                self.error(Entity::StackSlot(StackSlot::new(n)), message);
            }
        }
    }

    fn check_signature(&mut self, entity: Entity, sig: &Signature) {
        for (kind, list) in [("parameter", &sig.params), ("result", &sig.returns)] {
            for (n, AbiParam { ty, .. }) in list.iter().enumerate() {
                if !Type::ALL.contains(ty) {
                    self.error(entity, format!("{kind} {n} has no valid type"));
                }
            }
        }
        if sig.call_conv == CallConv::PreserveAll && !sig.returns.is_empty() {
            self.error(entity, "preserve_all functions return nothing".into());
        }
    }

    /// Whether the layout makes sense, so that blocks can be looked at.
    fn check_layout(&mut self) -> bool {
        for &block in self.func.layout() {
            if std::mem::replace(&mut self.placed[block.index()], true) {
                self.error(Entity::Block(block), "is twice in the layout".into());
                return false;
            }
        }
        if self.func.layout().is_empty() {
            self.error(Entity::Function, "has no blocks".into());
        }
        !self.func.layout().is_empty()
    }

    fn check_blocks(&mut self) {
        self.check_entry();
        for &block in self.func.layout() {
            self.check_params(block);
            let insts = self.func.block_insts(block);
            let last = self.func.terminator(block);
            if last.is_none() {
                self.error(Entity::Block(block), "is empty".into());
            }
            for inst in insts {
                let ends = self.func.opcode(inst).is_terminator();
                if Some(inst) == last && !ends {
                    let message = format!("{block} does not end with a terminator");
                    self.inst_error(inst, message);
                }
                if Some(inst) != last && ends {
                    let message = format!("a terminator in the middle of {block}");
                    self.inst_error(inst, message);
                }
                self.check_inst(inst);
            }
        }
    }

    fn check_entry(&mut self) {
        let entry = self.func.layout()[0];
        let params = &self.func.signature.params;
        let have = self.param_types(entry);
        if have.len() != params.len() {
            let (n, want) = (have.len(), params.len());
            let message = format!("has {n} parameters, but the function has {want}");
            self.error(Entity::Block(entry), message);
        }
        for (n, (ty, want)) in have.iter().zip(params).enumerate() {
            if *ty != want.ty {
                let message = format!(
                    "parameter {n} has type {ty}, but that of the function has type {}",
                    want.ty
                );
                self.error(Entity::Block(entry), message);
            }
        }
    }

    fn check_params(&mut self, block: Block) {
        let Some(params) = self.func.lists.get_list(self.func.block(block).params) else {
            let message = "the list of its parameters does not exist".into();
            return self.error(Entity::Block(block), message);
        };
        for (n, v) in params.enumerate() {
            let Some((ty, def)) = self.func.get_value(v) else {
                self.error(Entity::Block(block), format!("{v} does not exist"));
                continue;
            };
            if !Type::ALL.contains(&ty) {
                let message = format!("parameter {v} has no valid type");
                self.error(Entity::Block(block), message);
            }
            if def != ValueDef::Param(block, n as u32) {
                let message = format!("parameter {v} is defined elsewhere");
                self.error(Entity::Block(block), message);
            }
        }
    }

    /// The types of the parameters of a block that exists.
    fn param_types(&self, block: Block) -> Vec<Type> {
        let params = self.func.lists.get_list(self.func.block(block).params);
        let types = params.into_iter().flatten();
        types.map(|v| self.ty(v).unwrap_or(Type::INVALID)).collect()
    }

    /// The type of a value; none if there is no such value, which is reported with its uses.
    fn ty(&self, v: Value) -> Option<Type> {
        self.func.get_value(v).map(|(ty, _)| ty)
    }
}
