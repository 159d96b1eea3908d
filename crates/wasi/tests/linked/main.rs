//! Guests that run: modules that import preview 1 through a linker.

mod imports;
mod programs;

use nopal_wasi::{Capture, WasiCtx, WasiCtxBuilder, add_to_linker, exit_code};
use nopal_wasm::{Engine, Error, Linker, Module, Store};

/// Runs `_start` of a module; returns its exit code and its standard output.
fn run(wasm: &[u8], builder: &mut WasiCtxBuilder) -> Result<(i32, String), Error> {
    let output = Capture::new();
    let ctx = builder.stdout(Box::new(output.clone())).build().unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, wasm)?;
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
    let code = exit_code(start.call(&mut store, ()))?;
    Ok((code, String::from_utf8(output.take()).unwrap()))
}

fn run_wat(wat: &str, builder: &mut WasiCtxBuilder) -> Result<(i32, String), Error> {
    run(&wat::parse_str(wat).unwrap(), builder)
}
