//! `nopal compile`.

mod asm;
mod clif;
mod sites;

use crate::args::{CompileArgs, Emit};
use crate::failure::Failure;
use crate::{load, output, trace};
use nopal_instrument::Patterns;
use nopal_wasm::{Config, FunctionInfo, Inspector, Module, SiteKind, Sites};
use std::io::{self, BufWriter, Write};

/// Show what a module is compiled to.
pub(crate) fn run(args: &CompileArgs) -> Result<i32, Failure> {
    if args.json && args.emit != Emit::Sites {
        return Err(Failure::Usage("--json goes with --emit sites".into()));
    }
    let patterns = Patterns::new(&args.patterns).map_err(|e| Failure::Usage(e.to_string()))?;
    let wasm = load::read(&args.file)?;
    let sites = if args.no_sites {
        Sites::NONE
    } else {
        Sites::ALL
    };
    let engine = load::start(Config::new().sites(sites))?;
    let module = load::compile(&engine, &args.file, &wasm)?;
    let functions = trace::select(&patterns, &module, &args.file, &args.patterns)?;
    let chosen = Chosen {
        module: &module,
        functions: &functions,
    };

    let mut out = BufWriter::new(io::stdout().lock());
    let written = match args.emit {
        Emit::Clif => {
            let inspector =
                Inspector::new(&wasm).map_err(|error| load::failure(&args.file, &error))?;
            clif::write(&mut out, &chosen, |index| {
                inspector
                    .ir(index, sites)
                    .map_err(|error| load::failure(&args.file, &error))
            })
        }
        Emit::Asm => asm::write(&mut out, &chosen).map_err(output::failure),
        Emit::Sites if args.json => sites::write_json(&mut out, &chosen).map_err(output::failure),
        Emit::Sites => sites::write(&mut out, &chosen).map_err(output::failure),
    };
    written?;
    out.flush().map_err(output::failure)?;
    Ok(0)
}

/// The functions to show.
struct Chosen<'a> {
    module: &'a Module,
    /// Ascending indices.
    functions: &'a [u32],
}

impl<'a> Chosen<'a> {
    fn iter(&self) -> impl Iterator<Item = FunctionInfo<'a>> {
        let all = self.module.functions();
        all.filter(|func| self.functions.binary_search(&func.index()).is_ok())
    }
}

/// The name of a kind of site.
fn kind_name(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Entry => "entry",
        SiteKind::Exit => "exit",
        SiteKind::Loop => "loop",
    }
}

/// What a listing says before a function.
fn heading(func: FunctionInfo<'_>) -> String {
    let name = nopal_instrument::display_name(func);
    let wasm = func.wasm_range();
    format!(
        "function {} {name}: {}, wasm {:#x}..{:#x}",
        func.index(),
        func.ty(),
        wasm.start,
        wasm.end
    )
}
