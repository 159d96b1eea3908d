//! Compiled code that outlives the process: a directory with one file per module and setting.
//!
//! The design, with what it protects against and what not, is in `docs/cache.md`.

pub(crate) mod codec;
mod dir;
mod functions;
mod image;
mod key;

use crate::{Error, Result};
use dir::CacheDir;
pub(crate) use functions::StoredFunctions;
pub(crate) use key::Key;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What every entry ends with: what it is, and the version of its form. Before it stands the code that
/// authenticates, and before that the contents, so that these can be used where they were read to.
const MAGIC: &[u8; 8] = b"nopal\0\0\x02";
/// Length of the code that authenticates an entry.
const MAC_LEN: usize = 32;

/// The largest sum of the sizes of entries, unless asked for another.
const DEFAULT_MAX_SIZE: u64 = 1 << 30;

/// Compiled code on disk, for modules that are compiled again.
///
/// Given to [`Config::cache`](crate::Config::cache). A module whose code is there is neither validated nor
/// compiled; the code is the same, and so are its sites and traps. Where functions are compiled lazily, those
/// that were compiled are written when the module is dropped, and the others are compiled when they are called.
///
/// An entry is used only if it was made by the same build of this crate, for the same module, settings and
/// processor features, by someone who knows the secret in the directory, which only its owner can
/// read. All others are ignored, and replaced. Nothing that happens to the directory makes a module fail.
///
/// ```
/// use nopal_wasm::{CodeCache, Config, Engine, Module};
/// # let wasm = wat::parse_str("(module (func))")?;
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
///
/// let cache = CodeCache::open(dir)?;
/// let engine = Engine::new(Config::new().cache(cache.clone()))?;
/// Module::new(&engine, &wasm)?;
/// Module::new(&engine, &wasm)?;
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CodeCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: CacheDir,
    path: PathBuf,
    secret: Secret,
    max_size: AtomicU64,
    /// How many bytes all entries take, as far as this process knows.
    used: Mutex<Option<u64>>,
    stats: Counters,
}

/// Not to be printed.
struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    rejected: AtomicU64,
    stored: AtomicU64,
}

/// What a cache was good for, since it was opened in this process.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheStats {
    /// Modules whose code was there, or that of the functions that were called before.
    pub hits: u64,
    /// Modules whose code was not there, or could not be used.
    pub misses: u64,
    /// Those of the misses for which there was an entry that could not be used: damaged, or made by
    /// someone who does not know the secret.
    pub rejected: u64,
    /// Entries that were written.
    pub stored: u64,
}

impl CodeCache {
    /// The cache in a directory, which is made if it is not there.
    ///
    /// Fails if the directory cannot be made or read, belongs to another user, or other users can write
    /// to it.
    pub fn open(dir: impl AsRef<Path>) -> Result<CodeCache> {
        let path = dir.as_ref();
        let open = || {
            let dir = CacheDir::open(path)?;
            let secret = dir.secret()?;
            Ok((dir, Secret(secret)))
        };
        let (dir, secret) = open().map_err(|error| Error::io(path, error))?;
        Ok(CodeCache(Arc::new(Inner {
            dir,
            path: path.to_owned(),
            secret,
            max_size: AtomicU64::new(DEFAULT_MAX_SIZE),
            used: Mutex::new(None),
            stats: Counters::default(),
        })))
    }

    /// Where the cache of a user is by the XDG Base Directory Specification: `nopal` in
    /// `$XDG_CACHE_HOME`, or in `$HOME/.cache`. None if neither is an absolute path.
    pub fn default_dir() -> Option<PathBuf> {
        let get = |name: &str| std::env::var_os(name);
        default_dir(get("XDG_CACHE_HOME").as_deref(), get("HOME").as_deref())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0.path
    }

