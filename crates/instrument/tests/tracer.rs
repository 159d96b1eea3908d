//! Tracers and schedules around a running guest.

use nopal_instrument::{
    CallEvent, Error, EventKind, Patterns, Schedule, Sink, Summary, TraceOptions, Tracer,
};
use nopal_wasm::{Engine, Linker, Module, Store};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// `work(n)` calls `step(i)` for `i` from 1 to `n`, and returns the sum of what it returns.
const WORK: &str = r#"(module
    (func $step (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
    (func $work (export "work") (param $n i32) (result i32) (local $i i32) (local $sum i32)
        (loop $next
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (local.set $sum (i32.add (local.get $sum) (call $step (local.get $i))))
            (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $sum)))"#;

/// An event without its name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    time: u64,
    thread: u32,
    depth: usize,
    func: u32,
    kind: EventKind,
    values: Vec<u64>,
}

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Memory {
    events: Arc<Mutex<Vec<Seen>>>,
    /// The number of events after which writing fails.
    room: Option<usize>,
}

impl Sink for Memory {
    fn thread(&mut self, _: u32, _: Option<&str>) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &CallEvent<'_>) -> io::Result<()> {
        let mut events = self.events.lock().unwrap();
        if Some(events.len()) == self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let values = event.values.unwrap_or_default().iter();
        events.push(Seen {
            time: event.time,
            thread: event.thread,
            depth: event.depth,
            func: event.func,
            kind: event.kind,
            values: values.map(|value| value.bits).collect(),
        });
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

fn module() -> Module {
    let wasm = wat::parse_str(WORK).unwrap();
    Module::new(&Engine::default(), &wasm).unwrap()
}

fn tracer(module: &Module, options: &TraceOptions, sink: &Memory) -> Tracer {
    let functions = Patterns::new(["*"]).unwrap().select(module);
    Tracer::new(module, &functions, options, sink.clone()).unwrap()
}

fn work(module: &Module, n: i32) -> i32 {
    let mut store = Store::new(module.engine(), ());
    let instance = Linker::new(module.engine())
        .instantiate(&mut store, module)
        .unwrap();
    let work = instance.get_typed_func::<i32, i32>(&mut store, "work");
    work.unwrap().call(&mut store, n).unwrap()
}

/// What `work(n)` returns.
fn sum(n: i32) -> i32 {
    (1..=n).fold(0, |sum: i32, i| sum.wrapping_add(i.wrapping_mul(3)))
}

#[test]
fn many_records_of_many_threads_are_complete() {
    let module = module();
    let sink = Memory::default();
    let mut options = TraceOptions::default();
    options.values = true;
    let tracer = tracer(&module, &options, &sink);
    tracer.switch().on().unwrap();
    let n = 50_000;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(work(&module, n), sum(n)));
        }
    });
    let summary = tracer.finish().unwrap();
    assert_eq!(summary.records, 3 * (2 * n as u64 + 2));
    assert_eq!((summary.unmatched_exits, summary.open_calls), (0, 0));
    let events = sink.events.lock().unwrap();
    for thread in 1..=3 {
        let events: Vec<&Seen> = events.iter().filter(|seen| seen.thread == thread).collect();
        assert_eq!(events.len(), 2 * n as usize + 2);
        assert!(events.is_sorted_by_key(|seen| seen.time));
        assert_eq!(events[0].values, [n as u64]);
        let result = events[events.len() - 1];
        assert_eq!((result.depth, result.func), (0, 1));
        assert_eq!(result.values, [u64::from(sum(n) as u32)]);
        for (at, pair) in events[1..events.len() - 1].chunks(2).enumerate() {
            let i = at as u64 + 1;
            assert_eq!((pair[0].depth, pair[0].kind), (1, EventKind::Entry));
            assert_eq!(pair[0].values, [i]);
            let entered = Some(pair[0].time);
            assert_eq!(
                (pair[1].depth, pair[1].kind),
                (1, EventKind::Exit { entered })
            );
            assert_eq!(pair[1].values, [3 * i]);
        }
    }
}

