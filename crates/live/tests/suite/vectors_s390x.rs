//! Vector and floating-point registers survive a call hook that overwrites all of them.

use std::arch::{asm, global_asm, is_s390x_feature_detected};
use std::slice;

use super::common::{PROTOCOLS, SITE, config};
use nopal_live::{CodeSpace, SiteDesc, VectorState};

/// `%v0` to `%v31`, of which the first halves of the first sixteen are `%f0` to `%f15`, and floating-point
/// control.
#[repr(C)]
#[derive(Clone)]
struct Registers {
    vectors: [[u8; 16]; 32],
    fpc: u32,
}

impl Registers {
    fn zero() -> Registers {
        Registers {
            vectors: [[0; 16]; 32],
            fpc: 0,
        }
    }

    fn pattern() -> Registers {
        let mut byte = 1u8;
        let mut next = || {
            byte = byte.wrapping_mul(5).wrapping_add(11);
            byte
        };
        Registers {
            vectors: [(); 32].map(|()| [(); 16].map(|()| next())),
            // Two of the flags that stay until they are taken away; rounding towards zero.
            fpc: 0x0050_0001,
        }
    }
}

// Each is `fn(before: *const Registers, after: *mut Registers)`, position-independent, with one site;
// after it come the length of the code and the end of the site, as two words.
global_asm!(
    ".macro nopal_enter",
    "stmg %r14, %r15, 112(%r15)",
    "aghi %r15, -232",
    ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
    r"std %f\n, 96 + 8 * \n(%r15)",
    ".endr",
    "stfpc 224(%r15)",
    "lfpc 512(%r2)",
    ".endm",
    ".macro nopal_leave",
    "stfpc 512(%r3)",
    "lfpc 224(%r15)",
    ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
    r"ld %f\n, 96 + 8 * \n(%r15)",
    ".endr",
    "lmg %r14, %r15, 344(%r15)",
    "br %r14",
    ".endm",
    ".p2align 6",
    "nopal_floats:",
    "nopal_enter",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"ld %f\n, 16 * \n(%r2)",
    ".endr",
    ".short 0xc004, 0, 0",
    "nopal_floats_site:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"std %f\n, 16 * \n(%r3)",
    ".endr",
    "nopal_leave",
    "nopal_floats_end:",
    ".p2align 3",
    "nopal_floats_info:",
    ".quad nopal_floats_end - nopal_floats, nopal_floats_site - nopal_floats",
    ".machine push",
    ".machine z13",
    ".p2align 6",
    "nopal_vectors:",
    "nopal_enter",
    "vlm %v0, %v15, 0(%r2)",
    "vlm %v16, %v31, 256(%r2)",
    ".short 0xc004, 0, 0",
    "nopal_vectors_site:",
    "vstm %v0, %v15, 0(%r3)",
    "vstm %v16, %v31, 256(%r3)",
    "nopal_leave",
    "nopal_vectors_end:",
    ".machine pop",
    ".p2align 3",
    "nopal_vectors_info:",
    ".quad nopal_vectors_end - nopal_vectors, nopal_vectors_site - nopal_vectors",
);

unsafe extern "C" {
    static nopal_floats: u8;
    static nopal_floats_info: [usize; 2];
    static nopal_vectors: u8;
    static nopal_vectors_info: [usize; 2];
}

fn has_vectors() -> bool {
    is_s390x_feature_detected!("vector")
}

/// Fills every floating-point or vector register the processor has, sets flags, and does not clean up.
fn overwrite_all() {
    // SAFETY: only overwrites registers declared as overwritten, and floating-point control with what it is
    // at first but for its flags.
    unsafe {
        asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"ldgr %f\n, {value}",
            ".endr",
            "sfpc {flags}",
            value = in(reg) 0x5a5a_5a5a_5a5a_5a5a_u64,
            flags = in(reg) 0x00a8_0000_u64,
            out("f8") _, out("f9") _, out("f10") _, out("f11") _,
            out("f12") _, out("f13") _, out("f14") _, out("f15") _,
            clobber_abi("C"),
        );
    }
    if has_vectors() {
        // SAFETY: as above; the instructions are there.
        unsafe {
            asm!(
                ".machine push",
                ".machine z13",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"vrepib %v\n, 0x5a",
                ".endr",
                ".machine pop",
                out("f8") _, out("f9") _, out("f10") _, out("f11") _,
                out("f12") _, out("f13") _, out("f14") _, out("f15") _,
                clobber_abi("C"),
            );
        }
    }
}

/// Runs one of the functions above with a hook that overwrites everything, after it has inverted the vector
/// registers of the given numbers.
fn run(
    state: VectorState,
    start: *const u8,
    [len, site]: [usize; 2],
    inverted: [u8; 2],
) -> [Registers; 2] {
    // SAFETY: the bytes between the function's labels.
    let bytes = unsafe { slice::from_raw_parts(start, len) };
    let mut config = config();
    let space = CodeSpace::new(config.vector_state(state).protocol(PROTOCOLS[0])).unwrap();
    let site = SiteDesc {
        ret_offset: site as u32,
        len: SITE.len() as u8,
    };
    let allocation = space.allocate(len, 64).unwrap();
    let code = allocation.publish(bytes, &[site]).unwrap();
    let hook = space.call_hook(move |_, frame| {
        for number in inverted {
            let seen = frame.vector(number);
            frame.set_vector(number, seen.map(|byte| !byte));
        }
        overwrite_all();
    });
    let hook = hook.unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    // SAFETY: the functions have this type.
    let function: extern "C" fn(*const Registers, *mut Registers) =
        unsafe { std::mem::transmute(code.base()) };
    let before = Registers::pattern();
    let mut after = Registers::zero();
    function(&before, &mut after);
    assert_eq!(hook.panic_message(), None);
    let mut expected = before;
    for number in inverted {
        let register = &mut expected.vectors[usize::from(number)];
        *register = register.map(|byte| !byte);
    }
    [expected, after]
}

fn check_floats([expected, after]: &[Registers; 2]) {
    for number in 0..16 {
        let [expected, seen] = [expected, after].map(|registers| registers.vectors[number]);
        assert_eq!(seen[..8], expected[..8], "register {number}");
    }
    assert_eq!(after.fpc, expected.fpc);
}

#[test]
fn full_and_low_state_survive() {
    for state in [VectorState::Full, VectorState::Xmm] {
        // SAFETY: the statics are defined above and never change.
        let (start, info) = unsafe { (&raw const nopal_floats, nopal_floats_info) };
        check_floats(&run(state, start, info, [3, 15]));
        if !has_vectors() {
            continue;
        }
        // SAFETY: as above.
        let (start, info) = unsafe { (&raw const nopal_vectors, nopal_vectors_info) };
        let last = match state {
            VectorState::Full => 31,
            VectorState::Xmm => 15,
        };
        let outcome = run(state, start, info, [3, last]);
        check_floats(&outcome);
        if state == VectorState::Full {
            assert_eq!(outcome[1].vectors, outcome[0].vectors);
        }
    }
}

#[test]
fn registers_that_are_not_preserved_are_refused() {
    // SAFETY: the statics are defined above and never change.
    let (start, info) = unsafe { (&raw const nopal_floats, nopal_floats_info) };
    let outcome = std::panic::catch_unwind(|| run(VectorState::Xmm, start, info, [0, 16]));
    let payload = outcome.err().expect("the hook panics");
    let text = payload.downcast_ref::<String>().expect("a message");
    assert!(
        text.contains("no vector register 16 in the frame"),
        "{text}"
    );
}
