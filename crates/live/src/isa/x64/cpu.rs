//! What this processor is.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};

use crate::Protocol;

/// Upper halves of `ymm0` to `ymm15`.
pub(super) const AVX: u32 = 1 << 2;
/// `k0` to `k7`.
pub(super) const OPMASK: u32 = 1 << 5;
/// Upper halves of `zmm0` to `zmm15`.
pub(super) const ZMM_HI256: u32 = 1 << 6;
/// `zmm16` to `zmm31`.
pub(super) const HI16_ZMM: u32 = 1 << 7;

/// The vector state beyond `xmm0` to `xmm15` that programs can use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VectorFeatures {
    /// State components in the numbering of `XCR0` (Intel SDM vol. 1 §13.1), of those named above.
    pub(super) components: u32,
    /// Whether `xgetbv` tells which components are in use (`ecx` = 1).
    pub(super) tells_in_use: bool,
    /// Whether the mask registers have 64 bits.
    pub(super) wide_masks: bool,
}

/// AMD documents when one store may change code that others execute; nobody else does.
pub(crate) fn default_protocol() -> Protocol {
    let leaf = __cpuid(0);
    let mut vendor = [0; 12];
    for (part, register) in vendor
        .chunks_exact_mut(4)
        .zip([leaf.ebx, leaf.edx, leaf.ecx])
    {
        part.copy_from_slice(&register.to_le_bytes());
    }
    protocol_of(&vendor)
}

fn protocol_of(vendor: &[u8; 12]) -> Protocol {
    match vendor {
        b"AuthenticAMD" => Protocol::Direct,
        _ => Protocol::Strict,
    }
}

impl VectorFeatures {
    pub(super) fn detect() -> VectorFeatures {
        const OSXSAVE: u32 = 1 << 27;
        let mut features = VectorFeatures {
            components: 0,
            tells_in_use: false,
            wide_masks: false,
        };
        let max_leaf = __cpuid(0).eax;
        if max_leaf < 0xd || __cpuid(1).ecx & OSXSAVE == 0 {
            return features;
        }
        let enabled: u32;
        // SAFETY: OSXSAVE says that xgetbv is available; it reads XCR0.
        unsafe {
            asm!(
                "xgetbv",
                in("ecx") 0,
                out("eax") enabled,
                out("edx") _,
                options(nomem, nostack, preserves_flags),
            );
        }
        features.components = enabled & (AVX | OPMASK | ZMM_HI256 | HI16_ZMM);
        features.tells_in_use = __cpuid_count(0xd, 1).eax & 1 << 2 != 0;
        features.wide_masks = __cpuid_count(7, 0).ebx & 1 << 30 != 0;
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amd_promises_direct() {
        assert_eq!(protocol_of(b"AuthenticAMD"), Protocol::Direct);
        assert_eq!(protocol_of(b"GenuineIntel"), Protocol::Strict);
        assert_eq!(protocol_of(b"HygonGenuine"), Protocol::Strict);
    }

    #[test]
    fn detection_agrees_with_the_standard_library() {
        let features = VectorFeatures::detect();
        assert_eq!(
            features.components & AVX != 0,
            std::arch::is_x86_feature_detected!("avx")
        );
        assert_eq!(
            features.components & ZMM_HI256 != 0,
            std::arch::is_x86_feature_detected!("avx512f")
        );
    }
}
