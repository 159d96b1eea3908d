//! What happens when a function is called for the first time.

use crate::{Test, config, engine, linked, module};
use nopal_wasm::*;
use std::fmt::Write;
use std::sync::Barrier;
use std::thread;

/// Functions `f0` to `f63`, each adding its number to the result of the next.
fn chain() -> String {
    let mut text = String::from("(module");
    for n in 0..64 {
        let rest = match n {
            63 => "(local.get 0)".to_owned(),
            _ => format!("(call $f{} (local.get 0))", n + 1),
        };
        write!(
            text,
            r#"(func $f{n} (export "f{n}") (param i32) (result i32) (i32.add (i32.const {n}) {rest}))"#
        )
        .expect("text");
    }
    text + ")"
}

#[test]
fn only_what_is_called_is_compiled() -> Test {
    let engine = engine();
    let module = module(&engine, &chain());
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let stubs = module.code_size();
    assert_eq!(module.side_table_size(), 0);
    assert!(module.code_range().is_empty());
    let mut call = |n: usize| -> Result<usize> {
        let f = instance.get_typed_func::<i32, i32>(&mut store, &format!("f{n}"))?;
        let rest: i32 = (n as i32..64).sum();
        assert_eq!(f.call(&mut store, 1000)?, 1000 + rest);
        Ok(module.code_size())
    };
    let one = call(63)? - stubs;
    assert!(one > 0);
    let two = call(62)? - stubs;
    assert!(two > one);
    assert_eq!(call(62)? - stubs, two);
    assert!(call(0)? - stubs > 20 * two);
    Ok(())
}

#[test]
fn what_is_asked_for_is_compiled() -> Test {
    let engine = engine();
    let module = module(&engine, &chain());
    let stubs = module.code_size();
    let func = module.function(5).expect("a function");
    assert_eq!(func.sites().len(), 2);
    let one = module.code_size();
    assert!(one > stubs);
    assert_eq!(one - stubs, func.code_range().len());
    for site in func.sites() {
        assert_eq!(module.site(site.id()).map(Site::func), Some(5));
        let at = module.function_at(site.return_address() - 1);
        assert_eq!(at.map(|f| f.index()), Some(5));
    }
    module.compile_functions([5, 6, 1000])?;
    let two = module.code_size();
    assert!(two > one);
    module.compile_functions([6, 5])?;
    assert_eq!(module.code_size(), two);
    assert_eq!(module.sites().len(), 2 * 64);
    let functions = module.sites().iter().map(Site::func);
    assert!(functions.is_sorted());
    assert!(module.function(64).is_none());
    Ok(())
}

#[test]
fn threads_race_for_the_first_call() -> Test {
    const THREADS: usize = 4;
    for _ in 0..20 {
        let engine = engine();
        let module = module(&engine, &chain());
        let start = Barrier::new(THREADS);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| -> Result<i32> {
                        let mut store = Store::new(&engine, ());
                        let instance = Instance::new(&mut store, &module, &[])?;
                        let f = instance.get_typed_func::<i32, i32>(&mut store, "f0")?;
                        start.wait();
                        f.call(&mut store, 0)
                    })
                })
                .collect();
            for thread in threads {
                let result = thread.join().expect("no panic").expect("a result");
                assert_eq!(result, 63 * 64 / 2);
            }
        });
        let size = module.code_size();
        module.compile_functions(0..64)?;
        assert_eq!(module.code_size(), size, "each was compiled, and once");
    }
    Ok(())
}

#[test]
fn sites_are_switched_while_functions_are_compiled() -> Test {
    for _ in 0..10 {
        let engine = engine();
        let module = module(&engine, &chain());
        let hook = engine.code_space().count_hook()?;
        let start = Barrier::new(2);
        thread::scope(|scope| -> Test {
            let guest = scope.spawn(|| -> Result<i32> {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[])?;
                let f = instance.get_typed_func::<i32, i32>(&mut store, "f0")?;
                start.wait();
                f.call(&mut store, 0)
            });
            start.wait();
            let sites = module.sites().iter().map(Site::id);
            engine
                .code_space()
                .patch()
                .enable_all(sites, &hook)
                .commit()?;
            assert_eq!(guest.join().expect("no panic")?, 63 * 64 / 2);
            Ok(())
        })?;
        assert_eq!(module.sites().len(), 2 * 64);
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_typed_func::<i32, i32>(&mut store, "f0")?;
        let counts = || module.sites().iter().map(|site| hook.count(site.id()));
        let before: Vec<u64> = counts().collect();
        f.call(&mut store, 0)?;
        assert!(counts().zip(before).all(|(now, before)| now == before + 1));
    }
    Ok(())
}

