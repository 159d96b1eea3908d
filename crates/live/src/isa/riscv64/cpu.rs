//! What this processor is.

use crate::Protocol;

/// Both protocols need Ziccif, by which an aligned word is fetched as a whole; direct needs no more.
pub(crate) fn default_protocol() -> Protocol {
    Protocol::Direct
}

/// All harts execute `FENCE.I`, which has no address, whether for a line or for a broadcast.
pub(crate) const BROADCAST_CLEARS_CACHE: bool = true;

/// Whether threads have vector registers: the processor has them (V), and the kernel does not keep them
/// from this process.
///
/// Source: Linux, `Documentation/arch/riscv/vector.rst`, `arch/riscv/include/uapi/asm/hwcap.h`.
pub(super) fn has_vectors() -> bool {
    const HWCAP_V: libc::c_ulong = 1 << (b'V' - b'A');
    const PR_RISCV_V_GET_CONTROL: libc::c_int = 70;
    const CURRENT: libc::c_int = 3;
    const OFF: libc::c_int = 1;
    // SAFETY: asks for a number.
    let offered = unsafe { libc::getauxval(libc::AT_HWCAP) } & HWCAP_V != 0;
    // SAFETY: asks for the state of this thread, which others have inherited. An error says that nothing
    // is kept from anyone.
    let control = unsafe { libc::prctl(PR_RISCV_V_GET_CONTROL) };
    offered && (control < 0 || control & CURRENT != OFF)
}
