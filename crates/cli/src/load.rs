//! From a file to a compiled module.

use crate::args::{Cache, Compile, GuestArgs};
use crate::failure::Failure;
use crate::output;
use nopal_wasm::{CodeCache, Config, Engine, Error, ErrorKind, Module};
use std::fs;
use std::path::Path;

/// The first four bytes of a binary module, and of a component.
const MAGIC: &[u8] = b"\0asm";
/// The version and layer of a component.
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// The bytes of the module in a file, which may be binary or text.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path)
        .map_err(|error| Failure::Error(format!("cannot read {}: {error}", path.display())))?;
    if let Some(rest) = bytes.strip_prefix(MAGIC) {
        if rest.starts_with(COMPONENT) {
            return Err(in_file(
                path,
                "this is a component; Nopal runs core modules (build for wasm32-wasip1)",
            ));
        }
        return Ok(bytes);
    }
    if is_text(path, &bytes) {
        return text_to_binary(path, &bytes);
    }
    Err(in_file(
        path,
        "not a WebAssembly module: it begins neither with `\\0asm` nor with `(`",
    ))
}

fn is_text(path: &Path, bytes: &[u8]) -> bool {
    let first = bytes.trim_ascii_start().first();
    path.extension().is_some_and(|ext| ext == "wat") || matches!(first, Some(b'(' | b';'))
}

fn text_to_binary(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| in_file(path, &error.to_string()))?;
    wat::parse_str(text).map_err(|error| {
        // A message, the place (`--> <anon>:LINE:COLUMN`), and lines that show it.
        let report = error.to_string();
        let mut lines = report.lines();
        let message = lines.next().unwrap_or_default();
        let place = lines
            .next()
            .and_then(|line| line.trim().strip_prefix("--> <anon>"));
        match place {
            Some(place) => Failure::Error(format!("{}{place}: {message}", path.display())),
            None => in_file(path, &report),
        }
    })
}

/// An engine for a guest, whose modules have all patch sites: a program need not be started in order to be
/// observed.
pub(crate) fn engine(args: &GuestArgs) -> Result<Engine, Failure> {
    let mut config = Config::new();
    config.lazy_compilation(args.compile == Compile::Lazy);
    if let Some(cache) = open(args.cache()) {
        config.cache(cache);
    }
    start(&config)
}

/// An engine with these settings.
pub(crate) fn start(config: &Config) -> Result<Engine, Failure> {
    Engine::new(config).map_err(|error| Failure::Error(format!("cannot start the engine: {error}")))
}

/// The cache, if it can be used. Programs run without one, too; who asked for one is told.
fn open(cache: Cache<'_>) -> Option<CodeCache> {
    match cache {
        Cache::None => None,
        Cache::Default => CodeCache::open(CodeCache::default_dir()?).ok(),
        Cache::Dir(dir) => {
            let opened = CodeCache::open(dir);
            if let Err(error) = &opened {
                output::eprint(&format!("nopal: note: no cache: {error}\n"));
            }
            opened.ok()
        }
    }
}

/// Compile the module that was read from `path`.
pub(crate) fn compile(engine: &Engine, path: &Path, wasm: &[u8]) -> Result<Module, Failure> {
    Module::new(engine, wasm).map_err(|error| failure(path, &error))
}

/// What went wrong with the module in `path`, and what can be done about it.
pub(crate) fn failure(path: &Path, error: &Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::Unsupported { .. } => "; build it for WebAssembly 2.0 without SIMD",
        ErrorKind::Link(_) => "; only WASI preview 1 (wasi_snapshot_preview1) is provided",
        ErrorKind::Invalid { .. } => "; the file may be damaged or incomplete",
        _ => "",
    };
    in_file(path, &format!("{error}{advice}"))
}

fn in_file(path: &Path, message: &str) -> Failure {
    Failure::Error(format!("{}: {message}", path.display()))
}
