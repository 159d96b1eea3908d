//! The reserved range, what is mapped in it, and how code in it is written.
//!
//! The front holds code, mapped for execution; the rear holds hook data, never executable. No page is
//! both writable and executable through one mapping. Code is written in one of two ways:
//!
//! - *dual*: its pages are those of a file, mapped a second time for writing somewhere else, all the
//!   time or only while something is written;
//! - *single*: the pages lose the permission to execute while they are written; threads that run
//!   into them wait (`gate.rs`).

use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Gate;
use crate::error::Error;
use crate::os::{CodeFile, Protection, Reservation, SignalMask, page_size};
use crate::protocol::{Broadcast, Broadcaster};
use crate::{MemoryMode, Result, isa};

/// Code memory is mapped this many bytes at a time.
pub(crate) const CODE_CHUNK: usize = 1 << 20;
const DATA_CHUNK: usize = 64 << 10;

/// The address space of one code space.
pub(crate) struct Region {
    /// Code at `[0, code_len)`, data at `[code_len, len)`.
    main: Reservation,
    alias: Option<Alias>,
    gate: Arc<Gate>,
    /// Held while code is written, where that takes more than a store.
    writer: Mutex<()>,
    code_len: usize,
    /// Bytes of data mapped so far. Only used under the space's lock.
    data_committed: AtomicUsize,
}

/// A second view of the code, for writing, at the same offsets.
struct Alias {
    view: Reservation,
    file: CodeFile,
    /// Whether the view is only mapped while something is written.
    hidden: bool,
}

impl Region {
    /// Reserves memory and finds out whether it works: in the given mode, or in the first that does.
    pub(crate) fn new(reserve: usize, mode: Option<MemoryMode>, hidden: bool) -> Result<Region> {
        let with = |mode| {
            let region = Region::reserve(reserve, mode, hidden)?;
            region.probe()?;
            Ok(region)
        };
        match mode {
            Some(mode) => with(mode),
            None => with(MemoryMode::Dual).or_else(|dual| {
                with(MemoryMode::Single).map_err(|single| Error::NoCodeMemory {
                    dual: Box::new(dual),
                    single: Box::new(single),
                })
            }),
        }
    }

    fn reserve(reserve: usize, mode: MemoryMode, hidden: bool) -> Result<Region> {
        let reserve = reserve.next_multiple_of(page_size());
        let code_len = (reserve / 8 * 7) & !(CODE_CHUNK - 1);
        let main = Reservation::new(reserve)?;
        let alias = match mode {
            MemoryMode::Dual => Some(Alias {
                view: Reservation::new(code_len)?,
                file: CodeFile::new()?,
                hidden,
            }),
            MemoryMode::Single => None,
        };
        let region = Region {
            gate: Arc::new(Gate::new(main.base() as usize)),
            main,
            alias,
            writer: Mutex::new(()),
            code_len,
            data_committed: AtomicUsize::new(0),
        };
        region.commit_code(CODE_CHUNK)?;
        Ok(region)
    }

    /// Writes a function, runs it, changes it, and runs it again: user-mode emulators may accept a
    /// second mapping and not see what is written through it.
    fn probe(&self) -> Result<()> {
        for value in [1, 2] {
            self.write_at_start(&isa::function_returning(value))?;
            // SAFETY: a function of this type was just written there, and nobody else knows of it.
            let function: extern "C" fn() -> u32 = unsafe { std::mem::transmute(self.main.base()) };
            if function() != value {
                return Err(Error::Unsupported(
                    "code that is written through a second mapping: the old code keeps running",
                ));
            }
        }
        self.write_at_start(&isa::function_returning(0).map(|_| isa::FILL))
    }

    fn write_at_start(&self, bytes: &[u8]) -> Result<()> {
        let writing = self.write(|| 0..bytes.len())?;
        let target = writing.view();
        // SAFETY: the first chunk is committed and open for writing; nobody else uses the region.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the same bytes at the address where they are executed.
        unsafe { nopal_icache::clear_cache(self.main.base() as *const c_void, bytes.len())? };
        writing.finish()?;
        Ok(nopal_icache::sync_core_mt()?)
    }

