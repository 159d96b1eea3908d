//! What modules can and cannot import.

use crate::run_wat;
use nopal_wasi::{WasiCtx, WasiCtxBuilder, add_to_linker};
use nopal_wasm::{Engine, Linker, Module, Store};

/// Every function of preview 1: its parameters and whether it has a result, the error number. `i`
/// is 32 bits, `I` 64.
const FUNCTIONS: [(&str, &str, bool); 45] = [
    ("args_get", "ii", true),
    ("args_sizes_get", "ii", true),
    ("environ_get", "ii", true),
    ("environ_sizes_get", "ii", true),
    ("clock_res_get", "ii", true),
    ("clock_time_get", "iIi", true),
    ("fd_advise", "iIIi", true),
    ("fd_allocate", "iII", true),
    ("fd_close", "i", true),
    ("fd_datasync", "i", true),
    ("fd_fdstat_get", "ii", true),
    ("fd_fdstat_set_flags", "ii", true),
    ("fd_fdstat_set_rights", "iII", true),
    ("fd_filestat_get", "ii", true),
    ("fd_filestat_set_size", "iI", true),
    ("fd_filestat_set_times", "iIIi", true),
    ("fd_pread", "iiiIi", true),
    ("fd_prestat_get", "ii", true),
    ("fd_prestat_dir_name", "iii", true),
    ("fd_pwrite", "iiiIi", true),
    ("fd_read", "iiii", true),
    ("fd_readdir", "iiiIi", true),
    ("fd_renumber", "ii", true),
    ("fd_seek", "iIii", true),
    ("fd_sync", "i", true),
    ("fd_tell", "ii", true),
    ("fd_write", "iiii", true),
    ("path_create_directory", "iii", true),
    ("path_filestat_get", "iiiii", true),
    ("path_filestat_set_times", "iiiiIIi", true),
    ("path_link", "iiiiiii", true),
    ("path_open", "iiiiiIIii", true),
    ("path_readlink", "iiiiii", true),
    ("path_remove_directory", "iii", true),
    ("path_rename", "iiiiii", true),
    ("path_symlink", "iiiii", true),
    ("path_unlink_file", "iii", true),
    ("poll_oneoff", "iiii", true),
    ("proc_exit", "i", false),
    ("proc_raise", "i", true),
    ("sched_yield", "", true),
    ("random_get", "ii", true),
    ("sock_recv", "iiiiii", true),
    ("sock_send", "iiiii", true),
    ("sock_shutdown", "ii", true),
];

fn import(name: &str, params: &str, result: bool) -> String {
    let params: Vec<&str> = params
        .chars()
        .map(|kind| if kind == 'i' { "i32" } else { "i64" })
        .collect();
    let result = if result { "(result i32)" } else { "" };
    let params = params.join(" ");
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func (param {params}) {result}))"#)
}

#[test]
fn every_function_is_there_with_its_type() {
    let accept = ("sock_accept", "iii", true);
    let imports: String = FUNCTIONS
        .into_iter()
        .chain([accept])
        .map(|(name, params, result)| import(name, params, result))
        .collect();
    let wat = format!(r#"(module {imports} (func (export "_start")))"#);
    let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!(outcome, (0, String::new()));
}

/// A module that calls every function with 0 for each argument and keeps the results.
fn calls_all(memory: &str) -> String {
    let mut imports = String::new();
    let mut calls = String::new();
    for (index, (name, params, result)) in FUNCTIONS.into_iter().enumerate() {
        if name == "proc_exit" {
            imports.push_str(&import(name, params, result));
            continue;
        }
        imports.push_str(&import(name, params, result));
        let zeroes: String = params
            .chars()
            .map(|kind| {
                if kind == 'i' {
                    "(i32.const 0) "
                } else {
                    "(i64.const 0) "
                }
            })
            .collect();
        calls.push_str(&format!("(drop (call {index} {zeroes}))"));
    }
    format!(r#"(module {imports} {memory} (func (export "_start") {calls}))"#)
}

#[test]
fn every_function_can_be_called_with_zeroes() {
    let wat = calls_all(r#"(memory (export "memory") 1)"#);
    let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!(outcome.0, 0);
    // Without a single byte of memory, too.
    let wat = calls_all(r#"(memory (export "memory") 0)"#);
    let outcome = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap();
    assert_eq!(outcome.0, 0);
}

#[test]
fn a_module_without_memory_is_told_so() {
    for memory in ["", "(memory 1)", r#"(memory (export "mem") 1)"#] {
        let error = run_wat(&calls_all(memory), &mut WasiCtxBuilder::new()).unwrap_err();
        let message = error.to_string();
        let expected = "wasi_snapshot_preview1::args_get needs the caller to export its memory";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_is_not_preview_1_is_named() {
    for (module, name) in [
        ("wasi_unstable", "fd_write"),
        ("wasi_snapshot_preview1", "fd_dup"),
        ("env", "f"),
    ] {
        let wat =
            format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#);
        let error = run_wat(&wat, &mut WasiCtxBuilder::new()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(module) && message.contains(name),
            "{message}"
        );
    }
    // A known name with another type.
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "fd_close" (func (param i64)))
        (func (export "_start")))"#;
    let error = run_wat(wat, &mut WasiCtxBuilder::new()).unwrap_err();
    assert!(error.to_string().contains("fd_close"), "{error}");
}

#[test]
fn a_world_can_be_part_of_the_stores_data() {
    struct Host {
        calls: u32,
        wasi: WasiCtx,
    }
    let engine = Engine::default();
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (func (export "twice") (result i32) (i32.add (call $yield) (call $yield))))"#;
    let module = Module::new(&engine, &wat::parse_str(wat).unwrap()).unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |host: &mut Host| {
        host.calls += 1;
        &mut host.wasi
    })
    .unwrap();
    // A second time is one too many.
    assert!(add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi).is_err());
    let wasi = WasiCtxBuilder::new().build().unwrap();
    let mut store = Store::new(&engine, Host { calls: 0, wasi });
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let twice = instance
        .get_typed_func::<(), i32>(&mut store, "twice")
        .unwrap();
    assert_eq!(twice.call(&mut store, ()).unwrap(), 0);
    assert_eq!(store.data().calls, 2);
}
