//! The code that sites call. A stub is 32 bytes and preserves every register but `x30`, which a call
//! overwrites by itself, and the flags.
//!
//! | kind | code | data per stub |
//! |---|---|---|
//! | count | saves two registers; adds 1 to the counter by one instruction, or in the block's [common code](Writer::count_exclusively) | one word |
//! | once | stores 1 in its flag; the common code stores 1 in the shared flag | 1-byte flag |
//! | call | makes a frame record, saves two registers in it, and jumps to the shared address with its context | 8-byte context |
//!
//! The once stub stores the block's shared flag with release semantics: who sees it sees the stub's
//! own. The call stub makes a frame record first, so that walking frame pointers out of the hook finds
//! the guest's return address.

use super::cpu;
use crate::isa::BlockData;
use crate::slots::{BLOCK_SLOTS, StubKind};

/// Bytes from one stub to the next.
pub(crate) const STUB_SIZE: usize = 32;

const STUBS: usize = BLOCK_SLOTS * STUB_SIZE;
/// Room for the code that the stubs of a block share, after the stubs.
const COMMON: usize = 64;
/// Offset of the counter's address in a count stub.
const COUNTER: usize = STUB_SIZE - 8;

/// Bytes from the frame record of a call stub to the guest's stack pointer: the two registers are between.
pub(super) const CALL_FRAME: usize = 32;

const X15: u32 = 15;
/// What stubs work with, as linkers' veneers do; saved all the same.
const X16: u32 = 16;
const X17: u32 = 17;
const X29: u32 = 29;
const X30: u32 = 30;
const SP: u32 = 31;
const XZR: u32 = 31;

/// Bytes of code in a block.
pub(crate) fn block_size(_kind: StubKind) -> usize {
    STUBS + COMMON
}

/// The code of a block of stubs that will run at address `code`.
pub(crate) fn write_stubs(kind: StubKind, code: usize, data: BlockData) -> Vec<u8> {
    write(kind, code, data, cpu::has_atomic_add())
}

fn write(kind: StubKind, code: usize, data: BlockData, atomic_add: bool) -> Vec<u8> {
    let mut block = vec![0; block_size(kind)];
    let (stubs, common) = block.split_at_mut(STUBS);
    for (slot, stub) in stubs.chunks_exact_mut(STUB_SIZE).enumerate() {
        let own = data.own + slot * kind.data_size();
        let mut writer = Writer::new(code + slot * STUB_SIZE, stub);
        match kind {
            StubKind::Count => writer.count(data.counters + slot * 8, code + STUBS, atomic_add),
            StubKind::Once => writer.once(own, code + STUBS),
            StubKind::Call => writer.call(own, data.shared),
            StubKind::Code => writer.code(own),
        }
    }
    let mut writer = Writer::new(code + STUBS, common);
    match kind {
        StubKind::Count if !atomic_add => writer.count_exclusively(),
        StubKind::Once => writer.once_shared(data.shared),
        StubKind::Count | StubKind::Call | StubKind::Code => {}
    }
    block
}

