//! Disassembly.

use super::{Chosen, heading, kind_name};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter};
use nopal_wasm::{FunctionInfo, Module, Site, TrapSite};
use std::collections::HashMap;
use std::io::{self, Write};

/// The column at which remarks begin.
const REMARK: usize = 44;

/// Write the machine code of each function, with a remark at each site, trap and call.
pub(super) fn write(out: &mut impl Write, chosen: &Chosen<'_>) -> io::Result<()> {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_rip_relative_addresses(true);
    formatter
        .options_mut()
        .set_space_after_operand_separator(true);
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_uppercase_hex(false);
    for func in chosen.iter() {
        write_function(out, chosen.module, func, &mut formatter)?;
    }
    Ok(())
}

fn write_function(
    out: &mut impl Write,
    module: &Module,
    func: FunctionInfo<'_>,
    formatter: &mut IntelFormatter,
) -> io::Result<()> {
    let code = func.code();
    writeln!(out, "; {}, {} bytes", heading(func), code.len())?;
    let remarks = Remarks::new(module, func);
    let data = data_start(&code);
    let mut text = String::new();
    for instruction in decoder(&code[..data]) {
        let start = instruction.ip() as usize;
        let bytes = hex(&code[start..start + instruction.len()]);
        text.clear();
        formatter.format(&instruction, &mut text);
        let remark = remarks.of(&instruction);
        if remark.is_empty() {
            writeln!(out, "{start:6x}: {bytes:33}{text}")?;
        } else {
            let remark = remark.join("; ");
            writeln!(out, "{start:6x}: {bytes:33}{text:REMARK$} ; {remark}")?;
        }
    }
    for (line, bytes) in code[data..].chunks(8).enumerate() {
        writeln!(out, "{:6x}: {:33}; data", data + 8 * line, hex(bytes))?;
    }
    writeln!(out)
}

/// Instructions, with offsets within the function for addresses, so that listings compare.
fn decoder(code: &[u8]) -> Decoder<'_> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

/// Where constants and jump tables begin, which follow the instructions and are addressed relative
/// to them.
fn data_start(code: &[u8]) -> usize {
    let mut start = code.len();
    for instruction in decoder(code) {
        if instruction.ip() as usize >= start {
            break;
        }
        if instruction.is_ip_rel_memory_operand()
            && let Ok(target) = usize::try_from(instruction.ip_rel_memory_address())
            && target >= instruction.next_ip() as usize
        {
            start = start.min(target);
        }
    }
    start
}

/// What there is to say of instructions.
struct Remarks<'a> {
    module: &'a Module,
    /// The address of the first instruction.
    base: usize,
    /// By the offset of the end of the site.
    sites: HashMap<usize, &'a Site>,
    /// By offset.
    traps: HashMap<usize, TrapSite>,
}

impl<'a> Remarks<'a> {
    fn new(module: &'a Module, func: FunctionInfo<'a>) -> Self {
        let base = func.code_range().start;
        let sites = func.sites().iter();
        Remarks {
            module,
            base,
            sites: sites
                .map(|site| (site.return_address() - base, site))
                .collect(),
            traps: func
                .traps()
                .map(|trap| (trap.address - base, trap))
                .collect(),
        }
    }

    fn of(&self, instruction: &Instruction) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(site) = self.sites.get(&(instruction.next_ip() as usize)) {
            remarks.push(format!(
                "site {}: {}, off (wasm {:#x})",
                site.id().index(),
                kind_name(site.kind()),
                site.wasm_offset()
            ));
        }
        if let Some(trap) = self.traps.get(&(instruction.ip() as usize)) {
            let place = trap.wasm_offset;
            let place = place.map_or_else(String::new, |offset| format!(" (wasm {offset:#x})"));
            remarks.push(format!("trap: {}{place}", trap.kind));
        }
        remarks.extend(self.callee(instruction));
        remarks
    }

    /// The function that a direct call leads to.
    fn callee(&self, instruction: &Instruction) -> Option<String> {
        if instruction.flow_control() != FlowControl::Call {
            return None;
        }
        // The offset of code before this function wraps around.
        let target = (instruction.near_branch_target() as usize).wrapping_add(self.base);
        let func = self.module.function_at(target)?;
        Some(nopal_instrument::display_name(func).into_owned())
    }
}
