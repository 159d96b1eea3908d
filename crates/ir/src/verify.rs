//! Is a function well-formed?

mod calls;
mod control;
mod insts;
mod preamble;
mod uses;

use crate::{
    AliasRegion, Block, DynamicStackSlot, DynamicType, EntityRef, FuncRef, Function, GlobalValue,
    Inst, SigRef, StackSlot, Type, Value, ValueDef,
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
    /// A stack slot of dynamic size.
    DynamicStackSlot(DynamicStackSlot),
    /// A dynamic type.
    DynamicType(DynamicType),
    /// A global value.
    GlobalValue(GlobalValue),
    /// A part of memory.
    AliasRegion(AliasRegion),
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
            Entity::DynamicStackSlot(slot) => slot.fmt(f),
            Entity::DynamicType(ty) => ty.fmt(f),
            Entity::GlobalValue(global) => global.fmt(f),
            Entity::AliasRegion(region) => region.fmt(f),
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
///   function, no edges to it, and is not cold; edges lead to blocks of the layout with one
///   argument for each parameter, of its type.
/// - Values: each operand exists and is defined on every path from the entry to its use. The
///   results of a `try_call` are used by its own edges only: what it returns by the normal one, what
///   was thrown by those to handlers.
/// - Types: operands and results are as the opcode demands; an `iconst` fits its type, a constant
///   has the size of its type, a lane exists, a `bitcast` that changes the number of lanes says in
///   which byte order; calls and returns match the signatures.
/// - Declarations: references lead somewhere, global values not to themselves; `vmctx` needs such a
///   parameter; regions are different; only integers are extended.
/// - Memory: what is `readonly` is not stored to; a global value is loaded `notrap aligned`.
/// - Calls: what is patchable is colocated and returns nothing, and is called directly and not in
///   place of the caller; a `preserve_all` signature returns nothing; only calls of patchable
///   callees have `site` and `observe` attributes; a tail call has the convention of the caller,
///   one that allows it, and its results; handlers need a convention that has them. Tags are on
///   calls and `sequence_point`, stack maps on calls that come back.
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
        if self.func.block(entry).cold {
            self.error(Entity::Block(entry), "the entry cannot be cold".into());
        }
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
            if !ty.is_valid() {
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
