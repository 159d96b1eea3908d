//! The flags of a `target x86_64` line.

use super::is_on;
use nopal_codegen::X64Features;
use nopal_ir::reader::Setting;

/// Features that no scalar instruction depends on.
const UNUSED: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse42",
    "has_avx2",
    "has_avx_vnni",
    "has_avx512bitalg",
    "has_avx512dq",
    "has_avx512vl",
    "has_avx512vbmi",
    "has_avx512vnni",
    "has_avx512f",
];

const V2: &[&str] = &["has_sse41", "has_popcnt", "has_cmpxchg16b"];
const V2_AVX: &[&str] = &["has_sse41", "has_popcnt", "has_cmpxchg16b", "has_avx"];
/// What Cranelift takes for granted of Zen and of Intel's efficient cores: no AVX.
const V3_SSE: &[&str] = &[
    "has_sse41",
    "has_popcnt",
    "has_cmpxchg16b",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
];
const V3: &[&str] = &[
    "has_sse41",
    "has_popcnt",
    "has_cmpxchg16b",
    "has_avx",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
];

/// Cranelift's presets: the names of levels and processors, and what they imply of the features
/// that scalar instructions depend on.
const PRESETS: &[(&str, &[&str])] = &[
    (
        "baseline x86-64 sse3 ssse3 opteron k8 athlon64 athlon-fx",
        &[],
    ),
    ("sse41 sse42", &["has_sse41"]),
    (
        "nocona core2 atom bonnell opteron-sse3 k8-sse3 athlon64-sse3",
        &["has_cmpxchg16b"],
    ),
    ("penryn", &["has_sse41", "has_cmpxchg16b"]),
    ("nehalem corei7 westmere x86-64-v2", V2),
    ("silvermont slm goldmont goldmont-plus tremont", V2),
    ("sandybridge corei7-avx ivybridge core-avx-i", V2_AVX),
    ("haswell core-avx2 broadwell skylake x86-64-v3", V3),
    ("skylake-avx512 skx cascadelake cooperlake cannonlake", V3),
    ("icelake icelake-client icelake-server tigerlake", V3),
    ("sapphirerapids graniterapids x86-64-v4", V3),
    ("alderlake sierraforest grandridge", V3_SSE),
    ("raptorlake meteorlake", V3_SSE),
    ("znver1 znver2 znver3 znver4", V3_SSE),
    (
        "knl knm",
        &[
            "has_popcnt",
            "has_fma",
            "has_bmi1",
            "has_bmi2",
            "has_lzcnt",
            "has_cmpxchg16b",
        ],
    ),
    (
        "barcelona amdfam10 btver1 bdver1",
        &["has_popcnt", "has_lzcnt", "has_cmpxchg16b"],
    ),
    (
        "bdver2 bdver3",
        &["has_popcnt", "has_lzcnt", "has_cmpxchg16b", "has_bmi1"],
    ),
    (
        "bdver4",
        &[
            "has_popcnt",
            "has_lzcnt",
            "has_cmpxchg16b",
            "has_bmi1",
            "has_bmi2",
        ],
    ),
    (
        "btver2",
        &[
            "has_popcnt",
            "has_lzcnt",
            "has_cmpxchg16b",
            "has_avx",
            "has_bmi1",
        ],
    ),
];

fn preset(flag: &Setting<'_>) -> Option<&'static [&'static str]> {
    let of_name = |p: &&(&str, _)| p.0.split(' ').any(|name| name == flag.name);
    let (_, features) = PRESETS.iter().find(of_name)?;
    flag.value.is_none().then_some(*features)
}

/// Whether it is a feature or a preset of Cranelift's.
pub(super) fn is_flag(flag: &Setting<'_>) -> bool {
    let known = enable(&mut X64Features::default(), flag.name, true) && is_on(flag).is_some();
    known || preset(flag).is_some()
}

/// The features that flags name, nothing else. What this machine lacks is an error.
pub(super) fn features(flags: &[Setting<'_>]) -> Result<X64Features, String> {
    let mut features = X64Features::default();
    for flag in flags {
        if let Some(names) = preset(flag) {
            for name in names {
                enable(&mut features, name, true);
            }
            continue;
        }
        let on = is_on(flag).unwrap_or(false);
        if !enable(&mut features, flag.name, on) {
            return Err(format!("target flag {}", flag.name));
        }
    }
    check_host(features)?;
    Ok(features)
}

fn enable(features: &mut X64Features, name: &str, on: bool) -> bool {
    match name {
        "has_sse41" => features.sse41 = on,
        "has_avx" => features.avx = on,
        "has_fma" => features.fma = on,
        "has_bmi1" => features.bmi1 = on,
        "has_bmi2" => features.bmi2 = on,
        "has_lzcnt" => features.lzcnt = on,
        "has_popcnt" => features.popcnt = on,
        "has_cmpxchg16b" => features.cmpxchg16b = on,
        name => return UNUSED.contains(&name),
    }
    true
}

/// Code for features this machine lacks cannot run.
#[cfg(target_arch = "x86_64")]
fn check_host(f: X64Features) -> Result<(), String> {
    use std::arch::is_x86_feature_detected as has;
    let wanted = [
        ("SSE4.1", f.sse41, has!("sse4.1")),
        ("AVX", f.avx, has!("avx")),
        ("FMA", f.fma, has!("fma")),
        ("BMI1", f.bmi1, has!("bmi1")),
        ("BMI2", f.bmi2, has!("bmi2")),
        ("LZCNT", f.lzcnt, has!("lzcnt")),
        ("POPCNT", f.popcnt, has!("popcnt")),
        ("CMPXCHG16B", f.cmpxchg16b, has!("cmpxchg16b")),
    ];
    match wanted.iter().find(|(_, wanted, there)| *wanted && !there) {
        Some((name, ..)) => Err(format!("this CPU has no {name}")),
        None => Ok(()),
    }
}
