//! What a patch transaction promises.

use super::common::{BROADCASTS, PROTOCOLS, call, effective, loop_over, space};
use nopal_live::{Commit, Error, Protocol, SiteId};

#[test]
fn nothing_happens_before_the_commit() {
    let space = space(Protocol::Direct);
    let code = loop_over(1).publish(&space);
    let hook = space.count_hook().unwrap();
    let site = code.site(0).unwrap();
    let mut patch = space.patch();
    patch.enable(site, &hook);
    call(&code, 5);
    assert_eq!((hook.count(site), space.is_enabled(site)), (0, Some(false)));
    patch.commit().unwrap();
    call(&code, 5);
    assert_eq!((hook.count(site), space.is_enabled(site)), (5, Some(true)));
    // The operations are spent.
    assert_eq!(patch.commit().unwrap(), Commit::default());
}

#[test]
fn broadcasts_are_few_and_do_not_depend_on_the_number_of_sites() {
    for (protocol, [fresh, off, on_again, moved]) in BROADCASTS {
        let space = space(protocol);
        if effective(&space, protocol) != protocol {
            continue;
        }
        let code = loop_over(500).publish(&space);
        let (a, b) = (space.count_hook().unwrap(), space.count_hook().unwrap());
        let expect = |commit: Commit, broadcasts| {
            let changed = code.site_count();
            assert_eq!(
                commit,
                Commit {
                    changed,
                    broadcasts
                },
                "{protocol:?}"
            );
        };
        let sites = || code.sites();
        expect(
            space.patch().enable_all(sites(), &a).commit().unwrap(),
            fresh,
        );
        expect(space.patch().disable_all(sites()).commit().unwrap(), off);
        expect(
            space.patch().enable_all(sites(), &a).commit().unwrap(),
            on_again,
        );
        expect(
            space.patch().retarget_all(sites(), &b).commit().unwrap(),
            moved,
        );
        expect(
            space.patch().release_all(sites(), &b).commit().unwrap(),
            off,
        );
        assert_eq!(
            space.patch().disable_all(sites()).commit().unwrap(),
            Commit::default()
        );
    }
}

#[test]
fn operations_take_effect_in_order() {
    let space = space(Protocol::Direct);
    let code = loop_over(3).publish(&space);
    let [x, y, z] = [0, 1, 2].map(|i| code.site(i).unwrap());
    let (a, b) = (space.count_hook().unwrap(), space.count_hook().unwrap());
    let commit = space
        .patch()
        .enable(x, &a)
        .retarget(x, &b)
        .release(x, &a) // calls b by then
        .enable(y, &a)
        .disable(y)
        .enable(z, &a)
        .enable(z, &a)
        .disable(z)
        .enable(z, &b)
        .commit()
        .unwrap();
    assert_eq!(commit.changed, 2);
    call(&code, 9);
    let counts = |hook: &nopal_live::CountHook| [x, y, z].map(|site| hook.count(site));
    assert_eq!(counts(&a), [0, 0, 0]);
    assert_eq!(counts(&b), [9, 0, 9]);
}

#[test]
fn a_refused_patch_changes_nothing() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let code = loop_over(2).publish(&space);
        let [x, y] = [0, 1].map(|i| code.site(i).unwrap());
        let (a, b) = (space.count_hook().unwrap(), space.count_hook().unwrap());
        space.patch().enable(x, &a).commit().unwrap();

        let outcome = space.patch().enable(y, &b).enable(x, &b).commit();
        assert!(matches!(outcome, Err(Error::SiteInUse(site)) if site == x));
        let nowhere = SiteId::from_index(12345);
        let outcome = space.patch().disable(x).enable(nowhere, &b).commit();
        assert!(matches!(outcome, Err(Error::UnknownSite(site)) if site == nowhere));
        call(&code, 4);
        assert_eq!((a.count(x), a.count(y)), (4, 0));
        assert_eq!((b.count(x), b.count(y)), (0, 0));
        // The plan that was given up left no traces.
        assert_eq!(space.patch().retarget(x, &b).commit().unwrap().changed, 1);
        call(&code, 4);
        assert_eq!((a.count(x), b.count(x)), (4, 4));
    }
}

