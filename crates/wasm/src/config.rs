//! Settings of an engine.

use crate::{CodeCache, Sites};

/// Settings of an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) sites: Sites,
    pub(crate) parallel_compilation: bool,
    pub(crate) lazy_compilation: bool,
    pub(crate) max_wasm_stack: usize,
    pub(crate) code_space: usize,
    pub(crate) cache: Option<CodeCache>,
}

impl Config {
    /// The default settings: all sites, parallel and eager compilation, 1 MiB of stack, 1 GiB of address
    /// space for code, no cache.
    pub fn new() -> Self {
        Config {
            sites: Sites::ALL,
            parallel_compilation: true,
            lazy_compilation: false,
            max_wasm_stack: 1 << 20,
            code_space: 1 << 30,
            cache: None,
        }
    }

    /// Which patch sites modules are compiled with.
    pub fn sites(&mut self, sites: Sites) -> &mut Self {
        self.sites = sites;
        self
    }

    /// Whether the functions of a module are compiled by several threads.
    ///
    /// The code is the same either way.
    pub fn parallel_compilation(&mut self, on: bool) -> &mut Self {
        self.parallel_compilation = on;
        self
    }

    /// Whether functions are compiled when they are first called, not when the module is created. The
    /// module is validated as a whole either way.
    ///
    /// Calls to a function that was not compiled when its caller was cost a jump more. A function
    /// whose compilation fails, for lack of memory or because it is too large, ends the call of the
    /// guest that called it with that error.
    pub fn lazy_compilation(&mut self, on: bool) -> &mut Self {
        self.lazy_compilation = on;
        self
    }

    /// How many bytes of stack the guest can use in one store before it traps. Host functions that
    /// it calls have a reserve beyond that.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// How many bytes of address space all the code of the engine can take.
    pub fn code_space(&mut self, bytes: usize) -> &mut Self {
        self.code_space = bytes;
        self
    }

    /// Where compiled code is looked for, and kept for the next time.
    ///
    /// Without one, which is the default, nothing is written anywhere.
    pub fn cache(&mut self, cache: CodeCache) -> &mut Self {
        self.cache = Some(cache);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}
