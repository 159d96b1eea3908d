//! Allocating, publishing and looking up code.

use std::sync::Arc;

use super::common::{SITE, add, call, config, loop_over, space};
use nopal_live::{CodeInfo, CodeSpace, Error, Protocol, SiteDefect, SiteDesc};

#[test]
fn code_runs_and_is_found_by_address() {
    let space = space(Protocol::Direct);
    let bytes = add(3).bytes;
    let allocation = space.allocate(bytes.len(), 1).unwrap().tag(0xfeed);
    let address = allocation.addr();
    assert!(allocation.len() >= bytes.len() && !allocation.is_empty());
    assert!(space.contains(address));
    assert_eq!(space.code_at(address), None);
    let code = allocation.publish(&bytes, &[]).unwrap();
    assert_eq!(
        (code.base(), code.len(), code.is_empty()),
        (address, bytes.len(), false)
    );
    assert_eq!(call(&code, 39), 42);
    let info = CodeInfo {
        base: address,
        len: bytes.len(),
        tag: 0xfeed,
    };
    assert_eq!(space.code_at(address + bytes.len() - 1), Some(info));
    assert_eq!(space.code_at(address + bytes.len()), None);
    assert!(!space.contains(space.base() - 1));
    assert!(!space.contains(space.base() + space.reserved()));
    assert!(!space.contains(main_address()));
}

fn main_address() -> usize {
    main_address as *const () as usize
}

#[test]
fn sites_are_found_by_return_address() {
    let space = space(Protocol::Direct);
    let first = loop_over(100).publish(&space);
    let second = loop_over(7).publish(&space);
    assert_eq!((first.site_count(), second.site_count()), (100, 7));
    for code in [&first, &second] {
        assert_eq!(code.site(code.site_count()), None);
        let mut addresses: Vec<usize> = Vec::new();
        for (i, site) in code.sites().enumerate() {
            assert_eq!(code.site(i), Some(site));
            let address = space.site_addr(site).unwrap();
            assert_eq!(space.site_at(address), Some(site));
            assert_eq!(space.site_at(address - 1), None);
            addresses.push(address);
        }
        assert!(addresses.is_sorted());
    }
}

#[test]
fn dropped_code_is_gone_and_its_room_reused() {
    let space = space(Protocol::Direct);
    let hook = space.count_hook().unwrap();
    let mut seen = Vec::new();
    for round in 0..50 {
        let code = loop_over(5).publish(&space);
        let site = code.site(0).unwrap();
        let address = space.site_addr(site).unwrap();
        space.patch().enable(site, &hook).commit().unwrap();
        call(&code, 2 + round);
        assert_eq!(hook.count(site), 2 + round);
        assert!(!seen.contains(&site));
        let base = code.base();
        drop(code);
        assert_eq!(space.site_at(address), None);
        assert_eq!(space.code_at(base), None);
        assert_eq!(space.site_addr(site), None);
        assert_eq!(space.is_enabled(site), None);
        // The hook remembers.
        assert_eq!(hook.count(site), 2 + round);
        let outcome = space.patch().enable(site, &hook).commit();
        assert!(matches!(outcome, Err(Error::UnknownSite(unknown)) if unknown == site));
        seen.push(site);
        let next = space.allocate(64, 64).unwrap();
        assert_eq!(next.addr(), base);
    }
    assert_eq!(hook.counts().len(), 50);
}

#[test]
fn once_hooks_survive_their_sites() {
    let space = space(Protocol::Direct);
    let hook = space.once_hook().unwrap();
    let code = loop_over(1).publish(&space);
    let site = code.site(0).unwrap();
    space.patch().enable(site, &hook).commit().unwrap();
    call(&code, 1);
    drop(code);
    assert!(hook.was_hit(site));
    assert_eq!(hook.drain().unwrap(), [site]);
    assert_eq!(hook.drain().unwrap(), []);
}

