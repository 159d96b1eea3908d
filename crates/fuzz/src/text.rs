//! Text that is wrong: nothing may panic, hang, or print what it does not read again.

use crate::mutate::Mutator;
use crate::quiet::quietly;
use crate::shorten::shorten;
use crate::{RetryArgs, TextArgs};
use nopal_codegen::{Context, Settings, Target, X64Features};
use nopal_fuzzgen::{Options, Rng, generate};
use nopal_ir::reader::{parse_functions, parse_run_command, parse_test};
use nopal_ir::{Function, verify};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
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
    /// Texts given to the reader.
    inputs: u64,
    /// Those that read.
    read: u64,
    /// Functions given to the verifier.
    verified: u64,
    /// Functions given to the compiler: those that are valid.
    valid: u64,
    /// Those that it compiles. The others have types or conventions that it refuses.
    compiled: u64,
}

/// Run the command.
pub(crate) fn run(args: &TextArgs) -> ExitCode {
    let result = fs::create_dir_all(&args.out)
        .map_err(|e| format!("{}: {e}", args.out.display()))
        .and_then(|()| corpus(&args.paths));
    match result {
        Ok(texts) => {
            let functions = texts.iter().flat_map(|t| functions(t)).collect();
            fuzz(args, Mutator::new(texts, functions, args.stage))
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

/// Try texts again, once each.
pub(crate) fn retry(args: &RetryArgs) -> ExitCode {
    let mut context = Context::new();
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        let text = match fs::read(path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(e) => {
                eprintln!("error: {}: {e}", path.display());
                return ExitCode::from(2);
            }
        };
        match attempt(&text, &mut context, &mut Figures::default()) {
            Ok(_) => println!("{}: nothing is wrong", path.display()),
            Err(finding) => {
                record(path, &text, &finding, &mut context);
                code = ExitCode::from(1);
            }
        }
    }
    code
}

/// The valid functions of a text.
fn functions(text: &[u8]) -> Vec<Function> {
    let text = String::from_utf8_lossy(text);
    let file = parse_test(&text);
    let functions = file.map_or(Vec::new(), |f| f.functions);
    let functions = functions.into_iter().map(|f| f.function);
    functions.filter(|f| verify(f).is_ok()).collect()
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

fn fuzz(args: &TextArgs, mut mutator: Mutator) -> ExitCode {
    let start = Instant::now();
    let current = args.out.join(format!("current-{}.clif", args.start));
    let mut note = match Note::create(&current) {
        Ok(note) => note,
        Err(e) => {
            eprintln!("error: {}: {e}", current.display());
            return ExitCode::from(2);
        }
    };
    watch(start, current.clone());
    let mut rng = Rng::new(args.start);
    let mut figures = Figures::default();
    let mut findings = 0;
    let mut last = start;
    let mut context = Context::new();
    while start.elapsed() < args.time {
        let input = mutator.next(&mut rng, LARGEST);
        // What is to be looked at should the process die.
        if let Err(e) = note.write(&input) {
            eprintln!("error: {}: {e}", current.display());
            return ExitCode::from(2);
        }
        BEGUN.store(start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(&input).into_owned();
        let result = attempt(&text, &mut context, &mut figures);
        BEGUN.store(0, Ordering::Relaxed);
        match result {
            Ok(compiled) if compiled.is_empty() => {}
            Ok(compiled) => mutator.keep(input, compiled, &mut rng),
            Err(finding) => {
                findings += 1;
                let name = format!("text-{}-{}.clif", args.start, figures.inputs);
                record(&args.out.join(name), &text, &finding, &mut context);
            }
        }
        if findings >= args.findings {
            break;
        }
        continue_or_report(&mut last, start, &figures);
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

/// Do everything there is to do with a text, and catch panics.
fn attempt(
    text: &str,
    context: &mut Context,
    figures: &mut Figures,
) -> Result<Vec<Function>, String> {
    figures.inputs += 1;
    quietly(|| test(text, context, figures)).unwrap_or_else(|panic| {
        *context = Context::new();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Write an input that fails, and a shorter one beside it.
fn record(path: &Path, text: &str, finding: &str, context: &mut Context) {
    let same = |finding: &str| {
        let words = finding.split_whitespace().take(12);
        let words = words.filter(|w| !w.contains(|c: char| c.is_ascii_digit() || c == '%'));
        words.collect::<Vec<_>>().join(" ")
    };
    let want = same(finding);
    let shorter = shorten(text, |text| {
        let now = attempt(text, context, &mut Figures::default());
        now.is_err_and(|now| same(&now) == want)
    });
    eprintln!("{finding}\n  written to {}\n{shorter}", path.display());
    for (path, text) in [(path, text), (&path.with_extension("short.clif"), &shorter)] {
        if let Err(e) = fs::write(path, text) {
            eprintln!("error: {}: {e}", path.display());
        }
    }
}

/// The file that holds the current input. It is overwritten in place: file systems wait for the disk
/// when a file is emptied and written again.
struct Note(File);

impl Note {
    fn create(path: &Path) -> std::io::Result<Note> {
        File::create(path).map(Note)
    }

    fn write(&mut self, input: &[u8]) -> std::io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(input)?;
        self.0.set_len(input.len() as u64)
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
        "{:.0} s: reader: {} texts, {} read; verifier: {} functions, {} valid; compiler: {} functions, {} compiled",
        start.elapsed().as_secs_f64(),
        f.inputs,
        f.read,
        f.verified,
        f.valid,
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

/// Do everything there is to do with a text. Gives the functions that are compiled.
fn test(text: &str, context: &mut Context, figures: &mut Figures) -> Result<Vec<Function>, String> {
    // Positions of errors must lie in the text.
    let file = match parse_test(text) {
        Ok(file) => file,
        Err(e) => {
            let lines = 1 + text.bytes().filter(|b| *b == b'\n').count();
            return match (1..=lines as u32).contains(&e.line) && e.column > 0 {
                true => Ok(Vec::new()),
                false => Err(format!("an error in line {}, column {}", e.line, e.column)),
            };
        }
    };
    figures.read += 1;
    let mut compiled = Vec::new();
    for function in file.functions {
        figures.verified += 1;
        let func = function.function;
        for comment in function
            .comments_inside
            .iter()
            .chain(&function.comments_after)
        {
            // Only whether it panics or hangs is of interest.
            _ = parse_run_command(comment.text, &func.signature);
        }
        round_trip(&func)?;
        if verify(&func).is_err() {
            continue;
        }
        figures.valid += 1;
        if compile(&func, context)? {
            figures.compiled += 1;
            compiled.push(func);
        }
    }
    Ok(compiled)
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

/// Compile a valid function in several ways. Whether it has been.
fn compile(func: &Function, context: &mut Context) -> Result<bool, String> {
    let mut done = false;
    let host = Target::host().map_err(|e| e.to_string())?;
    for target in [host, Target::x64(X64Features::default())] {
        context.settings = Settings::default();
        if let Ok(code) = context.compile(func, &target) {
            done = true;
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
