//! AArch64: clean the data cache to the point of unification, invalidate the instruction cache,
//! with a barrier after each.
//!
//! Sources: Arm ARM (DDI 0487) B2.2.5 "Concurrent modification and execution of instructions",
//! D7.5 "Ordering and completion of data and instruction cache instructions", D19.2.34 `CTR_EL0`.

use core::arch::asm;

use crate::{CacheMaintenance, Error, Operation};

/// Another core may hold prefetched instructions from before the invalidation; only a context
/// synchronization event on that core discards them.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = true;

/// Exception return is a context synchronization event unless `SCTLR_EL1.EOS` is clear, and Linux
/// sets it (`arch/arm64/include/asm/sysreg.h`, `INIT_SCTLR_EL1_MMU_ON`).
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = true;

/// By the event at each exit from the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// The fields of `CTR_EL0` that decide which operations are needed.
#[derive(Clone, Copy)]
struct CacheType(u64);

impl CacheType {
    /// Reads the register each time: cores of one chip may differ in line size, and the kernel
    /// then traps the access and answers with values that are right for all of them. The same
    /// trap hides `DIC` on cores with Neoverse-N1 erratum 1542419.
    fn read() -> CacheType {
        let value: u64;
        // SAFETY: CTR_EL0 is readable at EL0 (directly or through the kernel's emulation), and
        // reading it has no side effect.
        unsafe {
            asm!("mrs {}, ctr_el0", out(reg) value, options(nomem, nostack, preserves_flags))
        };
        CacheType(value)
    }

    /// IDC: data need not be cleaned to the point of unification.
    fn data_coherent(self) -> bool {
        self.0 >> 28 & 1 != 0
    }

    /// DIC: instructions need not be invalidated to the point of unification.
    fn instruction_coherent(self) -> bool {
        self.0 >> 29 & 1 != 0
    }

    /// DminLine, in bytes.
    fn data_line(self) -> usize {
        4 << (self.0 >> 16 & 0xf)
    }

    /// IminLine, in bytes.
    fn instruction_line(self) -> usize {
        4 << (self.0 & 0xf)
    }
}

/// Makes stores to `[start, start + len)` visible to instruction fetch of every core, for the
/// address range given, which must be the one the code is executed at.
///
/// # Safety
/// The range must be mapped and readable.
pub(crate) unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
    cache_maintenance().each_operation(start, len, |operation| {
        // SAFETY: the caller promises that the range is mapped and readable; its lines are cleaned
        // and invalidated, which changes no memory contents.
        unsafe { perform(operation) }
    });
    Ok(())
}

/// # Safety
/// The line of the operation, if it has one, must be mapped and readable.
#[inline]
unsafe fn perform(operation: Operation) {
    // SAFETY: the caller's promise; maintenance changes no memory contents, barriers have no operands.
    unsafe {
        match operation {
            Operation::CleanData(line) => {
                asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags));
            }
            Operation::InvalidateInstructions(line) => {
                asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags));
            }
            Operation::Complete => asm!("dsb ish", options(nostack, preserves_flags)),
            Operation::Synchronize => barrier(),
        }
    }
}

/// Discards what this core has prefetched.
pub(crate) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    let cache = CacheType::read();
    CacheMaintenance::ByAddress {
        data_line: (!cache.data_coherent()).then(|| cache.data_line()),
        instruction_line: (!cache.instruction_coherent()).then(|| cache.instruction_line()),
    }
}
