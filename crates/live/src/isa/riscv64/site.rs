//! The three forms of a site: a call to its island, `nop` and `ebreak`, each an aligned word.
//!
//! A thread that executes a site under change executes the old or the new one: aligned words are fetched
//! whole (RISC-V ISA vol. I, "Ziccif"). The call is the same as long as the code is published; what it
//! leads to is the address in the island (`island.rs`), which is stored before it. A site has no tail of
//! its own: what is called its tail is the offset in the range that it leads to.

use std::arch::asm;

use super::inst::{
    ALL_BUT_IMM12, EBREAK, NOP, OPCODE_AND_RD, RA, TWO_NOPS, ZERO, addi, auipc, jal, jalr, lui,
};
use super::island::{self, Link};
use crate::isa::{Head, Shape};

/// Bytes in a site that change.
pub(crate) const SITE_LEN: usize = 4;
/// Bytes in a site. The first half of long ones changes for the last time when code is published.
pub(crate) const SITE_LENS: &[usize] = &[SITE_LEN, 2 * SITE_LEN];
/// What the start of a site must be a multiple of.
pub(crate) const SITE_ALIGN: usize = 4;
pub(crate) const SHAPE: Shape = Shape::OneWord;
/// `auipc` and the instruction after it must reach everything.
pub(crate) const MAX_RESERVE: usize = (2 << 30) - (1 << 20);

/// What unused code memory is filled with: zero is defined to be illegal.
pub(crate) const FILL: u8 = 0;

/// A site that is off.
#[cfg(test)]
pub(crate) const OFF_FORM: [u8; SITE_LEN] = NOP.to_le_bytes();

/// Whether a site can be made of these bytes: NOPs, or a call with or without `auipc`, or what such a
/// call is where it is switched off by its opcode.
pub(crate) fn can_be_site(bytes: &[u8]) -> bool {
    let is_nop = |word| matches!(word, NOP | TWO_NOPS);
    match *bytes.as_chunks::<4>().0 {
        [word] => {
            let word = u32::from_le_bytes(word);
            is_nop(word) || [jal(RA, 0), lui(ZERO, 0)].contains(&(word & OPCODE_AND_RD))
        }
        [first, second] => {
            let [first, second] = [first, second].map(u32::from_le_bytes);
            let rest = [jalr(RA, RA, 0), addi(ZERO, RA, 0)];
            let is_pair = first & OPCODE_AND_RD == auipc(RA, 0)
                && (is_nop(second) || rest.contains(&(second & ALL_BUT_IMM12)));
            is_pair || is_nop(first) && is_nop(second)
        }
        _ => false,
    }
}

/// The tail that makes a site call `target`: that offset in the range.
pub(crate) fn tail_for(_site_end: usize, target: usize) -> u32 {
    target as u32
}

/// The code of a function without parameters that returns `value`.
pub(crate) fn function_returning(value: u32) -> [u8; 12] {
    const A0: u32 = 10;
    const ADDIW: u32 = 0x1b;
    let upper = value.wrapping_add(0x800) >> 12;
    let addiw = (value & 0xfff) << 20 | A0 << 15 | A0 << 7 | ADDIW;
    let mut code = [0; 12];
    let words = [lui(A0, upper), addiw, jalr(ZERO, RA, 0)];
    for (bytes, word) in code.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    code
}

/// Replaces the word of the site at `site`, after what a call in it leads to. `base` is the address where the
/// range is executed.
///
/// The stores are releases: a thread that executes the call goes to the new address, as it loads that later,
/// and sees what was stored before for the stub there (`docs/protocols.md`).
///
/// # Safety
/// `site` is the word of a site in a writable view of its code, and `link` its link.
pub(crate) unsafe fn write_head(site: *mut u8, link: Link, head: Head, base: usize) {
    let word = match head {
        Head::On(tail) => {
            // SAFETY: the caller's promise; the island is in the same view.
            unsafe { island::target(site, link) }.store(base + tail as usize);
            link.call()
        }
        Head::Off => NOP,
        Head::Trap => EBREAK,
    };
    // SAFETY: the caller's promise. One aligned word is stored by one instruction, which the compiler
    // can neither split nor remove.
    unsafe {
        asm!(
            "fence rw, w",
            "sw {word}, ({site})",
            site = in(reg) site,
            word = in(reg) word,
            options(nostack, preserves_flags),
        );
    }
}

