//! Patch sites and the values that hooks find there.

use crate::{Test, config, engine, module};
use nopal_live::SiteFrame;
use nopal_wasm::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const TEXT: &str = r#"(module
    (func $sum (export "sum") (param $n i32) (param $x i64) (param $y f64) (result i64)
        (loop $next
            (local.set $x (i64.add (local.get $x) (i64.extend_i32_s (local.get $n))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $x))
    (func (export "outer") (param i32) (result i64)
        (i64.add (i64.const 1)
            (call $sum (local.get 0) (i64.const 100) (f64.const 0.5)))))"#;

#[test]
fn sites_are_described() {
    let engine = engine();
    let module = module(&engine, TEXT);
    let kinds: Vec<(u32, SiteKind)> = (module.sites().iter())
        .map(|site| (site.func(), site.kind()))
        .collect();
    use SiteKind::{Entry, Exit, Loop};
    assert_eq!(
        kinds,
        [(0, Entry), (0, Loop), (0, Exit), (1, Entry), (1, Exit)]
    );
    let entry = &module.sites()[0];
    let types = |site: &Site| site.values().iter().map(|v| v.ty).collect::<Vec<_>>();
    assert_eq!(types(entry), [ValType::I32, ValType::I64, ValType::F64]);
    assert_eq!(types(&module.sites()[1]), []);
    assert_eq!(types(&module.sites()[2]), [ValType::I64]);
    for (i, site) in module.sites().iter().enumerate() {
        let function = module
            .function_at(site.return_address() - 1)
            .expect("a function");
        assert_eq!(function.index(), site.func());
        assert!(function.wasm_range().contains(&site.wasm_offset()));
        assert_eq!(
            function
                .sites()
                .iter()
                .filter(|s| s.id() == site.id())
                .count(),
            1
        );
        assert_eq!(module.site(site.id()).map(Site::id), Some(site.id()));
        assert_eq!(
            engine.code_space().site_at(site.return_address()),
            Some(site.id()),
            "{i}"
        );
    }
    let first = module.functions().next().expect("a function");
    assert_eq!(first.sites().len(), 3);
}

#[test]
fn sites_are_only_there_if_asked_for() -> Test {
    let count = |sites| -> Result<usize> {
        let engine = Engine::new(config().sites(sites))?;
        Ok(module(&engine, TEXT).sites().len())
    };
    assert_eq!(count(Sites::NONE)?, 0);
    let entries = Sites {
        entries: true,
        ..Sites::NONE
    };
    assert_eq!(count(entries)?, 2);
    assert_eq!(count(Sites::ALL)?, 5);
    Ok(())
}

#[test]
fn hooks_see_parameters_and_results() -> Test {
    let engine = engine();
    let module = module(&engine, TEXT);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let outer = instance.get_typed_func::<i32, i64>(&mut store, "outer")?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let (module, seen) = (module.clone(), seen.clone());
        engine.call_hook(move |id, frame: &mut SiteFrame| {
            let site = module.site(id).expect("a site of the module");
            let values = site.read(frame).expect("the frame of the site");
            let values: Vec<u64> = values.map(|(_, bits)| bits).collect();
            seen.lock()
                .expect("no panic")
                .push((site.func(), site.kind(), values));
        })?
    };
    let ids = module.sites().iter().map(Site::id);
    engine
        .code_space()
        .patch()
        .enable_all(ids, &hook)
        .commit()?;
    assert_eq!(outer.call(&mut store, 2)?, 104);
    let ids = module.sites().iter().map(Site::id);
    engine.code_space().patch().disable_all(ids).commit()?;
    assert_eq!(outer.call(&mut store, 3)?, 107);
    use SiteKind::{Entry, Exit, Loop};
    assert_eq!(
        *seen.lock().expect("no panic"),
        [
            (1, Entry, vec![2]),
            (0, Entry, vec![2, 100, 0.5f64.to_bits()]),
            (0, Loop, vec![]),
            (0, Loop, vec![]),
            (0, Exit, vec![103]),
            (1, Exit, vec![104]),
        ]
    );
    assert_eq!(hook.panic_message(), None);
    Ok(())
}

