#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::ffi::c_void;

mod error;
mod isa;
mod maintenance;
mod os;
mod requirements;

pub use error::Error;
pub use maintenance::Operation;
pub use requirements::{Broadcast, CacheMaintenance, Preference, Reason, Requirements};

/// Makes newly written code in `[ptr, ptr + len)` visible to instruction fetch.
///
/// After it returns, a core that then executes a context synchronization event fetches the new
/// bytes; the calling core has executed one if the architecture needs it. Follow it with
/// [`pipeline_flush_mt`] (fresh code) or [`sync_core_mt`] (modified code).
///
/// `ptr` is the address the code will be *executed* at: where the same memory is mapped twice,
/// cache maintenance by the writable address is not enough.
///
/// | architecture | what is done | source |
/// |---|---|---|
/// | x86, x86-64 | nothing but a compiler fence | Intel SDM vol. 3A §13.6; AMD APM vol. 2 §7.6.1 |
/// | AArch64 | `DC CVAU` unless `CTR_EL0.IDC`, `DSB ISH`, `IC IVAU` and `DSB ISH` unless `CTR_EL0.DIC`, `ISB` | Arm ARM (DDI 0487) B2.2.5, D7.5 |
/// | ARM | the kernel's `cacheflush` | Linux `arch/arm/kernel/traps.c` |
/// | RISC-V | Linux: `riscv_flush_icache`, all harts; bare metal: `FENCE.I` | RISC-V ISA vol. I, "Zifencei" |
/// | s390x | serialization (`BCR 15,0`) | z/Architecture PoP, "Conceptual Sequence" in chapter 5 |
/// | PowerPC | `dcbst`, `sync`, `icbi`, `sync`, `isync` | Power ISA, book II, "Instruction Storage" |
/// | LoongArch | `DBAR 0`, `IBAR 0` | LoongArch reference manual vol. 1, §2.2.8 |
/// | MIPS | the kernel's `cacheflush`, all cores | Linux `arch/mips/mm/cache.c` |
///
/// Windows and Apple systems have a function for it, which is called in their place.
///
/// # Cost
/// Nothing on x86; a few nanoseconds a cache line on AArch64 and PowerPC; a system call on ARM,
/// MIPS and RISC-V Linux, on the latter with an interrupt to each hart that runs a thread of the
/// process.
///
/// # Not guaranteed
/// That another core has forgotten what it fetched before: that takes a context synchronization
/// event *there*.
///
/// # Errors
/// [`Error::Cache`] where the operating system does it, and refused. Do not run the code.
///
/// # Safety
/// The range must be mapped and readable, and must not wrap around the address space.
#[inline]
pub unsafe fn clear_cache(ptr: *const c_void, len: usize) -> Result<(), Error> {
    let clear = os::CACHE_CALL.unwrap_or(isa::clear);
    // SAFETY: the caller's promise is the one `clear` asks for.
    unsafe { clear(ptr as usize, len) }
}

/// Every thread of this process executes a context synchronization event before this returns,
/// where the architecture needs one before *freshly published* code is run.
///
/// "Fresh" means that no thread can have fetched from the range since it last held other code.
/// Nothing is needed then on x86 and s390x, whose instruction fetch is coherent, and on RISC-V
/// Linux, where [`clear_cache`] has reached all harts. For code that replaces code, use
/// [`sync_core_mt`].
///
/// # Errors
/// Those of [`sync_core_mt`]. Do not run the code.
pub fn pipeline_flush_mt() -> Result<(), Error> {
    if isa::FRESH_CODE_NEEDS_BROADCAST {
        os::sync_core()
    } else {
        Ok(())
    }
}

/// Every thread of this process executes a context synchronization event before this returns, on
/// every architecture.
///
/// This is what code needs that *modifies instructions others may be executing*. The event is, in
/// the architecture's own terms:
///
/// | architecture | event |
/// |---|---|
/// | x86, x86-64 | a serializing instruction (Intel SDM vol. 3A §10.3; AMD APM vol. 2 §7.6.4) |
/// | AArch64, ARM | a context synchronization event: `ISB`, exception entry, exception return |
/// | RISC-V | `FENCE.I` on every hart that runs the process |
/// | s390x | serialization |
/// | PowerPC | a context synchronizing operation: `isync`, `rfid`, an interrupt |
/// | LoongArch | an instruction barrier: `IBAR 0` |
/// | MIPS | an instruction hazard barrier: `ERET` |
///
/// The call is also a full memory barrier between the caller and every other thread.
///
/// # Cost
/// With `membarrier`, one system call and an interrupt to each core that runs a thread of the
/// process: 0.3 µs alone, around 2 µs with a busy peer. The first call of a process that did not
/// [`register`] pays for that too. With a signal handshake, some 10 µs and a signal per thread.
///
/// # Not guaranteed
/// - That no thread runs old instructions *during* the call. Before it returns, a thread may
///   execute new instructions and then old ones again.
/// - Anything about other processes that share the memory, except with `membarrier`, which covers
///   those that share the whole address space.
///
/// # Errors
/// [`Error::Unsupported`] where there is no mechanism with this guarantee: nothing weaker is used
/// in its place (`MEMBARRIER_CMD_GLOBAL` orders memory accesses only). [`Error::Broadcast`] and
/// [`Error::Unresponsive`] may be temporary. After any error, other threads may still execute what
/// they fetched before the call.
#[inline]
pub fn sync_core_mt() -> Result<(), Error> {
    os::sync_core()
}

/// Registers the process for the broadcast, so that the first one does not pay for it.
///
/// Registration in a process that already has threads can take milliseconds: call it at start-up.
/// Calling it again is harmless. A child of `fork` need not call it: what it has not inherited is
/// made up for by its first broadcast.
///
/// # Errors
/// [`Error::Registration`], and those of [`sync_core_mt`].
pub fn register() -> Result<(), Error> {
    os::register()
}

/// Chooses how threads are reached, instead of leaving it to the order in which mechanisms are
/// tried; for systems that will be locked down later, and for tests of them.
///
/// The choice holds for the process, and for its children from `fork`. There is no falling back
/// from it: where it stops working, [`sync_core_mt`] fails. [`Preference::Automatic`] forgets it,
/// and all that was found out about this machine.
///
/// # Errors
/// [`Error::NoSuchMechanism`] if this target has no such mechanism, and those of [`register`],
/// which is part of it. The choice is then as it was.
pub fn prefer(preference: Preference) -> Result<(), Error> {
    os::prefer(preference)
}

/// What this machine needs, and which mechanism will be used, and why: for logs and tests.
pub fn requirements() -> Requirements {
    let (broadcast, reason) = os::broadcast();
    Requirements {
        cache: if os::CACHE_CALL.is_some() {
            CacheMaintenance::System
        } else {
            isa::cache_maintenance()
        },
        fresh_code_needs_broadcast: isa::FRESH_CODE_NEEDS_BROADCAST,
        broadcast,
        reason,
    }
}
