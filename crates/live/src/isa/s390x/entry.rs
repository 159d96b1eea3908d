//! From a call stub to Rust and back, with every register saved and restored.
//!
//! Not saved: `%r14`, which the call in the site overwrites; the condition code, which holds no value at a
//! site; access registers, of which the ABI reserves two and Rust uses no other. With [`VectorState::Xmm`], or
//! on a processor without the vector facility, vector registers are `%f0` to `%f15`.

use std::arch::naked_asm;

use super::cpu;
use super::frame::offset;
use crate::hook::dispatch;
use crate::{Result, VectorState};

/// Address of the code that call stubs jump to.
pub(crate) fn entry_point(state: VectorState) -> Result<usize> {
    let entry = match state {
        VectorState::Full if cpu::has_vectors() => enter_vectors,
        VectorState::Full | VectorState::Xmm => enter_floats,
    };
    Ok(entry as *const () as usize)
}

/// Entered from a call stub with the hook's context in `%r0`, and a frame on the stack in which `%r0` and
/// `%r1` are saved. Saves the other general registers, floating-point control, and the part of the vector
/// state that the given code stores, calls the dispatcher, and undoes it.
macro_rules! entry {
    ($name:ident, count: $count:literal, save: [$($save:literal),* $(,)?], restore: [$($restore:literal),* $(,)?]) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                // The canonical frame address is 160 bytes above the caller's stack pointer.
                ".cfi_def_cfa %r15, {size} + 160",
                "stmg %r2, %r13, {gpr} + 16(%r15)",
                "la %r1, {size}(%r15)",
                "stg %r1, 0(%r15)",
                "stg %r14, {gpr} + 112(%r15)",
                "stg %r1, {gpr} + 120(%r15)",
                "stg %r14, {return_address}(%r15)",
                ".cfi_offset %r14, {return_address} - {size} - 160",
                "stfpc {fpc}(%r15)",
                "mvhi {vector_count}(%r15), {count}",
                $($save,)*
                "lgr %r2, %r15",
                "lgr %r3, %r0",
                "brasl %r14, {dispatch}",
                $($restore,)*
                "lfpc {fpc}(%r15)",
                "lg %r14, {return_address}(%r15)",
                "lmg %r0, %r13, {gpr}(%r15)",
                "la %r15, {size}(%r15)",
                ".cfi_def_cfa_offset 160",
                "br %r14",
                ".cfi_endproc",
                size = const offset::SIZE,
                gpr = const offset::GPR,
                return_address = const offset::RETURN_ADDRESS,
                fpc = const offset::FPC,
                vector_count = const offset::VECTOR_COUNT,
                count = const $count,
                vectors = const offset::VECTORS,
                dispatch = sym dispatch,
            )
        }
    };
}

entry!(
    enter_floats,
    count: 16,
    save: [
        "xc {vectors}(256, %r15), {vectors}(%r15)",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"std %f\n, {vectors} + 16 * \n(%r15)",
        ".endr",
    ],
    restore: [
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"ld %f\n, {vectors} + 16 * \n(%r15)",
        ".endr",
    ]
);

entry!(
    enter_vectors,
    count: 32,
    save: [
        ".machine push",
        ".machine z13",
        "vstm %v0, %v15, {vectors}(%r15)",
        "vstm %v16, %v31, {vectors} + 256(%r15)",
        ".machine pop",
    ],
    restore: [
        ".machine push",
        ".machine z13",
        "vlm %v0, %v15, {vectors}(%r15)",
        "vlm %v16, %v31, {vectors} + 256(%r15)",
        ".machine pop",
    ]
);
