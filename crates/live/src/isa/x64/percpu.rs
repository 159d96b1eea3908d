//! Increments without locked instructions, in restartable sequences.
//!
//! A counter has a row for each CPU. Only threads on that CPU write to the row, and only from inside
//! a restartable sequence whose last instruction is the increment: a thread that is preempted, moved
//! or interrupted by a signal between reading the CPU's number and incrementing goes on at the
//! sequence's abort address, and counts in the shared row with a locked instruction instead. (It
//! does not try again: a debugger that steps through would never get out.)
//!
//! The descriptor's address is removed from the thread's area afterwards, so that the kernel does
//! not look at it when it may be gone.

use std::arch::asm;

use crate::os::PerCpu;

/// Offsets in `struct rseq` (`linux/rseq.h`).
pub(super) const CPU_ID: i32 = 4;
pub(super) const RSEQ_CS: i32 = 8;
/// What the C library registers as the mark that must stand before an abort address.
pub(super) const SIGNATURE: u32 = 0x5305_3053;

/// The number of the CPU the thread runs on, or a very large one if the kernel does not tell.
///
/// # Safety
/// `area` is the offset of the thread's `struct rseq`.
pub(crate) unsafe fn current_cpu(area: i32) -> u32 {
    let cpu;
    // SAFETY: reads a field of the area, which the caller vouches for.
    unsafe {
        asm!(
            "mov {cpu:e}, fs:[{area} + {cpu_id}]",
            area = in(reg) i64::from(area),
            cpu = out(reg) cpu,
            cpu_id = const CPU_ID,
            options(nostack, preserves_flags, readonly),
        );
    }
    cpu
}

/// Adds one to a counter, whose rows are `1 << ROW_SHIFT` bytes apart, the shared one first.
///
/// # Safety
/// `shared` is the address of the counter's word in the shared row, and as many rows follow as
/// `per_cpu` has CPUs.
pub(crate) unsafe fn increment<const ROW_SHIFT: u32>(shared: *mut u64, per_cpu: PerCpu) {
    // SAFETY: writes one word of the counter, atomically with respect to all other writers by the
    // argument at the top of the file. Nothing but flags and the named registers changes.
    unsafe {
        asm!(
            "lea {row}, [rip + 5f]",
            "mov fs:[{area} + {rseq_cs}], {row}",
            "2:",
            "mov {row:e}, fs:[{area} + {cpu_id}]",
            "cmp {row:e}, {cpus:e}",
            "jae 4f",
            "shl {row}, {shift}",
            "inc qword ptr [{shared} + {row} + {row_bytes}]",
            "3:",
            "mov qword ptr fs:[{area} + {rseq_cs}], 0",
            ".subsection 1",
            // A valid instruction whose last four bytes are the signature.
            ".byte 0x0f, 0xb9, 0x3d",
            ".long {signature}",
            "4:",
            "lock inc qword ptr [{shared}]",
            "jmp 3b",
            ".previous",
            ".pushsection .data.rel.ro.nopal_rseq, \"aw\"",
            ".balign 32",
            "5:",
            ".long 0, 0",
            ".quad 2b, 3b - 2b, 4b",
            ".popsection",
            shared = in(reg) shared,
            area = in(reg) i64::from(per_cpu.area),
            cpus = in(reg) per_cpu.cpus,
            row = out(reg) _,
            shift = const ROW_SHIFT,
            row_bytes = const 1 << ROW_SHIFT,
            cpu_id = const CPU_ID,
            rseq_cs = const RSEQ_CS,
            signature = const SIGNATURE,
            options(nostack),
        );
    }
}
