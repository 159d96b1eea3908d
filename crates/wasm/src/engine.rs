//! Engines: what modules and stores share.

use crate::compile::{Worker, WorkerPool};
use crate::config::Config;
use crate::stack::WasmStack;
use crate::trampoline::{EnterTrampoline, build_enter, build_exit};
use crate::type_registry::{FuncTypeEntry, TypeRegistry};
use crate::{Error, FuncType, Result, signals};
use nopal_codegen::Target;
use nopal_ir::{BuilderContext, Function};
use nopal_live::{Code, CodeSpace, SpaceConfig, VectorState};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Compiles modules and holds their code.
///
/// Cheap to clone; all clones are the same engine. Modules and stores of one engine work together.
#[derive(Clone)]
pub struct Engine(Arc<EngineInner>);

struct EngineInner {
    config: Config,
    target: Target,
    space: Arc<CodeSpace>,
    types: TypeRegistry,
    workers: WorkerPool,
}

impl Engine {
    /// An engine with these settings.
    ///
    /// Fails if a setting is out of range, or the system allows no executable memory or no
    /// signal handlers.
    pub fn new(config: &Config) -> Result<Engine> {
        WasmStack::check_size(config.max_wasm_stack)?;
        signals::install()?;
        let mut space = SpaceConfig::new();
        // Compiled code uses no vector registers but the lowest 16 and their lowest 128 bits.
        space
            .reserve(config.code_space)
            .vector_state(VectorState::Xmm);
        Ok(Engine(Arc::new(EngineInner {
            config: config.clone(),
            target: Target::host().map_err(|error| Error::system(error.to_string()))?,
            space: CodeSpace::new(&space).map_err(Error::code_memory)?,
            types: TypeRegistry::default(),
            workers: WorkerPool::default(),
        })))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The executable memory of all modules of the engine: where sites are patched.
    pub fn code_space(&self) -> &Arc<CodeSpace> {
        &self.0.space
    }

    /// Whether both are the same engine.
    pub fn same(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0.target
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.0.types
    }

    pub(crate) fn workers(&self) -> &WorkerPool {
        &self.0.workers
    }

    /// The code by which the host calls functions of a type.
    pub(crate) fn enter_trampoline(&self, ty: &FuncTypeEntry) -> Result<EnterTrampoline> {
        let code = self.trampoline(&ty.enter, ty.ty(), build_enter)?;
        // SAFETY: the code there has this signature and lives as long as the engine.
        Ok(unsafe { std::mem::transmute::<usize, EnterTrampoline>(code) })
    }

    /// The code by which the guest calls host functions of a type.
    pub(crate) fn exit_trampoline(&self, ty: &FuncTypeEntry) -> Result<*const u8> {
        let code = self.trampoline(&ty.exit, ty.ty(), build_exit)?;
        Ok(code as *const u8)
    }

    /// The address of the code in `slot`, which is made if it is not there.
    fn trampoline(
        &self,
        slot: &OnceLock<Code>,
        ty: &FuncType,
        build: fn(&mut Function, &mut BuilderContext, &FuncType),
    ) -> Result<usize> {
        if let Some(code) = slot.get() {
            return Ok(code.base());
        }
        let mut text = self.0.workers.with(|worker: &mut Worker| {
            worker.compile_trampoline(self.target(), |func, ctx| build(func, ctx, ty))
        })?;
        // There is one function, which calls no other of a module.
        let maps = text.take_maps();
        let code = text.publish(&self.0.space, &maps, 0, |base, _| base)?;
        // Another thread may have been faster.
        Ok(slot.get_or_init(|| code).base())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(self.config()).finish()
    }
}

impl Default for Engine {
    /// An engine with the default settings.
    ///
    /// Panics where [`Engine::new`] fails.
    fn default() -> Self {
        Engine::new(&Config::new()).expect("an engine with the default settings")
    }
}
