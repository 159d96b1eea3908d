//! The three forms of a site: `brasl %r14`, `brcl 0` over the same displacement, and an invalid instruction.
//!
//! | | bytes |
//! |---|---|
//! | on | `C0 E5` and a displacement: calls |
//! | off | `C0 04` and a displacement: a branch that is never taken |
//! | trap | `00` over the first byte: the operation code that stays invalid (Principles of Operation, SA22-7832, chapter 6, "Operation Exception") |
//!
//! The bytes of an instruction may be fetched one by one, in any order, and more than once, and what was
//! fetched ahead is discarded by serialization (chapter 5, "Instruction Fetching"). So one byte says what a
//! site is: the second one, unless the first is that of a trap. No mixture of successive forms is another
//! (`docs/protocols.md`).

use std::arch::asm;

use crate::isa::{Head, Shape};

/// Bytes in a site.
pub(crate) const SITE_LEN: usize = 6;
/// What the start of a site must be a multiple of.
pub(crate) const SITE_ALIGN: usize = 2;
pub(crate) const SHAPE: Shape = Shape::HeadAndTail;
/// `brasl` reaches 4 GiB, and stubs their data; offsets of sites are smaller.
pub(crate) const MAX_RESERVE: usize = (2 << 30) - (1 << 20);

/// First halfwords.
const BRASL_R14: u16 = 0xc0e5;
const BRCL_NEVER: u16 = 0xc004;
/// First byte of an instruction of two bytes.
const INVALID: u8 = 0;

/// What unused code memory is filled with.
pub(crate) const FILL: u8 = INVALID;

/// A site that is off.
#[cfg(test)]
pub(crate) const OFF_FORM: [u8; SITE_LEN] = [0xc0, 0x04, 0, 0, 0, 0];

/// Whether a site can be made of these bytes: an off form, a call, or NOPs.
pub(crate) fn can_be_site(bytes: &[u8]) -> bool {
    /// `bcr 0`; with other masks it branches or serializes.
    const BCR: u8 = 0x07;
    match *bytes {
        [first, second, _, _, _, _] if first == 0xc0 => {
            [BRASL_R14, BRCL_NEVER].contains(&u16::from_be_bytes([first, second]))
        }
        [BCR, a, BCR, b, BCR, c] => [a, b, c].iter().all(|operands| operands >> 4 == 0),
        _ => false,
    }
}

/// The tail that makes the site ending at `site_end` call `target`; both are offsets in one range of
/// less than 2 GiB. Displacements are in halfwords, from the start of the instruction.
pub(crate) fn tail_for(site_end: usize, target: usize) -> u32 {
    let bytes = target as i64 - (site_end - SITE_LEN) as i64;
    (bytes / 2) as u32
}

/// The code of a function without parameters that returns `value`.
pub(crate) fn function_returning(value: u32) -> [u8; 8] {
    let [a, b, c, d] = value.to_be_bytes();
    [0xc0, 0x2f, a, b, c, d, 0x07, 0xfe] // llilf %r2, value; br %r14
}

/// Replaces the first halfword of the site at `site`, of which one byte is new: the second, or, for a trap,
/// the first. From a trap both are, and either makes of the site what it was or will be.
///
/// # Safety
/// `site` is a site's first byte in a writable view of its code.
pub(crate) unsafe fn write_head(site: *mut u8, head: Head) {
    let halfword = match head {
        Head::On(_) => BRASL_R14,
        Head::Off => BRCL_NEVER,
        // SAFETY: the caller's promise. One byte is stored by one instruction, which the compiler can
        // neither split nor remove.
        Head::Trap => unsafe {
            asm!(
                "mvi 0({site}), {invalid}",
                site = in(reg_addr) site,
                invalid = const INVALID,
                options(nostack, preserves_flags),
            );
            return;
        },
    };
    // SAFETY: as above; sites are aligned to halfwords.
    unsafe {
        asm!(
            "sth {halfword}, 0({site})",
            site = in(reg_addr) site,
            halfword = in(reg) halfword,
            options(nostack, preserves_flags),
        );
    }
}

