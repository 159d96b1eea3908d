//! Machine code of many functions on its way to executable memory.

use crate::cache::codec::{Reader, Writer};
use crate::code_tables::CodeMaps;
use crate::module_info::ModuleInfo;
use crate::translate::{NAMESPACE_FUNC, NAMESPACE_SITE};
use crate::{Error, Result, SiteKind, arch};
use nopal_codegen::{CompiledCode, Reloc, RelocKind};
use nopal_ir::{ExternalName, Function};
use nopal_live::{Bypass, Code, CodeSpace, SiteDesc};
use std::ops::Range;
use std::sync::Arc;

/// Alignment of the start of every text.
const ALIGNMENT: usize = 64;

/// The code of consecutive functions. Offsets count from its first byte.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    relocs: Vec<TextReloc>,
    /// In ascending order.
    bypasses: Vec<Bypass>,
    pub(crate) maps: CodeMaps,
}

/// A place that depends on the address of a defined function.
#[derive(Clone, Copy, Debug)]
struct TextReloc {
    offset: u32,
    kind: RelocKind,
    /// Counted without imports.
    target: u32,
    addend: i64,
}

impl TextReloc {
    fn to_bytes(self) -> [u8; 17] {
        let mut record = [0; 17];
        record[..4].copy_from_slice(&self.offset.to_le_bytes());
        record[4..8].copy_from_slice(&self.target.to_le_bytes());
        record[8..16].copy_from_slice(&self.addend.to_le_bytes());
        record[16] = match self.kind {
            RelocKind::X64CallPcRel4 => 4,
            RelocKind::Abs8 => 8,
        };
        record
    }

    /// A relocation in `len` bytes of code of a module that defines `funcs` functions.
    fn from_bytes(record: [u8; 17], len: usize, funcs: usize) -> Option<TextReloc> {
        let [a, b, c, d, e, f, g, h, addend @ .., size] = record;
        let reloc = TextReloc {
            offset: u32::from_le_bytes([a, b, c, d]),
            target: u32::from_le_bytes([e, f, g, h]),
            addend: i64::from_le_bytes(addend),
            kind: match size {
                4 => RelocKind::X64CallPcRel4,
                8 => RelocKind::Abs8,
                _ => return None,
            },
        };
        let end = reloc.offset as usize + usize::from(size);
        // No addend of real code comes near to where sums overflow.
        let is_small = i32::try_from(reloc.addend).is_ok();
        (end <= len && (reloc.target as usize) < funcs && is_small).then_some(reloc)
    }
}

fn bypass_to_bytes(bypass: &Bypass) -> [u8; 12] {
    let mut record = [0; 12];
    record[..4].copy_from_slice(&bypass.branch.to_le_bytes());
    record[4..8].copy_from_slice(&bypass.around.to_le_bytes());
    record[8..].copy_from_slice(&bypass.ret_offset.to_le_bytes());
    record
}

/// Bypasses in `len` bytes of code. Whether they are branches to sites is checked when the code is published.
fn read_bypasses(records: &[[u8; 12]], len: u32) -> Option<Vec<Bypass>> {
    let bypasses = records.iter().map(|record| {
        let (words, _) = record.as_chunks();
        let word = |n: usize| u32::from_le_bytes(words[n]);
        Bypass {
            branch: word(0),
            around: word(1),
            ret_offset: word(2),
        }
    });
    let bypasses: Vec<Bypass> = bypasses.collect();
    let inside = |b: &Bypass| b.branch < len && b.around < len && b.ret_offset <= len;
    let is_valid = bypasses.is_sorted_by(|a, b| a.branch < b.branch) && bypasses.iter().all(inside);
    is_valid.then_some(bypasses)
}

