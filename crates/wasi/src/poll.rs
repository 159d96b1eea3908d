//! Waiting: `poll_oneoff`.

use crate::abi::flags::{clock, known};
use crate::abi::records::{Awaited, Event, Filetype, Subscription};
use crate::abi::rights;
use crate::clock::now;
use crate::ctx::WasiCtx;
use crate::descriptor::{Descriptor, HostFile, Kind};
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use rustix::event::{PollFd, PollFlags, Timespec};

/// How many subscriptions one call takes: what it needs of the host stays small.
const MAX_SUBSCRIPTIONS: u32 = 1 << 16;

/// `subclockflags`: the timeout is a time of the clock, not a duration.
const ABSTIME: u32 = 1;

/// The longest a wait for a real time lasts before the clock, which may have been set in the
/// meantime, is looked at again. In nanoseconds.
const REALTIME_CHECK: u64 = 1_000_000_000;

/// What is reported to be transferable where the host cannot tell how much: something.
const UNKNOWN_AMOUNT: u64 = 1;

impl WasiCtx {
    /// `poll_oneoff`: waits until at least one of `count` subscriptions has come true, then writes
    /// an event for each that has, and their number to `result`.
    ///
    /// Streams provided by the embedder are always ready.
    ///
    /// # Errors
    /// [`Errno::Inval`] for no, too many (65,536) or unknown subscriptions, [`Errno::Fault`]. What
    /// is wrong with a single subscription is told by its event.
    pub fn poll_oneoff(
        &mut self,
        mem: &mut GuestMemory<'_>,
        subscriptions: u32,
        events: u32,
        count: u32,
        result: u32,
    ) -> Result<()> {
        mem.check_array(subscriptions, count, Subscription::SIZE)?;
        mem.check_array(events, count, Event::SIZE)?;
        mem.check(result, 4)?;
        if count == 0 || count > MAX_SUBSCRIPTIONS {
            return Err(Errno::Inval);
        }
        // All are read before an event is written: the two arrays may overlap.
        let subscriptions: Vec<Subscription> = (0..count)
            .map(|index| Subscription::read(mem, subscriptions + index * Subscription::SIZE))
            .collect::<Result<_>>()?;
        let happened = self.wait(&subscriptions)?;
        for (index, event) in (0..).zip(&happened) {
            event.write(mem, events + index * Event::SIZE)?;
        }
        mem.write_u32(result, happened.len() as u32)
    }

    fn wait(&self, subscriptions: &[Subscription]) -> Result<Vec<Event>> {
        let mut waits = Waits::default();
        for &subscription in subscriptions {
            self.enlist(subscription, &mut waits);
        }
        loop {
            let timeout = waits.timeout()?;
            match rustix::event::poll(&mut waits.fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let happened = waits.happened()?;
            if !happened.is_empty() {
                return Ok(happened);
            }
        }
    }

    fn enlist<'s>(&'s self, subscription: Subscription, waits: &mut Waits<'s>) {
        let outcome = match subscription.what {
            Awaited::Clock {
                clock,
                timeout,
                flags,
            } => deadline(clock, timeout, flags)
                .map(|deadline| waits.clocks.push((deadline, subscription))),
            Awaited::Read { fd } => self
                .table
                .get_with(fd, rights::POLL_FD_READWRITE | rights::FD_READ)
                .map(|descriptor| waits.add(descriptor, subscription, PollFlags::IN)),
            Awaited::Write { fd } => self
                .table
                .get_with(fd, rights::POLL_FD_READWRITE | rights::FD_WRITE)
                .map(|descriptor| waits.add(descriptor, subscription, PollFlags::OUT)),
        };
        if let Err(error) = outcome {
            waits.ready.push(event(subscription, Some(error), 0));
        }
    }
}

/// When a clock subscription comes true.
#[derive(Clone, Copy)]
struct Deadline {
    clock: u32,
    /// Nanoseconds of that clock.
    at: u64,
}

/// # Errors
/// [`Errno::Inval`] for an unknown clock or flag, [`Errno::Notsup`] for a clock that stands still
/// while waiting.
fn deadline(clock: u32, timeout: u64, flags: u32) -> Result<Deadline> {
    let absolute = known(flags, ABSTIME)? != 0;
    match (clock, absolute) {
        (clock::REALTIME | clock::MONOTONIC, true) => Ok(Deadline { clock, at: timeout }),
        // A duration is one of steady time, whatever happens to the real-time clock.
        (clock::REALTIME | clock::MONOTONIC, false) => {
            let at = now(clock::MONOTONIC)?.saturating_add(timeout);
            Ok(Deadline {
                clock: clock::MONOTONIC,
                at,
            })
        }
        (clock::PROCESS_CPUTIME | clock::THREAD_CPUTIME, _) => Err(Errno::Notsup),
        _ => Err(Errno::Inval),
    }
}

/// What is waited for, sorted by how.
#[derive(Default)]
struct Waits<'s> {
    /// Subscriptions that are true from the start.
    ready: Vec<Event>,
    clocks: Vec<(Deadline, Subscription)>,
    fds: Vec<PollFd<'s>>,
    /// The file and the subscription of each of `fds`.
    files: Vec<(&'s HostFile, Subscription)>,
}

