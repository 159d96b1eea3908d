//! What hooks see and do, in code that runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use super::common;
use super::common::{
    BROADCASTS, PROTOCOLS, SP, SPREAD_FRAME, SPREAD_REGISTERS, call, config, float, loop_over,
    set_float, space, spread,
};
use nopal_live::{CodeSpace, Counters, Error, SiteId, VectorState};

#[test]
fn counts_are_exact_and_go_on_after_a_pause() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(3).publish(&space);
        let hook = space.count_hook().unwrap();
        let [a, b, c] = [0, 1, 2].map(|i| code.site(i).unwrap());

        call(&code, 10);
        assert_eq!(hook.count(a), 0);
        let commit = space
            .patch()
            .enable(a, &hook)
            .enable(c, &hook)
            .commit()
            .unwrap();
        assert_eq!(commit.changed, 2);
        call(&code, 100);
        assert_eq!([a, b, c].map(|site| hook.count(site)), [100, 0, 100]);
        space.patch().disable(a).commit().unwrap();
        call(&code, 7);
        assert_eq!([a, b, c].map(|site| hook.count(site)), [100, 0, 107]);
        space.patch().enable(a, &hook).commit().unwrap();
        call(&code, 1);
        assert_eq!(hook.counts(), [(a, 101), (c, 108)]);
        hook.reset();
        assert_eq!(hook.counts(), [(a, 0), (c, 0)]);
    }
}

/// More threads than CPUs, and signals all the time, so that many are interrupted while counting.
#[test]
fn counts_are_exact_with_many_threads() {
    const THREADS: u64 = 7;
    const ROUNDS: u64 = 400_000;
    for counters in [Counters::Shared, space(PROTOCOLS[0]).counters()] {
        let mut config = config();
        let space = CodeSpace::new(config.counters(counters)).unwrap();
        assert_eq!(space.counters(), counters);
        let code = loop_over(2).publish(&space);
        let hook = space.count_hook().unwrap();
        let mut patch = space.patch();
        patch.enable_all(code.sites(), &hook).commit().unwrap();
        let (threads, running) = (Mutex::new(Vec::new()), AtomicU64::new(THREADS));
        let (start, end) = [(); 2].map(|()| Barrier::new(THREADS as usize + 1)).into();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    threads.lock().unwrap().push(common::this_thread());
                    start.wait();
                    call(&code, ROUNDS);
                    running.fetch_sub(1, Ordering::Relaxed);
                    end.wait();
                });
            }
            start.wait();
            let threads = threads.lock().unwrap();
            while running.load(Ordering::Relaxed) != 0 {
                threads.iter().copied().for_each(common::interrupt);
            }
            end.wait();
        });
        for site in code.sites() {
            assert_eq!(hook.count(site), THREADS * ROUNDS);
            let address = hook.counter_address(site);
            assert_eq!(address.is_some(), counters == Counters::Shared);
            // SAFETY: the address is that of a word that lives as long as the hook.
            assert!(address.is_none_or(|word| unsafe { *word } == THREADS * ROUNDS));
        }
        hook.reset();
        call(&code, 3);
        assert!(hook.counts().iter().all(|&(_, count)| count == 3));
    }
}

#[test]
fn more_sites_than_a_block_of_stubs() {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1000).publish(&space);
    let hook = space.count_hook().unwrap();
    let commit = space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    let (_, [fresh, ..]) = BROADCASTS[0];
    assert_eq!((commit.changed, commit.broadcasts), (1000, fresh));
    call(&code, 3);
    assert!(hook.counts().iter().all(|&(_, count)| count == 3));
    assert_eq!(hook.counts().len(), 1000);
}

#[test]
fn once_hooks_report_each_site_once() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(300).publish(&space);
        let other = loop_over(2).publish(&space);
        let hook = space.once_hook().unwrap();
        let elsewhere = space.once_hook().unwrap();
        space
            .patch()
            .enable_all(code.sites(), &hook)
            .enable_all(other.sites(), &elsewhere)
            .commit()
            .unwrap();
        assert!(!hook.pending());
        assert_eq!(hook.drain().unwrap(), []);
        call(&code, 5);
        call(&other, 5);
        assert!(hook.pending());
        let sites: Vec<SiteId> = code.sites().collect();
        assert_eq!(hook.hits(), sites);
        assert_eq!(hook.drain().unwrap(), sites);
        assert_eq!(elsewhere.drain().unwrap().len(), 2);
        for &site in &sites {
            assert_eq!(space.is_enabled(site), Some(false));
            assert!(hook.was_hit(site));
        }
        call(&code, 5);
        assert_eq!(hook.drain().unwrap(), []);

        space.patch().enable(sites[7], &hook).commit().unwrap();
        assert!(!hook.was_hit(sites[7]));
        call(&code, 1);
        assert_eq!(hook.drain().unwrap(), [sites[7]]);
    }
}

