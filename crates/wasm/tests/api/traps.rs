//! Traps and their backtraces.

use crate::{Test, engine, instance, linked};
use nopal_wasm::*;

/// Call an exported function without parameters that traps.
fn trap(store: &mut Store<()>, instance: Instance, name: &str) -> TrapError {
    let func = instance.get_func(&mut *store, name).expect("a function");
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    let error = func.call(store, &[], &mut results).expect_err("a trap");
    error.trap().expect("a trap").clone()
}

#[test]
fn every_kind_of_trap() {
    let (mut store, instance) = instance(
        r#"(module
            (type $v (func))
            (memory 1)
            (table 3 funcref)
            (elem (i32.const 0) $i)
            (func $i (param i32))
            (func (export "unreachable") unreachable)
            (func (export "load") (result i32) (i32.load (i32.const 65533)))
            (func (export "load far") (result i64) (i64.load offset=0xffffffff (i32.const -1)))
            (func (export "store") (i32.store8 (i32.const 65536) (i32.const 1)))
            (func (export "fill") (memory.fill (i32.const 65530) (i32.const 0) (i32.const 7)))
            (func (export "table") (result funcref) (table.get (i32.const 3)))
            (func (export "table fill") (table.fill (i32.const 2) (ref.null func) (i32.const 2)))
            (func (export "outside") (call_indirect (type $v) (i32.const 3)))
            (func (export "null") (call_indirect (type $v) (i32.const 1)))
            (func (export "signature") (call_indirect (type $v) (i32.const 0)))
            (func (export "zero") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
            (func (export "rem zero") (result i64) (i64.rem_s (i64.const 1) (i64.const 0)))
            (func (export "overflow") (result i32) (i32.div_s (i32.const 0x80000000) (i32.const -1)))
            (func (export "convert") (result i32) (i32.trunc_f64_s (f64.const 1e10)))
            (func (export "nan") (result i32) (i32.trunc_f32_u (f32.const nan))))"#,
    );
    let expected = [
        ("unreachable", TrapKind::Unreachable),
        ("load", TrapKind::MemoryOutOfBounds),
        ("load far", TrapKind::MemoryOutOfBounds),
        ("store", TrapKind::MemoryOutOfBounds),
        ("fill", TrapKind::MemoryOutOfBounds),
        ("table", TrapKind::TableOutOfBounds),
        ("table fill", TrapKind::TableOutOfBounds),
        ("outside", TrapKind::UndefinedElement),
        ("null", TrapKind::IndirectCallToNull),
        ("signature", TrapKind::BadSignature),
        ("zero", TrapKind::IntegerDivisionByZero),
        ("rem zero", TrapKind::IntegerDivisionByZero),
        ("overflow", TrapKind::IntegerOverflow),
        ("convert", TrapKind::IntegerOverflow),
        ("nan", TrapKind::BadConversionToInteger),
    ];
    for (func, (name, kind)) in (1..).zip(expected) {
        let trap = trap(&mut store, instance, name);
        assert_eq!(trap.kind(), kind, "{name}");
        assert_eq!(trap.depth(), 1, "{name}");
        assert_eq!(trap.backtrace()[0].func_index(), func, "{name}");
        assert!(trap.backtrace()[0].wasm_offset().is_some(), "{name}");
    }
}

#[test]
fn a_backtrace_names_functions_and_positions() -> Test {
    let text = r#"(module $calculator
        (func $inner (param i32) (result i32)
            nop
            (i32.div_s (i32.const 1) (local.get 0)))
        (func $middle (param i32) (result i32)
            (i32.add (call $inner (local.get 0)) (i32.const 1)))
        (func (export "run") (param i32) (result i32)
            (i32.mul (call $middle (local.get 0)) (i32.const 2))))"#;
    let wasm = wat::parse_str(text)?;
    let (mut store, instance) = instance(text);
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 1)?, 4);
    let error = run.call(&mut store, 0).unwrap_err();
    let trap = error.trap().expect("a trap");
    assert_eq!(error.to_string(), "integer divide by zero");
    let names: Vec<_> = trap.backtrace().iter().map(Frame::func_name).collect();
    assert_eq!(names, [Some("inner"), Some("middle"), None]);
    let modules: Vec<_> = trap.backtrace().iter().map(Frame::module_name).collect();
    assert_eq!(modules, [Some("calculator"); 3]);
    const DIV: u8 = 0x6d;
    const CALL: u8 = 0x10;
    let opcodes: Vec<u8> = (trap.backtrace().iter())
        .map(|frame| wasm[frame.wasm_offset().expect("a position") as usize])
        .collect();
    assert_eq!(opcodes, [DIV, CALL, CALL]);
    assert!(
        trap.backtrace()[0]
            .to_string()
            .starts_with("calculator!inner (function 0, offset 0x")
    );
    Ok(())
}

