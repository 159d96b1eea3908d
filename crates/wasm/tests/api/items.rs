//! Memories, tables and globals.

use crate::{Test, engine, instance};
use nopal_wasm::*;

#[test]
fn a_memory_is_seen_by_both_sides_and_grows() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (memory (export "memory") 1 3)
            (data (i32.const 8) "abc")
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "size") (result i32) (memory.size)))"#,
    );
    let memory = instance.get_memory(&mut store, "memory").expect("memory");
    let load = instance.get_typed_func::<u32, u32>(&mut store, "load")?;
    let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow")?;
    let size = instance.get_typed_func::<(), i32>(&mut store, "size")?;
    assert_eq!(memory.ty(&store), MemoryType::new(1, Some(3)));
    assert_eq!(&memory.data(&store)[7..12], b"\0abc\0");
    memory.data_mut(&mut store)[65535] = 7;
    assert_eq!(load.call(&mut store, 65535)?, 7);
    assert!(load.call(&mut store, 65536).is_err());

    assert_eq!(memory.grow(&mut store, 1)?, 1);
    assert_eq!(size.call(&mut store, ())?, 2);
    assert_eq!(load.call(&mut store, 65536)?, 0);
    assert_eq!(grow.call(&mut store, 1)?, 2);
    assert_eq!(grow.call(&mut store, 1)?, -1);
    assert_eq!(grow.call(&mut store, 0)?, 3);
    assert_eq!(memory.size(&store), 3);
    assert_eq!(memory.data_size(&store), 3 << 16);
    let error = memory.grow(&mut store, u64::MAX).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Limit(_)));

    memory.write(&mut store, (3 << 16) - 2, b"xy")?;
    let mut two = [0; 2];
    memory.read(&store, (3 << 16) - 2, &mut two)?;
    assert_eq!(&two, b"xy");
    for offset in [(3 << 16) - 1, 3 << 16, usize::MAX] {
        let read = memory.read(&store, offset, &mut two).unwrap_err();
        assert_eq!(read.to_string(), "out of bounds memory access");
        assert!(memory.write(&mut store, offset, b"xy").is_err());
    }
    Ok(())
}

#[test]
fn memory_and_host_data_can_be_borrowed_together() -> Test {
    let engine = engine();
    let mut store = Store::new(&engine, vec![1u8, 2, 3]);
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    let (bytes, data) = memory.data_and_store_mut(&mut store);
    bytes[..3].copy_from_slice(data);
    data.push(bytes[0]);
    assert_eq!(&memory.data(&store)[..4], [1, 2, 3, 0]);
    assert_eq!(*store.data(), [1, 2, 3, 1]);
    Ok(())
}

#[test]
fn memories_as_large_as_there_are() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (memory (export "memory") 0)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "poke") (param i32) (i32.store8 (local.get 0) (i32.const 9))))"#,
    );
    let memory = instance.get_memory(&mut store, "memory").expect("memory");
    let grow = instance.get_typed_func::<u32, i32>(&mut store, "grow")?;
    let poke = instance.get_typed_func::<u32, ()>(&mut store, "poke")?;
    assert!(poke.call(&mut store, 0).is_err());
    assert_eq!(grow.call(&mut store, 65537)?, -1);
    assert_eq!(grow.call(&mut store, 65536)?, 0);
    poke.call(&mut store, u32::MAX)?;
    assert_eq!(memory.data(&store)[u32::MAX as usize], 9);
    assert_eq!(grow.call(&mut store, 1)?, -1);
    assert_eq!(grow.call(&mut store, 0)?, 65536u32 as i32);
    Ok(())
}

