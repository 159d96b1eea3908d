//! The three forms of a site: `bl`, `nop` and `brk`, each an aligned word.
//!
//! A thread that executes a site under change executes the old or the new one: all three are among the
//! instructions that may replace one another (Arm ARM B2.2.5). As `bl` holds its target, a site has
//! no tail of its own: what is called its tail is the whole word with which it calls.

use std::arch::asm;

use crate::isa::{Head, Shape};

/// Bytes in a site.
pub(crate) const SITE_LEN: usize = 4;
/// What the start of a site must be a multiple of.
pub(crate) const SITE_ALIGN: usize = 4;
pub(crate) const SHAPE: Shape = Shape::OneWord;

/// Bytes that `bl` reaches in either direction.
const REACH: usize = 128 << 20;
/// Seven eighths of it hold sites and stubs.
pub(crate) const MAX_RESERVE: usize = 146 << 20;
const _: () = assert!(MAX_RESERVE / 8 * 7 <= REACH);

const NOP: u32 = 0xd503_201f;
const BL: u32 = 0x9400_0000;
/// `brk #0x6e70`.
const BRK: u32 = 0xd420_0000 | 0x6e70 << 5;

/// What unused code memory is filled with: `udf #0` is zero.
pub(crate) const FILL: u8 = 0;

/// A site that is off.
#[cfg(test)]
pub(crate) const OFF_FORM: [u8; SITE_LEN] = NOP.to_le_bytes();

/// Whether a site can be made of these bytes: the off form, or a call.
pub(crate) fn can_be_site(bytes: &[u8]) -> bool {
    let word = |bytes| u32::from_le_bytes(bytes);
    let call = |bytes| word(bytes) & 0xfc00_0000 == BL;
    bytes
        .try_into()
        .is_ok_and(|bytes| word(bytes) == NOP || call(bytes))
}

/// The tail that makes the site ending at `site_end` call `target`; both are offsets in one range of
/// at most 128 MiB.
pub(crate) fn tail_for(site_end: usize, target: usize) -> u32 {
    let words = target.wrapping_sub(site_end - SITE_LEN) >> 2;
    BL | words as u32 & 0x03ff_ffff
}

/// The code of a function without parameters that returns `value`.
pub(crate) fn function_returning(value: u32) -> [u8; 12] {
    let movz = 0x5280_0000 | (value & 0xffff) << 5;
    let movk = 0x72a0_0000 | (value >> 16) << 5;
    let ret = 0xd65f_03c0;
    let mut code = [0; 12];
    for (bytes, word) in code.chunks_exact_mut(4).zip([movz, movk, ret]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    code
}

/// Replaces the site at `site`.
///
/// The store is a release: a thread that executes the call also sees what was stored before for the
/// stub that it calls (test MP.FR of the catalogue in `docs/protocols.md`).
///
/// # Safety
/// `site` is a site's first byte in a writable view of its code.
pub(crate) unsafe fn write_head(site: *mut u8, head: Head) {
    let word = match head {
        Head::On(tail) => tail,
        Head::Off => NOP,
        Head::Trap => BRK,
    };
    // SAFETY: the caller's promise. One aligned word is stored by one instruction, which the compiler
    // can neither split nor remove.
    unsafe {
        asm!(
            "stlr {word:w}, [{site}]",
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

/// The word of the site at `site`: its tail if it is on, else different from any tail.
///
/// # Safety
/// As for [`write_head`].
pub(crate) unsafe fn read_tail(site: *const u8) -> u32 {
    // SAFETY: the caller's promise; sites are aligned, and only the holder of the space's lock writes
    // them.
    unsafe { site.cast::<u32>().read() }
}

/// The end of the site whose breakpoint left a thread at `pc`, if it was one: `brk` reports its own
/// address.
pub(crate) fn site_end_after_trap(pc: usize) -> usize {
    pc.wrapping_add(SITE_LEN)
}

/// What tests put before and after sites to make a function of them.
#[cfg(test)]
pub(crate) mod sample {
    /// `stp x29, x30, [sp, #-16]!`: calls in sites overwrite `x30`.
    pub(crate) const START: [u8; 4] = [0xfd, 0x7b, 0xbf, 0xa9];
    /// `ldp x29, x30, [sp], #16`; `ret`
    pub(crate) const END: [u8; 8] = [0xfd, 0x7b, 0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut site = [NOP, NOP];
        assert_eq!(OFF_FORM, [0x1f, 0x20, 0x03, 0xd5]);
        assert!(can_be_site(&OFF_FORM) && can_be_site(&BL.to_le_bytes()));
        assert!(!can_be_site(&BRK.to_le_bytes()) && !can_be_site(&OFF_FORM[..3]));
        let start = site.as_mut_ptr().cast::<u8>();
        let tail = tail_for(0x1004, 0x40);
        // SAFETY: a local array stands for the writable view.
        unsafe {
            assert_ne!(read_tail(start), tail);
            write_head(start, Head::On(tail));
            assert_eq!(read_tail(start), tail);
            assert_eq!(site, [0x97ff_fc10, NOP]);
            write_head(start, Head::Trap);
            assert_eq!(site, [0xd42d_ce00, NOP]);
            write_head(start, Head::Off);
        }
        assert_eq!(site, [NOP, NOP]);
    }

    #[test]
    fn the_whole_range_is_in_reach() {
        let last = REACH - 4;
        assert_eq!(tail_for(4, last), BL | 0x01ff_ffff);
        assert_eq!(tail_for(4, 0), BL);
        assert_eq!(tail_for(last + 4, 0), BL | 0x0200_0001);
    }
}
