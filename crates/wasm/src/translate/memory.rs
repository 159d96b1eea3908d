//! Linear memory.
//!
//! A memory is surrounded by enough inaccessible addresses that no 32-bit address plus 32-bit
//! offset leads out of them: an access out of bounds faults, and there is nothing to check.

use super::Translator;
use super::call::FIXED;
use crate::builtins::Builtin;
use crate::vm_offsets;
use nopal_ir::{Endianness, InstData, MemFlags, Type, Value, ValueDef};
use wasmparser::MemArg;

/// An access to linear memory.
pub(super) const ACCESS: MemFlags = MemFlags::new().with_endianness(Endianness::Little);

/// log2 of the size of a page.
const PAGE_SHIFT: i64 = 16;

macro_rules! loads {
    ($($visit:ident => $method:ident $ty:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) {
                let (address, offset) = self.address(memarg);
                let value = self.b.$method(Type::$ty, ACCESS, address, offset);
                self.push(value);
            })*
        }
    };
}

loads! {
    visit_i32_load => load I32;
    visit_i64_load => load I64;
    visit_f32_load => load F32;
    visit_f64_load => load F64;
    visit_i32_load8_s => sload8 I32;
    visit_i32_load8_u => uload8 I32;
    visit_i32_load16_s => sload16 I32;
    visit_i32_load16_u => uload16 I32;
    visit_i64_load8_s => sload8 I64;
    visit_i64_load8_u => uload8 I64;
    visit_i64_load16_s => sload16 I64;
    visit_i64_load16_u => uload16 I64;
    visit_i64_load32_s => sload32 I64;
    visit_i64_load32_u => uload32 I64;
}

macro_rules! stores {
    ($($visit:ident => $method:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) {
                let value = self.pop();
                let (address, offset) = self.address(memarg);
                self.b.$method(ACCESS, value, address, offset);
            })*
        }
    };
}

stores! {
    visit_i32_store => store;
    visit_i64_store => store;
    visit_f32_store => store;
    visit_f64_store => store;
    visit_i32_store8 => istore8;
    visit_i32_store16 => istore16;
    visit_i64_store8 => istore8;
    visit_i64_store16 => istore16;
    visit_i64_store32 => istore32;
}

impl Translator<'_> {
    /// Load the address of the memory, which never moves. There is at most one memory.
    pub(super) fn load_memory_base(&mut self) {
        self.memory_base = (!self.info.memories.is_empty()).then(|| {
            let (record, offset) = self.memory_record(0);
            let offset = offset + vm_offsets::MEMORY_BASE;
            self.b.load(Type::I64, FIXED, record, offset)
        });
    }

    /// The `VMMemory` of a memory: an address and an offset.
    pub(super) fn memory_record(&mut self, index: u32) -> (Value, i32) {
        match self.info.defined_memory(index) {
            Some(index) => (self.vmctx, self.info.offsets.memory(index)),
            None => {
                let offset = self.info.offsets.memory_import(index);
                (self.b.load(Type::I64, FIXED, self.vmctx, offset), 0)
            }
        }
    }

    /// Pop the address operand of an access: an address and an offset for the IR.
    fn address(&mut self, memarg: MemArg) -> (Value, i32) {
        let index = self.pop();
        self.address_at(index, memarg.offset)
    }

    /// The address that is `offset` beyond an `i32`: an address and an offset for the IR.
    pub(super) fn address_at(&mut self, index: Value, offset: u64) -> (Value, i32) {
        let base = self.memory_base.expect("validated memory");
        if let Some(index) = self.constant(index)
            && let Ok(offset) = i32::try_from(u64::from(index) + offset)
        {
            return (base, offset);
        }
        let index = self.b.uextend(Type::I64, index);
        match i32::try_from(offset) {
            Ok(offset) => (self.b.iadd(base, index), offset),
            Err(_) => {
                let offset = self.iconst_i64(offset as i64);
                let index = self.b.iadd(index, offset);
                (self.b.iadd(base, index), 0)
            }
        }
    }

    /// The value of an `i32`, if it is known.
    pub(super) fn constant(&self, value: Value) -> Option<u32> {
        let func = &self.b.func;
        match func.value_def(func.resolve(value)) {
            ValueDef::Result(inst, _) => match *func.inst(inst) {
                InstData::UnaryImm { imm, .. } => Some(imm as u32),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn visit_memory_size(&mut self, memory: u32) {
        let (record, offset) = self.memory_record(memory);
        let offset = offset + vm_offsets::MEMORY_LEN;
        let flags = MemFlags::trusted();
        let bytes = self.b.load(Type::I64, flags, record, offset);
        let shift = self.iconst_i64(PAGE_SHIFT);
        let pages = self.b.ushr(bytes, shift);
        let pages = self.b.ireduce(Type::I32, pages);
        self.push(pages);
    }

    pub(super) fn visit_memory_grow(&mut self, memory: u32) {
        self.begin_builtin_args(&[memory]);
        self.call_builtin(Builtin::memory_grow, 1);
    }

    pub(super) fn visit_memory_init(&mut self, segment: u32, memory: u32) {
        self.begin_builtin_args(&[memory, segment]);
        self.call_builtin(Builtin::memory_init, 3);
    }

    pub(super) fn visit_data_drop(&mut self, segment: u32) {
        self.begin_builtin_args(&[segment]);
        self.call_builtin(Builtin::data_drop, 0);
    }
}
