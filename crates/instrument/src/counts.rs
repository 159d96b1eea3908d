//! Counting calls.

use crate::{Error, Result, Switch};
use nopal_live::{CountHook, SiteId};
use nopal_wasm::{Module, SiteKind};
use std::sync::Arc;

/// Counts how often functions are entered, without leaving the guest's code.
///
/// ```
/// use nopal_instrument::Counts;
/// use nopal_wasm::{Engine, Linker, Module, Store};
/// let wasm = wat::parse_str(
///     "(module (func $leaf) (func (export \"run\") (call $leaf) (call $leaf)))",
/// )?;
/// let engine = Engine::default();
/// let module = Module::new(&engine, &wasm)?;
/// let counts = Counts::new(&module, &[0, 1])?;
/// counts.switch().on()?;
/// let mut store = Store::new(&engine, ());
/// let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
/// instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
/// assert_eq!(counts.by_function(), [(0, 2), (1, 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Counts {
    hook: CountHook,
    switch: Arc<Switch>,
    entries: Vec<(u32, SiteId)>,
}

impl Counts {
    /// Counters for the entries of these functions of a module, off as yet.
    ///
    /// Functions without an entry site are left out; those not compiled yet are compiled.
    ///
    /// # Errors
    /// If one of the functions cannot be compiled, or there is no room for the hook.
    pub fn new(module: &Module, functions: &[u32]) -> Result<Counts> {
        (module.compile_functions(functions.iter().copied())).map_err(Error::Compile)?;
        let functions = functions.iter().filter_map(|&index| module.function(index));
        let entries: Vec<(u32, SiteId)> = functions
            .flat_map(|function| function.sites())
            .filter(|site| site.kind() == SiteKind::Entry)
            .map(|site| (site.func(), site.id()))
            .collect();
        let space = module.engine().code_space();
        let hook = space.count_hook()?;
        let sites = entries.iter().map(|&(_, site)| site).collect();
        let switch = Arc::new(Switch::new(space, hook.clone(), sites));
        Ok(Counts {
            hook,
            switch,
            entries,
        })
    }

    /// What switches the counting.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    /// Function indices and the number of times each was entered while counting, in the order in
    /// which they were given.
    pub fn by_function(&self) -> Vec<(u32, u64)> {
        self.entries
            .iter()
            .map(|&(func, site)| (func, self.hook.count(site)))
            .collect()
    }
}
