//! From a call stub to Rust and back, with every register saved and restored.
//!
//! Not saved: `ra`, which the call in the site overwrites. With [`VectorState::Xmm`], or without vector
//! registers, floating-point registers are all that is saved beside the integer registers.

use std::arch::naked_asm;

use super::cpu;
use super::frame::offset;
use super::island::FRAME;
use crate::hook::dispatch;
use crate::{Result, VectorState};

/// Address of the code that call stubs jump to.
pub(crate) fn entry_point(state: VectorState) -> Result<usize> {
    let entry = match state {
        VectorState::Full if cpu::has_vectors() => enter_with_vectors,
        VectorState::Full | VectorState::Xmm => enter,
    };
    Ok(entry as *const () as usize)
}

/// Entered from a call stub with the hook's context in `t1`: below `s0` are the return address and the
/// guest's `s0`, `t1` and `t2`, down to the stack pointer. Saves the integer and floating-point registers
/// and what the given code stores (with `t2`, `a0` to `a5` and `s1` at hand, the frame at `sp`), calls the
/// dispatcher, and undoes it.
macro_rules! entry {
    ($name:ident, reserve: [$($reserve:literal),* $(,)?], save: [$($save:literal),* $(,)?],
     restore: [$($restore:literal),* $(,)?], $($operand:ident = $value:expr),* $(,)?) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                ".cfi_def_cfa s0, 0",
                ".cfi_offset ra, -8",
                ".cfi_offset s0, -16",
                ".option push",
                ".option arch, +d",
                $($reserve,)*
                "addi sp, sp, -{size}",
                ".irp n, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"sd x\n, 8*\n(sp)",
                ".endr",
                "sd zero, 0(sp)",
                "sd ra, 8*1(sp)",
                "sd s0, 8*2(sp)",
                "ld a0, -24(s0)",
                "sd a0, 8*6(sp)",
                "ld a0, -32(s0)",
                "sd a0, 8*7(sp)",
                "ld a0, -16(s0)",
                "sd a0, 8*8(sp)",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"fsd f\n, {fpr}+8*\n(sp)",
                ".endr",
                "frcsr a0",
                "sd a0, {fcsr}(sp)",
                $($save,)*
                "mv a0, sp",
                "mv a1, t1",
                "call {dispatch}",
                $($restore,)*
                "ld a0, {fcsr}(sp)",
                "fscsr a0",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"fld f\n, {fpr}+8*\n(sp)",
                ".endr",
                // The registers to be restored last go where `s0` finds them.
                "ld ra, 8*1(sp)",
                "ld a0, 8*8(sp)",
                "sd a0, -16(s0)",
                ".irp n, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"ld x\n, 8*\n(sp)",
                ".endr",
                "addi sp, s0, -{call_frame}",
                "ld s0, {call_frame}-16(sp)",
                "addi sp, sp, {call_frame}",
                "ret",
                ".option pop",
                ".cfi_endproc",
                call_frame = const FRAME,
                size = const offset::SIZE,
                fpr = const offset::FPR,
                fcsr = const offset::FCSR,
                dispatch = sym dispatch,
                $($operand = const $value,)*
            )
        }
    };
}

entry!(
    enter,
    reserve: [],
    save: ["sd zero, {vlenb}(sp)"],
    restore: [],
    vlenb = offset::VLENB,
);

// A vector register takes as many bytes as the processor says. Moves of whole registers do not depend on
// `vl` and `vtype`, but begin at element `vstart`, which is therefore cleared meanwhile. (RISC-V ISA vol. I,
// "V": "Vector Load/Store Whole Register Instructions".) What a `vl` was that is at most VLMAX, it becomes
// again.
entry!(
    enter_with_vectors,
    reserve: [
        ".option arch, +v",
        "csrr t2, vlenb",
        "slli t2, t2, 5",
        "sub sp, sp, t2",
    ],
    save: [
        "csrr a0, vlenb",
        "csrr a1, vl",
        "csrr a2, vtype",
        "csrr a3, vstart",
        "csrr a4, vcsr",
        "sd a0, {vlenb}(sp)",
        "sd a1, {vl}(sp)",
        "sd a2, {vl}+8(sp)",
        "sd a3, {vl}+16(sp)",
        "sd a4, {vl}+24(sp)",
        "csrw vstart, zero",
        "slli a0, a0, 3",
        "addi a1, sp, {vectors}",
        "vs8r.v v0, (a1)",
        "add a1, a1, a0",
        "vs8r.v v8, (a1)",
        "add a1, a1, a0",
        "vs8r.v v16, (a1)",
        "add a1, a1, a0",
        "vs8r.v v24, (a1)",
    ],
    restore: [
        "ld a0, {vlenb}(sp)",
        "slli a0, a0, 3",
        "addi a1, sp, {vectors}",
        "csrw vstart, zero",
        "vl8re8.v v0, (a1)",
        "add a1, a1, a0",
        "vl8re8.v v8, (a1)",
        "add a1, a1, a0",
        "vl8re8.v v16, (a1)",
        "add a1, a1, a0",
        "vl8re8.v v24, (a1)",
        "ld a1, {vl}(sp)",
        "ld a2, {vl}+8(sp)",
        "ld a3, {vl}+16(sp)",
        "ld a4, {vl}+24(sp)",
        "vsetvl zero, a1, a2",
        "csrw vcsr, a4",
        "csrw vstart, a3",
    ],
    vlenb = offset::VLENB,
    vl = offset::VL,
    vectors = offset::VECTORS,
);
