//! Text that is wrong: nothing may panic, hang, or print what it does not read again.

use crate::TextArgs;
use crate::mutate::Mutator;
use crate::quiet::quietly;
use nopal_codegen::{Context, Settings, Target, X64Features};
use nopal_fuzzgen::{Options, Rng, generate};
use nopal_ir::reader::{parse_functions, parse_run_command, parse_test};
use nopal_ir::{Function, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time after which an input is said to hang.
const LIMIT: Duration = Duration::from_secs(20);
/// The largest input.
const LARGEST: usize = 64 << 10;

/// How far inputs have come.
#[derive(Default)]
struct Figures {
    inputs: u64,
    parsed: u64,
    functions: u64,
    valid: u64,
    compiled: u64,
}

/// Run the command.
pub(crate) fn run(args: &TextArgs) -> ExitCode {
    let result = fs::create_dir_all(&args.out)
        .map_err(|e| format!("{}: {e}", args.out.display()))
        .and_then(|()| corpus(&args.paths));
    match result {
        Ok(corpus) => fuzz(args, corpus),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

/// The texts that are mutated: files, and generated modules.
fn corpus(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let mut texts = Vec::new();
    for path in paths {
        read(path, &mut texts).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for seed in 0..200 {
        let options = Options {
            largest: 12,
            ..Options::default()
        };
        let text: String = generate(seed, &options)
            .iter()
            .map(|f| format!("{f}\n"))
            .collect();
        texts.push(format!("test run\n{text}").into_bytes());
    }
    Ok(texts)
}

fn read(path: &Path, texts: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)?
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        entries.iter().try_for_each(|e| read(e, texts))
    } else {
        texts.push(fs::read(path)?);
        Ok(())
    }
}

/// When the current input was begun, in milliseconds from the start; 0 between inputs.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn fuzz(args: &TextArgs, corpus: Vec<Vec<u8>>) -> ExitCode {
    let start = Instant::now();
    let current = args.out.join(format!("current-{}.clif", args.start));
    watch(start, current.clone());
    let mut rng = Rng::new(args.start);
    let mut mutator = Mutator::new(corpus);
    let mut figures = Figures::default();
    let mut findings = 0;
    let mut last = start;
    let mut context = Context::new();
    while start.elapsed() < args.time {
        let input = mutator.next(&mut rng, LARGEST);
        // What is to be looked at should the process die.
        if let Err(e) = fs::write(&current, &input) {
            eprintln!("error: {}: {e}", current.display());
            return ExitCode::from(2);
        }
        BEGUN.store(start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        figures.inputs += 1;
        let text = String::from_utf8_lossy(&input);
        let result = quietly(|| test(&text, &mut context, &mut figures));
        BEGUN.store(0, Ordering::Relaxed);
        let finding = match result {
            Ok(Ok(interesting)) => {
                if interesting {
                    mutator.keep(input, &mut rng);
                }
                continue_or_report(&mut last, start, &figures);
                continue;
            }
            Ok(Err(e)) => e,
            Err(panic) => {
                context = Context::new();
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                format!("panic: {}", text.unwrap_or_default())
            }
        };
        findings += 1;
        let path = args
            .out
            .join(format!("text-{}-{}.clif", args.start, figures.inputs));
        eprintln!("{finding}\n  written to {}", path.display());
        if let Err(e) = fs::write(&path, &input) {
            eprintln!("error: {}: {e}", path.display());
        }
        if findings >= args.findings {
            break;
        }
    }
    report(start, &figures);
    // Nothing is current any more.
    _ = fs::remove_file(&current);
    match findings {
        0 => ExitCode::SUCCESS,
        n => {
            eprintln!("{n} findings");
            ExitCode::from(1)
        }
    }
}

fn continue_or_report(last: &mut Instant, start: Instant, figures: &Figures) {
    if last.elapsed() > Duration::from_secs(30) {
        *last = Instant::now();
        report(start, figures);
    }
}

fn report(start: Instant, f: &Figures) {
    println!(
        "{:.0} s: {} inputs, {} parsed, {} functions, {} valid, {} compiled",
        start.elapsed().as_secs_f64(),
        f.inputs,
        f.parsed,
        f.functions,
        f.valid,
        f.compiled
    );
}

/// End the process if an input takes too long.
fn watch(start: Instant, current: PathBuf) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let begun = BEGUN.load(Ordering::Relaxed);
            let now = start.elapsed().as_millis() as u64;
            if begun != 0 && now > begun + LIMIT.as_millis() as u64 {
                eprintln!("{} hangs", current.display());
                std::process::exit(1);
            }
        }
    });
}

/// Do everything there is to do with a text. Whether it has come far.
fn test(text: &str, context: &mut Context, figures: &mut Figures) -> Result<bool, String> {
    // Positions of errors must lie in the text.
    let file = match parse_test(text) {
        Ok(file) => file,
        Err(e) => {
            let lines = 1 + text.bytes().filter(|b| *b == b'\n').count();
            return match (1..=lines as u32).contains(&e.line) && e.column > 0 {
                true => Ok(false),
                false => Err(format!("an error in line {}, column {}", e.line, e.column)),
            };
        }
    };
    figures.parsed += 1;
    let mut compiled = 0;
    for function in &file.functions {
        figures.functions += 1;
        let func = &function.function;
        for comment in function
            .comments_inside
            .iter()
            .chain(&function.comments_after)
        {
            // Only whether it panics or hangs is of interest.
            _ = parse_run_command(comment.text, &func.signature);
        }
        round_trip(func)?;
        if verify(func).is_err() {
            continue;
        }
        figures.valid += 1;
        compiled += compile(func, context)?;
    }
    figures.compiled += compiled;
    Ok(compiled > 0)
}

/// What is printed is read, and prints the same.
fn round_trip(func: &Function) -> Result<(), String> {
    let text = func.to_string();
    let again = parse_functions(&text);
    if verify(func).is_err() {
        // Operations on types they do not have cannot be written.
        return Ok(());
    }
    let again = match again {
        Ok(again) => again,
        Err(e) => return Err(format!("what is printed is not read: {e}\n{text}")),
    };
    match &again[..] {
        [again] if again.to_string() == text => Ok(()),
        _ => Err(format!("what is printed reads as something else:\n{text}")),
    }
}

/// Compile a valid function in several ways.
fn compile(func: &Function, context: &mut Context) -> Result<u64, String> {
    let mut done = 0;
    let host = Target::host().map_err(|e| e.to_string())?;
    for target in [host, Target::x64(X64Features::default())] {
        context.settings = Settings::default();
        if let Ok(code) = context.compile(func, &target) {
            done = 1;
            let len = code.code.len() as u32;
            let outside = code.traps.iter().any(|t| t.offset >= len)
                || code.patch_sites.iter().any(|s| s.ret_addr > len);
            if outside {
                return Err("a trap or a site outside of the code".into());
            }
        }
    }
    Ok(done)
}
