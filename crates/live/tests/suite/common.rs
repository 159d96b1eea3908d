//! A tiny assembler: just enough to write machine code with sites by hand.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::process::Command;
use std::sync::{Arc, Once, OnceLock};

use nopal_live::{Code, CodeSpace, Error, MemoryMode, Protocol, SiteDesc, SiteFrame, SpaceConfig};

#[cfg_attr(target_arch = "aarch64", path = "arch_aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "arch_riscv64.rs")]
#[cfg_attr(target_arch = "s390x", path = "arch_s390x.rs")]
#[cfg_attr(target_arch = "x86_64", path = "arch_x64.rs")]
mod arch;

pub use arch::*;

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Direct, Protocol::Strict];

/// The settings all tests start from.
pub fn config() -> SpaceConfig {
    let mut config = SpaceConfig::new();
    crate::configure(&mut config);
    config
}

/// Asks for two mappings, unless they do not work: user-mode emulators may not see what is written
/// through the second. Then the mode is left to the space, which must find that out by itself.
pub fn map_twice(config: &mut SpaceConfig) {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let mut probe = SpaceConfig::new();
        match CodeSpace::new(probe.memory_mode(MemoryMode::Dual)) {
            Ok(_) => true,
            Err(Error::Unsupported(why)) => {
                let space = CodeSpace::new(&SpaceConfig::new()).expect("a code space");
                assert_eq!(space.memory_mode(), MemoryMode::Single);
                eprintln!("tested with one mapping: {why}");
                false
            }
            Err(error) => panic!("{error}"),
        }
    });
    if *works {
        config.memory_mode(MemoryMode::Dual);
    }
}

/// A small space with the given protocol.
pub fn space(protocol: Protocol) -> Arc<CodeSpace> {
    let mut config = config();
    config.reserve(64 << 20).protocol(protocol);
    CodeSpace::new(&config).expect("a code space")
}

/// The protocol that a commit goes through when asked for `protocol`.
pub fn effective(space: &CodeSpace, protocol: Protocol) -> Protocol {
    match space.memory_mode() {
        MemoryMode::Dual => protocol,
        MemoryMode::Single => Protocol::Direct,
    }
}

/// Machine code under construction, and the sites in it.
#[derive(Default)]
pub struct Asm {
    pub bytes: Vec<u8>,
    pub sites: Vec<SiteDesc>,
}

impl Asm {
    pub fn new() -> Asm {
        Asm::default()
    }

    pub fn emit(&mut self, bytes: &[u8]) -> &mut Asm {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// NOPs until the next byte is at `offset` inside a 64-byte line.
    pub fn pad_to(&mut self, offset: usize) -> &mut Asm {
        while self.bytes.len() % 64 != offset {
            self.emit(&NOP);
        }
        self
    }

    /// A site; NOPs before it if it would cross a line.
    pub fn site(&mut self) -> &mut Asm {
        if self.bytes.len() % 64 > 64 - SITE.len() {
            self.pad_to(0);
        }
        self.site_here()
    }

    /// A site, wherever it comes to be.
    pub fn site_here(&mut self) -> &mut Asm {
        self.emit_site(&SITE)
    }

    /// A site that holds these bytes.
    pub fn emit_site(&mut self, bytes: &[u8]) -> &mut Asm {
        self.emit(bytes);
        self.sites.push(SiteDesc {
            ret_offset: self.bytes.len() as u32,
            len: bytes.len() as u8,
        });
        self
    }

    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    pub fn publish(&self, space: &Arc<CodeSpace>) -> Code {
        let allocation = space
            .allocate(self.bytes.len(), 64)
            .expect("room for the code");
        allocation
            .publish(&self.bytes, &self.sites)
            .expect("the code can be published")
    }
}

/// Calls code that takes an integer and returns one.
pub fn call(code: &Code, argument: u64) -> u64 {
    // SAFETY: the tests publish functions of this type at the start of their code, and hold the code
    // during the call.
    let function: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(code.base()) };
    function(argument)
}

/// The bits of a register that holds a floating-point number.
pub fn float(frame: &SiteFrame, number: u8) -> u64 {
    #[cfg(target_arch = "riscv64")]
    return frame.fpr(number);
    #[cfg(not(target_arch = "riscv64"))]
    u64::from_ne_bytes(frame.vector(number)[..8].try_into().expect("eight bytes"))
}

/// Sets them.
pub fn set_float(frame: &mut SiteFrame, number: u8, bits: u64) {
    #[cfg(target_arch = "riscv64")]
    frame.set_fpr(number, bits);
    #[cfg(not(target_arch = "riscv64"))]
    {
        let mut lanes = frame.vector(number);
        lanes[..8].copy_from_slice(&bits.to_ne_bytes());
        frame.set_vector(number, lanes);
    }
}

/// The calling thread, for [`interrupt`].
pub fn this_thread() -> libc::pthread_t {
    // SAFETY: no preconditions.
    unsafe { libc::pthread_self() }
}

/// Sends SIGUSR1, whose handler does nothing, to a thread that has not ended.
pub fn interrupt(thread: libc::pthread_t) {
    extern "C" fn ignore(_: libc::c_int) {}
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler has the type that is asked for.
        unsafe { libc::signal(libc::SIGUSR1, ignore as *const () as libc::sighandler_t) };
    });
    // SAFETY: the caller says that the thread is there.
    assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
}

/// This program again, to run one of its tests alone in a process of its own. `NOPAL_TEST_RUNNER` is the
/// program that runs it, if the system cannot.
pub fn this_program(test: &str) -> Command {
    let program = std::env::current_exe().expect("the program has a path");
    let mut command = match std::env::var_os("NOPAL_TEST_RUNNER") {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["--exact", test, "--nocapture"]);
    command
}
