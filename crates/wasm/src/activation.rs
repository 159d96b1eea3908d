//! Calls into the guest and the ways they end.
//!
//! A trap or an error in a host function ends the innermost call: its reason is stored in the
//! [`Activation`], and the stack is cut back to the frame that made the call. No Rust frame that
//! has anything left to do is skipped: guest frames and trampolines have nothing to clean up, and
//! the functions the guest calls store the reason as the last thing they do.

use crate::stack::WasmStack;
use crate::store::StoreOpaque;
use crate::trampoline::EnterTrampoline;
use crate::vmctx::VMStoreContext;
use crate::{Error, Result, TrapKind, arch, signals};
use nopal_live::CodeSpace;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Arc;

/// Why a call into the guest ended early.
pub(crate) enum Unwind {
    /// A trap; the store's context has the backtrace.
    Trap(TrapKind),
    /// An error of a host function.
    Error(Error),
    /// A panic of a host function.
    Panic(Box<dyn Any + Send>),
}

/// A call into the guest that is in progress. It lives in the frame of [`enter`].
pub(crate) struct Activation {
    /// What [`arch::unwind`] resumes from.
    host_sp: usize,
    /// The next outer one on this thread.
    pub(crate) outer: *mut Activation,
    /// Where the guest of the next outer one called the host: address and frame pointer.
    pub(crate) outer_exit: (usize, usize),
    stack: *const WasmStack,
    pub(crate) space: *const CodeSpace,
    context: *mut VMStoreContext,
    /// The trap that a hook asked for, and the return address of its site.
    requested: Option<(TrapKind, usize)>,
    reason: Option<Unwind>,
}

thread_local! {
    /// The innermost activation of the thread.
    static CURRENT: Cell<*mut Activation> = const { Cell::new(ptr::null_mut()) };
}

/// What to call in the guest.
#[derive(Clone, Copy)]
pub(crate) struct GuestCall {
    /// For the type of the function.
    pub(crate) trampoline: EnterTrampoline,
    pub(crate) code: *const u8,
    pub(crate) context: *mut u8,
    /// The arguments; the results replace them.
    pub(crate) args: *mut u64,
}

/// The least a call into the guest needs of the stack before the guest's own frames.
const ENTRY_ROOM: usize = 4096;
/// Host functions called with less of the guest's part of the stack left get the reserve.
const HOST_ROOM: usize = 256 << 10;

/// Call a function of the guest. A panic in a host function that it calls goes on in the caller.
///
/// # Safety
/// The store is valid, borrowed mutably by the caller, and everything in `call` belongs to it.
pub(crate) unsafe fn enter(store: *mut StoreOpaque, call: GuestCall) -> Result<()> {
    signals::prepare_thread()?;
    // SAFETY: the store is valid.
    let (context, space, own_stack) = unsafe {
        let store = &mut *store;
        let own_stack: *const WasmStack = store.stack()?;
        (store.context(), Arc::as_ptr(store.code_space()), own_stack)
    };
    let outer = CURRENT.get();
    // SAFETY: the context lives as long as the store, activations as long as the frames of
    // `enter` that made them, and stacks longer than the activations that use them.
    unsafe {
        let (stack, stack_top) = choose_stack(own_stack, outer, (*context).activation);
        if stack_top == 0 && (*stack).remaining(arch::stack_pointer()) < ENTRY_ROOM {
            capture_exit(context, outer);
            return Err(finish(context, Unwind::Trap(TrapKind::StackOverflow)));
        }
        // Host functions further out may have had the reserve opened; the guest must not use it.
        let reopen = (*stack).close_reserve();
        let mut activation = Activation {
            host_sp: 0,
            outer,
            outer_exit: match outer.as_ref() {
                Some(outer) => (*outer.context).exit(),
                None => (0, 0),
            },
            stack,
            space,
            context,
            requested: None,
            reason: None,
        };
        let this = &raw mut activation;
        let saved = (
            (*context).activation,
            (*context).store,
            (*context).exit_fp,
            (*context).exit_pc,
        );
        (*context).activation = this;
        (*context).store = store;
        CURRENT.set(this);
        let ended_early = arch::enter(
            &raw mut (*this).host_sp,
            stack_top,
            call.trampoline,
            call.context,
            call.code,
            call.args,
        );
        CURRENT.set(outer);
        (
            (*context).activation,
            (*context).store,
            (*context).exit_fp,
            (*context).exit_pc,
        ) = saved;
        if reopen {
            // It was open before, so the system has the memory for it.
            let _ = (*stack).open_reserve();
        } else {
            (*stack).close_reserve();
        }
        if ended_early == 0 {
            return Ok(());
        }
        let reason = (*this).reason.take().expect("a reason for unwinding");
        Err(finish(context, reason))
    }
}

