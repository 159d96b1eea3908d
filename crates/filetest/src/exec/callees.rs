//! What modules call: `%clobber`, which overwrites every register it may, and `%hook` and `%observe`,
//! which preserve all of them and tell what they see.

use nopal_codegen::ValueLoc;
use nopal_ir::Type;
use nopal_live::SiteFrame;
use std::cell::Cell;
use std::ptr;

/// Words of stack arguments that are read.
const STACK_WORDS: usize = 48;

core::arch::global_asm!(
    ".globl nopal_filetest_clobber",
    ".hidden nopal_filetest_clobber",
    ".globl nopal_filetest_hook",
    ".hidden nopal_filetest_hook",
    // `%clobber`: (i64, i32, f64, f32) -> i64, i32, f64, f32.
    "nopal_filetest_clobber:",
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
    "nopal_filetest_hook:",
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
    fn nopal_filetest_clobber();
    fn nopal_filetest_hook();
}

/// `%fma`, where the machine has no instruction for it.
extern "C" fn fma(x: f64, y: f64, z: f64) -> f64 {
    x.mul_add(y, z)
}

/// `%fmaf`
extern "C" fn fmaf(x: f32, y: f32, z: f32) -> f32 {
    x.mul_add(y, z)
}

/// The address of a function that modules may call by name.
pub(super) fn address(name: &str) -> Option<u64> {
    match name {
        "clobber" => Some(nopal_filetest_clobber as *const () as u64),
        "hook" | "observe" => Some(nopal_filetest_hook as *const () as u64),
        // In C, and in Cranelift.
        "fma" | "FmaF64" => Some(fma as *const () as u64),
        "fmaf" | "FmaF32" => Some(fmaf as *const () as u64),
        _ => None,
    }
}

/// The registers of the caller, as `nopal_filetest_hook` saves them.
#[repr(C)]
struct Saved {
    xmm: [[u64; 2]; 16],
    /// By hardware number. `rsp` is not meaningful.
    gpr: [u64; 16],
    ret_addr: u64,
    /// Stack arguments.
    stack: [u64; STACK_WORDS],
}

/// The registers and the stack at a call.
pub(super) struct Registers {
    /// General registers by hardware number.
    gpr: [u64; 16],
    /// The low halves of vector registers.
    xmm: [u64; 16],
    /// The words above the stack pointer.
    stack: [u64; STACK_WORDS],
}

impl Registers {
    /// What a hook finds at a site of running code.
    pub(super) fn at_site(frame: &SiteFrame) -> Registers {
        let xmm = |n: u8| {
            let bytes = frame.xmm(n);
            u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
        };
        let mut stack = [0; STACK_WORDS];
        for (n, word) in stack.iter_mut().enumerate() {
            // SAFETY: generated code is called from frames that are larger than this.
            *word = unsafe { ((frame.sp() + 8 * n) as *const u64).read() };
        }
        Registers {
            gpr: std::array::from_fn(|n| frame.gpr(n as u8)),
            xmm: std::array::from_fn(|n| xmm(n as u8)),
            stack,
        }
    }

    /// The arguments of a call with parameters of these types (System V ABI).
    pub(super) fn arguments(&self, types: &[Type]) -> Vec<(Type, u64)> {
        let mut ints = [7, 6, 2, 1, 8, 9].iter().map(|&r| self.gpr[r]);
        let mut floats = self.xmm[..8].iter().copied();
        let mut stack = self.stack.iter().copied();
        let mut next = |ty: Type| {
            let reg = match ty.is_float() {
                true => floats.next(),
                false => ints.next(),
            };
            reg.or_else(|| stack.next()).expect("few stack arguments")
        };
        types.iter().map(|&ty| (ty, next(ty))).collect()
    }

    /// The bits of an observed value.
    ///
    /// # Safety
    ///
    /// A location in the frame is one of the code that these registers are from, which is under way.
    pub(super) unsafe fn value(&self, loc: ValueLoc) -> u64 {
        match loc {
            ValueLoc::Reg(r) if r.index() < 32 => self.gpr[r.hw() as usize],
            ValueLoc::Reg(r) => self.xmm[r.hw() as usize],
            // SAFETY: the caller's promise; compiled code keeps its frame pointer in `rbp`.
            ValueLoc::Frame(at) => unsafe {
                (self.gpr[5].wrapping_add(at as u64) as *const u64).read_unaligned()
            },
            ValueLoc::Const(bits) => bits,
        }
    }
}

/// Is told of calls of `%hook` and `%observe`: where they return to, and the registers.
type Listener<'a> = dyn Fn(u64, &Registers) + 'a;

thread_local! {
    static LISTENER: Cell<*const &'static Listener<'static>> = const { Cell::new(ptr::null()) };
}

/// Have `listener` told of what `run` calls on this thread.
pub(super) fn listening<T>(listener: &Listener<'_>, run: impl FnOnce() -> T) -> T {
    let pointer: *const &Listener<'_> = &listener;
    let outer = LISTENER.replace(pointer.cast());
    let result = run();
    LISTENER.set(outer);
    result
}

extern "C" fn saved(regs: &Saved) {
    let listener = LISTENER.get();
    if listener.is_null() {
        return;
    }
    // SAFETY: it is set while `listening` runs, whose listener lives as long.
    let listener = unsafe { *listener };
    let registers = Registers {
        gpr: regs.gpr,
        xmm: regs.xmm.map(|x| x[0]),
        stack: regs.stack,
    };
    listener(regs.ret_addr, &registers);
}
