//! What the tests of the command share: the command, files for it, and what it says.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary has a copy, and none uses all of it"
)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The command, about to be run. It has no cache, unless it gets a directory for it.
pub fn nopal(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nopal"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command.env("XDG_CACHE_HOME", "/dev/null");
    command
}

/// The outcome of one run, with output as text.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }
}

/// Run the command to its end.
pub fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
    nopal(args).output().expect("nopal starts").into()
}

impl Outcome {
    /// The one line of an error, without its prefix.
    #[track_caller]
    pub fn error(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        assert!(!line.contains('\n'), "more than one line: {self:?}");
        let message = line.strip_prefix("nopal: error: ");
        message.unwrap_or_else(|| panic!("not an error: {self:?}"))
    }

    /// Check that it ended with this code and said nothing on standard error; returns what it printed.
    #[track_caller]
    pub fn printed(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(code), ""));
        &self.stdout
    }
}

/// A folder of modules, deleted at the end of the test.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Files {
        Files(TempDir::new().expect("a temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with these contents.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("a file");
        path
    }

    /// A binary module.
    pub fn wasm(&self, name: &str, text: &str) -> PathBuf {
        self.file(name, wat::parse_str(text).expect("a valid text"))
    }
}

/// A module that writes `message` to standard output; `rest` is appended.
pub fn printing(message: &str, rest: &str) -> String {
    let len = message.len();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "\10\01\00\00")
            (data (i32.const 272) "{message}")
            (func $print
                (i32.store (i32.const 20) (i32.const {len}))
                (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8))))
            {rest})"#
    )
}

/// The programs of the benchmark's corpus, or of the folder that `NOPAL_CORPUS` names, with what they print.
pub fn corpus() -> Vec<(PathBuf, String)> {
    let folder = std::env::var_os("NOPAL_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/corpus"),
        PathBuf::from,
    );
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension() == Some(OsStr::new("wasm")) {
            let expected = fs::read_to_string(path.with_extension("expected"));
            programs.push((path, expected.expect("what it prints")));
        }
    }
    assert!(programs.len() >= 5, "{programs:?}");
    programs
}

/// The arguments of a program of the corpus: the lines of the file beside it, if there is one.
#[allow(
    dead_code,
    reason = "not every test that includes this module runs programs with them"
)]
pub fn arguments(program: &Path) -> Vec<String> {
    let text = fs::read_to_string(program.with_extension("args")).unwrap_or_default();
    text.lines().map(String::from).collect()
}
