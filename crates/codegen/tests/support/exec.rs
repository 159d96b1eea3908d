//! Running compiled code: loading a module, entering it, and being called back from it.
//!
//! The code of a module may call its own functions as `u0:N`, the external function `%clobber`,
//! which overwrites every register it may, the patchable function `%hook`, and `%observe`, which
//! preserves all registers and takes what [`OBSERVED`] says.

use nopal_codegen::{CompiledCode, RelocKind, ValueLoc};
use nopal_fuzzgen::{HookEntry, OBSERVED, Outcome, data};
use nopal_ir::{ExternalName, Function, TrapCode, Type};
use std::cell::{Cell, RefCell};
use std::ptr;

/// Bytes for the code of a module.
const CODE_SIZE: usize = 4 << 20;

/// `%fma`, where the machine has no instruction for it.
extern "C" fn fma(x: f64, y: f64, z: f64) -> f64 {
    x.mul_add(y, z)
}

/// `%fmaf`
extern "C" fn fmaf(x: f32, y: f32, z: f32) -> f32 {
    x.mul_add(y, z)
}

core::arch::global_asm!(
    // fn(code: *const u8, argument: u64, frame: *mut TrapFrame) -> u64: 0 if it returned with the
    // registers of the caller intact, 1 if it did not keep them, 2 if it trapped.
    "nopal_test_enter:",
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
    "jne 3f",
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
    "mov eax, 2",
    "jmp 4b",
    "3:",
    "mov eax, 1",
    "jmp 4b",
    // `%clobber`: (i64, i32, f64, f32) -> i64, i32, f64, f32.
    "nopal_test_clobber:",
    "lea rax, [rsp + 8]",
    "test al, 15",
    "jz 5f",
    "ud2",
    "5:",
    "lea rax, [rdi + 1]",
    "mov esi, esi",
    "movabs rdx, 0xdeadbeef00000000",
    "or rdx, rsi",
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
    // `%hook`: every register is saved in a `HookRegs`, and restored.
    "nopal_test_hook:",
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
    "call {hook}",
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
    hook = sym hook,
);

unsafe extern "C" {
    fn nopal_test_enter(code: *const u8, argument: u64, frame: *mut TrapFrame) -> u64;
    fn nopal_test_clobber();
    fn nopal_test_hook();
}

/// The registers at a site, as `nopal_test_hook` saves them.
#[repr(C)]
struct HookRegs {
    xmm: [[u64; 2]; 16],
    /// By hardware number. `rsp` is not meaningful.
    gpr: [u64; 16],
    ret_addr: u64,
    /// Stack arguments.
    stack: [u64; 48],
}

impl HookRegs {
    /// The arguments of a call with parameters of these types (System V ABI).
    fn arguments(&self, types: impl Iterator<Item = Type>) -> Vec<(Type, u64)> {
        let mut ints = [7, 6, 2, 1, 8, 9].iter().map(|&r| self.gpr[r]);
        let mut floats = self.xmm[..8].iter().map(|x| x[0]);
        let mut stack = self.stack.iter().copied();
        types
            .map(|ty| {
                let reg = if ty.is_float() {
                    floats.next()
                } else {
                    ints.next()
                };
                let bits = reg.or_else(|| stack.next());
                (ty, bits.expect("few stack arguments"))
            })
            .collect()
    }
}

/// Where to go on after a trap.
#[repr(C)]
struct TrapFrame {
    rsp: u64,
    recover: u64,
    /// The address of the instruction that trapped.
    pc: u64,
    signal: i32,
    /// Where all code starts and ends.
    code: [u64; 2],
}

/// A timer of this thread's CPU time that raises `SIGALRM`, to end code that does not.
struct Timer(libc::timer_t);

/// Milliseconds of CPU time code may take. The interpreter has done the same in less.
const TIME_LIMIT: i64 = 200;

impl Timer {
    fn new() -> Timer {
        // SAFETY: the event names a signal that is handled and the calling thread.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = std::mem::zeroed();
            let clock = libc::CLOCK_THREAD_CPUTIME_ID;
            assert_eq!(libc::timer_create(clock, &mut event, &mut timer), 0);
            Timer(timer)
        }
    }

    /// Raise the signal after some milliseconds, again and again; never if 0.
    fn set(&self, milliseconds: i64) {
        let every = libc::timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000 * milliseconds,
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
    static TIMER: Timer = Timer::new();
    static TRAP_FRAME: Cell<*mut TrapFrame> = const { Cell::new(ptr::null_mut()) };
    static RUNNING: Cell<*const Loaded> = const { Cell::new(ptr::null()) };
}

