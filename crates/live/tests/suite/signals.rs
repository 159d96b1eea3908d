//! SIGTRAP that is not ours goes where it would have gone.

use std::arch::asm;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::common::{call, loop_over, space};
use nopal_live::Protocol;

/// Makes sure that the crate's handler is installed.
fn strict_commit() {
    let space = space(Protocol::Strict);
    let code = loop_over(4).publish(&space);
    let hook = space.count_hook().unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    call(&code, 2);
    assert_eq!(hook.count(code.site(3).unwrap()), 2);
}

fn own_breakpoint() {
    // SAFETY: raises SIGTRAP.
    unsafe { asm!("int3", options(nomem, nostack)) };
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(signal: libc::c_int) {
    assert_eq!(signal, libc::SIGTRAP);
    SEEN.fetch_add(1, Ordering::SeqCst);
}

/// What the child process of each test does.
fn child(case: &str) {
    match case {
        "handler" => {
            // SAFETY: the handler is async-signal-safe.
            unsafe { libc::signal(libc::SIGTRAP, count_signal as *const () as usize) };
            strict_commit();
            own_breakpoint();
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(libc::SIGTRAP) };
            assert_eq!(SEEN.load(Ordering::SeqCst), 2);
        }
        "ignored" => {
            // SAFETY: ignores the signal.
            unsafe { libc::signal(libc::SIGTRAP, libc::SIG_IGN) };
            strict_commit();
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(libc::SIGTRAP) };
        }
        "default" => {
            strict_commit();
            own_breakpoint();
        }
        other => panic!("no case {other}"),
    }
}

const CASE: &str = "NOPAL_SIGNALS_TEST_CASE";

/// Runs a case in a process of its own: what a signal does belongs to the whole process.
fn run_case(case: &str) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::in_a_process_of_its_own");
    command.args(["--exact", &test, "--nocapture"]);
    command.env(CASE, case).output().unwrap().status
}

#[test]
fn in_a_process_of_its_own() {
    if let Ok(case) = std::env::var(CASE) {
        child(&case);
        return;
    }
    assert!(run_case("handler").success());
    assert!(run_case("ignored").success());
    assert_eq!(run_case("default").signal(), Some(libc::SIGTRAP));
}
