//! The code that sites call. A stub is 32 bytes and preserves every register but `%r14`, which a call
//! overwrites by itself, and the condition code.
//!
//! | kind | code | data per stub |
//! |---|---|---|
//! | count | saves a register; adds 1 to the counter in the block's [common code](Writer::count_interlocked) | one word |
//! | once | stores 1 in its flag; the common code stores 1 in the shared flag | 1-byte flag |
//! | call | makes room for the frame, saves two registers in it, and jumps to the shared address with its context | 8-byte context |
//! | code | loads the address and jumps to it | 8-byte address |
//!
//! The once stub stores its flag before the block's shared flag, and stores are seen in order (Principles of
//! Operation, SA22-7832, chapter 5, "Storage-Operand Store References"): who sees the shared flag sees
//! the flag. The code stub goes by way of `%r1`, as procedure linkage tables do, which a called function
//! need not preserve.

use super::cpu;
use super::frame::offset;
use crate::isa::BlockData;
use crate::slots::{BLOCK_SLOTS, StubKind};

/// Bytes from one stub to the next.
pub(crate) const STUB_SIZE: usize = 32;

const STUBS: usize = BLOCK_SLOTS * STUB_SIZE;
/// Room for the code that the stubs of a block share, after the stubs.
const COMMON: usize = 64;
/// Offset of the counter's address in a count stub.
const COUNTER: usize = STUB_SIZE - 8;
/// Bytes of stack for the registers that count and once stubs save, `%r1` first.
const SAVED: u16 = 3 * 8;

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R14: u8 = 14;
/// The stack pointer. Nothing below it survives a signal, and what is above it is the guest's.
const R15: u8 = 15;

/// Bytes of code in a block.
pub(crate) fn block_size(_kind: StubKind) -> usize {
    STUBS + COMMON
}

/// The code of a block of stubs that will run at address `code`.
pub(crate) fn write_stubs(kind: StubKind, code: usize, data: BlockData) -> Vec<u8> {
    write(kind, code, data, cpu::has_interlocked_add())
}

fn write(kind: StubKind, code: usize, data: BlockData, interlocked: bool) -> Vec<u8> {
    let mut block = vec![0; block_size(kind)];
    let (stubs, common) = block.split_at_mut(STUBS);
    for (slot, stub) in stubs.chunks_exact_mut(STUB_SIZE).enumerate() {
        let own = data.own + slot * kind.data_size();
        let mut writer = Writer::new(code + slot * STUB_SIZE, stub);
        match kind {
            StubKind::Count => writer.count(data.counters + slot * 8, code + STUBS),
            StubKind::Once => writer.once(own, code + STUBS),
            StubKind::Call => writer.call(own, data.shared),
            StubKind::Code => writer.code(own),
        }
    }
    let mut writer = Writer::new(code + STUBS, common);
    match kind {
        StubKind::Count if interlocked => writer.count_interlocked(),
        StubKind::Count => writer.count_by_exchange(),
        StubKind::Once => writer.once_shared(data.shared),
        StubKind::Call | StubKind::Code => {}
    }
    block
}

