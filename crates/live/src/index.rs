//! From an address to its code and site, without locks: usable from signal handlers.
//!
//! One record per 64-byte line of code space. A line belongs to one piece of code, and a site lies
//! inside one line, so that a bit per byte and the id of the line's first site are enough.

use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::bypass::Route;
use crate::memory::GRANULE;
use crate::os::{Reservation, page_size};
use crate::site::SiteDesc;
use crate::{Result, SiteId};

/// What is known about 64 bytes of code space; all zero means nothing.
#[repr(C)]
struct Line {
    /// A bit for the last byte of each site.
    sites: AtomicU64,
    /// Id of the first of them; the others follow.
    first: AtomicU32,
    /// One more than the line where this line's code starts; zero if the line holds no code.
    code: AtomicU32,
}

/// What is known about the code that starts at a line.
#[repr(C)]
struct Start {
    len: AtomicUsize,
    tag: AtomicUsize,
    /// The branches that lead around its sites, ascending; they stay there until the code is removed.
    routes: AtomicPtr<Route>,
    route_count: AtomicUsize,
}

/// The code that holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// Address of its first byte.
    pub base: usize,
    /// Its length in bytes.
    pub len: usize,
    /// The word given to [`Allocation::tag`](crate::Allocation::tag).
    pub tag: usize,
}

/// The records of one code space. Memory for them is reserved at once and committed along with the
/// code memory they describe.
pub(crate) struct SiteIndex {
    base: usize,
    code_len: usize,
    /// Bytes of code space that have records.
    covered: AtomicUsize,
    lines: Reservation,
    starts: Reservation,
}

impl SiteIndex {
    pub(crate) fn new(base: usize, code_len: usize) -> Result<SiteIndex> {
        let lines = code_len / GRANULE;
        let page = page_size();
        let reserve = |record: usize| Reservation::new((lines * record).next_multiple_of(page));
        Ok(SiteIndex {
            base,
            code_len,
            covered: AtomicUsize::new(0),
            lines: reserve(size_of::<Line>())?,
            starts: reserve(size_of::<Start>())?,
        })
    }

    /// Provides records for code offsets below `end`, a multiple of the code chunk. The caller holds
    /// the space's lock.
    pub(crate) fn cover(&self, end: usize) -> Result<()> {
        let from = self.covered.load(Ordering::Relaxed);
        if end <= from {
            return Ok(());
        }
        let bytes = |offset: usize, record: usize| offset / GRANULE * record;
        for (records, size) in [
            (&self.lines, size_of::<Line>()),
            (&self.starts, size_of::<Start>()),
        ] {
            let (low, high) = (bytes(from, size), bytes(end, size));
            records.commit_data(low, high - low)?;
        }
        self.covered.store(end, Ordering::Release);
        Ok(())
    }

    /// Offset of `address` in the code range, if it lies in it.
    pub(crate) fn offset(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        (offset < self.code_len).then_some(offset)
    }

    /// The address of an offset of the code range.
    pub(crate) fn address(&self, offset: usize) -> usize {
        self.base + offset
    }

    fn line(&self, number: usize) -> Option<&Line> {
        if number * GRANULE >= self.covered.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: records below `covered` are committed, zero-initialized (a valid Line), suitably
        // aligned in a page-aligned array, and stay mapped as long as the index lives.
        Some(unsafe { &*self.lines.base().cast::<Line>().add(number) })
    }

    fn start(&self, number: usize) -> Option<&Start> {
        if number * GRANULE >= self.covered.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: as for `line`.
        Some(unsafe { &*self.starts.base().cast::<Start>().add(number) })
    }

    /// Enters code at `offset` (a multiple of the granule) with its sites, whose ids count up from
    /// `first`.
    pub(crate) fn insert(
        &self,
        offset: usize,
        len: usize,
        tag: usize,
        sites: &[SiteDesc],
        first: u32,
    ) {
        let start_line = offset / GRANULE;
        if let Some(start) = self.start(start_line) {
            start.len.store(len, Ordering::Relaxed);
            start.tag.store(tag, Ordering::Relaxed);
        }
        let mut remaining = sites;
        let mut id = first;
        for relative in 0..len.div_ceil(GRANULE).max(1) {
            let Some(line) = self.line(start_line + relative) else {
                return;
            };
            let line_end = (relative + 1) * GRANULE;
            let here = remaining
                .iter()
                .take_while(|site| site.ret_offset as usize <= line_end)
                .count();
            let (in_line, rest) = remaining.split_at(here);
            remaining = rest;
            let bits = in_line.iter().fold(0u64, |bits, site| {
                bits | 1 << ((site.ret_offset as usize - 1) % GRANULE)
            });
            line.first.store(id, Ordering::Relaxed);
            line.sites.store(bits, Ordering::Release);
            // A line number fits: the range is below 2 GiB.
            line.code.store(start_line as u32 + 1, Ordering::Release);
            id += here as u32;
        }
    }

    /// Enters the branches that lead around sites of the code at `offset`.
    ///
    /// # Safety
    /// They are in ascending order, and stay there until the code is removed.
    pub(crate) unsafe fn insert_routes(&self, offset: usize, routes: &[Route]) {
        if let Some(start) = self.start(offset / GRANULE) {
            let first = routes.as_ptr().cast_mut();
            start.routes.store(first, Ordering::Relaxed);
            start.route_count.store(routes.len(), Ordering::Release);
        }
    }

