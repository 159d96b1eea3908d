//! Compiled modules.

use crate::cache::Key;
use crate::code_tables::CodeTables;
use crate::compile::compile;
use crate::engine::Engine;
use crate::functions::FunctionInfo;
use crate::module_info::{ExternIndex, ModuleInfo};
use crate::parse::{FunctionBodyData, Parsed, parse};
use crate::site_table::Site;
use crate::text::Text;
use crate::{Error, ExternType, Result};
use nopal_live::{Code, SiteId};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A compiled module.
///
/// Cheap to clone; all clones share the code, and so do all instances, in whatever stores and
/// threads they are. The code is freed with the last clone and the last store that has an instance.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    /// None if the module defines no functions. Dropped before the tables, which it is tagged with.
    code: Option<Code>,
    tables: Box<CodeTables>,
    /// The engine-wide ids of the types.
    type_ids: Box<[u32]>,
    /// The contents of the data segments, one after the other, and where each begins.
    data: Box<[u8]>,
    data_ranges: Box<[Range<u32>]>,
    exports: HashMap<Box<str>, ExternIndex>,
    sites: OnceLock<Box<[Site]>>,
    engine: Engine,
}

/// Something a module needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportType {
    /// The name of the module it comes from.
    pub module: String,
    /// Its own name.
    pub name: String,
    /// What it is.
    pub ty: ExternType,
}

/// Something a module offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportType {
    /// Its name.
    pub name: String,
    /// What it is.
    pub ty: ExternType,
}

impl Module {
    /// Compile a module in the binary format.
    ///
    /// Fails if it is malformed or invalid, uses something unsupported, or is too large.
    pub fn new(engine: &Engine, wasm: &[u8]) -> Result<Module> {
        let Parsed { info, bodies } = parse(wasm)?;
        let (data, data_ranges) = data_segments(&info, wasm);
        let type_ids = (info.types.iter())
            .map(|ty| engine.types().intern(ty).id())
            .collect();
        let exports = info.exports.iter().cloned().collect();
        // The tables come to rest before the code is published, which is tagged with their address.
        let mut tables = Box::new(CodeTables::new(info));
        let code = if bodies.is_empty() {
            None
        } else {
            Some(make_code(engine, wasm, bodies, &mut tables)?)
        };
        Ok(Module(Arc::new(ModuleInner {
            code,
            tables,
            type_ids,
            data,
            data_ranges,
            exports,
            sites: OnceLock::new(),
            engine: engine.clone(),
        })))
    }

