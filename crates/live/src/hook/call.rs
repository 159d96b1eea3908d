//! Hooks that call a Rust function with the guest's registers.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Hook, HookCore, sealed::HookAccess};
use crate::counter::Counter;
use crate::index::SiteIndex;
use crate::isa::RawFrame;
use crate::os::{self, PerCpu};
use crate::protocol::{Broadcast, Broadcaster};
use crate::{Error, Result, SiteFrame, SiteId};

pub(super) type Closure = Box<dyn Fn(SiteId, &mut SiteFrame) + Send + Sync>;

/// Calls a Rust function with the site and the guest's registers, which it may read and write.
///
/// After the last handle is dropped, the function is dropped as soon as no thread is in it.
#[derive(Clone)]
pub struct CallHook {
    core: Arc<HookCore>,
    context: Arc<CallContext>,
}

impl CallHook {
    pub(super) fn new(core: HookCore, context: Arc<CallContext>) -> CallHook {
        CallHook {
            core: Arc::new(core),
            context,
        }
    }

    /// Gives this handle up for something that tells when the function is gone.
    ///
    /// If it was the last handle, the hook's sites are off when this returns, no thread calls the
    /// function any more, and it is dropped, with all that it captured, as soon as the last thread
    /// has left it: mostly at once.
    pub fn retire(self) -> Retired {
        let context = Arc::clone(&self.context);
        drop(self);
        Retired { context }
    }

    /// The message of the panic after which the function is no longer called, if there was one.
    pub fn panic_message(&self) -> Option<String> {
        let message = self.context.panic_message.lock();
        message.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is left of a [`CallHook`] after [`retire`](CallHook::retire).
///
/// It keeps neither the hook nor its function; dropping it does nothing.
#[derive(Clone)]
pub struct Retired {
    context: Arc<CallContext>,
}

impl Retired {
    /// Whether the hook's function was dropped: no thread is in it, nor will be.
    pub fn is_dropped(&self) -> bool {
        self.context.function.load(Ordering::Acquire) == DROPPED
    }

    /// Waits until the hook's function was dropped, or until it is known to stay.
    ///
    /// Never returns if called in the hook itself, or while a handle is kept.
    ///
    /// # Errors
    /// The broadcasts that would show that no thread is in the function failed. It is dropped
    /// together with the space.
    pub fn wait(&self) -> Result<()> {
        let function = &self.context.function;
        loop {
            match function.load(Ordering::Acquire) {
                DROPPED => return Ok(()),
                KEPT => {
                    return Err(Error::Unsupported(
                        "freeing a hook while broadcasts fail; it goes with its space",
                    ));
                }
                present => os::futex_wait(function, present, None),
            }
        }
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired")
            .field("is_dropped", &self.is_dropped())
            .finish()
    }
}

impl HookAccess for CallHook {
    fn core(&self) -> &Arc<HookCore> {
        &self.core
    }
}

impl Hook for CallHook {}

impl fmt::Debug for CallHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHook").finish_non_exhaustive()
    }
}

/// Threads may call the closure.
const OPEN: u8 = 0;
/// It has panicked and is no longer called; the last handle is not gone yet.
const PANICKED: u8 = 1;
/// The last handle is gone, but threads may not have noticed.
const CLOSING: u8 = 2;
/// All threads that enter now notice.
const CLOSED: u8 = 3;

/// The closure is there.
const PRESENT: u32 = 0;
/// A thread is dropping it.
const TAKEN: u32 = 1;
/// It is gone.
const DROPPED: u32 = 2;
/// It stays as long as the space.
const KEPT: u32 = 3;

/// What a call stub leads to.
///
/// # When the closure is dropped
/// A thread counts itself in `entered` before it looks at `phase`, and in `left` when it is done.
/// The counters are plain words where possible, so that the order of a thread's accesses is only
/// seen by others once a broadcast has made all threads execute a memory barrier: one between
/// `CLOSING` and `CLOSED`, after which every thread that saw the context open is counted in
/// `entered`; and one after that, after which every thread that leaves either is counted in `left`
/// or sees `CLOSED`, and looks for itself. If `left`, read first, equals `entered`, there was a moment
/// between with no thread inside, and those that came later do not touch the closure.
pub(crate) struct CallContext {
    index: Arc<SiteIndex>,
    entered: Counter,
    left: Counter,
    per_cpu: Option<PerCpu>,
    phase: AtomicU8,
    /// What became of the closure.
    function: AtomicU32,
    panic_message: Mutex<Option<String>>,
    /// Some until taken out, which happens once.
    closure: UnsafeCell<Option<Closure>>,
}

// SAFETY: the closure is Sync and is called through shared references, except for taking it out,
// which the protocol described above separates from all calls; it is Send, as any thread may drop
// it. The counters are atomic, and live as long as the space.
unsafe impl Sync for CallContext {}
// SAFETY: as above.
unsafe impl Send for CallContext {}