/// Sites have no tails of their own: `write_head` has written it.
///
/// # Safety
/// None is needed here.
pub(crate) unsafe fn write_tail(_site: *mut u8, _tail: u32) {}

/// The tail of the site at `site` in a range at `base`, or the last one that it had.
///
/// # Safety
/// As for [`write_head`], in any view of the code.
pub(crate) unsafe fn read_tail(site: *const u8, link: Link, base: usize) -> u32 {
    // SAFETY: the caller's promise; nothing is written.
    let target = unsafe { island::target(site.cast_mut(), link) }.load();
    target.wrapping_sub(base) as u32
}

/// The end of the site whose breakpoint left a thread at `pc`, if it was one: `ebreak` reports its own
/// address.
pub(crate) fn site_end_after_trap(pc: usize) -> usize {
    pc.wrapping_add(SITE_LEN)
}

/// What tests put before and after sites to make a function of them.
#[cfg(test)]
pub(crate) mod sample {
    /// `addi sp, sp, -16`; `sd ra, 0(sp)`: calls in sites overwrite `ra`.
    pub(crate) const START: [u8; 8] = [0x13, 0x01, 0x01, 0xff, 0x23, 0x30, 0x11, 0x00];
    /// `ld ra, 0(sp)`; `addi sp, sp, 16`; `ret`
    pub(crate) const END: [u8; 12] = [
        0x83, 0x30, 0x01, 0x00, 0x13, 0x01, 0x01, 0x01, 0x67, 0x80, 0x00, 0x00,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_can_be_a_site() {
        for site in [
            &[0x0000_0013][..],     // nop
            &[0x0001_0001],         // c.nop; c.nop
            &[0x0000_5037],         // lui x0, 5
            &[0x7fff_f0ef],         // jal ra, .+0xffffe
            &[0x13, 0x13],          // nop; nop
            &[0x0001_0001, 0x13],   // c.nop; c.nop; nop
            &[0x5097, 0x0000_0013], // auipc ra, 5; nop
            &[0x5097, 0x1230_80e7], // auipc ra, 5; jalr ra, 0x123(ra)
            &[0x5097, 0x0050_8013], // auipc ra, 5; addi x0, ra, 5
        ] {
            assert!(can_be_site(&bytes(site)), "{site:x?}");
        }
        for other in [
            &[][..],
            &[0x0010_0073],         // ebreak
            &[0x0050_0013],         // addi x0, x0, 5
            &[0x0000_506f],         // jal x0, .+0x5000
            &[0x0000_50b7],         // lui ra, 5
            &[0x5097],              // auipc ra, 5
            &[0x5097, 0x0003_80e7], // auipc ra, 5; jalr ra, 0(t2)
            &[0x5097, 0x0000_8067], // auipc ra, 5; jalr x0, 0(ra)
            &[0x5397, 0x0000_80e7], // auipc t2, 5; jalr ra, 0(ra)
            &[0x13, 0x0000_10ef],   // nop; jal ra, .+0x1000
            &[0x13, 0x13, 0x13],
        ] {
            assert!(!can_be_site(&bytes(other)), "{other:x?}");
        }
        assert!(!can_be_site(&OFF_FORM[..3]));
    }

    #[test]
    fn forms() {
        // A site, and its island right behind it.
        let mut memory = [0x13_0000_0013u64, 0, 0, 0];
        let start = memory.as_mut_ptr().cast::<u8>();
        let link = island::link(0, 8);
        let base = 0x4000_0000;
        // SAFETY: a local array stands for the writable view.
        unsafe {
            write_head(start, link, Head::On(0x1234), base);
            assert_eq!(read_tail(start, link, base), 0x1234);
            assert_eq!(memory[0], 0x13_0080_00ef); // jal ra, .+8
            write_head(start, link, Head::Trap, base);
            assert_eq!(memory[0], 0x13_0010_0073);
            write_head(start, link, Head::Off, base);
        }
        assert_eq!(memory, [0x13_0000_0013, 0, 0, 0x4000_1234]);
    }
}