/// The stack to use and the address to switch to, 0 to stay where we are.
///
/// # Safety
/// The pointers are null or valid; `in_store` is the store's innermost activation, `outer` the
/// thread's.
unsafe fn choose_stack(
    own: *const WasmStack,
    outer: *mut Activation,
    in_store: *mut Activation,
) -> (*const WasmStack, usize) {
    // SAFETY: `own` is valid.
    let own_stack = unsafe { &*own };
    if own_stack.contains(arch::stack_pointer()) {
        (own, 0)
    } else if in_store.is_null() {
        (own, own_stack.top())
    } else {
        // The store is in use further out, and this is a host function called by the guest of
        // another store. Handles to a store in use do not leave its thread, so that call is one
        // of this thread, and it is its stack we are on.
        assert!(!outer.is_null(), "a store in use belongs to its thread");
        // SAFETY: activations of this thread are live.
        (unsafe { (*outer).stack }, 0)
    }
}

/// Turn a reason into an error. Panics go on.
///
/// # Safety
/// `context` is valid.
unsafe fn finish(context: *mut VMStoreContext, reason: Unwind) -> Error {
    let mut error = match reason {
        Unwind::Trap(kind) => kind.into(),
        Unwind::Error(error) => error,
        Unwind::Panic(payload) => resume_unwind(payload),
    };
    if let Some(trap) = error.trap_mut()
        && trap.depth() == 0
    {
        // SAFETY: the code in the backtrace was running just now.
        let (frames, depth) = unsafe { (*context).backtrace.resolve() };
        trap.add_backtrace(frames, depth);
    }
    error
}

/// Run `f`, a function that the guest calls. Its error or panic ends the guest's call; else the
/// result is returned to the guest.
///
/// # Safety
/// Called by the guest through `exit_shim!`, as the last thing before returning to it, with
/// nothing left to be dropped in the caller.
pub(crate) unsafe fn run_for_guest<R>(
    context: *mut VMStoreContext,
    f: impl FnOnce(*mut StoreOpaque) -> Result<R>,
) -> R {
    // SAFETY: the guest is running, so its store has an activation.
    let (stack, store) = unsafe { (&*(*(*context).activation).stack, (*context).store) };
    match on_stack(stack, || f(store)) {
        Ok(result) => result,
        // SAFETY: as the caller says; nothing is left to be dropped in this frame.
        Err(reason) => unsafe { end(context, reason) },
    }
}

/// Run `f`, a function that the guest calls, which does not panic and needs next to no stack: that is
/// much less work.
///
/// # Safety
/// As for [`run_for_guest`].
pub(crate) unsafe fn run_leaf_for_guest(
    context: *mut VMStoreContext,
    f: impl FnOnce() -> Result<(), TrapKind>,
) {
    // SAFETY: the guest is running, so its store has an activation.
    let stack = unsafe { &*(*(*context).activation).stack };
    let result = if stack.remaining(arch::stack_pointer()) < ENTRY_ROOM {
        Err(TrapKind::StackOverflow)
    } else {
        f()
    };
    if let Err(kind) = result {
        // SAFETY: as the caller says; nothing is left to be dropped in this frame.
        unsafe { end(context, Unwind::Trap(kind)) }
    }
}

/// Run `f`, which compiles a function that the guest calls. Its error or panic ends the guest's call.
///
/// # Safety
/// Called for the guest by `arch::first_call`, on the store's stack for compiling, as the last thing
/// before returning to it, with nothing left to be dropped in the caller.
pub(crate) unsafe fn compile_for_guest<R>(
    context: *mut VMStoreContext,
    f: impl FnOnce(*const StoreOpaque) -> Result<R>,
) -> R {
    // SAFETY: the guest is running, so its store knows where it is.
    let store = unsafe { (*context).store };
    match caught(|| f(store)) {
        Ok(result) => result,
        // SAFETY: as the caller says; nothing is left to be dropped in this frame.
        Err(reason) => unsafe { end(context, reason) },
    }
}

/// End the guest's call, in which it has called the host.
///
/// # Safety
/// `context` is that of a store whose guest is running; no frame since its call of the host has
/// anything left to be dropped.
unsafe fn end(context: *mut VMStoreContext, reason: Unwind) -> ! {
    // SAFETY: the guest is running, so its store has an activation.
    unsafe {
        let activation = (*context).activation;
        capture_exit(context, activation);
        (*activation).reason = Some(reason);
        arch::unwind((*activation).host_sp)
    }
}

/// Note where the guest of `activation`, which called the host, is.
///
/// # Safety
/// Both pointers are valid, the activation is null or the innermost of the thread.
unsafe fn capture_exit(context: *mut VMStoreContext, activation: *const Activation) {
    // SAFETY: the chain of activations of a thread is live.
    unsafe {
        let exit = activation.as_ref().map(|a| (*a.context).exit());
        (*context).backtrace.capture(exit, activation);
    }
}

