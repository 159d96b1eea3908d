//! What an entry of the cache is about: everything that the code in it depends on.

use super::image;
use crate::engine::Engine;
use std::hash::{Hash, Hasher};

/// Separates this use of the hash function from all others.
const CONTEXT: &str = "Nopal code cache: key of an entry";

/// A hash of a module, of what it was compiled by, for which processor, and with which settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key(blake3::Hash);

impl Key {
    /// The key of a module that `engine` compiles; none if the build of the compiler is not known.
    pub(crate) fn new(engine: &Engine, wasm: &[u8]) -> Option<Key> {
        let mut hasher = KeyHasher(blake3::Hasher::new_derive_key(CONTEXT));
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        image::identity()?.hash(&mut hasher);
        engine.target().hash(&mut hasher);
        // Of the settings, only the sites have a bearing on the code, and laziness on the form of the entry.
        engine.config().sites.hash(&mut hasher);
        engine.config().lazy_compilation.hash(&mut hasher);
        hasher.write(wasm);
        Some(Key(hasher.0.finalize()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The name of the entry's file.
    pub(crate) fn file_name(&self) -> String {
        format!("{}{SUFFIX}", self.0.to_hex())
    }
}

const SUFFIX: &str = ".code";

/// Whether a file name is that of an entry.
pub(crate) fn is_entry(name: &[u8]) -> bool {
    (name.strip_suffix(SUFFIX.as_bytes())).is_some_and(|hex| {
        hex.len() == 64 && hex.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Takes what is hashed by `Hash`, so that a new field of a setting cannot be forgotten.
struct KeyHasher(blake3::Hasher);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Sites};

    #[test]
    fn keys_differ_by_module_and_settings() {
        let all = Engine::default();
        let none = Engine::new(Config::new().sites(Sites::NONE)).expect("an engine");
        let mut entries = Sites::NONE;
        entries.entries = true;
        let entries = Engine::new(Config::new().sites(entries)).expect("an engine");
        let lazy = Engine::new(Config::new().lazy_compilation(true)).expect("an engine");
        let keys = [
            Key::new(&all, b"a"),
            Key::new(&all, b"b"),
            Key::new(&all, b""),
            Key::new(&none, b"a"),
            Key::new(&entries, b"a"),
            Key::new(&lazy, b"a"),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(a.is_some());
            assert!(keys[..i].iter().all(|b| a != b), "{i}");
        }
        assert_eq!(keys[0], Key::new(&Engine::default(), b"a"));
    }

    #[test]
    fn other_compilations_have_the_same_key() {
        let one = Engine::new(
            Config::new()
                .parallel_compilation(false)
                .max_wasm_stack(1 << 19),
        );
        let one = one.expect("an engine");
        assert_eq!(
            Key::new(&one, b"a"),
            Key::new(&Engine::default(), b"a"),
            "neither threads nor stacks have a bearing on code"
        );
    }

    #[test]
    fn names_of_entries_are_recognized() {
        let key = Key::new(&Engine::default(), b"a").expect("a key");
        let name = key.file_name();
        assert!(is_entry(name.as_bytes()));
        assert!(!is_entry(name.to_uppercase().as_bytes()));
        assert!(!is_entry(&name.as_bytes()[1..]));
        assert!(!is_entry(b"secret"));
        assert!(!is_entry(b".code"));
    }
}
