//! The guest's stack.

use crate::{Test, config, instance, linked, module};
use nopal_wasm::*;

const RECURSE: &str = r#"(module
    (func $f (export "f") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;

fn kind(error: &Error) -> Option<TrapKind> {
    error.trap().map(TrapError::kind)
}

#[test]
fn infinite_recursion_traps_again_and_again() -> Test {
    let (mut store, instance) = instance(RECURSE);
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    for _ in 0..20 {
        let error = f.call(&mut store, -1).unwrap_err();
        assert_eq!(kind(&error), Some(TrapKind::StackOverflow));
        let trap = error.trap().expect("a trap");
        assert_eq!(trap.backtrace().len(), 64);
        assert!(trap.depth() > 10_000, "{}", trap.depth());
        assert!(trap.backtrace().iter().all(|frame| frame.func_index() == 0));
        assert!(
            trap.backtrace()[1..]
                .iter()
                .all(|f| f.wasm_offset().is_some())
        );
        assert_eq!(f.call(&mut store, 1000)?, 1000);
    }
    Ok(())
}

#[test]
fn the_size_of_the_stack_is_the_configured_one() -> Test {
    let depth = |bytes: usize| -> Result<usize> {
        let engine = Engine::new(config().max_wasm_stack(bytes))?;
        let module = module(&engine, RECURSE);
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
        let error = f.call(&mut store, -1).expect_err("an overflow");
        Ok(error.trap().expect("a trap").depth())
    };
    let (small, large) = (depth(64 << 10)?, depth(16 << 20)?);
    let ratio = large as f64 / small as f64;
    assert!(
        (200.0..=280.0).contains(&ratio),
        "{small} and {large} frames"
    );
    for bytes in [0, usize::MAX] {
        let error = Engine::new(Config::new().max_wasm_stack(bytes)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Limit(_)));
    }
    Ok(())
}

#[test]
fn recursion_through_the_host_traps() -> Test {
    let text = r#"(module
        (import "host" "again" (func $again))
        (func (export "f") (call $again)))"#;
    let (mut store, instance) = linked(0, text, |linker| {
        linker.func_wrap("host", "again", |mut caller: Caller<'_, i32>| {
            *caller.data_mut() += 1;
            let f = caller.get_export("f").and_then(Extern::into_func);
            f.expect("f")
                .typed::<(), ()>(&caller)?
                .call(&mut caller, ())
        })?;
        Ok(())
    });
    let f = instance.get_typed_func::<(), ()>(&mut store, "f")?;
    for _ in 0..5 {
        *store.data_mut() = 0;
        let error = f.call(&mut store, ()).unwrap_err();
        assert_eq!(kind(&error), Some(TrapKind::StackOverflow));
        let calls = *store.data();
        assert!(calls > 100, "{calls} calls");
        let depth = error.trap().expect("a trap").depth() as i32;
        assert!(
            (calls..=calls + 1).contains(&depth),
            "{calls} calls, {depth} frames"
        );
    }
    Ok(())
}

/// Runs with the guest's stack nearly used up, and needs 200 KiB of it.
fn hungry() -> u32 {
    let mut bytes = [1u8; 200 << 10];
    std::hint::black_box(&mut bytes);
    bytes.iter().map(|&b| u32::from(b)).sum()
}

#[test]
fn host_functions_have_a_reserve_wherever_they_are_called() -> Test {
    let text = r#"(module
        (import "host" "hungry" (func $hungry (result i32)))
        (func $f (export "f") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 0) (call $f (i32.sub (local.get 0) (i32.const 1)))))
                (else (call $hungry)))))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_wrap("host", "hungry", hungry)?;
        Ok(())
    });
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    let overflow = f.call(&mut store, -1).unwrap_err();
    let most = overflow.trap().expect("a trap").depth() as i32;
    let (mut succeeded, mut overflowed) = (0, 0);
    for depth in (most / 2..most + 10)
        .step_by(97)
        .chain(most - 300..most + 10)
    {
        match f.call(&mut store, depth) {
            Ok(sum) => {
                assert_eq!(sum, 200 << 10);
                succeeded += 1;
            }
            Err(error) => {
                assert_eq!(kind(&error), Some(TrapKind::StackOverflow));
                overflowed += 1;
            }
        }
    }
    assert!(
        succeeded > 20 && overflowed > 5,
        "{succeeded} and {overflowed}"
    );
    Ok(())
}

#[test]
fn large_frames_do_not_jump_over_the_guard() -> Test {
    // Results by the thousand take a frame of many pages.
    let types = "i64 ".repeat(1000);
    let values: String = (0..1000).map(|i| format!("(i64.const {i})")).collect();
    let drops = "drop ".repeat(999);
    let text = format!(
        r#"(module
            (func $many (result {types}) {values})
            (func $f (export "f") (param i32) (result i64)
                (if (local.get 0) (then (drop (call $f (local.get 0)))))
                (call $many) {drops}))"#
    );
    let (mut store, instance) = instance(&text);
    let f = instance.get_typed_func::<i32, i64>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, 0)?, 0);
    let error = f.call(&mut store, 1).unwrap_err();
    assert_eq!(kind(&error), Some(TrapKind::StackOverflow));
    assert_eq!(f.call(&mut store, 0)?, 0);
    Ok(())
}

#[test]
fn frames_larger_than_the_guard_do_not_jump_over_it() -> Test {
    // Locals that live across a call take a slot each: about 60 KiB.
    let count = 7500;
    let sets: String = (1..=count)
        .map(|i| {
            format!(
                "(local.set {i} (i64.load offset={} (local.get 0)))",
                i % 500
            )
        })
        .collect();
    let adds: String = (1..=count)
        .map(|i| format!("(local.get {i}) i64.add "))
        .collect();
    let text = format!(
        r#"(module (memory 1)
            (func $f (export "f") (param i32) (result i64) (local {})
                {sets}
                (if (local.get 0) (then (drop (call $f (local.get 0)))))
                (i64.const 1) {adds}))"#,
        "i64 ".repeat(count)
    );
    let (mut store, instance) = instance(&text);
    let f = instance.get_typed_func::<i32, i64>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, 0)?, 1);
    let error = f.call(&mut store, 1).unwrap_err();
    assert_eq!(kind(&error), Some(TrapKind::StackOverflow));
    let depth = error.trap().expect("a trap").depth();
    assert!((10..20).contains(&depth), "{depth} frames");
    assert_eq!(f.call(&mut store, 0)?, 1);
    Ok(())
}
