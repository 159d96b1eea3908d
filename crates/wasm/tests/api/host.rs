//! Host functions.

use crate::{Test, instance, linked};
use nopal_wasm::*;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Debug)]
struct Refused(i32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

const CALL: &str = r#"(module
    (import "host" "f" (func $f (param i32) (result i32)))
    (func (export "call") (param i32) (result i32)
        (i32.add (call $f (local.get 0)) (i32.const 1))))"#;

#[test]
fn closures_get_arguments_and_the_caller() -> Test {
    let text = r#"(module
        (import "host" "mix" (func $mix (param i32 i64 f32 f64) (result f64)))
        (import "host" "two" (func $two (param i32) (result i32 i64)))
        (import "host" "len" (func $len (result i32)))
        (memory (export "memory") 3)
        (func (export "mix") (param i32 i64 f32 f64) (result f64)
            (call $mix (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "two") (result i64)
            (i64.sub (i64.extend_i32_s (call $two (i32.const 7)))))
        (func (export "pages") (result i32) (i32.div_u (call $len) (i32.const 65536))))"#;
    let text = text.replace(
        "(i64.sub (i64.extend_i32_s (call $two (i32.const 7))))",
        "(local i64) (call $two (i32.const 7)) (local.set 0) (i64.extend_i32_s) (local.get 0) (i64.sub)",
    );
    let (mut store, instance) = linked(10, &text, |linker| {
        linker.func_wrap(
            "host",
            "mix",
            |caller: Caller<'_, i32>, a: i32, b: i64, c: f32, d: f64| {
                f64::from(*caller.data()) + f64::from(a) + b as f64 + f64::from(c) + d
            },
        )?;
        linker.func_wrap("host", "two", |n: u32| (n * 2, u64::from(n)))?;
        linker.func_wrap("host", "len", |mut caller: Caller<'_, i32>| {
            let memory = caller.get_export("memory").and_then(Extern::into_memory);
            let memory = memory.ok_or_else(|| Error::msg("no memory"))?;
            *caller.data_mut() += 1;
            Ok::<_, Error>(memory.data_size(&caller) as u32)
        })?;
        Ok(())
    });
    let mix = instance.get_typed_func::<(i32, i64, f32, f64), f64>(&mut store, "mix")?;
    assert_eq!(mix.call(&mut store, (1, -2, 0.5, 0.25))?, 9.75);
    let two = instance.get_typed_func::<(), i64>(&mut store, "two")?;
    assert_eq!(two.call(&mut store, ())?, 7);
    let pages = instance.get_typed_func::<(), i32>(&mut store, "pages")?;
    assert_eq!(pages.call(&mut store, ())?, 3);
    assert_eq!(store.into_data(), 11);
    Ok(())
}

#[test]
fn functions_of_dynamic_type() -> Test {
    let sum = FuncType::new([ValType::I32, ValType::F32], [ValType::F64]);
    let text = r#"(module
        (import "host" "sum" (func $sum (param i32 f32) (result f64)))
        (func (export "f") (result f64) (call $sum (i32.const 2) (f32.const 0.5))))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_new("host", "sum", sum, |_, params, results| {
            let a = params[0].i32().expect("an i32");
            let b = params[1].f32().expect("an f32");
            results[0] = Val::from(f64::from(a) + f64::from(b));
            Ok(())
        })?;
        Ok(())
    });
    let f = instance.get_typed_func::<(), f64>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, ())?, 2.5);
    Ok(())
}

#[test]
fn a_dynamic_function_that_breaks_its_type_fails() -> Test {
    let (mut store, instance) = linked((), CALL, |linker| {
        let ty = FuncType::new([ValType::I32], [ValType::I32]);
        linker.func_new("host", "f", ty, |_, _, results| {
            results[0] = Val::I64(1);
            Ok(())
        })?;
        Ok(())
    });
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
    assert_eq!(
        call.call(&mut store, 1).unwrap_err().to_string(),
        "a host function gave an i64 where its type says i32"
    );
    Ok(())
}

#[test]
fn errors_come_out_as_they_went_in() -> Test {
    let (mut store, instance) = linked((), CALL, |linker| {
        linker.func_wrap("host", "f", |n: i32| match n {
            0 => Ok(5),
            1 => Err(TrapKind::Unreachable.into()),
            n => Err(Error::host(Refused(n))),
        })?;
        Ok(())
    });
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
    assert_eq!(call.call(&mut store, 0)?, 6);
    let error = call.call(&mut store, 9).unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>().map(|r| r.0), Some(9));
    assert_eq!(error.to_string(), "refused 9");
    let error = call.call(&mut store, 1).unwrap_err();
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.kind(), TrapKind::Unreachable);
    // The guest's function that called the host.
    assert_eq!(trap.backtrace().len(), 1);
    assert_eq!(trap.backtrace()[0].func_index(), 1);
    assert_eq!(call.call(&mut store, 0)?, 6);
    Ok(())
}

