//! Entries of modules whose functions are compiled when they are called: those that were, each on its own.

use super::codec::{Reader, Writer};
use super::{CodeCache, Key};
use crate::Result;
use crate::module_info::ModuleInfo;
use crate::text::Text;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The functions of a module that were compiled by earlier processes, and by this one.
///
/// Functions are named by their indices in the module. In an entry they follow each other in ascending
/// order: the index of each, and its text in the form of a file.
#[derive(Debug)]
pub(crate) struct StoredFunctions {
    cache: CodeCache,
    key: Key,
    /// The entry, if there is one.
    old: Option<Vec<u8>>,
    /// What is in it, until it is taken.
    text: Option<(Box<[u32]>, Text)>,
    /// What is to be added to it.
    new: Mutex<Vec<(u32, Vec<u8>)>>,
}

/// An entry is written again when what is to be added is more than this part of it.
const GROWTH: usize = 16;

impl StoredFunctions {
    /// What the cache has of the module with this key. If it has nothing, `validate` says whether the
    /// module is valid: an entry, be it empty, says that it is.
    pub(crate) fn load(
        cache: &CodeCache,
        key: Key,
        info: &ModuleInfo,
        validate: impl FnOnce() -> Result<()>,
    ) -> Result<StoredFunctions> {
        let found = cache.load(&key, |entry| Some((whole_text(&entry, info)?, entry)));
        if found.is_none() {
            validate()?;
        }
        let (text, old) = found.unzip();
        Ok(StoredFunctions {
            cache: cache.clone(),
            key,
            old,
            text,
            new: Mutex::default(),
        })
    }

    /// The functions that were compiled by earlier processes, and their text; none if they were taken.
    pub(crate) fn take(&mut self) -> Option<(Box<[u32]>, Text)> {
        let taken = self.text.take();
        taken.filter(|(functions, _)| !functions.is_empty())
    }

    /// Take note of a function that this process compiled, with its text in the form of a file.
    pub(crate) fn add(&self, index: u32, text: Vec<u8>) {
        self.added().push((index, text));
    }

    fn added(&self) -> MutexGuard<'_, Vec<(u32, Vec<u8>)>> {
        // The vector is whole at all times.
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write an entry with all functions, unless there is one that has nearly all.
    fn store(&self) {
        let new = std::mem::take(&mut *self.added());
        if let Some(old) = &self.old {
            let len: usize = new.iter().map(|(_, text)| text.len()).sum();
            if len <= old.len() / GROWTH {
                return;
            }
        }
        let mut all = self.old.as_deref().and_then(texts).unwrap_or_default();
        all.extend(new.iter().map(|(index, text)| (*index, &text[..])));
        let mut out = Writer::new(Vec::new());
        for (index, text) in all {
            out.u32(index);
            out.bytes(text);
        }
        self.cache.store(&self.key, &out.into_bytes());
    }
}

/// The module is dropped: what was compiled for it would be lost.
impl Drop for StoredFunctions {
    fn drop(&mut self) {
        self.store();
    }
}

/// The texts in an entry, by function; none if it is no entry.
fn texts(entry: &[u8]) -> Option<BTreeMap<u32, &[u8]>> {
    let mut texts = BTreeMap::new();
    let mut input = Reader::new(entry);
    while !input.is_empty() {
        let (index, text) = (input.u32()?, input.bytes()?);
        let last = texts.last_key_value();
        if last.is_some_and(|(&last, _)| last >= index) {
            return None;
        }
        texts.insert(index, text);
    }
    Some(texts)
}

/// The functions in an entry and their text; none if it is no entry.
fn whole_text(entry: &[u8], info: &ModuleInfo) -> Option<(Box<[u32]>, Text)> {
    let texts = texts(entry)?;
    let mut whole = Text::default();
    for (&index, bytes) in &texts {
        info.func_bodies.get(info.defined_func(index)? as usize)?;
        let text = Text::from_bytes(bytes.to_vec(), info, index..index + 1)?;
        whole.append(&text).ok()?;
    }
    Some((texts.into_keys().collect(), whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(functions: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Writer::new(Vec::new());
        for (function, text) in functions {
            out.u32(*function);
            out.bytes(text);
        }
        out.into_bytes()
    }

    #[test]
    fn an_entry_is_taken_apart() {
        let functions = [(0, &b"abc"[..]), (5, b""), (70_000, b"defgh")];
        let bytes = entry(&functions);
        let found = texts(&bytes).expect("an entry");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), functions);
        let whole = [0, 11, 19, bytes.len()];
        for len in 0..bytes.len() {
            assert_eq!(
                texts(&bytes[..len]).is_some(),
                whole.contains(&len),
                "{len}"
            );
        }
    }

    #[test]
    fn what_cannot_be_an_entry_is_refused() {
        let huge = [[0; 4], u32::MAX.to_le_bytes()].concat();
        assert!(texts(&huge).is_none());
        assert!(texts(&entry(&[(5, b""), (4, b"")])).is_none());
        assert!(texts(&entry(&[(5, b""), (5, b"")])).is_none());
        let wasm = wat::parse_str(r#"(module (import "m" "f" (func)) (func))"#);
        let info = crate::parse::parse(&wasm.expect("text"))
            .expect("a module")
            .info;
        for index in [0, 1, 2, u32::MAX] {
            assert!(
                whole_text(&entry(&[(index, b"")]), &info).is_none(),
                "{index}"
            );
        }
        assert!(whole_text(&[], &info).is_some());
    }
}