#[test]
fn arguments_and_results_pass_through() -> Test {
    // More of each kind than registers, and more results than registers: the context is in another
    // place then.
    let ints = "i64 ".repeat(9);
    let floats = "f64 ".repeat(11);
    let text = format!(
        r#"(module
            (type $few (func (param {ints} {floats} f32 i32) (result f64)))
            (type $many (func (param {ints} {floats} f32 i32) (result {ints} {floats} f32 i32)))
            (table funcref (elem $b $c))
            (func $many (export "many") (type $many) {gets})
            (func $a (export "a") (type $few) {gets} (call $last))
            (func $b (type $few) {gets} (call $last))
            (func $c (type $many) {gets})
            (func $last (type $few) (f64.add (local.get 19) (f64.promote_f32 (local.get 20))))
            (func (export "b") (type $few) {gets} (call_indirect (type $few) (i32.const 0)))
            (func (export "c") (type $many) {gets} (call_indirect (type $many) (i32.const 1)))
            (func (export "d") (type $many) {gets} (call $d))
            (func $d (type $many) {gets}))"#,
        gets = (0..22)
            .map(|n| format!("(local.get {n})"))
            .collect::<String>(),
    );
    let engine = engine();
    let module = module(&engine, &text);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let ints = (0..9).map(|n| Val::I64(n * 0x0101_0101_0101 - 4));
    let floats = (0..11).map(|n| Val::from(f64::from(n) * 1.5 - 3.0));
    let rest = [Val::from(0.25f32), Val::I32(-7)];
    let args: Vec<Val> = ints.chain(floats).chain(rest).collect();
    let shown = |values: &[Val]| format!("{values:?}");
    for name in ["many", "c", "d"] {
        let mut results = args.clone();
        results.reverse();
        let f = instance.get_func(&mut store, name).expect("a function");
        f.call(&mut store, &args, &mut results)?;
        assert_eq!(shown(&results), shown(&args), "{name}");
    }
    for name in ["a", "b"] {
        let mut results = [Val::from(0f64)];
        let f = instance.get_func(&mut store, name).expect("a function");
        f.call(&mut store, &args, &mut results)?;
        assert_eq!(shown(&results), shown(&[Val::from(12.25f64)]), "{name}");
    }
    Ok(())
}

#[test]
fn instances_made_before_call_what_another_had_compiled() -> Test {
    let engine = engine();
    let text = r#"(module
        (type $t (func (param i32) (result i32)))
        (table (export "table") funcref (elem $twice))
        (func $twice (export "twice") (type $t) (i32.mul (local.get 0) (i32.const 2)))
        (func (export "direct") (type $t) (call $twice (local.get 0)))
        (func (export "indirect") (type $t) (call_indirect (type $t) (local.get 0) (i32.const 0))))"#;
    let module = module(&engine, text);
    let mut instances = Vec::new();
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        instances.push((store, instance));
    }
    for (store, instance) in &mut instances {
        for n in 0..3 {
            for name in ["indirect", "direct", "twice", "indirect"] {
                let f = instance.get_typed_func::<i32, i32>(&mut *store, name)?;
                assert_eq!(f.call(&mut *store, n)?, 2 * n, "{name}");
            }
        }
    }
    assert_eq!(module.sites().len(), 6);
    Ok(())
}

#[test]
fn a_first_call_takes_none_of_the_guests_stack() -> Test {
    let text = r#"(module
        (func $f (export "f") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
                (else (call $last))))
        (func $last (result i32) (i32.const 5)))"#;
    // Whether the call with this depth succeeds, `last` being called for the first time in it.
    let call = |engine: &Engine, depth: i32| -> Result<(bool, Option<TrapKind>)> {
        let module = module(engine, text);
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
        Ok(match f.call(&mut store, depth) {
            Ok(sum) => (sum == depth + 5, None),
            Err(error) => (false, error.trap().map(TrapError::kind)),
        })
    };
    let (eager, lazy) = (Engine::default(), engine());
    // The first depth that is too much, eagerly.
    let (mut least, mut most) = (0, 1 << 20);
    while least < most {
        let middle = (least + most) / 2;
        match call(&eager, middle)? {
            (true, None) => least = middle + 1,
            (false, Some(TrapKind::StackOverflow)) => most = middle,
            other => panic!("{other:?} at {middle}"),
        }
    }
    assert!(least > 1000);
    for depth in least - 300..least + 5 {
        let expected = match depth < least {
            true => (true, None),
            false => (false, Some(TrapKind::StackOverflow)),
        };
        assert_eq!(call(&lazy, depth)?, expected, "{depth} of {least}");
    }
    Ok(())
}

