//! The module `spectest` that the tests import.

use nopal_wasm::{
    Global, GlobalType, Linker, Memory, MemoryType, RefType, Result, Store, Table, TableType, Val,
    ValType,
};

/// Define the functions, globals, table and memory the tests expect.
pub(crate) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<()> {
    let name = "spectest";
    linker
        .func_wrap(name, "print", || {})?
        .func_wrap(name, "print_i32", |_: i32| {})?
        .func_wrap(name, "print_i64", |_: i64| {})?
        .func_wrap(name, "print_f32", |_: f32| {})?
        .func_wrap(name, "print_f64", |_: f64| {})?
        .func_wrap(name, "print_i32_f32", |_: i32, _: f32| {})?
        .func_wrap(name, "print_f64_f64", |_: f64, _: f64| {})?;
    let globals = [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::from(666.6f32)),
        ("global_f64", Val::from(666.6f64)),
    ];
    for (global, value) in globals {
        let ty = GlobalType::new(value.ty(), false);
        let item = Global::new(&mut *store, ty, value)?;
        linker.define(&*store, name, global, item)?;
    }
    let ty = TableType::new(RefType::Func, 10, Some(20));
    let null = Val::default_for(ValType::FuncRef);
    let table = Table::new(&mut *store, ty, null)?;
    linker.define(&*store, name, "table", table)?;
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    linker.define(&*store, name, "memory", memory)?;
    Ok(())
}