#[test]
fn call_hooks_read_and_write_the_frame() {
    for vector_state in [VectorState::Full, VectorState::Xmm] {
        let mut config = config();
        let space = CodeSpace::new(config.vector_state(vector_state)).unwrap();
        let asm = spread();
        let code = asm.publish(&space);
        let site = code.site(0).unwrap();
        let (depth, slot_offset) = SPREAD_FRAME;
        let [first, second] = SPREAD_REGISTERS;
        let return_address = code.base() + asm.sites[0].ret_offset as usize;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = space.call_hook({
            let seen = Arc::clone(&seen);
            move |site, frame| {
                // SAFETY: the code keeps its argument there.
                let slot: u64 = unsafe { frame.slot(slot_offset) };
                seen.lock().unwrap().push((
                    site,
                    frame.gpr(first),
                    frame.gpr(second),
                    float(frame, 3),
                    slot,
                ));
                assert_eq!(frame.return_address(), return_address);
                assert_eq!(frame.sp(), frame.fp() - depth);
                assert_eq!(frame.gpr(SP), frame.sp() as u64);
                frame.set_gpr(first, 1);
                frame.set_gpr(second, 20);
                frame.set_gpr(SP, 0xdead);
                set_float(frame, 3, 300);
                // SAFETY: as above; the code adds what it finds there.
                unsafe { frame.set_slot(slot_offset, 4000u64) };
            }
        });
        let hook = hook.unwrap();
        assert_eq!(call(&code, 5), 20);
        space.patch().enable(site, &hook).commit().unwrap();
        assert_eq!(call(&code, 5), 4321);
        assert_eq!(hook.panic_message(), None);
        assert_eq!(*seen.lock().unwrap(), [(site, 5, 5, 5, 5)]);
        space.patch().disable(site).commit().unwrap();
        assert_eq!(call(&code, 6), 24);
    }
}

#[test]
fn a_panicking_hook_is_recorded_and_not_called_again() {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1).publish(&space);
    let calls = Arc::new(AtomicU64::new(0));
    let hook = space.call_hook({
        let calls = Arc::clone(&calls);
        move |site, _| {
            calls.fetch_add(1, Ordering::Relaxed);
            panic!("no good at {site}");
        }
    });
    let hook = hook.unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    call(&code, 10);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let message = hook.panic_message().unwrap();
    assert!(message.starts_with("no good at site"), "{message}");
}

/// The message after a call of a hook that panics with this.
fn message_of(panic: impl Fn() + Send + Sync + 'static) -> Option<String> {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1).publish(&space);
    let hook = space.call_hook(move |_, _| panic()).unwrap();
    let mut patch = space.patch();
    patch.enable_all(code.sites(), &hook).commit().unwrap();
    call(&code, 2);
    hook.panic_message()
}

#[test]
fn panics_are_recorded_whatever_they_carry() {
    assert_eq!(message_of(|| ()), None);
    assert_eq!(message_of(|| panic!("plain")).as_deref(), Some("plain"));
    let other = message_of(|| std::panic::panic_any(7));
    assert_eq!(
        other.as_deref(),
        Some("panic with a payload that is not text")
    );
}

/// Panics when dropped.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_function_that_panics_when_dropped_is_gone_all_the_same() {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1).publish(&space);
    let explosive = Explosive;
    let hook = space.call_hook(move |_, _| {
        let _ = &explosive;
    });
    let hook = hook.unwrap();
    let mut patch = space.patch();
    patch.enable_all(code.sites(), &hook).commit().unwrap();
    call(&code, 2);
    let retired = hook.retire();
    retired.wait().unwrap();
    assert!(retired.is_dropped());
    assert_eq!(space.is_enabled(code.site(0).unwrap()), Some(false));
}

