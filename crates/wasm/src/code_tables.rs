//! What is known about the machine code of a module.

use crate::arch;
use crate::cache::codec::{Reader, Writer, is_ascending};
use crate::module_info::ModuleInfo;
use crate::site_table::SiteTable;
use crate::trap::{Frame, TrapKind};
use nopal_codegen::{CallSite, Trap};
use nopal_ir::TrapCode;
use std::ops::Range;
use std::sync::Arc;

/// The tables of a module's code. Offsets count from its first byte.
#[derive(Debug)]
pub(crate) struct CodeTables {
    pub(crate) info: ModuleInfo,
    name: Option<Arc<str>>,
    maps: CodeMaps,
}

/// The part of the tables that grows with the code. Everything is in address order.
#[derive(Debug, Default)]
pub(crate) struct CodeMaps {
    /// The code of each defined function.
    pub(crate) funcs: Vec<Range<u32>>,
    pub(crate) traps: TrapTable,
    pub(crate) calls: CallTable,
    pub(crate) sites: SiteTable,
}

impl CodeMaps {
    /// Append the maps of code that follows at offset `base`.
    pub(crate) fn append(&mut self, other: &CodeMaps, base: u32) {
        let moved = other.funcs.iter().map(|f| base + f.start..base + f.end);
        self.funcs.extend(moved);
        self.traps.append(&other.traps, base);
        self.calls.append(&other.calls, base);
        self.sites.append(&other.sites, base);
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let bounds = self.funcs.iter().map(|func| {
            let mut record = [0; 8];
            record[..4].copy_from_slice(&func.start.to_le_bytes());
            record[4..].copy_from_slice(&func.end.to_le_bytes());
            record
        });
        out.records(bounds);
        out.u32s(&self.traps.offsets);
        out.u32s(&self.traps.srclocs);
        out.bytes(&self.traps.codes);
        out.u32s(&self.calls.offsets);
        out.u32s(&self.calls.srclocs);
        self.sites.write(out);
    }

    /// Maps of `len` bytes of code of a module.
    pub(crate) fn read(input: &mut Reader<'_>, len: u32, info: &ModuleInfo) -> Option<CodeMaps> {
        let funcs = input.records()?.iter().map(|&[a, b, c, d, e, f, g, h]| {
            u32::from_le_bytes([a, b, c, d])..u32::from_le_bytes([e, f, g, h])
        });
        let funcs: Vec<Range<u32>> = funcs.collect();
        let traps = TrapTable {
            offsets: input.u32s()?,
            srclocs: input.u32s()?,
            codes: input.bytes()?.to_vec(),
        };
        let calls = CallTable {
            offsets: input.u32s()?,
            srclocs: input.u32s()?,
        };
        let in_order = |a: &Range<u32>, b: &Range<u32>| a.end <= b.start;
        let is_valid = funcs.len() == info.func_bodies.len()
            && funcs.iter().all(|f| f.start < f.end && f.end <= len)
            && funcs.is_sorted_by(in_order)
            && traps.offsets.is_sorted()
            && traps.srclocs.len() == traps.offsets.len()
            && traps.codes.len() == traps.offsets.len()
            && is_ascending(&calls.offsets)
            && calls.srclocs.len() == calls.offsets.len();
        if !is_valid {
            return None;
        }
        let sites = SiteTable::read(input, &funcs, info)?;
        Some(CodeMaps {
            funcs,
            traps,
            calls,
            sites,
        })
    }
}

/// Instructions that may trap.
#[derive(Debug, Default)]
pub(crate) struct TrapTable {
    offsets: Vec<u32>,
    srclocs: Vec<u32>,
    codes: Vec<u8>,
}

impl TrapTable {
    /// Add an instruction of a function that begins at `base`.
    pub(crate) fn push(&mut self, trap: &Trap, base: u32) {
        self.offsets.push(base + trap.offset);
        self.srclocs.push(trap.srcloc);
        self.codes.push(trap.code.raw());
    }

    fn append(&mut self, other: &TrapTable, base: u32) {
        self.offsets
            .extend(other.offsets.iter().map(|at| base + at));
        self.srclocs.extend_from_slice(&other.srclocs);
        self.codes.extend_from_slice(&other.codes);
    }

    /// Why the instruction at `offset` traps and its source location.
    fn find(&self, offset: u32) -> Option<(TrapCode, u32)> {
        let at = self.offsets.binary_search(&offset).ok()?;
        Some((TrapCode::from_raw(self.codes[at])?, self.srclocs[at]))
    }

    /// Every instruction that may trap in a range: its offset, why it traps, and its source location.
    pub(crate) fn within(
        &self,
        range: Range<u32>,
    ) -> impl Iterator<Item = (u32, TrapCode, u32)> + '_ {
        let from = self.offsets.partition_point(|&at| at < range.start);
        let to = self.offsets.partition_point(|&at| at < range.end);
        (from..to).filter_map(|i| {
            let code = TrapCode::from_raw(self.codes[i])?;
            Some((self.offsets[i], code, self.srclocs[i]))
        })
    }
}

