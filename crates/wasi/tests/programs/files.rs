//! Exercises the standard library on WASI: what is printed is compared with `files.expected`.
//!
//! Built with `rustc --target wasm32-wasip1 -C opt-level=s -C lto -C strip=symbols -C panic=abort`
//! (Rust 1.95), and run with the arguments `a "b c"`, the variable `K=v`, two lines and a bit on
//! standard input, and an empty directory preopened as `.`.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> io::Result<()> {
    arguments_and_input()?;
    contents()?;
    directories()?;
    errors()?;
    fs::remove_dir_all("work")?;
    println!("entries left: {}", fs::read_dir(".")?.count());
    clocks();
    // The keys of a `HashMap` are random numbers from the host.
    let map: HashMap<i32, i32> = (0..10).map(|n| (n, n)).collect();
    println!("map: {}", map.len());
    eprintln!("on standard error");
    print!("no newline at the end");
    std::process::exit(42);
}

fn arguments_and_input() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("args: {args:?}");
    println!(
        "env: {:?} {:?}",
        std::env::var("K"),
        std::env::var("NONE").is_err()
    );
    println!("terminal: {}", io::stdout().is_terminal());
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    println!("first line: {line:?}");
    println!("rest: {:?}", io::read_to_string(io::stdin())?);
    Ok(())
}

fn contents() -> io::Result<()> {
    fs::create_dir_all("work/a/b/c")?;
    fs::write("work/a/x.txt", "hello\nworld\n")?;
    let lines: Vec<String> = BufReader::new(File::open("work/a/x.txt")?)
        .lines()
        .collect::<io::Result<_>>()?;
    println!("lines: {lines:?}");
    writeln!(
        OpenOptions::new().append(true).open("work/a/x.txt")?,
        "more"
    )?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("work/a/x.txt")?;
    file.seek(SeekFrom::End(-5))?;
    let mut end = String::new();
    file.read_to_string(&mut end)?;
    println!("end: {end:?} at {}", file.stream_position()?);
    file.set_len(3)?;
    file.sync_all()?;
    println!("length: {}", file.metadata()?.len());
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1000))?;
    let modified = fs::metadata("work/a/x.txt")?.modified()?;
    println!("modified: {:?}", modified.duration_since(UNIX_EPOCH));
    Ok(())
}

fn directories() -> io::Result<()> {
    for n in 0..300 {
        fs::write(format!("work/a/b/file-{n}"), [0; 10])?;
    }
    let mut names = BTreeSet::new();
    let mut dirs = 0;
    for entry in fs::read_dir("work/a/b")? {
        let entry = entry?;
        dirs += usize::from(entry.file_type()?.is_dir());
        names.insert(entry.file_name());
    }
    println!("entries: {}, directories: {dirs}", names.len());
    fs::rename("work/a/b/file-0", "work/zero")?;
    println!("copied: {}", fs::copy("work/zero", "work/copy")?);
    fs::hard_link("work/zero", "work/hard")?;
    println!(
        "exists: {} {}",
        fs::exists("work/hard")?,
        fs::exists("work/none")?
    );
    Ok(())
}

fn errors() -> io::Result<()> {
    let read_only = File::open("work/zero")?;
    for (what, outcome) in [
        ("missing", File::open("work/none").map(drop)),
        ("not empty", fs::remove_dir("work")),
        ("outside", File::open("../secret").map(drop)),
        ("exists", File::create_new("work/zero").map(drop)),
        ("directory", File::create("work").map(drop)),
        ("read-only", (&read_only).write_all(b"x")),
    ] {
        println!(
            "{what}: {:?}",
            outcome.map_err(|error| error.raw_os_error())
        );
    }
    Ok(())
}

fn clocks() {
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("slept: {}", start.elapsed() >= Duration::from_millis(20));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    println!(
        "after 2020: {}",
        now.is_ok_and(|now| now.as_secs() > 1_577_836_800)
    );
}
