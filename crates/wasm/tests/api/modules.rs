//! Modules: what they know about themselves, and what is refused.

use crate::{Test, module};
use nopal_wasm::*;

#[test]
fn a_module_describes_itself() {
    let engine = Engine::default();
    let module = module(
        &engine,
        r#"(module $name
            (import "env" "log" (func $log (param i32)))
            (import "env" "memory" (memory 1 2))
            (func $double (export "double") (export "twice") (param i32) (result i32)
                (i32.mul (local.get 0) (i32.const 2)))
            (func $fail unreachable)
            (table (export "t") 3 funcref))"#,
    );
    assert_eq!(module.name(), Some("name"));
    let imports: Vec<String> = (module.imports())
        .map(|import| format!("{}::{}: {}", import.module, import.name, import.ty))
        .collect();
    assert_eq!(
        imports,
        ["env::log: func (i32) -> ()", "env::memory: memory 1 2"]
    );
    let exports: Vec<String> = (module.exports())
        .map(|export| format!("{}: {}", export.name, export.ty))
        .collect();
    assert_eq!(
        exports,
        [
            "double: func (i32) -> (i32)",
            "twice: func (i32) -> (i32)",
            "t: table 3 funcref"
        ]
    );
    let functions: Vec<FunctionInfo<'_>> = module.functions().collect();
    assert_eq!(functions.len(), 2);
    let [double, fail] = functions[..] else {
        panic!("two functions")
    };
    assert_eq!((double.index(), double.name()), (1, Some("double")));
    assert_eq!(
        double.export_names().collect::<Vec<_>>(),
        ["double", "twice"]
    );
    assert_eq!(double.ty().params(), [ValType::I32]);
    assert!(double.wasm_range().end <= fail.wasm_range().start);
    assert!(double.code_range().end <= fail.code_range().start);
    assert!(module.code_size() >= double.code_range().len() + fail.code_range().len());
    assert_eq!(double.code().len(), double.code_range().len());
    assert_eq!(double.traps().count(), 0);
    let trap = fail.traps().next().expect("a trap");
    assert_eq!(trap.kind, TrapKind::Unreachable);
    assert!(fail.code_range().contains(&trap.address));

    let pc = fail.code_range().start + 1;
    assert_eq!(module.function_at(pc).map(|f| f.index()), Some(2));
    assert!(module.function_at(0).is_none());
    assert!(module.function_at(module.code_range().end).is_none());
    assert_eq!(module.function_name(0), Some("log"));
    assert!(engine.code_space().contains(pc));
}

#[test]
fn bad_modules_are_refused() -> Test {
    let engine = Engine::default();
    let wasm = wat::parse_str(r#"(module (func (export "f") (result i32) (i32.const 1)))"#)?;
    // What ends after a section is a module, if a smaller one.
    let refused = (0..wasm.len()).filter(|&len| match Module::new(&engine, &wasm[..len]) {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
            true
        }
    });
    assert!(refused.count() >= wasm.len() - 4);
    for at in 0..wasm.len() {
        for value in [0x00, 0x0b, 0x40, 0x7f, 0x80, 0xff] {
            let mut wasm = wasm.clone();
            wasm[at] = value;
            // Whatever comes of it, it is no panic.
            let _ = Module::new(&engine, &wasm);
        }
    }
    let simd = wat::parse_str("(module (func (drop (v128.const i64x2 1 2))))")?;
    let error = Module::new(&engine, &simd).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unsupported { .. }),
        "{error}"
    );
    Ok(())
}

#[test]
fn files_are_named_in_errors() -> Test {
    let engine = Engine::default();
    let error = Module::from_file(&engine, "/no/such/file.wasm").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }));
    assert!(error.to_string().starts_with("/no/such/file.wasm: "));
    Ok(())
}

#[test]
fn what_is_declared_too_large_is_an_error() -> Test {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let tables = module(&engine, "(module (table 0xffffffff funcref))");
    let error = Instance::new(&mut store, &tables, &[]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Limit(_)), "{error}");
    let memory = Memory::new(&mut store, MemoryType::new(65537, None)).unwrap_err();
    assert!(matches!(memory.kind(), ErrorKind::Limit(_)), "{memory}");
    let huge = module(&engine, "(module (memory 65536))");
    Instance::new(&mut store, &huge, &[])?;
    // Memories that address space is reserved for run out at some time.
    let mut failed = None;
    for _ in 0..20_000 {
        if let Err(error) = Memory::new(&mut store, MemoryType::new(0, None)) {
            failed = Some(error);
            break;
        }
    }
    let failed = failed.expect("address space is limited");
    assert!(matches!(failed.kind(), ErrorKind::System(_)), "{failed}");
    Ok(())
}

#[test]
fn parallel_compilation_gives_the_same_code() -> Test {
    let functions: String = (0..3000)
        .map(|i| {
            format!(
                "(func (export \"f{i}\") (param i32) (result i32)
                    (i32.add (call {}) (i32.mul (local.get 0) (i32.const {i}))))
                (func (result i32) (i32.const {i}))",
                2 * i + 1
            )
        })
        .collect();
    let wasm = wat::parse_str(format!("(module {functions})"))?;
    let code = |parallel| -> Result<(Vec<u8>, Vec<i32>)> {
        let engine = Engine::new(Config::new().parallel_compilation(parallel))?;
        let module = Module::new(&engine, &wasm)?;
        let code = module.functions().flat_map(|f| f.code()).collect();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let results = (0..3000).step_by(111).map(|i| {
            let f = instance.get_typed_func::<i32, i32>(&mut store, &format!("f{i}"))?;
            f.call(&mut store, 2)
        });
        Ok((code, results.collect::<Result<_>>()?))
    };
    let (one, results) = code(false)?;
    assert_eq!(
        results,
        (0..3000).step_by(111).map(|i| 3 * i).collect::<Vec<_>>()
    );
    let many = code(true)?;
    assert!(one == many.0, "the code differs");
    assert_eq!(results, many.1);
    Ok(())
}

#[test]
fn code_is_freed_with_its_last_user() -> Test {
    let engine = Engine::default();
    let text = r#"(module (func (export "f") (result i32) (i32.const 5)))"#;
    let mut store = Store::new(&engine, ());
    let (f, pc) = {
        let module = module(&engine, text);
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_typed_func::<(), i32>(&mut store, "f")?;
        (f, module.code_range().start)
    };
    assert!(engine.code_space().code_at(pc).is_some());
    assert_eq!(f.call(&mut store, ())?, 5);
    drop(store);
    assert!(engine.code_space().code_at(pc).is_none());
    Ok(())
}
