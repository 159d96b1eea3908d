//! x86-64, System V convention.

use crate::trampoline::EnterTrampoline;
use crate::vmctx::VMStoreContext;
use core::arch::{asm, naked_asm};
use libc::{REG_EFL, REG_RBP, REG_RDI, REG_RIP, REG_RSP};
use std::mem::offset_of;

/// How many registers of each class there are.
pub(crate) const REGISTERS: u8 = 16;

/// What fills the gaps between functions: instructions that stop.
pub(crate) const PADDING: u8 = 0xcc;

/// The length of the longest call instruction: indirect, through memory at a register plus 32 bits.
pub(crate) const MAX_CALL_LEN: u32 = 8;

/// Call `trampoline(context, code, args)`, on another stack if `stack_top` is not 0.
///
/// The stack pointer to resume from is stored to `host_sp` first. Returns 0 if the trampoline
/// returned and 1 if [`unwind`] ended the call. The frame pointer chain leads from the frames of
/// the callees to the caller's.
///
/// # Safety
/// All arguments are what the trampoline and the code expect, and `stack_top` is the top of an
/// unused stack, a multiple of 16.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    host_sp: *mut usize,
    stack_top: usize,
    trampoline: EnterTrampoline,
    context: *mut u8,
    code: *const u8,
    args: *mut u64,
) -> usize {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi], rsp",
        "test rsi, rsi",
        "cmovnz rsp, rsi",
        "mov rax, rdx",
        "mov rdi, rcx",
        "mov rsi, r8",
        "mov rdx, r9",
        "call rax",
        "xor eax, eax",
        "lea rsp, [rbp - 40]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Make the call of [`enter`] that stored `host_sp` return 1.
///
/// # Safety
/// That call is in progress on this thread, and no frame since then has anything left to do.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn unwind(host_sp: usize) -> ! {
    naked_asm!(
        "cld",
        "lea rsp, [rdi + 8]",
        "mov eax, 1",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Where a guest returns to from a hook that made it trap.
///
/// # Safety
/// Only returned to by a hook's stub, all registers being the guest's.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn trap_landing() -> ! {
    naked_asm!(
        "mov rdi, rbp",
        "and rsp, -16",
        "call {raise}",
        "ud2",
        raise = sym crate::activation::raise_requested,
    )
}

/// The stack pointer of the caller, or a little less.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Return address and frame pointer of the caller of the function whose frame pointer is `fp`.
///
/// # Safety
/// `fp` is the frame pointer of a frame of this thread that has not returned.
pub(crate) unsafe fn caller(fp: usize) -> (usize, usize) {
    let fp = fp as *const usize;
    // SAFETY: the prologue pushed the caller's frame pointer below the return address.
    unsafe { (*fp.add(1), *fp) }
}

/// The length of a [`stub`].
pub(crate) const STUB_LEN: usize = 16;

/// Code that jumps to the address in `slot`, with that of the slot in `r11`, which holds nothing when a
/// function is called.
pub(crate) fn stub(slot: usize) -> [u8; STUB_LEN] {
    let [a, b, c, d, e, f, g, h] = slot.to_le_bytes();
    let p = PADDING;
    // mov r11, slot; jmp [r11]
    [
        0x49, 0xbb, a, b, c, d, e, f, g, h, 0x41, 0xff, 0x23, p, p, p,
    ]
}

/// What the slot of a function that is not compiled holds: the address of code that has it compiled
/// and goes on there. `has_result_area` says whether the function gets the address of an area for its
/// results before its context.
pub(crate) fn first_call(has_result_area: bool) -> usize {
    let code = if has_result_area {
        first_call_rsi
    } else {
        first_call_rdi
    };
    code as *const () as usize
}

