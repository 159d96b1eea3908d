//! What Nopal's commits are compared with.

use rustix::thread::{MembarrierCommand, membarrier};
use static_keys::{define_static_key_false, static_branch_unlikely};
use wasmtime::{AsContext as _, Config, Engine, Module, ModulePC, Store};

use super::code::{Function, HEADS, Pages, row_of_sites};
use super::id;
use super::ways::Way;
use crate::synthetic::{self, Shape};

/// Those that switch any number of sites.
pub(super) fn of_many(sites: usize) -> Result<Vec<Box<dyn Way>>, String> {
    let (bytes, _) = row_of_sites(sites);
    membarrier(MembarrierCommand::RegisterPrivateExpeditedSyncCore).map_err(no_broadcast)?;
    let twice = || Pages::mapped_twice(&bytes);
    Ok(vec![
        Box::new(Stores { pages: twice()? }),
        Box::new(StoresAndBroadcast { pages: twice()? }),
        Box::new(ProtectedStores {
            pages: Pages::mapped_once(&bytes)?,
        }),
    ])
}

/// Those that switch one.
pub(super) fn of_one() -> Result<Vec<Box<dyn Way>>, String> {
    Ok(vec![
        Box::new(StaticKeys::new()?),
        Box::new(Breakpoints::new()?),
    ])
}

fn no_broadcast(error: rustix::io::Errno) -> String {
    format!("membarrier: {error}")
}

/// A store through another mapping, and no word to threads that may have fetched what was there.
struct Stores {
    pages: Pages,
}

impl Way for Stores {
    fn id(&self) -> &'static str {
        id::STORE
    }

    fn code(&self) -> Option<Function> {
        Some(self.pages.function())
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            for head in HEADS {
                self.pages.store(head);
            }
        }
        Ok(())
    }
}

/// The least that does: a store for each site, and one broadcast, by nothing but the system call.
struct StoresAndBroadcast {
    pages: Pages,
}

impl Way for StoresAndBroadcast {
    fn id(&self) -> &'static str {
        id::STORE_BROADCAST
    }

    fn code(&self) -> Option<Function> {
        Some(self.pages.function())
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            for head in HEADS {
                self.pages.store(head);
                membarrier(MembarrierCommand::PrivateExpeditedSyncCore).map_err(no_broadcast)?;
            }
        }
        Ok(())
    }

    fn broadcasts(&self) -> Option<[u32; 2]> {
        Some([1, 1])
    }
}

/// Stores where the code is executed, to pages that are made writable for them. They stay executable, as threads
/// may be in them. The change of permissions reaches other threads, but does not end what they fetched before.
struct ProtectedStores {
    pages: Pages,
}

impl Way for ProtectedStores {
    fn id(&self) -> &'static str {
        id::PROTECT
    }

    fn code(&self) -> Option<Function> {
        Some(self.pages.function())
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            for head in HEADS {
                self.pages.make_writable()?;
                self.pages.store(head);
                self.pages.make_read_only()?;
            }
        }
        Ok(())
    }
}

define_static_key_false!(KEY);

#[inline(never)]
fn branch() -> bool {
    static_branch_unlikely!(KEY)
}

/// A branch of the `static-keys` crate, which may be switched while no other thread runs.
struct StaticKeys;

impl StaticKeys {
    fn new() -> Result<StaticKeys, String> {
        static_keys::global_init();
        let mut seen = [false; 3];
        seen[0] = branch();
        // SAFETY: as for `toggle`.
        unsafe { KEY.enable() };
        seen[1] = branch();
        // SAFETY: as for `toggle`.
        unsafe { KEY.disable() };
        seen[2] = branch();
        match seen {
            [false, true, false] => Ok(StaticKeys),
            _ => Err(String::from(
                "static-keys: the branch does not follow its key",
            )),
        }
    }
}

impl Way for StaticKeys {
    fn id(&self) -> &'static str {
        id::STATIC_KEYS
    }

    fn code(&self) -> Option<Function> {
        None
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            // SAFETY: initialized by `new`. No other thread of the benchmark executes the page of `branch`,
            // which is replaced by a copy: it is measured without runners.
            unsafe {
                KEY.enable();
                KEY.disable();
            }
        }
        Ok(())
    }
}

/// A breakpoint of Wasmtime's interface for debuggers, which may be set while the guest does not run.
struct Breakpoints {
    store: Store<()>,
    module: Module,
    pc: ModulePC,
}

impl Breakpoints {
    fn new() -> Result<Breakpoints, String> {
        let mut config = Config::new();
        config.guest_debug(true);
        let engine = Engine::new(&config).map_err(describe)?;
        let wasm = synthetic::module(Shape {
            functions: 1,
            body_bytes: 300,
            locals: 10,
        });
        let module = Module::from_binary(&engine, &wasm).map_err(describe)?;
        let mut breakpoints = Breakpoints {
            store: Store::new(&engine, ()),
            module,
            // Wherever that is, it is the first instruction from there on that gets it.
            pc: ModulePC::new(0),
        };
        breakpoints.set(true)?;
        let found = breakpoints.count();
        breakpoints.set(false)?;
        match (found, breakpoints.count()) {
            (1, 0) => Ok(breakpoints),
            (set, left) => Err(format!("Wasmtime: {set} breakpoints set, {left} left")),
        }
    }

    fn count(&self) -> usize {
        let breakpoints = self.store.as_context().breakpoints();
        breakpoints.map_or(0, |breakpoints| breakpoints.count())
    }

    fn set(&mut self, on: bool) -> Result<(), String> {
        let mut edit = self
            .store
            .edit_breakpoints()
            .ok_or("Wasmtime: no debugging")?;
        let edited = match on {
            true => edit.add_breakpoint(&self.module, self.pc),
            false => edit.remove_breakpoint(&self.module, self.pc),
        };
        edited.map_err(describe)
    }
}

impl Way for Breakpoints {
    fn id(&self) -> &'static str {
        id::BREAKPOINT
    }

    fn code(&self) -> Option<Function> {
        None
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            self.set(true)?;
            self.set(false)?;
        }
        Ok(())
    }
}

fn describe(error: wasmtime::Error) -> String {
    format!("Wasmtime: {error}")
}
