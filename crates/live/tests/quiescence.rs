//! A hook's function is freed when no thread is in it, and not before: under an allocator that
//! overwrites what is freed.

#[path = "suite/common.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use common::{PROTOCOLS, call, loop_over, space};
use nopal_live::{CallHook, CodeSpace, SiteId, SpaceConfig};

const POISON: u8 = 0xd5;

struct Poisoning;

// SAFETY: the system's allocator, except that memory is overwritten before it is given back.
unsafe impl GlobalAlloc for Poisoning {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives memory of this layout up.
        unsafe {
            memory.write_bytes(POISON, layout.size());
            System.dealloc(memory, layout);
        }
    }
}

#[global_allocator]
static ALLOCATOR: Poisoning = Poisoning;

fn configure(_: &mut SpaceConfig) {}

/// Memory of a hook that knows what it should contain.
struct Captured {
    generation: u64,
    words: Vec<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Captured {
    fn new(generation: u64, dropped: &Arc<AtomicU64>) -> Captured {
        Captured {
            generation,
            words: (0..64).map(|_| AtomicU64::new(generation)).collect(),
            dropped: Arc::clone(dropped),
        }
    }

    fn is_whole(&self) -> bool {
        let mut words = self.words.iter();
        words.all(|word| word.load(Ordering::Relaxed) == self.generation)
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn checking_hook(
    space: &Arc<CodeSpace>,
    captured: Captured,
    broken: &Arc<AtomicU64>,
    calls: &Arc<AtomicU64>,
) -> CallHook {
    let (broken, calls) = (Arc::clone(broken), Arc::clone(calls));
    let hook = space.call_hook(move |_, _| {
        // Twice, so that it takes time.
        if !captured.is_whole() || !captured.is_whole() {
            broken.fetch_add(1, Ordering::Relaxed);
        }
        calls.fetch_add(1, Ordering::Relaxed);
    });
    hook.unwrap()
}

#[test]
fn nothing_is_freed_under_a_thread() {
    const GENERATIONS: u64 = 300;
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(20).publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        let [broken, calls, dropped] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        call(&code, 10);
                    }
                });
            }
            for generation in 0..GENERATIONS {
                let captured = Captured::new(generation, &dropped);
                let hook = checking_hook(&space, captured, &broken, &calls);
                let before = calls.load(Ordering::Relaxed);
                let mut patch = space.patch();
                patch.enable_all(sites.iter().copied(), &hook);
                assert_eq!(patch.commit().unwrap().changed, sites.len());
                while generation % 8 == 0 && calls.load(Ordering::Relaxed) == before {
                    std::thread::yield_now();
                }
                let retired = hook.retire();
                retired.wait().unwrap();
                assert!(retired.is_dropped());
                assert_eq!(dropped.load(Ordering::SeqCst), generation + 1);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(broken.load(Ordering::Relaxed), 0);
        assert!(calls.load(Ordering::Relaxed) >= GENERATIONS / 8);
        assert!(
            sites
                .iter()
                .all(|&site| space.is_enabled(site) == Some(false))
        );
    }
}

#[test]
fn a_function_stays_while_a_thread_is_in_it() {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1).publish(&space);
    let dropped = Arc::new(AtomicU64::new(0));
    let captured = Captured::new(7, &dropped);
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let hook = space.call_hook(move |_, _| {
        entered.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        assert!(captured.is_whole());
    });
    let hook = hook.unwrap();
    let second = hook.clone();
    let site = code.site(0).unwrap();
    space.patch().enable(site, &hook).commit().unwrap();
    let kept = hook.retire();
    assert!(!kept.is_dropped());
    assert_eq!(space.is_enabled(site), Some(true));
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| call(&code, 3));
        has_entered.recv().unwrap();
        let retired = second.retire();
        assert_eq!(space.is_enabled(site), Some(false));
        assert!(!retired.is_dropped() && !kept.is_dropped());
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        go_on.send(()).unwrap();
        retired.wait().unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        runner.join().unwrap();
    });
    assert!(kept.is_dropped());
}
