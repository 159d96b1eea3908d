//! Vector registers survive a call hook that overwrites all of them.

use std::arch::{asm, global_asm, is_x86_feature_detected};
use std::slice;

use super::common::{PROTOCOLS, call, config, space, spread};
use nopal_live::{CodeSpace, SiteDesc, VectorState};

/// The registers, each at the start of 64 bytes: `zmm0..31`, then `k0..7` in 8 bytes each. An
/// `xrstor` area that says "all in initial state" follows.
#[repr(C, align(64))]
struct Registers([[u8; 64]; 33], [[u8; 64]; 16]);

impl Registers {
    fn pattern() -> Registers {
        let mut byte = 1u8;
        let mut next = |_| {
            byte = byte.wrapping_mul(5).wrapping_add(11);
            byte
        };
        Registers(
            [[0; 64]; 33].map(|register| register.map(&mut next)),
            [[0; 64]; 16],
        )
    }

    fn zero() -> Registers {
        Registers([[0; 64]; 33], [[0; 64]; 16])
    }
}

// Each is `fn(before: *const Registers, after: *mut Registers)`, position-independent, with one
// site; after it come the length of the code and the end of the site, as two words. `high` is 0 to
// leave registers 16 to 31 and the masks alone, 1 to fill them, 2 to have them in initial state.
global_asm!(
    ".macro nopal_vectors name, width, high, stem",
    ".p2align 6",
    r"\name:",
    "push rbp",
    "mov rbp, rsp",
    "vzeroall",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"vmovups \stem\()\n, [rdi + 64 * \n]",
    ".endr",
    r".if \high == 1",
    ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"vmovups zmm\n, [rdi + 64 * \n]",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
    r"kmovq k\n, [rdi + 64 * 32 + 8 * \n]",
    ".endr",
    ".endif",
    r".if \high == 2",
    "mov eax, 0xa0", // the masks and zmm16 to zmm31
    "xor edx, edx",
    "xrstor64 [rdi + 64 * 33]",
    ".endif",
    ".p2align 6, 0x90",
    ".byte 0x3d, 0, 0, 0, 0",
    r"\name\()_site:",
    r".if \high",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"vmovups [rsi + 64 * \n], zmm\n",
    ".endr",
    ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"vmovups [rsi + 64 * \n], zmm\n",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
    r"kmovq [rsi + 64 * 32 + 8 * \n], k\n",
    ".endr",
    ".else",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    r"vmovups [rsi + 64 * \n], ymm\n",
    ".endr",
    ".endif",
    "vzeroupper",
    "pop rbp",
    "ret",
    r"\name\()_end:",
    ".p2align 3",
    r"\name\()_info:",
    r".quad \name\()_end - \name",
    r".quad \name\()_site - \name",
    ".endm",
    "nopal_vectors nopal_xmm, 16, 0, xmm",
    "nopal_vectors nopal_ymm, 32, 0, ymm",
    "nopal_vectors nopal_xmm_high, 16, 1, xmm",
    "nopal_vectors nopal_ymm_high, 32, 1, ymm",
    "nopal_vectors nopal_zmm_high, 64, 1, zmm",
    "nopal_vectors nopal_zmm_init, 64, 2, zmm",
);

unsafe extern "C" {
    static nopal_xmm: u8;
    static nopal_xmm_info: [usize; 2];
    static nopal_ymm: u8;
    static nopal_ymm_info: [usize; 2];
    static nopal_xmm_high: u8;
    static nopal_xmm_high_info: [usize; 2];
    static nopal_ymm_high: u8;
    static nopal_ymm_high_info: [usize; 2];
    static nopal_zmm_high: u8;
    static nopal_zmm_high_info: [usize; 2];
    static nopal_zmm_init: u8;
    static nopal_zmm_init_info: [usize; 2];
}

/// Fills every vector register the processor has with ones, and does not clean up.
fn overwrite_all(avx512: bool) {
    // SAFETY: only overwrites registers declared as overwritten, with instructions that were
    // checked for by the caller.
    unsafe {
        asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"vcmpps ymm\n, ymm\n, ymm\n, 15",
            ".endr",
            clobber_abi("C"),
        );
        if avx512 {
            asm!(
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"vpternlogd zmm\n, zmm\n, zmm\n, 255",
                ".endr",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
                r"kxnorq k\n, k\n, k\n",
                ".endr",
                clobber_abi("C"),
            );
        }
    }
}

