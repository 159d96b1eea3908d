//! Code that someone else generated, with whatever their sites hold.

use std::sync::Arc;

use super::common::{Asm, PROTOCOLS, call, space};
use nopal_live::{Code, CodeHook, CodeSpace, SiteDesc};

/// `fn(n)`: does what is in the five bytes `n` times, and returns how often `r11` was incremented.
fn foreign_code(middle: [u8; 5], start: usize) -> Asm {
    let mut asm = Asm::new();
    // push rbx; mov rbx, rdi; xor r11d, r11d
    asm.emit(&[0x53, 0x48, 0x89, 0xfb, 0x45, 0x31, 0xdb]);
    asm.pad_to(start);
    let again = asm.here();
    asm.emit(&middle);
    let ret_offset = asm.here() as u32;
    asm.sites.push(SiteDesc { ret_offset, len: 5 });
    asm.emit(&[0x48, 0xff, 0xcb]).jnz(again); // dec rbx; jnz again
    asm.emit(&[0x4c, 0x89, 0xd8, 0x5b, 0xc3]); // mov rax, r11; pop rbx; ret
    asm
}

/// `inc r11; ret`, which the code around the sites expects to be called.
fn callee(space: &Arc<CodeSpace>) -> (Code, CodeHook) {
    let mut asm = Asm::new();
    let code = asm.emit(&[0x49, 0xff, 0xc3, 0xc3]).publish(space);
    // SAFETY: the code stays, and changes what the code around the sites expects.
    let hook = unsafe { space.code_hook(code.base()) };
    (code, hook.unwrap())
}

#[test]
fn sites_may_hold_calls_nops_and_off_forms() {
    for protocol in PROTOCOLS {
        let space = space(protocol);
        let (_callee, original) = callee(&space);
        for (start, middle) in [
            (10, [0x3d, 9, 9, 9, 9]),
            (62, [0xa9, 0, 0, 0, 0]),
            (63, [0xe8, 1, 2, 3, 4]),
            (60, [0x0f, 0x1f, 0x44, 0, 0]),
            (61, [0x90; 5]),
        ] {
            let code = foreign_code(middle, start).publish(&space);
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
            let seen = space.call_hook(|_, frame| frame.set_gpr(11, frame.gpr(11) + 2));
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
    let code = foreign_code([0xe8, 0, 0, 0, 0], 0).publish(&space);
    let site = code.site(0).unwrap();
    space.patch().enable(site, &hook).commit().unwrap();
    drop(hook);
    assert_eq!(space.is_enabled(site), Some(false));
    assert_eq!(call(&code, 5), 0);
}