impl Text {
    /// Append a compiled function. The module has `imported` imported ones.
    pub(crate) fn push(
        &mut self,
        func: &Function,
        code: &CompiledCode,
        imported: u32,
    ) -> Result<()> {
        let base = self.align(code.alignment as usize)?;
        self.bytes.extend_from_slice(&code.code);
        let end = self.len()?;
        self.maps.funcs.push(base..end);
        for reloc in &code.relocs {
            self.reloc(func, reloc, base, imported)?;
        }
        for trap in &code.traps {
            self.maps.traps.push(trap, base);
        }
        for call in &code.call_sites {
            self.maps.calls.push(call, base);
        }
        for site in &code.patch_sites {
            let callee = &func.ext_funcs()[site.callee as usize].name;
            let kind = site_kind(callee)
                .ok_or_else(|| fail(func, format!("patch site with unknown callee {callee}")))?;
            let values = code.value_map(site);
            let ret_offset = base + site.ret_addr;
            (self.maps.sites).push(kind, ret_offset, site.len, site.site, values);
        }
        self.bypasses.extend(code.bypasses.iter().map(|b| {
            let bypass = Bypass {
                branch: b.branch,
                around: b.around,
                ret_offset: b.ret_addr,
            };
            bypass.moved_by(base)
        }));
        Ok(())
    }

    fn reloc(&mut self, func: &Function, reloc: &Reloc, base: u32, imported: u32) -> Result<()> {
        let target = match &reloc.target {
            ExternalName::User {
                namespace: NAMESPACE_FUNC,
                index,
            } => index.checked_sub(imported),
            // Sites are emitted switched off; whoever switches them on provides the address.
            ExternalName::User {
                namespace: NAMESPACE_SITE,
                ..
            } => return Ok(()),
            _ => None,
        };
        let target = target
            .ok_or_else(|| fail(func, format!("call of unknown function {}", reloc.target)))?;
        self.relocs.push(TextReloc {
            offset: base + reloc.offset,
            kind: reloc.kind,
            target,
            addend: reloc.addend,
        });
        Ok(())
    }

    /// Append the code of the functions that follow.
    pub(crate) fn append(&mut self, other: &Text) -> Result<()> {
        let base = self.align(ALIGNMENT)?;
        self.bytes.extend_from_slice(&other.bytes);
        self.len()?;
        self.maps.append(&other.maps, base);
        self.relocs
            .extend(other.relocs.iter().map(|reloc| TextReloc {
                offset: base + reloc.offset,
                ..*reloc
            }));
        let moved = other.bypasses.iter().map(|bypass| bypass.moved_by(base));
        self.bypasses.extend(moved);
        Ok(())
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> Result<u32> {
        u32::try_from(self.bytes.len())
            .ok()
            .filter(|&len| len <= 1 << 31)
            .ok_or_else(|| Error::limit("more than 2 GiB of machine code"))
    }

    fn align(&mut self, alignment: usize) -> Result<u32> {
        let len = self.bytes.len().next_multiple_of(alignment.max(1));
        self.bytes.resize(len, arch::PADDING);
        self.len()
    }

    /// Make the code executable. `maps` are those that were taken out of it, `tag` is found again by
    /// address, and `callee` gives the address of a defined function, which may depend on that of
    /// the code.
    pub(crate) fn publish(
        mut self,
        space: &Arc<CodeSpace>,
        maps: &CodeMaps,
        tag: usize,
        callee: impl Fn(usize, u32) -> usize,
    ) -> Result<Code> {
        let sites: Vec<SiteDesc> = (maps.sites.sites())
            .map(|site| SiteDesc {
                ret_offset: site.ret_offset,
                len: site.len,
            })
            .collect();
        let allocation = space
            .allocate(self.bytes.len(), ALIGNMENT)
            .map_err(Error::code_memory)?;
        let base = allocation.addr();
        self.relocate(base, |target| callee(base, target));
        allocation
            .tag(tag)
            .publish_with(&self.bytes, &sites, &self.bypasses)
            .map_err(Error::code_memory)
    }

    /// Resolve what depends on addresses, for code that begins at `base`.
    fn relocate(&mut self, base: usize, callee: impl Fn(u32) -> usize) {
        for reloc in &self.relocs {
            let at = reloc.offset as usize;
            let target = callee(reloc.target) as i64 + reloc.addend;
            match reloc.kind {
                // All code of an engine is within 2 GiB.
                RelocKind::X64CallPcRel4 => {
                    let distance = (target - (base + at) as i64) as i32;
                    self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
                }
                RelocKind::Abs8 => {
                    self.bytes[at..at + 8].copy_from_slice(&target.to_le_bytes());
                }
            }
        }
    }

    /// What [`Text::from_bytes`] makes the text of again.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(self.bytes.clone());
        out.records(self.relocs.iter().copied().map(TextReloc::to_bytes));
        out.records(self.bypasses.iter().map(bypass_to_bytes));
        self.maps.write(&mut out);
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        bytes
    }