/// Run `f` with enough stack for a host function.
fn on_stack<R>(stack: &WasmStack, f: impl FnOnce() -> Result<R>) -> Result<R, Unwind> {
    let sp = arch::stack_pointer();
    let remaining = stack.remaining(sp);
    if remaining < ENTRY_ROOM {
        return Err(Unwind::Trap(TrapKind::StackOverflow));
    }
    if remaining < HOST_ROOM && stack.open_reserve().is_err() {
        return Err(Unwind::Trap(TrapKind::StackOverflow));
    }
    let result = caught(f);
    // SAFETY: this frame and those it returns to are outside the reserve.
    unsafe { stack.close_reserve() };
    result
}

/// Run `f`, and make its error or panic a reason for the guest's call to end.
fn caught<R>(f: impl FnOnce() -> Result<R>) -> Result<R, Unwind> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Unwind::Error(error)),
        Err(payload) => Err(Unwind::Panic(payload)),
    }
}

/// Whether the guest of this thread has used up its part of the stack.
pub(crate) fn is_overflowing(sp: usize) -> bool {
    let activation = CURRENT.get();
    // SAFETY: the thread's activations are live, and so are their stacks.
    let stack = unsafe { activation.as_ref().map(|a| &*a.stack) };
    stack.is_some_and(|stack| stack.is_beyond(sp))
}

/// Note that the guest of this thread, which is at the site with this return address, is to trap.
/// Returns where to it must return instead; none if it is not this crate's guest.
pub(crate) fn request_trap(site: usize, kind: TrapKind) -> Option<usize> {
    let activation = CURRENT.get();
    // SAFETY: the thread's activations are live, and so are the code spaces of their stores. The
    // guest is at the site and does not use its activation.
    unsafe {
        let space = &*activation.as_ref()?.space;
        space.site_at(site)?;
        (*activation).requested = Some((kind, site));
    }
    Some(arch::trap_landing as *const () as usize)
}

/// Where a guest goes on that a hook made to trap: with the frame pointer it had at the site.
///
/// # Safety
/// Called by `arch::trap_landing`.
pub(crate) unsafe extern "C" fn raise_requested(fp: usize) -> ! {
    let activation = CURRENT.get();
    // SAFETY: only reached from guest code after a request.
    unsafe {
        let (kind, pc) = (*activation).requested.take().expect("a requested trap");
        let backtrace = &mut (*(*activation).context).backtrace;
        backtrace.capture(Some((pc, fp)), activation);
        (*activation).reason = Some(Unwind::Trap(kind));
        arch::unwind((*activation).host_sp)
    }
}

/// Handle a fault of the current thread: end the guest's call with a trap, or open the stack's
/// reserve for host code that the guest's code is interrupted by. Returns whether there is
/// nothing left to do. Async-signal-safe.
///
/// # Safety
/// Called by the handler of a synchronous signal; `fault` is the address that could not be
/// accessed, if that was the reason.
pub(crate) unsafe fn handle_fault(stopped: &mut arch::Stopped<'_>, fault: Option<usize>) -> bool {
    let activation = CURRENT.get();
    if activation.is_null() {
        return false;
    }
    // SAFETY: the activation is live, and so is everything it points to. The code it interrupts
    // is guest code or host code that the guest called, which uses none of the fields written.
    unsafe {
        let stack = &*(*activation).stack;
        let overflow = fault.is_some_and(|addr| stack.is_beyond(addr));
        let space = &*(*activation).space;
        let Some(code) = space.code_at(stopped.pc()) else {
            if overflow
                && let Some(site) = space.faulted_in_stub(stopped.pc(), stopped.sp(), stopped.fp())
            {
                let backtrace = &mut (*(*activation).context).backtrace;
                backtrace.capture(Some(site), activation);
                end_with(stopped, activation, TrapKind::StackOverflow);
                return true;
            }
            return fault.is_some_and(|addr| stack.in_reserve(addr))
                && stack.open_reserve().unwrap_or(false);
        };
        let kind = if overflow {
            TrapKind::StackOverflow
        } else {
            let offset = (stopped.pc() - code.base) as u32;
            let tables = crate::code_tables::CodeTables::from_tag(code.tag);
            match tables.and_then(|tables| tables.trap_at(offset)) {
                Some(kind) => kind,
                None => return false,
            }
        };
        let backtrace = &mut (*(*activation).context).backtrace;
        backtrace.capture_stopped(stopped, activation);
        end_with(stopped, activation, kind);
        true
    }
}

/// Let the stopped thread leave the guest with a trap.
///
/// # Safety
/// It is in guest code, or in a stub that guest code called; `activation` is its innermost one.
unsafe fn end_with(stopped: &mut arch::Stopped<'_>, activation: *mut Activation, kind: TrapKind) {
    // SAFETY: the activation is live, and nothing the guest's frames hold is needed any more.
    unsafe {
        (&raw mut (*activation).reason).write(Some(Unwind::Trap(kind)));
        stopped.continue_unwinding((*activation).host_sp);
    }
}
