//! From a call stub to Rust and back, with every register saved and restored.
//!
//! Vector registers are saved by plain stores rather than by `xsavec`: measured on a Skylake server,
//! `xsavec` and `xrstor` take 83–123 ns whatever is in use, storing and loading sixteen `xmm` 5 ns
//! and all thirty-two `zmm` 13 ns. `xgetbv` (4 ns) tells what is in use. If the upper halves are not,
//! only the `xmm` registers are stored, and `vzeroupper` on the way back keeps the upper halves
//! clean: reloading them, even with zeros, would slow down every later SSE instruction of the guest.
//!
//! Not saved: flags (they hold no value at a site), the x87 and MMX registers and the control bits of
//! MXCSR (the psABI has them empty and unchanged around calls; so they are around the hook), AMX tiles
//! and the APX registers (only touched by code built for them).

use std::arch::naked_asm;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::cpu::{AVX, HI16_ZMM, OPMASK, VectorFeatures, ZMM_HI256};
use super::frame::offset;
use crate::hook::dispatch;
use crate::{Error, Result, VectorState};

/// State components present on this processor.
static COMPONENTS: AtomicU32 = AtomicU32::new(0);
/// Whether `xgetbv` can tell which are in use; otherwise all are taken to be.
static TELLS_IN_USE: AtomicU8 = AtomicU8::new(0);

/// Address of the code that call stubs jump to.
pub(crate) fn entry_point(state: VectorState) -> Result<usize> {
    static FEATURES: OnceLock<VectorFeatures> = OnceLock::new();
    let features = FEATURES.get_or_init(|| {
        let features = VectorFeatures::detect();
        COMPONENTS.store(features.components, Ordering::Relaxed);
        TELLS_IN_USE.store(features.tells_in_use.into(), Ordering::Relaxed);
        features
    });
    if state == VectorState::Xmm || features.components == 0 {
        return Ok(enter_xmm as *const () as usize);
    }
    if features.components & OPMASK != 0 && !features.wide_masks {
        return Err(Error::Unsupported(
            "full vector state on a processor with AVX-512F but not AVX-512BW; use VectorState::Xmm",
        ));
    }
    Ok(enter_full as *const () as usize)
}

/// Stores four `xmm` registers together, `offset` bytes after the first of them, by way of a `zmm`.
#[rustfmt::skip]
macro_rules! pack {
    ($by:literal, [$a:literal, $b:literal, $c:literal, $d:literal], $offset:literal) => {
        concat!(
            "vinserti32x4 zmm", $by, ", zmm", $a, ", xmm", $b, ", 1\n",
            "vinserti32x4 zmm", $by, ", zmm", $by, ", xmm", $c, ", 2\n",
            "vinserti32x4 zmm", $by, ", zmm", $by, ", xmm", $d, ", 3\n",
            "vmovups [rsp + {vectors} + ", $offset, "], zmm", $by,
        )
    };
}

/// Entered from a call stub: `[rbp]` is the guest's `rbp`, `[rbp + 8]` the return address,
/// `[rbp - 8]` the hook's context. Saves the general registers and the part of the vector state that
/// the given code stores, calls the dispatcher, and undoes it.
macro_rules! entry {
    ($name:ident, $size:expr, save: [$($save:expr),* $(,)?], restore: [$($restore:expr),* $(,)?],
     $($operand:ident = $kind:ident $value:expr),* $(,)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                ".cfi_def_cfa rbp, 16",
                ".cfi_offset rbp, -16",
                "endbr64",
                "sub rsp, {size}",
                "and rsp, -64",
                "mov [rsp + 0], rax",
                "mov [rsp + 8], rcx",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], rbx",
                "lea rax, [rbp + 16]",
                "mov [rsp + 32], rax",
                "mov rax, [rbp]",
                "mov [rsp + 40], rax",
                "mov [rsp + 48], rsi",
                "mov [rsp + 56], rdi",
                ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
                r"mov [rsp + 8 * \n], r\n",
                ".endr",
                "mov rax, [rbp + 8]",
                "mov [rsp + {return_address}], rax",
                $($save,)*
                "mov rdi, rsp",
                "mov rsi, [rbp - 8]",
                "call {dispatch}",
                $($restore,)*
                ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
                r"mov r\n, [rsp + 8 * \n]",
                ".endr",
                "mov rdi, [rsp + 56]",
                "mov rsi, [rsp + 48]",
                "mov rax, [rsp + 40]",
                "mov [rbp], rax",
                "mov rbx, [rsp + 24]",
                "mov rdx, [rsp + 16]",
                "mov rcx, [rsp + 8]",
                "mov rax, [rsp + 0]",
                "leave",
                "ret",
                ".cfi_endproc",
                size = const $size,
                return_address = const offset::RETURN_ADDRESS,
                stride = const offset::VECTOR_STRIDE,
                in_use = const offset::IN_USE,
                vectors = const offset::VECTORS,
                dispatch = sym dispatch,
                $($operand = $kind $value,)*
            )
        }
    };
}

