//! What is known about machine code of a module.

use crate::arch;
use crate::cache::codec::{Reader, Writer};
use crate::module_info::ModuleInfo;
use crate::place_table::{Place, PlaceTable};
use crate::site_table::SiteTable;
use crate::trap::{Frame, TrapKind};
use nopal_codegen::{CallSite, Trap};
use nopal_ir::TrapCode;
use std::ops::Range;
use std::sync::Arc;

/// The tables of code of some functions of a module. Offsets count from its first byte.
#[derive(Debug)]
pub(crate) struct CodeTables {
    pub(crate) info: Arc<ModuleInfo>,
    functions: Functions,
    maps: CodeMaps,
}

/// The functions that some code is that of, in its order: their indices in the module, ascending.
#[derive(Debug)]
pub(crate) enum Functions {
    Consecutive(Range<u32>),
    Listed(Box<[u32]>),
}

impl Functions {
    fn get(&self, at: usize) -> Option<u32> {
        match self {
            Functions::Consecutive(range) => range.clone().nth(at),
            Functions::Listed(list) => list.get(at).copied(),
        }
    }

    fn position(&self, index: u32) -> Option<usize> {
        match self {
            Functions::Consecutive(range) if range.contains(&index) => {
                Some((index - range.start) as usize)
            }
            Functions::Consecutive(_) => None,
            Functions::Listed(list) => list.binary_search(&index).ok(),
        }
    }
}

/// The part of the tables that grows with the code. Everything is in address order.
#[derive(Debug, Default)]
pub(crate) struct CodeMaps {
    /// The code of each function.
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
        self.traps.0.append(&other.traps.0, base);
        self.calls.0.append(&other.calls.0, base);
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
        self.traps.0.write(out);
        self.calls.0.write(out);
        self.sites.write(out);
    }

    /// Maps of `len` bytes of code of the functions with these indices in a module.
    pub(crate) fn read(
        input: &mut Reader<'_>,
        len: u32,
        info: &ModuleInfo,
        functions: Range<u32>,
    ) -> Option<CodeMaps> {
        let funcs = input.records()?.iter().map(|&[a, b, c, d, e, f, g, h]| {
            u32::from_le_bytes([a, b, c, d])..u32::from_le_bytes([e, f, g, h])
        });
        let funcs: Vec<Range<u32>> = funcs.collect();
        let traps = TrapTable(PlaceTable::read(input, len)?);
        let calls = CallTable(PlaceTable::read(input, len)?);
        let in_order = |a: &Range<u32>, b: &Range<u32>| a.end <= b.start;
        let is_valid = funcs.len() == functions.len()
            && funcs.iter().all(|f| f.start < f.end && f.end <= len)
            && funcs.is_sorted_by(in_order);
        if !is_valid {
            return None;
        }
        let sites = SiteTable::read(input, len, functions.zip(&funcs), info)?;
        Some(CodeMaps {
            funcs,
            traps,
            calls,
            sites,
        })
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        let funcs = self.funcs.capacity() * size_of::<Range<u32>>();
        funcs + self.traps.0.size() + self.calls.0.size() + self.sites.size()
    }

    fn shrink_to_fit(&mut self) {
        self.funcs.shrink_to_fit();
        self.traps.0.shrink_to_fit();
        self.calls.0.shrink_to_fit();
        self.sites.shrink_to_fit();
    }
}

/// Instructions that may trap: the code of a place is that of its trap.
#[derive(Debug, Default)]
pub(crate) struct TrapTable(PlaceTable);

impl TrapTable {
    /// Add an instruction of a function that begins at `base`.
    pub(crate) fn push(&mut self, trap: &Trap, base: u32) {
        self.0.push(Place {
            offset: base + trap.offset,
            wasm_offset: trap.srcloc,
            code: trap.code.raw(),
            more: &[],
        });
    }

    /// Why the instruction at `offset` traps and its source location.
    fn find(&self, offset: u32) -> Option<(TrapCode, u32)> {
        let place = self.0.find(offset)?;
        Some((TrapCode::from_raw(place.code)?, place.wasm_offset))
    }

    /// Every instruction that may trap in a range: its offset, why it traps, and its source location.
    pub(crate) fn within(
        &self,
        range: Range<u32>,
    ) -> impl Iterator<Item = (u32, TrapCode, u32)> + '_ {
        self.0.within(range).filter_map(|place| {
            let code = TrapCode::from_raw(place.code)?;
            Some((place.offset, code, place.wasm_offset))
        })
    }
}

/// Return addresses of calls.
#[derive(Debug, Default)]
pub(crate) struct CallTable(PlaceTable);

impl CallTable {
    /// Add a call in a function that begins at `base`.
    pub(crate) fn push(&mut self, call: &CallSite, base: u32) {
        self.0.push(Place {
            offset: base + call.ret_addr,
            wasm_offset: call.srcloc,
            code: 0,
            more: &[],
        });
    }

    fn find(&self, ret_offset: u32) -> Option<u32> {
        Some(self.0.find(ret_offset)?.wasm_offset)
    }

    /// The call that the instruction at `offset` is, if it is one.
    fn at(&self, offset: u32) -> Option<u32> {
        let next = self.0.from(offset.checked_add(1)?).next()?;
        (next.offset - offset <= arch::MAX_CALL_LEN).then_some(next.wasm_offset)
    }
}

impl CodeTables {
    /// The tables of these functions.
    pub(crate) fn new(info: Arc<ModuleInfo>, functions: Functions, mut maps: CodeMaps) -> Self {
        maps.shrink_to_fit();
        CodeTables {
            info,
            functions,
            maps,
        }
    }

    /// Bytes in memory of what grows with the code.
    pub(crate) fn size(&self) -> usize {
        self.maps.size()
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

    /// The maps.
    pub(crate) fn maps(&self) -> &CodeMaps {
        &self.maps
    }

    /// The code of the function with this index in the module; none if it is not in this code.
    pub(crate) fn func(&self, index: u32) -> Option<Range<u32>> {
        let at = self.functions.position(index)?;
        self.maps.funcs.get(at).cloned()
    }

    /// The index in the module of the function whose code is at `offset`.
    pub(crate) fn function_at(&self, offset: u32) -> Option<u32> {
        let after = self.maps.funcs.partition_point(|f| f.start <= offset);
        let at = after.checked_sub(1)?;
        (offset < self.maps.funcs[at].end).then(|| self.functions.get(at))?
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
            module: self.info.module_name.clone(),
            func_index,
            func_name: self.info.func_name(func_index).map(Box::from),
            wasm_offset: srcloc.filter(|&loc| loc != u32::MAX),
        })
    }
}