#[test]
fn a_panic_goes_through_the_guest_to_the_host() -> Test {
    let (mut store, instance) = linked(0, CALL, |linker| {
        linker.func_wrap("host", "f", |mut caller: Caller<'_, i32>, n: i32| {
            *caller.data_mut() += 1;
            let _dropped_by_unwinding = vec![n; 100];
            if n == 13 {
                std::panic::panic_any("thirteen");
            }
            n
        })?;
        Ok(())
    });
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
    for _ in 0..3 {
        let result = catch_unwind(AssertUnwindSafe(|| call.call(&mut store, 13)));
        let payload = result.expect_err("a panic");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"thirteen"));
        assert_eq!(call.call(&mut store, 1)?, 2);
    }
    assert_eq!(*store.data(), 6);
    Ok(())
}

#[test]
fn the_host_calls_the_guest_from_a_host_function() -> Test {
    let text = r#"(module
        (import "host" "down" (func $down (param i32) (result i32)))
        (func (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add
                    (call $down (i32.sub (local.get 0) (i32.const 1)))
                    (call $down (i32.sub (local.get 0) (i32.const 2))))))))"#;
    let (mut store, instance) = linked(0u64, text, |linker| {
        linker.func_wrap("host", "down", |mut caller: Caller<'_, u64>, n: i32| {
            *caller.data_mut() += 1;
            let fib = caller.get_export("fib").and_then(Extern::into_func);
            let fib = fib.expect("fib").typed::<i32, i32>(&caller)?;
            fib.call(&mut caller, n)
        })?;
        Ok(())
    });
    let fib = instance.get_typed_func::<i32, i32>(&mut store, "fib")?;
    assert_eq!(fib.call(&mut store, 12)?, 144);
    assert_eq!(*store.data(), 464);
    Ok(())
}

#[test]
fn an_inner_trap_can_be_caught_by_a_host_function() -> Test {
    let text = r#"(module
        (import "host" "try" (func $try (param i32) (result i32)))
        (func (export "fail") (param i32)
            (if (local.get 0) (then unreachable)))
        (func (export "run") (param i32) (result i32)
            (i32.add (call $try (local.get 0)) (call $try (i32.const 0)))))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_wrap("host", "try", |mut caller: Caller<'_, ()>, n: i32| {
            let fail = caller.get_export("fail").and_then(Extern::into_func);
            let fail = fail.expect("fail").typed::<i32, ()>(&caller)?;
            match fail.call(&mut caller, n) {
                Ok(()) => Ok(1),
                Err(error) if n == 1 => {
                    assert_eq!(
                        error.trap().map(TrapError::kind),
                        Some(TrapKind::Unreachable)
                    );
                    Ok(100)
                }
                Err(error) => Err(error),
            }
        })?;
        Ok(())
    });
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, 0)?, 2);
    assert_eq!(run.call(&mut store, 1)?, 101);
    let error = run.call(&mut store, 2).unwrap_err();
    let trap = error.trap().expect("a trap");
    let frames: Vec<u32> = trap.backtrace().iter().map(Frame::func_index).collect();
    assert_eq!(frames, [1, 2], "through the host to the outer call");
    Ok(())
}

#[test]
fn wrapped_functions_are_called_through_tables_and_directly() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (type $t (func (param i32) (result i32)))
            (table (export "table") 2 funcref)
            (func (export "call") (param i32 i32) (result i32)
                (call_indirect (type $t) (local.get 1) (local.get 0))))"#,
    );
    let double = Func::wrap(&mut store, |n: i32| n * 2)?;
    let negate = FuncType::new([ValType::I32], [ValType::I32]);
    let negate = Func::new(&mut store, negate, |_, params, results| {
        results[0] = Val::I32(-params[0].i32().expect("an i32"));
        Ok(())
    })?;
    let table = instance.get_table(&mut store, "table").expect("table");
    table.set(&mut store, 0, Val::from(double))?;
    table.set(&mut store, 1, Val::from(negate))?;
    let call = instance.get_typed_func::<(i32, i32), i32>(&mut store, "call")?;
    assert_eq!(call.call(&mut store, (0, 21))?, 42);
    assert_eq!(call.call(&mut store, (1, 21))?, -21);
    assert_eq!(double.typed::<i32, i32>(&store)?.call(&mut store, 4)?, 8);
    Ok(())
}

#[test]
fn a_store_inside_a_host_function() -> Test {
    let (mut store, instance) = linked((), CALL, |linker| {
        linker.func_wrap("host", "f", |n: i32| {
            let (mut inner, instance) = instance_of_square();
            let square = instance.get_typed_func::<i32, i32>(&mut inner, "square")?;
            square.call(&mut inner, n)
        })?;
        Ok(())
    });
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
    assert_eq!(call.call(&mut store, 5)?, 26);
    let error = call.call(&mut store, 0).unwrap_err();
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.kind(), TrapKind::IntegerDivisionByZero);
    let frames: Vec<u32> = trap.backtrace().iter().map(Frame::func_index).collect();
    assert_eq!(frames, [0, 1], "of both stores");
    Ok(())
}

fn instance_of_square() -> (Store<()>, Instance) {
    instance(
        r#"(module (func (export "square") (param i32) (result i32)
            (drop (i32.div_s (i32.const 1) (local.get 0)))
            (i32.mul (local.get 0) (local.get 0))))"#,
    )
}
