//! What this processor is.

use std::arch::is_aarch64_feature_detected;

use crate::Protocol;

/// The architecture itself says that `bl` and `nop` may replace one another under threads that execute
/// them (Arm ARM B2.2.5).
pub(crate) fn default_protocol() -> Protocol {
    Protocol::Direct
}

/// Whether one instruction adds to memory atomically (FEAT_LSE).
pub(super) fn has_atomic_add() -> bool {
    is_aarch64_feature_detected!("lse")
}

/// Whether vector registers are wider than `q0` to `q31`, and there are predicate registers (FEAT_SVE).
pub(super) fn has_sve() -> bool {
    is_aarch64_feature_detected!("sve")
}
