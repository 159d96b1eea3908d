//! Copying and filling ranges of linear memory.
//!
//! A few bytes, as many as is known, are loaded and stored where they are copied. That nothing is written
//! if the end of the range is out of bounds takes no check: the highest bytes are stored first, and a
//! range begins within the memory if it ends there.

use super::Translator;
use super::memory::ACCESS;
use crate::builtins::Builtin;
use nopal_ir::{Type, Value};

/// The most bytes that are copied by loads and stores: as many as there are registers for.
const MAX_COPY: u32 = 64;
/// The most bytes that are set by stores.
const MAX_FILL: u32 = 128;

/// A power of two of bytes that are loaded or stored together.
#[derive(Clone, Copy)]
struct Chunk {
    offset: i32,
    size: i32,
}

/// Chunks that make up `len` bytes, at least one, from the lowest to the highest. They may overlap.
fn chunks(len: u32) -> impl DoubleEndedIterator<Item = Chunk> {
    let len = len as i32;
    // The largest that fits; what it leaves over ends with another one where two reach, else with smaller ones.
    let size = 8.min(1 << len.ilog2());
    let whole = len / size;
    let rest = len % size;
    let last = match rest {
        0 => None,
        // 3 bytes: two of one half would be more than the rest.
        _ if size == 2 => Some(Chunk { offset: 2, size: 1 }),
        _ => Some(Chunk {
            offset: len - size,
            size,
        }),
    };
    (0..whole)
        .map(move |n| Chunk {
            offset: n * size,
            size,
        })
        .chain(last)
}

impl Translator<'_> {
    pub(super) fn visit_memory_copy(&mut self, dst: u32, src: u32) {
        let len = self.pop();
        let from = self.pop();
        let to = self.pop();
        match self.constant(len) {
            Some(len @ 1..=MAX_COPY) if self.is_low(to) && self.is_low(from) => {
                self.copy_chunks(to, from, len);
            }
            _ => {
                let to_memory = self.memory_address(dst);
                let from_memory = if src == dst {
                    to_memory
                } else {
                    self.memory_address(src)
                };
                let memories = [to_memory, from_memory];
                self.call_bulk(Builtin::memory_copy, &memories, [to, from, len]);
            }
        }
    }

    pub(super) fn visit_memory_fill(&mut self, memory: u32) {
        let len = self.pop();
        let byte = self.pop();
        let to = self.pop();
        match self.constant(len) {
            Some(len @ 1..=MAX_FILL) if self.is_low(to) => self.fill_chunks(to, byte, len),
            _ => {
                let memory = self.memory_address(memory);
                self.call_bulk(Builtin::memory_fill, &[memory], [to, byte, len]);
            }
        }
    }

    /// Whether offsets of chunks can be added to what [`Translator::address_at`] makes of an address.
    fn is_low(&self, address: Value) -> bool {
        let limit = i32::MAX as u32 - MAX_COPY.max(MAX_FILL);
        self.constant(address)
            .is_none_or(|address| address <= limit)
    }

    /// All is loaded before anything is stored, so ranges may overlap.
    fn copy_chunks(&mut self, to: Value, from: Value, len: u32) {
        let (src, src_offset) = self.address_at(from, 0);
        let (dst, dst_offset) = self.address_at(to, 0);
        let mut values = [src; MAX_COPY as usize / 8];
        for (value, chunk) in values.iter_mut().zip(chunks(len)) {
            let offset = src_offset + chunk.offset;
            *value = match chunk.size {
                8 => self.b.load(Type::I64, ACCESS, src, offset),
                4 => self.b.load(Type::I32, ACCESS, src, offset),
                2 => self.b.uload16(Type::I32, ACCESS, src, offset),
                _ => self.b.uload8(Type::I32, ACCESS, src, offset),
            };
        }
        let count = chunks(len).count();
        for (&value, chunk) in values[..count].iter().rev().zip(chunks(len).rev()) {
            self.store_chunk(value, dst, dst_offset, chunk);
        }
    }

    fn fill_chunks(&mut self, to: Value, byte: Value, len: u32) {
        // From 8 bytes on, all chunks have 8.
        let ty = if len < 8 { Type::I32 } else { Type::I64 };
        let value = self.repeat_byte(ty, byte);
        let (dst, offset) = self.address_at(to, 0);
        for chunk in chunks(len).rev() {
            self.store_chunk(value, dst, offset, chunk);
        }
    }

    /// The low byte of an `i32` in each byte of a `ty`.
    fn repeat_byte(&mut self, ty: Type, byte: Value) -> Value {
        const ONES: u64 = 0x0101_0101_0101_0101;
        if let Some(byte) = self.constant(byte) {
            let repeated = u64::from(byte as u8) * ONES;
            return match ty {
                Type::I32 => self.b.iconst(ty, i64::from(repeated as i32)),
                _ => self.b.iconst(ty, repeated as i64),
            };
        }
        let mask = self.b.iconst(Type::I32, 0xff);
        let byte = self.b.band(byte, mask);
        if ty == Type::I32 {
            let ones = self.b.iconst(ty, ONES as i32 as i64);
            return self.b.imul(byte, ones);
        }
        let byte = self.b.uextend(ty, byte);
        let ones = self.b.iconst(ty, ONES as i64);
        self.b.imul(byte, ones)
    }

    fn store_chunk(&mut self, value: Value, dst: Value, offset: i32, chunk: Chunk) {
        let offset = offset + chunk.offset;
        match chunk.size {
            2 => self.b.istore16(ACCESS, value, dst, offset),
            1 => self.b.istore8(ACCESS, value, dst, offset),
            _ => self.b.store(ACCESS, value, dst, offset),
        };
    }

    /// The address of the `VMMemory` of a memory.
    fn memory_address(&mut self, memory: u32) -> Value {
        let (record, offset) = self.memory_record(memory);
        if offset == 0 {
            return record;
        }
        let offset = self.iconst_i64(offset.into());
        self.b.iadd(record, offset)
    }

    fn call_bulk(&mut self, builtin: Builtin, memories: &[Value], operands: [Value; 3]) {
        self.begin_builtin_args(&[]);
        self.state.args.extend_from_slice(memories);
        self.state.args.extend_from_slice(&operands);
        self.call_builtin(builtin, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_what_they_make_up() {
        for len in 1..=MAX_FILL {
            let mut end = 0;
            for Chunk { offset, size } in chunks(len) {
                assert!(matches!(size, 1 | 2 | 4 | 8), "{len}");
                assert!(
                    offset <= end && end < offset + size,
                    "{len}: a gap or nothing new"
                );
                end = offset + size;
                assert!(len < 8 || size == 8, "{len}: one value fills all chunks");
            }
            assert_eq!(end, len as i32);
        }
    }
}