    /// How code is written.
    pub(crate) fn mode(&self) -> MemoryMode {
        match self.alias {
            Some(_) => MemoryMode::Dual,
            None => MemoryMode::Single,
        }
    }

    /// What threads have to pass that fault in the code.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
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
        self.gate.committed()
    }

    /// Maps code memory up to offset `end`. The caller holds the space's lock.
    pub(crate) fn commit_code(&self, end: usize) -> Result<()> {
        let from = self.code_committed();
        if end <= from {
            return Ok(());
        }
        let to = end.next_multiple_of(CODE_CHUNK).min(self.code_len);
        let len = to - from;
        match &self.alias {
            Some(alias) => {
                alias.file.grow(to)?;
                if !alias.hidden {
                    let view = &alias.view;
                    view.map_file(from, len, &alias.file, Protection::Write)?;
                }
                self.main
                    .map_file(from, len, &alias.file, Protection::Execute)?;
            }
            None => self.main.commit_code(from, len)?,
        }
        self.gate.set_committed(to);
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

    /// The writable view, if it is always there.
    #[inline]
    pub(crate) fn always_writable(&self) -> Option<*mut u8> {
        let alias = self.alias.as_ref().filter(|alias| !alias.hidden)?;
        Some(alias.view.base())
    }

    /// Opens code for writing: `bytes` tells which, if it matters, and they must be committed. Blocks
    /// while others write, unless that takes nothing but stores.
    #[inline]
    pub(crate) fn write(&self, bytes: impl FnOnce() -> Range<usize>) -> Result<Writing<'_>> {
        if let Some(view) = self.always_writable() {
            return Ok(Writing { view, opened: None });
        }
        let view = (self.alias.as_ref()).map_or(&self.main, |alias| &alias.view);
        Ok(Writing {
            view: view.base(),
            opened: Some(self.open(bytes())?),
        })
    }

    /// Opens the pages of [`write`](Self::write).
    #[inline(never)]
    fn open(&self, bytes: Range<usize>) -> Result<Box<Opened<'_>>> {
        debug_assert!(bytes.start <= bytes.end && bytes.end <= self.code_committed());
        let page = page_size();
        let offset = bytes.start & !(page - 1);
        let mask = self.alias.is_none().then(SignalMask::block);
        let mut opened = Box::new(Opened {
            region: self,
            offset,
            len: bytes.end.next_multiple_of(page) - offset,
            open: false,
            _turn: self.take_turn(),
            _mask: mask,
        });
        match &self.alias {
            Some(Alias { view, file, .. }) => {
                view.map_file(offset, opened.len, file, Protection::Write)?;
                opened.open = true;
            }
            None => {
                self.gate.shut();
                opened.open = true;
                let main = &self.main;
                main.protect(offset, opened.len, Protection::Write)?;
                // From here on nobody executes what was fetched before.
                Broadcaster::default().broadcast()?;
            }
        }
        Ok(opened)
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data byte at `offset`, counted from the start of the data.
    pub(crate) fn data(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.data_committed.load(Ordering::Relaxed));
        self.main.base().wrapping_add(self.code_len + offset)
    }

    /// What a forked child does instead of dropping the region; see [`Reservation::abandon`].
    pub(crate) fn abandon(&mut self) {
        self.main.abandon();
        if let Some(alias) = &mut self.alias {
            alias.view.abandon();
        }
    }
}

/// Code that is open for writing.
pub(crate) struct Writing<'r> {
    view: *mut u8,
    /// What had to be done for it.
    opened: Option<Box<Opened<'r>>>,
}

impl Writing<'_> {
    /// The writable view: the code byte at an offset is that many bytes from here.
    pub(crate) fn view(&self) -> *mut u8 {
        self.view
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// The system does not give the mapping back that was there before.
    #[inline]
    pub(crate) fn finish(self) -> Result<()> {
        match self.opened {
            Some(mut opened) => opened.close(),
            None => Ok(()),
        }
    }
}

/// Pages that are open for writing; others wait, and so do signals whose handlers might run into the code.
struct Opened<'r> {
    region: &'r Region,
    offset: usize,
    len: usize,
    /// Whether there is something to be undone.
    open: bool,
    // In this order: signals that were kept off may need the lock.
    _turn: MutexGuard<'r, ()>,
    _mask: Option<SignalMask>,
}

