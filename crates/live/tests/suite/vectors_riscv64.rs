//! Floating-point and vector registers survive a call hook that overwrites all of them.

use std::arch::{asm, global_asm};
use std::slice;

use super::common::{PROTOCOLS, SITE, config};
use nopal_live::{CodeSpace, SiteDesc, VectorState};

/// Bytes of the widest register that is tested.
const WIDEST: usize = 1024;
/// What the guest has in `fcsr`: rounding towards zero, three flags.
const FCSR: u64 = 0x35;
/// `vl`, `vtype` (`e16`, `m2`, `ta`), `vstart`, and in `vcsr` rounding down and saturation.
const VECTOR_STATE: [u64; 4] = [5, 0x49, 2, 5];

/// `f0..31` and `fcsr`, `vl` and the others, `v0..31` without gaps; what is not in use stays zero.
#[repr(C, align(16))]
struct Registers {
    floats: [u64; 32],
    fcsr: u64,
    vector_state: [u64; 4],
    vectors: [u8; 32 * WIDEST],
}

impl Registers {
    fn zero() -> Box<Registers> {
        Box::new(Registers {
            floats: [0; 32],
            fcsr: 0,
            vector_state: [0; 4],
            vectors: [0; 32 * WIDEST],
        })
    }

    fn pattern() -> Box<Registers> {
        let mut before = Registers::zero();
        let mut byte = 1u8;
        before.vectors.fill_with(|| {
            byte = byte.wrapping_mul(5).wrapping_add(11);
            byte
        });
        for (number, float) in before.floats.iter_mut().enumerate() {
            *float = 0x0123_4567_89ab_cdef_u64.rotate_left(7 * number as u32);
        }
        before.fcsr = FCSR;
        before.vector_state = VECTOR_STATE;
        before
    }
}

// `fn(before: *const Registers, after: *mut Registers, vectors: bool)`, position-independent, with one site;
// after it come the length of the code and the end of the site, as two words.
global_asm!(
    ".option push",
    ".option norvc",
    ".option arch, +v",
    ".p2align 6",
    "nopal_registers:",
    "addi sp, sp, -112",
    "sd ra, 96(sp)",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    r"fsd fs\n, 8*\n(sp)",
    ".endr",
    "csrr t6, fcsr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"fld f\n, 8*\n(a0)",
    ".endr",
    "ld t0, 256(a0)",
    "fscsr t0",
    "beqz a2, 1f",
    "csrr a3, vlenb",
    "slli a3, a3, 3",
    "addi t0, a0, 296",
    "vl8re8.v v0, (t0)",
    "add t0, t0, a3",
    "vl8re8.v v8, (t0)",
    "add t0, t0, a3",
    "vl8re8.v v16, (t0)",
    "add t0, t0, a3",
    "vl8re8.v v24, (t0)",
    "ld t0, 264(a0)",
    "ld t1, 272(a0)",
    "vsetvl zero, t0, t1",
    "ld t0, 288(a0)",
    "csrw vcsr, t0",
    "ld t0, 280(a0)",
    "csrw vstart, t0",
    "1:",
    "nop",
    "nopal_registers_site:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    r"fsd f\n, 8*\n(a1)",
    ".endr",
    "frcsr t0",
    "sd t0, 256(a1)",
    "fscsr t6",
    "beqz a2, 1f",
    "csrr t0, vl",
    "sd t0, 264(a1)",
    "csrr t0, vtype",
    "sd t0, 272(a1)",
    "csrr t0, vstart",
    "sd t0, 280(a1)",
    "csrr t0, vcsr",
    "sd t0, 288(a1)",
    "csrw vstart, zero",
    "csrw vcsr, zero",
    "addi t0, a1, 296",
    "vs8r.v v0, (t0)",
    "add t0, t0, a3",
    "vs8r.v v8, (t0)",
    "add t0, t0, a3",
    "vs8r.v v16, (t0)",
    "add t0, t0, a3",
    "vs8r.v v24, (t0)",
    "1:",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    r"fld fs\n, 8*\n(sp)",
    ".endr",
    "ld ra, 96(sp)",
    "addi sp, sp, 112",
    "ret",
    "nopal_registers_end:",
    ".p2align 3",
    "nopal_registers_info:",
    ".quad nopal_registers_end - nopal_registers, nopal_registers_site - nopal_registers",
    ".option pop",
);

