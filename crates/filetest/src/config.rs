//! What a file asks of the compiler: its `target` and `set` lines.

mod features;

use nopal_codegen::{Settings, Target};
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
    "enable_compact_unwind_abi",
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

/// What `libcall_call_conv` may be: each stands for the one convention in which code calls what
/// it does not compute itself.
const LIBCALL_CONVENTIONS: &[&str] = &["isa_default", "fast", "system_v"];

/// Whether all names in the head of a file mean something to Cranelift; if not, where and what.
pub(crate) fn check(file: &TestFile<'_>) -> Result<(), (u32, String)> {
    for setting in &file.settings {
        if !is_setting(setting.name) {
            return Err((setting.line, format!("unknown setting `{}`", setting.name)));
        }
    }
    for target in file.targets.iter().filter(|t| is_x64(t)) {
        if let Some(flag) = target.flags.iter().find(|f| !features::is_flag(f)) {
            return Err((target.line, format!("unknown x86-64 flag `{}`", flag.name)));
        }
    }
    Ok(())
}

fn is_setting(name: &str) -> bool {
    let others = ["enable_pinned_reg", "libcall_call_conv"];
    WITHOUT_EFFECT.contains(&name) || OFF.contains(&name) || others.contains(&name)
}

fn is_x64(line: &TargetLine<'_>) -> bool {
    line.triple.split('-').next() == Some("x86_64")
}

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
            Err(reason) if is_x64(line) => reasons.insert(0, reason),
            Err(reason) => reasons.push(reason),
        }
    }
    match configs.is_empty() {
        true => Err(reasons.swap_remove(0)),
        false => Ok(configs),
    }
}

fn config(line: &TargetLine<'_>, all: &[Setting<'_>]) -> Result<Config, String> {
    if !is_x64(line) {
        let isa = line.triple.split('-').next().unwrap_or_default();
        return Err(format!("target {isa}"));
    }
    Ok(Config {
        target: Target::x64(features::features(&line.flags)?),
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
            "libcall_call_conv"
                if setting
                    .value
                    .is_some_and(|v| LIBCALL_CONVENTIONS.contains(&v)) => {}
            name if WITHOUT_EFFECT.contains(&name) => {}
            name if OFF.contains(&name) && is_on(setting) == Some(false) => {}
            _ => return Err(refuse()),
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::{check, configs};
    use nopal_ir::reader::parse_test;

    /// The shared settings of Cranelift 0.135, each with a value that may stand.
    const SETTINGS: &str = "regalloc_checker regalloc_verbose_logs regalloc_algorithm=single_pass \
        opt_level=speed enable_alias_analysis enable_verifier is_pic use_colocated_libcalls \
        enable_nan_canonicalization=false enable_pinned_reg tls_model=elf_gd \
        stack_switch_model=basic libcall_call_conv=fast enable_llvm_abi_extensions \
        enable_multi_ret_implicit_sret unwind_info preserve_frame_pointers machine_code_cfg_info \
        enable_probestack probestack_size_log2=16 probestack_strategy=inline \
        enable_heap_access_spectre_mitigation enable_table_access_spectre_mitigation \
        enable_incremental_compilation_cache_checks bb_padding_log2_minus_one=21 \
        log2_min_function_alignment=4 enable_compact_unwind_abi";

    /// What is wrong with the head of a file, or the number of ways to compile it.
    fn head(text: &str) -> Result<usize, String> {
        let file = parse_test(text).expect("the text is a file");
        check(&file).map_err(|(line, message)| format!("{line}: {message}"))?;
        configs(&file).map(|configs| configs.len())
    }

    #[test]
    fn all_settings_are_known() {
        for setting in SETTINGS.split_whitespace() {
            let text = format!("test run\nset {setting}\ntarget x86_64\n");
            assert_eq!(head(&text), Ok(1), "{setting}");
        }
    }

    #[test]
    fn what_is_not_known_is_an_error_and_what_is_not_supported_skips() {
        let on = "test run\nset enable_nan_canonicalization\ntarget x86_64\n";
        assert_eq!(head(on), Err("set enable_nan_canonicalization".into()));
        let convention = "test run\nset libcall_call_conv=preserve_all\ntarget x86_64\n";
        let wanted = "set libcall_call_conv=preserve_all";
        assert_eq!(head(convention), Err(wanted.into()));
        let typo = "test run\n\nset is_pic is_pick\ntarget x86_64\n";
        assert_eq!(head(typo), Err("3: unknown setting `is_pick`".into()));
    }

    #[test]
    fn presets_are_whole_names_without_values() {
        for flag in [
            "k8",
            "btver1",
            "znver4",
            "x86-64",
            "corei7-avx",
            "has_avx512vnni=no",
        ] {
            let text = format!("test run\ntarget x86_64 {flag}\n");
            assert!(!head(&text).is_err_and(|e| e.contains("unknown")), "{flag}");
        }
        for flag in ["haswel", "haswell=true", "has_avx=maybe", "has_lse"] {
            let text = format!("test run\ntarget x86_64 {flag}\n");
            let name = flag.split('=').next().expect("there is a first part");
            assert_eq!(head(&text), Err(format!("2: unknown x86-64 flag `{name}`")));
        }
    }
}
