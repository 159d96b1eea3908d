//! Calls that survive what they call.
//!
//! A signal that an instruction raises while a guarded call is under way on its thread ends the call.
//! Code that does not end is ended by a timer of the CPU time of its thread.

use nopal_live::CodeSpace;
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Once};
use std::time::Duration;

core::arch::global_asm!(
    ".globl nopal_filetest_enter",
    ".hidden nopal_filetest_enter",
    // fn(code: *const u8, argument: u64, frame: *mut Frame) -> u64: 0 if it returned with the
    // registers of the caller intact, 1 if it did not keep them, 2 if it was ended.
    "nopal_filetest_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rdx",
    "mov [rdx], rsp",
    "lea rax, [rip + 2f]",
    "mov [rdx + 8], rax",
    "mov rax, rdi",
    "mov rdi, rsi",
    "movabs rbx, 0x1122334455667701",
    "lea r12, [rbx + 1]",
    "lea r13, [rbx + 2]",
    "lea r14, [rbx + 3]",
    "lea r15, [rbx + 4]",
    "lea rbp, [rbx + 5]",
    "lea rcx, [rbx + 6]",
    "mov rdx, rcx",
    "mov rsi, rcx",
    "mov r8, rcx",
    "mov r9, rcx",
    "mov r10, rcx",
    "mov r11, rcx",
    "call rax",
    "movabs rax, 0x1122334455667701",
    "cmp rbx, rax",
    "jne 3f",
    "inc rax",
    "cmp r12, rax",
    "jne 3f",
    "inc rax",
    "cmp r13, rax",
    "jne 3f",
    "inc rax",
    "cmp r14, rax",
    "jne 3f",
    "inc rax",
    "cmp r15, rax",
    "je 5f",
    "mov rcx, [rsp]",
    "cmp qword ptr [rcx + 16], 0",
    "je 3f",
    "5:",
    "inc rax",
    "cmp rbp, rax",
    "jne 3f",
    "xor eax, eax",
    "4:",
    "pop rdx",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    "2:",
    "cld",
    "mov eax, 2",
    "jmp 4b",
    "3:",
    "mov eax, 1",
    "jmp 4b",
);

unsafe extern "C" {
    fn nopal_filetest_enter(code: *const u8, argument: u64, frame: *mut Frame) -> u64;
}

/// What the signal handler needs to end a call. The assembly knows the first three fields.
#[repr(C)]
struct Frame {
    rsp: u64,
    recover: u64,
    /// Whether `r15` may change.
    pinned: u64,
    /// The address of the instruction that was ended.
    pc: u64,
    /// The address it accessed, if that is why.
    address: u64,
    signal: i32,
    /// Where the timer may end a call.
    space: *const c_void,
}

/// Why a call did not return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An instruction raised a signal.
    Signal {
        /// Its number.
        signal: i32,
        /// The address of the instruction.
        pc: u64,
        /// The address it accessed, for a memory fault.
        address: u64,
    },
    /// It took more CPU time than allowed.
    Endless,
    /// It returned without restoring a register that belongs to the caller.
    Registers,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault::Signal {
            signal,
            pc,
            address,
        } = *self
        else {
            return f.write_str(match self {
                Fault::Endless => "it does not end",
                _ => "a callee-saved register is not preserved",
            });
        };
        match signal {
            libc::SIGILL => write!(f, "SIGILL at {pc:#x}"),
            libc::SIGTRAP => write!(f, "SIGTRAP at {pc:#x}"),
            libc::SIGFPE => write!(f, "SIGFPE at {pc:#x}"),
            libc::SIGSEGV => write!(f, "SIGSEGV at {pc:#x}, accessing {address:#x}"),
            libc::SIGBUS => write!(f, "SIGBUS at {pc:#x}, accessing {address:#x}"),
            _ => write!(f, "signal {signal} at {pc:#x}"),
        }
    }
}

/// A timer of its thread's CPU time that raises `SIGALRM`.
struct Timer(libc::timer_t);