#[test]
fn a_hook_may_patch_its_own_site() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(1).publish(&space);
        let calls = Arc::new(AtomicU64::new(0));
        let hook = space.call_hook({
            let calls = Arc::clone(&calls);
            let space = Arc::downgrade(&space);
            move |site, _| {
                calls.fetch_add(1, Ordering::Relaxed);
                let space = space.upgrade().unwrap();
                space.patch().disable(site).commit().unwrap();
            }
        });
        let hook = hook.unwrap();
        space
            .patch()
            .enable_all(code.sites(), &hook)
            .commit()
            .unwrap();
        call(&code, 100);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(hook.panic_message(), None);
    }
}

/// Counts how many are dropped.
struct Guard(Arc<AtomicU64>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_hook_must_be_there_when_a_patch_is_committed() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(2).publish(&space);
        let [a, b] = [0, 1].map(|i| code.site(i).unwrap());
        let [kept, dropped] = [0, 1].map(|_| space.count_hook().unwrap());
        space.patch().enable(b, &kept).commit().unwrap();
        let mut patch = space.patch();
        patch.enable(a, &kept).retarget(b, &dropped);
        let second_handle = dropped.clone();
        drop(dropped);
        let outcome = space.patch().retarget(b, &second_handle).commit();
        assert_eq!(outcome.unwrap().changed, 1);
        drop(second_handle);
        assert!(matches!(patch.commit(), Err(Error::DroppedHook)));
        assert_eq!([a, b].map(|site| space.is_enabled(site)), [Some(false); 2]);
        // The operations are forgotten.
        assert_eq!(patch.enable(a, &kept).commit().unwrap().changed, 1);
        // Nothing calls it any more, which is all that is asked for.
        let dropped = space.count_hook().unwrap();
        patch.release(a, &dropped);
        drop(dropped);
        assert_eq!(patch.commit().unwrap().changed, 0);
    }
}

#[test]
fn dropping_the_last_handle_switches_the_sites_off() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(2).publish(&space);
        let [a, b] = [0, 1].map(|i| code.site(i).unwrap());
        let dropped = Arc::new(AtomicU64::new(0));
        let guard = Guard(Arc::clone(&dropped));
        let hook = space.call_hook(move |_, _| assert_eq!(guard.0.load(Ordering::SeqCst), 0));
        let hook = hook.unwrap();
        let counter = space.count_hook().unwrap();
        space
            .patch()
            .enable(a, &hook)
            .enable(b, &counter)
            .commit()
            .unwrap();
        let second_handle = hook.clone();
        drop(hook);
        assert_eq!(space.is_enabled(a), Some(true));
        call(&code, 1);
        drop(second_handle);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(space.is_enabled(a), Some(false));
        assert_eq!(space.is_enabled(b), Some(true));
        drop(counter);
        assert_eq!(space.is_enabled(b), Some(false));
        call(&code, 1);

        // The stub left behind is given to the next hook with a fresh counter.
        let counter = space.count_hook().unwrap();
        space.patch().enable(b, &counter).commit().unwrap();
        assert_eq!(counter.count(b), 0);
        call(&code, 4);
        assert_eq!(counter.counts(), [(b, 4)]);
    }
}

#[test]
fn a_hook_dropped_from_inside_is_freed_when_left() {
    let space = space(PROTOCOLS[0]);
    let code = loop_over(1).publish(&space);
    let dropped = Arc::new(AtomicU64::new(0));
    let guard = Guard(Arc::clone(&dropped));
    let own_handle = Arc::new(Mutex::new(None));
    let hook = space.call_hook({
        let own_handle = Arc::clone(&own_handle);
        move |_, _| {
            own_handle.lock().unwrap().take();
            // The closure is still running, so its captures must still be there.
            assert_eq!(guard.0.load(Ordering::SeqCst), 0);
        }
    });
    let hook = hook.unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    *own_handle.lock().unwrap() = Some(hook);
    call(&code, 50);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert_eq!(space.is_enabled(code.site(0).unwrap()), Some(false));
}

#[test]
fn hooks_of_another_space_are_refused() {
    let (here, there) = (space(PROTOCOLS[0]), space(PROTOCOLS[0]));
    let code = loop_over(1).publish(&here);
    let hook = there.count_hook().unwrap();
    let outcome = here.patch().enable(code.site(0).unwrap(), &hook).commit();
    assert!(matches!(outcome, Err(Error::ForeignHook)));
}
