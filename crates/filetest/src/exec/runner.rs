//! Running modules: functions that work on a piece of memory, call each other as `u0:N`, and call
//! `%clobber`, `%observe` and the patchable `%hook`.

use super::callees::{self, Registers};
use super::{Fault, Guard, Linked, link};
use nopal_codegen::{CompiledCode, ObservedValue};
use nopal_ir::{ExternalName, Function, TrapCode, Type};
use nopal_live::{CallHook, CodeSpace, SiteFrame, SiteId, SpaceConfig};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::HashMap;
use std::ptr;
use std::time::Duration;

/// A call of `%hook` or `%observe`.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// The number of the site; `u32::MAX` for `%observe`.
    pub site: u32,
    /// Types and bits of the arguments.
    pub args: Vec<(Type, u64)>,
    /// Types and bits of the observed values.
    pub observed: Vec<(Type, u64)>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It returned.
    Returned,
    /// It trapped, where the compiler said that it may.
    Trapped(TrapCode),
}

/// A site in code of another compiler: a call of `%hook`, which ends here.
#[derive(Clone, Copy, Debug)]
pub struct PlainSite {
    /// Offset of the instruction after the call.
    pub ret_addr: u32,
    /// Its number.
    pub site: u32,
}

/// What a hook must know of a site.
struct Site {
    number: u32,
    params: Vec<Type>,
    observed: Vec<ObservedValue>,
}

/// A module that can run.
pub struct Module {
    linked: Linked,
    sites: HashMap<SiteId, Site>,
    /// Calls of `%hook` that are not sites, by where they return to.
    calls: HashMap<u64, Site>,
}

impl Module {
    /// The address of each function.
    pub fn entries(&self) -> &[u64] {
        self.linked.entries()
    }

    /// Whether there is a site.
    pub fn has_sites(&self) -> bool {
        !self.sites.is_empty()
    }
}

/// The module that a thread runs, and what its hooks have seen.
struct Running<'a> {
    module: &'a Module,
    seen: RefCell<Vec<Seen>>,
}

thread_local! {
    static RUNNING: Cell<*const Running<'static>> = const { Cell::new(ptr::null()) };
}

/// The hook at sites that are on.
fn on_site(id: SiteId, frame: &mut SiteFrame) {
    let running = RUNNING.get();
    if running.is_null() {
        return;
    }
    // SAFETY: it is set while the module runs, and points to what lives as long.
    let running = unsafe { &*running };
    let Some(site) = running.module.sites.get(&id) else {
        return;
    };
    let registers = Registers::at_site(frame);
    let observed = site.observed.iter();
    // SAFETY: the values are those of the site that has been called from.
    let observed = observed.map(|o| (o.ty, unsafe { registers.value(o.loc) }));
    running.seen.borrow_mut().push(Seen {
        site: site.number,
        args: registers.arguments(&site.params),
        observed: observed.collect(),
    });
}

/// Loads modules and runs them, one after the other.
pub struct Runner {
    guard: Guard,
    hook: CallHook,
    /// The memory that modules work on, aligned as the widest atomic accesses need it.
    data: Box<[UnsafeCell<u128>]>,
    /// The types of the parameters of `%observe`.
    observe: Vec<Type>,
}

impl Runner {
    /// A runner with at least `size` bytes of memory to work on. A run may take `limit` of CPU time;
    /// `%observe` has parameters of the types `observe`.
    ///
    /// # Errors
    ///
    /// This machine does not let code be made.
    pub fn new(size: usize, limit: Duration, observe: &[Type]) -> Result<Runner, String> {
        let space = || CodeSpace::new(SpaceConfig::new().reserve(256 << 20));
        let mut guard = Guard::new(space).map_err(|e| e.to_string())?;
        guard.limit = limit;
        let hook = guard.space().call_hook(on_site);
        let words = (0..size.div_ceil(16)).map(|_| UnsafeCell::new(0));
        Ok(Runner {
            hook: hook.map_err(|e| e.to_string())?,
            guard,
            data: words.collect(),
            observe: observe.to_vec(),
        })
    }

    /// The address of the memory that modules work on.
    pub fn address(&self) -> u64 {
        self.data.as_ptr() as u64
    }

    /// Its first `size` bytes as they are now.
    ///
    /// # Panics
    ///
    /// There are fewer.
    pub fn bytes(&self, size: usize) -> Vec<u8> {
        assert!(size <= size_of_val(&*self.data));
        // SAFETY: there are so many, and no module writes them meanwhile, as it would do so on this
        // thread: this type is not `Sync`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr().cast(), size) }.to_vec()
    }

