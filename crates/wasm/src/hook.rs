//! Hooks in the guest's code.
//!
//! A hook runs on the guest's stack, wherever the guest happens to be on it. If it is called with
//! nothing left of the guest's part, the guest would have overflowed the stack a moment later
//! anyway: the hook is not run, and the guest traps. What the hook itself needs comes from the
//! reserve below.

use crate::activation::request_trap;
use crate::engine::Engine;
use crate::{Error, Result, TrapKind};
use nopal_live::{CallHook, SiteFrame, SiteId};

impl Engine {
    /// Make a hook that calls `f` with the site and the guest's registers, for the sites of this
    /// engine's modules. `f` can use about 500 KiB of stack.
    ///
    /// This is [`CodeSpace::call_hook`](nopal_live::CodeSpace::call_hook), but for a guest that
    /// overflows its stack, which does so with a trap whatever hooks are on.
    ///
    /// Fails if the engine's code space has no room for it.
    pub fn call_hook(
        &self,
        f: impl Fn(SiteId, &mut SiteFrame) + Send + Sync + 'static,
    ) -> Result<CallHook> {
        let guarded = move |site, frame: &mut SiteFrame| {
            if !crate::activation::is_overflowing(frame.sp()) {
                f(site, frame);
            } else {
                trap_at_site(frame, TrapKind::StackOverflow);
            }
        };
        (self.code_space().call_hook(guarded)).map_err(Error::code_memory)
    }
}

/// Make the guest trap at the site whose hook is being called, as soon as the hook returns.
///
/// Returns whether it will: not if the site is not in the code of this crate's guest on this thread.
pub fn trap_at_site(frame: &mut SiteFrame, kind: TrapKind) -> bool {
    let Some(landing) = request_trap(frame.return_address(), kind) else {
        return false;
    };
    let place = frame.sp() - size_of::<usize>();
    let offset = place.wrapping_sub(frame.fp()) as i32;
    // SAFETY: the call at the site pushed the return address there, and the hook returns to
    // whatever is there; the landing takes over from the guest.
    unsafe { frame.set_slot(offset, landing) };
    true
}
