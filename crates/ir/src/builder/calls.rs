//! The builder's methods for calls and returns.

use super::FunctionBuilder;
use crate::{
    Block, BlockCall, ExceptionItem, ExceptionTable, ExceptionTableData, FuncRef, Inst, InstData,
    Opcode, PackedOption, SigRef, Type, Value,
};

/// An argument of an edge out of a `try_call`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EdgeArg {
    /// A value that exists before the call.
    Value(Value),
    /// A result of the call, on the normal edge.
    Ret(u32),
    /// A part of what was thrown, on edges to handlers.
    Exn(u32),
}

/// One entry of the handlers of a `try_call`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryItem<'a> {
    /// Where to go if what is thrown has this tag.
    Tag(u32, Block, &'a [EdgeArg]),
    /// Where to go whatever is thrown.
    Default(Block, &'a [EdgeArg]),
    /// The value that says where tags are looked up from here on.
    Context(Value),
}

impl FunctionBuilder<'_> {
    /// Return from the function.
    pub fn return_(&mut self, values: &[Value]) -> Inst {
        let opcode = Opcode::Return;
        let args = self.func.lists.list(values);
        self.terminate(InstData::MultiAry { opcode, args })
    }

    /// Call a known function.
    pub fn call(&mut self, func: FuncRef, args: &[Value]) -> Inst {
        let args = self.func.lists.list(args);
        let data = InstData::Call {
            opcode: Opcode::Call,
            func,
            args,
            attrs: PackedOption::NONE,
        };
        self.push(data)
    }

    /// Call a patchable function: a call that can be switched off and on while the code runs.
    ///
    /// `site` is a number that means something to the front end. Whoever handles the call finds
    /// the values of `observe` there; they take no registers and no time while it is off.
    pub fn patchable_call(
        &mut self,
        func: FuncRef,
        args: &[Value],
        site: u32,
        observe: &[Value],
    ) -> Inst {
        let args = self.func.lists.list(args);
        let attrs = self.func.create_site_attr(site, observe).into();
        let data = InstData::Call {
            opcode: Opcode::Call,
            func,
            args,
            attrs,
        };
        self.push(data)
    }

    /// Call the function at the address `callee`.
    pub fn call_indirect(&mut self, sig: SigRef, callee: Value, args: &[Value]) -> Inst {
        let args = self.func.lists.list_with_first(callee, args);
        let data = InstData::CallIndirect {
            opcode: Opcode::CallIndirect,
            sig,
            args,
        };
        self.push(data)
    }

    /// Call a known function in place of this one.
    pub fn return_call(&mut self, func: FuncRef, args: &[Value]) -> Inst {
        let args = self.func.lists.list(args);
        self.terminate(InstData::Call {
            opcode: Opcode::ReturnCall,
            func,
            args,
            attrs: PackedOption::NONE,
        })
    }

    /// Call the function at the address `callee` in place of this one.
    pub fn return_call_indirect(&mut self, sig: SigRef, callee: Value, args: &[Value]) -> Inst {
        let args = self.func.lists.list_with_first(callee, args);
        self.terminate(InstData::CallIndirect {
            opcode: Opcode::ReturnCallIndirect,
            sig,
            args,
        })
    }

    /// Call a known function, then go to `normal`, or to a handler of what it throws.
    pub fn try_call(
        &mut self,
        func: FuncRef,
        args: &[Value],
        normal: (Block, &[EdgeArg]),
        items: &[TryItem<'_>],
    ) -> Inst {
        let args = self.func.lists.list(args);
        let sig = self.func.ext_func(func).signature;
        let opcode = Opcode::TryCall;
        self.terminate_try(sig, normal, items, |table| InstData::TryCall {
            opcode,
            func,
            args,
            table,
        })
    }

    /// Call the function at the address `callee`, then go to `normal`, or to a handler of what it
    /// throws.
    pub fn try_call_indirect(
        &mut self,
        sig: SigRef,
        callee: Value,
        args: &[Value],
        normal: (Block, &[EdgeArg]),
        items: &[TryItem<'_>],
    ) -> Inst {
        let args = self.func.lists.list_with_first(callee, args);
        let opcode = Opcode::TryCallIndirect;
        self.terminate_try(sig, normal, items, |table| InstData::TryCallIndirect {
            opcode,
            args,
            table,
        })
    }

    /// The instruction comes first, so that its edges can have its results as arguments.
    fn terminate_try(
        &mut self,
        sig: SigRef,
        normal: (Block, &[EdgeArg]),
        items: &[TryItem<'_>],
        data: impl Fn(ExceptionTable) -> InstData,
    ) -> Inst {
        let block = self.open_block();
        let table = self.func.create_exception_table(ExceptionTableData {
            sig,
            normal: BlockCall::from_u32(u32::MAX),
            items: Vec::new(),
            attrs: PackedOption::NONE,
        });
        let inst = self
            .func
            .push_inst_with_results(data(table), Type::INVALID, self.srcloc);
        let normal = self.try_edge(inst, sig, normal.0, normal.1);
        let items = items.iter().map(|item| match *item {
            TryItem::Tag(tag, to, args) => {
                ExceptionItem::Tag(tag, self.try_edge(inst, sig, to, args))
            }
            TryItem::Default(to, args) => {
                ExceptionItem::Default(self.try_edge(inst, sig, to, args))
            }
            TryItem::Context(v) => ExceptionItem::Context(v),
        });
        let items = items.collect();
        let data = self.func.exception_table_mut(table);
        data.normal = normal;
        data.items = items;
        self.ctx.ssa.end_block(block, true);
        inst
    }

    fn try_edge(&mut self, inst: Inst, sig: SigRef, to: Block, args: &[EdgeArg]) -> BlockCall {
        let returns = self.func.sig(sig).returns.len();
        let results: Vec<Value> = self.func.inst_results(inst).collect();
        let args: Vec<Value> = args
            .iter()
            .map(|arg| match *arg {
                EdgeArg::Value(v) => v,
                EdgeArg::Ret(n) => results[n as usize],
                EdgeArg::Exn(n) => results[returns + n as usize],
            })
            .collect();
        self.edge(to, &args)
    }
}
