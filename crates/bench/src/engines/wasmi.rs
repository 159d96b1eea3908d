//! wasmi: an interpreter, for what compiling buys.

use std::sync::{Arc, PoisonError, RwLock};

use wasmi::{
    Caller, CompilationMode, Config, Error, Extern, ExternType, Func, Global, Linker, Memory,
    Module, Ref, Store, Table, Val,
};
use wasmi_wasi::wasi_common::pipe::WritePipe;
use wasmi_wasi::{Dir, WasiCtx, WasiCtxBuilder, ambient_authority};

use super::{Compiled, Engine, MAX_STACK, Prepared, Result, id, one_line};
use crate::corpus::Command;

/// The version in Cargo.lock.
const VERSION: &str = "2.0.0";

/// Nested calls allowed. The stack limit is what should end a runaway recursion, as in the other engines.
const MAX_CALL_DEPTH: usize = 1 << 16;

pub(super) fn engine() -> Result<Box<dyn Engine>> {
    let mut config = Config::default();
    // By default functions are translated when first called, which would hide translation in run time.
    config.compilation_mode(CompilationMode::Eager);
    config.set_max_recursion_depth(MAX_CALL_DEPTH);
    config.set_max_stack_height(MAX_STACK);
    Ok(Box::new(WasmiEngine {
        engine: wasmi::Engine::new(&config),
    }))
}

struct WasmiEngine {
    engine: wasmi::Engine,
}

impl Engine for WasmiEngine {
    fn id(&self) -> &'static str {
        id::WASMI
    }

    fn label(&self) -> &str {
        "wasmi"
    }

    fn runtime(&self) -> String {
        format!("wasmi {VERSION}")
    }

    fn compile(&self, wasm: &[u8]) -> Result<Box<dyn Compiled>> {
        let module = Module::new(&self.engine, wasm).map_err(|error| one_line(&error))?;
        Ok(Box::new(WasmiModule {
            engine: self.engine.clone(),
            module,
        }))
    }
}

struct WasmiModule {
    engine: wasmi::Engine,
    module: Module,
}

impl Compiled for WasmiModule {
    fn code_bytes(&self) -> Option<usize> {
        None
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Prepared>> {
        let dir = Dir::open_ambient_dir(&command.dir, ambient_authority())
            .map_err(|error| format!("cannot open {}: {error}", command.dir.display()))?;
        let output = Arc::new(RwLock::new(Vec::new()));
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(&command.argv).map_err(|error| one_line(&error))?;
        wasi.preopened_dir(dir, ".")
            .map_err(|error| format!("{error:#}"))?;
        wasi.stdout(Box::new(WritePipe::from_shared(output.clone())));
        let mut linker = Linker::new(&self.engine);
        wasmi_wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)
            .map_err(|error| format!("{error:#}"))?;
        let store = Store::new(&self.engine, wasi.build());
        Ok(Box::new(WasmiRun {
            module: self.module.clone(),
            linker,
            store,
            output,
        }))
    }

    fn instantiate_alone(&self) -> Result<()> {
        let mut linker = Linker::new(&self.engine);
        let mut store = Store::new(&self.engine, ());
        define_imports(&mut linker, &mut store, &self.module)
            .and_then(|()| linker.instantiate_and_start(&mut store, &self.module))
            .map(|_| ())
            .map_err(|error| one_line(&error))
    }
}

/// Gives `linker` something for each import of `module`.
fn define_imports(
    linker: &mut Linker<()>,
    store: &mut Store<()>,
    module: &Module,
) -> std::result::Result<(), Error> {
    linker.allow_shadowing(true);
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let item: Extern = match import.ty() {
            ExternType::Func(ty) => {
                let called = format!("{from}::{name} was called");
                let trap = move |_: Caller<'_, ()>, _: &[Val], _: &mut [Val]| {
                    Err(Error::new(called.clone()))
                };
                Func::new(&mut *store, ty.clone(), trap).into()
            }
            ExternType::Memory(ty) => Memory::new(&mut *store, *ty)?.into(),
            ExternType::Table(ty) => {
                Table::new(&mut *store, *ty, Ref::default_for_ty(ty.element()))?.into()
            }
            ExternType::Global(ty) => Global::new(
                &mut *store,
                Val::default_for_ty(ty.content()),
                ty.mutability(),
            )
            .into(),
        };
        linker.define(from, name, item)?;
    }
    Ok(())
}

struct WasmiRun {
    module: Module,
    linker: Linker<WasiCtx>,
    store: Store<WasiCtx>,
    output: Arc<RwLock<Vec<u8>>>,
}

impl Prepared for WasmiRun {
    fn run(&mut self) -> Result<i32> {
        let finished = self
            .linker
            .instantiate_and_start(&mut self.store, &self.module)
            .and_then(|instance| instance.get_typed_func::<(), ()>(&self.store, "_start"))
            .and_then(|start| start.call(&mut self.store, ()));
        match finished {
            Ok(()) => Ok(0),
            Err(error) => error.i32_exit_status().ok_or_else(|| one_line(&error)),
        }
    }

    fn finish(&self) -> Result<Vec<u8>> {
        Ok(self
            .output
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }
}
