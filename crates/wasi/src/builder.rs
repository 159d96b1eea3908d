//! How an embedder sets up a guest's world.

use crate::abi::rights;
use crate::ctx::WasiCtx;
use crate::descriptor::{Descriptor, Direction};
use crate::table::Table;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a guest's world cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A directory to be preopened cannot be opened.
    #[error("cannot open directory {}: {source}", host.display())]
    Preopen {
        /// The directory on the host.
        host: PathBuf,
        /// What the host says.
        source: io::Error,
    },
    /// A standard stream of this process cannot be passed on.
    #[error("cannot pass on {stream}: {source}")]
    Stdio {
        /// `stdin`, `stdout` or `stderr`.
        stream: &'static str,
        /// What the host says.
        source: io::Error,
    },
    /// A string that a guest gets NUL-terminated has a NUL inside.
    #[error("{what} {text:?} has a NUL character inside")]
    Nul {
        /// What the string is: an argument, a variable, a directory name.
        what: &'static str,
        /// The string.
        text: String,
    },
    /// The name of an environment variable is empty or has a `=` inside.
    #[error("{0:?} cannot be the name of an environment variable")]
    VariableName(String),
}

/// Where a standard stream comes from or goes to.
enum Stdio<S> {
    /// Nowhere: reading finds the end, writing succeeds.
    Null,
    /// The stream of this process.
    Inherit,
    /// A stream provided by the embedder.
    Stream(S),
}

/// Sets up what a guest sees: nothing at all, unless told otherwise.
///
/// Without [`stdin`](Self::stdin) and the like or [`inherit_stdio`](Self::inherit_stdio), standard
/// input is empty and output is discarded.
pub struct WasiCtxBuilder {
    args: Vec<Vec<u8>>,
    env: Vec<(Vec<u8>, Vec<u8>)>,
    stdin: Stdio<Box<dyn Read + Send>>,
    stdout: Stdio<Box<dyn Write + Send>>,
    stderr: Stdio<Box<dyn Write + Send>>,
    preopens: Vec<Descriptor>,
}

impl Default for WasiCtxBuilder {
    fn default() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }
}

impl std::fmt::Debug for WasiCtxBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasiCtxBuilder").finish_non_exhaustive()
    }
}

impl WasiCtxBuilder {
    /// No arguments, no environment, no streams, no directories.
    pub fn new() -> WasiCtxBuilder {
        WasiCtxBuilder {
            args: Vec::new(),
            env: Vec::new(),
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            preopens: Vec::new(),
        }
    }

    /// Adds an argument. The first one is the program's name.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().as_bytes().to_vec());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Sets an environment variable, in place of an earlier one of the same name.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let name = name.as_ref().as_bytes().to_vec();
        let value = value.as_ref().as_bytes().to_vec();
        match self.env.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.env.push((name, value)),
        }
        self
    }

    /// Sets environment variables.
    pub fn envs(
        &mut self,
        vars: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        for (name, value) in vars {
            self.env(name, value);
        }
        self
    }

    /// Sets the environment variables of this process.
    pub fn inherit_env(&mut self) -> &mut Self {
        // A name with `=` in it can exist on the host, but no program could ask for it.
        let vars = std::env::vars_os().filter(|(name, _)| !name.as_bytes().contains(&b'='));
        self.envs(vars)
    }

    /// Passes the standard streams of this process on.
    ///
    /// The guest writes to them directly, past any buffer of this process, so what it has written
    /// is there even if the process is killed.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.stdin = Stdio::Inherit;
        self.stdout = Stdio::Inherit;
        self.stderr = Stdio::Inherit;
        self
    }

    /// Makes the guest's standard input read from `stream`.
    pub fn stdin(&mut self, stream: Box<dyn Read + Send>) -> &mut Self {
        self.stdin = Stdio::Stream(stream);
        self
    }

    /// Makes the guest's standard output go to `stream`, which is flushed after each write.
    pub fn stdout(&mut self, stream: Box<dyn Write + Send>) -> &mut Self {
        self.stdout = Stdio::Stream(stream);
        self
    }

    /// Makes the guest's standard error go to `stream`, which is flushed after each write.
    pub fn stderr(&mut self, stream: Box<dyn Write + Send>) -> &mut Self {
        self.stderr = Stdio::Stream(stream);
        self
    }

    /// Gives the guest the directory `host`, and all below, under the name `guest`.
    ///
    /// # Errors
    /// [`SetupError::Preopen`] when it cannot be opened, [`SetupError::Nul`] for a bad name.
    pub fn preopened_dir(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl AsRef<OsStr>,
    ) -> Result<&mut Self, SetupError> {
        self.preopen(host.as_ref(), guest.as_ref(), rights::ALL)
    }

    /// As [`preopened_dir`](Self::preopened_dir), but the guest can change nothing in it.
    ///
    /// # Errors
    /// As [`preopened_dir`](Self::preopened_dir).
    pub fn preopened_dir_read_only(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl AsRef<OsStr>,
    ) -> Result<&mut Self, SetupError> {
        self.preopen(host.as_ref(), guest.as_ref(), rights::READ_ONLY)
    }

    fn preopen(
        &mut self,
        host: &Path,
        guest: &OsStr,
        allowed: u64,
    ) -> Result<&mut Self, SetupError> {
        let name = without_nul("directory name", guest.as_bytes().to_vec())?;
        let dir = Dir::open_ambient_dir(host, ambient_authority()).map_err(|source| {
            SetupError::Preopen {
                host: host.to_path_buf(),
                source,
            }
        })?;
        self.preopens
            .push(Descriptor::preopened(dir, name, allowed));
        Ok(self)
    }

    /// Makes the guest's world. The builder is left empty, as new.
    ///
    /// Descriptors 0, 1 and 2 are the standard streams; preopened directories follow from 3 in the
    /// order they were given.
    ///
    /// # Errors
    /// [`SetupError::Nul`] and [`SetupError::VariableName`] for strings that cannot be passed,
    /// [`SetupError::Stdio`] when a stream of this process cannot be duplicated.
    pub fn build(&mut self) -> Result<WasiCtx, SetupError> {
        let builder = std::mem::take(self);
        let mut args = Vec::new();
        for arg in builder.args {
            args.push(without_nul("argument", arg)?);
        }
        let mut env = Vec::new();
        for (name, value) in builder.env {
            env.push(variable(name, &value)?);
        }
        let stdin = input(builder.stdin).map_err(stdio_error("stdin"))?;
        let stdout = output(builder.stdout, io::stdout()).map_err(stdio_error("stdout"))?;
        let stderr = output(builder.stderr, io::stderr()).map_err(stdio_error("stderr"))?;

        let mut table = Table::default();
        for descriptor in [stdin, stdout, stderr].into_iter().chain(builder.preopens) {
            // A table filled from empty does not run out of numbers before memory.
            let _ = table.insert(descriptor);
        }
        Ok(WasiCtx { args, env, table })
    }
}

