//! The folder of modules to measure.
//!
//! Beside `X.wasm` there may be `X.args`, the arguments of the program with one argument a line, and `X.expected`, what it
//! must print to standard output, byte for byte.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use wasmparser::{Encoding, ExternalKind, Parser, Payload};

/// The module name of WASI preview 1, the only imports the engines are given.
const WASI_MODULE: &str = "wasi_snapshot_preview1";

/// A module and how to run it.
#[derive(Debug)]
pub(crate) struct Program {
    /// File name without `.wasm`.
    pub(crate) name: String,
    pub(crate) wasm: Vec<u8>,
    /// Bytes in the code section: what compile speed is counted in.
    pub(crate) code_section_bytes: usize,
    pub(crate) usage: Usage,
    /// Where it is, if it is a file.
    pub(crate) file: Option<PathBuf>,
}

/// What can be done with a module.
#[derive(Debug)]
pub(crate) enum Usage {
    Run(Command),
    /// The module is compiled but not run, for the reason given.
    CompileOnly(String),
}

/// One start of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// `argv`, the name of the program first.
    pub(crate) argv: Vec<String>,
    /// The folder that the guest sees as `.`.
    pub(crate) dir: PathBuf,
    /// What standard output must be, if that is known.
    pub(crate) expected: Option<Vec<u8>>,
}

/// What was found in a folder.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    /// In order of name.
    pub(crate) programs: Vec<Program>,
    /// Files that are not WebAssembly modules.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// A file that could not be made sense of.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    pub(crate) message: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CorpusError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: not UTF-8 text", path.display())]
    Text { path: PathBuf },
    #[error("no module to measure in {} (looked for *.wasm, by the filters given)", dir.display())]
    Empty { dir: PathBuf },
    #[error("{}: {message}", path.display())]
    Module { path: PathBuf, message: String },
    #[error("bad pattern: {0}")]
    Pattern(#[from] globset::Error),
}

/// Which modules of a folder to take, by name without `.wasm`.
#[derive(Debug)]
pub(crate) struct Selection {
    include: GlobSet,
    exclude: GlobSet,
}

impl Selection {
    /// Takes what matches any pattern in `include` (everything if that is empty) and none in `exclude`.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Selection, CorpusError> {
        let everything = [String::from("*")];
        let include = if include.is_empty() {
            &everything[..]
        } else {
            include
        };
        Ok(Selection {
            include: glob_set(include)?,
            exclude: glob_set(exclude)?,
        })
    }

    fn takes(&self, name: &str) -> bool {
        self.include.is_match(name) && !self.exclude.is_match(name)
    }
}

fn glob_set(patterns: &[String]) -> Result<GlobSet, CorpusError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    Ok(set.build()?)
}

/// Reads the selected modules of `dir`.
pub(crate) fn read(dir: &Path, selection: &Selection) -> Result<Corpus, CorpusError> {
    let mut corpus = Corpus::default();
    for name in module_names(dir)? {
        if !selection.takes(&name) {
            continue;
        }
        match read_program(&dir.join(format!("{name}.wasm"))) {
            Ok(program) => corpus.programs.push(program),
            Err(CorpusError::Module { message, .. }) => {
                corpus.unreadable.push(Unreadable { name, message });
            }
            Err(error) => return Err(error),
        }
    }
    if corpus.programs.is_empty() && corpus.unreadable.is_empty() {
        return Err(CorpusError::Empty {
            dir: dir.to_owned(),
        });
    }
    Ok(corpus)
}

/// Reads a module and what is beside it.
pub(crate) fn read_program(file: &Path) -> Result<Program, CorpusError> {
    let name = file.file_stem().and_then(|stem| stem.to_str());
    let name = name.ok_or_else(|| CorpusError::Text {
        path: file.to_owned(),
    })?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let wasm = read_file(file)?;
    let shape = inspect(&wasm).map_err(|message| CorpusError::Module {
        path: file.to_owned(),
        message,
    })?;
    let usage = match shape.obstacle() {
        None => Usage::Run(read_command(dir, name)?),
        Some(reason) => Usage::CompileOnly(reason),
    };
    Ok(Program {
        name: name.to_owned(),
        wasm,
        code_section_bytes: shape.code_section_bytes,
        usage,
        file: Some(file.to_owned()),
    })
}

