//! What each architecture needs from the executing core: one file per architecture, each with the
//! same items.
//!
//! | item | meaning |
//! |---|---|
//! | `clear(start, len)` | make stores to the range visible to instruction fetch |
//! | `barrier()` | the calling core executes a context synchronization event |
//! | `cache_maintenance()` | what `clear` does, for logs |
//! | `FRESH_CODE_NEEDS_BROADCAST` | whether other cores need an event before they run code at addresses they never fetched |
//! | `KERNEL_EXIT_SYNCHRONIZES` | whether every return from the kernel to user mode is such an event |
//! | `BARRIER_FOLLOWS_THREAD` | whether a thread that executed `barrier` may be moved to another core by the kernel and run there, and a thread that is created later may run without one |
//! | `FLUSH_CALL` | a system call that reaches all cores of the process, if the kernel has one for this architecture |

// The last three are asked only where threads are reached by signals or by that system call.
#[cfg_attr(
    any(
        miri,
        not(any(
            target_os = "linux",
            target_os = "android",
            target_os = "netbsd",
            target_os = "openbsd"
        ))
    ),
    allow(dead_code, reason = "systems with a mechanism of their own ask less")
)]
#[cfg_attr(miri, path = "miri.rs")]
#[cfg_attr(
    all(not(miri), any(target_arch = "x86", target_arch = "x86_64")),
    path = "x86.rs"
)]
#[cfg_attr(all(not(miri), target_arch = "aarch64"), path = "aarch64.rs")]
#[cfg_attr(all(not(miri), target_arch = "arm"), path = "arm.rs")]
#[cfg_attr(
    all(not(miri), any(target_arch = "riscv32", target_arch = "riscv64")),
    path = "riscv.rs"
)]
#[cfg_attr(all(not(miri), target_arch = "s390x"), path = "s390x.rs")]
#[cfg_attr(
    all(not(miri), any(target_arch = "powerpc", target_arch = "powerpc64")),
    path = "powerpc.rs"
)]
#[cfg_attr(all(not(miri), target_arch = "loongarch64"), path = "loongarch64.rs")]
#[cfg_attr(
    all(
        not(miri),
        any(
            target_arch = "mips",
            target_arch = "mips32r6",
            target_arch = "mips64",
            target_arch = "mips64r6"
        )
    ),
    path = "mips.rs"
)]
#[cfg_attr(
    not(any(
        miri,
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "loongarch64",
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "mips64",
        target_arch = "mips64r6"
    )),
    path = "unknown.rs"
)]
mod arch;

pub(crate) use arch::*;
