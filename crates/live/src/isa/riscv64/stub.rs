//! The code that islands go on to. A stub is 32 bytes and preserves every register but `ra`, which the call
//! in a site overwrites by itself. It finds `t2` on the stack, in a frame that the island has made
//! (`island.rs`), and takes the frame away.
//!
//! | kind | code | data per stub |
//! |---|---|---|
//! | count | saves a second register; adds 1 to the counter by one instruction | one word |
//! | once | stores 1 in its flag, and then in the shared flag | 1-byte flag |
//! | call | makes a frame record, and jumps to the shared address with its context | 8-byte context |
//! | code | jumps to the address that is its datum, by `t2` | 8-byte address |
//!
//! The once stub stores the block's shared flag after a release fence: who sees it sees the stub's own.
//! The call stub makes a frame record first, so that walking frame pointers out of the hook finds the
//! guest's return address.

use super::inst::{
    FENCE_RELEASE, RA, S0, T1, T2, Writer, amoadd, c_addi16sp, c_jr, c_ldsp, c_li, c_s0_above_sp,
    c_sdsp, sb,
};
use super::island::FRAME;
use crate::isa::BlockData;
use crate::slots::{BLOCK_SLOTS, StubKind};

/// Bytes from one stub to the next.
pub(crate) const STUB_SIZE: usize = 32;

/// Offset of the counter's address in a count stub.
const COUNTER: usize = STUB_SIZE - 8;

/// Bytes of code in a block.
pub(crate) fn block_size(_kind: StubKind) -> usize {
    BLOCK_SLOTS * STUB_SIZE
}

/// The code of a block of stubs that will run at address `code`.
pub(crate) fn write_stubs(kind: StubKind, code: usize, data: BlockData) -> Vec<u8> {
    let mut block = vec![0; block_size(kind)];
    for (slot, stub) in block.chunks_exact_mut(STUB_SIZE).enumerate() {
        let at = code + slot * STUB_SIZE;
        let own = data.own + slot * kind.data_size();
        let mut writer = Writer::new(at, stub);
        match kind {
            StubKind::Count => {
                writer.count(at + COUNTER);
                let counter = data.counters + slot * 8;
                stub[COUNTER..].copy_from_slice(&counter.to_le_bytes());
            }
            StubKind::Once => writer.once(own, data.shared),
            StubKind::Call => writer.call(own, data.shared),
            StubKind::Code => writer.code(own),
        }
    }
    block
}

impl Writer<'_> {
    fn count(&mut self, counter: usize) {
        self.half(c_sdsp(T1, 8));
        self.load(T2, counter);
        self.half(c_li(T1, 1));
        self.word(amoadd(T1, T2));
        self.leave();
    }

    fn once(&mut self, own: usize, shared: usize) {
        self.half(c_sdsp(T1, 8));
        self.half(c_li(T1, 1));
        let low = self.auipc_to(T2, own);
        self.word(sb(T1, low, T2));
        let low = self.auipc_to(T2, shared);
        self.word(FENCE_RELEASE);
        self.word(sb(T1, low, T2));
        self.leave();
    }

    fn call(&mut self, own: usize, shared: usize) {
        self.half(c_sdsp(RA, 24));
        self.half(c_sdsp(S0, 16));
        self.half(c_sdsp(T1, 8));
        self.half(c_s0_above_sp(FRAME as u32));
        self.load(T1, own);
        self.load(T2, shared);
        self.half(c_jr(T2));
    }

    fn code(&mut self, own: usize) {
        self.load(T2, own);
        self.half(c_addi16sp(FRAME as i32));
        self.half(c_jr(T2));
    }

    /// Restores `t1` and `t2`, and returns to the site.
    fn leave(&mut self) {
        self.half(c_ldsp(T1, 8));
        self.half(c_ldsp(T2, 0));
        self.half(c_addi16sp(FRAME as i32));
        self.half(c_jr(RA));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-words of the stubs of a block at 0x1000 whose data are elsewhere.
    fn stubs(kind: StubKind) -> Vec<u16> {
        let data = BlockData {
            own: 0x20_0f80,
            shared: 0x21_0008,
            counters: 0x7123_4567_8000,
            per_cpu: None,
        };
        let bytes = write_stubs(kind, 0x1000, data);
        let (halves, rest) = bytes.as_chunks::<2>();
        assert!(rest.is_empty());
        halves
            .iter()
            .map(|half| u16::from_le_bytes(*half))
            .collect()
    }

    /// What the first and the second stub are, as a disassembler of someone else's reads them.
    #[test]
    fn every_kind_addresses_its_data() {
        let count = stubs(StubKind::Count);
        let expected = [
            0xe41a, // sd t1, 8(sp)
            0x0397, 0x0000, // auipc t2, 0, from 0x1002
            0xb383, 0x0163, // ld t2, 22(t2)
            0x4305, // li t1, 1
            0xb02f, 0x0063, // amoadd.d zero, t1, (t2)
            0x6322, // ld t1, 8(sp)
            0x6382, // ld t2, 0(sp)
            0x6105, // addi sp, sp, 32
            0x8082, // ret
            0x8000, 0x4567, 0x7123, 0,
        ];
        assert_eq!(count[..16], expected);
        assert_eq!(count[28], 0x8008);

        let once = stubs(StubKind::Once);
        let expected = [
            0xe41a, // sd t1, 8(sp)
            0x4305, // li t1, 1
            0x0397, 0x0020, // auipc t2, 512, from 0x1004
            0x8e23, 0xf663, // sb t1, -132(t2)
            0xf397, 0x0020, // auipc t2, 527, from 0x100c
            0x000f, 0x0310, // fence rw, w
            0x8e23, 0xfe63, // sb t1, -4(t2)
            0x6322, 0x6382, 0x6105, 0x8082,
        ];
        assert_eq!(once[..16], expected);
        assert_eq!(once[16 + 4..][..2], [0x8ea3, 0xf463]); // sb t1, -163(t2)

        let call = stubs(StubKind::Call);
        let expected = [
            0xec06, // sd ra, 24(sp)
            0xe822, // sd s0, 16(sp)
            0xe41a, // sd t1, 8(sp)
            0x1000, // addi s0, sp, 32
            0x0317, 0x0020, // auipc t1, 512, from 0x1008
            0x3303, 0xf783, // ld t1, -136(t1)
            0xf397, 0x0020, // auipc t2, 527, from 0x1010
            0xb383, 0xff83, // ld t2, -8(t2)
            0x8382, // jr t2
        ];
        assert_eq!(call[..13], expected);

        let code = stubs(StubKind::Code);
        let expected = [
            0x0397, 0x0020, // auipc t2, 512
            0xb383, 0xf803, // ld t2, -128(t2)
            0x6105, // addi sp, sp, 32
            0x8382, // jr t2
        ];
        assert_eq!(code[..6], expected);
    }
}
