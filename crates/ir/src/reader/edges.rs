//! Edges, handlers and the attributes of calls.

use super::body::Extras;
use super::error::{Result, error};
use super::function::FunctionReader;
use super::lexer::numbered;
use crate::{
    BlockCall, ExceptionItem, ExceptionTable, ExceptionTableData, FuncRef, Inst, InstData,
    PackedOption, SiteAttr, StackMapEntry, Type, Value,
};

/// An argument `retN` or `exnN` of an edge of the `try_call` being read: a stand-in until its
/// results exist.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    edge: BlockCall,
    arg: usize,
    thrown: bool,
    num: u32,
}

impl FunctionReader<'_> {
    /// The callee here; stepped over.
    pub(super) fn callee(&mut self) -> Result<FuncRef> {
        let at = self.cur.start();
        let n = self.cur.numbered("fn", "a function")?;
        Self::find(at, &self.declared.funcs, "fn", n)
    }

    /// `block1(v2, v3)`
    pub(super) fn edge(&mut self) -> Result<BlockCall> {
        let block = self.block()?;
        let mut args = Vec::new();
        let first_pending = self.pending.len();
        if self.cur.optional("(") {
            while !self.cur.looking_at(")") {
                args.push(self.edge_arg(args.len())?);
                if !self.cur.optional(",") {
                    break;
                }
            }
            self.cur.sign(")")?;
        }
        let edge = self.func.create_block_call(block, &args);
        for pending in &mut self.pending[first_pending..] {
            pending.edge = edge;
        }
        Ok(edge)
    }

    fn edge_arg(&mut self, arg: usize) -> Result<Value> {
        let (thrown, num) = match self.cur.peek_word().and_then(numbered) {
            Some(("ret", num)) => (false, num),
            Some(("exn", num)) => (true, num),
            _ => return self.value(),
        };
        self.cur.advance();
        self.pending.push(Pending {
            edge: BlockCall::from_u32(u32::MAX),
            arg,
            thrown,
            num,
        });
        Ok(Value::from_u32(u32::MAX))
    }

    /// `, sig0, block1(ret0), [ tag1: block2(exn0), default: block3, context v9 ]`
    pub(super) fn exception_table(&mut self) -> Result<ExceptionTable> {
        self.cur.sign(",")?;
        let at = self.cur.start();
        let n = self.cur.numbered("sig", "a signature")?;
        let sig = Self::find(at, &self.declared.sigs, "sig", n)?;
        self.cur.sign(",")?;
        let normal = self.edge()?;
        self.cur.sign(",")?;
        self.cur.sign("[")?;
        let mut items = Vec::new();
        while !self.cur.looking_at("]") {
            items.push(if let Some(tag) = self.cur.peek_numbered("tag") {
                self.cur.advance();
                self.cur.sign(":")?;
                ExceptionItem::Tag(tag, self.edge()?)
            } else if self.cur.optional_word("default") {
                self.cur.sign(":")?;
                ExceptionItem::Default(self.edge()?)
            } else if self.cur.optional_word("context") {
                ExceptionItem::Context(self.value()?)
            } else {
                return self.cur.expected("`tag0`, `default` or `context`");
            });
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign("]")?;
        Ok(self.func.create_exception_table(ExceptionTableData {
            sig,
            normal,
            items,
            attrs: PackedOption::NONE,
        }))
    }

    /// Give a `try_call` its results, and its edges those they name.
    pub(super) fn settle_try(&mut self, inst: Inst, data: &InstData, types: &[Type]) {
        for &ty in types {
            self.func.push_result(inst, ty);
        }
        let results: Vec<Value> = self.func.inst_results(inst).collect();
        let returns = match *data {
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                let sig = self.func.exception_table(table).sig;
                self.func.sig(sig).returns.len()
            }
            _ => 0,
        };
        for pending in std::mem::take(&mut self.pending) {
            let of = match pending.thrown {
                false => results.get(..returns),
                true => results.get(returns..),
            };
            let result = of.and_then(|of| of.get(pending.num as usize));
            // A result that the call does not have is for the verifier to refuse.
            let result = match result {
                Some(&v) => v,
                None => self.func.create_unused_value(),
            };
            let args = self.func.block_call(pending.edge).args;
            self.func.lists.set(args, pending.arg, result);
        }
    }

    /// A `patchable_call` calls a patchable function.
    pub(super) fn check_patchable(&self, data: &InstData, at: usize) -> Result<()> {
        match *data {
            InstData::Call { func, .. } if !self.func.ext_func(func).patchable => error(
                at,
                format!("`patchable_call` of `{func}`, which is not patchable"),
            ),
            _ => Ok(()),
        }
    }

    /// `, stack_map=[…]`, `, site=1` and `, observe=[…]` after a call.
    pub(super) fn read_attributes(
        &mut self,
        mut data: InstData,
        extras: &mut Extras,
    ) -> Result<InstData> {
        while self.cur.looking_at(",") {
            let at = self.cur.start();
            self.cur.advance();
            if !data.opcode().is_call() {
                return error(at, format!("`{}` ends before this", data.opcode()));
            }
            let word = self.cur.peek_word().unwrap_or_default();
            let again = match word {
                "stack_map" => extras.stack_map.is_some(),
                "site" => extras.site.is_some(),
                "observe" => extras.observe.is_some(),
                _ => true,
            };
            if again {
                return self
                    .cur
                    .expected("`stack_map`, `site` or `observe`, each once");
            }
            self.cur.advance();
            self.cur.sign("=")?;
            match word {
                "stack_map" => extras.stack_map = Some(self.stack_map()?),
                "site" => extras.site = Some(self.cur.unsigned(32, "a number")? as u32),
                _ => extras.observe = Some(self.observed()?),
            }
        }
        if extras.site.is_some() || extras.observe.is_some() {
            let observe = extras.observe.take().unwrap_or_default();
            let attr = self
                .func
                .create_site_attr(extras.site.unwrap_or(0), &observe);
            self.set_site_attr(&mut data, attr)?;
        }
        Ok(data)
    }

    fn set_site_attr(&mut self, data: &mut InstData, attr: SiteAttr) -> Result<()> {
        match data {
            InstData::Call { attrs, .. } => *attrs = attr.into(),
            InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
                self.func.exception_table_mut(*table).attrs = attr.into();
            }
            _ => {
                let at = self.cur.previous_end();
                return error(
                    at,
                    "`site` and `observe` after a call that cannot be patchable",
                );
            }
        }
        Ok(())
    }

    /// `[v1, v2]`
    fn observed(&mut self) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        self.cur.sign("[")?;
        while !self.cur.looking_at("]") {
            values.push(self.value()?);
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign("]")?;
        Ok(values)
    }

    /// `[i64 @ ss0+8]`
    fn stack_map(&mut self) -> Result<Vec<StackMapEntry>> {
        let mut entries = Vec::new();
        self.cur.sign("[")?;
        while !self.cur.looking_at("]") {
            let ty = self.cur.ty()?;
            self.cur.sign("@")?;
            let at = self.cur.start();
            let n = self.cur.numbered("ss", "a stack slot")?;
            let slot = Self::find(at, &self.declared.slots, "ss", n)?;
            self.cur.optional("+");
            let offset = self.cur.unsigned(32, "an offset")? as u32;
            entries.push(StackMapEntry { ty, slot, offset });
            if !self.cur.optional(",") {
                break;
            }
        }
        self.cur.sign("]")?;
        Ok(entries)
    }
}
