//! Functions: signatures, names, and the state while one is read.

use super::cursor::Cursor;
use super::edges::Pending;
use super::error::{Result, error};
use super::values::{Blocks, Values};
use crate::verify::Entity;
use crate::{
    AbiParam, AliasRegion, ArgumentExtension, ArgumentPurpose, CallConv, Constant,
    DynamicStackSlot, DynamicType, EntityRef, FuncRef, Function, GlobalValue, Inst, SigRef,
    Signature, StackSlot,
};
use std::collections::BTreeMap;

/// The references that the numbers in the text stand for.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) slots: BTreeMap<u32, StackSlot>,
    pub(super) dynamic_slots: BTreeMap<u32, DynamicStackSlot>,
    pub(super) dynamic_types: BTreeMap<u32, DynamicType>,
    pub(super) globals: BTreeMap<u32, GlobalValue>,
    pub(super) sigs: BTreeMap<u32, SigRef>,
    pub(super) funcs: BTreeMap<u32, FuncRef>,
    pub(super) constants: BTreeMap<u32, Constant>,
    pub(super) regions: BTreeMap<u32, AliasRegion>,
}

/// Where the parts of a function are in the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The byte where each instruction begins.
    pub(super) insts: Vec<u32>,
    /// The byte where each block begins; `u32::MAX` if it is only mentioned.
    pub(super) blocks: Vec<u32>,
    /// The bytes where preamble entities are declared.
    pub(super) declared: Vec<(Entity, u32)>,
}

/// A function while it is read.
pub(super) struct FunctionReader<'a> {
    pub(super) cur: Cursor<'a>,
    pub(super) func: Function,
    pub(super) default_conv: CallConv,
    pub(super) declared: Declared,
    pub(super) values: Values,
    pub(super) blocks: Blocks,
    pub(super) places: Places,
    /// What stands for results of the `try_call` being read.
    pub(super) pending: Vec<Pending>,
}

/// `function %name(i32) -> i32 system_v { … }`, at the cursor. Returns where reading ended.
pub(super) fn read_function<'a>(
    mut cur: Cursor<'a>,
    default_conv: CallConv,
) -> Result<(Function, Places, Cursor<'a>)> {
    if !cur.optional_word("function") {
        return cur.expected("`function`");
    }
    let name = cur.name()?;
    let (signature, _) = read_signature(&mut cur, default_conv)?;
    cur.sign("{")?;
    let (values, blocks) = super::values::survey(&cur);
    let mut reader = FunctionReader {
        cur,
        func: Function::new(name, signature),
        default_conv,
        declared: Declared::default(),
        values,
        blocks,
        places: Places::default(),
        pending: Vec::new(),
    };
    reader.read_preamble()?;
    reader.create_values_and_blocks();
    reader.read_body()?;
    reader.cur.sign("}")?;
    reader.finish()?;
    Ok((reader.func, reader.places, reader.cur))
}

/// `(i32, i64 sext) -> f64 system_v`. Whether the convention is written as `patchable` comes with
/// it: such a signature is one of `preserve_all`.
pub(super) fn read_signature(
    cur: &mut Cursor<'_>,
    default_conv: CallConv,
) -> Result<(Signature, bool)> {
    let mut sig = Signature::new(default_conv);
    cur.sign("(")?;
    if !cur.looking_at(")") {
        sig.params = read_params(cur)?;
    }
    cur.sign(")")?;
    if cur.optional("->") {
        sig.returns = read_params(cur)?;
    }
    let mut patchable = false;
    // What follows a signature in the preamble is a declaration, which has a number.
    if let Some(word) = cur.peek_word() {
        if let Some(conv) = CallConv::from_name(word) {
            sig.call_conv = conv;
            cur.advance();
        } else if word == "patchable" {
            sig.call_conv = CallConv::PreserveAll;
            patchable = true;
            cur.advance();
        } else if super::lexer::numbered(word).is_none() && word != "stack_limit" {
            return cur.expected("a calling convention");
        }
    }
    Ok((sig, patchable))
}

fn read_params(cur: &mut Cursor<'_>) -> Result<Vec<AbiParam>> {
    let mut params = Vec::new();
    loop {
        let mut param = AbiParam::new(cur.ty()?);
        while let Some(word) = cur.peek_word() {
            match word {
                "uext" => param.extension = ArgumentExtension::Uext,
                "sext" => param.extension = ArgumentExtension::Sext,
                "normal" => param.purpose = ArgumentPurpose::Normal,
                "vmctx" => param.purpose = ArgumentPurpose::VMContext,
                "sret" => param.purpose = ArgumentPurpose::StructReturn,
                "sarg" => {
                    cur.advance();
                    cur.sign("(")?;
                    let size = cur.unsigned(32, "a size in bytes")? as u32;
                    param.purpose = ArgumentPurpose::StructArgument(size);
                    if !cur.looking_at(")") {
                        return cur.expected("`)`");
                    }
                }
                _ => break,
            }
            cur.advance();
        }
        params.push(param);
        if !cur.optional(",") {
            return Ok(params);
        }
    }
}

impl FunctionReader<'_> {
    /// The reference that number `n` of a preamble entity stands for.
    pub(super) fn find<T: Copy>(
        at: usize,
        map: &BTreeMap<u32, T>,
        prefix: &str,
        n: u32,
    ) -> Result<T> {
        match map.get(&n) {
            Some(&t) => Ok(t),
            None => error(at, format!("`{prefix}{n}` is not declared")),
        }
    }

    /// The instruction that would be appended next.
    pub(super) fn next_inst(&self) -> Inst {
        Inst::new(self.func.num_insts())
    }
}
