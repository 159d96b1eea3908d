//! The cache of compiled code.

use crate::Test;
use nopal_wasm::*;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const TEXT: &str = r#"(module $name
    (memory 1)
    (table 2 funcref)
    (elem (i32.const 0) $half)
    (func $half (param i32) (result i32) (i32.div_u (i32.const 100) (local.get 0)))
    (func $sum (export "sum") (param $n i32) (param $x i64) (result i64)
        (loop $next
            (local.set $x (i64.add (local.get $x) (i64.extend_i32_s (local.get $n))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $x))
    (func (export "f") (param i32) (result i64)
        (i64.add
            (i64.extend_i32_u (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
            (call $sum (local.get 0) (i64.const 1)))))"#;

/// A directory for a cache, deleted at the end of the test.
struct Folder {
    temp: TempDir,
    wasm: Vec<u8>,
}

impl Folder {
    fn new() -> Folder {
        Folder {
            temp: TempDir::new().expect("a directory"),
            wasm: wat::parse_str(TEXT).expect("valid text"),
        }
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("cache")
    }

    fn open(&self) -> CodeCache {
        CodeCache::open(self.path()).expect("a cache")
    }

    /// The files of entries.
    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path()).expect("the directory");
        let paths = files.map(|file| file.expect("a file").path());
        paths
            .filter(|path| path.extension().is_some_and(|ext| ext == "code"))
            .collect()
    }

    /// The file of the only entry.
    fn entry(&self) -> PathBuf {
        match &self.entries()[..] {
            [entry] => entry.clone(),
            other => panic!("not one entry: {other:?}"),
        }
    }
}

fn engine(cache: &CodeCache) -> Engine {
    Engine::new(Config::new().cache(cache.clone())).expect("an engine")
}

/// What the module of `TEXT` computes.
fn check(engine: &Engine, module: &Module) {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, module, &[]).expect("an instance");
    let f = instance.get_typed_func::<i32, i64>(&mut store, "f");
    let f = f.expect("the function");
    assert_eq!(f.call(&mut store, 4).expect("a result"), 25 + 1 + 10);
    let error = f.call(&mut store, 0).expect_err("a trap");
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.kind(), TrapKind::IntegerDivisionByZero);
    let frames = trap.backtrace();
    assert_eq!(frames[0].func_name(), Some("half"));
    assert_eq!((frames.len(), frames[0].func_index()), (2, 0));
    assert!(frames.iter().all(|frame| frame.wasm_offset().is_some()));
}

/// A module and what is known about its code, apart from where that is.
fn describe(module: &Module) -> Vec<String> {
    let base = module.code_range().start;
    let mut lines = vec![format!("{:?} {}", module.name(), module.code_size())];
    for func in module.functions() {
        let range = func.code_range();
        let range = range.start - base..range.end - base;
        lines.push(format!("{} {:?} {range:?}", func.index(), func.name()));
        lines.push(format!("{:x?}", func.code()));
        for trap in func.traps() {
            let at = trap.address - base;
            lines.push(format!("{at} {} {:?}", trap.kind, trap.wasm_offset));
        }
        for site in func.sites() {
            let (kind, at) = (site.kind(), site.return_address() - base);
            let values = site.values();
            lines.push(format!("{kind:?} {at} {} {values:?}", site.wasm_offset()));
        }
    }
    lines
}

/// Counts of the cache: hits, misses, those rejected, those stored.
fn stats(cache: &CodeCache) -> [u64; 4] {
    let stats = cache.stats();
    [stats.hits, stats.misses, stats.rejected, stats.stored]
}

/// Compile with a cache just opened; returns its counts.
#[track_caller]
fn compile(folder: &Folder) -> [u64; 4] {
    let cache = folder.open();
    let engine = engine(&cache);
    let module = Module::new(&engine, &folder.wasm).expect("a module");
    check(&engine, &module);
    stats(&cache)
}

const HIT: [u64; 4] = [1, 0, 0, 0];
const MISS: [u64; 4] = [0, 1, 0, 1];
const REJECTED: [u64; 4] = [0, 1, 1, 1];