/// Defines the function `$name` for stubs to jump to, when a function is called that has its context in
/// `$context`. It uses nothing of the caller's stack, of which nothing may be left. On the stack for
/// compiling, it saves all registers that arguments are passed in, and the stack pointer.
macro_rules! define_first_call {
    ($name:ident, $context:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                concat!("mov rax, [", $context, "]"),
                "mov [rax + {fp}], rbp",
                "mov r10, [rsp]",
                "mov [rax + {pc}], r10",
                "mov r10, rsp",
                "mov rsp, [rax + {stack}]",
                "push r10",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "sub rsp, 136",
                "movaps [rsp], xmm0",
                "movaps [rsp + 16], xmm1",
                "movaps [rsp + 32], xmm2",
                "movaps [rsp + 48], xmm3",
                "movaps [rsp + 64], xmm4",
                "movaps [rsp + 80], xmm5",
                "movaps [rsp + 96], xmm6",
                "movaps [rsp + 112], xmm7",
                concat!("mov rdi, ", $context),
                "mov rsi, r11",
                "call {compile}",
                "movaps xmm0, [rsp]",
                "movaps xmm1, [rsp + 16]",
                "movaps xmm2, [rsp + 32]",
                "movaps xmm3, [rsp + 48]",
                "movaps xmm4, [rsp + 64]",
                "movaps xmm5, [rsp + 80]",
                "movaps xmm6, [rsp + 96]",
                "movaps xmm7, [rsp + 112]",
                "add rsp, 136",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "pop rsp",
                "jmp rax",
                fp = const offset_of!(VMStoreContext, exit_fp),
                pc = const offset_of!(VMStoreContext, exit_pc),
                stack = const offset_of!(VMStoreContext, compile_stack),
                compile = sym crate::lazy::compile_callee,
            )
        }
    };
}
define_first_call!(first_call_rdi, "rdi");
define_first_call!(first_call_rsi, "rsi");

/// Defines the function `$name` for compiled code to call: it notes the caller's frame pointer and
/// the return address in the store's context, which the first word of the first argument points
/// to, and continues at `$target`.
macro_rules! exit_shim {
    ($vis:vis $name:ident => $target:path) => {
        #[unsafe(naked)]
        $vis unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "mov rax, [rdi]",
                "mov [rax + {fp}], rbp",
                "mov r11, [rsp]",
                "mov [rax + {pc}], r11",
                "jmp {target}",
                fp = const std::mem::offset_of!($crate::vmctx::VMStoreContext, exit_fp),
                pc = const std::mem::offset_of!($crate::vmctx::VMStoreContext, exit_pc),
                target = sym $target,
            )
        }
    };
}
pub(crate) use exit_shim;

/// The registers of a thread that a signal stopped.
pub(crate) struct Stopped<'a>(&'a mut libc::ucontext_t);

impl Stopped<'_> {
    /// # Safety
    /// `context` is what the system passed to a signal handler that is still running.
    pub(crate) unsafe fn new(context: *mut libc::c_void) -> Self {
        // SAFETY: it points to a context that lives as long as the handler runs.
        Stopped(unsafe { &mut *context.cast() })
    }

    fn get(&self, reg: i32) -> usize {
        self.0.uc_mcontext.gregs[reg as usize] as usize
    }

    fn set(&mut self, reg: i32, value: usize) {
        self.0.uc_mcontext.gregs[reg as usize] = value as i64;
    }

    /// The address of the instruction that will be executed next: the faulting one.
    pub(crate) fn pc(&self) -> usize {
        self.get(REG_RIP)
    }

    /// The frame pointer.
    pub(crate) fn fp(&self) -> usize {
        self.get(REG_RBP)
    }

    /// The stack pointer.
    pub(crate) fn sp(&self) -> usize {
        self.get(REG_RSP)
    }

    /// The return address of a function none of whose instructions was executed. The frame pointer
    /// is its caller's then.
    ///
    /// # Safety
    /// The thread stopped at the first instruction of a function.
    pub(crate) unsafe fn return_address_at_entry(&self) -> usize {
        // SAFETY: the call left the address at the top of the stack.
        unsafe { *(self.sp() as *const usize) }
    }

    /// Make the thread continue with `unwind(host_sp)` when the handler returns.
    pub(crate) fn continue_unwinding(&mut self, host_sp: usize) {
        const DIRECTION_FLAG: usize = 1 << 10;
        self.set(REG_RIP, unwind as *const () as usize);
        self.set(REG_RDI, host_sp);
        self.set(REG_RSP, host_sp);
        self.set(REG_EFL, self.get(REG_EFL) & !DIRECTION_FLAG);
    }
}
