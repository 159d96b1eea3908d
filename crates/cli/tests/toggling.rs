//! Hooks switched a thousand times a second from another thread while programs run.
//!
//! `NOPAL_CORPUS` names another folder of programs; `--nocapture` shows how often hooks were switched.

mod common;

use common::{arguments, corpus};
use nopal_instrument::{ChromeSink, Counts, Patterns, Switch, TextSink, TraceOptions, Tracer};
use nopal_wasi::{Capture, WasiCtx};
use nopal_wasm::{Engine, Linker, Module, Store};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two switches.
const PERIOD: Duration = Duration::from_millis(1);

/// Run the program at `path`; returns what it prints.
fn run(module: &Module, path: &Path) -> String {
    let stdout = Capture::new();
    let mut world = WasiCtx::builder();
    let world = world.arg("program").args(arguments(path));
    let world = world.stdout(Box::new(stdout.clone()));
    let world = world.preopened_dir(path.parent().unwrap(), ".").unwrap();
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

/// Run the program while `switch` is switched; returns what it prints and how often it was switched.
fn run_toggled(module: &Module, path: &Path, switch: &Switch) -> (String, u32) {
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (output, times) = thread::scope(|scope| {
        let toggler = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::Relaxed) {
                for turn in [Switch::on, Switch::off] {
                    turn(switch).unwrap();
                    times += 1;
                    // What was missed while this thread did not run is caught up with.
                    let next = start + PERIOD * times;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
            times
        });
        let output = run(module, path);
        done.store(true, Ordering::Relaxed);
        (output, toggler.join().unwrap())
    });
    let rate = f64::from(times) / start.elapsed().as_secs_f64();
    println!(
        "{}: switched {times} times, {rate:.0} a second",
        path.display()
    );
    (output, times)
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
        let (output, times) = run_toggled(&module, &path, tracer.switch());
        let summary = tracer.finish().unwrap();
        assert_eq!(output, expected, "{}", path.display());
        assert!(times > 20, "{}: {times}", path.display());
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
        let (output, times) = run_toggled(&module, &path, counts.switch());
        assert_eq!(output, expected, "{}", path.display());
        assert!(times > 20, "{}: {times}", path.display());
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
