//! Imports.

use crate::{Test, engine, module};
use nopal_wasm::*;

#[test]
fn missing_and_wrong_imports_are_named() -> Test {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("env", "f", |_: i32| {})?;
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    linker.define(&store, "env", "memory", memory)?;
    let mut message = |text: &str| {
        let module = module(&engine, text);
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Link(_)));
        error.to_string()
    };
    assert_eq!(
        message(r#"(module (import "env" "g" (func (param i32) (result i64))))"#),
        "unknown import `env::g`: func (i32) -> (i64)"
    );
    assert_eq!(
        message(r#"(module (import "env" "f" (func (param i64))))"#),
        "incompatible import type for `env::f`: expected func (i64) -> (), found func (i32) -> ()"
    );
    assert_eq!(
        message(r#"(module (import "env" "memory" (memory 2 5)))"#),
        "incompatible import type for `env::memory`: expected memory 2 5, found memory 1"
    );
    assert_eq!(
        message(r#"(module (import "env" "memory" (global i32)))"#),
        "incompatible import type for `env::memory`: expected global i32, found memory 1"
    );
    Ok(())
}

#[test]
fn instances_share_what_they_export() -> Test {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let a = module(
        &engine,
        r#"(module
            (memory (export "memory") 1)
            (table (export "table") 1 funcref)
            (global (export "count") (mut i32) (i32.const 0))
            (func (export "bump") (result i32)
                (global.set 0 (i32.add (global.get 0) (i32.const 1)))
                (global.get 0)))"#,
    );
    let a = linker.instantiate(&mut store, &a)?;
    linker.instance(&mut store, "a", a)?;
    let b = module(
        &engine,
        r#"(module
            (import "a" "bump" (func $bump (result i32)))
            (import "a" "memory" (memory 1))
            (import "a" "table" (table 1 funcref))
            (import "a" "count" (global $count (mut i32)))
            (elem (i32.const 0) $bump)
            (data (i32.const 100) "from b")
            (func (export "run") (result i32)
                (drop (call $bump))
                (global.set $count (i32.mul (global.get $count) (i32.const 10)))
                (call_indirect (result i32) (i32.const 0))))"#,
    );
    let b = linker.instantiate(&mut store, &b)?;
    let run = b.get_typed_func::<(), i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, ())?, 11);
    assert_eq!(run.call(&mut store, ())?, 121);
    let memory = a.get_memory(&mut store, "memory").expect("memory");
    assert_eq!(&memory.data(&store)[100..106], b"from b");
    Ok(())
}

#[test]
fn imported_memory_is_copied_and_filled() -> Test {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    let mut linker = Linker::<()>::new(&engine);
    linker.define(&mut store, "env", "memory", memory)?;
    let module = module(
        &engine,
        r#"(module
            (import "env" "memory" (memory 1))
            (func (export "grow") (result i32) (memory.grow (i32.const 1)))
            (func (export "copy") (param i32 i32 i32)
                (memory.copy (local.get 0) (local.get 1) (local.get 2)))
            (func (export "fill") (param i32 i32 i32)
                (memory.fill (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    let instance = linker.instantiate(&mut store, &module)?;
    type Range = (i32, i32, i32);
    let copy = instance.get_typed_func::<Range, ()>(&mut store, "copy")?;
    let fill = instance.get_typed_func::<Range, ()>(&mut store, "fill")?;
    fill.call(&mut store, (65533, 7, 3))?;
    for (to, from, len) in [(65534, 0, 3), (0, 65534, 3), (65537, 0, 0), (0, -1, 1)] {
        let error = copy.call(&mut store, (to, from, len)).unwrap_err();
        let trap = error.trap().expect("a trap");
        assert_eq!(trap.kind(), TrapKind::MemoryOutOfBounds);
    }
    assert!(fill.call(&mut store, (65534, 9, 3)).is_err());
    assert_eq!(&memory.data(&store)[65532..], [0, 7, 7, 7]);
    let grow = instance.get_typed_func::<(), i32>(&mut store, "grow")?;
    assert_eq!(grow.call(&mut store, ())?, 1);
    copy.call(&mut store, (65534, 65532, 4))?;
    assert_eq!(&memory.data(&store)[65532..65539], [0, 7, 0, 7, 7, 7, 0]);
    copy.call(&mut store, (131_072, 131_072, 0))?;
    Ok(())
}

#[test]
fn definitions_are_not_replaced_by_accident() -> Test {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("env", "f", || 1)?;
    let error = linker.func_wrap("env", "f", || 2).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`env::f` is defined already");
    let mut store = Store::new(&engine, ());
    let call = |linker: &Linker<()>, store: &mut Store<()>| {
        let f = linker
            .get(&mut *store, "env", "f")
            .and_then(Extern::into_func);
        f.expect("f").typed::<(), i32>(&*store)?.call(store, ())
    };
    assert_eq!(call(&linker, &mut store)?, 1);
    linker.allow_shadowing(true).func_wrap("env", "f", || 3)?;
    assert_eq!(call(&linker, &mut store)?, 3);
    assert!(linker.get(&mut store, "env", "g").is_none());
    Ok(())
}

#[test]
fn stores_and_engines_are_not_mixed() -> Test {
    let engine = engine();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let memory = Memory::new(&mut a, MemoryType::new(1, None))?;
    let mut linker = Linker::new(&engine);
    linker.define(&a, "env", "memory", memory)?;
    let importer = module(&engine, r#"(module (import "env" "memory" (memory 1)))"#);
    linker.instantiate(&mut a, &importer)?;
    let error = linker.instantiate(&mut b, &importer).unwrap_err();
    assert_eq!(error.to_string(), "`env::memory` belongs to another store");
    assert!(linker.get(&mut b, "env", "memory").is_none());

    let other = module(&crate::engine(), "(module)");
    let error = linker.instantiate(&mut a, &other).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Link(_)));
    let error = Instance::new(&mut a, &importer, &[]).unwrap_err();
    assert_eq!(error.to_string(), "0 imports given to a module that has 1");
    Ok(())
}

#[test]
fn exports_are_listed_in_order() -> Test {
    let (mut store, instance) = crate::instance(
        r#"(module
            (func (export "b") (result i32) (i32.const 1))
            (memory (export "a") 2 3)
            (table (export "t") 5 externref)
            (global (export "g") i64 (i64.const 9)))"#,
    );
    let exports = instance.exports(&mut store);
    let types: Vec<String> = (exports.iter())
        .map(|(name, item)| format!("{name}: {}", item.ty(&store)))
        .collect();
    assert_eq!(
        types,
        [
            "b: func () -> (i32)",
            "a: memory 2 3",
            "t: table 5 externref",
            "g: global i64"
        ]
    );
    assert!(instance.get_export(&mut store, "c").is_none());
    assert!(instance.get_func(&mut store, "a").is_none());
    assert_eq!(instance.module(&store).exports().len(), 4);
    Ok(())
}
