//! `nopal trace`.

use crate::args::{Format, TraceArgs};
use crate::failure::Failure;
use crate::guest::Guest;
use crate::{load, output};
use nopal_instrument::{
    ChromeSink, Error, Patterns, Schedule, Summary, TextSink, TraceOptions, Tracer,
};
use nopal_wasm::Module;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

/// Run a guest and trace it; returns its exit code.
pub(crate) fn run(args: &TraceArgs) -> Result<i32, Failure> {
    let patterns = Patterns::new(&args.patterns).map_err(|e| Failure::Usage(e.to_string()))?;
    let file = args.guest.file();
    let wasm = load::read(file)?;
    let engine = load::engine(&args.guest)?;
    let module = load::compile(&engine, file, &wasm)?;
    let functions = select(&patterns, &module, file, &args.patterns)?;
    // The times of the trace count from when they are there.
    (module.compile_functions(functions.iter().copied()))
        .map_err(|error| load::failure(file, &error))?;
    let mut guest = Guest::new(&args.guest, &module)?;
    let out = open(args.out.as_deref())?;

    let mut options = TraceOptions::default();
    options.values = args.values;
    options.limit = args.limit;
    let tracer = match args.format {
        Format::Text => Tracer::new(&module, &functions, &options, TextSink::new(out)),
        Format::Chrome => Tracer::new(&module, &functions, &options, ChromeSink::new(out)),
    };
    let tracer = tracer.map_err(|error| failure(args, &error))?;
    let schedule = Schedule::start(Arc::clone(tracer.switch()), args.after, args.on_for)
        .map_err(|error| failure(args, &error))?;

    let outcome = guest.call();
    let scheduled = schedule.stop();
    let written = tracer.finish();
    let code = match (outcome, scheduled.and(written)) {
        (Ok(code), Ok(summary)) => {
            note(args, &summary);
            code
        }
        (Err(failure), Ok(summary)) => {
            note(args, &summary);
            return Err(failure);
        }
        (Ok(_), Err(error)) => return Err(failure(args, &error)),
        // The guest's failure decides the exit code.
        (Err(guest_failure), Err(error)) => {
            failure(args, &error).report();
            return Err(guest_failure);
        }
    };
    Ok(code)
}

/// The functions to show or trace.
pub(crate) fn select(
    patterns: &Patterns,
    module: &Module,
    file: &Path,
    given: &[String],
) -> Result<Vec<u32>, Failure> {
    let functions = patterns.select(module);
    if functions.is_empty() {
        let file = file.display();
        let given = given.join("`, `");
        return Err(Failure::Error(format!(
            "{file}: none of its {} functions matches `{given}`; `nopal compile --emit sites {file}` lists them",
            module.functions().len()
        )));
    }
    Ok(functions)
}

fn open(out: Option<&Path>) -> Result<Box<dyn Write + Send>, Failure> {
    let Some(path) = out else {
        return Ok(Box::new(io::stderr()));
    };
    if path.as_os_str() == "-" {
        return Err(Failure::Usage(
            "-o -: a trace does not go to standard output, which is the program's; leave -o out for standard error".into(),
        ));
    }
    match File::create(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::Error(format!(
            "cannot write {}: {error}",
            path.display()
        ))),
    }
}

/// Say on standard error what the trace, if it went elsewhere, does not show at first sight.
fn note(args: &TraceArgs, summary: &Summary) {
    let Some(out) = &args.out else { return };
    let out = out.display();
    if let Some(time) = summary.limit_reached {
        output::eprint(&format!(
            "nopal: note: {out} ends at the limit of {} records, {time:.3?} after the start; see --limit\n",
            args.limit
        ));
    } else if summary.records == 0 {
        output::eprint(&format!(
            "nopal: note: {out} is empty: none of the functions was called while the hooks were on\n"
        ));
    }
}

fn failure(args: &TraceArgs, error: &Error) -> Failure {
    match (error, &args.out) {
        (Error::Write(error), None) if error.kind() == ErrorKind::BrokenPipe => Failure::ClosedPipe,
        (Error::Write(error), Some(out)) => {
            Failure::Error(format!("cannot write {}: {error}", out.display()))
        }
        _ => Failure::Error(error.to_string()),
    }
}