impl Opened<'_> {
    fn close(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        match &self.region.alias {
            Some(alias) => alias.view.hide(self.offset, self.len),
            None => {
                let main = &self.region.main;
                let outcome = main.protect(self.offset, self.len, Protection::Execute);
                self.region.gate.open(outcome.is_ok());
                outcome
            }
        }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // Only after an error, which is on its way to the caller.
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The permissions of every mapping that overlaps `[start, start + len)`. User-mode emulators leave out a
    /// mapping whose neighbour goes meanwhile, which is why they are asked until they say the same twice.
    fn permissions(start: usize, len: usize) -> Vec<String> {
        let mut seen = permissions_once(start, len);
        loop {
            let again = permissions_once(start, len);
            if seen == again {
                return seen;
            }
            seen = again;
        }
    }

    fn permissions_once(start: usize, len: usize) -> Vec<String> {
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

    /// Not probed: nothing is executed here.
    fn region(mode: MemoryMode, hidden: bool) -> Region {
        Region::reserve(16 << 20, mode, hidden).unwrap()
    }

    /// The permissions of the code and of its writable view.
    fn views(region: &Region) -> [Vec<String>; 2] {
        let main = permissions(region.base(), region.code_len());
        let alias = region
            .alias
            .as_ref()
            .map(|alias| alias.view.base() as usize);
        [
            main,
            alias.map_or(Vec::new(), |view| permissions(view, region.code_len())),
        ]
    }

    #[test]
    fn no_mapping_is_writable_and_executable() {
        for (mode, hidden, idle, open) in [
            (
                MemoryMode::Dual,
                false,
                [vec!["r-xs", "---p"], vec!["rw-s", "---p"]],
                [vec!["r-xs", "---p"], vec!["rw-s", "---p"]],
            ),
            (
                MemoryMode::Dual,
                true,
                [vec!["r-xs", "---p"], vec!["---p"]],
                [vec!["r-xs", "---p"], vec!["---p", "rw-s", "---p"]],
            ),
            (
                MemoryMode::Single,
                false,
                [vec!["r-xp", "---p"], vec![]],
                [vec!["r-xp", "rw-p", "r-xp", "---p"], vec![]],
            ),
        ] {
            let region = region(mode, hidden);
            region.commit_code(3 << 20).unwrap();
            region.commit_data(100_000).unwrap();
            let data = permissions(region.main.base() as usize + region.code_len(), 100_000);
            assert_eq!(data, ["rw-p"]);
            // Adjacent parts of the same kind may or may not be shown as one.
            let seen = || {
                views(&region).map(|mut view| {
                    view.dedup();
                    view
                })
            };
            assert_eq!(seen(), idle);
            let bytes = 2 * page_size()..2 * page_size() + 1;
            let writing = region.write(|| bytes.clone()).unwrap();
            assert_eq!(seen(), open);
            writing.finish().unwrap();
            assert_eq!(seen(), idle);
            // Also if it ends early.
            drop(region.write(|| bytes.clone()).unwrap());
            assert_eq!(seen(), idle);
        }
    }

    #[test]
    fn what_is_written_is_seen() {
        for (mode, hidden) in [
            (MemoryMode::Dual, false),
            (MemoryMode::Dual, true),
            (MemoryMode::Single, false),
        ] {
            let region = region(mode, hidden);
            let offset = CODE_CHUNK + 77;
            region.commit_code(2 * CODE_CHUNK).unwrap();
            let writing = region.write(|| offset..offset + 1).unwrap();
            // SAFETY: the offset is committed and open, and nobody else uses the region.
            unsafe { writing.view().add(offset).write_volatile(0x5a) };
            writing.finish().unwrap();
            // SAFETY: as above.
            let seen = unsafe { ((region.base() + offset) as *const u8).read_volatile() };
            assert_eq!(seen, 0x5a);
        }
    }

    #[test]
    fn data_beyond_the_reservation_is_refused() {
        let region = region(MemoryMode::Dual, false);
        let capacity = region.len() - region.code_len();
        assert!(region.commit_data(capacity).is_ok());
        assert!(matches!(
            region.commit_data(capacity + 1),
            Err(Error::DataSpaceFull)
        ));
    }
}
