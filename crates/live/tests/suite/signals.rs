//! What raises the signal of breakpoints and is not ours goes where it would have gone.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::common::{after_breakpoint, breakpoint, call, loop_over, space, this_program};
use nopal_live::Protocol;

/// What a breakpoint in a site raises.
const SIGNAL: libc::c_int = if cfg!(target_arch = "s390x") {
    libc::SIGILL
} else {
    libc::SIGTRAP
};

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

static SEEN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(signal: libc::c_int) {
    assert_eq!(signal, SIGNAL);
    SEEN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn count_and_go_on(
    signal: libc::c_int,
    _: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    count_signal(signal);
    // SAFETY: the context is that of this handler.
    unsafe { after_breakpoint(context) };
}

/// What the child process of each test does.
fn child(case: &str) {
    match case {
        "handler" => {
            // SAFETY: the handler is async-signal-safe.
            unsafe { libc::signal(SIGNAL, count_signal as *const () as usize) };
            strict_commit();
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(SIGNAL) };
            assert_eq!(SEEN.load(Ordering::SeqCst), 1);
        }
        "handler with context" => {
            // SAFETY: all zeros are a valid sigaction; the handler is async-signal-safe and of the type
            // that the flag asks for.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = count_and_go_on as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO;
                assert_eq!(libc::sigaction(SIGNAL, &action, std::ptr::null_mut()), 0);
            }
            strict_commit();
            breakpoint();
            breakpoint();
            assert_eq!(SEEN.load(Ordering::SeqCst), 2);
        }
        "ignored" => {
            // SAFETY: ignores the signal.
            unsafe { libc::signal(SIGNAL, libc::SIG_IGN) };
            strict_commit();
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(SIGNAL) };
        }
        "default" => {
            strict_commit();
            breakpoint();
        }
        other => panic!("no case {other}"),
    }
}

const CASE: &str = "NOPAL_SIGNALS_TEST_CASE";

/// Runs a case in a process of its own: what a signal does belongs to the whole process.
fn run_case(case: &str) -> std::process::ExitStatus {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::in_a_process_of_its_own");
    let mut command = this_program(&test);
    command.env(CASE, case).output().unwrap().status
}

#[test]
fn in_a_process_of_its_own() {
    if let Ok(case) = std::env::var(CASE) {
        child(&case);
        return;
    }
    assert!(run_case("handler").success());
    assert!(run_case("handler with context").success());
    assert!(run_case("ignored").success());
    assert_eq!(run_case("default").signal(), Some(SIGNAL));
}
