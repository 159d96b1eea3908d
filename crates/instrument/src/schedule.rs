//! Switching at given times.

use crate::{Error, Result, Switch};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A thread that switches hooks on and off while the guest runs in others.
#[derive(Debug)]
pub struct Schedule {
    stopping: Arc<Stopping>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Stopping {
    requested: Mutex<bool>,
    changed: Condvar,
}

impl Schedule {
    /// Switch on `after` a time from now (if that is zero, before this returns), and off when the
    /// hooks were on for `on_for`, if given.
    ///
    /// # Errors
    /// If the hooks cannot be switched, or no thread can be had.
    pub fn start(
        switch: Arc<Switch>,
        after: Duration,
        on_for: Option<Duration>,
    ) -> Result<Schedule> {
        let start = Instant::now();
        let stopping = Arc::new(Stopping::default());
        if after.is_zero() {
            switch.on()?;
            if on_for.is_none() {
                return Ok(Schedule {
                    stopping,
                    thread: None,
                });
            }
        }
        let signal = Arc::clone(&stopping);
        let body = move || {
            if !after.is_zero() {
                if signal.wait_until(start.checked_add(after)) {
                    return Ok(());
                }
                switch.on()?;
            }
            let Some(on_for) = on_for else { return Ok(()) };
            if signal.wait_until(Instant::now().checked_add(on_for)) {
                return Ok(());
            }
            switch.off()
        };
        let thread = thread::Builder::new()
            .name("nopal-schedule".into())
            .spawn(body)
            .map_err(Error::Thread)?;
        Ok(Schedule {
            stopping,
            thread: Some(thread),
        })
    }

    /// Do nothing more from here on. The hooks stay as they are.
    ///
    /// # Errors
    /// If the hooks could not be switched at their time.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.stopping.request();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Error::Internal("the scheduling thread panicked".into())),
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // Whoever wants to know of a failure calls `stop`.
        let _ = self.end();
    }
}

impl Stopping {
    fn request(&self) {
        *self
            .requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Wait for a time (none: one that is never reached); true if it is not worth waiting any more.
    fn wait_until(&self, time: Option<Instant>) -> bool {
        let mut requested = self
            .requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !*requested {
            let Some(time) = time else {
                requested = self
                    .changed
                    .wait(requested)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (requested, _) = self
                .changed
                .wait_timeout(requested, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}