/// Appends instructions that will run at a known address. Names are those of the instructions
/// (Arm ARM, chapter C6).
struct Writer<'a> {
    at: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    fn new(at: usize, bytes: &mut [u8]) -> Writer<'_> {
        Writer { at, len: 0, bytes }
    }

    fn count(&mut self, counter: usize, common: usize, atomic_add: bool) {
        self.push_pair(X16, X17);
        self.ldr_literal(X16, self.at + COUNTER);
        if atomic_add {
            self.movz(X17, 1);
            self.stadd(X17, X16);
            self.pop_pair(X16, X17);
            self.ret();
        } else {
            self.b(common);
        }
        self.bytes[COUNTER..].copy_from_slice(&counter.to_le_bytes());
    }

    /// `x16` holds the address of the counter; it and `x17` are on the stack.
    fn count_exclusively(&mut self) {
        self.word(0xf800_0c00 | (0x1ff & 0u32.wrapping_sub(16)) << 12 | SP << 5 | X15); // str x15, [sp, #-16]!
        let again = self.here();
        self.word(0xc85f_7c00 | X16 << 5 | X17); // ldxr x17, [x16]
        self.add(X17, X17, 1);
        self.word(0xc800_7c00 | X15 << 16 | X16 << 5 | X17); // stxr w15, x17, [x16]
        let back = self.words_to(again) & 0x7_ffff;
        self.word(0x3500_0000 | back << 5 | X15); // cbnz w15, again
        self.word(0xf840_0400 | 16 << 12 | SP << 5 | X15); // ldr x15, [sp], #16
        self.pop_pair(X16, X17);
        self.ret();
    }

    fn once(&mut self, own: usize, common: usize) {
        self.push_pair(X16, X17);
        self.movz(X17, 1);
        self.adrp(X16, own);
        self.word(0x3900_0000 | low_bits(own) << 10 | X16 << 5 | X17); // strb w17, [x16, #low]
        self.b(common);
    }

    /// `x17` is 1; it and `x16` are on the stack.
    fn once_shared(&mut self, shared: usize) {
        self.adrp(X16, shared);
        self.add(X16, X16, low_bits(shared));
        self.word(0x089f_fc00 | X16 << 5 | X17); // stlrb w17, [x16]
        self.pop_pair(X16, X17);
        self.ret();
    }

    fn call(&mut self, own: usize, shared: usize) {
        self.word(0xa980_0000 | pair(-(CALL_FRAME as i32), X29, X30)); // stp x29, x30, [sp, #-32]!
        self.word(0xa900_0000 | pair(16, X16, X17)); // stp x16, x17, [sp, #16]
        self.add(X29, SP, 0); // mov x29, sp
        self.adrp(X17, own);
        self.ldr(X17, X17, own);
        self.adrp(X16, shared);
        self.ldr(X16, X16, shared);
        self.word(0xd61f_0000 | X16 << 5); // br x16
    }

    /// As veneers do, by way of `x16`, which a called function need not preserve.
    fn code(&mut self, own: usize) {
        self.adrp(X16, own);
        self.ldr(X16, X16, own);
        self.word(0xd61f_0000 | X16 << 5); // br x16
    }

    fn here(&self) -> usize {
        self.at + self.len
    }

    fn words_to(&self, target: usize) -> u32 {
        (target.wrapping_sub(self.here()) >> 2) as u32
    }

    fn word(&mut self, word: u32) {
        self.bytes[self.len..self.len + 4].copy_from_slice(&word.to_le_bytes());
        self.len += 4;
    }

    /// `stp first, second, [sp, #-16]!`
    fn push_pair(&mut self, first: u32, second: u32) {
        self.word(0xa980_0000 | pair(-16, first, second));
    }

    /// `ldp first, second, [sp], #16`
    fn pop_pair(&mut self, first: u32, second: u32) {
        self.word(0xa8c0_0000 | pair(16, first, second));
    }

    /// The 64-bit word at an address nearby.
    fn ldr_literal(&mut self, to: u32, address: usize) {
        let words = self.words_to(address) & 0x7_ffff;
        self.word(0x5800_0000 | words << 5 | to);
    }

    /// `ldr to, [base, #low bits of the address]`
    fn ldr(&mut self, to: u32, base: u32, address: usize) {
        self.word(0xf940_0000 | low_bits(address) >> 3 << 10 | base << 5 | to);
    }

    /// The page of an address within 4 GiB.
    fn adrp(&mut self, to: u32, address: usize) {
        let pages = (address >> 12).wrapping_sub(self.here() >> 12) as u32;
        self.word(0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5 | to);
    }

    fn add(&mut self, to: u32, from: u32, immediate: u32) {
        self.word(0x9100_0000 | immediate << 10 | from << 5 | to);
    }

    fn movz(&mut self, to: u32, immediate: u32) {
        self.word(0xd280_0000 | immediate << 5 | to);
    }

    /// `stadd value, [address]`
    fn stadd(&mut self, value: u32, address: u32) {
        self.word(0xf820_0000 | value << 16 | address << 5 | XZR);
    }

    fn b(&mut self, target: usize) {
        let words = self.words_to(target) & 0x03ff_ffff;
        self.word(0x1400_0000 | words);
    }

    fn ret(&mut self) {
        self.word(0xd65f_0000 | X30 << 5);
    }
}

