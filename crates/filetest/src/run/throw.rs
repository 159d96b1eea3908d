//! `%__cranelift_throw`: going to a handler of a `try_call`.

use super::unit::Unit;
use nopal_codegen::Handler;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// Whose code this thread runs.
    static CURRENT: Cell<*const Unit> = const { Cell::new(ptr::null()) };
}

/// Do something during which `unit` is whose handlers are looked at.
pub(super) fn with<R>(unit: &Unit, f: impl FnOnce() -> R) -> R {
    let outer = CURRENT.replace(unit);
    let result = f();
    CURRENT.set(outer);
    result
}

/// The handler of the call that returns to `pc`: its address, and the distance of the stack pointer
/// from the frame pointer. Contexts are not looked at.
fn handler(unit: &Unit, pc: u64, tag: u32) -> Option<(u64, u64)> {
    // A call may be the last instruction of its function.
    let (n, before) = unit.linked.function_at(pc.checked_sub(1)?)?;
    let code = unit.linked.compiled(n);
    let call = code.try_calls.iter().find(|c| c.ret_addr == before + 1)?;
    let offset = code.handlers_of(call).iter().find_map(|h| match *h {
        Handler::Tag { tag: t, offset } if t == tag => Some(offset),
        Handler::Default { offset } => Some(offset),
        _ => None,
    })?;
    let below = u64::from(code.frame_size).saturating_sub(16);
    Some((unit.linked.entries()[n] + u64::from(offset), below))
}

/// Go to the handler of the innermost call that has one for `tag`, from the frame `exit_fp`, whose
/// code is at `exit_pc`, to the frame `entry_fp`, which is left out. Returns if there is none.
///
/// # Safety
///
/// The frames are those of compiled code, which all have frame pointers.
pub(super) unsafe extern "C" fn throw(
    entry_fp: u64,
    exit_fp: u64,
    exit_pc: u64,
    tag: u32,
    first: u64,
    second: u64,
) {
    // SAFETY: it is set while code runs, which is where this is called from.
    let Some(unit) = (unsafe { CURRENT.get().as_ref() }) else {
        return;
    };
    let (mut pc, mut fp) = (exit_pc, exit_fp);
    while fp != entry_fp {
        if let Some((address, below)) = handler(unit, pc, tag) {
            // SAFETY: what the compiler says of handlers; nothing on the stack below has a
            // destructor.
            unsafe {
                core::arch::asm!(
                    "mov rsp, {sp}",
                    "mov rbp, {fp}",
                    "jmp {handler}",
                    sp = in(reg) fp - below,
                    fp = in(reg) fp,
                    handler = in(reg) address,
                    in("rax") first,
                    in("rdx") second,
                    options(noreturn)
                )
            }
        }
        // SAFETY: a frame begins with the caller's frame pointer and the return address.
        (pc, fp) = unsafe { (((fp + 8) as *const u64).read(), (fp as *const u64).read()) };
    }
}