    /// The branch at `address`, in code that a thread is executing.
    ///
    /// # Safety
    /// The code that holds the address, if there is such, is not removed meanwhile.
    pub(crate) unsafe fn branch_at(&self, address: usize) -> Option<Route> {
        let offset = self.offset(address)?;
        let line = self.line(offset / GRANULE)?;
        let start = line.code.load(Ordering::Acquire).checked_sub(1)?;
        let start = self.start(start as usize)?;
        let count = start.route_count.load(Ordering::Acquire);
        if count == 0 {
            return None;
        }
        let first = start.routes.load(Ordering::Relaxed);
        // SAFETY: entered by `insert_routes`, whose caller keeps them as long as the code is there.
        let all = unsafe { slice::from_raw_parts(first, count) };
        let found = all.binary_search_by_key(&offset, |route| route.branch as usize);
        found.ok().map(|found| all[found])
    }

    /// Forgets code entered before.
    pub(crate) fn remove(&self, offset: usize, len: usize) {
        let start_line = offset / GRANULE;
        if let Some(start) = self.start(start_line) {
            start.route_count.store(0, Ordering::Release);
            start.routes.store(ptr::null_mut(), Ordering::Relaxed);
        }
        for relative in 0..len.div_ceil(GRANULE).max(1) {
            if let Some(line) = self.line(start_line + relative) {
                line.code.store(0, Ordering::Release);
                line.sites.store(0, Ordering::Release);
            }
        }
    }

    /// The site that ends at `address`.
    pub(crate) fn site_ending_at(&self, address: usize) -> Option<SiteId> {
        let last = self.offset(address.wrapping_sub(1))?;
        let line = self.line(last / GRANULE)?;
        let sites = line.sites.load(Ordering::Acquire);
        let bit = 1u64 << (last % GRANULE);
        if sites & bit == 0 {
            return None;
        }
        // There are few: counting them one by one is faster than `count_ones` where that is no instruction.
        let mut before = sites & (bit - 1);
        let mut id = line.first.load(Ordering::Relaxed);
        while before != 0 {
            before &= before - 1;
            id = id.wrapping_add(1);
        }
        Some(SiteId::from_index(id))
    }

    /// The code that holds `address`.
    pub(crate) fn code_at(&self, address: usize) -> Option<CodeInfo> {
        let offset = self.offset(address)?;
        let code = self.line(offset / GRANULE)?.code.load(Ordering::Acquire);
        let start_line = code.checked_sub(1)? as usize;
        let start = self.start(start_line)?;
        let base = start_line * GRANULE;
        let len = start.len.load(Ordering::Relaxed);
        (offset.wrapping_sub(base) < len).then(|| CodeInfo {
            base: self.base + base,
            len,
            tag: start.tag.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x10_0000;

    fn index() -> SiteIndex {
        let index = SiteIndex::new(BASE, 1 << 20).unwrap();
        index.cover(1 << 19).unwrap();
        index
    }

    fn sites(ends: &[u32]) -> Vec<SiteDesc> {
        ends.iter()
            .map(|&ret_offset| SiteDesc { ret_offset, len: 5 })
            .collect()
    }

    #[test]
    fn finds_exactly_the_sites() {
        let index = index();
        let ends = [5, 10, 64, 69, 200];
        index.insert(128, 201, 7, &sites(&ends), 40);
        for address in BASE..BASE + 1024 {
            let expected = ends
                .iter()
                .position(|&end| BASE + 128 + end as usize == address)
                .map(|i| SiteId::from_index(40 + i as u32));
            assert_eq!(index.site_ending_at(address), expected, "{address:#x}");
        }
    }

    #[test]
    fn finds_code_and_its_tag() {
        let index = index();
        index.insert(64, 100, 7, &[], 0);
        index.insert(192, 64, 9, &[], 0);
        let first = CodeInfo {
            base: BASE + 64,
            len: 100,
            tag: 7,
        };
        assert_eq!(index.code_at(BASE + 63), None);
        assert_eq!(index.code_at(BASE + 64), Some(first));
        assert_eq!(index.code_at(BASE + 163), Some(first));
        assert_eq!(index.code_at(BASE + 164), None);
        assert_eq!(index.code_at(BASE + 192).map(|code| code.tag), Some(9));
        index.remove(64, 100);
        assert_eq!(index.code_at(BASE + 64), None);
        assert_eq!(index.code_at(BASE + 192).map(|code| code.tag), Some(9));
    }

    #[test]
    fn any_address_may_be_asked_for() {
        let index = index();
        for address in [
            0,
            1,
            BASE - 1,
            BASE,
            BASE + (1 << 19),
            BASE + (1 << 20),
            usize::MAX,
        ] {
            assert_eq!(index.site_ending_at(address), None);
            assert_eq!(index.code_at(address), None);
        }
    }

    #[test]
    fn removed_sites_are_gone() {
        let index = index();
        index.insert(0, 64, 0, &sites(&[5]), 3);
        assert_eq!(index.site_ending_at(BASE + 5), Some(SiteId::from_index(3)));
        index.remove(0, 64);
        assert_eq!(index.site_ending_at(BASE + 5), None);
    }
}
