//! Functions that are compiled when they are first called.
//!
//! Every function has a *stub*, code that jumps to the address in the function's *slot*. Calls that were
//! made before the function was compiled go to the stub, and are not changed ever after: what changes is
//! the slot, which is data. It begins as the address of [`arch::first_call`], which has the function
//! compiled, and is that of its code from then on. References, which are data too, come to lead to the
//! code itself in the instance that calls the function first.

use crate::activation::compile_for_guest;
use crate::cache::StoredFunctions;
use crate::code_tables::Functions;
use crate::engine::Engine;
use crate::module_info::ModuleInfo;
use crate::parse::{BodySource, FunctionBodyData};
use crate::piece::Piece;
use crate::site_table::Site;
use crate::text::Text;
use crate::translate::signature;
use crate::vmctx::{VMStoreContext, instance_of};
use crate::{Error, Result, arch};
use nopal_live::{Code, SiteId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The functions of a module. They are numbered without imports.
#[derive(Debug)]
pub(crate) struct LazyCode {
    engine: Engine,
    info: Arc<ModuleInfo>,
    source: BodySource,
    /// What the cache has of them, if there is one.
    stored: Option<StoredFunctions>,
    stubs: Code,
    /// Where the stub of each function jumps to.
    slots: Box<[AtomicUsize]>,
    /// The code of each function, once there is any.
    pieces: Box<[OnceLock<Arc<Piece>>]>,
    /// Held while a function is compiled: the one with the rest of its number.
    turns: [Mutex<()>; TURNS],
    /// For each piece one of its functions, by its address.
    by_address: Mutex<BTreeMap<usize, u32>>,
    /// Those of all functions, once they have been asked for.
    sites: OnceLock<Box<[Site]>>,
}

/// How many functions can be compiled at once.
const TURNS: usize = 64;

impl LazyCode {
    /// The functions of a module that is valid, none of them compiled.
    pub(crate) fn new(
        engine: &Engine,
        info: &Arc<ModuleInfo>,
        source: BodySource,
        mut stored: Option<StoredFunctions>,
    ) -> Result<Self> {
        let compiled = stored.as_mut().and_then(StoredFunctions::take);
        let imported = info.counts.imported_funcs as usize;
        let first_calls: Vec<usize> = (info.types.iter())
            .map(|ty| arch::first_call(engine.target().has_result_area(&signature(ty))))
            .collect();
        let slots: Box<[AtomicUsize]> = (info.funcs[imported..].iter())
            .map(|&ty| AtomicUsize::new(first_calls[ty as usize]))
            .collect();
        let stubs: Vec<u8> = (slots.iter())
            .flat_map(|slot| arch::stub(slot.as_ptr() as usize))
            .collect();
        let stubs = (engine.code_space().allocate(stubs.len(), arch::STUB_LEN))
            .and_then(|allocation| allocation.publish(&stubs, &[]))
            .map_err(Error::code_memory)?;
        let lazy = LazyCode {
            engine: engine.clone(),
            info: Arc::clone(info),
            source,
            stored,
            stubs,
            pieces: slots.iter().map(|_| OnceLock::new()).collect(),
            slots,
            turns: [const { Mutex::new(()) }; TURNS],
            by_address: Mutex::default(),
            sites: OnceLock::new(),
        };
        if let Some((functions, text)) = compiled
            && let Ok(piece) = lazy.publish(text, Functions::Listed(functions.clone()))
        {
            lazy.enter(piece, &functions);
        }
        Ok(lazy)
    }

    /// Where a function is called: its code if it is compiled, or else its stub.
    pub(crate) fn entry(&self, defined: u32) -> usize {
        match self.pieces[defined as usize].get() {
            Some(piece) => piece.func(self.index(defined)).start,
            None => self.stubs.base() + defined as usize * arch::STUB_LEN,
        }
    }

    /// The code of a function, which is compiled if it is not.
    ///
    /// Fails if it is too large, or there is no room for its code. It is tried again when it is asked
    /// for again.
    pub(crate) fn piece(&self, defined: u32) -> Result<&Piece> {
        let cell = &self.pieces[defined as usize];
        if let Some(piece) = cell.get() {
            return Ok(piece);
        }
        // Nothing that is done meanwhile waits for another function, or for the guest.
        let turn = &self.turns[defined as usize % TURNS];
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = cell.get() {
            return Ok(piece);
        }
        self.enter(self.compile(defined)?, &[self.index(defined)]);
        Ok(cell.get().expect("a piece that was entered"))
    }

    /// Let functions with these indices in the module, which are not compiled, be those in `piece`.
    fn enter(&self, piece: Piece, functions: &[u32]) {
        let piece = Arc::new(piece);
        let defined = |index| index - self.info.counts.imported_funcs;
        // Whoever sees the piece in a cell also finds it by its address.
        if let Some(&first) = functions.first() {
            (self.addresses()).insert(piece.range().start, defined(first));
        }
        for &index in functions {
            let at = defined(index) as usize;
            self.pieces[at].get_or_init(|| Arc::clone(&piece));
            self.slots[at].store(piece.func(index).start, Ordering::Release);
        }
    }

    fn publish(&self, text: Text, functions: Functions) -> Result<Piece> {
        let callee = |callee| self.entry(callee);
        let space = self.engine.code_space();
        Piece::publish(text, &self.info, functions, space, callee)
    }

    fn index(&self, defined: u32) -> u32 {
        defined + self.info.counts.imported_funcs
    }

    fn compile(&self, defined: u32) -> Result<Piece> {
        let index = self.index(defined);
        let publish = |text| self.publish(text, Functions::Consecutive(index..index + 1));
        let (engine, body) = (&self.engine, self.body(defined));
        let text = (engine.workers()).with(|worker| worker.compile(engine, &self.info, [body]))?;
        let Some(stored) = &self.stored else {
            return publish(text);
        };
        let bytes = text.to_bytes();
        let piece = publish(text)?;
        stored.add(index, bytes);
        Ok(piece)
    }

    fn body(&self, defined: u32) -> FunctionBodyData<'_> {
        let index = self.index(defined);
        let ty = self.info.funcs[index as usize];
        let range = self.info.func_bodies[defined as usize].clone();
        self.source.body(index, ty, range)
    }

    /// Compile those of these functions that are not compiled.
    pub(crate) fn compile_all(&self, functions: impl Iterator<Item = u32>) -> Result<()> {
        let is_missing = |&defined: &u32| self.pieces[defined as usize].get().is_none();
        let missing: Vec<u32> = functions.filter(is_missing).collect();
        let compile = |&defined: &u32| self.piece(defined).map(drop);
        if self.engine.config().parallel_compilation && missing.len() > 1 {
            missing.par_iter().try_for_each(compile)
        } else {
            missing.iter().try_for_each(compile)
        }
    }

    /// What was compiled so far and holds an address.
    pub(crate) fn compiled_at(&self, pc: usize) -> Option<&Piece> {
        let (_, &defined) = self.addresses().range(..=pc).next_back()?;
        let piece = self.pieces[defined as usize].get()?;
        piece.range().contains(&pc).then_some(piece)
    }

    /// The patch sites of one function after the other; none if some cannot be compiled.
    pub(crate) fn sites(&self) -> &[Site] {
        if let Some(sites) = self.sites.get() {
            return sites;
        }
        if self.compile_all(0..self.slots.len() as u32).is_err() {
            return &[];
        }
        self.sites.get_or_init(|| {
            let compiled = (self.info.counts.imported_funcs..).zip(&self.pieces);
            let sites = compiled.filter_map(|(index, cell)| Some(cell.get()?.sites_of(index)));
            sites.flatten().cloned().collect()
        })
    }

    /// The patch site with this id, if it is one of a function that is compiled.
    pub(crate) fn site(&self, id: SiteId) -> Option<&Site> {
        let end = self.engine.code_space().site_addr(id)?;
        self.compiled_at(end - 1)?.site(id)
    }

    /// Bytes of machine code and of its tables so far.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let addresses = self.addresses();
        let pieces = addresses
            .values()
            .map(|&defined| self.pieces[defined as usize].get());
        pieces
            .flatten()
            .fold((self.stubs.len(), 0), |(code, tables), piece| {
                (code + piece.range().len(), tables + piece.tables().size())
            })
    }

    /// The function whose slot is at an address.
    fn function_of_slot(&self, slot: usize) -> Option<u32> {
        let at = slot.checked_sub(self.slots.as_ptr() as usize)? / size_of::<AtomicUsize>();
        (at < self.slots.len()).then_some(at as u32)
    }

    fn addresses(&self) -> MutexGuard<'_, BTreeMap<usize, u32>> {
        // The map is whole at all times.
        (self.by_address.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compile the function that the guest is about to call, and return the address of its code. If that
/// fails, the guest's call ends with the error.
///
/// # Safety
/// Called by `arch::first_call`, on the store's stack for compiling, for a call with `context` by way
/// of a stub that jumped to the address in `slot`.
pub(crate) unsafe extern "C" fn compile_callee(context: *mut u8, slot: usize) -> usize {
    // SAFETY: the first word of a context points to that of its store. Instances live as long as
    // their store, which nobody changes while this runs.
    unsafe {
        let store_context = *context.cast::<*mut VMStoreContext>();
        compile_for_guest(store_context, |store| {
            let instance = &(&(*store).instances)[instance_of(context)];
            let lazy = instance.module.lazy().expect("a module with stubs");
            let function = lazy.function_of_slot(slot).expect("a slot of the module");
            lazy.piece(function)?;
            let code = lazy.entry(function);
            instance.update_func_ref(function, code as *const u8);
            Ok(code)
        })
    }
}
