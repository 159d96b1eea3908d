//! Vector registers survive a call hook that overwrites all of them.

use std::arch::{asm, global_asm, is_aarch64_feature_detected};
use std::slice;

use super::common::{PROTOCOLS, SITE, config};
use nopal_live::{CodeSpace, SiteDesc, VectorState};

/// The widest that the architecture allows.
const WIDEST: usize = 256;
/// Bytes of one of the registers below; what is not in use stays zero.
const PREDICATES: usize = 32 * WIDEST;

/// `q0..31` or `z0..31` without gaps, and from `PREDICATES` on `p0..15` and FFR, also without gaps.
#[repr(C, align(16))]
struct Registers([u8; PREDICATES + 17 * WIDEST / 8]);

impl Registers {
    fn zero() -> Registers {
        Registers([0; PREDICATES + 17 * WIDEST / 8])
    }

    fn pattern() -> Registers {
        let mut byte = 1u8;
        Registers(Registers::zero().0.map(|_| {
            byte = byte.wrapping_mul(5).wrapping_add(11);
            byte
        }))
    }
}

// Each is `fn(before: *const Registers, after: *mut Registers)`, position-independent, with one site;
// after it come the length of the code and the end of the site, as two words.
global_asm!(
    ".p2align 6",
    "nopal_simd:",
    "stp x29, x30, [sp, #-80]!",
    "stp d8, d9, [sp, #16]",
    "stp d10, d11, [sp, #32]",
    "stp d12, d13, [sp, #48]",
    "stp d14, d15, [sp, #64]",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"ldr q\n, [x0, #16 * \n]",
    ".endr",
    "nop",
    "nopal_simd_site:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"str q\n, [x1, #16 * \n]",
    ".endr",
    "ldp d8, d9, [sp, #16]",
    "ldp d10, d11, [sp, #32]",
    "ldp d12, d13, [sp, #48]",
    "ldp d14, d15, [sp, #64]",
    "ldp x29, x30, [sp], #80",
    "ret",
    "nopal_simd_end:",
    ".p2align 3",
    "nopal_simd_info:",
    ".quad nopal_simd_end - nopal_simd, nopal_simd_site - nopal_simd",
    ".arch_extension sve",
    ".p2align 6",
    "nopal_sve:",
    "stp x29, x30, [sp, #-80]!",
    "stp d8, d9, [sp, #16]",
    "stp d10, d11, [sp, #32]",
    "stp d12, d13, [sp, #48]",
    "stp d14, d15, [sp, #64]",
    "add x2, x0, {predicates}",
    "add x3, x1, {predicates}",
    "ldr p0, [x2, #16, mul vl]",
    "wrffr p0.b",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"ldr p\n, [x2, #\n, mul vl]",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"ldr z\n, [x0, #\n, mul vl]",
    ".endr",
    "nop",
    "nopal_sve_site:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"str z\n, [x1, #\n, mul vl]",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"str p\n, [x3, #\n, mul vl]",
    ".endr",
    "rdffr p0.b",
    "str p0, [x3, #16, mul vl]",
    "ldp d8, d9, [sp, #16]",
    "ldp d10, d11, [sp, #32]",
    "ldp d12, d13, [sp, #48]",
    "ldp d14, d15, [sp, #64]",
    "ldp x29, x30, [sp], #80",
    "ret",
    "nopal_sve_end:",
    ".arch_extension nosve",
    ".p2align 3",
    "nopal_sve_info:",
    ".quad nopal_sve_end - nopal_sve, nopal_sve_site - nopal_sve",
    predicates = const PREDICATES,
);

unsafe extern "C" {
    static nopal_simd: u8;
    static nopal_simd_info: [usize; 2];
    static nopal_sve: u8;
    static nopal_sve_info: [usize; 2];
}

/// Fills every vector register the processor has, and does not clean up.
fn overwrite_all(sve: bool) {
    // SAFETY: only overwrites registers declared as overwritten, with instructions that were checked for
    // by the caller.
    unsafe {
        asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            r"movi v\n\().16b, #0x5a",
            ".endr",
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            clobber_abi("C"),
        );
        if sve {
            asm!(
                ".arch_extension sve",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"mov z\n\().b, #0x5a",
                ".endr",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
                r"ptrue p\n\().h",
                ".endr",
                "wrffr p0.b",
                ".arch_extension nosve",
                out("v8") _, out("v9") _, out("v10") _, out("v11") _,
                out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                clobber_abi("C"),
            );
        }
    }
}

/// Bytes of a `z` register.
fn sve_width() -> usize {
    let width;
    // SAFETY: the caller has checked that there are some; nothing is changed.
    unsafe {
        asm!(
            ".arch_extension sve",
            "rdvl {width}, #1",
            ".arch_extension nosve",
            width = out(reg) width,
            options(nomem, nostack, preserves_flags),
        );
    }
    width
}

/// Runs one of the functions above with a hook that overwrites everything.
fn run(state: VectorState, start: *const u8, [len, site]: [usize; 2]) -> [Registers; 2] {
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
    let sve = is_aarch64_feature_detected!("sve");
    let hook = space.call_hook(move |_, frame| {
        for number in [15, 31] {
            let seen = frame.vector(number);
            frame.set_vector(number, seen.map(|byte| !byte));
        }
        overwrite_all(sve);
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
    let mut before = Registers::pattern();
    let mut after = Registers::zero();
    if sve {
        // FFR only takes what a load could leave: ones, and then zeros.
        let bytes = sve_width() / 8;
        let ffr = &mut before.0[PREDICATES + 16 * bytes..][..bytes];
        ffr.fill(0);
        ffr[0] = 0x7f;
    }
    function(&before, &mut after);
    [before, after]
}

/// Compares the low 128 bits of registers that take `width` bytes each, and all bits if all survive.
fn check(before: &mut Registers, after: &Registers, width: usize, all: bool) {
    for number in 0..32 {
        let range = number * width..(number + 1) * width;
        let (expected, seen) = (&mut before.0[range.clone()], &after.0[range]);
        if [15, 31].contains(&number) {
            expected[..16].iter_mut().for_each(|byte| *byte = !*byte);
        }
        let compared = if all { width } else { 16 };
        assert_eq!(seen[..compared], expected[..compared], "register {number}");
    }
}

#[test]
fn full_and_low_state_survive() {
    for state in [VectorState::Full, VectorState::Xmm] {
        // SAFETY: the statics are defined above and never change.
        let (start, info) = unsafe { (&raw const nopal_simd, nopal_simd_info) };
        let [mut before, after] = run(state, start, info);
        check(&mut before, &after, 16, true);
        if !is_aarch64_feature_detected!("sve") {
            continue;
        }
        // SAFETY: as above.
        let (start, info) = unsafe { (&raw const nopal_sve, nopal_sve_info) };
        let [mut before, after] = run(state, start, info);
        let width = sve_width();
        check(&mut before, &after, width, state == VectorState::Full);
        if state == VectorState::Full {
            let predicates = PREDICATES..PREDICATES + 17 * width / 8;
            assert_eq!(after.0[predicates.clone()], before.0[predicates]);
        }
    }
}
