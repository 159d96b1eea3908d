//! Local and global variables, and the operands as they are.

use super::Translator;
use super::call::FIXED;
use crate::module_info::ConstExpr;
use crate::types::ValType;
use nopal_ir::{MemFlags, Type, Value};

impl Translator<'_> {
    pub(super) fn visit_drop(&mut self) {
        self.drop_operand();
    }

    pub(super) fn visit_select(&mut self) {
        let condition = self.pop_condition();
        let otherwise = self.pop();
        let then = self.pop();
        let value = self.b.select(condition, then, otherwise);
        self.push(value);
    }

    pub(super) fn visit_typed_select(&mut self, _ty: wasmparser::ValType) {
        self.visit_select();
    }

    pub(super) fn visit_local_get(&mut self, index: u32) {
        let value = self.b.use_var(Self::local(index));
        self.push(value);
    }

    pub(super) fn visit_local_set(&mut self, index: u32) {
        let value = self.pop();
        self.b.def_var(Self::local(index), value);
    }

    pub(super) fn visit_local_tee(&mut self, index: u32) {
        let value = self.pop();
        self.b.def_var(Self::local(index), value);
        self.push(value);
    }

    pub(super) fn visit_global_get(&mut self, index: u32) {
        let value = match self.constant_global(index) {
            Some(bits) => self.constant_of(self.global_type(index), bits),
            None => {
                let flags = match self.info.globals[index as usize].mutable() {
                    true => MemFlags::trusted(),
                    false => FIXED,
                };
                let ty = self.global_type(index).ir();
                let (address, offset) = self.global_place(index);
                self.b.load(ty, flags, address, offset)
            }
        };
        self.push(value);
    }

    pub(super) fn visit_global_set(&mut self, index: u32) {
        let value = self.pop();
        let (address, offset) = self.global_place(index);
        self.b.store(MemFlags::trusted(), value, address, offset);
    }

    fn global_type(&self, index: u32) -> ValType {
        self.info.globals[index as usize].content()
    }

    /// The bits of a global that always holds the same number.
    fn constant_global(&self, index: u32) -> Option<u64> {
        if self.info.globals[index as usize].mutable() {
            return None;
        }
        let defined = self.info.defined_global(index)?;
        match self.info.global_inits[defined as usize] {
            ConstExpr::Value(bits) => Some(bits),
            _ => None,
        }
    }

    fn constant_of(&mut self, ty: ValType, bits: u64) -> Value {
        match ty {
            ValType::I32 => self.b.iconst(Type::I32, bits as i64),
            ValType::F32 => self.b.f32const(bits as u32),
            ValType::F64 => self.b.f64const(bits),
            ValType::I64 | ValType::FuncRef | ValType::ExternRef => self.iconst_i64(bits as i64),
        }
    }

    /// Where a global is: an address and an offset.
    fn global_place(&mut self, index: u32) -> (Value, i32) {
        match self.info.defined_global(index) {
            Some(index) => (self.vmctx, self.info.offsets.global(index)),
            None => {
                let offset = self.info.offsets.global_import(index);
                (self.b.load(Type::I64, FIXED, self.vmctx, offset), 0)
            }
        }
    }
}
