//! Site ids and descriptions.

use std::fmt;

use crate::error::{Error, Result, SiteDefect};
use crate::isa;

/// A patch site of a code space: a small number, never given to another site of the same space.
///
/// The ids of one [`Code`](crate::Code) are consecutive, in the order of its descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(u32);

impl SiteId {
    /// The id with this number.
    pub const fn from_index(index: u32) -> SiteId {
        SiteId(index)
    }

    /// The id's number.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {}", self.0)
    }
}

/// Where a site lies in the code that is being published: the bytes
/// `[ret_offset - len, ret_offset)`. Whatever they hold, the site is off once the code is published.
///
/// On x86-64 a site has 5 bytes, anywhere, and they hold one of
/// - `cmp eax, imm32` (`3D`) or `test eax, imm32` (`A9`), which do nothing but set flags;
/// - `call rel32` (`E8`): to keep its target as a hook, see
///   [`CodeSpace::code_hook`](crate::CodeSpace::code_hook);
/// - a NOP of 5 bytes, or five of 1 byte.
///
/// On AArch64 it has 4 bytes, aligned: `nop` (`D503201F`) or `bl`.
///
/// On RISC-V it has 4 or 8 bytes, aligned to 4, and they hold one of
/// - `jal ra`, or `lui x0` in its place;
/// - `auipc ra` and `jalr ra, (ra)`, or `addi x0, ra` in place of the latter;
/// - NOPs, two of them for each that is compressed.
///
/// Those of 4 bytes must be less than 1 MiB from free memory of the space when they are published:
/// [`SiteDefect::OutOfReach`].
///
/// On s390x it has 6 bytes, aligned to 2: `brcl 0` (`C004`) with any displacement, `brasl %r14` (`C0E5`), or three
/// NOPs of 2 bytes (`bcr 0`).
///
/// On x86-64, the code around it must not need the flags from before the site after it: a site that is off sets
/// them, also where there was a NOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteDesc {
    /// Offset of the first byte after the site: where a call in it would return to.
    pub ret_offset: u32,
    /// Length of the site in bytes.
    pub len: u8,
}

/// Checks that every description fits `bytes`, in ascending order.
pub(crate) fn check(bytes: &[u8], sites: &[SiteDesc]) -> Result<()> {
    let mut previous_end = 0;
    for (index, site) in sites.iter().enumerate() {
        check_one(bytes, site, previous_end).map_err(|defect| Error::BadSite {
            index,
            ret_offset: site.ret_offset,
            defect,
        })?;
        previous_end = site.ret_offset as usize;
    }
    Ok(())
}

fn check_one(bytes: &[u8], site: &SiteDesc, previous_end: usize) -> Result<(), SiteDefect> {
    let len = usize::from(site.len);
    if !isa::SITE_LENS.contains(&len) {
        return Err(SiteDefect::Length);
    }
    let end = site.ret_offset as usize;
    let start = end.checked_sub(len).ok_or(SiteDefect::OutOfRange)?;
    let region = bytes.get(start..end).ok_or(SiteDefect::OutOfRange)?;
    if start < previous_end {
        return Err(SiteDefect::Overlap);
    }
    if !start.is_multiple_of(isa::SITE_ALIGN) {
        return Err(SiteDefect::Misaligned);
    }
    if !isa::can_be_site(region) {
        return Err(SiteDefect::Bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u32 = isa::SITE_LEN as u32;

    /// 128 bytes that are no sites, with off forms at the given starts.
    fn code(starts: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0x90; 128];
        for &start in starts {
            bytes[start as usize..][..isa::SITE_LEN].copy_from_slice(&isa::OFF_FORM);
        }
        bytes
    }

    fn defect(bytes: &[u8], sites: &[(u32, u32)]) -> Option<(usize, SiteDefect)> {
        let sites: Vec<SiteDesc> = sites
            .iter()
            .map(|&(ret_offset, len)| SiteDesc {
                ret_offset,
                len: len as u8,
            })
            .collect();
        match check(bytes, &sites) {
            Ok(()) => None,
            Err(Error::BadSite { index, defect, .. }) => Some((index, defect)),
            Err(other) => panic!("unexpected {other}"),
        }
    }

    #[test]
    fn accepts_adjacent_sites_also_across_lines() {
        assert_eq!(
            defect(
                &code(&[0, LEN, 64 - LEN]),
                &[(LEN, LEN), (2 * LEN, LEN), (64, LEN)]
            ),
            None
        );
        assert_eq!(defect(&code(&[128 - LEN]), &[(128, LEN)]), None);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(defect(&code(&[62, 123]), &[(67, 5), (128, 5)]), None);
    }

    #[test]
    fn names_each_defect() {
        use SiteDefect::{Bytes, Length, Misaligned, OutOfRange, Overlap};
        let mut bytes = code(&[0, 20, 67]);
        bytes[36..40].fill(0xff);
        let first = (LEN, LEN);
        assert_eq!(defect(&bytes, &[(LEN - 1, LEN)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[(129, LEN)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[(u32::MAX, LEN)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[first, (LEN + 3, LEN)]), Some((1, Overlap)));
        assert_eq!(
            defect(&bytes, &[(20 + LEN, LEN), first]),
            Some((1, Overlap))
        );
        if isa::SITE_ALIGN > 1 {
            assert_eq!(defect(&bytes, &[(67 + LEN, LEN)]), Some((0, Misaligned)));
        }
        assert_eq!(defect(&bytes, &[(LEN, LEN - 1)]), Some((0, Length)));
        assert_eq!(defect(&bytes, &[(LEN, 0)]), Some((0, Length)));
        assert_eq!(defect(&bytes, &[first, (40, LEN)]), Some((1, Bytes)));
    }
}
