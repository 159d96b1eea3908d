//! Several threads.

use crate::{Test, engine, module};
use nopal_wasm::*;
use std::thread;

#[test]
fn one_module_runs_in_many_threads() -> Test {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (memory 1)
            (func (export "fill") (param i32) (result i32) (local i32)
                (loop $next
                    (i32.store8 (local.get 1) (local.get 0))
                    (br_if $next (i32.lt_u
                        (local.tee 1 (i32.add (local.get 1) (i32.const 1)))
                        (i32.const 65536))))
                (i32.load8_u (i32.const 65535)))
            (func (export "fail") (param i32) (i32.store8 (local.get 0) (i32.const 0))))"#,
    );
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (engine, module) = (&engine, &module);
                scope.spawn(move || -> Result<()> {
                    for _ in 0..20 {
                        let mut store = Store::new(engine, n);
                        let instance = Instance::new(&mut store, module, &[])?;
                        let fill = instance.get_typed_func::<i32, i32>(&mut store, "fill")?;
                        assert_eq!(fill.call(&mut store, n)?, n);
                        let fail = instance.get_typed_func::<i32, ()>(&mut store, "fail")?;
                        for _ in 0..50 {
                            let error = fail.call(&mut store, -1).expect_err("a trap");
                            assert_eq!(error.to_string(), "out of bounds memory access");
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().expect("no panic"))
    })?;
    Ok(())
}

#[test]
fn a_store_moves_between_threads() -> Test {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (global (mut i32) (i32.const 0))
            (func $f (export "f") (param i32) (result i32)
                (if (local.get 0) (then (return (call $f (local.get 0)))))
                (global.set 0 (i32.add (global.get 0) (i32.const 1)))
                (global.get 0)))"#,
    );
    let mut store = Store::new(&engine, String::new());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    for turn in 1..=5 {
        store = thread::spawn(move || {
            store.data_mut().push('x');
            assert_eq!(f.call(&mut store, 0).expect("a result"), turn);
            let overflow = f.call(&mut store, 1).expect_err("an overflow");
            assert_eq!(overflow.to_string(), "call stack exhausted");
            store
        })
        .join()
        .expect("no panic");
    }
    assert_eq!(store.data(), "xxxxx");
    Ok(())
}

#[test]
fn modules_are_compiled_by_several_threads_at_once() {
    let engine = engine();
    thread::scope(|scope| {
        for n in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for i in 0..25 {
                    let text = format!(
                        r#"(module
                            (import "h" "add" (func $add (param i32 i64) (result i64)))
                            (func (export "f") (result i64)
                                (call $add (i32.const {n}) (i64.const {i}))))"#
                    );
                    let module = module(engine, &text);
                    let mut linker = Linker::new(engine);
                    let add = |a: i32, b: i64| i64::from(a) * 1000 + b;
                    linker.func_wrap("h", "add", add).expect("a definition");
                    let mut store = Store::new(engine, ());
                    let instance = linker
                        .instantiate(&mut store, &module)
                        .expect("an instance");
                    let f = instance
                        .get_typed_func::<(), i64>(&mut store, "f")
                        .expect("f");
                    assert_eq!(f.call(&mut store, ()).expect("a result"), n * 1000 + i);
                }
            });
        }
    });
}

#[test]
fn shared_things_can_be_shared() {
    fn send_and_sync<T: Send + Sync>() {}
    fn send<T: Send>() {}
    send_and_sync::<Engine>();
    send_and_sync::<Module>();
    send_and_sync::<Linker<()>>();
    send_and_sync::<Func>();
    send_and_sync::<TypedFunc<i32, i32>>();
    send_and_sync::<Memory>();
    send_and_sync::<ExternRef>();
    send::<Store<String>>();
}
