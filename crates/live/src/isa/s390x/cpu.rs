//! What this processor is.

use std::arch::{asm, is_s390x_feature_detected};

use crate::Protocol;

/// A site is switched by one byte, and bytes are what instructions are fetched by (see `site.rs`).
pub(crate) fn default_protocol() -> Protocol {
    Protocol::Direct
}

/// Whether `agsi` adds to memory in one step, as seen by other CPUs (interlocked-access facility 1, which
/// came with facility bit 45).
pub(super) fn has_interlocked_add() -> bool {
    const BIT: u64 = 45;
    facilities() & 1 << (63 - BIT) != 0
}

/// Whether there are vector registers, of which the floating-point registers are parts.
pub(super) fn has_vectors() -> bool {
    is_s390x_feature_detected!("vector")
}

/// The first 64 facility bits, from the left.
fn facilities() -> u64 {
    let mut bits = 0u64;
    // SAFETY: `stfle` is there on all processors that Rust's code runs on (z10 and later). Bits 56 to 63 of
    // register 0 hold the number of doublewords less one, of which there is one.
    unsafe {
        asm!(
            "lghi %r0, 0",
            "stfle 0({bits})",
            bits = in(reg_addr) &raw mut bits,
            out("r0") _,
            options(nostack),
        );
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_are_numbered_from_the_left() {
        /// z/Architecture is installed, is active; `stfle` is there.
        const EXPECTED: u64 = 1 << (63 - 1) | 1 << (63 - 2) | 1 << (63 - 7);
        assert_eq!(facilities() & EXPECTED, EXPECTED);
    }

    #[test]
    fn vectors_came_later_than_interlocked_access() {
        assert!(has_interlocked_add() || !has_vectors());
    }
}
