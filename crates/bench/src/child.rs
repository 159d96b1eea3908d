//! Work that has a process to itself.
//!
//! Peak memory and start-up are properties of a process, so the benchmark starts itself again for each sample. Such a child does one
//! [`Task`] with one engine and prints an [`Answer`] as one line of JSON.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::corpus::{self, Usage};
use crate::engines::{Compiled, Threads, one};
use crate::measure::Judge;

/// Name of the hidden subcommand.
pub(crate) const COMMAND: &str = "child";

/// What a child does. Each task includes the ones before it, save that running brings its own instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// Reads the file: what every other task is compared with.
    Load,
    /// Compiles the module.
    Compile,
    /// Instantiates it, with traps for functions that it imports.
    Instantiate,
    /// Runs it as a program, with WASI.
    Run,
}

/// Arguments of a child.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Job {
    #[arg(long, value_enum)]
    pub(crate) task: Task,
    #[arg(long)]
    pub(crate) engine: String,
    #[arg(long, value_enum)]
    pub(crate) threads: Threads,
    pub(crate) file: std::path::PathBuf,
}

/// What a child has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// Done, with this much memory at most.
    PeakBytes(u64),
    /// The engine did not do it.
    Refused(String),
}

/// What a process took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// From before it was started until it was gone.
    pub(crate) elapsed: Duration,
    pub(crate) peak_bytes: u64,
}

/// Does `job` in a process of its own. An error is what the engine said, or how the process ended.
pub(crate) fn spawn(job: &Job) -> Result<Cost, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let value = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map_or_else(String::new, |value| value.get_name().to_owned())
    };
    let mut command = Command::new(program);
    command
        .arg(COMMAND)
        .args(["--task", &value(&|| job.task.to_possible_value())])
        .args(["--engine", &job.engine])
        .args(["--threads", &value(&|| job.threads.to_possible_value())])
        .arg("--")
        .arg(&job.file)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let output = command.output().map_err(|error| error.to_string())?;
    let elapsed = start.elapsed();
    if !output.status.success() {
        return Err(format!("the process ended with {}", output.status));
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::PeakBytes(peak_bytes)) => Ok(Cost {
            elapsed,
            peak_bytes,
        }),
        Ok(Answer::Refused(message)) => Err(message),
        Err(error) => Err(format!("the process answered nonsense: {error}")),
    }
}

/// What the process that [`spawn`] starts does: prints the answer to `job` and ends without tidying up, as a program does
/// when it is done.
pub(crate) fn main(job: &Job) -> ! {
    let answer = perform(job).map_or_else(Answer::Refused, Answer::PeakBytes);
    let written = serde_json::to_writer(std::io::stdout().lock(), &answer);
    std::process::exit(i32::from(written.is_err()));
}

/// Does `job` and returns the peak memory of the process.
fn perform(job: &Job) -> Result<u64, String> {
    if job.task == Task::Run {
        run_program(job)?;
    } else {
        let wasm = fs::read(&job.file).map_err(|error| error.to_string())?;
        if job.task != Task::Load {
            let compiled = one(&job.engine, job.threads)?.compile(&wasm)?;
            if job.task == Task::Instantiate {
                compiled.instantiate_alone()?;
            }
        }
    }
    peak_memory()
}

fn run_program(job: &Job) -> Result<(), String> {
    let program = corpus::read_program(&job.file).map_err(|error| error.to_string())?;
    let mut judge = Judge::new(&program);
    let Usage::Run(command) = &program.usage else {
        return Err(String::from("not a program"));
    };
    let compiled: Box<dyn Compiled> = one(&job.engine, job.threads)?.compile(&program.wasm)?;
    let mut prepared = compiled.prepare(command)?;
    match prepared.run()? {
        0 => judge.check(&prepared.finish()?, &job.engine),
        code => Err(format!("exit code {code}")),
    }
}

/// The most memory that this process has had resident at any time since it began to execute its program.
///
/// That is `VmHWM` (proc_pid_status(5)) and not `ru_maxrss`, which a process inherits from the one that started it: Linux
/// keeps the largest value across `execve`.
fn peak_memory() -> Result<u64, String> {
    let status = Path::new("/proc/self/status");
    let text = fs::read_to_string(status).map_err(|error| error.to_string())?;
    parse_peak(&text).ok_or_else(|| format!("{} does not tell peak memory", status.display()))
}

fn parse_peak(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::id;

    #[test]
    fn peak_memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(parse_peak(status), Some(1234 * 1024));
        assert_eq!(parse_peak("VmRSS:\t 10 kB\n"), None);
        assert!(peak_memory().unwrap() > 4096);
    }

    #[test]
    fn every_task_is_done_or_the_reason_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        let wasm = r#"(module (import "x" "y" (func)) (func (export "_start") call 0))"#;
        fs::write(&file, wat::parse_str(wasm).unwrap()).unwrap();
        let job = |task| Job {
            task,
            engine: id::NOPAL.to_owned(),
            threads: Threads::All,
            file: file.clone(),
        };
        for task in [Task::Load, Task::Compile, Task::Instantiate] {
            assert!(perform(&job(task)).unwrap() > 4096, "{task:?}");
        }
        assert_eq!(perform(&job(Task::Run)), Err("not a program".into()));
        fs::write(&file, "not Wasm").unwrap();
        assert!(perform(&job(Task::Compile)).is_err());
    }

    #[test]
    fn a_program_must_print_what_is_expected() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        let wasm = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
        fs::write(&file, wasm).unwrap();
        let job = Job {
            task: Task::Run,
            engine: id::WINCH.to_owned(),
            threads: Threads::One,
            file,
        };
        assert!(perform(&job).is_ok());
        fs::write(dir.path().join("a.expected"), "x").unwrap();
        assert!(perform(&job).unwrap_err().contains("a.expected"));
    }
}