#[test]
fn indirect_calls_and_builtins_are_in_backtraces() {
    let (mut store, instance) = instance(
        r#"(module
            (memory 1)
            (type $v (func))
            (table funcref (elem $leaf))
            (func $leaf (memory.copy (i32.const 65535) (i32.const 0) (i32.const 2)))
            (func (export "run") (call_indirect (type $v) (i32.const 0))))"#,
    );
    let trap = trap(&mut store, instance, "run");
    let frames: Vec<u32> = trap.backtrace().iter().map(Frame::func_index).collect();
    assert_eq!(frames, [0, 1]);
    assert!(trap.backtrace().iter().all(|f| f.wasm_offset().is_some()));
}

#[test]
fn long_backtraces_are_cut() -> Test {
    let (mut store, instance) = instance(
        r#"(module (func $f (export "f") (param i32)
            (if (i32.eqz (local.get 0)) (then unreachable))
            (call $f (i32.sub (local.get 0) (i32.const 1)))))"#,
    );
    let f = instance.get_typed_func::<i32, ()>(&mut store, "f")?;
    let error = f.call(&mut store, 999).unwrap_err();
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.backtrace().len(), 64);
    assert_eq!(trap.depth(), 1000);
    Ok(())
}

#[test]
fn the_store_is_usable_after_a_trap() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (global $calls (mut i32) (i32.const 0))
            (func (export "fail") (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                unreachable)
            (func (export "calls") (result i32) (global.get $calls)))"#,
    );
    for _ in 0..10_000 {
        trap(&mut store, instance, "fail");
    }
    let calls = instance.get_typed_func::<(), i32>(&mut store, "calls")?;
    assert_eq!(calls.call(&mut store, ())?, 10_000);
    Ok(())
}

#[test]
fn a_trap_of_a_start_function_or_segment_is_reported() {
    let engine = engine();
    let attempt = |text: &str| {
        let module = crate::module(&engine, text);
        let mut store = Store::new(&engine, ());
        let error = Instance::new(&mut store, &module, &[]).expect_err("a trap");
        error.trap().expect("a trap").clone()
    };
    let start = attempt("(module (func $s unreachable) (start $s))");
    assert_eq!(start.kind(), TrapKind::Unreachable);
    assert_eq!(start.backtrace()[0].func_name(), Some("s"));
    let data = attempt(r#"(module (memory 1) (data (i32.const 65535) "ab"))"#);
    assert_eq!(data.kind(), TrapKind::MemoryOutOfBounds);
    assert!(data.backtrace().is_empty());
    let elem = attempt("(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))");
    assert_eq!(elem.kind(), TrapKind::TableOutOfBounds);
}

#[test]
fn a_host_error_leaves_no_trace_of_the_guest() -> Test {
    let text = r#"(module
        (import "host" "exit" (func $exit (param i32)))
        (func $deep (param i32)
            (if (local.get 0)
                (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
                (else (call $exit (i32.const 7)))))
        (func (export "run") (call $deep (i32.const 50)) unreachable))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_wrap("host", "exit", |code: i32| -> Result<(), Error> {
            Err(Error::msg(format!("exit {code}")))
        })?;
        Ok(())
    });
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    for _ in 0..100 {
        let error = run.call(&mut store, ()).unwrap_err();
        assert_eq!(error.to_string(), "exit 7");
    }
    Ok(())
}