unsafe extern "C" {
    static nopal_registers: u8;
    static nopal_registers_info: [usize; 2];
}

fn has_vectors() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::getauxval(libc::AT_HWCAP) & 1 << (b'V' - b'A') != 0 }
}

/// Bytes of a vector register.
fn vector_width() -> usize {
    let width;
    // SAFETY: the caller has checked that there are some; nothing is changed.
    unsafe {
        asm!(
            ".option push",
            ".option arch, +v",
            "csrr {width}, vlenb",
            ".option pop",
            width = out(reg) width,
            options(nomem, nostack, preserves_flags),
        );
    }
    width
}

/// Fills every register that is not an integer's, and does not clean up.
fn overwrite_all(vectors: bool) {
    // SAFETY: only overwrites registers declared as overwritten, with instructions that were checked for by
    // the caller. Of `fcsr`, only flags.
    unsafe {
        asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            r"fmv.d.x f\n, sp",
            ".endr",
            "csrwi fflags, 10",
            out("fs0") _, out("fs1") _, out("fs2") _, out("fs3") _, out("fs4") _, out("fs5") _,
            out("fs6") _, out("fs7") _, out("fs8") _, out("fs9") _, out("fs10") _, out("fs11") _,
            clobber_abi("C"),
        );
        if vectors {
            asm!(
                ".option push",
                ".option arch, +v",
                "vsetvli t0, zero, e8, m8, tu, mu",
                ".irp n, 0, 8, 16, 24",
                r"vmv.v.i v\n, 9",
                ".endr",
                "csrwi vcsr, 2",
                ".option pop",
                clobber_abi("C"),
            );
        }
    }
}

/// Runs the function above with a hook that overwrites everything.
fn run(state: VectorState, vectors: bool) -> [Box<Registers>; 2] {
    // SAFETY: the statics are defined above and never change; the bytes are those between labels.
    let (bytes, [len, site]) = unsafe {
        let info = nopal_registers_info;
        (
            slice::from_raw_parts(&raw const nopal_registers, info[0]),
            info,
        )
    };
    let mut config = config();
    let space = CodeSpace::new(config.vector_state(state).protocol(PROTOCOLS[0])).unwrap();
    let site = SiteDesc {
        ret_offset: site as u32,
        len: SITE.len() as u8,
    };
    let allocation = space.allocate(len, 64).unwrap();
    let code = allocation.publish(bytes, &[site]).unwrap();
    let hook = space.call_hook(move |_, frame| {
        for number in [15, 31] {
            frame.set_fpr(number, !frame.fpr(number));
            let saved = vectors && state == VectorState::Full;
            let width = if saved { vector_width() } else { 0 };
            assert_eq!(frame.vector(number).len(), width);
            for byte in frame.vector_mut(number) {
                *byte = !*byte;
            }
        }
        overwrite_all(has_vectors());
    });
    let hook = hook.unwrap();
    space
        .patch()
        .enable_all(code.sites(), &hook)
        .commit()
        .unwrap();
    // SAFETY: the function has this type.
    let function: extern "C" fn(*const Registers, *mut Registers, bool) =
        unsafe { std::mem::transmute(code.base()) };
    let before = Registers::pattern();
    let mut after = Registers::zero();
    function(&raw const *before, &raw mut *after, vectors);
    assert_eq!(hook.panic_message(), None);
    [before, after]
}

#[test]
fn full_and_low_state_survive() {
    for state in [VectorState::Full, VectorState::Xmm] {
        let [mut before, after] = run(state, has_vectors());
        for number in [15, 31] {
            before.floats[number] = !before.floats[number];
        }
        assert_eq!(after.floats, before.floats);
        assert_eq!(after.fcsr, FCSR);
        if !has_vectors() {
            continue;
        }
        let width = vector_width();
        assert!(width <= WIDEST, "vector registers of {width} bytes");
        if state == VectorState::Xmm {
            // What the hook does is not undone.
            assert!(after.vectors[..32 * width] != before.vectors[..32 * width]);
            continue;
        }
        assert_eq!(after.vector_state, VECTOR_STATE);
        for number in [15, 31] {
            let register = &mut before.vectors[number * width..][..width];
            register.iter_mut().for_each(|byte| *byte = !*byte);
        }
        assert!(after.vectors[..32 * width] == before.vectors[..32 * width]);
    }
}
