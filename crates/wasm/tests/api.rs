//! The public interface: calls in both directions, errors, and what a store holds.

use nopal_wasm::*;

type Test = Result<(), Box<dyn std::error::Error>>;

fn module(engine: &Engine, text: &str) -> Module {
    let wasm = wat::parse_str(text).expect("valid text");
    Module::new(engine, &wasm).expect("a module that compiles")
}

fn instance(text: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let module = module(&engine, text);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    (store, instance)
}

#[test]
fn a_function_is_called() -> Test {
    let (mut store, instance) = instance(
        r#"(module (func (export "add") (param i32 i32) (result i32)
            local.get 0 local.get 1 i32.add))"#,
    );
    let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add")?;
    assert_eq!(add.call(&mut store, (1, 2))?, 3);
    assert_eq!(add.call(&mut store, (i32::MAX, 1))?, i32::MIN);
    Ok(())
}