    /// The text of functions with these indices that `to_bytes` was called for; none if the bytes cannot
    /// be that.
    ///
    /// Whatever the bytes are, publishing the result and asking for what its maps say neither
    /// panics nor writes to any place outside of it. That the code may be executed is another matter.
    pub(crate) fn from_bytes(
        mut bytes: Vec<u8>,
        info: &ModuleInfo,
        functions: Range<u32>,
    ) -> Option<Text> {
        let (rest, &len) = bytes.split_last_chunk()?;
        let len = u32::try_from(u64::from_le_bytes(len)).ok()?;
        let (code, tables) = rest.split_at_checked(len as usize)?;
        let mut input = Reader::new(tables);
        let relocs = input.records()?;
        let bypasses = read_bypasses(input.records()?, len)?;
        let maps = CodeMaps::read(&mut input, len, info, functions)?;
        let relocs: Option<Vec<TextReloc>> = (relocs.iter())
            .map(|&record| TextReloc::from_bytes(record, code.len(), info.func_bodies.len()))
            .collect();
        let relocs = relocs?;
        if !input.is_empty() {
            return None;
        }
        bytes.truncate(len as usize);
        Some(Text {
            bytes,
            relocs,
            bypasses,
            maps,
        })
    }

    /// The maps, leaving the rest.
    pub(crate) fn take_maps(&mut self) -> CodeMaps {
        std::mem::take(&mut self.maps)
    }
}

fn site_kind(callee: &ExternalName) -> Option<SiteKind> {
    match callee {
        ExternalName::User {
            namespace: NAMESPACE_SITE,
            index,
        } => SiteKind::ALL.get(*index as usize).copied(),
        _ => None,
    }
}

