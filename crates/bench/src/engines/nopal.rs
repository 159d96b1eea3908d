//! Nopal: with its sites off, without sites, and with a hook at work.

use std::cell::OnceCell;

use nopal_live::{CountHook, SiteId};
use nopal_wasi::{Capture, Exit, WasiCtx};
use nopal_wasm::{
    Config, Error, Extern, ExternType, Global, Linker, Memory, Module, SiteKind, Sites, Store,
    Table, Val,
};

use super::{Compiled, Engine, MAX_STACK, Prepared, Result, Threads, id, one_line};
use crate::corpus::Command;

/// All crates of the workspace have one version, this one included.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is done with the patch sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instrumentation {
    /// Sites at entries, exits and loop heads are compiled in and off: how Nopal runs by default.
    Off,
    /// No sites are compiled in.
    None,
    /// As `Off`, but each function entry calls a count hook.
    CountEntries,
}

const CONFIGURATIONS: [(&str, &str, Instrumentation); 3] = [
    (id::NOPAL, "Nopal", Instrumentation::Off),
    (id::NOPAL_NO_SITES, "Nopal, no sites", Instrumentation::None),
    (
        id::NOPAL_COUNT,
        "Nopal, counting every entry",
        Instrumentation::CountEntries,
    ),
];

/// The engine `id`, if it is one of those here.
pub(super) fn engine(id: &str, threads: Threads) -> Option<Result<Box<dyn Engine>>> {
    let found = CONFIGURATIONS.iter().find(|(known, ..)| *known == id)?;
    Some(configured(*found, threads))
}

fn configured(
    (id, label, instrumentation): (&'static str, &'static str, Instrumentation),
    threads: Threads,
) -> Result<Box<dyn Engine>> {
    let sites = match instrumentation {
        Instrumentation::None => Sites::NONE,
        Instrumentation::Off | Instrumentation::CountEntries => Sites::ALL,
    };
    let mut config = Config::new();
    config
        .sites(sites)
        .parallel_compilation(threads == Threads::All)
        .max_wasm_stack(MAX_STACK);
    let engine = nopal_wasm::Engine::new(&config).map_err(|error| one_line(&error))?;
    Ok(Box::new(NopalEngine {
        id,
        label,
        instrumentation,
        engine,
    }))
}

struct NopalEngine {
    id: &'static str,
    label: &'static str,
    instrumentation: Instrumentation,
    engine: nopal_wasm::Engine,
}

impl Engine for NopalEngine {
    fn id(&self) -> &'static str {
        self.id
    }

    fn label(&self) -> &str {
        self.label
    }

    fn runtime(&self) -> String {
        format!("Nopal {VERSION}")
    }

    fn compile(&self, wasm: &[u8]) -> Result<Box<dyn Compiled>> {
        let module = Module::new(&self.engine, wasm).map_err(|error| one_line(&error))?;
        Ok(Box::new(NopalModule {
            module,
            instrumentation: self.instrumentation,
            counting: OnceCell::new(),
        }))
    }
}

struct NopalModule {
    module: Module,
    instrumentation: Instrumentation,
    /// Attached before the first run, and kept for all.
    counting: OnceCell<Counting>,
}

impl Compiled for NopalModule {
    fn code_bytes(&self) -> Option<usize> {
        Some(self.module.code_size())
    }

