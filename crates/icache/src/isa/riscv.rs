//! RISC-V: `FENCE.I` orders a hart's own stores before its own fetches, and reaches no other hart.
//!
//! A thread under an operating system may be moved to another hart right after its `FENCE.I`, so
//! there only the kernel can do it.
//! Sources: RISC-V ISA vol. I, "Zifencei"; Linux `arch/riscv/kernel/sys_riscv.c`,
//! `arch/riscv/mm/cacheflush.c`, `Documentation/arch/riscv/cmodx.rst`.

use crate::{CacheMaintenance, Error};

/// No exit from the kernel is a `FENCE.I`.
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = false;

/// `FENCE.I` is an act of the hart.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = false;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use core::ffi::c_long;

    use super::{CacheMaintenance, Error};
    use crate::os::check;

    /// `riscv_flush_icache`: the first of the numbers that architectures may use as they like is
    /// 244, and this is the fifteenth after it.
    const FLUSH_ICACHE: c_long = 244 + 15;

    /// All harts; bit 0 would mean the calling hart only.
    const ALL_HARTS: c_long = 0;

    /// The system call of `clear` has reached all harts.
    pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

    pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = Some(flush_all);

    /// A `FENCE.I` on every hart that runs a thread of the process, and on every other one before
    /// it next does.
    ///
    /// # Safety
    /// None: the range is a hint.
    pub(crate) unsafe fn clear(start: usize, len: usize) -> Result<(), Error> {
        flush(start, start.saturating_add(len)).map_err(|errno| Error::Cache { errno })
    }

    fn flush_all() -> Result<(), i32> {
        flush(0, usize::MAX)
    }

    fn flush(start: usize, end: usize) -> Result<(), i32> {
        // SAFETY: the call takes three integers and changes no memory contents.
        check(unsafe { libc::syscall(FLUSH_ICACHE, start, end, ALL_HARTS) }).map(|_| ())
    }

    /// The `FENCE.I` of the calling hart alone would say nothing about the calling thread; what
    /// needs one goes through `FLUSH_CALL`.
    pub(crate) fn barrier() {}

    pub(crate) fn cache_maintenance() -> CacheMaintenance {
        CacheMaintenance::System
    }
}

#[cfg(target_os = "none")]
mod system {
    use core::arch::asm;

    use super::{CacheMaintenance, Error};

    /// There is one hart, and `clear` is its barrier.
    pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

    pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

    /// Orders this hart's stores before its fetches.
    pub(crate) unsafe fn clear(_start: usize, _len: usize) -> Result<(), Error> {
        barrier();
        Ok(())
    }

    /// `FENCE.I`, spelt so that it assembles for targets whose name does not promise Zifencei.
    pub(crate) fn barrier() {
        // SAFETY: fences.
        unsafe {
            asm!(
                "fence rw, rw",
                ".insn i 0x0f, 1, x0, x0, 0",
                options(nostack, preserves_flags)
            )
        };
    }

    pub(crate) fn cache_maintenance() -> CacheMaintenance {
        CacheMaintenance::Barrier
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "none")))]
compile_error!(
    "nopal-icache knows no way to reach all harts of a RISC-V machine on this operating system; supported: linux, \
     android, none"
);

pub(crate) use system::*;
