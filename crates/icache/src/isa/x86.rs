//! x86 and x86-64: instruction caches snoop stores, so there is no cache operation to perform.
//!
//! Sources: Intel SDM vol. 3A §13.6 "Self-Modifying Code", §10.1.3 "Handling Self- and
//! Cross-Modifying Code", §10.3 "Serializing Instructions"; AMD APM vol. 2 §7.6.1, §7.6.4.

use core::arch::asm;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::{CacheMaintenance, Error};

/// A core that has never fetched from a range sees what was stored there before it learnt the
/// address, by the ordinary ordering of loads and stores.
pub(crate) const FRESH_CODE_NEEDS_BROADCAST: bool = false;

/// `IRET` serializes, but the kernel may also return with `SYSRET` or `SYSEXIT`, which do not
/// (Linux, `Documentation/features/sched/membarrier-sync-core/arch-support.txt`).
pub(crate) const KERNEL_EXIT_SYNCHRONIZES: bool = false;

/// What a core has in flight belongs to the instruction stream it executes. A thread that comes
/// from another core is fetched anew after the switch in the kernel.
pub(crate) const BARRIER_FOLLOWS_THREAD: bool = true;

pub(crate) const FLUSH_CALL: Option<fn() -> Result<(), i32>> = None;

/// Keeps the compiler from moving stores of code past this point.
#[inline]
pub(crate) unsafe fn clear(_start: usize, _len: usize) -> Result<(), Error> {
    compiler_fence(Ordering::SeqCst);
    Ok(())
}

/// `CPUID`: the one serializing instruction that every privilege level may execute on every
/// processor. (`IRET` within user mode would upset shadow stacks; `SERIALIZE` is recent.)
pub(crate) fn barrier() {
    // SAFETY: CPUID leaf 0 exists wherever CPUID does and changes eax, ebx, ecx and edx alone; ebx
    // belongs to the compiler and is put back.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "mov {keep:r}, rbx", "cpuid", "mov rbx, {keep:r}",
            keep = out(reg) _, inout("eax") 0 => _, out("ecx") _, out("edx") _,
            options(nostack, preserves_flags)
        )
    };
    // SAFETY: as above.
    #[cfg(target_arch = "x86")]
    unsafe {
        asm!(
            "mov {keep:e}, ebx", "cpuid", "mov ebx, {keep:e}",
            keep = out(reg) _, inout("eax") 0 => _, out("ecx") _, out("edx") _,
            options(nostack, preserves_flags)
        )
    };
}

pub(crate) fn cache_maintenance() -> CacheMaintenance {
    CacheMaintenance::Coherent
}
