//! Hooks switched a thousand times a second from another thread while programs run.

mod common;

use common::corpus;
use nopal_instrument::{ChromeSink, Counts, Patterns, Switch, TextSink, TraceOptions, Tracer};
use nopal_wasi::{Capture, WasiCtx};
use nopal_wasm::{Engine, Linker, Module, Store};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Run the program; returns what it prints.
fn run(module: &Module) -> String {
    let stdout = Capture::new();
    let mut world = WasiCtx::builder();
    let world = world.arg("program").stdout(Box::new(stdout.clone()));
    let mut store = Store::new(module.engine(), world.build().unwrap());
    let mut linker = Linker::new(module.engine());
    nopal_wasi::add_to_linker(&mut linker, |world: &mut WasiCtx| world).unwrap();
    let instance = linker.instantiate(&mut store, module).unwrap();
    let start = instance
        .get_typed_func::<(), ()>(&mut store, "_start")
        .unwrap();
    let code = nopal_wasi::exit_code(start.call(&mut store, ())).unwrap();
    assert_eq!(code, 0);
    String::from_utf8(stdout.contents()).unwrap()
}

/// Run the program while `switch` is switched; returns what it prints and how often it was on.
fn run_toggled(module: &Module, switch: &Switch) -> (String, u32) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let toggler = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::Relaxed) {
                switch.on().unwrap();
                thread::sleep(Duration::from_micros(500));
                switch.off().unwrap();
                thread::sleep(Duration::from_micros(500));
                times += 1;
            }
            times
        });
        let output = run(module);
        done.store(true, Ordering::Relaxed);
        (output, toggler.join().unwrap())
    })
}

fn load(path: &Path) -> (Module, Vec<u32>) {
    let module = Module::new(&Engine::default(), &fs::read(path).unwrap()).unwrap();
    let functions = Patterns::new(["*"]).unwrap().select(&module);
    (module, functions)
}

#[test]
fn traced_programs_print_what_they_should() {
    // A program that stays in one function may meet no hook at all.
    let mut records = 0;
    for (path, expected) in corpus() {
        let (module, functions) = load(&path);
        let mut options = TraceOptions::default();
        options.values = true;
        options.limit = u64::MAX;
        let tracer = Tracer::new(&module, &functions, &options, TextSink::new(io::sink()));
        let tracer = tracer.unwrap();
        let (output, times) = run_toggled(&module, tracer.switch());
        let summary = tracer.finish().unwrap();
        assert_eq!(output, expected, "{}", path.display());
        assert!(times > 10, "{}: {times}", path.display());
        assert_eq!(summary.limit_reached, None);
        records += summary.records;
    }
    assert!(records > 1000, "{records}");
}

#[test]
fn counted_programs_print_what_they_should() {
    let mut calls = 0;
    for (path, expected) in corpus() {
        let (module, functions) = load(&path);
        let counts = Counts::new(&module, &functions).unwrap();
        let (output, times) = run_toggled(&module, counts.switch());
        assert_eq!(output, expected, "{}", path.display());
        assert!(times > 10, "{}: {times}", path.display());
        calls += counts
            .by_function()
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>();
    }
    assert!(calls > 1000, "{calls}");
}

#[test]
fn two_tracers_of_one_module_are_refused_not_mixed() {
    let (path, _) = corpus().swap_remove(0);
    let (module, functions) = load(&path);
    let options = TraceOptions::default();
    let make = || Tracer::new(&module, &functions, &options, ChromeSink::new(io::sink())).unwrap();
    let (first, second) = (make(), make());
    first.switch().on().unwrap();
    let error = second.switch().on().unwrap_err().to_string();
    assert!(error.contains("already calls another hook"), "{error}");
    first.switch().off().unwrap();
    second.switch().on().unwrap();
    second.finish().unwrap();
    assert_eq!(first.finish().unwrap().records, 0);
}