/// Replaces the last four bytes of the site at `site`.
///
/// # Safety
/// As for [`write_head`]; moreover no thread may execute the site as a call until all have
/// serialized.
pub(crate) unsafe fn write_tail(site: *mut u8, tail: u32) {
    // SAFETY: the caller's promise. The store may be several accesses, as it need not be aligned: a thread
    // that sees some of them executes an instruction that does not mind.
    unsafe {
        asm!(
            "st {tail}, 2({site})",
            site = in(reg_addr) site,
            tail = in(reg) tail,
            options(nostack, preserves_flags),
        );
    }
}

/// The last four bytes of the site at `site`.
///
/// # Safety
/// As for [`write_head`].
pub(crate) unsafe fn read_tail(site: *const u8) -> u32 {
    // SAFETY: the caller's promise; only the holder of the space's lock writes tails.
    unsafe { site.add(2).cast::<u32>().read_unaligned() }
}

/// The end of the site whose trap left a thread at `pc`, if it was one: an invalid instruction of two
/// bytes is passed over before it is reported.
pub(crate) fn site_end_after_trap(pc: usize) -> usize {
    pc.wrapping_add(SITE_LEN - 2)
}

/// What tests put before and after sites to make a function of them.
#[cfg(test)]
pub(crate) mod sample {
    /// `stmg %r14, %r15, 112(%r15)`; `aghi %r15, -160`: calls in sites overwrite `%r14`.
    pub(crate) const START: [u8; 10] = [0xeb, 0xef, 0xf0, 0x70, 0, 0x24, 0xa7, 0xfb, 0xff, 0x60];
    /// `lmg %r14, %r15, 272(%r15)`; `br %r14`
    pub(crate) const END: [u8; 8] = [0xeb, 0xef, 0xf1, 0x10, 0, 0x04, 0x07, 0xfe];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut site = [0xc004u16, 0, 0, 0x0700];
        let start = site.as_mut_ptr().cast::<u8>();
        let tail = tail_for(0x1006, 0x40);
        // SAFETY: a local array stands for the writable view.
        unsafe {
            write_tail(start, tail);
            assert_eq!(site, [0xc004, 0xffff, 0xf820, 0x0700]);
            write_head(start, Head::On(tail));
            assert_eq!(site[0], 0xc0e5);
            write_head(start, Head::Trap);
            assert_eq!(site[0], 0x00e5);
            write_head(start, Head::Off);
            assert_eq!(site[0], 0xc004);
            write_head(start, Head::Trap);
            assert_eq!(site[0], 0x0004);
            write_head(start, Head::On(tail));
            assert_eq!(read_tail(start), tail);
        }
        assert_eq!(site, [0xc0e5, 0xffff, 0xf820, 0x0700]);
    }

    #[test]
    fn the_whole_range_is_in_reach() {
        let last = MAX_RESERVE - 2;
        assert_eq!(tail_for(6, last), 0x3ff7_ffff);
        assert_eq!(tail_for(last + 6, 0), 0xc008_0001);
    }

    #[test]
    fn what_can_be_a_site() {
        for bytes in [
            [0xc0, 0x04, 1, 2, 3, 4],
            [0xc0, 0xe5, 1, 2, 3, 4],
            [0x07, 0x00, 0x07, 0x07, 0x07, 0x0f],
        ] {
            assert!(can_be_site(&bytes), "{bytes:x?}");
        }
        for bytes in [
            [0xc0, 0xf4, 0, 0, 0, 0],
            [0xc0, 0xd5, 0, 0, 0, 0],
            [0x07, 0x00, 0x07, 0xf0, 0x07, 0x00],
            [0x07, 0xe0, 0x07, 0x00, 0x07, 0x00],
            [0; 6],
        ] {
            assert!(!can_be_site(&bytes), "{bytes:x?}");
        }
        assert!(!can_be_site(&[0x07; 4]) && !can_be_site(&[]));
    }
}
