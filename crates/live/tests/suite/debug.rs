//! What programs see that print the crate's types, and of codes and spaces that they ask about.

use std::sync::{Arc, Mutex};

use super::common::{SITE, SP, call, config, loop_over, space, spread};
use nopal_live::{CodeSpace, Protocol, SpaceConfig, VectorState};

#[test]
fn what_holds_code_says_where_it_is() {
    let space = space(Protocol::Direct);
    let text = format!("{space:?}");
    let base = format!("{:#x}", space.base());
    assert!(
        text.starts_with("CodeSpace {") && text.contains(&base),
        "{text}"
    );
    assert!(text.contains("protocol: Direct"), "{text}");
    let allocation = space.allocate(100, 64).unwrap();
    let text = format!("{allocation:?}");
    assert!(
        text.contains(&format!("{:#x}", allocation.addr())),
        "{text}"
    );
    drop(allocation);
    let code = loop_over(3).publish(&space);
    let text = format!("{code:?}");
    assert!(text.contains(&format!("{:#x}", code.base())), "{text}");
    assert!(text.contains("sites: 3"), "{text}");
    assert!(!code.is_empty() && code.len() > 3 * SITE.len());
    assert!(Arc::ptr_eq(code.space(), &space));
    assert_eq!(code.site(1).unwrap().to_string(), "site 1");
}

#[test]
fn hooks_print_what_they_are() {
    let space = space(Protocol::Direct);
    let call_hook = space.call_hook(|_, _| ()).unwrap();
    assert!(format!("{:?}", space.count_hook().unwrap()).starts_with("CountHook"));
    assert!(format!("{:?}", space.once_hook().unwrap()).starts_with("OnceHook"));
    assert!(format!("{call_hook:?}").starts_with("CallHook"));
    // SAFETY: enabled nowhere.
    let code_hook = unsafe { space.code_hook(0) }.unwrap();
    assert!(format!("{code_hook:?}").starts_with("CodeHook"));
    let kept = call_hook.clone();
    let retired = call_hook.retire();
    assert_eq!(format!("{retired:?}"), "Retired { is_dropped: false }");
    drop(kept);
    assert_eq!(format!("{retired:?}"), "Retired { is_dropped: true }");
}

#[test]
fn frames_print_every_register() {
    let space = space(Protocol::Direct);
    let code = spread().publish(&space);
    let text = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&text);
    let hook = space.call_hook(move |_, frame| {
        let sp = frame.gpr(SP);
        *seen.lock().unwrap() = format!("{:#x} {frame:?}", sp);
    });
    let hook = hook.unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    assert_eq!(call(&code, 0x1234), 4 * 0x1234);
    let text = text.lock().unwrap();
    let (sp, frame) = text.split_once(' ').unwrap();
    assert!(
        frame.starts_with("SiteFrame { return_address: 0x"),
        "{frame}"
    );
    assert!(frame.contains(sp), "{frame}");
    // Two registers hold the argument.
    assert!(frame.matches(": 0x1234").count() >= 2, "{frame}");
}

#[test]
fn a_space_tells_its_settings() {
    let mut defaults = config();
    for state in [VectorState::Full, VectorState::Xmm] {
        let space = CodeSpace::new(defaults.vector_state(state)).unwrap();
        assert_eq!(space.vector_state(), state);
    }
    let [a, b] = [SpaceConfig::default(), SpaceConfig::new()];
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
}