#[test]
fn traps_work_with_hooks_on() -> Test {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (func $f (export "f") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then unreachable))
                (call $f (i32.sub (local.get 0) (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    let hook = engine.code_space().count_hook()?;
    let ids = module.sites().iter().map(Site::id);
    engine
        .code_space()
        .patch()
        .enable_all(ids, &hook)
        .commit()?;
    let error = f.call(&mut store, 9).unwrap_err();
    assert_eq!(error.trap().expect("a trap").depth(), 10);
    assert_eq!(hook.count(module.sites()[0].id()), 10);
    Ok(())
}

const RECURSE: &str = r#"(module
    (func $f (export "f") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;

/// A hook that needs some stack.
fn use_stack() {
    let mut bytes = [0u8; 100 << 10];
    std::hint::black_box(&mut bytes);
}

#[test]
fn the_guest_overflows_its_stack_with_hooks_on() -> Test {
    let engine = engine();
    let module = module(&engine, RECURSE);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    let depth = |error: Error| {
        let trap = error.trap().expect("a trap");
        assert_eq!(trap.kind(), TrapKind::StackOverflow);
        assert!(trap.backtrace()[0].func_index() == 0);
        trap.depth()
    };
    let without = depth(f.call(&mut store, -1).expect_err("an overflow"));
    let entry = module.sites()[0].id();
    let space = engine.code_space();
    let (count, once) = (space.count_hook()?, space.once_hook()?);
    let call = engine.call_hook(|_, _| use_stack())?;
    let hooks: [&dyn nopal_live::Hook; 3] = [&count, &once, &call];
    for hook in hooks {
        space.patch().retarget(entry, hook).commit()?;
        for _ in 0..3 {
            let with = depth(f.call(&mut store, -1).expect_err("an overflow"));
            assert!(with.abs_diff(without) < 10, "{with} frames, not {without}");
            assert_eq!(f.call(&mut store, 100)?, 100);
        }
    }
    assert_eq!(call.panic_message(), None);
    Ok(())
}

#[test]
fn a_hook_makes_the_guest_trap() -> Test {
    let engine = engine();
    let module = module(&engine, RECURSE);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    let hook = {
        let module = module.clone();
        engine.call_hook(move |id, frame| {
            let site = module.site(id).expect("a site of the module");
            let param = site.read(frame).and_then(|mut values| values.next());
            if param.is_some_and(|(_, bits)| bits == 3) {
                assert!(trap_at_site(frame, TrapKind::Interrupted));
            }
        })?
    };
    let entry = module.sites()[0].id();
    engine.code_space().patch().enable(entry, &hook).commit()?;
    assert_eq!(f.call(&mut store, 2)?, 2);
    let error = f.call(&mut store, 9).unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.depth(), 7);
    assert!(
        trap.backtrace()
            .iter()
            .all(|frame| frame.wasm_offset().is_some())
    );
    engine.code_space().patch().disable(entry).commit()?;
    assert_eq!(f.call(&mut store, 9)?, 9);
    assert_eq!(hook.panic_message(), None);
    Ok(())
}

#[test]
fn sites_are_switched_under_running_guests() -> Test {
    use nopal_live::Protocol;
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (func $step (param i64) (result i64)
                (i64.add (i64.mul (local.get 0) (i64.const 6364136223846793005)) (i64.const 1)))
            (func (export "run") (param i64) (result i64) (local $x i64)
                (loop $next
                    (local.set $x (call $step (local.get $x)))
                    (br_if $next (i64.ne (i64.const 0)
                        (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
                (local.get $x)))"#,
    );
    const STEPS: i64 = 3_000_000;
    let mut expected = 0i64;
    for _ in 0..STEPS {
        expected = expected.wrapping_mul(6364136223846793005).wrapping_add(1);
    }
    let run = || -> Result<i64> {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let run = instance.get_typed_func::<i64, i64>(&mut store, "run")?;
        run.call(&mut store, STEPS)
    };
    let space = engine.code_space();
    let (count, call) = (space.count_hook()?, engine.call_hook(|_, _| {})?);
    let ids = || module.sites().iter().map(Site::id);
    // Guests run again and again, at least once with switching going on from begin to end.
    let switched = AtomicBool::new(false);
    let guest = || -> Result<bool> {
        let mut right = true;
        loop {
            let last = switched.load(Ordering::Relaxed);
            right &= run()? == expected;
            if last {
                return Ok(right);
            }
        }
    };
    std::thread::scope(|scope| -> Test {
        let guests = [scope.spawn(guest), scope.spawn(guest)];
        let switch = |toggle: usize| -> Test {
            let hook: &dyn nopal_live::Hook = if toggle.is_multiple_of(2) {
                &count
            } else {
                &call
            };
            let protocol = [Protocol::Direct, Protocol::Strict][toggle / 2 % 2];
            let mut patch = space.patch();
            patch.protocol(protocol);
            patch.enable_all(ids(), hook).commit()?;
            std::thread::yield_now();
            patch.disable_all(ids()).commit()?;
            Ok(())
        };
        let mut outcome = Ok(());
        let mut toggles = 0;
        while outcome.is_ok() && guests.iter().any(|guest| !guest.is_finished()) {
            outcome = switch(toggles);
            toggles += 1;
            switched.fetch_or(toggles >= 16, Ordering::Relaxed);
        }
        switched.store(true, Ordering::Relaxed);
        for guest in guests {
            assert!(guest.join().expect("no panic")?);
        }
        outcome
    })?;
    // Quiet again: counts are exact.
    count.reset();
    space.patch().enable_all(ids(), &count).commit()?;
    assert_eq!(run()?, expected);
    let step = module.sites()[0].id();
    assert_eq!(count.count(step), STEPS as u64);
    Ok(())
}