/// The part of an address that `adrp` leaves out.
fn low_bits(address: usize) -> u32 {
    (address & 0xfff) as u32
}

/// The operands of `stp` and `ldp` on the stack.
fn pair(offset: i32, first: u32, second: u32) -> u32 {
    ((offset >> 3) as u32 & 0x7f) << 15 | second << 10 | SP << 5 | first
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

    fn words(bytes: &[u8]) -> Vec<u32> {
        let (words, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty());
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// Encodings as a disassembler of someone else's reads them.
    #[test]
    fn encodings() {
        let count = words(&write(StubKind::Count, 0x1000, data(0, 0), true));
        let expected = [
            0xa9bf_47f0, // stp x16, x17, [sp, #-16]!
            0x5800_00b0, // ldr x16, .+20
            0xd280_0031, // mov x17, #1
            0xf831_021f, // stadd x17, [x16]
            0xa8c1_47f0, // ldp x16, x17, [sp], #16
            0xd65f_03c0, // ret
            0x4567_8000,
            0x7123,
        ];
        assert_eq!(count[..8], expected);
        assert_eq!(count[14..16], [0x4567_8008, 0x7123]);
        let common = words(&write(StubKind::Count, 0, data(0, 0), false));
        assert_eq!(common[2], 0x1400_07fe); // b .+8184
        let expected = [
            0xf81f_0fef, // str x15, [sp, #-16]!
            0xc85f_7e11, // ldxr x17, [x16]
            0x9100_0631, // add x17, x17, #1
            0xc80f_7e11, // stxr w15, x17, [x16]
            0x35ff_ffaf, // cbnz w15, .-12
            0xf841_07ef, // ldr x15, [sp], #16
            0xa8c1_47f0, // ldp x16, x17, [sp], #16
            0xd65f_03c0, // ret
        ];
        assert_eq!(common[STUBS / 4..][..8], expected);
    }

    #[test]
    fn every_kind_addresses_its_data() {
        let (own, shared) = (0x20_0f80, 0x21_0008);
        let once = words(&write(StubKind::Once, 0x1000, data(own, shared), true));
        let expected = [
            0xa9bf_47f0, // stp x16, x17, [sp, #-16]!
            0xd280_0031, // mov x17, #1
            0xf000_0ff0, // adrp x16, 0x200000
            0x393e_0211, // strb w17, [x16, #0xf80]
            0x1400_07fc, // b .+8176
        ];
        assert_eq!(once[..5], expected);
        let expected = [
            0xb000_1070, // adrp x16, 0x210000, from 0x3000
            0x9100_2210, // add x16, x16, #8
            0x089f_fe11, // stlrb w17, [x16]
        ];
        assert_eq!(once[STUBS / 4..][..3], expected);
        let call = words(&write(StubKind::Call, 0x1000, data(own, shared), true));
        let expected = [
            0xa9be_7bfd, // stp x29, x30, [sp, #-32]!
            0xa901_47f0, // stp x16, x17, [sp, #16]
            0x9100_03fd, // mov x29, sp
            0xf000_0ff1, // adrp x17, 0x200000
            0xf947_c231, // ldr x17, [x17, #0xf80]
            0xf000_1070, // adrp x16, 0x210000
            0xf940_0610, // ldr x16, [x16, #8]
            0xd61f_0200, // br x16
        ];
        assert_eq!(call[..8], expected);
        // The data of the last stub is on another page than that of the first.
        assert_eq!(call[255 * 8 + 4], 0xf943_be31); // ldr x17, [x17, #0x778]
    }
}