/// Return addresses of calls.
#[derive(Debug, Default)]
pub(crate) struct CallTable {
    offsets: Vec<u32>,
    srclocs: Vec<u32>,
}

impl CallTable {
    /// Add a call in a function that begins at `base`.
    pub(crate) fn push(&mut self, call: &CallSite, base: u32) {
        self.offsets.push(base + call.ret_addr);
        self.srclocs.push(call.srcloc);
    }

    fn append(&mut self, other: &CallTable, base: u32) {
        self.offsets
            .extend(other.offsets.iter().map(|at| base + at));
        self.srclocs.extend_from_slice(&other.srclocs);
    }

    fn find(&self, ret_offset: u32) -> Option<u32> {
        let at = self.offsets.binary_search(&ret_offset).ok()?;
        Some(self.srclocs[at])
    }

    /// The call that the instruction at `offset` is, if it is one.
    fn at(&self, offset: u32) -> Option<u32> {
        let after = self.offsets.partition_point(|&ret| ret <= offset);
        let ret = *self.offsets.get(after)?;
        (ret - offset <= arch::MAX_CALL_LEN).then(|| self.srclocs[after])
    }
}

impl CodeTables {
    /// Tables without code.
    pub(crate) fn new(info: ModuleInfo) -> Self {
        CodeTables {
            name: info.module_name.as_deref().map(Arc::from),
            info,
            maps: CodeMaps::default(),
        }
    }

    /// Fill in the maps of the module's code.
    pub(crate) fn set_maps(&mut self, mut maps: CodeMaps) {
        maps.funcs.shrink_to_fit();
        maps.traps.offsets.shrink_to_fit();
        maps.traps.srclocs.shrink_to_fit();
        maps.traps.codes.shrink_to_fit();
        maps.calls.offsets.shrink_to_fit();
        maps.calls.srclocs.shrink_to_fit();
        maps.sites.shrink_to_fit();
        self.maps = maps;
    }

    /// The word that published code is tagged with, so that its tables are found again.
    pub(crate) fn tag(&self) -> usize {
        self as *const CodeTables as usize
    }

    /// The tables of code with this tag; none for code of other kinds, whose tag is 0.
    ///
    /// # Safety
    /// The tag is 0 or that of tables which live as long as the result is used.
    pub(crate) unsafe fn from_tag<'a>(tag: usize) -> Option<&'a CodeTables> {
        // SAFETY: as the caller says.
        unsafe { (tag as *const CodeTables).as_ref() }
    }

    /// The code of each defined function.
    pub(crate) fn funcs(&self) -> &[Range<u32>] {
        &self.maps.funcs
    }

    /// The patch sites.
    pub(crate) fn sites(&self) -> &SiteTable {
        &self.maps.sites
    }

    /// The instructions that may trap.
    pub(crate) fn traps(&self) -> &TrapTable {
        &self.maps.traps
    }

    /// The index in the module of the function whose code is at `offset`.
    pub(crate) fn function_at(&self, offset: u32) -> Option<u32> {
        let after = self.maps.funcs.partition_point(|f| f.start <= offset);
        let at = after.checked_sub(1)?;
        (offset < self.maps.funcs[at].end).then(|| at as u32 + self.info.counts.imported_funcs)
    }

    /// Whether the code of a function begins at `offset`. Async-signal-safe.
    pub(crate) fn is_function_start(&self, offset: u32) -> bool {
        let found = self.maps.funcs.binary_search_by_key(&offset, |f| f.start);
        found.is_ok()
    }

    /// Why the instruction at `offset` traps. Async-signal-safe.
    pub(crate) fn trap_at(&self, offset: u32) -> Option<TrapKind> {
        TrapKind::from_code(self.maps.traps.find(offset)?.0)
    }

    /// The frame of a function that is at `offset`: after a call, or at a trapping instruction.
    pub(crate) fn frame(&self, offset: u32, is_call: bool) -> Option<Frame> {
        // A call can be the last instruction of a function.
        let inside = if is_call {
            offset.checked_sub(1)?
        } else {
            offset
        };
        let func_index = self.function_at(inside)?;
        let srcloc = if is_call {
            let call = self.maps.calls.find(offset);
            call.or_else(|| self.maps.sites.wasm_offset_at(offset))
        } else {
            // Calls fault if they overflow the stack.
            let trap = self.maps.traps.find(offset).map(|(_, srcloc)| srcloc);
            trap.or_else(|| self.maps.calls.at(offset))
        };
        Some(Frame {
            module: self.name.clone(),
            func_index,
            func_name: self.info.func_name(func_index).map(Box::from),
            wasm_offset: srcloc.filter(|&loc| loc != u32::MAX),
        })
    }
}