fn input(stream: Stdio<Box<dyn Read + Send>>) -> io::Result<Descriptor> {
    Ok(match stream {
        Stdio::Null => Descriptor::reader(Box::new(io::empty())),
        Stdio::Inherit => {
            let fd = io::stdin().as_fd().try_clone_to_owned()?;
            Descriptor::standard(fd, Direction::In)?
        }
        Stdio::Stream(stream) => Descriptor::reader(stream),
    })
}

fn output(stream: Stdio<Box<dyn Write + Send>>, inherited: impl AsFd) -> io::Result<Descriptor> {
    Ok(match stream {
        Stdio::Null => Descriptor::writer(Box::new(io::sink())),
        Stdio::Inherit => {
            let fd = inherited.as_fd().try_clone_to_owned()?;
            Descriptor::standard(fd, Direction::Out)?
        }
        Stdio::Stream(stream) => Descriptor::writer(stream),
    })
}

fn stdio_error(stream: &'static str) -> impl FnOnce(io::Error) -> SetupError {
    move |source| SetupError::Stdio { stream, source }
}

fn without_nul(what: &'static str, text: Vec<u8>) -> Result<Vec<u8>, SetupError> {
    if text.contains(&0) {
        let text = String::from_utf8_lossy(&text).into_owned();
        return Err(SetupError::Nul { what, text });
    }
    Ok(text)
}

/// `NAME=VALUE`.
fn variable(name: Vec<u8>, value: &[u8]) -> Result<Vec<u8>, SetupError> {
    if name.is_empty() || name.contains(&b'=') {
        return Err(SetupError::VariableName(
            String::from_utf8_lossy(&name).into_owned(),
        ));
    }
    let mut text = name;
    text.push(b'=');
    text.extend_from_slice(value);
    without_nul("environment variable", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(builder: &mut WasiCtxBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn strings_that_cannot_be_passed_are_refused() {
        let mut builder = WasiCtxBuilder::new();
        assert_eq!(
            message(builder.arg("a\0b")),
            r#"argument "a\0b" has a NUL character inside"#
        );
        assert_eq!(
            message(builder.env("K", "v\0")),
            r#"environment variable "K=v\0" has a NUL character inside"#
        );
        for name in ["", "A=B"] {
            let expected = format!("{name:?} cannot be the name of an environment variable");
            assert_eq!(message(builder.env(name, "v")), expected);
        }
    }

    #[test]
    fn directories_that_cannot_be_opened_are_named() {
        let mut builder = WasiCtxBuilder::new();
        let error = builder.preopened_dir("/nonexistent/dir", ".").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open directory /nonexistent/dir: No such file or directory (os error 2)"
        );
        assert!(builder.preopened_dir("/", "a\0").is_err());
        assert!(builder.preopened_dir("/dev/null", ".").is_err());
    }

    #[test]
    fn later_variables_replace_earlier_ones() {
        let ctx = WasiCtxBuilder::new()
            .envs([("A", "1"), ("B", "2")])
            .env("A", "3")
            .build()
            .unwrap();
        assert_eq!(ctx.env, [b"A=3".to_vec(), b"B=2".to_vec()]);
    }

    #[test]
    fn this_process_can_be_inherited_from() {
        let ctx = WasiCtxBuilder::new()
            .inherit_stdio()
            .inherit_env()
            .build()
            .unwrap();
        assert!(ctx.table.get(2).is_ok());
        assert_eq!(ctx.env.len(), std::env::vars_os().count());
    }
}
