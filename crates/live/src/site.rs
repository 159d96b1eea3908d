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
/// The code around it must not need the flags from before the site after it: a site that is off sets
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
    if len != isa::SITE_LEN {
        return Err(SiteDefect::Length);
    }
    let end = site.ret_offset as usize;
    let start = end.checked_sub(len).ok_or(SiteDefect::OutOfRange)?;
    let region = bytes.get(start..end).ok_or(SiteDefect::OutOfRange)?;
    if start < previous_end {
        return Err(SiteDefect::Overlap);
    }
    if !isa::can_be_site(region) {
        return Err(SiteDefect::Bytes);
    }
    Ok(())
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// 128 bytes of NOPs with off forms at the given starts.
    fn code(starts: &[usize]) -> Vec<u8> {
        let mut bytes = vec![0x90; 128];
        for &start in starts {
            bytes[start..start + 5].copy_from_slice(&[0x3d, 0, 0, 0, 0]);
        }
        bytes
    }

    fn defect(bytes: &[u8], sites: &[(u32, u8)]) -> Option<(usize, SiteDefect)> {
        let sites: Vec<SiteDesc> = sites
            .iter()
            .map(|&(ret_offset, len)| SiteDesc { ret_offset, len })
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
            defect(&code(&[0, 5, 59]), &[(5, 5), (10, 5), (64, 5)]),
            None
        );
        assert_eq!(defect(&code(&[62, 123]), &[(67, 5), (128, 5)]), None);
    }

    #[test]
    fn names_each_defect() {
        use SiteDefect::{Bytes, Length, OutOfRange, Overlap};
        let bytes = code(&[0, 20]);
        assert_eq!(defect(&bytes, &[(4, 5)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[(129, 5)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[(u32::MAX, 5)]), Some((0, OutOfRange)));
        assert_eq!(defect(&bytes, &[(5, 5), (8, 5)]), Some((1, Overlap)));
        assert_eq!(defect(&bytes, &[(25, 5), (5, 5)]), Some((1, Overlap)));
        assert_eq!(defect(&bytes, &[(5, 4)]), Some((0, Length)));
        assert_eq!(defect(&bytes, &[(5, 0)]), Some((0, Length)));
        assert_eq!(defect(&bytes, &[(5, 5), (23, 5)]), Some((1, Bytes)));
    }
}