#[test]
fn a_table_is_seen_by_both_sides_and_grows() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (table (export "objects") 1 4 externref)
            (table (export "functions") 2 funcref)
            (func $seven (export "seven") (result i32) (i32.const 7))
            (elem (table 1) (i32.const 1) func $seven)
            (func (export "get") (param i32) (result externref) (table.get 0 (local.get 0)))
            (func (export "size") (result i32) (table.size 0)))"#,
    );
    let objects = instance.get_table(&mut store, "objects").expect("objects");
    let functions = instance
        .get_table(&mut store, "functions")
        .expect("functions");
    let object = ExternRef::new(41u64);
    objects.set(&mut store, 0, Val::from(object.clone()))?;
    let get = instance.get_typed_func::<i32, Option<ExternRef>>(&mut store, "get")?;
    let got = get.call(&mut store, 0)?.expect("an object");
    assert!(got.ptr_eq(&object));
    assert_eq!(got.data().downcast_ref::<u64>(), Some(&41));

    assert_eq!(objects.grow(&mut store, 3, Val::from(object))?, 1);
    assert!(get.call(&mut store, 3)?.is_some());
    assert!(get.call(&mut store, 4).is_err());
    assert!(objects.grow(&mut store, 1, Val::ExternRef(None)).is_err());
    assert_eq!(objects.size(&store), 4);
    let size = instance.get_typed_func::<(), i32>(&mut store, "size")?;
    assert_eq!(size.call(&mut store, ())?, 4);

    assert!(matches!(functions.get(&store, 0), Some(Val::FuncRef(None))));
    let Some(Val::FuncRef(Some(seven))) = functions.get(&store, 1) else {
        panic!("a function");
    };
    let seven = seven.typed::<(), i32>(&store)?;
    assert_eq!(seven.call(&mut store, ())?, 7);
    assert!(functions.get(&store, 2).is_none());
    let error = functions.set(&mut store, 0, Val::I32(1)).unwrap_err();
    assert_eq!(error.to_string(), "a table of funcref cannot hold an i32");
    let error = functions
        .set(&mut store, 2, Val::FuncRef(None))
        .unwrap_err();
    assert_eq!(error.to_string(), "out of bounds table access");
    Ok(())
}

#[test]
fn globals_are_seen_by_both_sides() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (global (export "n") (mut i64) (i64.const -5))
            (global (export "x") f32 (f32.const 1.5))
            (global (export "f") (mut funcref) (ref.null func))
            (global (export "sum") i32 (i32.add (i32.const 2) (i32.const 3)))
            (func (export "add") (param i64)
                (global.set 0 (i64.add (global.get 0) (local.get 0)))))"#,
    );
    let global = |store: &mut Store<()>, name| instance.get_global(store, name).expect("a global");
    let n = global(&mut store, "n");
    assert_eq!(n.ty(&store), GlobalType::new(ValType::I64, true));
    assert_eq!(n.get(&store).i64(), Some(-5));
    n.set(&mut store, Val::I64(10))?;
    let add = instance.get_typed_func::<i64, ()>(&mut store, "add")?;
    add.call(&mut store, 32)?;
    assert_eq!(n.get(&store).i64(), Some(42));
    let x = global(&mut store, "x");
    assert_eq!(x.get(&store).f32(), Some(1.5));
    let error = x.set(&mut store, Val::from(1.0f32)).unwrap_err();
    assert_eq!(error.to_string(), "an immutable global cannot be set");
    let error = n.set(&mut store, Val::I32(1)).unwrap_err();
    assert_eq!(error.to_string(), "a global of type i64 cannot hold an i32");
    let f = global(&mut store, "f");
    f.set(&mut store, Val::from(*add.func()))?;
    assert!(matches!(f.get(&store), Val::FuncRef(Some(_))));
    assert_eq!(global(&mut store, "sum").get(&store).i32(), Some(5));
    Ok(())
}

#[test]
#[should_panic(expected = "a handle was used with a store it does not belong to")]
fn handles_belong_to_a_store() {
    let engine = engine();
    let (mut a, b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let memory = Memory::new(&mut a, MemoryType::new(1, None)).expect("a memory");
    memory.data(&b);
}

#[test]
#[should_panic(expected = "a handle was used with a store it does not belong to")]
fn functions_belong_to_a_store() {
    let engine = engine();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let func = Func::wrap(&mut a, || 1).expect("a function");
    let typed = func.typed::<(), i32>(&a).expect("its type");
    drop(a);
    let _ = typed.call(&mut b, ());
}

#[test]
#[should_panic(expected = "a handle was used with a store it does not belong to")]
fn references_belong_to_a_store() {
    let engine = engine();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let func = Func::wrap(&mut a, || 1).expect("a function");
    let ty = GlobalType::new(ValType::FuncRef, true);
    let _ = Global::new(&mut b, ty, Val::from(func));
}
