//! Listings of machine code.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction};
use nopal_codegen::{CompiledCode, RelocKind};
use nopal_ir::Function;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The code of a function, an instruction per line, with labels where branches lead, and with remarks
/// about traps, relocations, patch sites and branches that may lead around these. Constants and tables follow as bytes.
pub(crate) fn listing(func: &Function, code: &CompiledCode) -> String {
    let data = data_start(&code.code);
    let padding = code.code[..data]
        .iter()
        .rev()
        .take_while(|b| **b == 0xcc)
        .count();
    let end = if data < code.code.len() {
        data - padding
    } else {
        data
    };
    let insts: Vec<Instruction> = decoder(&code.code[..end]).into_iter().collect();
    let labels = labels(&insts, end);
    let mut formatter = formatter();
    let mut out = String::from("block0: ; offset 0x0\n");
    let mut text = String::new();
    for inst in &insts {
        let (start, next) = (inst.ip() as usize, inst.next_ip() as usize);
        if let Some(n) = labels.iter().position(|&at| at == start) {
            let _ = writeln!(out, "block{}: ; offset {start:#x}", n + 1);
        }
        text.clear();
        formatter.format(inst, &mut text);
        let _ = write!(out, "  {}", text.trim_end());
        remarks(func, code, start, next, &mut out);
        out.push('\n');
    }
    for (n, bytes) in code.code[data..].chunks(8).enumerate() {
        let bytes: Vec<String> = bytes.iter().map(|b| format!("{b:#04x}")).collect();
        let _ = write!(out, "  .byte {}", bytes.join(", "));
        let start = data + 8 * n;
        remarks(func, code, start, start + 8, &mut out);
        out.push('\n');
    }
    out
}

fn formatter() -> GasFormatter {
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_branch_leading_zeros(false);
    options.set_rip_relative_addresses(true);
    options.set_space_after_operand_separator(true);
    options.set_gas_show_mnemonic_size_suffix(true);
    options.set_uppercase_hex(false);
    options.set_small_hex_numbers_in_decimal(true);
    formatter
}

/// Offsets within the function stand for addresses, so that listings compare.
fn decoder(code: &[u8]) -> Decoder<'_> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
}

/// Where constants and jump tables begin, which follow the instructions and are addressed relative
/// to them.
fn data_start(code: &[u8]) -> usize {
    let mut start = code.len();
    for inst in decoder(code) {
        if inst.ip() as usize >= start {
            break;
        }
        if inst.is_ip_rel_memory_operand()
            && let Ok(target) = usize::try_from(inst.ip_rel_memory_address())
            && target >= inst.next_ip() as usize
        {
            start = start.min(target);
        }
    }
    start
}

fn labels(insts: &[Instruction], end: usize) -> Vec<usize> {
    let branch = |i: &&Instruction| {
        matches!(
            i.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        )
    };
    let targets = insts
        .iter()
        .filter(branch)
        .map(|i| i.near_branch_target() as usize);
    let set: BTreeSet<usize> = targets.filter(|&at| 0 < at && at < end).collect();
    set.into_iter().collect()
}

fn remarks(func: &Function, code: &CompiledCode, start: usize, next: usize, out: &mut String) {
    let within = |at: u32| (start..next).contains(&(at as usize));
    for reloc in code.relocs.iter().filter(|r| within(r.offset)) {
        let kind = match reloc.kind {
            RelocKind::X64CallPcRel4 => "CallPCRel4",
            RelocKind::Abs8 => "Abs8",
            #[allow(unreachable_patterns, reason = "the compiler may get more kinds")]
            _ => "Other",
        };
        let _ = write!(
            out,
            " ; reloc_external {kind} {} {}",
            reloc.target, reloc.addend
        );
    }
    for site in code
        .patch_sites
        .iter()
        .filter(|s| s.ret_addr as usize == next)
    {
        let name = func.ext_funcs().get(site.callee as usize).map(|f| &f.name);
        if let Some(name) = name {
            let _ = write!(out, " ; site of {name}");
        }
        let _ = write!(out, " ; patchable call: NOP out last {} bytes", site.len);
    }
    for bypass in (code.bypasses.iter()).filter(|b| b.branch as usize == start) {
        let _ = write!(out, " ; while the site is off: to {:#x}", bypass.around);
    }
    for trap in code.traps.iter().filter(|t| t.offset as usize == start) {
        let _ = write!(out, " ; trap: {}", trap.code);
    }
}
