//! Faults that are not the guest's. Each is provoked in a process of its own: this test binary,
//! started again with a variable that says what to do.

use crate::{Test, linked};
use nopal_wasm::*;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

const VARIABLE: &str = "NOPAL_TEST_FAULT";

/// Run `child` in a process with this fault.
fn run_child(fault: &str) -> Result<ExitStatus, std::io::Error> {
    Command::new(std::env::current_exe()?)
        .args([
            "signals::child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(VARIABLE, fault)
        .status()
}

extern "C" fn previous_handler(signal: i32) {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(100 + signal) };
}

fn install_previous_handler() {
    // SAFETY: the handler only ends the process.
    unsafe { libc::signal(libc::SIGSEGV, previous_handler as *const () as usize) };
}

/// An access that faults outside the guest.
fn fault() -> i32 {
    // SAFETY: none; the process is meant to die of it.
    unsafe { std::ptr::read_volatile(std::ptr::without_provenance::<i32>(16)) }
}

/// Not a test, but what the tests run in other processes.
#[test]
fn child() -> Test {
    let Ok(what) = std::env::var(VARIABLE) else {
        return Ok(());
    };
    if what.contains("handler") {
        install_previous_handler();
    }
    let text = r#"(module
        (import "host" "fault" (func $fault (result i32)))
        (func (export "trap") unreachable)
        (func (export "fault") (result i32) (call $fault)))"#;
    let (mut store, instance) = linked((), text, |linker| {
        linker.func_wrap("host", "fault", fault)?;
        Ok(())
    });
    let trap = instance.get_typed_func::<(), ()>(&mut store, "trap")?;
    assert!(trap.call(&mut store, ()).is_err());
    if what.contains("sent") {
        // SAFETY: the handlers of this process stand it.
        unsafe { libc::raise(libc::SIGSEGV) };
    }
    if what.contains("host") {
        fault();
    }
    let fault = instance.get_typed_func::<(), i32>(&mut store, "fault")?;
    fault.call(&mut store, ())?;
    Ok(())
}

#[test]
fn faults_of_the_host_kill_the_process() -> Test {
    for fault in ["in a function", "of the host"] {
        assert_eq!(run_child(fault)?.signal(), Some(libc::SIGSEGV), "{fault}");
    }
    Ok(())
}

#[test]
fn faults_of_the_host_go_to_the_previous_handler() -> Test {
    for fault in [
        "handler, in a function",
        "handler, of the host",
        "handler, sent",
    ] {
        let status = run_child(fault)?;
        assert_eq!(status.code(), Some(100 + libc::SIGSEGV), "{fault}");
    }
    Ok(())
}