#[test]
fn wrong_input_is_refused() {
    let space = space(Protocol::Direct);
    for align in [0, 3, 8192] {
        let outcome = space.allocate(10, align);
        assert!(matches!(outcome, Err(Error::BadAlignment(bad)) if bad == align));
    }
    for len in [1 << 30, usize::MAX] {
        let outcome = space.allocate(len, 64);
        assert!(matches!(outcome, Err(Error::CodeSpaceFull(bad)) if bad == len));
    }
    let outcome = space.allocate(64, 64).unwrap().publish(&[0x90; 65], &[]);
    assert!(matches!(
        outcome,
        Err(Error::TooLong {
            len: 65,
            allocated: 64
        })
    ));
    let site = SiteDesc {
        ret_offset: 8,
        len: SITE.len() as u8,
    };
    let outcome = space
        .allocate(64, 64)
        .unwrap()
        .publish(&[0xcc; 64], &[site]);
    let Err(Error::BadSite {
        index: 0,
        ret_offset: 8,
        defect,
    }) = outcome
    else {
        panic!("unexpected {outcome:?}");
    };
    assert_eq!(defect, SiteDefect::Bytes);
    // What was refused was given back.
    assert_eq!(space.allocate(64, 64).unwrap().addr(), space.base());

    for reserve in [0, 1 << 20, 3 << 30] {
        let outcome = CodeSpace::new(config().reserve(reserve));
        assert!(matches!(outcome, Err(Error::Config(_))));
    }
}

#[test]
fn the_space_fills_up_with_an_error_and_empties_again() {
    let space = CodeSpace::new(config().reserve(16 << 20)).unwrap();
    for _ in 0..2 {
        let mut taken = Vec::new();
        let full = loop {
            match space.allocate(100_000, 4096) {
                Ok(allocation) => taken.push(allocation.publish(&[0xc3], &[]).unwrap()),
                Err(error) => break error,
            }
        };
        assert!(matches!(full, Error::CodeSpaceFull(100_000)));
        assert!(taken.len() > 100);
        assert!(taken.iter().all(|code| code.base() % 4096 == 0));
    }
}

#[test]
fn code_without_sites_takes_nobody_elses_away() {
    let space = space(Protocol::Direct);
    let hook = space.count_hook().unwrap();
    let plain = add(1).publish(&space);
    let sites = loop_over(2).publish(&space);
    drop(plain);
    let outcome = space.patch().enable_all(sites.sites(), &hook).commit();
    assert_eq!(outcome.unwrap().changed, 2);
}

#[test]
fn code_comes_and_goes_while_other_code_is_patched() {
    let space = space(Protocol::Strict);
    let stable = loop_over(30).publish(&space);
    let hook = space.count_hook().unwrap();
    std::thread::scope(|scope| {
        for n in 0..2u8 {
            let space = Arc::clone(&space);
            scope.spawn(move || {
                for i in 0..300 {
                    let code = add(n).publish(&space);
                    assert_eq!(call(&code, i), i + u64::from(n));
                    let sites = loop_over(9).publish(&space);
                    let own = space.count_hook().unwrap();
                    space
                        .patch()
                        .enable_all(sites.sites(), &own)
                        .commit()
                        .unwrap();
                    call(&sites, 3);
                    assert!(own.counts().iter().all(|&(_, count)| count == 3));
                }
            });
        }
        for _ in 0..300 {
            space
                .patch()
                .enable_all(stable.sites(), &hook)
                .commit()
                .unwrap();
            space.patch().disable_all(stable.sites()).commit().unwrap();
        }
    });
    space
        .patch()
        .enable_all(stable.sites(), &hook)
        .commit()
        .unwrap();
    call(&stable, 8);
    assert!(hook.counts().iter().all(|&(_, count)| count == 8));
}

#[test]
fn code_keeps_its_space() {
    let space = space(Protocol::Direct);
    let code = add(1).publish(&space);
    let weak = Arc::downgrade(&space);
    drop(space);
    assert_eq!(call(&code, 1), 2);
    assert!(
        weak.upgrade()
            .is_some_and(|space| Arc::ptr_eq(&space, code.space()))
    );
    drop(code);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_forked_child_cannot_change_anything() {
    let space = space(Protocol::Direct);
    let code = loop_over(1).publish(&space);
    let hook = space.count_hook().unwrap();
    let site = code.site(0).unwrap();
    // SAFETY: the child only calls into the crate under test and ends without returning.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let refused = [
            space.patch().enable(site, &hook).commit().err(),
            space.allocate(1, 1).err(),
            space.count_hook().err(),
            hook_error(space.once_hook().and_then(|hook| hook.drain())),
        ];
        let ok = refused
            .iter()
            .all(|error| matches!(error, Some(Error::Forked)));
        // Dropping everything must touch nothing of the parent's.
        drop((hook, code, space));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if ok { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "{status:#x}"
    );
    space.patch().enable(site, &hook).commit().unwrap();
    call(&code, 6);
    assert_eq!(hook.count(site), 6);
}

fn hook_error<T>(outcome: nopal_live::Result<T>) -> Option<Error> {
    outcome.err()
}