impl<'s> Waits<'s> {
    fn add(&mut self, descriptor: &'s Descriptor, subscription: Subscription, wanted: PollFlags) {
        match &descriptor.kind {
            Kind::File(file) => {
                self.fds.push(PollFd::new(&file.file, wanted));
                self.files.push((file, subscription));
            }
            Kind::Dir(_) | Kind::Reader(_) | Kind::Writer(_) => {
                self.ready.push(event(subscription, None, UNKNOWN_AMOUNT));
            }
        }
    }

    /// How long the host may wait; `None` for as long as it takes.
    fn timeout(&self) -> Result<Option<Timespec>> {
        if !self.ready.is_empty() {
            return Ok(Some(Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }));
        }
        let mut shortest = None;
        for (deadline, _) in &self.clocks {
            let mut left = deadline.at.saturating_sub(now(deadline.clock)?);
            if deadline.clock == clock::REALTIME {
                left = left.min(REALTIME_CHECK);
            }
            shortest = Some(shortest.map_or(left, |shortest: u64| shortest.min(left)));
        }
        Ok(shortest.map(|nanoseconds| Timespec {
            tv_sec: (nanoseconds / 1_000_000_000) as i64,
            tv_nsec: (nanoseconds % 1_000_000_000) as i64,
        }))
    }

    /// The events of all that has come true.
    fn happened(&self) -> Result<Vec<Event>> {
        let mut events = self.ready.clone();
        for (fd, &(file, subscription)) in self.fds.iter().zip(&self.files) {
            let happened = fd.revents();
            if happened.is_empty() {
                continue;
            }
            events.push(if happened.contains(PollFlags::NVAL) {
                event(subscription, Some(Errno::Badf), 0)
            } else {
                let mut event = event(subscription, None, amount(file, subscription));
                event.hangup = happened.intersects(PollFlags::HUP | PollFlags::RDHUP);
                event
            });
        }
        for &(deadline, subscription) in &self.clocks {
            if now(deadline.clock)? >= deadline.at {
                events.push(event(subscription, None, 0));
            }
        }
        Ok(events)
    }
}

/// How many bytes can be transferred now.
fn amount(file: &HostFile, subscription: Subscription) -> u64 {
    if !matches!(subscription.what, Awaited::Read { .. }) {
        return UNKNOWN_AMOUNT;
    }
    if file.filetype == Filetype::RegularFile {
        let size = file.file.metadata().map_or(0, |metadata| metadata.len());
        return size.saturating_sub(rustix::fs::tell(&file.file).unwrap_or(0));
    }
    rustix::io::ioctl_fionread(&file.file).unwrap_or(UNKNOWN_AMOUNT)
}

fn event(subscription: Subscription, error: Option<Errno>, nbytes: u64) -> Event {
    Event {
        userdata: subscription.userdata,
        error,
        event_type: subscription.what.event_type(),
        nbytes,
        hangup: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::records::EventType;
    use crate::builder::WasiCtxBuilder;
    use crate::descriptor::Direction;
    use std::io::{Read, Write, pipe};
    use std::time::{Duration, Instant};

    fn wait(ctx: &WasiCtx, what: &[Awaited]) -> Vec<Event> {
        let subscriptions: Vec<_> = (0..)
            .zip(what)
            .map(|(userdata, &what)| Subscription { userdata, what })
            .collect();
        ctx.wait(&subscriptions).unwrap()
    }

    fn within(milliseconds: u64) -> Awaited {
        let timeout = milliseconds * 1_000_000;
        Awaited::Clock {
            clock: clock::MONOTONIC,
            timeout,
            flags: 0,
        }
    }

    #[test]
    fn a_pipe_is_awaited_for_data_and_for_its_end() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let (input, mut feed) = pipe().unwrap();
        let input = Descriptor::standard(input.into(), Direction::In).unwrap();
        let fd = ctx.table.insert(input).unwrap();
        let read = Awaited::Read { fd };

        let events = wait(&ctx, &[read, within(20)]);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].userdata, events[0].event_type),
            (1, EventType::Clock)
        );

        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            feed.write_all(b"abc").unwrap();
            feed
        });
        let start = Instant::now();
        let events = wait(&ctx, &[within(60_000), read]);
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].userdata, events[0].nbytes, events[0].hangup),
            (1, 3, false)
        );

        drop(late.join().unwrap());
        let events = wait(&ctx, &[read]);
        assert_eq!((events[0].nbytes, events[0].hangup), (3, true));
    }

    #[test]
    fn a_full_pipe_is_awaited_for_room() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let (mut drain, mut output) = pipe().unwrap();
        let full = vec![0; 1 << 16];
        output.write_all(&full).unwrap();
        let output = Descriptor::standard(output.into(), Direction::Out).unwrap();
        let fd = ctx.table.insert(output).unwrap();
        let write = Awaited::Write { fd };
        let events = wait(&ctx, &[write, within(20)]);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event_type, EventType::Clock);
        drain.read_exact(&mut vec![0; 1 << 16]).unwrap();
        let events = wait(&ctx, &[write, within(60_000)]);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].event_type, events[0].error),
            (EventType::FdWrite, None)
        );
    }
}
