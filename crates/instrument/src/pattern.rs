//! Choosing functions by name.

use crate::names::demangle;
use crate::{Error, Result};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use nopal_wasm::{FunctionInfo, Module};
use std::collections::HashSet;

/// Patterns for names of functions, of which one must match.
///
/// A pattern is a glob (`*`, `?`, `[a-z]`, `{a,b}`, backslash before a character that is meant
/// itself), compared with the name as it is in the module, its demangled form, and the names under
/// which the function is exported; or `#12`, the function with that index.
///
/// ```
/// use nopal_instrument::Patterns;
/// let wasm = wat::parse_str("(module (func $fib) (func $main) (func (export \"fib_sum\")))")?;
/// let module = nopal_wasm::Module::new(&nopal_wasm::Engine::default(), &wasm)?;
/// assert_eq!(Patterns::new(["fib*"])?.select(&module), [0, 2]);
/// assert_eq!(Patterns::new(["#1", "fib"])?.select(&module), [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Patterns {
    globs: GlobSet,
    indices: HashSet<u32>,
}

impl Patterns {
    /// The given patterns.
    ///
    /// # Errors
    /// [`Error::Pattern`] names the first that is malformed.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Patterns> {
        let mut globs = GlobSetBuilder::new();
        let mut indices = HashSet::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let malformed = |message: String| Error::Pattern {
                pattern: pattern.into(),
                message,
            };
            if let Some(index) = pattern.strip_prefix('#') {
                let index = index
                    .parse()
                    .map_err(|_| malformed("`#` stands before the index of a function".into()))?;
                indices.insert(index);
            } else {
                let glob = GlobBuilder::new(pattern).backslash_escape(true).build();
                globs.add(glob.map_err(|error| malformed(error.kind().to_string()))?);
            }
        }
        let globs = globs.build().map_err(|error| Error::Pattern {
            pattern: error.glob().unwrap_or_default().into(),
            message: error.kind().to_string(),
        })?;
        Ok(Patterns { globs, indices })
    }

    /// Whether a function with this index and this name is chosen.
    pub fn matches(&self, index: u32, name: Option<&str>) -> bool {
        self.indices.contains(&index) || name.is_some_and(|name| self.matches_name(name))
    }

    fn matches_name(&self, name: &str) -> bool {
        self.globs.is_match(name) || self.globs.is_match(&*demangle(name))
    }

    /// Whether a function is chosen. One without any name is matched as the empty name.
    pub fn matches_function(&self, func: FunctionInfo<'_>) -> bool {
        let nameless = func.name().is_none() && func.export_names().next().is_none();
        self.matches(func.index(), func.name().or(nameless.then_some("")))
            || func.export_names().any(|name| self.globs.is_match(name))
    }

    /// The indices of the functions of a module that are chosen, ascending.
    pub fn select(&self, module: &Module) -> Vec<u32> {
        module
            .functions()
            .filter(|&func| self.matches_function(func))
            .map(|func| func.index())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Patterns::new([pattern]).unwrap().matches(7, Some(name))
    }

    #[test]
    fn names_match_raw_and_demangled() {
        let mangled = "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE";
        assert!(matches("core::fmt::*", mangled));
        assert!(matches("_ZN4core*", mangled));
        assert!(!matches("fmt*", mangled));
        assert!(matches("*", "a/b"));
        assert!(matches("{a,b}?", "bx"));
        assert!(matches(r"operator\[\]", "operator[]"));
    }

    #[test]
    fn indices_match_whatever_the_name() {
        assert!(matches("#7", "x"));
        assert!(!matches("#8", "x"));
    }

    #[test]
    fn malformed_patterns_are_named() {
        for pattern in ["[", "#x", "#", "{a", "#4294967296"] {
            let error = Patterns::new(["ok", pattern]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("bad pattern `{pattern}`: ")),
                "{error}"
            );
        }
    }
}
