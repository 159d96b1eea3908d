//! The code cache of functions that are compiled when they are called.

use crate::{Test, config};
use nopal_wasm::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// `call(n)` calls function `f<n>`, which returns twice `n`, or traps if `n` is 7.
fn wasm() -> Vec<u8> {
    let functions: String = (0..8)
        .map(|n| match n {
            7 => "(func $f7 (result i32) unreachable)".to_owned(),
            _ => format!("(func $f{n} (result i32) (call $add (i32.const {n}) (i32.const {n})))"),
        })
        .collect();
    let text = format!(
        r#"(module $name
            (import "host" "unused" (func))
            (table funcref (elem $f0 $f1 $f2 $f3 $f4 $f5 $f6 $f7))
            (type $f (func (result i32)))
            (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
            (func (export "call") (param i32) (result i32)
                (call_indirect (type $f) (local.get 0)))
            {functions})"#
    );
    wat::parse_str(text).expect("valid text")
}

/// Open the cache, run the functions with these numbers, and drop all; returns the counts of the cache:
/// hits, misses, those rejected, those stored.
fn run(dir: &TempDir, functions: &[i32]) -> Result<[u64; 4]> {
    let cache = CodeCache::open(dir.path())?;
    let engine = Engine::new(config().cache(cache.clone()))?;
    let module = Module::new(&engine, &wasm())?;
    let mut store = Store::new(&engine, ());
    let host = Func::wrap(&mut store, || {})?;
    let instance = Instance::new(&mut store, &module, &[host.into()])?;
    let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
    for &n in functions {
        match call.call(&mut store, n) {
            Ok(result) => assert_eq!(result, 2 * n),
            Err(error) => {
                assert_eq!((n, error.to_string().as_str()), (7, "unreachable"));
                let frames = error.trap().expect("a trap").backtrace();
                let names: Vec<_> = frames.iter().map(Frame::func_name).collect();
                assert_eq!(names, [Some("f7"), None]);
                assert!(frames.iter().all(|f| f.wasm_offset().is_some()));
            }
        }
    }
    drop((store, module, engine));
    let stats = cache.stats();
    Ok([stats.hits, stats.misses, stats.rejected, stats.stored])
}

/// The entries of the cache.
fn entries(dir: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path()).expect("a directory");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "code"))
        .collect()
}

#[test]
fn what_was_called_is_there_the_next_time() -> Test {
    let dir = tempfile::tempdir()?;
    assert_eq!(run(&dir, &[1, 7])?, [0, 1, 0, 1]);
    let [entry] = &entries(&dir)[..] else {
        panic!("one entry")
    };
    let first = fs::read(entry)?;
    // Had anything been compiled again, the entry would be another.
    assert_eq!(run(&dir, &[7, 1])?, [1, 0, 0, 0]);
    assert_eq!(run(&dir, &[])?, [1, 0, 0, 0]);
    assert_eq!(fs::read(entry)?, first);
    // More functions are added to what there is.
    assert_eq!(run(&dir, &[2])?, [1, 0, 0, 1]);
    let second = fs::read(entry)?;
    assert!(second.len() > first.len());
    assert_eq!(run(&dir, &[7, 2, 1])?, [1, 0, 0, 0]);
    assert_eq!(fs::read(entry)?, second);
    Ok(())
}

#[test]
fn a_module_none_of_whose_functions_was_called_is_known_to_be_valid() -> Test {
    let dir = tempfile::tempdir()?;
    assert_eq!(run(&dir, &[])?, [0, 1, 0, 1]);
    assert_eq!(run(&dir, &[])?, [1, 0, 0, 0]);
    assert_eq!(run(&dir, &[3])?, [1, 0, 0, 1]);
    Ok(())
}

#[test]
fn an_invalid_module_stays_invalid() -> Test {
    let dir = tempfile::tempdir()?;
    let cache = CodeCache::open(dir.path())?;
    let engine = Engine::new(config().cache(cache.clone()))?;
    let bad = wat::parse_str("(module (func (result i32)))")?;
    for _ in 0..3 {
        let error = Module::new(&engine, &bad).expect_err("an error");
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    }
    assert_eq!((cache.stats().misses, cache.stats().stored), (3, 0));
    assert!(entries(&dir).is_empty());
    Ok(())
}

#[test]
fn damaged_entries_are_replaced() -> Test {
    let dir = tempfile::tempdir()?;
    assert_eq!(run(&dir, &[0, 1])?, [0, 1, 0, 1]);
    let [entry] = &entries(&dir)[..] else {
        panic!("one entry")
    };
    let mut bytes = fs::read(entry)?;
    bytes[100] ^= 1;
    fs::write(entry, bytes)?;
    assert_eq!(run(&dir, &[0, 1])?, [0, 1, 1, 1]);
    assert_eq!(run(&dir, &[0, 1])?, [1, 0, 0, 0]);
    Ok(())
}

#[test]
fn eager_and_lazy_code_have_their_own_entries() -> Test {
    let dir = tempfile::tempdir()?;
    assert_eq!(run(&dir, &[0])?, [0, 1, 0, 1]);
    let cache = CodeCache::open(dir.path())?;
    let mut eager = Config::new();
    let eager = Engine::new(eager.cache(cache.clone()))?;
    Module::new(&eager, &wasm())?;
    assert_eq!((cache.stats().hits, cache.stats().stored), (0, 1));
    assert_eq!(entries(&dir).len(), 2);
    Ok(())
}

#[test]
fn code_from_the_cache_is_what_was_compiled() -> Test {
    let dir = tempfile::tempdir()?;
    let code = || -> Result<(Vec<Vec<u8>>, [u64; 2])> {
        let cache = CodeCache::open(dir.path())?;
        // One thread, so that functions are compiled and published in order.
        let engine = config()
            .cache(cache.clone())
            .parallel_compilation(false)
            .clone();
        let engine = Engine::new(&engine)?;
        let module = Module::new(&engine, &wasm())?;
        assert_eq!(module.sites().len(), 2 * 10 - 1);
        let hook = engine.code_space().count_hook().expect("a hook");
        let ids = || module.sites().iter().map(Site::id);
        let patch = engine
            .code_space()
            .patch()
            .enable_all(ids(), &hook)
            .commit();
        patch.expect("sites that are on");
        let mut store = Store::new(&engine, ());
        let host = Func::wrap(&mut store, || {})?;
        let instance = Instance::new(&mut store, &module, &[host.into()])?;
        let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
        assert_eq!(call.call(&mut store, 3)?, 6);
        assert_eq!(ids().map(|id| hook.count(id)).sum::<u64>(), 6);
        drop(hook);
        // Calls have other distances, and sites that were on others than before.
        let code = module.functions().map(|func| {
            let calls = func.sites().iter().map(Site::return_address);
            let mut code = func.code();
            for end in calls {
                let end = end - func.code_range().start;
                code[end - 5..end].fill(0);
            }
            code
        });
        let code = code.collect();
        drop((store, module, engine));
        Ok((code, [cache.stats().hits, cache.stats().stored]))
    };
    let (compiled, first) = code()?;
    let (cached, second) = code()?;
    assert_eq!((first, second), ([0, 1], [1, 0]));
    assert_eq!(cached, compiled);
    Ok(())
}
