//! How compile time and memory grow with a function: `cargo bench -p nopal-codegen --bench growth`.
//!
//! Each shape is doubled several times in one dimension. Printed are the time for each instruction of the IR at each size, the
//! exponent with which time grows with the number of instructions (a least-squares fit of the logarithms; 1 is linear), and the
//! most memory a fresh context takes for each instruction, beyond the function and its code; with the parameters of blocks counted as
//! instructions, which they are elsewhere, in the last column. A word on the command line chooses shapes by name.
//!
//! A word that ends in `.clif` names a file instead, such as `nopal compile --emit clif` prints. Of its functions of at least a
//! hundred instructions are printed the memory all take together for each instruction, and the ones that take most.

mod shapes;

use nopal_codegen::{Context, Target};
use nopal_ir::Function;
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all work is the system allocator's; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let live = LIVE.fetch_add(size, Relaxed) + size - layout.size();
        LIVE.fetch_sub(layout.size(), Relaxed);
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Doublings of a shape.
const DOUBLINGS: u32 = 6;
/// Compilations of one function, of which the fastest counts.
const REPETITIONS: usize = 7;

/// Smaller functions of a file are not measured: the first tables are most of their memory.
const SMALLEST: usize = 100;

fn main() -> ExitCode {
    let words = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    let (files, wanted): (Vec<_>, Vec<_>) = words.partition(|w| w.ends_with(".clif"));
    let target = Target::host().expect("a machine the compiler knows");
    for file in &files {
        if let Err(error) = report_file(file, &target) {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    if !files.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "| shape | instructions | ns each, by size | exponent | bytes each | with parameters |"
    );
    println!("| :-- | --: | :-- | --: | --: | --: |");
    for shape in shapes::ALL {
        if wanted.is_empty() || wanted.iter().any(|w| shape.name.contains(w.as_str())) {
            report(shape, &target);
        }
    }
    ExitCode::SUCCESS
}

/// What compiling the functions of a file takes.
fn report_file(file: &str, target: &Target) -> Result<(), Box<dyn std::error::Error>> {
    let functions = nopal_ir::reader::parse_functions(&std::fs::read_to_string(file)?)?;
    let mut each: Vec<_> = functions
        .iter()
        .filter(|f| f.num_insts() >= SMALLEST)
        .map(|f| (memory_of(f, target), f.num_insts(), &f.name))
        .collect();
    let memory: usize = each.iter().map(|e| e.0).sum();
    let insts: usize = each.iter().map(|e| e.1).sum();
    each.sort_by_key(|e| std::cmp::Reverse(e.0 / e.1));
    let all = memory / insts.max(1);
    println!(
        "{file}: {} functions, {all} bytes an instruction",
        each.len()
    );
    for (memory, insts, name) in each.iter().take(5) {
        println!(
            "  {name}: {insts} instructions, {} bytes each",
            memory / insts
        );
    }
    Ok(())
}

fn report(shape: &shapes::Shape, target: &Target) {
    let mut points = Vec::new();
    let mut each = Vec::new();
    let mut memory = 0;
    let mut params = 0;
    let mut largest = 0;
    for doubling in 0..=DOUBLINGS {
        let func = shape.build(shape.start << doubling);
        let time = time(&func, target).as_nanos() as f64;
        largest = func.num_insts();
        points.push(((largest as f64).ln(), time.ln()));
        each.push(format!("{:.0}", time / largest as f64));
        memory = memory_of(&func, target);
        let count = |block| func.block_params(block).count();
        params = func.layout().iter().map(|&b| count(b)).sum();
    }
    println!(
        "| {} | {largest} | {} | {:.2} | {} | {} |",
        shape.name,
        each.join(" "),
        slope(&points),
        memory / largest,
        memory / (largest + params),
    );
}

/// The least processor time that compiling takes.
fn time(func: &Function, target: &Target) -> Duration {
    let mut context = Context::new();
    let once = |context: &mut Context| {
        let start = processor_time();
        let code = context.compile(func, target).expect("it is supported");
        assert!(!code.code.is_empty());
        processor_time() - start
    };
    (0..REPETITIONS)
        .map(|_| once(&mut context))
        .min()
        .expect("there are some")
}

/// The most memory in use while a fresh context compiles, beyond the code and its tables.
fn memory_of(func: &Function, target: &Target) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut context = Context::new();
    let out = context.compile(func, target).expect("it is supported");
    let held = size_of_val(&out.code[..])
        + size_of_val(&out.relocs[..])
        + size_of_val(&out.traps[..])
        + size_of_val(&out.call_sites[..])
        + size_of_val(&out.patch_sites[..])
        + size_of_val(&out.observed[..]);
    (PEAK.load(Relaxed) - before).saturating_sub(held)
}

fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes to `time`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every kernel has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The slope of the line that fits the points best.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    above / below
}
