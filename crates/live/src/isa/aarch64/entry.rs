//! From a call stub to Rust and back, with every register saved and restored.
//!
//! Not saved: `x30`, which the call in the site overwrites; FPCR, whose control bits AAPCS64 has unchanged
//! around calls, so around the hook; FPSR, whose bits are only ever added to; SME state, as sites are not
//! passed in streaming mode. With [`VectorState::Xmm`], or on a processor without SVE, vector registers are
//! `q0` to `q31`.

use std::arch::naked_asm;

use super::cpu;
use super::frame::offset;
use super::stub::CALL_FRAME;
use crate::hook::dispatch;
use crate::{Result, VectorState};

/// Address of the code that call stubs jump to.
pub(crate) fn entry_point(state: VectorState) -> Result<usize> {
    let entry = match state {
        VectorState::Full if cpu::has_sve() => enter_sve,
        VectorState::Full | VectorState::Xmm => enter_simd,
    };
    Ok(entry as *const () as usize)
}

/// Entered from a call stub with the hook's context in `x17`: `[x29]` is the guest's `x29`, followed by the
/// return address, `x16` and `x17`. Saves the general registers and the part of the vector state that the
/// given code stores (at `x2`, with `x3` at hand), calls the dispatcher, and undoes it.
macro_rules! entry {
    ($name:ident, reserve: [$($reserve:literal),* $(,)?], save: [$($save:literal),* $(,)?],
     restore: [$($restore:literal),* $(,)?], $($operand:ident = $kind:ident $value:expr),* $(,)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                ".cfi_def_cfa x29, {call_frame}",
                ".cfi_offset x29, -{call_frame}",
                ".cfi_offset x30, 8 - {call_frame}",
                "hint #34", // bti c
                $($reserve,)*
                "stp x0, x1, [sp, #0]",
                "stp x2, x3, [sp, #16]",
                "stp x4, x5, [sp, #32]",
                "stp x6, x7, [sp, #48]",
                "stp x8, x9, [sp, #64]",
                "stp x10, x11, [sp, #80]",
                "stp x12, x13, [sp, #96]",
                "stp x14, x15, [sp, #112]",
                "ldp x0, x1, [x29, #16]",
                "stp x0, x1, [sp, #128]",
                "stp x18, x19, [sp, #144]",
                "stp x20, x21, [sp, #160]",
                "stp x22, x23, [sp, #176]",
                "stp x24, x25, [sp, #192]",
                "stp x26, x27, [sp, #208]",
                "ldp x0, x1, [x29]",
                "stp x28, x0, [sp, #224]",
                "add x0, x29, {call_frame}",
                "stp x1, x0, [sp, #240]",
                "mrs x0, nzcv",
                "stp x1, x0, [sp, {return_address}]",
                "add x2, sp, {vectors}",
                $($save,)*
                "mov x0, sp",
                "mov x1, x17",
                "bl {dispatch}",
                "add x2, sp, {vectors}",
                $($restore,)*
                "ldr x0, [sp, {flags}]",
                "msr nzcv, x0",
                "ldp x28, x0, [sp, #224]",
                "str x0, [x29]",
                "ldp x0, x1, [sp, #0]",
                "ldp x2, x3, [sp, #16]",
                "ldp x4, x5, [sp, #32]",
                "ldp x6, x7, [sp, #48]",
                "ldp x8, x9, [sp, #64]",
                "ldp x10, x11, [sp, #80]",
                "ldp x12, x13, [sp, #96]",
                "ldp x14, x15, [sp, #112]",
                "ldp x16, x17, [sp, #128]",
                "ldp x18, x19, [sp, #144]",
                "ldp x20, x21, [sp, #160]",
                "ldp x22, x23, [sp, #176]",
                "ldp x24, x25, [sp, #192]",
                "ldp x26, x27, [sp, #208]",
                "mov sp, x29",
                "ldp x29, x30, [sp], {call_frame}",
                "ret",
                ".cfi_endproc",
                call_frame = const CALL_FRAME,
                return_address = const offset::RETURN_ADDRESS,
                flags = const offset::FLAGS,
                stride = const offset::VECTOR_STRIDE,
                vectors = const offset::VECTORS,
                dispatch = sym dispatch,
                $($operand = $kind $value,)*
            )
        }
    };
}

entry!(
    enter_simd,
    reserve: ["sub sp, sp, {size}"],
    save: [
        "mov x0, #16",
        "str x0, [sp, {stride}]",
        "stp q0, q1, [x2, #0]",
        "stp q2, q3, [x2, #32]",
        "stp q4, q5, [x2, #64]",
        "stp q6, q7, [x2, #96]",
        "stp q8, q9, [x2, #128]",
        "stp q10, q11, [x2, #160]",
        "stp q12, q13, [x2, #192]",
        "stp q14, q15, [x2, #224]",
        "stp q16, q17, [x2, #256]",
        "stp q18, q19, [x2, #288]",
        "stp q20, q21, [x2, #320]",
        "stp q22, q23, [x2, #352]",
        "stp q24, q25, [x2, #384]",
        "stp q26, q27, [x2, #416]",
        "stp q28, q29, [x2, #448]",
        "stp q30, q31, [x2, #480]",
    ],
    restore: [
        "ldp q0, q1, [x2, #0]",
        "ldp q2, q3, [x2, #32]",
        "ldp q4, q5, [x2, #64]",
        "ldp q6, q7, [x2, #96]",
        "ldp q8, q9, [x2, #128]",
        "ldp q10, q11, [x2, #160]",
        "ldp q12, q13, [x2, #192]",
        "ldp q14, q15, [x2, #224]",
        "ldp q16, q17, [x2, #256]",
        "ldp q18, q19, [x2, #288]",
        "ldp q20, q21, [x2, #320]",
        "ldp q22, q23, [x2, #352]",
        "ldp q24, q25, [x2, #384]",
        "ldp q26, q27, [x2, #416]",
        "ldp q28, q29, [x2, #448]",
        "ldp q30, q31, [x2, #480]",
    ],
    size = const offset::SIZE,
);

// Registers take a multiple of 16 bytes, which only the processor knows; predicate registers, of which
// the last one stored is FFR, an eighth of that. All seventeen fit into the room of three.
entry!(
    enter_sve,
    reserve: [
        ".arch_extension sve",
        "addvl sp, sp, #-32",
        "addvl sp, sp, #-3",
        "sub sp, sp, {vectors}",
    ],
    save: [
        "rdvl x0, #1",
        "str x0, [sp, {stride}]",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        r"str z\n, [x2, #\n, mul vl]",
        ".endr",
        "add x3, x2, x0, lsl #5",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"str p\n, [x3, #\n, mul vl]",
        ".endr",
        "rdffr p0.b",
        "str p0, [x3, #16, mul vl]",
    ],
    restore: [
        "ldr x0, [sp, {stride}]",
        "add x3, x2, x0, lsl #5",
        "ldr p0, [x3, #16, mul vl]",
        "wrffr p0.b",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"ldr p\n, [x3, #\n, mul vl]",
        ".endr",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        r"ldr z\n, [x2, #\n, mul vl]",
        ".endr",
        ".arch_extension nosve",
    ],
);