/// Appends instructions that will run at a known address. Names are those of the instructions
/// (Principles of Operation, chapter 7).
struct Writer<'a> {
    at: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    fn new(at: usize, bytes: &mut [u8]) -> Writer<'_> {
        Writer { at, len: 0, bytes }
    }

    fn count(&mut self, counter: usize, common: usize) {
        self.save_r1();
        self.lgrl(R1, self.at + COUNTER);
        self.j(common);
        self.bytes[COUNTER..].copy_from_slice(&counter.to_be_bytes());
    }

    /// `%r1` holds the address of the counter, and is saved.
    fn count_interlocked(&mut self) {
        self.put(&[0xeb, 1, R1 << 4, 0, 0, 0x7a]); // agsi 0(%r1), 1
        self.lg(R1, R15, 0);
        self.return_with(SAVED);
    }

    /// As [`count_interlocked`](Self::count_interlocked), where additions can be interrupted by other CPUs.
    fn count_by_exchange(&mut self) {
        self.multiple(0x24, R2, R3, 8); // stmg %r2, %r3, 8(%r15)
        self.lg(R2, R1, 0);
        let again = self.here();
        self.put(&[0xb9, 0x04, 0, R3 << 4 | R2]); // lgr %r3, %r2
        self.put(&[0xa7, R3 << 4 | 0xb, 0, 1]); // aghi %r3, 1
        self.put(&[0xeb, R2 << 4 | R3, R1 << 4, 0, 0, 0x30]); // csg %r2, %r3, 0(%r1)
        self.brc(7, again); // jne again
        self.multiple(0x04, R1, R3, 0); // lmg %r1, %r3, 0(%r15)
        self.return_with(SAVED);
    }

    fn once(&mut self, own: usize, common: usize) {
        self.save_r1();
        self.set_flag(own);
        self.j(common);
    }

    /// `%r1` is saved.
    fn once_shared(&mut self, shared: usize) {
        self.set_flag(shared);
        self.lg(R1, R15, 0);
        self.return_with(SAVED);
    }

    fn call(&mut self, own: usize, shared: usize) {
        self.lay_stack(offset::SIZE as u16);
        self.multiple(0x24, R0, R1, offset::GPR as u16); // stmg %r0, %r1, gpr(%r15)
        self.lgrl(R0, own);
        self.lgrl(R1, shared);
        self.br(R1);
    }

    fn code(&mut self, own: usize) {
        self.lgrl(R1, own);
        self.br(R1);
    }

    fn here(&self) -> usize {
        self.at + self.len
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Makes room on the stack and stores `%r1` in it.
    fn save_r1(&mut self) {
        self.lay_stack(SAVED);
        self.put(&[0xe3, R1 << 4, R15 << 4, 0, 0, 0x24]); // stg %r1, 0(%r15)
    }

    /// `la %r15, room(%r15)`; `br %r14`
    fn return_with(&mut self, room: u16) {
        let [high, low] = (u16::from(R15) << 12 | room).to_be_bytes();
        self.put(&[0x41, R15 << 4, high, low]);
        self.br(R14);
    }

    /// `lay %r15, -room(%r15)`
    fn lay_stack(&mut self, room: u16) {
        let displacement = -i32::from(room) as u32;
        let [base, low] = (u16::from(R15) << 12 | displacement as u16 & 0xfff).to_be_bytes();
        let high = (displacement >> 12) as u8;
        self.put(&[0xe3, R15 << 4, base, low, high, 0x71]);
    }

    /// `stmg` and `lmg`, by the last byte of their operation code, on the stack.
    fn multiple(&mut self, opcode: u8, first: u8, last: u8, displacement: u16) {
        let [base, low] = (u16::from(R15) << 12 | displacement).to_be_bytes();
        self.put(&[0xeb, first << 4 | last, base, low, 0, opcode]);
    }

    fn lg(&mut self, to: u8, base: u8, displacement: u16) {
        let [base, low] = (u16::from(base) << 12 | displacement).to_be_bytes();
        self.put(&[0xe3, to << 4, base, low, 0, 0x04]);
    }

    /// Stores 1 at an address nearby: `larl %r1, address`; `mvi 0(%r1), 1`. The former has only even ones.
    fn set_flag(&mut self, address: usize) {
        self.relative([0xc0, R1 << 4], address & !1);
        self.put(&[0x92, 1, R1 << 4, (address & 1) as u8]);
    }

    /// The doubleword at an address nearby, which is aligned.
    fn lgrl(&mut self, to: u8, address: usize) {
        self.relative([0xc4, to << 4 | 8], address);
    }

    /// An instruction with an address relative to its own, in halfwords.
    fn relative(&mut self, opcode: [u8; 2], address: usize) {
        let halfwords = (address.wrapping_sub(self.here()) as i64 / 2) as i32;
        self.put(&opcode);
        self.put(&halfwords.to_be_bytes());
    }

    /// A branch within 64 KiB, on the conditions in `mask`.
    fn brc(&mut self, mask: u8, target: usize) {
        let halfwords = (target.wrapping_sub(self.here()) as i64 / 2) as i16;
        self.put(&[0xa7, mask << 4 | 4]);
        self.put(&halfwords.to_be_bytes());
    }

    fn j(&mut self, target: usize) {
        self.brc(15, target);
    }

    fn br(&mut self, register: u8) {
        self.put(&[0x07, 0xf0 | register]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(own: usize, shared: usize) -> BlockData {
        BlockData {
            own,
            shared,
            counters: 0x7123_4567_8000,
            per_cpu: None,
        }
    }

    /// Encodings as an assembler of someone else's makes them.
    #[test]
    fn encodings() {
        let count = write(StubKind::Count, 0x1000, data(0, 0), true);
        let expected = [
            [0xe3, 0xf0, 0xff, 0xe8, 0xff, 0x71], // lay %r15, -24(%r15)
            [0xe3, 0x10, 0xf0, 0x00, 0x00, 0x24], // stg %r1, 0(%r15)
            [0xc4, 0x18, 0x00, 0x00, 0x00, 0x06], // lgrl %r1, .+12
            [0xa7, 0xf4, 0x0f, 0xf7, 0x00, 0x00], // j .+8174
        ];
        assert_eq!(count[..24], expected.as_flattened()[..]);
        assert_eq!(count[24..32], 0x7123_4567_8000_u64.to_be_bytes());
        assert_eq!(count[56..64], 0x7123_4567_8008_u64.to_be_bytes());
        let expected = [
            0xeb, 0x01, 0x10, 0x00, 0x00, 0x7a, // agsi 0(%r1), 1
            0xe3, 0x10, 0xf0, 0x00, 0x00, 0x04, // lg %r1, 0(%r15)
            0x41, 0xf0, 0xf0, 0x18, // la %r15, 24(%r15)
            0x07, 0xfe, // br %r14
        ];
        assert_eq!(count[STUBS..][..expected.len()], expected);
        let count = write(StubKind::Count, 0x1000, data(0, 0), false);
        let expected = [
            0xeb, 0x23, 0xf0, 0x08, 0x00, 0x24, // stmg %r2, %r3, 8(%r15)
            0xe3, 0x20, 0x10, 0x00, 0x00, 0x04, // lg %r2, 0(%r1)
            0xb9, 0x04, 0x00, 0x32, // lgr %r3, %r2
            0xa7, 0x3b, 0x00, 0x01, // aghi %r3, 1
            0xeb, 0x23, 0x10, 0x00, 0x00, 0x30, // csg %r2, %r3, 0(%r1)
            0xa7, 0x74, 0xff, 0xf9, // jne .-14
            0xeb, 0x13, 0xf0, 0x00, 0x00, 0x04, // lmg %r1, %r3, 0(%r15)
            0x41, 0xf0, 0xf0, 0x18, // la %r15, 24(%r15)
            0x07, 0xfe, // br %r14
        ];
        assert_eq!(count[STUBS..][..expected.len()], expected);
    }

    #[test]
    fn every_kind_addresses_its_data() {
        let (own, shared) = (0x20_0f81, 0x21_0008);
        let once = write(StubKind::Once, 0x1000, data(own, shared), true);
        let expected = [
            0xc0, 0x10, 0x00, 0x0f, 0xff, 0xba, // larl %r1, 0x200f80, from 0x100c
            0x92, 0x01, 0x10, 0x01, // mvi 1(%r1), 1
            0xa7, 0xf4, 0x0f, 0xf5, // j .+8170
        ];
        assert_eq!(once[12..][..expected.len()], expected);
        // The flag of the next stub is at an even address.
        let expected = [
            0xc0, 0x10, 0x00, 0x0f, 0xff, 0xab, // larl %r1, 0x200f82, from 0x102c
            0x92, 0x01, 0x10, 0x00, // mvi 0(%r1), 1
        ];
        assert_eq!(once[STUB_SIZE + 12..][..expected.len()], expected);
        let expected = [
            0xc0, 0x10, 0x00, 0x10, 0x68, 0x04, // larl %r1, 0x210008, from 0x3000
            0x92, 0x01, 0x10, 0x00, // mvi 0(%r1), 1
            0xe3, 0x10, 0xf0, 0x00, 0x00, 0x04, // lg %r1, 0(%r15)
            0x41, 0xf0, 0xf0, 0x18, // la %r15, 24(%r15)
            0x07, 0xfe, // br %r14
        ];
        assert_eq!(once[STUBS..][..expected.len()], expected);

        let own = 0x20_0f80;
        let call = write(StubKind::Call, 0x1000, data(own, shared), true);
        let expected = [
            0xe3, 0xf0, 0xfc, 0xd0, 0xff, 0x71, // lay %r15, -816(%r15)
            0xeb, 0x01, 0xf0, 0xa0, 0x00, 0x24, // stmg %r0, %r1, 160(%r15)
            0xc4, 0x08, 0x00, 0x0f, 0xff, 0xba, // lgrl %r0, 0x200f80, from 0x100c
            0xc4, 0x18, 0x00, 0x10, 0x77, 0xfb, // lgrl %r1, 0x210008, from 0x1012
            0x07, 0xf1, // br %r1
        ];
        assert_eq!(call[..expected.len()], expected);
        let code = write(StubKind::Code, 0x1000, data(own, 0), true);
        let expected = [
            0xc4, 0x18, 0x00, 0x0f, 0xff, 0xb4, // lgrl %r1, 0x200f88, from 0x1020
            0x07, 0xf1, // br %r1
        ];
        assert_eq!(code[STUB_SIZE..][..expected.len()], expected);
    }
}