extern "C" fn on_signal(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let frame = TRAP_FRAME.get();
    if frame.is_null() && signal == libc::SIGALRM {
        return;
    }
    if frame.is_null() {
        // Not ours: the same again, with the default action.
        // SAFETY: resetting a signal's action is always allowed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    // SAFETY: the kernel passes a valid context, and `frame` is alive while it is set.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let regs = &mut context.uc_mcontext.gregs;
        let pc = regs[libc::REG_RIP as usize] as u64;
        if signal == libc::SIGALRM && !((*frame).code[0]..(*frame).code[1]).contains(&pc) {
            return;
        }
        (*frame).pc = regs[libc::REG_RIP as usize] as u64;
        (*frame).signal = signal;
        regs[libc::REG_RIP as usize] = (*frame).recover as i64;
        regs[libc::REG_RSP as usize] = (*frame).rsp as i64;
    }
}

fn install_handlers() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGTRAP,
            libc::SIGALRM,
        ] {
            // SAFETY: the handler only touches its context and memory of its own thread.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
                assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
            }
        }
    });
}

extern "C" fn hook(regs: &HookRegs) {
    // SAFETY: it is set while code runs, which is where hooks are called from.
    let loaded = unsafe { &*RUNNING.get() };
    let entry = loaded.site_at(regs);
    loaded.log.borrow_mut().push(entry);
}

fn map(size: usize) -> *mut u8 {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping overlaps nothing.
    let at = unsafe { libc::mmap(ptr::null_mut(), size, prot, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED, "out of memory");
    at.cast()
}

/// Memory for code and data, used for one module after the other.
pub struct Memory {
    code: *mut u8,
    data: *mut u8,
}

impl Memory {
    pub fn new() -> Memory {
        install_handlers();
        Memory {
            code: map(CODE_SIZE),
            data: map(data::SIZE),
        }
    }

    /// The address of the data.
    pub fn address(&self) -> u64 {
        self.data as u64
    }

    /// The data as it is now.
    pub fn snapshot(&self) -> Vec<u8> {
        // SAFETY: the mapping has this size, and nobody else refers to it.
        unsafe { std::slice::from_raw_parts(self.data, data::SIZE) }.to_vec()
    }

    pub fn restore(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), data::SIZE);
        // SAFETY: the mapping has this size, and nobody else refers to it.
        unsafe {
            self.data
                .copy_from_nonoverlapping(bytes.as_ptr(), data::SIZE)
        };
    }

    /// Load a module, its sites all on or all off.
    pub fn load(&self, funcs: &[Function], code: &[CompiledCode], sites_on: bool) -> Loaded {
        let mut at = 64usize;
        let mut addresses = Vec::new();
        for c in code {
            at = at.next_multiple_of(c.alignment.max(64) as usize);
            addresses.push(self.code as u64 + at as u64);
            at += c.code.len();
        }
        assert!(at <= CODE_SIZE, "a module too large for the test");
        let mut bytes = vec![0xcc; at];
        for (i, target) in [
            nopal_test_clobber as *const (),
            nopal_test_hook as *const (),
        ]
        .into_iter()
        .enumerate()
        {
            // jmp [rip]
            bytes[16 * i..16 * i + 6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
            bytes[16 * i + 6..16 * i + 14].copy_from_slice(&(target as u64).to_le_bytes());
        }
        let base = self.code as u64;
        for ((c, func), &address) in code.iter().zip(funcs).zip(&addresses) {
            let start = (address - base) as usize;
            let own = &mut bytes[start..start + c.code.len()];
            own.copy_from_slice(&c.code);
            let symbol = |name: &ExternalName| match name {
                ExternalName::User { index, .. } => addresses[*index as usize],
                ExternalName::Named(n) if &**n == "clobber" => base,
                ExternalName::Named(n) if matches!(&**n, "hook" | "observe") => base + 16,
                ExternalName::Named(n) if &**n == "fma" => fma as *const () as u64,
                ExternalName::Named(n) if &**n == "fmaf" => fmaf as *const () as u64,
                ExternalName::Named(n) => panic!("unknown symbol {n}"),
            };
            for r in &c.relocs {
                let at = r.offset as usize;
                let target = symbol(&r.target).wrapping_add(r.addend as u64);
                match r.kind {
                    RelocKind::X64CallPcRel4 => {
                        let place = address + u64::from(r.offset);
                        let distance = target.wrapping_sub(place) as i64;
                        let distance = i32::try_from(distance).expect("a near call");
                        own[at..at + 4].copy_from_slice(&distance.to_le_bytes());
                    }
                    RelocKind::Abs8 => own[at..at + 8].copy_from_slice(&target.to_le_bytes()),
                }
            }
            for site in &c.patch_sites {
                let end = site.ret_addr as usize;
                assert_eq!(site.len, 5, "a site is one call");
                assert_eq!(
                    (end - 5) / 64,
                    (end - 1) / 64,
                    "a site lies within a cache line"
                );
                let callee = &func.ext_funcs()[site.callee as usize];
                assert!(callee.patchable);
                if sites_on {
                    let distance = symbol(&callee.name).wrapping_sub(address + end as u64);
                    own[end - 5] = 0xe8;
                    own[end - 4..end].copy_from_slice(&(distance as i32).to_le_bytes());
                }
            }
        }
        // SAFETY: the mapping has `CODE_SIZE` bytes, and no code in it is running.
        unsafe {
            let write = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(self.code.cast(), CODE_SIZE, write), 0);
            self.code.copy_from_nonoverlapping(bytes.as_ptr(), at);
            let execute = libc::PROT_READ | libc::PROT_EXEC;
            assert_eq!(libc::mprotect(self.code.cast(), CODE_SIZE, execute), 0);
        }
        Loaded {
            addresses,
            code: code.to_vec(),
            funcs: funcs.to_vec(),
            data: self.data,
            log: RefCell::new(Vec::new()),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: both are mappings of these sizes, and nothing refers to them any more.
        unsafe {
            libc::munmap(self.code.cast(), CODE_SIZE);
            libc::munmap(self.data.cast(), data::SIZE);
        }
    }
}