#[test]
fn code_without_room_ends_the_call_with_an_error() -> Test {
    let body = "(local.set 0 (i64.mul (local.get 0) (i64.load (i32.wrap_i64 (local.get 0)))))";
    let text = format!(
        r#"(module
            (import "host" "again" (func $again (result i64)))
            (memory 1)
            (func (export "large") (param i64) (result i64) {} (local.get 0))
            (func (export "small") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
            (func (export "through") (param i64) (result i64) (call $again)))"#,
        body.repeat(50_000)
    );
    let engine = Engine::new(config().code_space(16 << 20))?;
    let module = module(&engine, &text);
    let mut store = Store::new(&engine, 0);
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "again", |mut caller: Caller<'_, i32>| {
        *caller.data_mut() += 1;
        let large = caller.get_export("large").and_then(Extern::into_func);
        let large = large.expect("a function").typed::<i64, i64>(&caller)?;
        large.call(&mut caller, 0)
    })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let mut call = |name: &str| -> Result<i64> {
        let f = instance.get_typed_func::<i64, i64>(&mut store, name)?;
        f.call(&mut store, 0)
    };
    // Trampolines are made before the room is taken.
    assert_eq!(call("small")?, 1);
    let mut taken = Vec::new();
    let mut len = 16 << 20;
    while len >= 64 << 10 {
        match engine.code_space().allocate(len, 64) {
            Ok(allocation) => taken.push(allocation),
            Err(_) => len /= 2,
        }
    }
    for _ in 0..3 {
        for name in ["large", "through"] {
            let error = call(name).expect_err("no room");
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::CodeMemory(_)), "{name}: {error}");
        }
        assert_eq!(call("small")?, 1);
    }
    let error = module.compile_functions(0..10).expect_err("no room");
    assert!(matches!(error.kind(), ErrorKind::CodeMemory(_)), "{error}");
    assert!(module.sites().is_empty());
    let sites = |index| module.function(index).expect("a function").sites().len();
    assert_eq!((sites(1), sites(2)), (0, 2));
    drop(taken);
    assert_eq!((call("large")?, call("through")?), (0, 0));
    assert_eq!(module.sites().len(), 6);
    assert_eq!(*store.data(), 4);
    Ok(())
}

#[test]
fn traps_in_functions_compiled_on_the_way_have_a_backtrace() -> Test {
    let text = r#"(module $m
        (import "host" "call" (func $host (param funcref)))
        (table 1 funcref)
        (elem declare func $inner)
        (func $outer (export "outer") (call $host (ref.func $inner)))
        (func $inner (call $trap))
        (func $trap unreachable))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_wrap(
            "host",
            "call",
            |mut caller: Caller<'_, ()>, f: Option<Func>| {
                f.expect("a function").call(&mut caller, &[], &mut [])
            },
        )?;
        Ok(())
    });
    for _ in 0..2 {
        let outer = instance.get_typed_func::<(), ()>(&mut store, "outer")?;
        let error = outer.call(&mut store, ()).expect_err("a trap");
        let trap = error.trap().expect("a trap");
        let names: Vec<_> = trap.backtrace().iter().map(Frame::func_name).collect();
        assert_eq!(names, [Some("trap"), Some("inner"), Some("outer")]);
        assert!(trap.backtrace().iter().all(|f| f.wasm_offset().is_some()));
    }
    Ok(())
}

#[test]
fn what_is_invalid_is_refused_at_once() {
    let engines = [
        Engine::default(),
        engine(),
        Engine::new(config().parallel_compilation(false)).expect("an engine"),
    ];
    let filler = "(func (result i32) (i32.const 1) (drop (i32.const 2)))".repeat(10_000);
    for body in [
        "(func (result i32) (i64.const 1))",
        "(func (local.get 3))",
        "(func (result i32) unreachable) (func (drop))",
    ] {
        let wasm = wat::parse_str(format!("(module {filler} {body} {filler} (func (drop)))"));
        let wasm = wasm.expect("valid text");
        let errors = engines.each_ref().map(|engine| {
            let error = Module::new(engine, &wasm).expect_err("an invalid module");
            error.to_string()
        });
        assert!(errors[0].starts_with("invalid module: "), "{}", errors[0]);
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    }
}
