//! `poll_oneoff`.

use crate::guest::{Guest, ROOT, oflags, refused, rights};
use nopal_wasi::{Errno, GuestMemory, Result};
use std::time::{Duration, Instant};

const IN: u32 = 1001;
const OUT: u32 = 9001;
const COUNT: u32 = 5;
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const ABSOLUTE: u16 = 1;
const MILLISECOND: u64 = 1_000_000;

#[derive(Clone, Copy)]
enum On {
    Clock(u32, u64, u16),
    Read(u32),
    Write(u32),
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    userdata: u64,
    error: u16,
    kind: u8,
    nbytes: u64,
    flags: u16,
}

impl Event {
    fn clock(userdata: u64) -> Event {
        Event {
            userdata,
            error: 0,
            kind: 0,
            nbytes: 0,
            flags: 0,
        }
    }

    fn failed(userdata: u64, kind: u8, error: Errno) -> Event {
        Event {
            userdata,
            error: error.code(),
            kind,
            nbytes: 0,
            flags: 0,
        }
    }
}

/// Writes subscriptions; each has its index plus 100 as user data.
fn subscribe(mem: &mut GuestMemory<'_>, at: u32, subscriptions: &[On]) {
    for (index, on) in (0..).zip(subscriptions) {
        let at = at + 48 * index;
        mem.write(at, &[0xaa; 48]).unwrap();
        mem.write_u64(at, u64::from(index) + 100).unwrap();
        match *on {
            On::Clock(clock, timeout, flags) => {
                mem.write(at + 8, &[0]).unwrap();
                mem.write_u32(at + 16, clock).unwrap();
                mem.write_u64(at + 24, timeout).unwrap();
                mem.write(at + 40, &flags.to_le_bytes()).unwrap();
            }
            On::Read(fd) => {
                mem.write(at + 8, &[1]).unwrap();
                mem.write_u32(at + 16, fd).unwrap();
            }
            On::Write(fd) => {
                mem.write(at + 8, &[2]).unwrap();
                mem.write_u32(at + 16, fd).unwrap();
            }
        }
    }
}

fn poll_to(guest: &mut Guest, subscriptions: &[On], out: u32) -> Result<Vec<Event>> {
    let mut bytes = vec![0; 1 << 16];
    let mut mem = GuestMemory::new(&mut bytes);
    subscribe(&mut mem, IN, subscriptions);
    guest
        .ctx
        .poll_oneoff(&mut mem, IN, out, subscriptions.len() as u32, COUNT)?;
    let count = mem.read_u32(COUNT)?;
    (0..count)
        .map(|index| {
            let at = out + 32 * index;
            Ok(Event {
                userdata: mem.read_u64(at)?,
                error: mem.read_u16(at + 8)?,
                kind: mem.read_u8(at + 10)?,
                nbytes: mem.read_u64(at + 16)?,
                flags: mem.read_u16(at + 24)?,
            })
        })
        .collect()
}

fn poll(guest: &mut Guest, subscriptions: &[On]) -> Result<Vec<Event>> {
    poll_to(guest, subscriptions, OUT)
}

fn time(guest: &Guest, clock: u32) -> u64 {
    let mut bytes = [0; 8];
    let mut mem = GuestMemory::new(&mut bytes);
    guest.ctx.clock_time_get(&mut mem, clock, 0, 0).unwrap();
    mem.read_u64(0).unwrap()
}