    /// Overwrite its first bytes.
    ///
    /// # Panics
    ///
    /// There are more than there is memory.
    pub fn set_bytes(&self, bytes: &[u8]) {
        assert!(bytes.len() <= size_of_val(&*self.data));
        // SAFETY: as above; the words are cells.
        unsafe {
            let to = self.data.as_ptr().cast::<u8>().cast_mut();
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Load a module, its sites off.
    ///
    /// # Errors
    ///
    /// A site is not what it has to be, a symbol is not known, or there is no room.
    pub fn load(&self, funcs: &[Function], code: Vec<CompiledCode>) -> Result<Module, String> {
        for (func, code) in funcs.iter().zip(&code) {
            for site in &code.patch_sites {
                let end = site.ret_addr;
                let callee = &func.ext_funcs()[site.callee as usize];
                if site.len != 5 || (end - 5) / 64 != (end - 1) / 64 || !callee.patchable {
                    return Err(format!("site {} is not one patchable call", site.site));
                }
            }
        }
        let linked = link(self.guard.space(), funcs.iter().zip(code).collect(), symbol)?;
        let mut sites = HashMap::new();
        for (id, n, site) in linked.sites() {
            let callee = &funcs[n].ext_funcs()[site.callee as usize];
            let site = Site {
                number: site.site,
                params: params(&funcs[n], callee.signature),
                observed: linked.compiled(n).value_map(site).to_vec(),
            };
            sites.insert(id, site);
        }
        Ok(Module {
            linked,
            sites,
            calls: HashMap::new(),
        })
    }

    /// Load a module that another compiler has made, in which these sites of each function are calls
    /// of `%hook`, always on.
    ///
    /// # Errors
    ///
    /// A symbol is not known, or there is no room.
    pub fn load_plain(
        &self,
        funcs: &[Function],
        code: Vec<(CompiledCode, &[PlainSite])>,
    ) -> Result<Module, String> {
        let sites: Vec<&[PlainSite]> = code.iter().map(|c| c.1).collect();
        let functions = funcs.iter().zip(code.into_iter().map(|c| c.0));
        let linked = link(self.guard.space(), functions.collect(), symbol)?;
        let mut calls = HashMap::new();
        for ((func, sites), entry) in funcs.iter().zip(sites).zip(linked.entries()) {
            let types = site_params(func);
            for s in sites {
                let params = types.get(&s.site).cloned();
                let site = Site {
                    number: s.site,
                    params: params.ok_or_else(|| format!("there is no site {}", s.site))?,
                    observed: Vec::new(),
                };
                calls.insert(entry + u64::from(s.ret_addr), site);
            }
        }
        Ok(Module {
            linked,
            sites: HashMap::new(),
            calls,
        })
    }

    /// Switch all sites of a module.
    ///
    /// # Errors
    ///
    /// What the code space says.
    pub fn switch(&self, module: &Module, on: bool) -> Result<(), String> {
        let mut patch = self.guard.space().patch();
        for &id in module.sites.keys() {
            if on {
                patch.enable(id, &self.hook);
            } else {
                patch.disable(id);
            }
        }
        patch.commit().map(|_| ()).map_err(|e| e.to_string())
    }

    /// Call function 0 of a module with the address of the memory; what hooks saw comes with how it
    /// ended.
    ///
    /// # Errors
    ///
    /// It ended in no way that a program may.
    ///
    /// # Safety
    ///
    /// Function 0 takes an address and returns nothing. As far as the compiler is right, the module
    /// accesses nothing but its stack and the memory, or traps.
    pub unsafe fn run(&self, module: &Module) -> Result<(Ended, Vec<Seen>), String> {
        let running = Running {
            module,
            seen: RefCell::default(),
        };
        let listener = |ret_addr: u64, registers: &Registers| {
            let (site, params) = match module.calls.get(&ret_addr) {
                Some(site) => (site.number, &site.params),
                None => (u32::MAX, &self.observe),
            };
            running.seen.borrow_mut().push(Seen {
                site,
                args: registers.arguments(params),
                observed: Vec::new(),
            });
        };
        let pointer: *const Running<'_> = &running;
        let outer = RUNNING.replace(pointer.cast());
        // SAFETY: the caller's promise.
        let call = || unsafe { self.guard.call(module.entries()[0], self.address()) };
        let result = callees::listening(&listener, call);
        RUNNING.set(outer);
        let ended = match result {
            Ok(()) => Ended::Returned,
            Err(fault @ Fault::Signal { pc, .. }) => match module.linked.trap_at(pc) {
                Some(code) => Ended::Trapped(code),
                None => {
                    let place = module.linked.function_at(pc);
                    let place = place.map_or("outside of all code".into(), |(n, at)| {
                        format!("in function {n} at {at:#x}, where no trap is")
                    });
                    return Err(format!("{fault}, {place}"));
                }
            },
            Err(fault) => return Err(fault.to_string()),
        };
        Ok((ended, running.seen.into_inner()))
    }
}

fn symbol(name: &ExternalName) -> Option<u64> {
    match name {
        ExternalName::Named(name) => callees::address(name),
        _ => None,
    }
}

fn params(func: &Function, sig: nopal_ir::SigRef) -> Vec<Type> {
    func.sig(sig).params.iter().map(|p| p.ty).collect()
}

/// The types of the arguments at each site.
fn site_params(func: &Function) -> HashMap<u32, Vec<Type>> {
    let insts = func.layout().iter().flat_map(|&b| func.block_insts(b));
    let of = |inst| match *func.inst(inst) {
        nopal_ir::InstData::Call {
            func: callee,
            attrs,
            ..
        } => {
            let site = func.site_attr(attrs.expand()?).site;
            Some((site, params(func, func.ext_func(callee).signature)))
        }
        _ => None,
    };
    insts.filter_map(of).collect()
}