#[test]
fn code_from_the_cache_is_what_was_compiled() -> Test {
    let folder = Folder::new();
    let plain = Engine::default();
    let compiled = Module::new(&plain, &folder.wasm)?;
    let cache = folder.open();
    let engine = engine(&cache);
    let first = Module::new(&engine, &folder.wasm)?;
    assert_eq!(stats(&cache), MISS);
    let second = Module::new(&engine, &folder.wasm)?;
    assert_eq!(stats(&cache), [1, 1, 0, 1]);
    assert_eq!(describe(&first), describe(&compiled));
    assert_eq!(describe(&second), describe(&compiled));
    check(&engine, &first);
    check(&engine, &second);
    assert_eq!(compile(&folder), HIT, "another engine");
    Ok(())
}

#[test]
fn sites_of_cached_code_are_switched_and_read() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let cache = folder.open();
    let engine = engine(&cache);
    let module = Module::new(&engine, &folder.wasm)?;
    assert_eq!(stats(&cache), HIT);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let sum = instance.get_typed_func::<(i32, i64), i64>(&mut store, "sum")?;

    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (log, of) = (seen.clone(), module.clone());
    let hook = engine.code_space().call_hook(move |id, frame| {
        let site = of.site(id).expect("a site of the module");
        let values = site.read(frame).expect("its frame");
        let values: Vec<u64> = values.map(|(_, bits)| bits).collect();
        log.lock().expect("the log").push((site.kind(), values));
    })?;
    let sites = module.functions().nth(1).expect("a function").sites();
    let ids = sites.iter().map(Site::id);
    (engine.code_space().patch())
        .enable_all(ids, &hook)
        .commit()?;
    assert_eq!(sum.call(&mut store, (2, 40))?, 43);
    use SiteKind::{Entry, Exit, Loop};
    assert_eq!(
        *seen.lock().expect("the log"),
        [
            (Entry, vec![2, 40]),
            (Loop, vec![]),
            (Loop, vec![]),
            (Exit, vec![43])
        ]
    );
    Ok(())
}

#[test]
fn modules_and_settings_have_their_own_entries() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let cache = folder.open();
    let mut config = Config::new();
    config.cache(cache.clone()).sites(Sites::NONE);
    let module = Module::new(&Engine::new(&config)?, &folder.wasm)?;
    assert_eq!(module.sites().len(), 0);
    assert_eq!(stats(&cache), MISS);
    let renamed = wat::parse_str(TEXT.replace("$name", "$other"))?;
    Module::new(&engine(&cache), &renamed)?;
    assert_eq!(stats(&cache), [0, 2, 0, 2]);
    assert_eq!(folder.entries().len(), 3);
    // How it is compiled makes no difference to what is compiled.
    let mut config = Config::new();
    config.cache(cache.clone()).parallel_compilation(false);
    Module::new(&Engine::new(&config)?, &folder.wasm)?;
    assert_eq!(stats(&cache), [1, 2, 0, 2]);
    Ok(())
}

#[test]
fn invalid_modules_stay_invalid() {
    let folder = Folder::new();
    let cache = folder.open();
    let engine = engine(&cache);
    let bad = [&folder.wasm[..], b"\x01"].concat();
    for _ in 0..2 {
        Module::new(&engine, &bad).expect_err("an error");
    }
    let bad = wat::parse_str("(module (func (result i32)))").expect("text");
    for misses in 1..3 {
        Module::new(&engine, &bad).expect_err("an error");
        assert_eq!(stats(&cache), [0, misses, 0, 0]);
    }
    assert_eq!(folder.entries(), [""; 0].map(PathBuf::from));
}

#[test]
fn modules_without_functions_are_not_kept() -> Test {
    let folder = Folder::new();
    let cache = folder.open();
    Module::new(&engine(&cache), &wat::parse_str("(module (memory 1))")?)?;
    assert_eq!(stats(&cache), [0; 4]);
    assert!(folder.entries().is_empty());
    Ok(())
}

