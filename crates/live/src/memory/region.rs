//! The reserved range and what is mapped in it.
//!
//! The front holds code, mapped for execution only, whose pages are mapped a second time for
//! writing somewhere else; the rear holds hook data, never executable. No page is both writable and
//! executable through one mapping.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Result;
use crate::error::Error;
use crate::os::{CodeFile, Protection, Reservation, page_size};

/// Code memory is mapped this many bytes at a time.
pub(crate) const CODE_CHUNK: usize = 1 << 20;
const DATA_CHUNK: usize = 64 << 10;

/// The address space of one code space.
pub(crate) struct Region {
    /// Code at `[0, code_len)`, data at `[code_len, len)`.
    main: Reservation,
    /// The writable view of the code, at the same offsets.
    alias: Reservation,
    file: CodeFile,
    code_len: usize,
    /// Bytes of code mapped so far. Grows under the space's lock; read from anywhere.
    code_committed: AtomicUsize,
    /// Bytes of data mapped so far. Only used under the space's lock.
    data_committed: AtomicUsize,
}

impl Region {
    pub(crate) fn new(reserve: usize) -> Result<Region> {
        let reserve = reserve.next_multiple_of(page_size());
        let code_len = (reserve / 8 * 7) & !(CODE_CHUNK - 1);
        let region = Region {
            main: Reservation::new(reserve)?,
            alias: Reservation::new(code_len)?,
            file: CodeFile::new()?,
            code_len,
            code_committed: AtomicUsize::new(0),
            data_committed: AtomicUsize::new(0),
        };
        // Mapping the first chunk at once finds out whether the system allows it at all.
        region.commit_code(CODE_CHUNK)?;
        Ok(region)
    }

    /// Address the range starts at.
    pub(crate) fn base(&self) -> usize {
        self.main.base() as usize
    }

    /// Bytes reserved.
    pub(crate) fn len(&self) -> usize {
        self.main.len()
    }

    /// Bytes of the range that can hold code.
    pub(crate) fn code_len(&self) -> usize {
        self.code_len
    }

    /// Bytes of code mapped so far.
    pub(crate) fn code_committed(&self) -> usize {
        self.code_committed.load(Ordering::Acquire)
    }

    /// Maps code memory up to offset `end`. The caller holds the space's lock.
    pub(crate) fn commit_code(&self, end: usize) -> Result<()> {
        let from = self.code_committed();
        if end <= from {
            return Ok(());
        }
        let to = end.next_multiple_of(CODE_CHUNK).min(self.code_len);
        self.file.grow(to)?;
        let len = to - from;
        self.alias
            .map_file(from, len, &self.file, Protection::Write)?;
        self.main
            .map_file(from, len, &self.file, Protection::Execute)?;
        self.code_committed.store(to, Ordering::Release);
        Ok(())
    }

    /// Maps data memory up to `end` bytes of data. The caller holds the space's lock.
    pub(crate) fn commit_data(&self, end: usize) -> Result<()> {
        let from = self.data_committed.load(Ordering::Relaxed);
        if end <= from {
            return Ok(());
        }
        let capacity = self.main.len() - self.code_len;
        let to = end.next_multiple_of(DATA_CHUNK).min(capacity);
        if end > to {
            return Err(Error::DataSpaceFull);
        }
        self.main.commit_data(self.code_len + from, to - from)?;
        self.data_committed.store(to, Ordering::Relaxed);
        Ok(())
    }

    /// The writable view of the code byte at `offset`.
    pub(crate) fn writable(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.code_committed());
        self.alias.base().wrapping_add(offset)
    }

    /// The data byte at `offset`, counted from the start of the data.
    pub(crate) fn data(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.data_committed.load(Ordering::Relaxed));
        self.main.base().wrapping_add(self.code_len + offset)
    }

    /// What a forked child does instead of dropping the region; see [`Reservation::abandon`].
    pub(crate) fn abandon(&mut self) {
        self.main.abandon();
        self.alias.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The permissions of every mapping that overlaps `[start, start + len)`.
    fn permissions(start: usize, len: usize) -> Vec<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let overlapping = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let from = usize::from_str_radix(from, 16).ok()?;
            let to = usize::from_str_radix(to, 16).ok()?;
            (from < start + len && start < to).then(|| rest[..4].to_string())
        });
        overlapping.collect()
    }

    #[test]
    fn no_mapping_is_writable_and_executable() {
        let region = Region::new(16 << 20).unwrap();
        region.commit_code(3 << 20).unwrap();
        region.commit_data(100_000).unwrap();
        let main = permissions(region.base(), region.len());
        assert_eq!(main, ["r-xs", "---p", "rw-p", "---p"]);
        let alias = permissions(region.writable(0) as usize, region.code_len());
        assert_eq!(alias, ["rw-s", "---p"]);
    }

    #[test]
    fn both_views_show_the_same_bytes() {
        let region = Region::new(16 << 20).unwrap();
        let offset = CODE_CHUNK + 77;
        region.commit_code(2 * CODE_CHUNK).unwrap();
        // SAFETY: the offset was committed just above, and nobody else uses the region.
        unsafe { region.writable(offset).write_volatile(0x5a) };
        // SAFETY: as above.
        let seen = unsafe { ((region.base() + offset) as *const u8).read_volatile() };
        assert_eq!(seen, 0x5a);
    }

    #[test]
    fn data_beyond_the_reservation_is_refused() {
        let region = Region::new(16 << 20).unwrap();
        let capacity = region.len() - region.code_len();
        assert!(region.commit_data(capacity).is_ok());
        assert!(matches!(
            region.commit_data(capacity + 1),
            Err(Error::DataSpaceFull)
        ));
    }
}
