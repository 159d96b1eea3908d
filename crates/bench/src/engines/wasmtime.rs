//! Wasmtime, in every configuration worth comparing with.
//!
//! The crate feature `cache` is off: nothing compiled earlier is used again.

use wasmtime::{Config, Linker, Module, OptLevel, RegallocAlgorithm, Store, Strategy};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use super::{Compiled, Engine, MAX_STACK, Prepared, Result, Threads, id, one_line};
use crate::corpus::Command;

/// The version in Cargo.lock.
const VERSION: &str = "48.0.8";

/// More output than any program of a benchmark should print.
const STDOUT_CAPACITY: usize = 1 << 30;

type Configure = fn(&mut Config);

const CONFIGURATIONS: [(&str, &str, Configure); 5] = [
    (id::CRANELIFT_SPEED, "Cranelift `speed`", |config| {
        config.cranelift_opt_level(OptLevel::Speed);
    }),
    (id::CRANELIFT_NONE, "Cranelift `none`", |config| {
        config.cranelift_opt_level(OptLevel::None);
    }),
    (
        id::CRANELIFT_SINGLE_PASS,
        "Cranelift `none`, single-pass registers",
        |config| {
            config.cranelift_opt_level(OptLevel::None);
            config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        },
    ),
    (id::WINCH, "Winch", |config| {
        config.strategy(Strategy::Winch);
    }),
    (
        id::GUEST_DEBUG,
        "Cranelift `speed`, `guest_debug`",
        |config| {
            config.cranelift_opt_level(OptLevel::Speed);
            config.guest_debug(true);
        },
    ),
];

/// The engine `id`, if it is one of those here.
pub(super) fn engine(id: &str, threads: Threads) -> Option<Result<Box<dyn Engine>>> {
    let found = CONFIGURATIONS.iter().find(|(known, ..)| *known == id)?;
    Some(configured(*found, threads))
}

fn configured(
    (id, label, configure): (&'static str, &'static str, Configure),
    threads: Threads,
) -> Result<Box<dyn Engine>> {
    let mut config = Config::new();
    config
        .max_wasm_stack(MAX_STACK)
        .parallel_compilation(threads == Threads::All);
    configure(&mut config);
    let engine = wasmtime::Engine::new(&config).map_err(describe)?;
    Ok(Box::new(WasmtimeEngine { id, label, engine }))
}

struct WasmtimeEngine {
    id: &'static str,
    label: &'static str,
    engine: wasmtime::Engine,
}

impl Engine for WasmtimeEngine {
    fn id(&self) -> &'static str {
        self.id
    }

    fn label(&self) -> &str {
        self.label
    }

    fn runtime(&self) -> String {
        format!("Wasmtime {VERSION}")
    }

    fn compile(&self, wasm: &[u8]) -> Result<Box<dyn Compiled>> {
        let module = Module::from_binary(&self.engine, wasm).map_err(describe)?;
        Ok(Box::new(WasmtimeModule { module }))
    }
}

struct WasmtimeModule {
    module: Module,
}

impl Compiled for WasmtimeModule {
    fn code_bytes(&self) -> Option<usize> {
        Some(self.module.text().len())
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Prepared>> {
        let stdout = MemoryOutputPipe::new(STDOUT_CAPACITY);
        let mut wasi = WasiCtxBuilder::new();
        // The guest runs on this thread anyway: file access need not travel through another one.
        wasi.args(&command.argv)
            .stdout(stdout.clone())
            .allow_blocking_current_thread(true);
        wasi.preopened_dir(&command.dir, ".", FsPerms::ReadWrite)
            .map_err(describe)?;
        let engine = self.module.engine();
        let mut linker = Linker::new(engine);
        p1::add_to_linker_sync(&mut linker, |wasi| wasi).map_err(describe)?;
        let store = Store::new(engine, wasi.build_p1());
        Ok(Box::new(WasmtimeRun {
            module: self.module.clone(),
            linker,
            store,
            stdout,
        }))
    }

    fn instantiate_alone(&self) -> Result<()> {
        let engine = self.module.engine();
        let mut linker = Linker::new(engine);
        let mut store = Store::new(engine, ());
        linker
            .define_unknown_imports_as_traps(&self.module)
            .and_then(|()| {
                linker.define_unknown_imports_as_default_values(&mut store, &self.module)
            })
            .and_then(|()| linker.instantiate(&mut store, &self.module))
            .map(|_| ())
            .map_err(describe)
    }
}

struct WasmtimeRun {
    module: Module,
    linker: Linker<WasiP1Ctx>,
    store: Store<WasiP1Ctx>,
    stdout: MemoryOutputPipe,
}

impl Prepared for WasmtimeRun {
    fn run(&mut self) -> Result<i32> {
        let finished = self
            .linker
            .instantiate(&mut self.store, &self.module)
            .and_then(|instance| instance.get_typed_func::<(), ()>(&mut self.store, "_start"))
            .and_then(|start| start.call(&mut self.store, ()));
        match finished {
            Ok(()) => Ok(0),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(exit.0),
                None => Err(describe(error)),
            },
        }
    }

    fn finish(&self) -> Result<Vec<u8>> {
        Ok(self.stdout.contents().to_vec())
    }
}

fn describe(error: wasmtime::Error) -> String {
    one_line(error.as_ref())
}
