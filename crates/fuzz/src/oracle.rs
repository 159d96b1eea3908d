//! Cranelift.

use cranelift_codegen::binemit::Reloc as Kind;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName as Name, Function};
use cranelift_codegen::isa::{OwnedTargetIsa, lookup_by_name};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, FinalizedRelocTarget};
use nopal_codegen::{CompiledCode, Reloc, RelocKind, Trap};
use nopal_filetest::exec::PlainSite;
use nopal_ir::{ExternalName, TrapCode};

/// Cranelift for this machine, at both of its levels of optimization.
pub(crate) struct Oracle {
    speed: OwnedTargetIsa,
    none: OwnedTargetIsa,
}

fn isa(opt_level: &str) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("enable_multi_ret_implicit_sret", "true"),
        ("enable_llvm_abi_extensions", "true"),
        ("is_pic", "false"),
        // Tail calls need them.
        ("preserve_frame_pointers", "true"),
    ] {
        flags.set(name, value).map_err(|e| e.to_string())?;
    }
    let mut builder = lookup_by_name("x86_64-unknown-linux-gnu").map_err(|e| e.to_string())?;
    use std::arch::is_x86_feature_detected as has;
    for (flag, there) in [
        ("has_sse3", has!("sse3")),
        ("has_ssse3", has!("ssse3")),
        ("has_sse41", has!("sse4.1")),
        ("has_sse42", has!("sse4.2")),
        ("has_popcnt", has!("popcnt")),
        ("has_avx", has!("avx")),
        ("has_avx2", has!("avx2")),
        ("has_fma", has!("fma")),
        ("has_bmi1", has!("bmi1")),
        ("has_bmi2", has!("bmi2")),
        ("has_lzcnt", has!("lzcnt")),
        ("has_cmpxchg16b", has!("cmpxchg16b")),
    ] {
        if there {
            builder.enable(flag).map_err(|e| e.to_string())?;
        }
    }
    builder
        .finish(settings::Flags::new(flags))
        .map_err(|e| e.to_string())
}

impl Oracle {
    /// # Errors
    ///
    /// Cranelift does not know this machine.
    pub(crate) fn new() -> Result<Oracle, String> {
        Ok(Oracle {
            speed: isa("speed")?,
            none: isa("none")?,
        })
    }

    /// Read one function from text.
    ///
    /// # Errors
    ///
    /// What the reader says, with the line.
    pub(crate) fn read(&self, text: &str) -> Result<Function, String> {
        let mut functions = cranelift_reader::parse_functions(text).map_err(|e| {
            let line = text.lines().nth(e.location.line_number.saturating_sub(1));
            format!("{e}: {}", line.unwrap_or_default().trim())
        })?;
        match functions.len() {
            1 => Ok(functions.remove(0)),
            n => Err(format!("{n} functions instead of one")),
        }
    }

    /// Compile a function. Its sites are calls.
    ///
    /// # Errors
    ///
    /// What Cranelift says.
    pub(crate) fn compile(
        &self,
        func: Function,
        fast: bool,
    ) -> Result<(CompiledCode, Vec<PlainSite>), String> {
        let isa = if fast { &self.speed } else { &self.none };
        let names = func.params.user_named_funcs().clone();
        let mut context = Context::for_function(func);
        let code = context
            .compile(&**isa, &mut ControlPlane::default())
            .map_err(|e| format!("{:?}", e.inner))?;
        let mut out = CompiledCode {
            code: code.code_buffer().to_vec(),
            alignment: code.buffer.alignment,
            ..CompiledCode::default()
        };
        for trap in code.buffer.traps() {
            let code = trap.code.to_string();
            out.traps.push(Trap {
                offset: trap.offset,
                code: TrapCode::from_name(&code).ok_or_else(|| format!("trap code {code}"))?,
                srcloc: u32::MAX,
            });
        }
        let locations = code.buffer.get_srclocs_sorted();
        let mut sites = Vec::new();
        for site in code.buffer.patchable_call_sites() {
            let at = (locations.iter()).find(|l| l.start < site.ret_addr && site.ret_addr <= l.end);
            let at = at.ok_or("a site without location")?;
            sites.push(PlainSite {
                ret_addr: site.ret_addr,
                site: at.loc.bits(),
            });
        }
        for reloc in code.buffer.relocs() {
            let FinalizedRelocTarget::ExternalName(name) = &reloc.target else {
                return Err(format!("relocation {reloc:?}"));
            };
            let target = match name {
                Name::User(n) => {
                    let name = &names[*n];
                    ExternalName::User {
                        namespace: name.namespace,
                        index: name.index,
                    }
                }
                name => {
                    let text = name.display(None).to_string();
                    ExternalName::Named(text.trim_start_matches('%').into())
                }
            };
            out.relocs.push(Reloc {
                offset: reloc.offset,
                kind: match reloc.kind {
                    Kind::Abs8 => RelocKind::Abs8,
                    // Both are distances from the same place.
                    Kind::X86CallPCRel4 | Kind::X86PCRel4 => RelocKind::X64CallPcRel4,
                    kind => return Err(format!("relocation {kind}")),
                },
                target,
                addend: reloc.addend,
            });
        }
        Ok((out, sites))
    }
}

/// Switch a site off: the call becomes an instruction that does nothing.
pub(crate) fn disable(code: &mut CompiledCode, sites: &[PlainSite]) {
    for site in sites {
        let end = site.ret_addr as usize;
        code.code[end - 5..end].copy_from_slice(&[0x0f, 0x1f, 0x44, 0, 0]);
    }
    let within = |at: u32| sites.iter().any(|s| s.ret_addr - 5 < at && at < s.ret_addr);
    code.relocs.retain(|r| !within(r.offset));
}
