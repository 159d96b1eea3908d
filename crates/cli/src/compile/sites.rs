//! The site table.

use super::{Chosen, kind_name};
use nopal_wasm::{FunctionInfo, Location, Site, SiteValue};
use serde_json::{Value as Json, json};
use std::io::{self, Write};

/// Hardware numbers to names.
const GPRS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// Write one line per site.
pub(super) fn write(out: &mut impl Write, chosen: &Chosen<'_>) -> io::Result<()> {
    let base = chosen.module.code_range().start;
    writeln!(
        out,
        "  site kind      wasm     code  function: values (code: offset of the instruction after the site)"
    )?;
    for func in chosen.iter() {
        for site in func.sites() {
            let values: Vec<String> = site.values().iter().map(print_value).collect();
            writeln!(
                out,
                "{:6} {:5} {:#8x} {:#8x}  {} {}: {}",
                site.id().index(),
                kind_name(site.kind()),
                site.wasm_offset(),
                site.return_address() - base,
                func.index(),
                nopal_instrument::display_name(func),
                values.join(", "),
            )?;
        }
    }
    Ok(())
}

/// Write an array of objects, one per site.
pub(super) fn write_json(out: &mut impl Write, chosen: &Chosen<'_>) -> io::Result<()> {
    let base = chosen.module.code_range().start;
    let mut separator = "[\n";
    for func in chosen.iter() {
        for site in func.sites() {
            write!(out, "{separator}{}", site_json(func, site, base))?;
            separator = ",\n";
        }
    }
    let end = if separator == "[\n" { "[]\n" } else { "\n]\n" };
    out.write_all(end.as_bytes())
}

fn site_json(func: FunctionInfo<'_>, site: &Site, base: usize) -> Json {
    json!({
        "site": site.id().index(),
        "kind": kind_name(site.kind()),
        "func": func.index(),
        "name": nopal_instrument::display_name(func),
        "wasm_offset": site.wasm_offset(),
        "code_offset": site.return_address() - base,
        "values": site.values().iter().map(value_json).collect::<Vec<_>>(),
    })
}

fn value_json(value: &SiteValue) -> Json {
    let ty = value.ty.to_string();
    match value.loc {
        Location::Gpr(n) => json!({ "type": ty, "register": GPRS[usize::from(n)] }),
        Location::Fpr(n) => json!({ "type": ty, "register": format!("xmm{n}") }),
        Location::Slot(offset) => json!({ "type": ty, "frame_offset": offset }),
        // JSON numbers do not hold all 64-bit values.
        Location::Const(bits) => json!({ "type": ty, "bits": format!("{bits:#x}") }),
    }
}

fn print_value(value: &SiteValue) -> String {
    let place = match value.loc {
        Location::Gpr(n) => String::from(GPRS[usize::from(n)]),
        Location::Fpr(n) => format!("xmm{n}"),
        Location::Slot(offset) if offset < 0 => format!("[rbp - {:#x}]", -offset),
        Location::Slot(offset) => format!("[rbp + {offset:#x}]"),
        Location::Const(bits) => {
            let value = nopal_instrument::Value { ty: value.ty, bits };
            format!("constant {value}")
        }
    };
    format!("{} {place}", value.ty)
}