#[test]
fn damaged_entries_are_replaced() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let file = folder.entry();
    let good = fs::read(&file)?;
    // Places all over the contents, the code that authenticates, and the version.
    let end = good.len() - 48;
    let offsets = (0..end).step_by(end / 200).chain(end..good.len());
    for at in offsets {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&file, bad)?;
        assert_eq!(compile(&folder), REJECTED, "offset {at}");
        assert_eq!(fs::read(&file)?, good, "offset {at}");
    }
    assert_eq!(compile(&folder), HIT);
    Ok(())
}

#[test]
fn truncated_and_extended_entries_are_replaced() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let file = folder.entry();
    let good = fs::read(&file)?;
    let end = good.len() - 48;
    let lengths = (0..end).step_by(end / 50).chain(end..good.len());
    for len in lengths {
        fs::write(&file, &good[..len])?;
        assert_eq!(compile(&folder), REJECTED, "length {len}");
    }
    fs::write(&file, [&good[..], b"\0"].concat())?;
    assert_eq!(compile(&folder), REJECTED);
    assert_eq!(compile(&folder), HIT);
    Ok(())
}

#[test]
fn entries_of_others_are_not_trusted() -> Test {
    let (ours, theirs) = (Folder::new(), Folder::new());
    assert_eq!(compile(&ours), MISS);
    assert_eq!(compile(&theirs), MISS);
    let file = ours.entry();
    assert_eq!(file.file_name(), theirs.entry().file_name());
    assert_ne!(fs::read(&file)?, fs::read(theirs.entry())?);
    fs::copy(theirs.entry(), &file)?;
    assert_eq!(compile(&ours), REJECTED);

    // An entry of ours under the name of another.
    let cache = ours.open();
    let renamed = wat::parse_str(TEXT.replace("$name", "$other"))?;
    Module::new(&engine(&cache), &renamed)?;
    let other = (ours.entries().into_iter()).find(|path| *path != file);
    fs::copy(other.expect("a second entry"), &file)?;
    assert_eq!(compile(&ours), REJECTED);
    assert_eq!(compile(&ours), HIT);
    Ok(())
}

#[test]
fn what_is_no_file_is_no_entry() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let file = folder.entry();
    let elsewhere = folder.temp.path().join("elsewhere");
    fs::rename(&file, &elsewhere)?;
    symlink(&elsewhere, &file)?;
    assert_eq!(compile(&folder), MISS, "a link is not followed");
    assert!(fs::symlink_metadata(&file)?.is_file());
    fs::remove_file(&file)?;
    fs::create_dir(&file)?;
    assert_eq!(compile(&folder), [0, 1, 0, 0], "a folder stays");
    fs::remove_dir(&file)?;
    assert_eq!(compile(&folder), MISS);
    Ok(())
}

#[test]
fn only_private_directories_are_used() -> Test {
    let folder = Folder::new();
    let error = |path: &Path| CodeCache::open(path).expect_err("no cache").to_string();
    for mode in [0o720, 0o702, 0o777] {
        let path = folder.temp.path().join(format!("{mode:o}"));
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        assert_eq!(
            error(&path),
            format!("{}: other users can write to it", path.display())
        );
        assert_eq!(fs::read_dir(&path)?.count(), 0);
    }
    let file = folder.temp.path().join("file");
    fs::write(&file, "")?;
    assert!(error(&file).starts_with(&format!("{}: ", file.display())));
    error(&file.join("below"));
    let cache = CodeCache::open(folder.path().join("a/b"))?;
    assert_eq!(cache.dir(), folder.path().join("a/b"));
    let mode = |path: &Path| Ok::<_, std::io::Error>(fs::metadata(path)?.mode() & 0o777);
    assert_eq!(mode(cache.dir())? & 0o077, 0);
    assert_eq!(mode(&cache.dir().join("secret"))? & 0o177, 0);
    Ok(())
}

