//! What the tests of the public interface share.

use crate::config;
use nopal_wasm::{Engine, Instance, Linker, Module, Store};

/// An engine whose functions are compiled as the test program says.
pub(crate) fn engine() -> Engine {
    Engine::new(&config()).expect("an engine")
}

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn module(engine: &Engine, text: &str) -> Module {
    let wasm = wat::parse_str(text).expect("valid text");
    Module::new(engine, &wasm).expect("a module that compiles")
}

/// An instance of a module without imports.
pub(crate) fn instance(text: &str) -> (Store<()>, Instance) {
    let engine = engine();
    let module = module(&engine, text);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    (store, instance)
}

/// An instance of a module whose imports `define` defines.
pub(crate) fn linked<T: 'static>(
    data: T,
    text: &str,
    define: impl FnOnce(&mut Linker<T>) -> nopal_wasm::Result<()>,
) -> (Store<T>, Instance) {
    let engine = engine();
    let module = module(&engine, text);
    let mut store = Store::new(&engine, data);
    let mut linker = Linker::new(&engine);
    define(&mut linker).expect("definitions");
    let instance = linker.instantiate(&mut store, &module);
    (store, instance.expect("an instance"))
}