    /// How many bytes all entries may take, 1 GiB unless set. If they take more after one was added,
    /// those that were not used for longest are deleted.
    ///
    /// What other processes add meanwhile counts from the next time that this one looks.
    pub fn set_max_size(&self, bytes: u64) {
        self.0.max_size.store(bytes, Ordering::Relaxed);
    }

    /// What it was good for so far.
    pub fn stats(&self) -> CacheStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &self.0.stats;
        CacheStats {
            hits: get(&stats.hits),
            misses: get(&stats.misses),
            rejected: get(&stats.rejected),
            stored: get(&stats.stored),
        }
    }

    /// What `read` makes of the contents of an entry, which are authentic. An entry of which it makes
    /// nothing counts as damaged.
    pub(crate) fn load<T>(&self, key: &Key, read: impl FnOnce(Vec<u8>) -> Option<T>) -> Option<T> {
        let inner = &*self.0;
        let file = inner.dir.read(&key.file_name(), self.max_size());
        let is_there = file.is_some();
        let found = file.and_then(|file| read(self.open_entry(key, file)?));
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match (&found, is_there) {
            (Some(_), _) => add(&inner.stats.hits),
            (None, false) => add(&inner.stats.misses),
            (None, true) => {
                add(&inner.stats.rejected);
                add(&inner.stats.misses)
            }
        };
        found
    }

    /// Add an entry. If that is not possible, there is none.
    pub(crate) fn store(&self, key: &Key, contents: &[u8]) {
        let inner = &*self.0;
        let size = (MAGIC.len() + MAC_LEN + contents.len()) as u64;
        if size > self.max_size() {
            return;
        }
        let mac = self.mac(key, contents);
        let parts = [contents, mac.as_bytes(), MAGIC];
        if inner.dir.write(&key.file_name(), &parts).is_ok() {
            inner.stats.stored.fetch_add(1, Ordering::Relaxed);
            self.make_room(size);
        }
    }

    /// An entry of `size` bytes was added: delete others if all take too much.
    fn make_room(&self, size: u64) {
        let inner = &*self.0;
        let mut used = inner.used.lock().unwrap_or_else(|err| err.into_inner());
        let known = used.map(|used| used.saturating_add(size));
        *used = match known {
            Some(used) if used <= self.max_size() => Some(used),
            // What cannot be found out or deleted is tried again with the next entry.
            _ => inner.dir.shrink(self.max_size()).ok(),
        };
    }

    /// The contents of an entry, if it is authentic.
    fn open_entry(&self, key: &Key, mut file: Vec<u8>) -> Option<Vec<u8>> {
        let (contents, mac) = file.strip_suffix(MAGIC)?.split_last_chunk::<MAC_LEN>()?;
        // Compares in constant time.
        let is_authentic = self.mac(key, contents) == *mac;
        file.truncate(contents.len());
        is_authentic.then_some(file)
    }

    /// What only those who know the secret can compute. It binds the contents to the key: an entry under
    /// another name is not authentic either.
    fn mac(&self, key: &Key, contents: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.secret.0);
        hasher.update(key.as_bytes()).update(contents).finalize()
    }

    fn max_size(&self) -> u64 {
        self.0.max_size.load(Ordering::Relaxed)
    }
}

fn default_dir(cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let cache_home = cache_home.map(PathBuf::from);
    let in_home = home.map(|home| Path::new(home).join(".cache"));
    let base = [cache_home, in_home].into_iter().flatten();
    Some(
        base.into_iter()
            .find(|path| path.is_absolute())?
            .join("nopal"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_follows_the_specification() {
        let dir = |cache: &str, home: &str| default_dir(Some(cache.as_ref()), Some(home.as_ref()));
        assert_eq!(dir("/c", "/h"), Some("/c/nopal".into()));
        assert_eq!(dir("c", "/h"), Some("/h/.cache/nopal".into()));
        assert_eq!(dir("", "/h"), Some("/h/.cache/nopal".into()));
        assert_eq!(dir("", "h"), None);
        assert_eq!(default_dir(None, None), None);
    }
}
