//! x86-64, System V convention.

use crate::trampoline::EnterTrampoline;
use core::arch::{asm, naked_asm};
use libc::{REG_EFL, REG_RBP, REG_RDI, REG_RIP, REG_RSP};

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
