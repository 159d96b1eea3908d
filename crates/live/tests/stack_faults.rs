//! Guests whose stack ends where a site calls its hook: the fault is the site's, wherever in the stub it is.

#![cfg(target_arch = "x86_64")]

#[path = "suite/common.rs"]
mod common;

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use common::{Asm, config};
use nopal_live::{Code, CodeSpace, Counters, Hook, SpaceConfig};

fn configure(_: &mut SpaceConfig) {}

const PAGE: usize = 4096;

/// What the handler needs to know, and what it saw. Only one thread faults.
static SPACE: AtomicPtr<CodeSpace> = AtomicPtr::new(ptr::null_mut());
static FRAME: AtomicUsize = AtomicUsize::new(0);
static SITE_END: AtomicUsize = AtomicUsize::new(0);
static FAULTS: AtomicUsize = AtomicUsize::new(0);
static IN_STUB: AtomicUsize = AtomicUsize::new(0);

/// Asks where the thread is, and lets it go on after the site.
extern "C" fn on_fault(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the context is that of this handler; the space outlives all faults.
    let (registers, space) = unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        (
            &mut context.uc_mcontext.gregs,
            &*SPACE.load(Ordering::Relaxed),
        )
    };
    let [pc, sp, fp] = [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP]
        .map(|register| registers[register as usize] as usize);
    FAULTS.fetch_add(1, Ordering::Relaxed);
    let frame = FRAME.load(Ordering::Relaxed);
    // SAFETY: the thread was stopped here, by a fault.
    let found = unsafe { space.faulted_in_stub(pc, sp, fp) };
    if found == Some((SITE_END.load(Ordering::Relaxed), frame)) {
        IN_STUB.fetch_add(1, Ordering::Relaxed);
    } else if found.is_some() {
        std::process::abort();
    }
    registers[libc::REG_RIP as usize] = SITE_END.load(Ordering::Relaxed) as i64;
    registers[libc::REG_RBP as usize] = frame as i64;
}

fn handle_faults() {
    // SAFETY: all zeros are a valid sigaction; the handler is async-signal-safe, has the type that the flags
    // ask for, and runs on the stack that the standard library gave this thread for signals.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
}

/// `fn(sp, frame)`: writes its frame pointer down, and passes a site with another stack pointer.
fn on_another_stack() -> Asm {
    let mut asm = Asm::new();
    asm.emit(&[0x55, 0x48, 0x89, 0xe5]); // push rbp; mov rbp, rsp
    asm.emit(&[0x48, 0x89, 0x2e]); // mov [rsi], rbp
    asm.emit(&[0x48, 0x89, 0xfc]); // mov rsp, rdi
    asm.site();
    asm.emit(&[0x48, 0x89, 0xec, 0x5d, 0xc3]); // mov rsp, rbp; pop rbp; ret
    asm
}

/// A stack that ends at the address returned.
fn end_of_stack() -> usize {
    // SAFETY: fresh mappings, of which the lower page is taken every permission; never unmapped.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(base, PAGE, libc::PROT_NONE), 0);
        base as usize + PAGE
    }
}

/// Passes the site with that many bytes of stack left; returns the faults, and those of them that were
/// found to be in a stub.
fn pass(code: &Code, end: usize, bytes: usize) -> [usize; 2] {
    // SAFETY: `on_another_stack` is a function of this type, and keeps what it has to.
    let function: extern "C" fn(usize, *mut usize) = unsafe { std::mem::transmute(code.base()) };
    let seen = || [&FAULTS, &IN_STUB].map(|counter| counter.load(Ordering::Relaxed));
    let before = seen();
    function(end + bytes, FRAME.as_ptr());
    let after = seen();
    [after[0] - before[0], after[1] - before[1]]
}

#[test]
fn a_fault_in_a_stub_is_that_of_the_site() {
    const NOWHERE: [usize; 2] = [0, 0];
    const ELSEWHERE: [usize; 2] = [1, 0];
    const IN_STUB: [usize; 2] = [1, 1];
    handle_faults();
    let end = end_of_stack();
    for counters in [Counters::PerCpu, Counters::Shared] {
        let mut config = config();
        let space = match CodeSpace::new(config.reserve(64 << 20).counters(counters)) {
            Ok(space) => space,
            Err(error) => {
                assert_eq!(counters, Counters::PerCpu, "{error}");
                continue;
            }
        };
        SPACE.store(space.as_ref() as *const _ as *mut _, Ordering::Relaxed);
        let code = on_another_stack().publish(&space);
        let site = code.site(0).unwrap();
        SITE_END.store(space.site_addr(site).unwrap(), Ordering::Relaxed);
        let count = space.count_hook().unwrap();
        let once = space.once_hook().unwrap();
        let call = space.call_hook(|_, _| ()).unwrap();
        // What saves rcx below the stack pointer only counts per CPU.
        let count_needs = match counters {
            Counters::PerCpu => [ELSEWHERE, IN_STUB, IN_STUB, NOWHERE],
            Counters::Shared => [ELSEWHERE, IN_STUB, NOWHERE, NOWHERE],
        };
        let cases: [(&dyn Hook, _); 3] = [
            (&count, count_needs),
            (&once, [ELSEWHERE, NOWHERE, NOWHERE, NOWHERE]),
            // The last is in the code that saves the registers, which is not in the space.
            (&call, [ELSEWHERE, IN_STUB, IN_STUB, ELSEWHERE]),
        ];
        for (number, (hook, expected)) in cases.into_iter().enumerate() {
            assert_eq!(pass(&code, end, 0), NOWHERE);
            space.patch().retarget(site, hook).commit().unwrap();
            let seen = [0, 8, 16, 24].map(|bytes| pass(&code, end, bytes));
            assert_eq!(seen, expected, "{counters:?}, hook {number}");
            space.patch().disable(site).commit().unwrap();
        }
        let counted = count_needs.iter().filter(|&&faults| faults == NOWHERE);
        assert_eq!(count.count(site), counted.count() as u64);
        assert!(once.was_hit(site));
    }
}
