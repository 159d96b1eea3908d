//! Which parts of the code range are taken. Pure bookkeeping; no memory is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range as Offsets;

/// The unit of allocation, in bytes: one line, so that a line never holds code of two owners.
pub(crate) const GRANULE: usize = 64;

/// Best-fit allocation of granules, with neighbours joined when freed.
pub(crate) struct RangeAllocator {
    /// Granules in the range.
    limit: u32,
    /// Granules from here up have never been allocated.
    top: u32,
    /// Free ranges below `top`: start to length.
    by_start: BTreeMap<u32, u32>,
    /// The same ranges as (length, start).
    by_len: BTreeSet<(u32, u32)>,
}

/// An allocated range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First granule.
    pub(crate) start: u32,
    /// Granules.
    pub(crate) len: u32,
    /// Whether part of it may have held code before.
    pub(crate) recycled: bool,
}

impl Range {
    pub(crate) fn offset(&self) -> usize {
        self.start as usize * GRANULE
    }

    pub(crate) fn bytes(&self) -> usize {
        self.len as usize * GRANULE
    }
}

impl RangeAllocator {
    pub(crate) fn new(bytes: usize) -> RangeAllocator {
        RangeAllocator {
            limit: u32::try_from(bytes / GRANULE).unwrap_or(u32::MAX),
            top: 0,
            by_start: BTreeMap::new(),
            by_len: BTreeSet::new(),
        }
    }

    /// Takes room for `bytes` (at least one granule), aligned to `align` bytes, a power of two.
    pub(crate) fn allocate(&mut self, bytes: usize, align: usize) -> Option<Range> {
        let len = u32::try_from(bytes.div_ceil(GRANULE).max(1)).ok()?;
        let align = u32::try_from((align / GRANULE).max(1)).ok()?;
        self.take_free(len, align)
            .or_else(|| self.take_top(len, align))
    }

    /// Takes the first room for `bytes` (at least one granule) that starts at one of the given offsets.
    pub(crate) fn allocate_at(&mut self, bytes: usize, starts: Offsets<usize>) -> Option<Range> {
        let len = u32::try_from(bytes.div_ceil(GRANULE).max(1)).ok()?;
        let first = u32::try_from(starts.start.div_ceil(GRANULE)).ok()?;
        let last = u32::try_from(starts.end.checked_sub(1)? / GRANULE).ok()?;
        if first > last {
            return None;
        }
        let before = self.by_start.range(..first).next_back();
        let free = before.into_iter().chain(self.by_start.range(first..=last));
        let fits = |(&start, &free): (&u32, &u32)| {
            let at = start.max(first);
            (at <= last && at + len <= start + free).then_some((start, free, at))
        };
        if let Some((start, free, at)) = free.filter_map(fits).next() {
            self.cut(start, free, at, len);
            return Some(Range {
                start: at,
                len,
                recycled: true,
            });
        }
        let start = self.top.max(first);
        (start <= last)
            .then(|| self.take_top_from(start, len))
            .flatten()
    }

    fn take_free(&mut self, len: u32, align: u32) -> Option<Range> {
        // The first few candidates may fit by luck of their alignment; any of `roomy` does for sure.
        const TRIES: usize = 8;
        let roomy = len.checked_add(align - 1)?;
        let fits = |&(free, start): &(u32, u32)| {
            let aligned = start.next_multiple_of(align);
            aligned - start + len <= free
        };
        let (free, start) = self
            .by_len
            .range((len, 0)..)
            .take(TRIES)
            .find(|candidate| fits(candidate))
            .or_else(|| self.by_len.range((roomy, 0)..).next())
            .copied()?;
        let aligned = start.next_multiple_of(align);
        self.cut(start, free, aligned, len);
        Some(Range {
            start: aligned,
            len,
            recycled: true,
        })
    }

    /// Takes a part out of a free range.
    fn cut(&mut self, start: u32, free: u32, at: u32, len: u32) {
        self.remove(start, free);
        self.insert(start, at - start);
        self.insert(at + len, start + free - (at + len));
    }

    fn take_top(&mut self, len: u32, align: u32) -> Option<Range> {
        let start = self.top.checked_next_multiple_of(align)?;
        self.take_top_from(start, len)
    }

    /// Takes what was never allocated, from a granule on that is not below `top`.
    fn take_top_from(&mut self, start: u32, len: u32) -> Option<Range> {
        let end = start.checked_add(len).filter(|&end| end <= self.limit)?;
        let gap = start - self.top;
        let old_top = self.top;
        self.top = end;
        self.release(old_top, gap);
        Some(Range {
            start,
            len,
            recycled: false,
        })
    }