#[test]
fn secrets_that_others_may_know_are_replaced() -> Test {
    let folder = Folder::new();
    assert_eq!(compile(&folder), MISS);
    let secret = folder.path().join("secret");
    let known = fs::read(&secret)?;
    assert_eq!(known.len(), 32);

    fs::set_permissions(&secret, Permissions::from_mode(0o640))?;
    assert_eq!(compile(&folder), REJECTED, "readable by others");
    assert_ne!(fs::read(&secret)?, known);
    assert_eq!(compile(&folder), HIT);

    fs::write(&secret, b"short")?;
    assert_eq!(compile(&folder), REJECTED, "too short");
    assert_eq!(fs::read(&secret)?.len(), 32);

    let elsewhere = folder.temp.path().join("elsewhere");
    fs::write(&elsewhere, &known)?;
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600))?;
    fs::remove_file(&secret)?;
    symlink(&elsewhere, &secret)?;
    assert_eq!(compile(&folder), REJECTED, "a link");
    assert!(fs::symlink_metadata(&secret)?.is_file());
    assert_eq!(fs::read(&elsewhere)?, known);

    fs::remove_file(&secret)?;
    assert_eq!(compile(&folder), REJECTED, "gone");
    assert_eq!(compile(&folder), HIT);
    Ok(())
}

#[test]
fn entries_not_used_for_longest_go_first() -> Test {
    let folder = Folder::new();
    let cache = folder.open();
    let engine = engine(&cache);
    let wasm = |n: usize| {
        // All have the same size.
        let n = 1000 + n;
        let text = format!("(module (func (export \"f\") (result i32) (i32.const {n})))");
        wat::parse_str(text).expect("valid text")
    };
    let file = |n: usize| {
        let before = folder.entries();
        Module::new(&engine, &wasm(n)).expect("a module");
        let new = folder.entries().into_iter().find(|p| !before.contains(p));
        new.expect("a new entry")
    };
    let age = |path: &Path, hours: u64| {
        let time = SystemTime::now() - Duration::from_secs(3600 * hours);
        File::options().write(true).open(path)?.set_modified(time)
    };
    let files: Vec<PathBuf> = (0..4).map(file).collect();
    for (file, hours) in files.iter().zip([40, 30, 20, 10]) {
        age(file, hours)?;
    }
    // What is not the cache's is not touched, however old; what was left unfinished is.
    let foreign = folder.path().join("foreign");
    let abandoned = folder.path().join(".unfinished-0");
    let unfinished = folder.path().join(".unfinished-1");
    for path in [&foreign, &abandoned, &unfinished] {
        fs::write(path, vec![0; 1 << 20])?;
    }
    age(&foreign, 1000)?;
    age(&abandoned, 2)?;

    // The oldest is used again.
    Module::new(&engine, &wasm(0))?;
    assert_eq!(cache.stats().hits, 1);
    let size = fs::metadata(&files[0])?.len();
    // Five do not fit; an eighth more than necessary is deleted.
    cache.set_max_size(4 * size);
    let newest = file(4);
    let left = |path: &Path| path.exists();
    assert_eq!(
        [&files[0], &files[1], &files[2], &files[3], &newest].map(|path| left(path)),
        [true, false, false, true, true]
    );
    assert_eq!(
        [&foreign, &abandoned, &unfinished].map(|path| left(path)),
        [true, false, true]
    );

    // What alone is too large is not kept.
    cache.set_max_size(size - 1);
    let stored = cache.stats().stored;
    Module::new(&engine, &wasm(5))?;
    assert_eq!(cache.stats().stored, stored);
    Ok(())
}

#[test]
fn threads_share_a_directory() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let cache = folder.open();
                    let engine = engine(&cache);
                    let module = Module::new(&engine, &folder.wasm).expect("a module");
                    check(&engine, &module);
                    assert_eq!(cache.stats().rejected, 0);
                }
            });
        }
    });
    let files = fs::read_dir(folder.path()).expect("the directory");
    assert_eq!(files.count(), 2, "the secret and one entry");
    assert_eq!(compile(&folder), HIT);
}
