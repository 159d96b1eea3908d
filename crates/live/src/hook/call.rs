//! Hooks that call a Rust function with the guest's registers.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Hook, HookCore, sealed::HookAccess};
use crate::index::SiteIndex;
use crate::isa::RawFrame;
use crate::{SiteFrame, SiteId};

type Closure = Box<dyn Fn(SiteId, &mut SiteFrame) + Send + Sync>;

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

/// Set in `CallContext::users` when the last handle is gone.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// What a call stub leads to.
pub(crate) struct CallContext {
    index: Arc<SiteIndex>,
    /// Threads in `enter`, plus `CLOSED`.
    users: AtomicUsize,
    /// Whether the closure was taken out.
    emptied: AtomicBool,
    /// Whether the closure has panicked.
    panicked: AtomicBool,
    panic_message: Mutex<Option<String>>,
    /// Some until taken out, which happens once, when `users` is `CLOSED` with no thread counted
    /// that saw it open.
    closure: UnsafeCell<Option<Closure>>,
}

// SAFETY: the closure is Sync and is called through shared references, except for taking it out,
// which the protocol of `users` separates from all calls; it is Send, as any thread may drop it.
unsafe impl Sync for CallContext {}
// SAFETY: as above.
unsafe impl Send for CallContext {}

impl CallContext {
    pub(super) fn new(index: Arc<SiteIndex>, closure: Closure) -> Arc<CallContext> {
        Arc::new(CallContext {
            index,
            users: AtomicUsize::new(0),
            emptied: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            panic_message: Mutex::new(None),
            closure: UnsafeCell::new(Some(closure)),
        })
    }

    /// No new calls; drops the closure now, or lets the last thread in it do so.
    pub(super) fn close(&self) {
        // As a user of its own, the closer goes through the same exit as everybody else.
        self.users.fetch_add(1, Ordering::SeqCst);
        self.users.fetch_or(CLOSED, Ordering::SeqCst);
        self.leave();
    }

    fn leave(&self) {
        // The last user after closing. Later threads see CLOSED, do not touch the closure, and may
        // come by here as well; the exchange lets only one through.
        if self.users.fetch_sub(1, Ordering::SeqCst) == CLOSED | 1
            && !self.emptied.swap(true, Ordering::SeqCst)
        {
            // SAFETY: every thread that entered while the context was open has left, and none that
            // enters now uses the closure.
            let closure = unsafe { (*self.closure.get()).take() };
            // Its destructor is foreign code on a guest's stack, where nothing may unwind.
            let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(closure)));
            if let Err(payload) = dropped {
                self.record_panic(payload);
            }
        }
    }

    fn enter(&self, frame: &mut SiteFrame) {
        let before = self.users.fetch_add(1, Ordering::SeqCst);
        if before & CLOSED == 0 && !self.panicked.load(Ordering::Relaxed) {
            self.call(frame);
        }
        self.leave();
    }

    fn call(&self, frame: &mut SiteFrame) {
        let Some(site) = self.index.site_ending_at(frame.return_address()) else {
            return;
        };
        // SAFETY: this thread is counted in `users` and saw it open: the closure stays.
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