    /// Gives a range back.
    pub(crate) fn free(&mut self, range: Range) {
        self.release(range.start, range.len);
    }

    fn release(&mut self, mut start: u32, mut len: u32) {
        if len == 0 {
            return;
        }
        if let Some((&before, &before_len)) = self.by_start.range(..start).next_back()
            && before + before_len == start
        {
            self.remove(before, before_len);
            start = before;
            len += before_len;
        }
        if let Some(&after_len) = self.by_start.get(&(start + len)) {
            self.remove(start + len, after_len);
            len += after_len;
        }
        self.insert(start, len);
    }

    fn insert(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.by_start.insert(start, len);
            self.by_len.insert((len, start));
        }
    }

    fn remove(&mut self, start: u32, len: u32) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_aligned_and_disjoint() {
        let mut ranges = RangeAllocator::new(1 << 20);
        let mut taken: Vec<Range> = Vec::new();
        for (bytes, align) in [
            (1, 64),
            (100, 4096),
            (64, 64),
            (5000, 256),
            (3, 1024),
            (64, 64),
        ] {
            let range = ranges.allocate(bytes, align).unwrap();
            assert_eq!(range.offset() % align, 0);
            assert!(range.bytes() >= bytes);
            for other in &taken {
                let apart = range.start + range.len <= other.start
                    || other.start + other.len <= range.start;
                assert!(apart, "{range:?} overlaps {other:?}");
            }
            taken.push(range);
        }
    }

    #[test]
    fn freed_neighbours_join_and_are_reused() {
        let mut ranges = RangeAllocator::new(64 * 8);
        let all: Vec<Range> = (0..8).map(|_| ranges.allocate(64, 64).unwrap()).collect();
        assert!(ranges.allocate(64, 64).is_none());
        assert!(all.iter().all(|range| !range.recycled));
        for i in [3, 5, 4] {
            ranges.free(all[i]);
        }
        let joined = ranges.allocate(64 * 3, 64).unwrap();
        assert_eq!((joined.start, joined.len, joined.recycled), (3, 3, true));
        assert!(ranges.allocate(64, 64).is_none());
    }

    #[test]
    fn alignment_gaps_are_not_lost() {
        let mut ranges = RangeAllocator::new(64 * 16);
        ranges.allocate(64, 64).unwrap();
        let aligned = ranges.allocate(64, 512).unwrap();
        assert_eq!(aligned.start, 8);
        let gap = ranges.allocate(64 * 7, 64).unwrap();
        assert_eq!((gap.start, gap.len), (1, 7));
    }

    #[test]
    fn the_first_room_in_a_window_is_taken() {
        let mut ranges = RangeAllocator::new(64 * 16);
        let all: Vec<Range> = (0..8).map(|_| ranges.allocate(64, 64).unwrap()).collect();
        let at = |ranges: &mut RangeAllocator, bytes, starts| {
            let range = ranges.allocate_at(bytes, starts);
            range.map(|range| (range.start, range.len, range.recycled))
        };
        assert_eq!(at(&mut ranges, 1, 0..512), None);
        for i in [2, 3, 4, 6] {
            ranges.free(all[i]);
        }
        // In the middle of a free range.
        assert_eq!(at(&mut ranges, 64, 129..512), Some((3, 1, true)));
        assert_eq!(at(&mut ranges, 128, 0..512), None);
        assert_eq!(at(&mut ranges, 64, 192..512), Some((4, 1, true)));
        assert_eq!(at(&mut ranges, 64, 0..128), None);
        assert_eq!(at(&mut ranges, 64, 0..129), Some((2, 1, true)));
        // Above everything, and what is left out there is free.
        assert_eq!(at(&mut ranges, 128, 385..513), Some((8, 2, false)));
        assert_eq!(at(&mut ranges, 64, 768..769), Some((12, 1, false)));
        assert_eq!(at(&mut ranges, 64, 600..700), Some((10, 1, true)));
        assert_eq!(at(&mut ranges, 64 * 4, 0..1024), None);
        assert_eq!(at(&mut ranges, 64, 5..5), None);
    }

    #[test]
    fn refuses_what_cannot_fit() {
        let mut ranges = RangeAllocator::new(4096);
        assert!(ranges.allocate(4097, 64).is_none());
        assert!(ranges.allocate(usize::MAX, 64).is_none());
        assert!(ranges.allocate(4096, 64).is_some());
    }
}
