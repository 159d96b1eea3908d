//! Islands: what a site calls, since no call in one word reaches all stubs.
//!
//! Each site has one of its own as long as its code is published, at a fixed distance. It goes on to the
//! address in its last word, which is data: so that a thread between two of its instructions goes to the
//! old or to the new stub, never to a mixture, as it would if the address were in the instructions.
//!
//! The word that is changed in a site is `jal` where that reaches the island, else the `jalr` behind an
//! `auipc` that is written when the code is published and not changed any more. Only sites of 8 bytes have
//! room for that.
//!
//! An island makes the stack frame in which stubs save registers, and gives up `t2`, which it saves:
//!
//! | from the stack pointer | |
//! |---|---|
//! | 24, 16 | free; in call stubs, the frame record: `ra`, `s0` |
//! | 8 | free for `t1` |
//! | 0 | `t2` at the site |

use std::sync::atomic::{AtomicU64, Ordering};

use super::inst::{
    JAL_REACH, NOP, RA, T2, Writer, auipc, c_addi16sp, c_jr, c_sdsp, jal, jalr, split,
};
use super::site::SITE_LEN;

/// Bytes from one island to the next.
pub(crate) const ISLAND_SIZE: usize = 24;
/// Where in an island the address is.
const TARGET: usize = 16;
/// Where it goes on to before it has led to a stub: zeros, as an illegal instruction.
const NOWHERE: usize = 14;
/// Bytes of the frame.
pub(super) const FRAME: usize = 32;

/// Bytes from the word of a site to its island.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link(i32);

/// The link of a site whose word is at one offset of the range to the island at another.
pub(crate) fn link(site: usize, island: usize) -> Link {
    Link(island.wrapping_sub(site) as i32)
}

/// How far a site of this length may be from its island.
pub(crate) fn reach(len: u8) -> usize {
    match usize::from(len) {
        SITE_LEN => JAL_REACH - 2,
        _ => usize::MAX,
    }
}

impl Link {
    fn in_jal_reach(self) -> bool {
        let reach = JAL_REACH as i32;
        (-reach..reach).contains(&self.0)
    }

    /// What `auipc` in front of the site's word and the word itself add up to.
    fn halves(self) -> (u32, u32) {
        split(i64::from(self.0) + SITE_LEN as i64)
    }

    /// The call in the site.
    pub(super) fn call(self) -> u32 {
        match self.in_jal_reach() {
            true => jal(RA, self.0),
            false => jalr(RA, RA, self.halves().1),
        }
    }

    /// Offsets from the site's word between which something is written to change the site.
    pub(crate) fn extent(self) -> (isize, isize) {
        let island = self.0 as isize;
        let end = island + ISLAND_SIZE as isize;
        (island.min(0), end.max(SITE_LEN as isize))
    }
}

/// Writes what precedes the word of a site of the given length, if that is part of the site.
///
/// # Safety
/// `site` is the word of such a site in a writable view of its code, which nobody executes.
pub(crate) unsafe fn write_link(site: *mut u8, len: u8, link: Link) {
    if usize::from(len) == SITE_LEN {
        return;
    }
    let word = match link.in_jal_reach() {
        true => NOP,
        false => auipc(RA, link.halves().0),
    };
    // SAFETY: the caller's promise: the first half of the site is in front of its word.
    unsafe { site.cast::<u32>().sub(1).write(word) };
}

/// Islands that will run at `at`.
pub(crate) fn write_islands(at: usize, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count * ISLAND_SIZE];
    for (number, island) in bytes.chunks_exact_mut(ISLAND_SIZE).enumerate() {
        let at = at + number * ISLAND_SIZE;
        let mut writer = Writer::new(at, island);
        writer.half(c_addi16sp(-(FRAME as i32)));
        writer.half(c_sdsp(T2, 0));
        writer.load(T2, at + TARGET);
        writer.half(c_jr(T2));
        island[TARGET..].copy_from_slice(&(at + NOWHERE).to_le_bytes());
    }
    bytes
}

/// The address in an island.
pub(super) struct Target(*mut u64);

/// The address in the island of a site.
///
/// # Safety
/// `site` is the word of a site in a view of its code, and `link` its link.
pub(super) unsafe fn target(site: *mut u8, link: Link) -> Target {
    Target(
        site.wrapping_offset(link.0 as isize + TARGET as isize)
            .cast(),
    )
}

impl Target {
    pub(super) fn load(self) -> usize {
        // SAFETY: by the promise made to `target`, an aligned word of mapped memory that is only accessed
        // atomically.
        unsafe { AtomicU64::from_ptr(self.0) }.load(Ordering::Relaxed) as usize
    }

    /// A release: a thread that goes there also sees what was stored before for what is there.
    pub(super) fn store(self, address: usize) {
        // SAFETY: as for `load`, in a writable view.
        unsafe { AtomicU64::from_ptr(self.0) }.store(address as u64, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_island_jumps_to_the_address_in_it() {
        let islands = write_islands(0x1000, 2);
        let halves: Vec<u16> = islands
            .as_chunks()
            .0
            .iter()
            .map(|h| u16::from_le_bytes(*h))
            .collect();
        let expected = [
            0x713d, // addi sp, sp, -32
            0xe01e, // sd t2, 0(sp)
            0x0397, 0x0000, // auipc t2, 0
            0xb383, 0x00c3, // ld t2, 12(t2)
            0x8382, // jr t2
            0x0000, // illegal
            0x100e, 0, 0, 0,
        ];
        assert_eq!(halves[..12], expected);
        assert_eq!(halves[12..20], expected[..8]);
        assert_eq!(halves[20], 0x1026);
    }

    #[test]
    fn sites_call_their_islands() {
        let mut site = [0u32; 2];
        for (island, first, call) in [
            (0x2000, NOP, 0x7fd0_00ef),                     // jal ra, .+0xffc
            (0x1004 + 0xf_fffe, NOP, 0x7fff_f0ef),          // jal ra, .+0xffffe
            (0x1004 + 0x10_0000, 0x0010_0097, 0x0040_80e7), // auipc ra, 256; jalr ra, 4(ra)
            (0x1004 + 0x10_07fc, 0x0010_1097, 0x8000_80e7), // auipc ra, 257; jalr ra, -2048(ra)
        ] {
            let link = link(0x1004, island);
            // SAFETY: a local array stands for the writable view.
            unsafe { write_link(site[1..].as_mut_ptr().cast(), 8, link) };
            assert_eq!([site[0], link.call()], [first, call]);
        }
        let back = link(0x1004 + 0x20_0000, 0x1000);
        assert_eq!(back.halves(), (0xf_fe00, 0));
        assert_eq!(back.extent(), (-0x20_0004, 4));
        assert_eq!(link(0, 8).extent(), (0, 32));
        assert!(reach(4) < JAL_REACH && reach(8) == usize::MAX);
    }
}
