//! What modules call: `%clobber`, `%hook` and `%observe`, and the record of what hooks see.

use nopal_fuzzgen::HookEntry;
use nopal_ir::Type;
use std::cell::RefCell;
use std::collections::HashMap;

core::arch::global_asm!(
    ".globl nopal_fuzz_clobber",
    ".hidden nopal_fuzz_clobber",
    ".globl nopal_fuzz_hook",
    ".hidden nopal_fuzz_hook",
    // `%clobber`: (i64, i32, f64, f32) -> i64, i32, f64, f32.
    "nopal_fuzz_clobber:",
    "lea rax, [rsp + 8]",
    "test al, 15",
    "jz 5f",
    "ud2",
    "5:",
    "mov r10d, esi",
    "lea rax, [rdi + 1]",
    "movabs rdx, 0xdeadbeef00000000",
    "or rdx, r10",
    "movabs rcx, 0xdeadbeefdeadbeef",
    "mov rsi, rcx",
    "mov rdi, rcx",
    "mov r8, rcx",
    "mov r9, rcx",
    "mov r10, rcx",
    "mov r11, rcx",
    "movq xmm2, rcx",
    "movdqa xmm3, xmm2",
    "movdqa xmm4, xmm2",
    "movdqa xmm5, xmm2",
    "movdqa xmm6, xmm2",
    "movdqa xmm7, xmm2",
    "movdqa xmm8, xmm2",
    "movdqa xmm9, xmm2",
    "movdqa xmm10, xmm2",
    "movdqa xmm11, xmm2",
    "movdqa xmm12, xmm2",
    "movdqa xmm13, xmm2",
    "movdqa xmm14, xmm2",
    "movdqa xmm15, xmm2",
    "ret",
    // A callee that preserves every register: they are saved in `Saved`, and restored.
    "nopal_fuzz_hook:",
    "push r15",
    "push r14",
    "push r13",
    "push r12",
    "push r11",
    "push r10",
    "push r9",
    "push r8",
    "push rdi",
    "push rsi",
    "push rbp",
    "push rsp",
    "push rbx",
    "push rdx",
    "push rcx",
    "push rax",
    "sub rsp, 256",
    "movups [rsp], xmm0",
    "movups [rsp + 16], xmm1",
    "movups [rsp + 32], xmm2",
    "movups [rsp + 48], xmm3",
    "movups [rsp + 64], xmm4",
    "movups [rsp + 80], xmm5",
    "movups [rsp + 96], xmm6",
    "movups [rsp + 112], xmm7",
    "movups [rsp + 128], xmm8",
    "movups [rsp + 144], xmm9",
    "movups [rsp + 160], xmm10",
    "movups [rsp + 176], xmm11",
    "movups [rsp + 192], xmm12",
    "movups [rsp + 208], xmm13",
    "movups [rsp + 224], xmm14",
    "movups [rsp + 240], xmm15",
    "mov rdi, rsp",
    "mov rbx, rsp",
    "and rsp, -16",
    "call {saved}",
    "mov rsp, rbx",
    "movups xmm0, [rsp]",
    "movups xmm1, [rsp + 16]",
    "movups xmm2, [rsp + 32]",
    "movups xmm3, [rsp + 48]",
    "movups xmm4, [rsp + 64]",
    "movups xmm5, [rsp + 80]",
    "movups xmm6, [rsp + 96]",
    "movups xmm7, [rsp + 112]",
    "movups xmm8, [rsp + 128]",
    "movups xmm9, [rsp + 144]",
    "movups xmm10, [rsp + 160]",
    "movups xmm11, [rsp + 176]",
    "movups xmm12, [rsp + 192]",
    "movups xmm13, [rsp + 208]",
    "movups xmm14, [rsp + 224]",
    "movups xmm15, [rsp + 240]",
    "add rsp, 256",
    "pop rax",
    "pop rcx",
    "pop rdx",
    "pop rbx",
    "lea rsp, [rsp + 8]",
    "pop rbp",
    "pop rsi",
    "pop rdi",
    "pop r8",
    "pop r9",
    "pop r10",
    "pop r11",
    "pop r12",
    "pop r13",
    "pop r14",
    "pop r15",
    "ret",
    saved = sym saved,
);

unsafe extern "C" {
    fn nopal_fuzz_clobber();
    fn nopal_fuzz_hook();
}

/// The address of an external function that modules call.
pub(crate) fn address(name: &str) -> Option<u64> {
    match name {
        "clobber" => Some(nopal_fuzz_clobber as *const () as u64),
        "hook" | "observe" => Some(nopal_fuzz_hook as *const () as u64),
        _ => None,
    }
}

/// The registers of the caller, as `nopal_fuzz_hook` saves them.
#[repr(C)]
struct Saved {
    xmm: [[u64; 2]; 16],
    /// By hardware number. `rsp` is not meaningful.
    gpr: [u64; 16],
    ret_addr: u64,
    /// Stack arguments.
    stack: [u64; 24],
}

/// The registers and the stack at a call.
pub(crate) struct Registers {
    /// General registers by hardware number.
    pub(crate) gpr: [u64; 16],
    /// The low halves of vector registers.
    pub(crate) xmm: [u64; 16],
    /// The words above the stack pointer.
    pub(crate) stack: [u64; 24],
}

impl Registers {
    /// The arguments of a call with parameters of these types (System V ABI).
    pub(crate) fn arguments(&self, types: &[Type]) -> Vec<(Type, u64)> {
        let mut ints = [7, 6, 2, 1, 8, 9].iter().map(|&r| self.gpr[r]);
        let mut floats = self.xmm[..8].iter().copied();
        let mut stack = self.stack.iter().copied();
        let bits = |ty: &Type| {
            let reg = match ty.is_float() {
                true => floats.next(),
                false => ints.next(),
            };
            reg.or_else(|| stack.next()).unwrap_or_default()
        };
        types
            .iter()
            .copied()
            .zip(types.iter().map(bits).collect::<Vec<_>>())
            .collect()
    }
}

/// What is known about the calls that arrive at `nopal_fuzz_hook`, and what hooks have seen.
#[derive(Default)]
pub(crate) struct Log {
    /// Number and parameters of the site that ends at an address.
    pub(crate) sites: HashMap<u64, (u32, Vec<Type>)>,
    /// In the order of the calls.
    pub(crate) entries: Vec<HookEntry>,
}

thread_local! {
    /// Of the program that this thread runs.
    pub(crate) static LOG: RefCell<Log> = RefCell::default();
}

extern "C" fn saved(regs: &Saved) {
    let registers = Registers {
        gpr: regs.gpr,
        xmm: regs.xmm.map(|x| x[0]),
        stack: regs.stack,
    };
    LOG.with_borrow_mut(|log| {
        let (site, args) = match log.sites.get(&regs.ret_addr) {
            Some((site, types)) => (*site, registers.arguments(types)),
            None => (u32::MAX, registers.arguments(&nopal_fuzzgen::OBSERVED)),
        };
        log.entries.push(HookEntry {
            site,
            args,
            observed: Vec::new(),
        });
    });
}
