//! What a space does where the system forbids something: each case in a process of its own, which
//! denies itself what a hardened system would.

#[path = "suite/common.rs"]
mod common;

use common::{call, loop_over, this_program};
use nopal_live::{CodeSpace, Error, MemoryMode, SpaceConfig};

fn configure(_: &mut SpaceConfig) {}

/// A system call to be refused if an argument has certain bits.
struct Rule {
    call: libc::c_long,
    argument: u32,
    bits: i32,
    errno: i32,
}

const NO_MEMFD: Rule = Rule {
    call: libc::SYS_memfd_create,
    argument: 1,
    bits: 0,
    errno: libc::EPERM,
};

/// As on kernels before 6.3.
const NO_NOEXEC_SEAL: Rule = Rule {
    call: libc::SYS_memfd_create,
    argument: 1,
    bits: 8,
    errno: libc::EINVAL,
};

/// On s390x, `mmap` takes its arguments from memory, where no filter sees them.
#[cfg(not(target_arch = "s390x"))]
const NO_EXECUTABLE: [Rule; 2] = [
    Rule {
        call: libc::SYS_mmap,
        argument: 2,
        bits: libc::PROT_EXEC,
        errno: libc::EACCES,
    },
    Rule {
        call: libc::SYS_mprotect,
        argument: 2,
        bits: libc::PROT_EXEC,
        errno: libc::EACCES,
    },
];

/// Refuses the system calls from now on, in this thread and its children.
fn refuse(rules: &[Rule]) {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let unless_equal = |k: u32, skip: u8| libc::sock_filter {
        jf: skip,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |k: u32| statement(libc::BPF_RET | libc::BPF_K, k);
    // Where the lower half of an argument is.
    let lower = if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = Vec::new();
    for rule in rules {
        let bits = rule.bits as u32;
        program.extend([
            load(0),
            unless_equal(rule.call as u32, 4),
            load(16 + 8 * rule.argument + lower),
            statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, bits),
            unless_equal(bits, 1),
            answer(libc::SECCOMP_RET_ERRNO | rule.errno as u32),
        ]);
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program is valid and outlives the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

fn space(mode: Option<MemoryMode>) -> Result<std::sync::Arc<CodeSpace>, Error> {
    let mut config = SpaceConfig::new();
    config.reserve(16 << 20);
    if let Some(mode) = mode {
        config.memory_mode(mode);
    }
    CodeSpace::new(&config)
}

/// A space made without asking for a mode has this one, and works.
fn expect_mode(mode: MemoryMode) {
    let space = space(None).unwrap();
    assert_eq!(space.memory_mode(), mode);
    let code = loop_over(1).publish(&space);
    let site = code.site(0).unwrap();
    let hook = space.count_hook().unwrap();
    space.patch().enable(site, &hook).commit().unwrap();
    call(&code, 2);
    space.patch().disable(site).commit().unwrap();
    call(&code, 2);
    assert_eq!(hook.count(site), 2);
}

fn refused(mode: MemoryMode) -> String {
    match space(Some(mode)) {
        Err(Error::Memory { operation, .. }) => operation.to_string(),
        other => panic!("{mode:?}: {other:?}"),
    }
}

fn no_memfd() {
    refuse(&[NO_MEMFD]);
    assert!(refused(MemoryMode::Dual).contains("memfd_create"));
    expect_mode(MemoryMode::Single);
}

fn old_kernel() {
    refuse(&[NO_NOEXEC_SEAL]);
    expect_mode(MemoryMode::Dual);
}

#[cfg(not(target_arch = "s390x"))]
fn no_executable() {
    refuse(&NO_EXECUTABLE);
    let error = space(None).unwrap_err();
    assert!(matches!(error, Error::NoCodeMemory { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with("the system forbids executable memory"),
        "{text}"
    );
    assert_eq!(
        text.matches("map code memory for execution").count(),
        2,
        "{text}"
    );
}

/// `PR_SET_MDWE`: what is not executable cannot become so.
fn memory_deny_write_execute() {
    const PR_SET_MDWE: libc::c_int = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    // SAFETY: changes what this process may do from now on.
    let set = unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) };
    expect_mode(MemoryMode::Dual);
    if set == 0 {
        assert!(refused(MemoryMode::Single).contains("for execution"));
    } else {
        // A kernel before 6.3.
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}

const CASES: &[(&str, fn())] = &[
    ("no_memfd", no_memfd),
    ("old_kernel", old_kernel),
    #[cfg(not(target_arch = "s390x"))]
    ("no_executable", no_executable),
    ("memory_deny_write_execute", memory_deny_write_execute),
];

const CASE: &str = "NOPAL_REFUSALS_TEST_CASE";

/// User-mode emulators have no filters; then this is set, and the cases are not claimed to have passed: the
/// test says so.
const NO_FILTERS: &str = "NOPAL_NO_SECCOMP";

#[test]
fn each_in_a_process_of_its_own() {
    if let Ok(wanted) = std::env::var(CASE) {
        let case = CASES.iter().find(|(name, _)| *name == wanted);
        return case.unwrap().1();
    }
    if std::env::var_os(NO_FILTERS).is_some() {
        eprintln!("{NO_FILTERS} is set: refusals of the system are not tested");
        return;
    }
    for (name, _) in CASES {
        let mut command = this_program("each_in_a_process_of_its_own");
        let output = command.env(CASE, name).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}");
    }
}
