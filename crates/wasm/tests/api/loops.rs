//! Sites at the heads of loops, which branches lead around while they are off.

use crate::{Test, engine, module};
use nopal_live::Protocol;
use nopal_wasm::*;

/// Loops of several kinds, each of which counts its passes in a word of memory: at 0, 8, 16 and so on.
const TEXT: &str = r#"(module
    (memory (export "memory") 1)
    (func $pass (param i32)
        (i64.store (local.get 0) (i64.add (i64.load (local.get 0)) (i64.const 1))))

    ;; One edge back, nothing moved.
    (func (export "simple") (param $n i32) (result i32)
        (loop $next
            (call $pass (i32.const 0))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $n))

    ;; Values that change places on the way back, one loop in another.
    (func (export "fibonacci") (param $n i32) (result i32)
        (local $a i32) (local $b i32) (local $c i32) (local $m i32)
        (local.set $b (i32.const 1))
        (loop $outer
            (i64.store offset=8 (i32.const 0)
                (i64.add (i64.load offset=8 (i32.const 0)) (i64.const 1)))
            (local.set $m (local.get $n))
            (loop $inner
                (i64.store offset=16 (i32.const 0)
                    (i64.add (i64.load offset=16 (i32.const 0)) (i64.const 1)))
                (local.set $c (i32.add (local.get $a) (local.get $b)))
                (local.set $a (local.get $b))
                (local.set $b (local.get $c))
                (br_if $inner (i32.gt_s (local.tee $m (i32.sub (local.get $m) (i32.const 2))) (i32.const 0))))
            (br_if $outer (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
        (local.get $b))

    ;; Three edges back, one of them from a table; leaves from the middle.
    (func (export "edges") (param $n i32) (result i32)
        (local $odd i32) (local $i i32)
        (loop $next (result i32)
            (i64.store offset=24 (i32.const 0)
                (i64.add (i64.load offset=24 (i32.const 0)) (i64.const 1)))
            (if (i32.ge_u (local.get $i) (local.get $n)) (then (return (local.get $odd))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.and (local.get $i) (i32.const 4)))
            (block $on
                (br_table $on $next $on (i32.and (local.get $i) (i32.const 1))))
            (local.set $odd (i32.add (local.get $odd) (local.get $i)))
            (br $next)))

    ;; A large body, which takes long branches.
    (func (export "large") (param $n i32) (result i32)
        (local $x f64)
        (loop $next
            (i64.store offset=32 (i32.const 0)
                (i64.add (i64.load offset=32 (i32.const 0)) (i64.const 1)))
            LARGE
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.trunc_sat_f64_s (local.get $x))))"#;

fn text() -> String {
    let step = "(local.set $x (f64.add (f64.mul (local.get $x) (f64.const 0.5)) (f64.load offset=64 (local.get $n))))";
    TEXT.replace("LARGE", &step.repeat(12))
}

const FUNCTIONS: [&str; 4] = ["simple", "fibonacci", "edges", "large"];
/// The loops in order of the text.
const LOOPS: usize = 5;

/// Whatever sites are on, each sees every pass of its loop, and results are the same.
#[test]
fn every_pass_is_seen() -> Test {
    let engine = engine();
    let module = module(&engine, &text());
    for protocol in [Protocol::Direct, Protocol::Strict] {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "memory").expect("memory");
        let passes = |store: &Store<()>| -> [u64; LOOPS] {
            std::array::from_fn(|i| {
                let bytes = &memory.data(store)[8 * i..8 * i + 8];
                u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
            })
        };
        let sites: Vec<_> = (module.sites().iter())
            .filter(|site| site.kind() == SiteKind::Loop)
            .map(Site::id)
            .collect();
        assert_eq!(sites.len(), LOOPS);
        let space = engine.code_space();
        let hook = space.count_hook()?;
        let mut expected = None;
        for on in 0..1 << LOOPS {
            let is_on = |i: usize| on >> i & 1 != 0;
            let mut patch = space.patch();
            patch.protocol(protocol);
            for (i, &site) in sites.iter().enumerate() {
                match is_on(i) {
                    true => patch.enable(site, &hook),
                    false => patch.disable(site),
                };
            }
            patch.commit()?;
            hook.reset();
            let before = passes(&store);
            let mut results = Vec::new();
            for name in FUNCTIONS {
                for n in [1, 2, 9, 100] {
                    let function = instance.get_typed_func::<i32, i32>(&mut store, name)?;
                    results.push(function.call(&mut store, n)?);
                }
            }
            assert_eq!(expected.get_or_insert(results.clone()), &results);
            let after = passes(&store);
            for (i, &site) in sites.iter().enumerate() {
                let passed = after[i] - before[i];
                assert!(passed >= 112, "loop {i} is passed {passed} times");
                let seen = if is_on(i) { passed } else { 0 };
                assert_eq!(hook.count(site), seen, "loop {i} with {on:05b}");
            }
        }
    }
    Ok(())
}