#[test]
fn a_sink_that_fails_ends_the_trace_only() {
    let module = module();
    let sink = Memory {
        room: Some(100),
        ..Memory::default()
    };
    let tracer = tracer(&module, &TraceOptions::default(), &sink);
    tracer.switch().on().unwrap();
    assert_eq!(work(&module, 1_000_000), sum(1_000_000));
    // The hooks were switched off when the error was met.
    let site = module.sites()[0].id();
    let space = module.engine().code_space();
    let start = Instant::now();
    while space.is_enabled(site) != Some(false) {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(5));
    }
    let error = tracer.finish().unwrap_err();
    assert!(
        matches!(&error, Error::Write(e) if e.kind() == io::ErrorKind::StorageFull),
        "{error}"
    );
    assert_eq!(sink.events.lock().unwrap().len(), 100);
}

#[test]
fn few_records_are_seen_while_the_guest_runs_on() {
    let module = module();
    let sink = Memory::default();
    let tracer = tracer(&module, &TraceOptions::default(), &sink);
    tracer.switch().on().unwrap();
    work(&module, 1);
    let start = Instant::now();
    while sink.events.lock().unwrap().len() < 4 {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(5));
    }
    tracer.finish().unwrap();
}

#[test]
fn a_window_is_a_trace_of_its_own() {
    let module = module();
    let sink = Memory::default();
    let tracer = tracer(&module, &TraceOptions::default(), &sink);
    for _ in 0..3 {
        work(&module, 2);
        tracer.switch().on().unwrap();
        work(&module, 1);
        tracer.switch().off().unwrap();
    }
    let summary = tracer.finish().unwrap();
    assert_eq!(summary.records, 3 * 4);
    assert_eq!((summary.unmatched_exits, summary.lost_exits), (0, 0));
}

#[test]
fn nothing_is_recorded_beyond_the_limit() {
    let module = module();
    let sink = Memory::default();
    let mut options = TraceOptions::default();
    options.limit = 1001;
    let tracer = tracer(&module, &options, &sink);
    tracer.switch().on().unwrap();
    assert_eq!(work(&module, 200_000), sum(200_000));
    let summary = tracer.finish().unwrap();
    assert_eq!(summary.records, 1001);
    assert!(summary.limit_reached.is_some());
    assert_eq!(summary.open_calls, 1);
    assert_eq!(sink.events.lock().unwrap().len(), 1002);
}

#[test]
fn schedules_switch_on_and_off_in_time() {
    let module = module();
    let sink = Memory::default();
    let tracer = tracer(&module, &TraceOptions::default(), &sink);
    let space = module.engine().code_space();
    let site = tracer.switch().sites()[0];
    let is_on = || space.is_enabled(site) == Some(true);

    // From the start, and no end.
    let schedule = Schedule::start(Arc::clone(tracer.switch()), Duration::ZERO, None).unwrap();
    assert!(is_on());
    schedule.stop().unwrap();
    assert!(is_on());
    tracer.switch().off().unwrap();

    // A time that is never reached does not keep anybody waiting.
    let never = Duration::MAX;
    let schedule = Schedule::start(Arc::clone(tracer.switch()), never, Some(never)).unwrap();
    schedule.stop().unwrap();
    assert!(!is_on());

    let (after, on_for) = (Duration::from_millis(20), Duration::from_millis(20));
    let start = Instant::now();
    let schedule = Schedule::start(Arc::clone(tracer.switch()), after, Some(on_for)).unwrap();
    while !is_on() {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    assert!(start.elapsed() >= after);
    while is_on() {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    assert!(start.elapsed() >= after + on_for);
    schedule.stop().unwrap();
}

#[test]
fn a_dropped_tracer_leaves_no_hook_behind() {
    let module = module();
    let sink = Memory::default();
    let tracer = tracer(&module, &TraceOptions::default(), &sink);
    tracer.switch().on().unwrap();
    work(&module, 1);
    drop(tracer);
    assert_eq!(sink.events.lock().unwrap().len(), 4);
    assert_eq!(work(&module, 5), sum(5));
    assert_eq!(sink.events.lock().unwrap().len(), 4);
}
