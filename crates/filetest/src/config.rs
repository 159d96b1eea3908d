//! What a file asks of the compiler: its `target` and `set` lines.

use nopal_codegen::{Settings, Target, X64Features};
use nopal_ir::reader::{Setting, TargetLine, TestFile};

/// One way to compile the functions of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) target: Target,
    pub(crate) settings: Settings,
}

/// Settings that change nothing here, be it that the compiler always does so, or that they choose
/// between ways to the same result.
const WITHOUT_EFFECT: &[&str] = &[
    "bb_padding_log2_minus_one",
    "enable_alias_analysis",
    "enable_heap_access_spectre_mitigation",
    "enable_incremental_compilation_cache_checks",
    "enable_jump_tables",
    "enable_llvm_abi_extensions",
    "enable_multi_ret_implicit_sret",
    "enable_probestack",
    "enable_table_access_spectre_mitigation",
    "enable_verifier",
    "is_pic",
    "log2_min_function_alignment",
    "machine_code_cfg_info",
    "opt_level",
    "preserve_frame_pointers",
    "probestack_size_log2",
    "probestack_strategy",
    "regalloc_algorithm",
    "regalloc_checker",
    "regalloc_verbose_logs",
    "stack_switch_model",
    "tls_model",
    "unwind_info",
    "use_colocated_libcalls",
];

/// Settings that may only be off.
const OFF: &[&str] = &["enable_nan_canonicalization"];

/// Each way to compile the file, or why there is none.
///
/// Without a `target` line it is this machine.
pub(crate) fn configs(file: &TestFile<'_>) -> Result<Vec<Config>, String> {
    if let Some(feature) = file.features.iter().find(|f| f.present) {
        return Err(format!("feature {}", feature.name));
    }
    if file.targets.is_empty() {
        let target = Target::host().map_err(|e| e.to_string())?;
        let settings = settings(&file.settings)?;
        return Ok(vec![Config { target, settings }]);
    }
    let mut configs = Vec::new();
    let mut reasons = Vec::new();
    for line in &file.targets {
        match config(line, &file.settings) {
            Ok(config) => configs.push(config),
            // What another feature would allow says more than another machine.
            Err(reason) if line.triple.starts_with("x86_64") => reasons.insert(0, reason),
            Err(reason) => reasons.push(reason),
        }
    }
    match configs.is_empty() {
        true => Err(reasons.swap_remove(0)),
        false => Ok(configs),
    }
}

fn config(line: &TargetLine<'_>, all: &[Setting<'_>]) -> Result<Config, String> {
    let isa = line.triple.split('-').next().unwrap_or_default();
    if isa != "x86_64" {
        return Err(format!("target {isa}"));
    }
    Ok(Config {
        target: Target::x64(features(&line.flags)?),
        settings: settings(all.get(..line.settings).unwrap_or(all))?,
    })
}

/// Whether a setting is on; none if its value is not a truth value.
fn is_on(setting: &Setting<'_>) -> Option<bool> {
    match setting.value {
        None | Some("true" | "on" | "yes" | "1") => Some(true),
        Some("false" | "off" | "no" | "0") => Some(false),
        Some(_) => None,
    }
}

fn settings(list: &[Setting<'_>]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for setting in list {
        let refuse = || match setting.value {
            Some(value) => format!("set {}={value}", setting.name),
            None => format!("set {}", setting.name),
        };
        match setting.name {
            "enable_pinned_reg" => {
                settings.enable_pinned_reg = is_on(setting).ok_or_else(refuse)?;
            }
            name if WITHOUT_EFFECT.contains(&name) => {}
            name if OFF.contains(&name) && is_on(setting) == Some(false) => {}
            _ => return Err(refuse()),
        }
    }
    Ok(settings)
}

/// x86-64 levels and what else implies several features.
const PRESETS: &[(&str, &[&str])] = &[
    ("baseline", &[]),
    ("sse3", &["has_sse3"]),
    ("ssse3", &["has_sse3", "has_ssse3"]),
    ("sse41", &["has_sse3", "has_ssse3", "has_sse41"]),
    (
        "sse42",
        &["has_sse3", "has_ssse3", "has_sse41", "has_sse42"],
    ),
    ("nehalem", V2),
    ("westmere", V2),
    ("sandybridge", &["v2", "has_avx"]),
    ("ivybridge", &["v2", "has_avx"]),
    ("haswell", V3),
    ("broadwell", V3),
    ("skylake", V3),
    ("cascadelake", V3),
    ("cooperlake", V3),
    ("cannonlake", V3),
    ("icelake-client", V3),
    ("icelake-server", V3),
    ("tigerlake", V3),
    ("sapphirerapids", V3),
    ("raptorlake", V3),
    ("alderlake", V3),
    ("znver1", V3),
    ("znver2", V3),
    ("znver3", V3),
    ("znver4", V3),
    ("x86-64-v2", V2),
    ("x86-64-v3", V3),
    ("x86-64-v4", V3),
];

const V2: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_cmpxchg16b",
];
const V3: &[&str] = &[
    "v2",
    "has_avx",
    "has_avx2",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
];

/// Features that no scalar instruction depends on.
const UNUSED: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse42",
    "has_avx2",
    "has_avx512bitalg",
    "has_avx512dq",
    "has_avx512vl",
    "has_avx512vbmi",
    "has_avx512f",
];

fn features(flags: &[Setting<'_>]) -> Result<X64Features, String> {
    let mut features = X64Features::default();
    for flag in flags {
        let preset = PRESETS.iter().find(|p| p.0 == flag.name);
        if let (Some((_, names)), None) = (preset, flag.value) {
            for name in *names {
                match *name {
                    "v2" => V2.iter().for_each(|n| _ = enable(&mut features, n, true)),
                    name => _ = enable(&mut features, name, true),
                }
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