/// Reads a module that is compiled but not run, under the name that it is to have in the report.
pub(crate) fn read_large(name: &str, file: &Path) -> Result<Program, CorpusError> {
    let mut program = compile_only(
        name.to_owned(),
        read_file(file)?,
        "large modules are compiled only",
    )
    .map_err(|message| CorpusError::Module {
        path: file.to_owned(),
        message,
    })?;
    program.file = Some(file.to_owned());
    Ok(program)
}

/// A module that is compiled but not run, for the reason given.
pub(crate) fn compile_only(name: String, wasm: Vec<u8>, reason: &str) -> Result<Program, String> {
    let shape = inspect(&wasm)?;
    Ok(Program {
        name,
        wasm,
        code_section_bytes: shape.code_section_bytes,
        usage: Usage::CompileOnly(reason.to_owned()),
        file: None,
    })
}

/// The names of the `*.wasm` files of `dir`, sorted, without the extension.
fn module_names(dir: &Path) -> Result<Vec<String>, CorpusError> {
    let unreadable = |source| CorpusError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            names.push(
                stem.ok_or_else(|| CorpusError::Text { path: path.clone() })?
                    .to_owned(),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn read_command(dir: &Path, name: &str) -> Result<Command, CorpusError> {
    let mut argv = vec![format!("{name}.wasm")];
    let args_path = dir.join(format!("{name}.args"));
    if let Some(bytes) = read_optional(&args_path)? {
        let text = String::from_utf8(bytes).map_err(|_| CorpusError::Text { path: args_path })?;
        argv.extend(text.lines().map(str::to_owned));
    }
    let expected = read_optional(&dir.join(format!("{name}.expected")))?;
    Ok(Command {
        argv,
        dir: dir.to_owned(),
        expected,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, CorpusError> {
    fs::read(path).map_err(|source| CorpusError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, CorpusError> {
    match read_file(path) {
        Err(CorpusError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// What the benchmark needs to know of a module before any engine sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    code_section_bytes: usize,
    has_start: bool,
    foreign_import: Option<String>,
}

impl Shape {
    /// Why the module cannot be run as a program, if it cannot.
    fn obstacle(&self) -> Option<String> {
        match &self.foreign_import {
            Some(import) => Some(format!(
                "imports {import}, which is not part of WASI preview 1"
            )),
            None if !self.has_start => Some(String::from("exports no function _start")),
            None => None,
        }
    }
}

fn inspect(wasm: &[u8]) -> Result<Shape, String> {
    let mut shape = Shape::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| error.to_string())?;
        if matches!(
            payload,
            Payload::Version {
                encoding: Encoding::Component,
                ..
            }
        ) {
            return Err(String::from("a component, not a module"));
        }
        read_payload(payload, &mut shape).map_err(|error| error.to_string())?;
    }
    if shape.code_section_bytes == 0 {
        return Err(String::from("no code section"));
    }
    Ok(shape)
}

fn read_payload(payload: Payload<'_>, shape: &mut Shape) -> wasmparser::Result<()> {
    match payload {
        Payload::CodeSectionStart { size, .. } => shape.code_section_bytes = size as usize,
        Payload::ImportSection(imports) => {
            for import in imports.into_imports() {
                let import = import?;
                if import.module != WASI_MODULE && shape.foreign_import.is_none() {
                    shape.foreign_import = Some(format!("{}::{}", import.module, import.name));
                }
            }
        }
        Payload::ExportSection(exports) => {
            for export in exports {
                let export = export?;
                shape.has_start |= export.name == "_start" && export.kind == ExternalKind::Func;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