entry!(
    enter_xmm,
    offset::XMM_SIZE,
    save: [
        "mov qword ptr [rsp + {stride}], 16",
        "mov qword ptr [rsp + {in_use}], 0",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups [rsp + {vectors} + 16 * \n], xmm\n",
        ".endr",
    ],
    restore: [
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups xmm\n, [rsp + {vectors} + 16 * \n]",
        ".endr",
    ],
);

entry!(
    enter_full,
    offset::FULL_SIZE,
    save: [
        // eax: the components in use.
        "mov eax, dword ptr [rip + {components}]",
        "cmp byte ptr [rip + {tells_in_use}], 0",
        "je 2f",
        "mov ebx, eax",
        "mov ecx, 1",
        "xgetbv",
        "and eax, ebx",
        "2:",
        "mov [rsp + {in_use}], rax",
        "test eax, {hi16_zmm}",
        "jz 2f",
        ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        r"vmovups [rsp + {high_vectors} + 64 * (\n - 16)], zmm\n",
        ".endr",
        "2:",
        "test eax, {zmm_hi256}",
        "jnz 4f",
        "test eax, {avx}",
        "jnz 3f",
        "mov qword ptr [rsp + {stride}], 16",
        "test eax, {hi16_zmm}",
        "jz 2f",
        // There are more stores on the way than half a store buffer has room for, which is what a thread gets of a shared
        // core: four registers a store, by way of registers just saved.
        pack!(16, [0, 1, 2, 3], 0),
        pack!(17, [4, 5, 6, 7], 64),
        pack!(18, [8, 9, 10, 11], 128),
        pack!(19, [12, 13, 14, 15], 192),
        "jmp 5f",
        "2:",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups [rsp + {vectors} + 16 * \n], xmm\n",
        ".endr",
        "jmp 5f",
        "3:",
        "mov qword ptr [rsp + {stride}], 32",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"vmovups [rsp + {vectors} + 32 * \n], ymm\n",
        ".endr",
        "jmp 5f",
        "4:",
        "mov qword ptr [rsp + {stride}], 64",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"vmovups [rsp + {vectors} + 64 * \n], zmm\n",
        ".endr",
        "5:",
        "test eax, {opmask}",
        "jz 6f",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
        r"kmovq [rsp + {masks} + 8 * \n], k\n",
        ".endr",
        "6:",
    ],
    restore: [
        // What was not in use was zero: clear what the hook has brought into use.
        "mov edx, dword ptr [rsp + {in_use}]",
        "not edx",
        "mov ebx, dword ptr [rip + {components}]",
        "and ebx, edx",
        "and ebx, {hi16_zmm} + {opmask}",
        "jz 3f",
        "mov ecx, 1",
        "xgetbv",
        "and ebx, eax",
        "test ebx, {hi16_zmm}",
        "jz 2f",
        ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        r"vpxord zmm\n, zmm\n, zmm\n",
        ".endr",
        "2:",
        "test ebx, {opmask}",
        "jz 3f",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
        r"kxorq k\n, k\n, k\n",
        ".endr",
        "3:",
        "mov eax, dword ptr [rsp + {in_use}]",
        "test eax, {hi16_zmm}",
        "jz 4f",
        ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        r"vmovups zmm\n, [rsp + {high_vectors} + 64 * (\n - 16)]",
        ".endr",
        "4:",
        "test eax, {opmask}",
        "jz 5f",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
        r"kmovq k\n, [rsp + {masks} + 8 * \n]",
        ".endr",
        "5:",
        "test eax, {zmm_hi256}",
        "jnz 7f",
        "test eax, {avx}",
        "jnz 6f",
        "vzeroupper",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups xmm\n, [rsp + {vectors} + 16 * \n]",
        ".endr",
        "jmp 8f",
        "6:",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"vmovups ymm\n, [rsp + {vectors} + 32 * \n]",
        ".endr",
        "jmp 8f",
        "7:",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"vmovups zmm\n, [rsp + {vectors} + 64 * \n]",
        ".endr",
        "8:",
    ],
    components = sym COMPONENTS,
    tells_in_use = sym TELLS_IN_USE,
    avx = const AVX,
    zmm_hi256 = const ZMM_HI256,
    hi16_zmm = const HI16_ZMM,
    opmask = const OPMASK,
    high_vectors = const offset::HIGH_VECTORS,
    masks = const offset::MASKS,
);