/// The error for a function that cannot become part of a text.
fn fail(func: &Function, message: String) -> Error {
    let index = match func.name {
        ExternalName::User { index, .. } => index,
        ExternalName::Named(_) => 0,
    };
    Error::compile(index, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use crate::code_tables::{CodeTables, Functions};
    use crate::compile::compile;
    use crate::parse::{Parsed, parse};

    const TEXT: &str = r#"(module
        (import "env" "f" (func $imported (param i32)))
        (memory 1)
        (func $a (param i32 i64 f64) (result i64)
            (call $imported (i32.div_u (i32.load (local.get 0)) (i32.const 3)))
            (call $b (i32.const 5) (local.get 1)))
        (func $b (param i32 i64) (result i64)
            (loop $next
                (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $a (local.get 0) (i64.const 0x123456789abcdef0) (f64.const 1))))"#;

    /// Ask for all that the maps of code say.
    fn look_at(tables: &CodeTables, len: u32) {
        let info = &tables.info;
        for site in tables.maps().sites.sites() {
            let func = tables.function_at(site.ret_offset - 1);
            let types = info.observed_types(func.expect("a function"), site.kind);
            assert_eq!(site.values(types).len(), types.len());
        }
        for offset in 0..=len {
            tables.trap_at(offset);
            for is_call in [false, true] {
                tables.frame(offset, is_call);
            }
        }
        assert!(tables.maps().traps.within(0..len).count() <= len as usize);
    }

    #[test]
    fn a_text_is_made_again_of_its_bytes() {
        let engine = Engine::default();
        let wasm = wat::parse_str(TEXT).expect("valid text");
        let Parsed { info, bodies } = parse(&wasm).expect("a module");
        let text = compile(&engine, &info, bodies).expect("code");
        let bytes = text.to_bytes();
        let again = Text::from_bytes(bytes.clone(), &info, 1..3).expect("the same text");
        assert_eq!(format!("{again:?}"), format!("{text:?}"));
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!((text.relocs.len(), text.bypasses.len()), (2, 1));
        assert!(Text::from_bytes([&bytes[..], b"\0"].concat(), &info, 1..3).is_none());
        for len in 0..bytes.len() {
            assert!(
                Text::from_bytes(bytes[..len].to_vec(), &info, 1..3).is_none(),
                "{len}"
            );
        }
        // That of other functions, or of another module.
        assert!(Text::from_bytes(bytes.clone(), &info, 1..2).is_none());
        let other = wat::parse_str("(module (func))").expect("valid text");
        let other = parse(&other).expect("a module");
        assert!(Text::from_bytes(bytes, &other.info, 0..1).is_none());
    }

    #[test]
    fn bypasses_keep_with_their_functions() {
        let engine = Engine::default();
        let wasm = wat::parse_str(TEXT).expect("valid text");
        let Parsed { info, bodies } = parse(&wasm).expect("a module");
        let text = compile(&engine, &info, bodies).expect("code");
        let mut twice = Text::default();
        for _ in 0..2 {
            twice.append(&text).expect("room");
        }
        let base = text.bytes.len().next_multiple_of(ALIGNMENT) as u32;
        let [bypass] = text.bypasses[..] else {
            panic!("one loop")
        };
        let moved = Bypass {
            branch: base + bypass.branch,
            around: base + bypass.around,
            ret_offset: base + bypass.ret_offset,
        };
        assert_eq!(twice.bypasses, [bypass, moved]);
        let ends: Vec<u32> = (twice.maps.sites.sites())
            .map(|site| site.ret_offset)
            .collect();
        for bypass in &twice.bypasses {
            assert!(ends.contains(&bypass.ret_offset));
            // `jne`, short.
            assert_eq!(twice.bytes[bypass.branch as usize], 0x75);
        }
    }

    #[test]
    fn bypasses_outside_of_the_code_or_out_of_order_are_refused() {
        let read = |bypasses: &[(u32, u32, u32)]| {
            let record = |&(branch, around, ret_offset)| {
                bypass_to_bytes(&Bypass {
                    branch,
                    around,
                    ret_offset,
                })
            };
            let records: Vec<_> = bypasses.iter().map(record).collect();
            read_bypasses(&records, 100).map(|read| read.len())
        };
        assert_eq!(read(&[]), Some(0));
        assert_eq!(read(&[(20, 11, 10), (99, 99, 100)]), Some(2));
        assert_eq!(read(&[(100, 10, 10)]), None);
        assert_eq!(read(&[(u32::MAX, 10, 10)]), None);
        assert_eq!(read(&[(20, 100, 10)]), None);
        assert_eq!(read(&[(20, 10, 101)]), None);
        assert_eq!(read(&[(20, 10, 10), (20, 10, 10)]), None);
        assert_eq!(read(&[(30, 10, 10), (20, 10, 10)]), None);
    }

    #[test]
    fn hostile_bytes_are_refused_or_do_no_harm() {
        let engine = Engine::default();
        let wasm = wat::parse_str(TEXT).expect("valid text");
        let Parsed { info, bodies } = parse(&wasm).expect("a module");
        let bytes = (compile(&engine, &info, bodies).expect("code")).to_bytes();
        let info = Arc::new(info);
        let (mut refused, mut published) = (0, 0);
        for at in 0..bytes.len() {
            for change in [0x01, 0x10, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] ^= change;
                let Some(mut text) = Text::from_bytes(bad, &info, 1..3) else {
                    refused += 1;
                    continue;
                };
                let len = text.len().expect("a length");
                let maps = text.take_maps();
                let callee = |base, func: u32| base + maps.funcs[func as usize].start as usize;
                if text.publish(engine.code_space(), &maps, 0, callee).is_err() {
                    refused += 1;
                    continue;
                }
                published += 1;
                let functions = Functions::Consecutive(1..3);
                look_at(&CodeTables::new(info.clone(), functions, maps), len);
            }
        }
        assert!(refused > 100 && published > 100, "{refused}, {published}");
    }
}