#[test]
fn durations_pass() {
    let mut guest = Guest::new();
    for clock in [REALTIME, MONOTONIC] {
        let start = Instant::now();
        let sleep = On::Clock(clock, 30 * MILLISECOND, 0);
        assert_eq!(poll(&mut guest, &[sleep]).unwrap(), [Event::clock(100)]);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
    assert_eq!(
        poll(&mut guest, &[On::Clock(MONOTONIC, 0, 0)]).unwrap(),
        [Event::clock(100)]
    );
}

#[test]
fn the_earliest_clock_ends_the_wait() {
    let mut guest = Guest::new();
    let subscriptions = [
        On::Clock(MONOTONIC, u64::MAX, 0),
        On::Clock(MONOTONIC, 10 * MILLISECOND, 0),
        On::Clock(REALTIME, u64::MAX, ABSOLUTE),
    ];
    assert_eq!(
        poll(&mut guest, &subscriptions).unwrap(),
        [Event::clock(101)]
    );
}

#[test]
fn times_of_a_clock_are_reached() {
    let mut guest = Guest::new();
    for clock in [REALTIME, MONOTONIC] {
        let at = time(&guest, clock) + 30 * MILLISECOND;
        let events = poll(&mut guest, &[On::Clock(clock, at, ABSOLUTE)]).unwrap();
        assert_eq!(events, [Event::clock(100)]);
        assert!(time(&guest, clock) >= at);
        // A time in the past does not wait.
        let events = poll(&mut guest, &[On::Clock(clock, 1, ABSOLUTE)]).unwrap();
        assert_eq!(events, [Event::clock(100)]);
    }
}

#[test]
fn files_are_ready_at_once() {
    let mut guest = Guest::new();
    guest.create("file", b"abcde");
    let fd = guest.open("file", 0, rights::ALL).unwrap();
    guest.seek(fd, 2, 0).unwrap();
    let subscriptions = [
        On::Read(fd),
        On::Write(fd),
        On::Read(0),
        On::Write(1),
        On::Clock(MONOTONIC, u64::MAX, 0),
    ];
    let mut events = poll(&mut guest, &subscriptions).unwrap();
    events.sort_by_key(|event| event.userdata);
    let ready = |userdata, kind, nbytes| Event {
        userdata,
        error: 0,
        kind,
        nbytes,
        flags: 0,
    };
    let expected = [
        ready(100, 1, 3),
        ready(101, 2, 1),
        ready(102, 1, 1),
        ready(103, 2, 1),
    ];
    assert_eq!(events, expected);
}

#[test]
fn mistakes_in_a_subscription_are_events() {
    let mut guest = Guest::new();
    let writer = guest
        .open("file", oflags::CREAT, rights::FD_WRITE | 1 << 27)
        .unwrap();
    let mute = guest.open("file", 0, rights::FD_WRITE).unwrap();
    for (on, kind, error) in [
        (On::Read(99), 1, Errno::Badf),
        (On::Write(u32::MAX), 2, Errno::Badf),
        (On::Read(writer), 1, Errno::Badf),
        (On::Write(mute), 2, Errno::Notcapable),
        (On::Read(ROOT), 1, Errno::Isdir),
        (On::Clock(4, 0, 0), 0, Errno::Inval),
        (On::Clock(u32::MAX, 0, 0), 0, Errno::Inval),
        (On::Clock(MONOTONIC, 0, 2), 0, Errno::Inval),
        (On::Clock(2, 0, 0), 0, Errno::Notsup),
        (On::Clock(3, 0, ABSOLUTE), 0, Errno::Notsup),
    ] {
        let forever = On::Clock(MONOTONIC, u64::MAX, 0);
        let events = poll(&mut guest, &[forever, on]).unwrap();
        assert_eq!(events, [Event::failed(101, kind, error)]);
    }
}

#[test]
fn events_may_overwrite_the_subscriptions() {
    let mut guest = Guest::new();
    let now = On::Clock(MONOTONIC, 0, 0);
    for shift in [0, 1, 47, 48] {
        let events = poll_to(&mut guest, &[now; 20], IN + shift).unwrap();
        let expected: Vec<_> = (100..120).map(Event::clock).collect();
        assert_eq!(events, expected);
    }
}

#[test]
fn bad_arrays_are_refused() {
    let mut guest = Guest::new();
    let mut bytes = vec![0; 4096];
    let mut mem = GuestMemory::new(&mut bytes);
    subscribe(&mut mem, 0, &[On::Clock(MONOTONIC, 0, 0)]);
    let mut poll = |input, output, count, result| {
        refused(
            guest
                .ctx
                .poll_oneoff(&mut mem, input, output, count, result),
        )
    };
    assert_eq!(poll(0, 100, 0, 200), Errno::Inval);
    assert_eq!(poll(4050, 100, 1, 200), Errno::Fault);
    assert_eq!(poll(0, 4070, 1, 200), Errno::Fault);
    assert_eq!(poll(0, 100, 1, 4093), Errno::Fault);
    assert_eq!(poll(0, 100, 86, 200), Errno::Fault);
    assert_eq!(poll(0, 100, u32::MAX, 200), Errno::Fault);
    assert_eq!(poll(u32::MAX, u32::MAX, u32::MAX, u32::MAX), Errno::Fault);
    assert_eq!(poll(0, u32::MAX, 1, 200), Errno::Fault);

    // An unknown kind, and more than a host should be asked for.
    let mut bytes = vec![0; 48 << 17];
    let mut mem = GuestMemory::new(&mut bytes);
    assert_eq!(
        refused(guest.ctx.poll_oneoff(&mut mem, 0, 0, 1 << 17, 0)),
        Errno::Inval
    );
    mem.write(8, &[3]).unwrap();
    assert_eq!(
        refused(guest.ctx.poll_oneoff(&mut mem, 0, 0, 1, 0)),
        Errno::Inval
    );
}
