//! Functions of the host that code of test files may call.

use nopal_ir::ExternalName;

macro_rules! libm {
    ($name:ident, $t:ty, |$($x:ident),+| $result:expr) => {
        extern "C" fn $name($($x: $t),+) -> $t {
            $result
        }
    };
}

libm!(ceil_f32, f32, |x| x.ceil());
libm!(ceil_f64, f64, |x| x.ceil());
libm!(floor_f32, f32, |x| x.floor());
libm!(floor_f64, f64, |x| x.floor());
libm!(trunc_f32, f32, |x| x.trunc());
libm!(trunc_f64, f64, |x| x.trunc());
libm!(nearest_f32, f32, |x| x.round_ties_even());
libm!(nearest_f64, f64, |x| x.round_ties_even());
libm!(fma_f32, f32, |x, y, z| x.mul_add(y, z));
libm!(fma_f64, f64, |x, y, z| x.mul_add(y, z));

/// The address of a symbol: a library function under its name in C or in CLIF.
pub(crate) fn address(name: &ExternalName) -> Option<u64> {
    let ExternalName::Named(name) = name else {
        return None;
    };
    let address = match &**name {
        "Memcpy" | "memcpy" => libc::memcpy as *const (),
        "Memmove" | "memmove" => libc::memmove as *const (),
        "Memset" | "memset" => libc::memset as *const (),
        "Memcmp" | "memcmp" => libc::memcmp as *const (),
        "CeilF32" | "ceilf" => ceil_f32 as *const (),
        "CeilF64" | "ceil" => ceil_f64 as *const (),
        "FloorF32" | "floorf" => floor_f32 as *const (),
        "FloorF64" | "floor" => floor_f64 as *const (),
        "TruncF32" | "truncf" => trunc_f32 as *const (),
        "TruncF64" | "trunc" => trunc_f64 as *const (),
        "NearestF32" | "nearbyintf" => nearest_f32 as *const (),
        "NearestF64" | "nearbyint" => nearest_f64 as *const (),
        "FmaF32" | "fmaf" => fma_f32 as *const (),
        "FmaF64" | "fma" => fma_f64 as *const (),
        "__cranelift_throw" => super::throw::throw as *const (),
        _ => return None,
    };
    Some(address as u64)
}