    /// Compile the module in a file.
    ///
    /// Fails as [`Module::new`] does, or if the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let wasm = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        Module::new(engine, &wasm)
    }

    /// The engine that compiled it.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Its name in the name section.
    pub fn name(&self) -> Option<&str> {
        self.info().module_name.as_deref()
    }

    /// What it needs, in the order in which it declares it.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType> + '_ {
        self.info().imports.iter().map(|import| ImportType {
            module: import.module.to_string(),
            name: import.name.to_string(),
            ty: self.info().extern_type(import.index),
        })
    }

    /// What it offers, in the order in which it declares it.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType> + '_ {
        self.info().exports.iter().map(|(name, index)| ExportType {
            name: name.to_string(),
            ty: self.info().extern_type(*index),
        })
    }

    /// Bytes of machine code.
    pub fn code_size(&self) -> usize {
        self.0.code.as_ref().map_or(0, Code::len)
    }

    /// Bytes of the tables beside the machine code, which grow with it: functions, instructions that may
    /// trap, calls, and patch sites with the places of their values.
    pub fn side_table_size(&self) -> usize {
        self.0.tables.size()
    }

    /// Where its machine code is; empty if it has none.
    pub fn code_range(&self) -> Range<usize> {
        let base = self.0.code.as_ref().map_or(0, Code::base);
        base..base + self.code_size()
    }

    /// All patch sites, in address order.
    pub fn sites(&self) -> &[Site] {
        self.0.sites.get_or_init(|| self.make_sites())
    }

    /// The patch site with this id, if it is one of the module's.
    pub fn site(&self, id: SiteId) -> Option<&Site> {
        let first = self.sites().first()?.id();
        let at = id.index().checked_sub(first.index())?;
        self.sites().get(at as usize)
    }

    /// The defined functions, by ascending index.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = FunctionInfo<'_>> {
        let defined = 0..self.0.tables.funcs().len() as u32;
        defined.map(|defined| FunctionInfo::new(self, defined))
    }

    /// The function that the machine code at an address belongs to.
    pub fn function_at(&self, pc: usize) -> Option<FunctionInfo<'_>> {
        let offset = pc.checked_sub(self.0.code.as_ref()?.base())?;
        let index = self.0.tables.function_at(u32::try_from(offset).ok()?)?;
        Some(FunctionInfo::new(self, self.info().defined_func(index)?))
    }

    /// The name of any of its functions in the name section, imported ones included.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.info().func_name(index)
    }

    pub(crate) fn info(&self) -> &ModuleInfo {
        &self.0.tables.info
    }

    pub(crate) fn tables(&self) -> &CodeTables {
        &self.0.tables
    }

    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.0.type_ids
    }

    pub(crate) fn export(&self, name: &str) -> Option<ExternIndex> {
        self.0.exports.get(name).copied()
    }

    /// The contents of a data segment.
    pub(crate) fn data_segment(&self, segment: u32) -> &[u8] {
        let range = &self.0.data_ranges[segment as usize];
        &self.0.data[range.start as usize..range.end as usize]
    }

    /// The code of a defined function, counted without imports.
    pub(crate) fn func_code(&self, defined: u32) -> *const u8 {
        let start = self.0.tables.funcs()[defined as usize].start;
        (self.code_range().start + start as usize) as *const u8
    }

    fn make_sites(&self) -> Box<[Site]> {
        let Some(code) = &self.0.code else {
            return Box::default();
        };
        let table = self.0.tables.sites();
        let info = self.info();
        let raw = table.sites().zip(code.sites());
        raw.map(|(site, id)| {
            // The region of a site is inside its function, its end possibly not.
            let func = self.0.tables.function_at(site.ret_offset - 1);
            let func = func.expect("a site is in a function");
            Site {
                id,
                kind: site.kind,
                func,
                wasm_offset: site.wasm_offset,
                ret_addr: code.base() + site.ret_offset as usize,
                values: site.values(info.observed_types(func, site.kind)),
            }
        })
        .collect()
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name())
            .field("code", &format_args!("{:#x?}", self.code_range()))
            .finish_non_exhaustive()
    }
}

/// The code of a module that defines functions, from the cache if it is there; `tables` gets its maps.
fn make_code(
    engine: &Engine,
    wasm: &[u8],
    bodies: Vec<FunctionBodyData<'_>>,
    tables: &mut CodeTables,
) -> Result<Code> {
    let publish = |tables: &mut CodeTables, mut text: Text| {
        let code = text.publish(engine.code_space(), tables.tag())?;
        tables.set_maps(text.take_maps());
        Ok(code)
    };
    let cache = engine.config().cache.as_ref();
    let entry = cache.and_then(|cache| Some((cache, Key::new(engine, wasm)?)));
    let Some((cache, key)) = entry else {
        let text = compile(engine, &tables.info, bodies)?;
        return publish(tables, text);
    };
    let found = cache.load(&key, |contents| {
        let text = Text::from_bytes(contents, &tables.info)?;
        publish(tables, text).ok()
    });
    if let Some(code) = found {
        return Ok(code);
    }
    let text = compile(engine, &tables.info, bodies)?;
    cache.store(&key, &text.to_bytes());
    publish(tables, text)
}

/// The contents of the data segments, and where each is in them.
fn data_segments(info: &ModuleInfo, wasm: &[u8]) -> (Box<[u8]>, Box<[Range<u32>]>) {
    let mut data = Vec::new();
    let ranges = info.data.iter().map(|segment| {
        let start = data.len() as u32;
        data.extend_from_slice(&wasm[segment.range.start as usize..segment.range.end as usize]);
        start..data.len() as u32
    });
    let ranges = ranges.collect();
    (data.into(), ranges)
}
