//! Sites that are far from their islands.

use super::common::{Asm, PROTOCOLS, call, foreign, space};
use nopal_live::{Error, SiteDefect};

const SHORT: &[u8] = foreign::CALL;
const LONG: &[u8] = foreign::LONG_CALL;

/// Nearly as far as `jal` reaches.
const FAR: usize = (1 << 20) - 4096;

/// `fn(x) -> x`: passes sites that hold these bytes, with `gap` bytes after each.
fn sites_apart(sites: &[&[u8]], gap: usize) -> Asm {
    let mut asm = Asm::new();
    asm.enter();
    for bytes in sites {
        asm.emit_site(bytes);
        let end = asm.here() + gap;
        asm.j(end);
        asm.bytes.resize(end, 0);
    }
    asm.leave();
    asm
}

/// Every site is off at first, calls each kind of hook, and is off again.
fn check(asm: &Asm) {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let callee = Asm::new().word(0x0015_0513).ret().publish(&space); // addi a0, a0, 1
        // SAFETY: the code stays, and changes what the code around the sites expects.
        let original = unsafe { space.code_hook(callee.base()) }.unwrap();
        let counter = space.count_hook().unwrap();
        let once = space.once_hook().unwrap();
        let adding = space.call_hook(|_, frame| frame.set_gpr(10, frame.gpr(10) + 100));
        let adding = adding.unwrap();

        let code = asm.publish(&space);
        let count = code.site_count() as u64;
        assert_eq!(call(&code, 7), 7);
        let all = || code.sites();
        space.patch().enable_all(all(), &original).commit().unwrap();
        assert_eq!(call(&code, 7), 7 + count);
        space
            .patch()
            .retarget_all(all(), &counter)
            .commit()
            .unwrap();
        assert_eq!(call(&code, 7), 7);
        assert_eq!(call(&code, 7), 7);
        assert!(all().all(|site| counter.count(site) == 2));
        space.patch().retarget_all(all(), &once).commit().unwrap();
        assert_eq!(call(&code, 7), 7);
        assert_eq!(once.drain().unwrap(), all().collect::<Vec<_>>());
        space.patch().enable_all(all(), &adding).commit().unwrap();
        assert_eq!(call(&code, 7), 7 + 100 * count);
        assert_eq!(adding.panic_message(), None);
        space.patch().disable_all(all()).commit().unwrap();
        assert_eq!(call(&code, 7), 7);
        assert!(all().all(|site| counter.count(site) == 2));
    }
}

#[test]
fn long_sites_may_be_anywhere_in_code_of_any_size() {
    check(&sites_apart(&[LONG; 5], FAR));
}

#[test]
fn short_sites_may_be_anywhere_in_code_of_less_than_a_mebibyte() {
    check(&sites_apart(&[SHORT, LONG, SHORT, SHORT], FAR / 4));
}

#[test]
fn short_sites_out_of_reach_are_refused() {
    let space = space(PROTOCOLS[0]);
    for (sites, refused) in [(&[SHORT; 4], 3), (&[LONG, LONG, SHORT, LONG], 2)] {
        // Before the code there is nothing, behind it other code.
        let asm = sites_apart(sites, FAR);
        let allocation = space.allocate(asm.bytes.len(), 64).unwrap();
        let behind = space.allocate(FAR, 64).unwrap();
        let outcome = allocation.publish(&asm.bytes, &asm.sites);
        let Err(Error::BadSite { index, defect, .. }) = outcome else {
            panic!("unexpected {outcome:?}");
        };
        assert_eq!((index, defect), (refused, SiteDefect::OutOfReach));
        drop(behind);
        // What was refused was given back.
        assert_eq!(space.allocate(64, 64).unwrap().addr(), space.base());
    }
}

#[test]
fn islands_go_with_their_code() {
    let space = space(PROTOCOLS[0]);
    for _ in 0..3 {
        let asm = sites_apart(&[SHORT, LONG, SHORT], 4);
        let first = asm.publish(&space);
        let second = asm.publish(&space);
        assert_eq!(first.base(), space.base());
        assert!(second.base() >= first.base() + asm.bytes.len() + 24 * 3);
        drop(first);
        // The gap is as large as it was.
        let again = asm.publish(&space);
        assert_eq!(again.base(), space.base());
        assert_eq!(call(&again, 3), 3);
        assert_eq!(call(&second, 3), 3);
    }
}