/// One of the functions above.
#[derive(Clone, Copy)]
struct Blob {
    start: *const u8,
    /// Its length, and the end of its site.
    info: [usize; 2],
    /// Whether it fills registers 16 to 31 and the masks.
    high: bool,
}

impl Blob {
    fn new(start: *const u8, info: [usize; 2], high: bool) -> Blob {
        Blob { start, info, high }
    }
}

/// Runs one of the functions above with a hook that overwrites everything; `width` is how much of
/// the first sixteen registers it fills, `stored` how much it stores.
fn check(state: VectorState, blob: Blob, width: usize, stored: usize) {
    let Blob {
        start,
        info: [len, site],
        high,
    } = blob;
    // SAFETY: the bytes between the function's labels.
    let bytes = unsafe { slice::from_raw_parts(start, len) };
    let mut config = config();
    let space = CodeSpace::new(config.vector_state(state).protocol(PROTOCOLS[0])).unwrap();
    let site = SiteDesc {
        ret_offset: site as u32,
        len: 5,
    };
    let allocation = space.allocate(len, 64).unwrap();
    let code = allocation.publish(bytes, &[site]).unwrap();
    let avx512 = stored == 64;
    let hook = space.call_hook(move |_, frame| {
        let seen = frame.vector(15);
        frame.set_vector(15, seen.map(|byte| !byte));
        overwrite_all(avx512);
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

    let checked = if state == VectorState::Xmm {
        16
    } else {
        stored
    };
    for number in 0..16 {
        let mut expected = [0; 64];
        expected[..width].copy_from_slice(&before.0[number][..width]);
        if number == 15 {
            expected[..16].iter_mut().for_each(|byte| *byte = !*byte);
        }
        assert_eq!(
            after.0[number][..checked],
            expected[..checked],
            "{state:?}, {width} of {stored} bytes, register {number}"
        );
    }
    if avx512 && state == VectorState::Full {
        for number in 16..33 {
            let expected = if high { before.0[number] } else { [0; 64] };
            assert_eq!(after.0[number], expected, "register {number}");
        }
    }
}

#[test]
fn full_and_low_state_survive() {
    if !is_x86_feature_detected!("avx") {
        // There is nothing beyond the xmm registers, which tests/hooks.rs covers.
        assert!(!is_x86_feature_detected!("avx512f"));
        return;
    }
    // SAFETY: the statics are defined above and never change.
    let narrow = unsafe {
        [
            (Blob::new(&raw const nopal_xmm, nopal_xmm_info, false), 16),
            (Blob::new(&raw const nopal_ymm, nopal_ymm_info, false), 32),
        ]
    };
    // SAFETY: as above.
    let wide = unsafe {
        [
            (
                Blob::new(&raw const nopal_xmm_high, nopal_xmm_high_info, true),
                16,
            ),
            (
                Blob::new(&raw const nopal_ymm_high, nopal_ymm_high_info, true),
                32,
            ),
            (
                Blob::new(&raw const nopal_zmm_high, nopal_zmm_high_info, true),
                64,
            ),
            (
                Blob::new(&raw const nopal_zmm_init, nopal_zmm_init_info, false),
                64,
            ),
        ]
    };
    for state in [VectorState::Full, VectorState::Xmm] {
        for (blob, width) in narrow {
            check(state, blob, width, 32);
        }
        if is_x86_feature_detected!("avx512bw") {
            for (blob, width) in wide {
                check(state, blob, width, 64);
            }
        }
    }
}

#[test]
fn vector_registers_go_by_their_names() {
    let space = space(PROTOCOLS[0]);
    let code = spread().publish(&space);
    let hook = space.call_hook(|_, frame| {
        assert_eq!(frame.xmm(3)[..8], 7u64.to_le_bytes());
        frame.set_xmm(3, [0; 16]);
    });
    let hook = hook.unwrap();
    let mut patch = space.patch();
    patch.enable_all(code.sites(), &hook).commit().unwrap();
    // One of the four places where the argument is holds zero.
    assert_eq!(call(&code, 7), 3 * 7);
    assert_eq!(hook.panic_message(), None);
}
