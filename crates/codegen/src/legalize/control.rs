//! Branches, calls and returns: an `i128` travels as two values.

use super::Walk;
use crate::context::CodegenError;
use nopal_ir::{
    AbiParam, Block, BlockCall, CallConv, EntityRef, ExceptionItem, ExceptionTable,
    ExceptionTableData, ExtFunc, ExternalName, FuncRef, Inst, InstData, JumpTable, JumpTableData,
    Opcode, PackedOption, Signature, SiteAttr, Type, Value, ValueList,
};

impl Walk<'_> {
    pub(super) fn control(&mut self, inst: Inst, data: InstData) -> Result<(), CodegenError> {
        let new = match data {
            InstData::Jump { opcode, dest } => InstData::Jump {
                opcode,
                dest: self.edge(dest),
            },
            InstData::Brif { opcode, arg, dests } => InstData::Brif {
                opcode,
                arg: self.condition(arg),
                dests: dests.map(|d| self.edge(d)),
            },
            InstData::BranchTable { opcode, arg, table } => InstData::BranchTable {
                opcode,
                arg: self.value(arg),
                table: self.table(table),
            },
            InstData::Trap { .. } => data,
            InstData::Call {
                opcode,
                func,
                args,
                attrs,
            } => InstData::Call {
                opcode,
                func,
                args: self.list(args),
                attrs: self.attrs(attrs),
            },
            InstData::CallIndirect { opcode, sig, args } => InstData::CallIndirect {
                opcode,
                sig,
                args: self.list(args),
            },
            InstData::MultiAry { opcode, args } => InstData::MultiAry {
                opcode,
                args: self.list(args),
            },
            InstData::TryCall { .. } | InstData::TryCallIndirect { .. } => {
                return self.try_call(inst, data);
            }
            _ => unreachable!("{} is neither a call nor a terminator", data.opcode()),
        };
        let new = self.out.push_inst(new, self.loc);
        self.take_results(inst, new);
        Ok(())
    }

    fn list(&mut self, list: ValueList) -> ValueList {
        let values = self.values(self.func.lists.iter(list));
        self.out.lists.list(&values)
    }

    fn edge(&mut self, edge: BlockCall) -> BlockCall {
        let args = self.values(self.func.block_call_args(edge));
        let block = self.func.block_call(edge).block;
        self.out.create_block_call(block, &args)
    }

    fn table(&mut self, table: JumpTable) -> JumpTable {
        let old = self.func.jump_table(table);
        let data = JumpTableData {
            default: self.edge(old.default),
            table: old.table.iter().map(|&e| self.edge(e)).collect(),
        };
        self.out.create_jump_table(data)
    }

    fn attrs(&mut self, attrs: PackedOption<SiteAttr>) -> PackedOption<SiteAttr> {
        let Some(attr) = attrs.expand() else {
            return None.into();
        };
        let old = self.func.site_attr(attr);
        let observe = self.values(self.func.lists.iter(old.observe));
        Some(self.out.create_site_attr(old.site, &observe)).into()
    }

    /// The results of the instruction are what its own edges pass on, so they come before these.
    fn try_call(&mut self, inst: Inst, data: InstData) -> Result<(), CodegenError> {
        let next = ExceptionTable::new(self.tables);
        self.tables += 1;
        let (new, table) = match data {
            InstData::TryCall {
                opcode,
                func,
                args,
                table,
            } => {
                let args = self.list(args);
                let new = InstData::TryCall {
                    opcode,
                    func,
                    args,
                    table: next,
                };
                (new, table)
            }
            InstData::TryCallIndirect {
                opcode,
                args,
                table,
            } => {
                let args = self.list(args);
                let new = InstData::TryCallIndirect {
                    opcode,
                    args,
                    table: next,
                };
                (new, table)
            }
            _ => unreachable!("not a call with handlers"),
        };
        let new = self.out.push_inst(new, self.loc);
        self.take_results(inst, new);
        let old = self.func.exception_table(table);
        let normal = self.edge(old.normal);
        let items = old.items.iter().map(|&item| match item {
            ExceptionItem::Tag(tag, edge) => ExceptionItem::Tag(tag, self.edge(edge)),
            ExceptionItem::Default(edge) => ExceptionItem::Default(self.edge(edge)),
            ExceptionItem::Context(v) => ExceptionItem::Context(self.value(v)),
        });
        let items = items.collect();
        let attrs = self.attrs(old.attrs);
        let created = self.out.create_exception_table(ExceptionTableData {
            sig: old.sig,
            normal,
            items,
            attrs,
        });
        debug_assert_eq!(created, next);
        Ok(())
    }

    pub(super) fn jump(&mut self, block: Block, args: &[Value]) {
        let opcode = Opcode::Jump;
        let dest = self.out.create_block_call(block, args);
        self.out
            .push_inst(InstData::Jump { opcode, dest }, self.loc);
    }

    pub(super) fn brif(&mut self, arg: Value, yes: (Block, &[Value]), no: (Block, &[Value])) {
        let opcode = Opcode::Brif;
        let dests = [yes, no].map(|(block, args)| self.out.create_block_call(block, args));
        self.out
            .push_inst(InstData::Brif { opcode, arg, dests }, self.loc);
    }

    /// A multiply-add by a call of the C library's `fma` or `fmaf`.
    pub(super) fn multiply_add(&mut self, inst: Inst, data: InstData) -> Result<(), CodegenError> {
        let v = self.func.first_result(inst);
        let func = self.fma_function(self.ty(v));
        let args = self.values(data.value_operands().iter().copied());
        let call = InstData::Call {
            opcode: Opcode::Call,
            func,
            args: self.out.lists.list(&args),
            attrs: None.into(),
        };
        let new = self.out.push_inst(call, self.loc);
        self.take_results(inst, new);
        Ok(())
    }

    fn fma_function(&mut self, ty: Type) -> FuncRef {
        let (n, name) = match ty {
            Type::F32 => (0, "fmaf"),
            _ => (1, "fma"),
        };
        if let Some(func) = self.fma[n] {
            return func;
        }
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params = vec![AbiParam::new(ty); 3];
        sig.returns = vec![AbiParam::new(ty)];
        let func = ExtFunc {
            name: ExternalName::Named(name.into()),
            signature: self.out.import_signature(sig),
            colocated: false,
            patchable: false,
        };
        let func = self.out.import_function(func);
        self.fma[n] = Some(func);
        func
    }
}
