//! Sandboxes that refuse system calls, which is how `seccomp` filters hide `membarrier`. Each case
//! is a process of its own.
#![cfg(all(target_os = "linux", not(miri)))]

use nopal_icache::{Broadcast, Error, Preference, Reason, register, requirements, sync_core_mt};

#[cfg(not(target_arch = "riscv64"))]
mod common;

/// User-mode emulators have no filters; then this is set, and the cases that need one are not
/// claimed to have passed: the test says so.
const NO_FILTERS: &str = "NOPAL_NO_SECCOMP";

/// Answers the calls in `refused` with `errno`, from now on, in all threads of this process.
fn enter_sandbox(refused: &[libc::c_long], errno: i32) {
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = vec![statement(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        0,
        0,
    )];
    for &call in refused {
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(statement(equal, 0, 1, call as u32));
        let answer = libc::SECCOMP_RET_ERRNO | errno as u32;
        program.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, answer));
    }
    let allow = libc::SECCOMP_RET_ALLOW;
    program.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, allow));
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives until the call has copied it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let (mode, flags) = (
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
        );
        let result = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const filter);
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
}

/// Runs this test alone in a new process, where `case` is what it does.
fn in_process(name: &str, case: impl FnOnce()) {
    if std::env::var_os("NOPAL_SANDBOX_CASE").is_some() {
        return case();
    }
    if std::env::var_os(NO_FILTERS).is_some() {
        println!("{name}: not run, {NO_FILTERS} is set");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("NOPAL_SANDBOX_CASE", name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

/// The sandbox is entered after the mechanism was chosen, with threads that must be reached.
#[cfg(not(target_arch = "riscv64"))]
#[test]
fn a_refused_membarrier_is_replaced_by_the_handshake() {
    in_process("a_refused_membarrier_is_replaced_by_the_handshake", || {
        common::with_busy_threads(1, || {
            assert_eq!(sync_core_mt(), Ok(()));
            assert_eq!(requirements().broadcast, Broadcast::Membarrier);
            assert_eq!(requirements().reason, Reason::Offered);
            enter_sandbox(&[libc::SYS_membarrier], libc::ENOSYS);
            common::store_buffering(100);
            let needs = requirements();
            assert!(
                matches!(
                    needs.broadcast,
                    Broadcast::SignalHandshake { signal: Some(_) }
                ),
                "{needs}"
            );
            let refused = Reason::Refused {
                errno: libc::ENOSYS,
            };
            assert_eq!(needs.reason, refused);
        });
    });
}

#[cfg(not(target_arch = "riscv64"))]
#[test]
fn a_sandbox_that_says_eperm_is_not_asked_for_ever() {
    in_process("a_sandbox_that_says_eperm_is_not_asked_for_ever", || {
        enter_sandbox(&[libc::SYS_membarrier], libc::EPERM);
        let before = requirements();
        assert_eq!(
            before.broadcast,
            Broadcast::SignalHandshake { signal: None }
        );
        assert_eq!(before.reason, Reason::Refused { errno: libc::EPERM });
        assert_eq!(register(), Ok(()));
        assert_eq!(sync_core_mt(), Ok(()));
        common::store_buffering(100);
        assert_eq!(requirements().reason, before.reason);
        // Once more from the beginning, to the same end.
        assert_eq!(nopal_icache::prefer(Preference::Automatic), Ok(()));
        assert_eq!(requirements().reason, before.reason);
    });
}

#[test]
fn a_preference_is_never_replaced() {
    in_process("a_preference_is_never_replaced", || {
        assert_eq!(nopal_icache::prefer(Preference::Membarrier), Ok(()));
        assert_eq!(requirements().reason, Reason::Preferred);
        assert_eq!(sync_core_mt(), Ok(()));
        enter_sandbox(&[libc::SYS_membarrier], libc::EPERM);
        let unsupported = Error::Unsupported { errno: libc::EPERM };
        assert_eq!(sync_core_mt(), Err(unsupported));
        assert_eq!(register(), Err(unsupported));
        assert_eq!(
            requirements().broadcast,
            Broadcast::Unavailable(unsupported)
        );
        let again = nopal_icache::prefer(Preference::Membarrier);
        assert_eq!(again, Err(unsupported));
    });
}

/// Nothing is left: an error, and nothing weaker.
#[test]
fn nothing_left_is_an_error() {
    in_process("nothing_left_is_an_error", || {
        // Threads cannot be listed, nor harts reached.
        let riscv_flush_icache = 259;
        let refused = [
            libc::SYS_membarrier,
            libc::SYS_getdents64,
            riscv_flush_icache,
        ];
        let refused = if cfg!(target_arch = "riscv64") {
            &refused[..]
        } else {
            &refused[..2]
        };
        enter_sandbox(refused, libc::EPERM);
        let unsupported = Error::Unsupported { errno: libc::EPERM };
        assert_eq!(sync_core_mt(), Err(unsupported));
    });
}

#[cfg(not(target_arch = "riscv64"))]
#[test]
fn other_failures_keep_the_mechanism() {
    in_process("other_failures_keep_the_mechanism", || {
        assert_eq!(sync_core_mt(), Ok(()));
        enter_sandbox(&[libc::SYS_membarrier], libc::ENOMEM);
        let failed = Error::Broadcast {
            errno: libc::ENOMEM,
        };
        assert_eq!(sync_core_mt(), Err(failed));
        let refused = Error::Registration {
            errno: libc::ENOMEM,
        };
        assert_eq!(register(), Err(refused));
        // The handshake fails in the same way where signals cannot be sent.
        assert_eq!(nopal_icache::prefer(Preference::SignalHandshake), Ok(()));
        enter_sandbox(&[libc::SYS_tgkill], libc::EPERM);
        common::with_busy_threads(1, || {
            let failed = Error::Broadcast { errno: libc::EPERM };
            assert_eq!(sync_core_mt(), Err(failed));
        });
    });
}
