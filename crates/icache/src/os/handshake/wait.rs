//! Waiting without blocking: short at first, then longer, and not for ever.

use core::mem::MaybeUninit;
use core::ptr;

/// After this many seconds a thread that blocks the signal is given up.
const BLOCKED: u8 = 2;

/// After this many seconds any thread is. The machine may be busy.
const ANY: u8 = 60;

/// Pauses that only let others run, before those that sleep.
const SHORT: u32 = 100;

/// The length of a pause that sleeps.
const NANOSECONDS: libc::c_long = 50_000;

/// How long a broadcast has been waiting.
pub(super) struct Patience {
    begin: libc::timespec,
    pauses: u32,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            begin: now(),
            pauses: 0,
        }
    }

    /// The next pauses are short ones again.
    pub(super) fn rest(&mut self) {
        self.pauses = 0;
    }

    /// Whether it is time to ask whether there is anything to wait for: rarely at first.
    pub(super) fn is_time_to_look(&self) -> bool {
        self.pauses.is_power_of_two() || self.pause_is_long()
    }

    /// Whether it is time to ask why it takes so long.
    pub(super) fn pause_is_long(&self) -> bool {
        self.pauses >= SHORT
    }

    pub(super) fn pause(&mut self) {
        self.pauses = self.pauses.saturating_add(1);
        if !self.pause_is_long() {
            // SAFETY: takes nothing.
            unsafe { libc::sched_yield() };
            return;
        }
        let mut time = now();
        time.tv_sec = 0;
        time.tv_nsec = NANOSECONDS;
        // SAFETY: reads the time; being woken early does no harm.
        unsafe { libc::nanosleep(&time, ptr::null_mut()) };
    }

    /// Whether a thread that can be seen to block the signal need not be waited for any longer.
    pub(super) fn is_short(&self) -> bool {
        self.have_passed(BLOCKED)
    }

    pub(super) fn is_over(&self) -> bool {
        self.have_passed(ANY)
    }

    fn have_passed(&self, seconds: u8) -> bool {
        let (now, begin) = (now(), &self.begin);
        let (passed, seconds) = (now.tv_sec - begin.tv_sec, seconds.into());
        passed > seconds || passed == seconds && now.tv_nsec >= begin.tv_nsec
    }
}

fn now() -> libc::timespec {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the call fills the time, which is made of integers and was zero before.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    }
}