    fn side_table_bytes(&self) -> Option<usize> {
        Some(self.module.side_table_size())
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Prepared>> {
        let stdout = Capture::new();
        let mut wasi = WasiCtx::builder();
        wasi.args(&command.argv).stdout(Box::new(stdout.clone()));
        wasi.preopened_dir(&command.dir, ".")
            .map_err(|error| one_line(&error))?;
        let wasi = wasi.build().map_err(|error| one_line(&error))?;
        let mut linker = Linker::new(self.module.engine());
        nopal_wasi::add_to_linker(&mut linker, |wasi| wasi).map_err(|error| one_line(&error))?;
        let store = Store::new(self.module.engine(), wasi);
        let counting = match self.instrumentation {
            Instrumentation::CountEntries => Some(self.counting()?),
            Instrumentation::Off | Instrumentation::None => None,
        };
        Ok(Box::new(NopalRun {
            module: self.module.clone(),
            linker,
            store,
            stdout,
            counting,
        }))
    }

    fn instantiate_alone(&self) -> Result<()> {
        let mut linker = Linker::new(self.module.engine());
        let mut store = Store::new(self.module.engine(), ());
        define_imports(&mut linker, &mut store, &self.module)
            .and_then(|()| linker.instantiate(&mut store, &self.module))
            .map(|_| ())
            .map_err(|error| describe(&error))
    }
}

/// Gives `linker` something for each import of `module`.
fn define_imports(
    linker: &mut Linker<()>,
    store: &mut Store<()>,
    module: &Module,
) -> nopal_wasm::Result<()> {
    linker.allow_shadowing(true);
    for import in module.imports() {
        let (from, name) = (import.module.as_str(), import.name.as_str());
        let item: Extern = match import.ty {
            ExternType::Func(ty) => {
                let called = format!("{from}::{name} was called");
                linker.func_new(from, name, ty, move |_, _, _| {
                    Err(Error::msg(called.clone()))
                })?;
                continue;
            }
            ExternType::Memory(ty) => Memory::new(&mut *store, ty)?.into(),
            ExternType::Table(ty) => {
                let null = Val::default_for(ty.element().into());
                Table::new(&mut *store, ty, null)?.into()
            }
            ExternType::Global(ty) => {
                Global::new(&mut *store, ty, Val::default_for(ty.content()))?.into()
            }
        };
        linker.define(&*store, from, name, item)?;
    }
    Ok(())
}

impl NopalModule {
    fn counting(&self) -> Result<Counting> {
        match self.counting.get() {
            Some(counting) => Ok(counting.clone()),
            None => {
                let counting = Counting::attach(&self.module)?;
                Ok(self.counting.get_or_init(|| counting).clone())
            }
        }
    }
}

/// A count hook on every function entry of a module.
#[derive(Clone)]
struct Counting {
    hook: CountHook,
    entries: Vec<SiteId>,
}

impl Counting {
    fn attach(module: &Module) -> Result<Counting> {
        let space = module.engine().code_space();
        let hook = space.count_hook().map_err(|error| one_line(&error))?;
        let entries: Vec<SiteId> = module
            .sites()
            .iter()
            .filter(|site| site.kind() == SiteKind::Entry)
            .map(|site| site.id())
            .collect();
        space
            .patch()
            .enable_all(entries.iter().copied(), &hook)
            .commit()
            .map_err(|error| one_line(&error))?;
        Ok(Counting { hook, entries })
    }

    fn total(&self) -> u64 {
        self.entries.iter().map(|&site| self.hook.count(site)).sum()
    }
}

struct NopalRun {
    module: Module,
    linker: Linker<WasiCtx>,
    store: Store<WasiCtx>,
    stdout: Capture,
    counting: Option<Counting>,
}

impl Prepared for NopalRun {
    fn run(&mut self) -> Result<i32> {
        let finished = self
            .linker
            .instantiate(&mut self.store, &self.module)
            .and_then(|instance| instance.get_typed_func::<(), ()>(&mut self.store, "_start"))
            .and_then(|start| start.call(&mut self.store, ()));
        match finished {
            Ok(()) => Ok(0),
            Err(error) => match error.downcast_ref::<Exit>() {
                Some(exit) => Ok(exit.0),
                None => Err(describe(&error)),
            },
        }
    }

    fn finish(&self) -> Result<Vec<u8>> {
        match &self.counting {
            Some(counting) if counting.total() == 0 => Err(String::from(
                "the hook on every function entry was never called",
            )),
            _ => Ok(self.stdout.contents()),
        }
    }
}

/// The kind of error without the backtrace that may follow.
fn describe(error: &Error) -> String {
    one_line(error)
}
