//! Commits that are disturbed: by signals, by forks, by threads that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::thread;

use super::common::{self, PROTOCOLS, call, loop_over, space};
use nopal_live::{Code, CodeSpace, CountHook, Error, SiteId};

/// Switches all sites on and off until told to stop, once at least; counts how often.
fn toggle(
    space: &CodeSpace,
    sites: &[SiteId],
    hook: &CountHook,
    stop: &AtomicBool,
    commits: &AtomicU64,
) {
    loop {
        let mut patch = space.patch();
        patch.enable_all(sites.iter().copied(), hook);
        assert_eq!(patch.commit().unwrap().changed, sites.len());
        patch.disable_all(sites.iter().copied());
        assert_eq!(patch.commit().unwrap().changed, sites.len());
        commits.fetch_add(2, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// What the signal handler looks at; null while it should not.
static WATCHED: AtomicPtr<Watched> = AtomicPtr::new(std::ptr::null_mut());

struct Watched {
    space: Arc<CodeSpace>,
    code: Code,
    /// Signals handled, and answers that were wrong.
    handled: AtomicU64,
    wrong: AtomicU64,
}

extern "C" fn look_and_run(_: libc::c_int) {
    // SAFETY: the test that set the pointer outlives the signals it sends.
    let Some(watched) = (unsafe { WATCHED.load(Ordering::SeqCst).as_ref() }) else {
        return;
    };
    let (space, code) = (&watched.space, &watched.code);
    let inside = code.base() + code.len() / 2;
    let right = space.contains(inside)
        && space.code_at(inside).is_some_and(|found| found.base == code.base())
        && space.site_at(code.base()).is_none()
        // Interrupted in the middle of a commit, this thread finds each site in a form it can run.
        && call(code, 2) == 0;
    watched.handled.fetch_add(1, Ordering::SeqCst);
    watched.wrong.fetch_add(u64::from(!right), Ordering::SeqCst);
}

#[test]
fn signals_interrupt_commits_anywhere() {
    const SIGNALS: u64 = 200;
    // SAFETY: the handler is async-signal-safe, and does nothing unless the test runs.
    unsafe {
        libc::signal(
            libc::SIGUSR2,
            look_and_run as *const () as libc::sighandler_t,
        )
    };
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let mut asm = loop_over(40);
        asm.bytes.truncate(asm.bytes.len() - common::RET.len());
        asm.emit(&common::RETURN_ZERO);
        let code = asm.publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        let hook = space.count_hook().unwrap();
        let mut watched = Watched {
            space: Arc::clone(&space),
            code,
            handled: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
        };
        WATCHED.store(&mut watched, Ordering::SeqCst);
        let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
        let (id, its_id) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let toggler = scope.spawn(|| {
                id.send(common::this_thread()).unwrap();
                toggle(&space, &sites, &hook, &stop, &commits);
                id.send(common::this_thread()).unwrap();
            });
            let thread = its_id.recv().unwrap();
            // SAFETY: as above; shared from here on.
            let watched = unsafe { &*WATCHED.load(Ordering::SeqCst) };
            let mut sent = 0;
            while sent < SIGNALS || commits.load(Ordering::Relaxed) < 2 {
                // SAFETY: the thread runs until told to stop.
                assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR2) }, 0);
                sent += 1;
                // One at a time, or a slow thread would do nothing but handle them.
                while watched.handled.load(Ordering::SeqCst) < sent {
                    thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
            toggler.join().unwrap();
        });
        WATCHED.store(std::ptr::null_mut(), Ordering::SeqCst);
        assert_eq!(watched.wrong.load(Ordering::SeqCst), 0);
        // The records are those of the code.
        let before = hook.counts();
        call(&watched.code, 5);
        assert_eq!(hook.counts(), before);
    }
}

#[test]
fn forks_in_the_middle_of_commits() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(30).publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        let hook = space.count_hook().unwrap();
        let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| toggle(&space, &sites, &hook, &stop, &commits));
            for _ in 0..15 {
                // SAFETY: the child only asks the space, which takes no lock, and ends.
                let child = unsafe { libc::fork() };
                assert!(child >= 0);
                if child == 0 {
                    let refused = matches!(space.allocate(1, 1), Err(Error::Forked));
                    let known = space.contains(code.base());
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(if refused && known { 0 } else { 1 }) };
                }
                let mut status = 0;
                // SAFETY: waits for the child made above.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
            }
            stop.store(true, Ordering::Relaxed);
        });
        let before = hook.counts();
        call(&code, 3);
        assert_eq!(hook.counts(), before);
        let mut patch = space.patch();
        patch
            .enable_all(sites.iter().copied(), &hook)
            .commit()
            .unwrap();
        call(&code, 3);
        for ((site, now), (_, before)) in hook.counts().into_iter().zip(before) {
            assert_eq!(now, before + 3, "{site}");
        }
    }
}

#[test]
fn a_thousand_threads_come_and_go() {
    const WAVES: usize = 20;
    const THREADS: usize = 50;
    const ROUNDS: u64 = 200;
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(20).publish(&space);
        let sites: Vec<SiteId> = code.sites().collect();
        let (always, sometimes) = (space.count_hook().unwrap(), space.count_hook().unwrap());
        let (steady, changing) = sites.split_at(10);
        let mut patch = space.patch();
        patch
            .enable_all(steady.iter().copied(), &always)
            .commit()
            .unwrap();
        let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| toggle(&space, changing, &sometimes, &stop, &commits));
            for _ in 0..WAVES {
                thread::scope(|wave| {
                    for _ in 0..THREADS {
                        wave.spawn(|| call(&code, ROUNDS));
                    }
                });
            }
            stop.store(true, Ordering::Relaxed);
        });
        let passes = (WAVES * THREADS) as u64 * ROUNDS;
        assert!(always.counts().iter().all(|&(_, count)| count == passes));
        assert!(sometimes.counts().iter().all(|&(_, count)| count <= passes));
    }
}