impl Timer {
    fn new() -> Option<Timer> {
        // SAFETY: an all-zero event is valid; it names a signal that is handled and this thread.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = std::mem::zeroed();
            let clock = libc::CLOCK_THREAD_CPUTIME_ID;
            (libc::timer_create(clock, &mut event, &mut timer) == 0).then_some(Timer(timer))
        }
    }

    /// Raise the signal after some time, again and again; never if zero.
    fn set(&self, after: Duration) {
        let every = libc::timespec {
            tv_sec: after.as_secs() as i64,
            tv_nsec: after.subsec_nanos().into(),
        };
        let spec = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: the timer exists as long as `self`.
        unsafe { libc::timer_settime(self.0, 0, &spec, ptr::null_mut()) };
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it was created by `new`.
        unsafe { libc::timer_delete(self.0) };
    }
}

thread_local! {
    static TIMER: Option<Timer> = Timer::new();
    static FRAME: Cell<*mut Frame> = const { Cell::new(ptr::null_mut()) };
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let frame = FRAME.get();
    if frame.is_null() {
        if signal != libc::SIGALRM {
            // Not a guarded call: the same again, with the default action.
            // SAFETY: resetting a signal's action is always allowed.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        return;
    }
    // SAFETY: the kernel passes valid pointers, and `frame` is alive while it is set.
    unsafe {
        let regs = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let pc = regs[libc::REG_RIP as usize] as u64;
        if signal == libc::SIGALRM && !(*(*frame).space.cast::<CodeSpace>()).contains(pc as usize) {
            // In a hook or a host function: try again later.
            return;
        }
        (*frame).pc = pc;
        (*frame).signal = signal;
        (*frame).address = (*info).si_addr() as u64;
        regs[libc::REG_RIP as usize] = (*frame).recover as i64;
        regs[libc::REG_RSP as usize] = (*frame).rsp as i64;
    }
}

fn install_handlers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGTRAP,
            libc::SIGALRM,
        ] {
            // SAFETY: the handler only touches its context and memory of its own thread. Threads of
            // the standard library have an alternate stack, so it can run when the stack is used up.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    });
}

/// Makes guarded calls of code in a space.
pub struct Guard {
    space: Arc<CodeSpace>,
    /// CPU time a call may take.
    pub limit: Duration,
    /// Whether `r15` is the pinned register, which a callee may change.
    pub pinned: bool,
}

impl Guard {
    /// Guard calls of code in a space that `make` makes.
    ///
    /// # Errors
    ///
    /// What `make` says.
    pub fn new(
        make: impl FnOnce() -> nopal_live::Result<Arc<CodeSpace>>,
    ) -> nopal_live::Result<Guard> {
        // Before the space installs its own handler, which passes on what is not its own.
        install_handlers();
        Ok(Guard {
            space: make()?,
            limit: Duration::from_secs(5),
            pinned: false,
        })
    }

    /// The space.
    pub fn space(&self) -> &Arc<CodeSpace> {
        &self.space
    }

    /// Call `code` with one argument, in the platform's C convention.
    ///
    /// # Errors
    ///
    /// It did not return as it should.
    ///
    /// # Safety
    ///
    /// `code` is the address of a function that takes one integer or pointer and returns nothing, and
    /// may be called with `argument`. It may fault, but when it is ended there, it must not own
    /// anything. While it runs, nobody frees it.
    pub unsafe fn call(&self, code: u64, argument: u64) -> Result<(), Fault> {
        let mut frame = Frame {
            rsp: 0,
            recover: 0,
            pinned: self.pinned.into(),
            pc: 0,
            address: 0,
            signal: 0,
            space: Arc::as_ptr(&self.space).cast(),
        };
        let set_timer = |after| TIMER.with(|t| t.as_ref().map_or((), |t| t.set(after)));
        set_timer(self.limit);
        let outer = FRAME.replace(&mut frame);
        // SAFETY: the caller's promise; a fault makes the assembly return with the stack and the
        // registers it was called with.
        let result = unsafe { nopal_filetest_enter(code as *const u8, argument, &mut frame) };
        FRAME.set(outer);
        set_timer(Duration::ZERO);
        match result {
            0 => Ok(()),
            1 => Err(Fault::Registers),
            _ if frame.signal == libc::SIGALRM => Err(Fault::Endless),
            _ => Err(Fault::Signal {
                signal: frame.signal,
                pc: frame.pc,
                address: frame.address,
            }),
        }
    }
}
