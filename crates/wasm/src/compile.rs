//! From the bytes of a module to machine code.
//!
//! Functions are compiled in chunks of about the same size. Which thread compiles which chunk is
//! open, but neither the chunks nor the order in which their code is put together depend on it.

use crate::engine::Engine;
use crate::module_info::ModuleInfo;
use crate::parse::FunctionBodyData;
use crate::text::Text;
use crate::translate::FunctionTranslator;
use crate::{Error, Result};
use nopal_codegen::{Context, Target};
use nopal_ir::{BuilderContext, CallConv, ExternalName, Function, Signature};
use rayon::prelude::*;
use std::sync::Mutex;

/// The least number of bytes of function bodies in a chunk, the last one excepted.
const CHUNK: u64 = 32 << 10;

/// What it takes to compile functions, one after the other, reusing memory.
pub(crate) struct Worker {
    translator: FunctionTranslator,
    builder: BuilderContext,
    func: Function,
    codegen: Context,
}

impl Worker {
    fn new() -> Self {
        let name = ExternalName::User {
            namespace: 0,
            index: 0,
        };
        Worker {
            translator: FunctionTranslator::default(),
            builder: BuilderContext::new(),
            func: Function::new(name, Signature::new(CallConv::Fast)),
            codegen: Context::new(),
        }
    }

    /// Compile functions of a module.
    pub(crate) fn compile<'a>(
        &mut self,
        engine: &Engine,
        info: &ModuleInfo,
        bodies: impl IntoIterator<Item = FunctionBodyData<'a>>,
    ) -> Result<Text> {
        let sites = engine.config().sites;
        let imported = info.counts.imported_funcs;
        let mut text = Text::default();
        for body in bodies {
            let index = body.index;
            self.translator
                .translate(info, body, sites, &mut self.func)?;
            let code = self
                .codegen
                .compile(&self.func, engine.target())
                .map_err(|error| Error::compile(index, error))?;
            text.push(&self.func, code, imported)?;
        }
        Ok(text)
    }

    /// Fail if one of these functions is invalid.
    fn validate(&mut self, bodies: Vec<FunctionBodyData<'_>>) -> Result<()> {
        let mut bodies = bodies.into_iter();
        bodies.try_for_each(|body| self.translator.validate(body))
    }

    /// Compile a function that `build` makes.
    pub(crate) fn compile_trampoline(
        &mut self,
        target: &Target,
        build: impl FnOnce(&mut Function, &mut BuilderContext),
    ) -> Result<Text> {
        build(&mut self.func, &mut self.builder);
        let code = self
            .codegen
            .compile(&self.func, target)
            .map_err(|error| Error::compile(0, error))?;
        let mut text = Text::default();
        text.push(&self.func, code, 0)?;
        Ok(text)
    }
}

/// Workers that have nothing to do.
#[derive(Default)]
pub(crate) struct WorkerPool(Mutex<Vec<Worker>>);

/// The most idle workers that are kept.
const MAX_IDLE: usize = 64;

impl WorkerPool {
    /// Lend a worker to `f`.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Worker) -> R) -> R {
        let idle = self.lock().pop();
        let mut worker = idle.unwrap_or_else(Worker::new);
        let result = f(&mut worker);
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(worker);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        // The vector is whole at all times.
        self.0.lock().unwrap_or_else(|err| err.into_inner())
    }
}

/// Compile all functions of a parsed module.
pub(crate) fn compile(
    engine: &Engine,
    info: &ModuleInfo,
    bodies: Vec<FunctionBodyData<'_>>,
) -> Result<Text> {
    let texts = for_each_chunk(engine, bodies, |worker, chunk| {
        worker.compile(engine, info, chunk)
    });
    let mut texts = texts.into_iter();
    let mut all = texts.next().unwrap_or_else(|| Ok(Text::default()))?;
    for text in texts {
        all.append(&text?)?;
    }
    Ok(all)
}

/// Validate all functions of a parsed module.
///
/// Fails at the first that is invalid, with the error that compiling it would end with.
pub(crate) fn validate(engine: &Engine, bodies: Vec<FunctionBodyData<'_>>) -> Result<()> {
    let results = for_each_chunk(engine, bodies, Worker::validate);
    results.into_iter().collect()
}

/// The results of `f` for the functions in chunks, in order.
fn for_each_chunk<'a, R: Send>(
    engine: &Engine,
    bodies: Vec<FunctionBodyData<'a>>,
    f: impl Fn(&mut Worker, Vec<FunctionBodyData<'a>>) -> R + Sync,
) -> Vec<R> {
    let run = |chunk| engine.workers().with(|worker| f(worker, chunk));
    let chunks = chunks(bodies);
    if engine.config().parallel_compilation && chunks.len() > 1 {
        chunks.into_par_iter().map(run).collect()
    } else {
        chunks.into_iter().map(run).collect()
    }
}

fn chunks(bodies: Vec<FunctionBodyData<'_>>) -> Vec<Vec<FunctionBodyData<'_>>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut size = 0;
    for body in bodies {
        let range = body.body.range();
        size += range.end - range.start;
        chunk.push(body);
        if size >= CHUNK {
            chunks.push(std::mem::take(&mut chunk));
            size = 0;
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}
