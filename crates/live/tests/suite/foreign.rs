//! Code that someone else generated, with whatever their sites hold.

use std::sync::Arc;

use super::common::{PROTOCOLS, call, foreign, space};
use nopal_live::{Code, CodeHook, CodeSpace};

/// Publishes a function that the code around the sites expects to be called.
fn callee(space: &Arc<CodeSpace>) -> (Code, CodeHook) {
    let code = foreign::callee().publish(space);
    // SAFETY: the code stays, and changes what the code around the sites expects.
    let hook = unsafe { space.code_hook(code.base()) };
    (code, hook.unwrap())
}

#[test]
fn sites_may_hold_calls_nops_and_off_forms() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (_callee, original) = callee(&space);
        for &(start, middle) in foreign::FORMS {
            let code = foreign::code(middle, start).publish(&space);
            let site = code.site(0).unwrap();
            // Off, whatever it was.
            assert_eq!(space.is_enabled(site), Some(false));
            assert_eq!(call(&code, 9), 0);
            // On, with the target it had where it came from.
            space.patch().enable(site, &original).commit().unwrap();
            assert_eq!(call(&code, 9), 9);
            let counter = space.count_hook().unwrap();
            space.patch().retarget(site, &counter).commit().unwrap();
            assert_eq!(call(&code, 9), 0);
            assert_eq!(counter.count(site), 9);
            let seen = space.call_hook(|_, frame| {
                let count = frame.gpr(foreign::COUNTER) + 2;
                frame.set_gpr(foreign::COUNTER, count);
            });
            let seen = seen.unwrap();
            space.patch().retarget(site, &seen).commit().unwrap();
            assert_eq!(call(&code, 9), 18);
            space.patch().disable(site).commit().unwrap();
            assert_eq!(call(&code, 9), 0);
        }
    }
}

#[test]
fn a_dropped_code_hook_switches_its_sites_off() {
    let space = space(PROTOCOLS[0]);
    let (_callee, hook) = callee(&space);
    let code = foreign::code(foreign::CALL, 0).publish(&space);
    let site = code.site(0).unwrap();
    space.patch().enable(site, &hook).commit().unwrap();
    drop(hook);
    assert_eq!(space.is_enabled(site), Some(false));
    assert_eq!(call(&code, 5), 0);
}
