//! Hooks that call a Rust function with the guest's registers.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Hook, HookCore, sealed::HookAccess};
use crate::counter::Counter;
use crate::index::SiteIndex;
use crate::isa::RawFrame;
use crate::os::PerCpu;
use crate::protocol::{Broadcast, Broadcaster};
use crate::{SiteFrame, SiteId};

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

    /// The message of the panic after which the function is no longer called, if there was one.
    pub fn panic_message(&self) -> Option<String> {
        let message = self.context.panic_message.lock();
        message.unwrap_or_else(PoisonError::into_inner).clone()
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
/// The last handle is gone, but threads may not have noticed.
const CLOSING: u8 = 1;
/// All threads that enter now notice.
const CLOSED: u8 = 2;

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
    /// Whether the closure was taken out.
    emptied: AtomicBool,
    /// Whether the closure has panicked.
    panicked: AtomicBool,
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
            emptied: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
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
            return;
        }
        self.phase.store(CLOSED, Ordering::SeqCst);
        if Broadcaster::default().broadcast().is_ok() {
            self.drop_if_unused();
        }
    }

    /// Drops the closure if no thread is in it. The phase is `CLOSED`.
    #[cold]
    fn drop_if_unused(&self) {
        // The caller's own exit comes before what it reads here.
        fence(Ordering::SeqCst);
        let left = self.left.sum();
        if left != self.entered.sum() || self.emptied.swap(true, Ordering::SeqCst) {
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
    }

    #[inline]
    fn enter(&self, frame: &mut SiteFrame) {
        // SAFETY: the counters are those of a call stub of this context's space.
        unsafe { self.entered.increment_call(self.per_cpu) };
        if self.phase.load(Ordering::Acquire) == OPEN && !self.panicked.load(Ordering::Relaxed) {
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
            self.panicked.store(true, Ordering::Relaxed);
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
