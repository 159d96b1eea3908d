//! The stack that guest code runs on.
//!
//! ```text
//! low   guard      never accessible
//!       reserve    for host code called by the guest; closed while guest code runs
//!       usable     for the guest
//! high  top
//! ```
//!
//! Guest code has no stack checks: it overflows by faulting below `limit`. Host functions that the
//! guest calls run on the same stack. Those called with little of the usable part left find the
//! reserve opened. Hooks are not announced: one that needs the reserve faults on it, and the
//! signal handler opens it.

use crate::mmap::{PAGE, Reservation};
use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

const GUARD: usize = 64 << 10;
const RESERVE: usize = 512 << 10;
/// The least and the most a configuration can ask for.
const MIN_USABLE: usize = 16 << 10;
const MAX_USABLE: usize = 1 << 30;

/// A stack of a store.
#[derive(Debug)]
pub(crate) struct WasmStack {
    memory: Reservation,
    limit: usize,
    top: usize,
    /// Whether the reserve is accessible.
    open: AtomicBool,
}

impl WasmStack {
    /// A stack of which the guest can use `usable` bytes.
    pub(crate) fn new(usable: usize) -> Result<WasmStack> {
        let usable = usable.next_multiple_of(PAGE);
        let len = GUARD + RESERVE + usable;
        let fail =
            |error| Error::system(format!("no memory for a stack of {usable} bytes: {error}"));
        let memory = Reservation::new(len).map_err(fail)?;
        memory.open(GUARD + RESERVE, usable).map_err(fail)?;
        let base = memory.base() as usize;
        Ok(WasmStack {
            memory,
            limit: base + GUARD + RESERVE,
            top: base + len,
            open: AtomicBool::new(false),
        })
    }

    /// Whether a configuration can ask for a stack of this size.
    pub(crate) fn check_size(usable: usize) -> Result<()> {
        if (MIN_USABLE..=MAX_USABLE).contains(&usable) {
            Ok(())
        } else {
            Err(Error::limit(format!(
                "a stack of {usable} bytes (possible are {MIN_USABLE} to {MAX_USABLE})"
            )))
        }
    }

    /// Where the stack begins, growing down; a multiple of 16.
    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// Whether a stack pointer is on this stack.
    pub(crate) fn contains(&self, sp: usize) -> bool {
        sp >= self.memory.base() as usize && sp <= self.top
    }

    /// Whether an address is one at which the guest faults if it overflows the stack.
    pub(crate) fn is_beyond(&self, addr: usize) -> bool {
        addr >= self.memory.base() as usize && addr < self.limit
    }

    /// Whether an address is in the reserve.
    pub(crate) fn in_reserve(&self, addr: usize) -> bool {
        addr >= self.memory.base() as usize + GUARD && addr < self.limit
    }

    /// How many bytes the guest could still use with this stack pointer.
    pub(crate) fn remaining(&self, sp: usize) -> usize {
        sp.saturating_sub(self.limit)
    }

    /// Make the reserve accessible. Returns whether it was not. Async-signal-safe.
    pub(crate) fn open_reserve(&self) -> std::io::Result<bool> {
        if self.open.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.memory.open(GUARD, RESERVE)?;
        self.open.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Make the reserve inaccessible. Returns whether it was accessible.
    ///
    /// # Safety
    /// The reserve must not hold frames that are returned to before it is opened again.
    pub(crate) unsafe fn close_reserve(&self) -> bool {
        if !self.open.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: no live frame is there, says the caller.
        if unsafe { self.memory.close(GUARD, RESERVE) }.is_ok() {
            self.open.store(false, Ordering::Relaxed);
        }
        true
    }
}

/// A stack that functions are compiled on which the guest calls for the first time: its own may have
/// nothing left. Below it is a guard.
#[derive(Debug)]
pub(crate) struct CompileStack(Reservation);

/// As much as threads have by default. Only what is used takes memory.
const COMPILE_STACK: usize = 2 << 20;

impl CompileStack {
    pub(crate) fn new() -> Result<CompileStack> {
        let made = Reservation::new(GUARD + COMPILE_STACK).and_then(|memory| {
            memory.open(GUARD, COMPILE_STACK)?;
            Ok(CompileStack(memory))
        });
        made.map_err(|error| Error::system(format!("no memory for a stack to compile on: {error}")))
    }

    /// Where the stack begins, growing down; a multiple of 16.
    pub(crate) fn top(&self) -> usize {
        self.0.base() as usize + GUARD + COMPILE_STACK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_stack_are_in_order() {
        let stack = WasmStack::new(100_000).unwrap();
        let (top, limit) = (stack.top(), stack.limit);
        assert_eq!(top % 16, 0);
        assert!(top - limit >= 100_000);
        assert!(stack.contains(top) && stack.contains(limit - 1) && !stack.contains(top + 1));
        assert!(stack.is_beyond(limit - 1) && !stack.is_beyond(limit));
        assert!(stack.in_reserve(limit - RESERVE) && !stack.in_reserve(limit - RESERVE - 1));
        assert_eq!(stack.remaining(limit + 5), 5);
        assert_eq!(stack.remaining(limit - 5), 0);
        // SAFETY: the usable part is accessible, and the reserve once it is opened.
        unsafe {
            *((top - 8) as *mut u64) = 1;
            *(limit as *mut u64) = 1;
            assert!(stack.open_reserve().unwrap());
            assert!(!stack.open_reserve().unwrap());
            *((limit - RESERVE) as *mut u64) = 1;
            assert!(stack.close_reserve());
            assert!(!stack.close_reserve());
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert!(WasmStack::check_size(0).is_err());
        assert!(WasmStack::check_size(1 << 20).is_ok());
        assert!(WasmStack::check_size(usize::MAX).is_err());
    }
}
