//! Entries of modules whose functions are compiled when they are called: those that were, each on its own.

use super::codec::{Reader, Writer};
use super::{CodeCache, Key};
use crate::Result;
use crate::module_info::ModuleInfo;
use crate::text::Text;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The functions of a module that were compiled before, and those that were not. They are numbered
/// without imports.
#[derive(Debug)]
pub(crate) struct StoredFunctions {
    cache: CodeCache,
    key: Key,
    /// The entry: for each function its number, and its text in the form of a file.
    old: Vec<u8>,
    /// Where in the entry the text of each function is.
    places: HashMap<u32, Range<usize>>,
    /// Whether there was an entry.
    is_known: bool,
    /// More of the same, to be added to it.
    new: Mutex<Vec<u8>>,
}

/// An entry is written again when what is to be added is more than this part of it.
const GROWTH: usize = 16;

impl StoredFunctions {
    /// What the cache has of the module with this key. If it has nothing, `validate` says whether the
    /// module is valid: an entry, be it empty, says that it is.
    pub(crate) fn load(
        cache: &CodeCache,
        key: Key,
        validate: impl FnOnce() -> Result<()>,
    ) -> Result<StoredFunctions> {
        let found = cache.load(&key, |entry| Some((places(&entry)?, entry)));
        let is_known = found.is_some();
        if !is_known {
            validate()?;
        }
        let (places, old) = found.unwrap_or_default();
        Ok(StoredFunctions {
            cache: cache.clone(),
            key,
            old,
            places,
            is_known,
            new: Mutex::default(),
        })
    }

    /// The text of a function that was compiled before.
    pub(crate) fn get(&self, defined: u32, info: &ModuleInfo) -> Option<Text> {
        let bytes = self.old[self.places.get(&defined)?.clone()].to_vec();
        let index = defined + info.counts.imported_funcs;
        Text::from_bytes(bytes, info, index..index + 1)
    }

    /// Take note of a function that was not, with its text in the form of a file.
    pub(crate) fn add(&self, defined: u32, text: &[u8]) {
        let mut new = self.added();
        let mut out = Writer::new(std::mem::take(&mut *new));
        out.u32(defined);
        out.bytes(text);
        *new = out.into_bytes();
    }

    fn added(&self) -> MutexGuard<'_, Vec<u8>> {
        // Nothing that can panic is done before the bytes are whole again.
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write an entry with all functions, unless there is one that has nearly all.
    fn store(&self) {
        let new = std::mem::take(&mut *self.added());
        if self.is_known && new.len() <= self.old.len() / GROWTH {
            return;
        }
        self.cache.store(&self.key, &[&self.old[..], &new].concat());
    }
}

/// The module is dropped: what was compiled for it would be lost.
impl Drop for StoredFunctions {
    fn drop(&mut self) {
        self.store();
    }
}

/// Where the texts in an entry are; none if it is none.
fn places(entry: &[u8]) -> Option<HashMap<u32, Range<usize>>> {
    let mut places = HashMap::new();
    let mut input = Reader::new(entry);
    let mut at = 0;
    while !input.is_empty() {
        let function = input.u32()?;
        let text = input.bytes()?;
        at += 2 * size_of::<u32>();
        places.insert(function, at..at + text.len());
        at += text.len();
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_apart() {
        let mut out = Writer::new(Vec::new());
        for (function, text) in [(5, &b"abc"[..]), (0, b""), (70_000, b"defgh")] {
            out.u32(function);
            out.bytes(text);
        }
        let entry = out.into_bytes();
        let found = places(&entry).expect("an entry");
        assert_eq!(found.len(), 3);
        let text = |function| &entry[found[&function].clone()];
        assert_eq!(
            (text(5), text(0), text(70_000)),
            (&b"abc"[..], &b""[..], &b"defgh"[..])
        );
        let whole = [0, 11, 19, entry.len()];
        for len in 0..entry.len() {
            assert_eq!(
                places(&entry[..len]).is_some(),
                whole.contains(&len),
                "{len}"
            );
        }
        let huge = [[0; 4], u32::MAX.to_le_bytes()].concat();
        assert!(places(&huge).is_none());
    }
}
