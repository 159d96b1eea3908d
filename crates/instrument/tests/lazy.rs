//! Instruments and functions that are compiled when they are called.

use nopal_instrument::{Counts, Patterns, TextSink, TraceOptions, Tracer};
use nopal_wasm::{Config, Engine, Linker, Module, Result, Store};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// `even` and `odd` call each other, `idle` is called by nobody.
const TEXT: &str = r#"(module
    (func $even (export "even") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (call $odd (i32.sub (local.get 0) (i32.const 1))))
            (else (i32.const 1))))
    (func $odd (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (call $even (i32.sub (local.get 0) (i32.const 1))))
            (else (i32.const 0))))
    (func $idle (loop)))"#;

fn module(lazy: bool) -> Module {
    let engine = Engine::new(Config::new().lazy_compilation(lazy)).unwrap();
    Module::new(&engine, &wat::parse_str(TEXT).unwrap()).unwrap()
}

fn even(module: &Module, n: i32) -> i32 {
    let call = || -> Result<i32> {
        let mut store = Store::new(module.engine(), ());
        let instance = Linker::new(module.engine()).instantiate(&mut store, module)?;
        let even = instance.get_typed_func::<i32, i32>(&mut store, "even")?;
        even.call(&mut store, n)
    };
    call().unwrap()
}

/// What is written, to be read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The trace of `even(5)`, without times.
fn trace(module: &Module, pattern: &str) -> String {
    let functions = Patterns::new([pattern]).unwrap().select(module);
    let out = Shared::default();
    let mut options = TraceOptions::default();
    options.values = true;
    let tracer = Tracer::new(module, &functions, &options, TextSink::new(out.clone())).unwrap();
    tracer.switch().on().unwrap();
    assert_eq!(even(module, 5), 0);
    tracer.finish().unwrap();
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let from_arrow = |line: &str| line.find(['>', '<']).map(|at| line[at..].to_owned());
    let without_time = |line: String| match line.split_once(" (") {
        Some((call, _)) if line.starts_with('<') => call.to_owned(),
        _ => line,
    };
    (text.lines().filter_map(from_arrow).map(without_time))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_trace_is_the_same() {
    for pattern in ["*", "odd"] {
        let expected = trace(&module(false), pattern);
        let lazy = module(true);
        assert_eq!(trace(&lazy, pattern), expected);
        assert!(expected.contains("odd"), "{expected}");
        // Also when the functions were called before.
        assert_eq!(trace(&lazy, pattern), expected);
    }
}

#[test]
fn only_functions_to_be_observed_are_compiled_for_it() {
    let module = module(true);
    let none = module.code_size();
    let counts = Counts::new(&module, &[1]).unwrap();
    let one = module.code_size();
    assert!(one > none);
    counts.switch().on().unwrap();
    assert_eq!(module.code_size(), one);
    assert_eq!(even(&module, 9), 0);
    assert_eq!(counts.by_function(), [(1, 5)]);
    let two = module.code_size();
    assert!(two > one);
    drop(Counts::new(&module, &[0, 1, 2]).unwrap());
    assert!(module.code_size() > two);
}

#[test]
fn a_running_program_is_observed() {
    let module = module(true);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(even(&module, 10), 1);
            }
        });
        for _ in 0..20 {
            let counts = Counts::new(&module, &[0, 1, 2]).unwrap();
            counts.switch().on().unwrap();
            while counts.by_function()[1].1 < 10 {
                thread::yield_now();
            }
            counts.switch().off().unwrap();
            assert_eq!(counts.by_function()[2], (2, 0));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