impl CallContext {
    pub(super) fn new(
        index: Arc<SiteIndex>,
        entered: Counter,
        left: Counter,
        closure: Closure,
    ) -> Arc<CallContext> {
        Arc::new(CallContext {
            index,
            entered,
            left,
            per_cpu: PerCpu::get(),
            phase: AtomicU8::new(OPEN),
            function: AtomicU32::new(PRESENT),
            panic_message: Mutex::new(None),
            closure: UnsafeCell::new(Some(closure)),
        })
    }

    /// No new calls; drops the closure now, or lets the last thread in it do so.
    pub(super) fn close(&self) {
        self.phase.store(CLOSING, Ordering::SeqCst);
        // Without the broadcasts nobody can tell who is inside: the closure stays until the space
        // goes.
        if Broadcaster::default().broadcast().is_err() {
            self.settle(PRESENT, KEPT);
            return;
        }
        self.phase.store(CLOSED, Ordering::SeqCst);
        match Broadcaster::default().broadcast() {
            Ok(()) => self.drop_if_unused(),
            // Threads that leave do not look for themselves then.
            Err(_) => self.settle(PRESENT, KEPT),
        }
    }

    /// Says what became of the closure, unless that is known already.
    fn settle(&self, from: u32, to: u32) {
        let order = Ordering::SeqCst;
        if (self.function.compare_exchange(from, to, order, order)).is_ok() {
            os::futex_wake_all(&self.function);
        }
    }

    /// Drops the closure if no thread is in it. The phase is `CLOSED`.
    #[cold]
    fn drop_if_unused(&self) {
        // The caller's own exit comes before what it reads here.
        fence(Ordering::SeqCst);
        let left = self.left.sum();
        let order = Ordering::SeqCst;
        if left != self.entered.sum()
            || (self.function.compare_exchange(PRESENT, TAKEN, order, order)).is_err()
        {
            return;
        }
        // SAFETY: every thread that entered while the context was open has left, and none that
        // enters now uses the closure; the exchange let only this thread through.
        let closure = unsafe { (*self.closure.get()).take() };
        // Its destructor is foreign code on a guest's stack, where nothing may unwind.
        let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(closure)));
        if let Err(payload) = dropped {
            self.record_panic(payload);
        }
        self.settle(TAKEN, DROPPED);
    }

    #[inline]
    fn enter(&self, frame: &mut SiteFrame) {
        // SAFETY: the counters are those of a call stub of this context's space.
        unsafe { self.entered.increment_call(self.per_cpu) };
        if self.phase.load(Ordering::Acquire) == OPEN {
            self.call(frame);
        }
        // SAFETY: as above.
        unsafe { self.left.increment_call(self.per_cpu) };
        if self.phase.load(Ordering::Acquire) == CLOSED {
            self.drop_if_unused();
        }
    }

    fn call(&self, frame: &mut SiteFrame) {
        let Some(site) = self.index.site_ending_at(frame.return_address()) else {
            return;
        };
        // SAFETY: this thread is counted in `entered` and saw the context open: the closure stays.
        let Some(closure) = (unsafe { &*self.closure.get() }) else {
            return;
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| closure(site, frame)));
        if let Err(payload) = outcome {
            let order = Ordering::Relaxed;
            // Fails if the hook is being closed.
            let _ = (self.phase).compare_exchange(OPEN, PANICKED, order, order);
            self.record_panic(payload);
        }
    }

    #[cold]
    fn record_panic(&self, payload: Box<dyn Any + Send>) {
        let text = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_string()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "panic with a payload that is not text".to_string()
        };
        let message = self.panic_message.lock();
        message
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(text);
        // Dropping a payload may panic in turn.
        std::mem::forget(payload);
    }
}

/// Where call stubs arrive, with the guest's registers saved in `raw`.
///
/// # Safety
/// Called by the entry code only: `raw` is a frame it filled, `context` the word of the stub.
pub(crate) unsafe extern "C" fn dispatch(raw: *mut RawFrame, context: *const CallContext) {
    // SAFETY: contexts live as long as their space, and the space as long as code of it is executed.
    let context = unsafe { &*context };
    // SAFETY: the caller's promise.
    let mut frame = unsafe { SiteFrame::new(raw) };
    context.enter(&mut frame);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fault;
    use crate::{CodeSpace, SpaceConfig};

    #[test]
    fn a_function_that_nobody_can_tell_to_be_unused_stays_as_long_as_its_space() {
        for passes in [0, 1] {
            let space = CodeSpace::new(&SpaceConfig::new()).unwrap();
            let captured = Arc::new(());
            let watched = Arc::downgrade(&captured);
            let hook = space.call_hook(move |_, _| {
                let _ = &captured;
            });
            let hook = hook.unwrap();
            fault::inject_after(passes);
            let retired = hook.retire();
            assert!(matches!(retired.wait(), Err(Error::Unsupported(_))));
            assert!(!retired.is_dropped());
            assert!(watched.upgrade().is_some());
            drop((retired, space));
            assert!(watched.upgrade().is_none());
        }
    }
}
