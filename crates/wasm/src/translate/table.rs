//! Tables.

use super::Translator;
use super::call::FIXED;
use crate::builtins::Builtin;
use crate::trap_codes;
use crate::vm_offsets;
use nopal_ir::{IntCC, MemFlags, TrapCode, Type, Value};

/// log2 of the size of an element.
const ELEMENT_SHIFT: i64 = 3;

impl Translator<'_> {
    /// The `VMTable` of a table: an address and an offset.
    fn table_record(&mut self, index: u32) -> (Value, i32) {
        match self.info.defined_table(index) {
            Some(index) => (self.vmctx, self.info.offsets.table(index)),
            None => {
                let offset = self.info.offsets.table_import(index);
                (self.b.load(Type::I64, FIXED, self.vmctx, offset), 0)
            }
        }
    }

    /// The address of an element; traps with `code` if there is no such element.
    pub(super) fn table_element(&mut self, table: u32, index: Value, code: TrapCode) -> Value {
        let (record, offset) = self.table_record(table);
        let ty = self.info.tables[table as usize];
        // A table that cannot grow has the same length and place for ever.
        let fixed = ty.max() == Some(ty.min());
        let wide_index = self.b.uextend(Type::I64, index);
        let outside = if fixed {
            let len = self.b.iconst(Type::I32, i64::from(ty.min() as i32));
            self.b.icmp(IntCC::UnsignedGreaterThanOrEqual, index, len)
        } else {
            let at = offset + vm_offsets::TABLE_LEN;
            let len = self.b.load(Type::I64, MemFlags::trusted(), record, at);
            let cond = IntCC::UnsignedGreaterThanOrEqual;
            self.b.icmp(cond, wide_index, len)
        };
        self.b.trapnz(outside, code);
        let flags = if fixed { FIXED } else { MemFlags::trusted() };
        let at = offset + vm_offsets::TABLE_BASE;
        let base = self.b.load(Type::I64, flags, record, at);
        let shift = self.iconst_i64(ELEMENT_SHIFT);
        let distance = self.b.ishl(wide_index, shift);
        self.b.iadd(base, distance)
    }

    pub(super) fn visit_table_get(&mut self, table: u32) {
        let index = self.pop();
        let element = self.table_element(table, index, trap_codes::TABLE_OUT_OF_BOUNDS);
        let value = self.b.load(Type::I64, MemFlags::trusted(), element, 0);
        self.push(value);
    }

    pub(super) fn visit_table_set(&mut self, table: u32) {
        let value = self.pop();
        let index = self.pop();
        let element = self.table_element(table, index, trap_codes::TABLE_OUT_OF_BOUNDS);
        self.b.store(MemFlags::trusted(), value, element, 0);
    }

    pub(super) fn visit_table_size(&mut self, table: u32) {
        let (record, offset) = self.table_record(table);
        let at = offset + vm_offsets::TABLE_LEN;
        let len = self.b.load(Type::I64, MemFlags::trusted(), record, at);
        let len = self.b.ireduce(Type::I32, len);
        self.push(len);
    }

    pub(super) fn visit_table_grow(&mut self, table: u32) {
        let delta = self.pop();
        let init = self.pop();
        self.begin_builtin_args(&[table]);
        self.state.args.extend([delta, init]);
        self.call_builtin(Builtin::table_grow, 0);
    }

    pub(super) fn visit_table_copy(&mut self, dst: u32, src: u32) {
        self.begin_builtin_args(&[dst, src]);
        self.call_builtin(Builtin::table_copy, 3);
    }

    pub(super) fn visit_table_fill(&mut self, table: u32) {
        self.begin_builtin_args(&[table]);
        self.call_builtin(Builtin::table_fill, 3);
    }

    pub(super) fn visit_table_init(&mut self, segment: u32, table: u32) {
        self.begin_builtin_args(&[table, segment]);
        self.call_builtin(Builtin::table_init, 3);
    }

    pub(super) fn visit_elem_drop(&mut self, segment: u32) {
        self.begin_builtin_args(&[segment]);
        self.call_builtin(Builtin::elem_drop, 0);
    }
}
