//! A tiny assembler: just enough to write machine code with sites by hand.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::sync::{Arc, Once};

use nopal_live::{Code, CodeSpace, MemoryMode, Protocol, SiteDesc, SpaceConfig};

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Direct, Protocol::Strict];

/// The settings all tests start from.
pub fn config() -> SpaceConfig {
    let mut config = SpaceConfig::new();
    crate::configure(&mut config);
    config
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

    pub fn emit_u64(&mut self, opcode: &[u8], immediate: u64) -> &mut Asm {
        self.emit(opcode).emit(&immediate.to_le_bytes())
    }

    /// NOPs until the next byte is at `offset` inside a 64-byte line.
    pub fn pad_to(&mut self, offset: usize) -> &mut Asm {
        while self.bytes.len() % 64 != offset {
            self.bytes.push(0x90);
        }
        self
    }

    /// A site; NOPs before it if it would cross a line.
    pub fn site(&mut self) -> &mut Asm {
        if self.bytes.len() % 64 > 59 {
            self.pad_to(0);
        }
        self.site_here()
    }

    /// A site, wherever it comes to be.
    pub fn site_here(&mut self) -> &mut Asm {
        self.emit(&[0x3d, 0, 0, 0, 0]);
        let ret_offset = self.bytes.len() as u32;
        self.sites.push(SiteDesc { ret_offset, len: 5 });
        self
    }

    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    /// `jnz` back to an earlier place.
    pub fn jnz(&mut self, target: usize) -> &mut Asm {
        let displacement = target as i64 - (self.here() as i64 + 6);
        self.emit(&[0x0f, 0x85])
            .emit(&(displacement as i32).to_le_bytes())
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

/// `fn(n)`: passes `sites` sites in a row, `n` times.
pub fn loop_over(sites: usize) -> Asm {
    let mut asm = Asm::new();
    asm.emit(&[0x53]).emit(&[0x48, 0x89, 0xfb]); // push rbx; mov rbx, rdi
    asm.pad_to(0);
    let start = asm.here();
    for _ in 0..sites {
        asm.site();
    }
    asm.emit(&[0x48, 0xff, 0xcb]).jnz(start); // dec rbx; jnz start
    asm.emit(&[0x5b, 0xc3]); // pop rbx; ret
    asm
}

/// Calls code that takes an integer and returns one.
pub fn call(code: &Code, argument: u64) -> u64 {
    // SAFETY: the tests publish functions of this type at the start of their code, and hold the code
    // during the call.
    let function: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(code.base()) };
    function(argument)
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