/// A module in executable memory. It is valid until the next one is loaded.
pub struct Loaded {
    pub addresses: Vec<u64>,
    code: Vec<CompiledCode>,
    funcs: Vec<Function>,
    data: *mut u8,
    log: RefCell<Vec<HookEntry>>,
}

impl Loaded {
    /// Call function 0 with the address of the data; what hooks saw comes with the outcome.
    pub fn run(&self) -> Result<(Outcome, Vec<HookEntry>), String> {
        let mut frame = TrapFrame {
            rsp: 0,
            recover: 0,
            pc: 0,
            signal: 0,
            code: [self.addresses[0], self.addresses[0] + CODE_SIZE as u64],
        };
        TIMER.with(|t| t.set(TIME_LIMIT));
        TRAP_FRAME.set(&mut frame);
        RUNNING.set(self);
        // SAFETY: the code has been compiled for this signature. What it does to memory is what
        // is being tested.
        let result = unsafe {
            nopal_test_enter(self.addresses[0] as *const u8, self.data as u64, &mut frame)
        };
        TRAP_FRAME.set(ptr::null_mut());
        RUNNING.set(ptr::null());
        TIMER.with(|t| t.set(0));
        let log = self.log.take();
        match result {
            0 => Ok((Outcome::Return, log)),
            1 => Err("a callee-saved register was not preserved".into()),
            _ if frame.signal == libc::SIGALRM => Err("it does not end".into()),
            _ => self.trap_at(&frame).map(|code| (Outcome::Trap(code), log)),
        }
    }

    fn trap_at(&self, frame: &TrapFrame) -> Result<TrapCode, String> {
        for (i, (c, &address)) in self.code.iter().zip(&self.addresses).enumerate() {
            let Some(offset) = frame.pc.checked_sub(address) else {
                continue;
            };
            if offset >= c.code.len() as u64 {
                continue;
            }
            return c
                .traps
                .iter()
                .find(|t| u64::from(t.offset) == offset)
                .map(|t| t.code)
                .ok_or_else(|| {
                    let signal = frame.signal;
                    format!("signal {signal} in function {i} at {offset:#x}, where no trap is")
                });
        }
        Err(format!(
            "signal {} at {:#x}, outside of all code",
            frame.signal, frame.pc
        ))
    }

    /// What the hook at the site with these registers sees.
    fn site_at(&self, regs: &HookRegs) -> HookEntry {
        for ((c, func), &address) in self.code.iter().zip(&self.funcs).zip(&self.addresses) {
            let offset = regs.ret_addr.wrapping_sub(address);
            let Some(site) = c
                .patch_sites
                .iter()
                .find(|s| u64::from(s.ret_addr) == offset)
            else {
                continue;
            };
            let sig = func.sig(func.ext_funcs()[site.callee as usize].signature);
            let args = regs.arguments(sig.params.iter().map(|p| p.ty));
            let observed = c.value_map(site).iter().map(|o| {
                let bits = match o.loc {
                    ValueLoc::Reg(r) if r.index() < 32 => regs.gpr[r.hw() as usize],
                    ValueLoc::Reg(r) => regs.xmm[r.hw() as usize][0],
                    // SAFETY: the frame pointer of compiled code and an offset into its frame.
                    ValueLoc::Frame(at) => unsafe {
                        (regs.gpr[5].wrapping_add(at as u64) as *const u64).read_unaligned()
                    },
                    ValueLoc::Const(bits) => bits,
                };
                (o.ty, bits)
            });
            return HookEntry {
                site: site.site,
                args,
                observed: observed.collect(),
            };
        }
        HookEntry {
            site: u32::MAX,
            args: regs.arguments(OBSERVED.into_iter()),
            observed: Vec::new(),
        }
    }
}
