//! Running a guest.

use crate::args::GuestArgs;
use crate::failure::Failure;
use crate::{load, output, values};
use nopal_wasi::WasiCtx;
use nopal_wasm::{Error, Extern, Func, Instance, Linker, Module, Store, Val};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `nopal run`.
pub(crate) fn run(args: &GuestArgs) -> Result<i32, Failure> {
    let wasm = load::read(args.file())?;
    let engine = load::engine(args)?;
    let module = load::compile(&engine, args.file(), &wasm)?;
    Guest::new(args, &module)?.call()
}

/// A program about to be run.
pub(crate) struct Guest<'a> {
    args: &'a GuestArgs,
    module: &'a Module,
    linker: Linker<WasiCtx>,
    store: Store<WasiCtx>,
    entry: Entry,
}

/// What is to be called.
enum Entry {
    /// `_start`, as of a program.
    Start,
    /// A function that was asked for by name.
    Invoke(String, Vec<Val>),
}

impl<'a> Guest<'a> {
    /// Prepare to run `module` as `args` say. Nothing of the guest runs yet.
    pub(crate) fn new(args: &'a GuestArgs, module: &'a Module) -> Result<Self, Failure> {
        let entry = entry(args, module)?;
        let mut linker = Linker::new(module.engine());
        nopal_wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)
            .map_err(|error| Failure::Error(error.to_string()))?;
        let store = Store::new(module.engine(), world(args)?);
        Ok(Guest {
            args,
            module,
            linker,
            store,
            entry,
        })
    }

    /// Run it to its end; returns its exit code.
    pub(crate) fn call(&mut self) -> Result<i32, Failure> {
        let mut results = Vec::new();
        let outcome = self.instantiate_and_call(&mut results);
        let code = nopal_wasi::exit_code(outcome).map_err(|error| self.failure(error))?;
        print_results(&results).map_err(output::failure)?;
        Ok(code & 0xff)
    }

    fn instantiate_and_call(&mut self, results: &mut Vec<Val>) -> nopal_wasm::Result<()> {
        let instance = self.linker.instantiate(&mut self.store, self.module)?;
        match &self.entry {
            Entry::Start => {
                let start = self.function(instance, "_start")?;
                start.call(&mut self.store, &[], &mut [])
            }
            Entry::Invoke(name, params) => {
                let (name, params) = (name.clone(), params.clone());
                // A library sets itself up before anything else of it is called.
                if name != "_initialize"
                    && let Some(Extern::Func(init)) =
                        instance.get_export(&mut self.store, "_initialize")
                {
                    init.call(&mut self.store, &[], &mut [])?;
                }
                let func = self.function(instance, &name)?;
                let types = func.ty(&self.store);
                results.extend(types.results().iter().map(|&ty| Val::default_for(ty)));
                let called = func.call(&mut self.store, &params, results);
                if called.is_err() {
                    results.clear();
                }
                called
            }
        }
    }

    fn function(&mut self, instance: Instance, name: &str) -> nopal_wasm::Result<Func> {
        instance
            .get_func(&mut self.store, name)
            .ok_or_else(|| Error::msg(format!("no function `{name}` is exported")))
    }

    fn failure(&self, error: Error) -> Failure {
        match error.trap() {
            Some(trap) => Failure::Trap(trap.clone()),
            None => load::failure(self.args.file(), &error),
        }
    }
}

/// What to call, checked before anything runs.
fn entry(args: &GuestArgs, module: &Module) -> Result<Entry, Failure> {
    let file = args.file().display();
    let name = args.invoke.as_deref().unwrap_or("_start");
    let Some(ty) = values::exported_function(module, name) else {
        let advice = match values::exported_functions(module) {
            list if list.is_empty() => "it exports no function at all".into(),
            list if args.invoke.is_some() => format!("it exports {list}"),
            list => format!("call a function with `--invoke F`; it exports {list}"),
        };
        return Err(Failure::Error(format!(
            "{file}: no function `{name}` is exported; {advice}"
        )));
    };
    if args.invoke.is_some() {
        let params = values::parse_all(args.args(), &ty)
            .map_err(|message| Failure::Usage(format!("{file}: `{name}` {message}")))?;
        return Ok(Entry::Invoke(name.into(), params));
    }
    if !ty.params().is_empty() || !ty.results().is_empty() {
        return Err(Failure::Error(format!(
            "{file}: `_start` has type {ty} instead of () -> (); call it with `--invoke _start`"
        )));
    }
    Ok(Entry::Start)
}

/// What the guest sees of the system.
fn world(args: &GuestArgs) -> Result<WasiCtx, Failure> {
    let mut builder = WasiCtx::builder();
    builder.inherit_stdio();
    let file = args.file();
    builder.arg(file.file_name().unwrap_or(file.as_os_str()));
    if args.invoke.is_none() {
        builder.args(args.args());
    }
    for variable in &args.env {
        let (name, value) = split_once(variable, b"=").ok_or_else(|| {
            let variable = variable.display();
            Failure::Usage(format!("--env {variable}: expected NAME=VALUE"))
        })?;
        builder.env(name, value);
    }
    for dir in &args.dirs {
        let (host, guest) = split_once(dir, b"::").unwrap_or((dir, dir));
        builder
            .preopened_dir(Path::new(host), guest)
            .map_err(|error| Failure::Error(error.to_string()))?;
    }
    builder
        .build()
        .map_err(|error| Failure::Error(error.to_string()))
}

/// What is before and after the first `separator`.
fn split_once<'a>(text: &'a OsString, separator: &[u8]) -> Option<(&'a OsStr, &'a OsStr)> {
    let bytes = text.as_bytes();
    let at = bytes
        .windows(separator.len())
        .position(|window| window == separator)?;
    let (before, after) = (&bytes[..at], &bytes[at + separator.len()..]);
    Some((OsStr::from_bytes(before), OsStr::from_bytes(after)))
}

fn print_results(results: &[Val]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for result in results {
        writeln!(out, "{}", values::print(result))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_separator() {
        let split = |text: &str, separator: &[u8]| {
            let text = OsString::from(text);
            split_once(&text, separator).map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        assert_eq!(split("a=b=c", b"="), Some(("a".into(), "b=c".into())));
        assert_eq!(split("/x::/y", b"::"), Some(("/x".into(), "/y".into())));
        assert_eq!(split("/x:/y", b"::"), None);
        assert_eq!(split("", b"::"), None);
    }
}
