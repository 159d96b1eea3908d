//! Putting compiled functions where they can run.

use nopal_codegen::{CompiledCode, PatchableCallSite, RelocKind};
use nopal_ir::{ExternalName, Function, TrapCode};
use nopal_live::{Bypass, Code, CodeSpace, SiteDesc, SiteId};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a jump to any address.
const STUB: usize = 16;

/// Functions in executable memory, all sites off.
pub struct Linked {
    code: Code,
    entries: Vec<u64>,
    /// Offset of each function, and its tables.
    functions: Vec<(usize, CompiledCode)>,
}

/// Link functions with each other, by name, and with what `symbol` knows the address of.
///
/// # Errors
///
/// A symbol is not known, or there is no room.
pub fn link(
    space: &Arc<CodeSpace>,
    functions: Vec<(&Function, CompiledCode)>,
    symbol: impl Fn(&ExternalName) -> Option<u64>,
) -> Result<Linked, String> {
    let mut layout = Layout::new(&functions);
    let far = layout.far_callees(&functions);
    let size = layout.end + far.len() * STUB;
    let align = functions.iter().map(|f| f.1.alignment).max();
    let allocation = space
        .allocate(
            size,
            align.unwrap_or(1).next_power_of_two().max(64) as usize,
        )
        .map_err(|e| e.to_string())?;
    let base = allocation.addr() as u64;
    let mut bytes = vec![0xcc; size];
    for (n, &name) in far.iter().enumerate() {
        let address = symbol(name).ok_or_else(|| format!("{name} is not known"))?;
        let at = layout.end + n * STUB;
        // jmp [rip]
        bytes[at..at + 6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        bytes[at + 6..at + 14].copy_from_slice(&address.to_le_bytes());
        layout.stubs.insert(name.clone(), at);
    }
    let (mut sites, mut bypasses) = (Vec::new(), Vec::new());
    for ((_, code), &offset) in functions.iter().zip(&layout.offsets) {
        bytes[offset..offset + code.code.len()].copy_from_slice(&code.code);
        layout.relocate(&mut bytes, base, offset, code, &symbol)?;
        sites.extend(code.patch_sites.iter().map(|s| SiteDesc {
            ret_offset: offset as u32 + s.ret_addr,
            len: s.len,
        }));
        bypasses.extend(code.bypasses.iter().map(|b| {
            let bypass = Bypass {
                branch: b.branch,
                around: b.around,
                ret_offset: b.ret_addr,
            };
            bypass.moved_by(offset as u32)
        }));
    }
    let code = allocation.publish_with(&bytes, &sites, &bypasses);
    let entries = layout.offsets.iter().map(|&at| base + at as u64).collect();
    let tables = functions.into_iter().map(|f| f.1);
    Ok(Linked {
        code: code.map_err(|e| e.to_string())?,
        entries,
        functions: layout.offsets.into_iter().zip(tables).collect(),
    })
}

/// Where everything is, from the base of the code.
struct Layout {
    offsets: Vec<usize>,
    end: usize,
    by_name: HashMap<ExternalName, usize>,
    stubs: HashMap<ExternalName, usize>,
}

impl Layout {
    fn new(functions: &[(&Function, CompiledCode)]) -> Layout {
        let mut end = 0usize;
        let mut offsets = Vec::new();
        let mut by_name = HashMap::new();
        for (func, code) in functions {
            let at = end.next_multiple_of(code.alignment.max(64) as usize);
            offsets.push(at);
            by_name.insert(func.name.clone(), at);
            end = at + code.code.len();
        }
        Layout {
            offsets,
            end: end.next_multiple_of(64),
            by_name,
            stubs: HashMap::new(),
        }
    }

    /// What is called by a near call and is elsewhere.
    fn far_callees<'a>(&self, functions: &'a [(&Function, CompiledCode)]) -> Vec<&'a ExternalName> {
        let mut names = Vec::new();
        for reloc in functions.iter().flat_map(|f| &f.1.relocs) {
            let near = reloc.kind == RelocKind::X64CallPcRel4;
            if near && !self.by_name.contains_key(&reloc.target) && !names.contains(&&reloc.target)
            {
                names.push(&reloc.target);
            }
        }
        names
    }

    fn relocate(
        &self,
        bytes: &mut [u8],
        base: u64,
        offset: usize,
        code: &CompiledCode,
        symbol: &impl Fn(&ExternalName) -> Option<u64>,
    ) -> Result<(), String> {
        for reloc in &code.relocs {
            let at = offset + reloc.offset as usize;
            let own = self.by_name.get(&reloc.target).map(|&at| base + at as u64);
            match reloc.kind {
                RelocKind::X64CallPcRel4 => {
                    let stub = self.stubs.get(&reloc.target).map(|&at| base + at as u64);
                    let target = own.or(stub).unwrap_or_default();
                    let target = target.wrapping_add(reloc.addend as u64);
                    let distance = target.wrapping_sub(base + at as u64) as i64;
                    let distance = i32::try_from(distance).map_err(|e| e.to_string())?;
                    bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
                }
                RelocKind::Abs8 => {
                    let target = own.or_else(|| symbol(&reloc.target));
                    let target = target.ok_or_else(|| format!("{} is not known", reloc.target))?;
                    let target = target.wrapping_add(reloc.addend as u64);
                    bytes[at..at + 8].copy_from_slice(&target.to_le_bytes());
                }
            }
        }
        Ok(())
    }
}

impl Linked {
    /// The address of each function.
    pub fn entries(&self) -> &[u64] {
        &self.entries
    }

    /// The tables of function `n`.
    pub fn compiled(&self, n: usize) -> &CompiledCode {
        &self.functions[n].1
    }

    /// The sites, function by function, in address order, with their function and record.
    pub fn sites(&self) -> impl Iterator<Item = (SiteId, usize, &PatchableCallSite)> + '_ {
        let records = (self.functions.iter().enumerate())
            .flat_map(|(n, (_, code))| code.patch_sites.iter().map(move |s| (n, s)));
        let ids = self.code.sites();
        ids.zip(records).map(|(id, (n, site))| (id, n, site))
    }

    /// The function the instruction at `pc` belongs to and its offset there.
    pub fn function_at(&self, pc: u64) -> Option<(usize, u32)> {
        let offset = usize::try_from(pc.checked_sub(self.code.base() as u64)?).ok()?;
        let within = |(n, (at, code)): (usize, &(usize, CompiledCode))| {
            let offset = offset.checked_sub(*at)?;
            (offset < code.code.len()).then_some((n, offset as u32))
        };
        self.functions.iter().enumerate().find_map(within)
    }

    /// Why the instruction at `pc` traps, if the compiler said that it may.
    pub fn trap_at(&self, pc: u64) -> Option<TrapCode> {
        let (n, offset) = self.function_at(pc)?;
        let traps = &self.functions[n].1.traps;
        traps.iter().find(|t| t.offset == offset).map(|t| t.code)
    }
}