#[test]
fn an_operation_that_is_refused_at_one_site_changes_none() {
    let space = space(Protocol::Direct);
    let code = loop_over(5).publish(&space);
    let [a, b] = [space.count_hook().unwrap(), space.count_hook().unwrap()];
    let taken = code.site(3).unwrap();
    space.patch().enable(taken, &a).commit().unwrap();
    let outcome = space.patch().enable_all(code.sites(), &b).commit();
    assert!(matches!(outcome, Err(Error::SiteInUse(site)) if site == taken));
    call(&code, 6);
    assert_eq!((a.counts(), b.counts()), (vec![(taken, 6)], vec![]));
    let commit = space.patch().retarget_all(code.sites(), &b).commit();
    assert_eq!(commit.unwrap().changed, 5);
}

#[test]
fn the_protocol_can_be_chosen_per_commit() {
    let space = space(Protocol::Strict);
    let code = loop_over(1).publish(&space);
    let hook = space.count_hook().unwrap();
    let site = code.site(0).unwrap();
    let broadcasts = |protocol, on| {
        let mut patch = space.patch();
        patch.protocol(protocol);
        match on {
            true => patch.enable(site, &hook),
            false => patch.disable(site),
        };
        patch.commit().unwrap().broadcasts
    };
    let [(_, [fresh, ..]), (_, [_, _, strict, _])] = BROADCASTS;
    assert_eq!(broadcasts(Protocol::Direct, true), fresh);
    assert_eq!(broadcasts(Protocol::Direct, false), 1);
    let strict = match effective(&space, Protocol::Strict) {
        Protocol::Direct => 1,
        Protocol::Strict => strict,
    };
    assert_eq!(broadcasts(Protocol::Strict, true), strict);
    assert_eq!(broadcasts(Protocol::Direct, false), 1);
}

#[test]
fn lists_of_sites_may_be_empty_or_have_gaps() {
    let space = space(Protocol::Direct);
    let code = loop_over(6).publish(&space);
    let sites: Vec<SiteId> = code.sites().collect();
    let hook = space.count_hook().unwrap();
    let none = space.patch().enable_all([], &hook).commit().unwrap();
    assert_eq!(none, Commit::default());
    let some = [0, 2, 3, 5].map(|i| sites[i]);
    let commit = space.patch().enable_all(some, &hook).commit().unwrap();
    assert_eq!(commit.changed, some.len());
    call(&code, 4);
    assert_eq!(hook.counts(), some.map(|site| (site, 4)));
    let commit = space.patch().release_all(sites, &hook).commit().unwrap();
    assert_eq!(commit.changed, some.len());
}

#[test]
fn commits_from_several_threads_exclude_each_other() {
    let space = space(Protocol::Direct);
    let code = loop_over(64).publish(&space);
    let sites: Vec<SiteId> = code.sites().collect();
    let hooks = [space.count_hook().unwrap(), space.count_hook().unwrap()];
    std::thread::scope(|scope| {
        for (sites, hook) in sites.chunks(32).zip(&hooks) {
            let space = &space;
            scope.spawn(move || {
                for _ in 0..200 {
                    let mut patch = space.patch();
                    patch.enable_all(sites.iter().copied(), hook);
                    assert_eq!(patch.commit().unwrap().changed, 32);
                    patch.release_all(sites.iter().copied(), hook);
                    assert_eq!(patch.commit().unwrap().changed, 32);
                }
                space
                    .patch()
                    .enable_all(sites.iter().copied(), hook)
                    .commit()
                    .unwrap();
            });
        }
        scope.spawn(|| call(&code, 20_000));
    });
    for hook in &hooks {
        hook.reset();
    }
    call(&code, 3);
    for (sites, hook) in sites.chunks(32).zip(&hooks) {
        assert!(sites.iter().all(|&site| hook.count(site) == 3));
    }
}
