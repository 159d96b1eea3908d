//! Compiled modules.

use crate::cache::{Key, StoredFunctions};
use crate::code_tables::Functions;
use crate::compile::{compile, validate};
use crate::engine::Engine;
use crate::functions::FunctionInfo;
use crate::lazy::LazyCode;
use crate::module_info::{ExternIndex, ModuleInfo};
use crate::parse::{BodySource, FunctionBodyData, Parsed, parse};
use crate::piece::Piece;
use crate::site_table::Site;
use crate::text::Text;
use crate::{Error, ExternType, Result};
use nopal_live::SiteId;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A compiled module.
///
/// Cheap to clone; all clones share the code, and so do all instances, in whatever stores and
/// threads they are. The code is freed with the last clone and the last store that has an instance.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    info: Arc<ModuleInfo>,
    code: ModuleCode,
    /// The engine-wide ids of the types.
    type_ids: Box<[u32]>,
    /// The contents of the data segments, one after the other, and where each begins.
    data: Box<[u8]>,
    data_ranges: Box<[Range<u32>]>,
    exports: HashMap<Box<str>, ExternIndex>,
    engine: Engine,
}

/// The code of a module.
enum ModuleCode {
    /// It defines no functions.
    None,
    /// All functions are compiled.
    Whole(Piece),
    Lazy(Box<LazyCode>),
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
    /// Compile a module in the binary format, or prepare for its functions to be compiled when they are
    /// called, as [`Config::lazy_compilation`](crate::Config::lazy_compilation) says.
    ///
    /// Fails if it is malformed or invalid, uses something unsupported, or is too large.
    pub fn new(engine: &Engine, wasm: &[u8]) -> Result<Module> {
        let Parsed { info, bodies } = parse(wasm)?;
        let (data, data_ranges) = data_segments(&info, wasm);
        let type_ids = (info.types.iter())
            .map(|ty| engine.types().intern(ty).id())
            .collect();
        let exports = info.exports.iter().cloned().collect();
        let info = Arc::new(info);
        let code = if bodies.is_empty() {
            ModuleCode::None
        } else {
            make_code(engine, wasm, bodies, &info)?
        };
        Ok(Module(Arc::new(ModuleInner {
            info,
            code,
            type_ids,
            data,
            data_ranges,
            exports,
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

    /// Compile those of these functions, given by their indices, that are not compiled. There is something
    /// to do only if functions are compiled lazily.
    ///
    /// Whoever wants to know their code or their sites need not call this, but learns from it why there
    /// are none. Functions that the module does not define are left out.
    ///
    /// Fails if one of them is too large, or there is no room for its code.
    pub fn compile_functions(&self, functions: impl IntoIterator<Item = u32>) -> Result<()> {
        match &self.0.code {
            ModuleCode::Lazy(lazy) => {
                let functions = functions.into_iter();
                lazy.compile_all(functions.filter_map(|index| self.defined(index)))
            }
            ModuleCode::None | ModuleCode::Whole(_) => Ok(()),
        }
    }

    /// Bytes of machine code, so far if functions are compiled lazily.
    pub fn code_size(&self) -> usize {
        match &self.0.code {
            ModuleCode::Lazy(lazy) => lazy.sizes().0,
            ModuleCode::None | ModuleCode::Whole(_) => self.code_range().len(),
        }
    }

    /// Bytes of the tables beside the machine code, which grow with it: functions, instructions that may
    /// trap, calls, and patch sites with the places of their values. So far if functions are compiled lazily.
    pub fn side_table_size(&self) -> usize {
        match &self.0.code {
            ModuleCode::None => 0,
            ModuleCode::Whole(piece) => piece.tables().size(),
            ModuleCode::Lazy(lazy) => lazy.sizes().1,
        }
    }

    /// Where its machine code is. Empty if it has none, or functions are compiled lazily: it is not in one
    /// place then.
    pub fn code_range(&self) -> Range<usize> {
        match &self.0.code {
            ModuleCode::Whole(piece) => piece.range(),
            ModuleCode::None | ModuleCode::Lazy(_) => 0..0,
        }
    }

    /// All patch sites, those of a function in address order after those of the one before it. Functions that are not compiled yet are, for that.
    ///
    /// None if that fails, for the reason that [`Module::compile_functions`] gives. The sites of single
    /// functions are to be had from [`Module::function`].
    pub fn sites(&self) -> &[Site] {
        match &self.0.code {
            ModuleCode::None => &[],
            ModuleCode::Whole(piece) => piece.sites(),
            ModuleCode::Lazy(lazy) => lazy.sites(),
        }
    }

    /// The patch site with this id, if it is one of the module's.
    pub fn site(&self, id: SiteId) -> Option<&Site> {
        match &self.0.code {
            ModuleCode::None => None,
            ModuleCode::Whole(piece) => piece.site(id),
            ModuleCode::Lazy(lazy) => lazy.site(id),
        }
    }

    /// The defined functions, by ascending index.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = FunctionInfo<'_>> {
        let defined = 0..self.info().func_bodies.len() as u32;
        defined.map(|defined| FunctionInfo::new(self, defined))
    }

    /// The function with this index, if the module defines it.
    pub fn function(&self, index: u32) -> Option<FunctionInfo<'_>> {
        Some(FunctionInfo::new(self, self.defined(index)?))
    }

    /// The function that the machine code at an address belongs to.
    pub fn function_at(&self, pc: usize) -> Option<FunctionInfo<'_>> {
        let index = match &self.0.code {
            ModuleCode::None => None,
            ModuleCode::Whole(piece) => piece.function_at(pc),
            ModuleCode::Lazy(lazy) => lazy.compiled_at(pc)?.function_at(pc),
        };
        self.function(index?)
    }

    /// The name of any of its functions in the name section, imported ones included.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.info().func_name(index)
    }

    pub(crate) fn info(&self) -> &ModuleInfo {
        &self.0.info
    }

    /// The number without imports of the function with this index, if the module defines it.
    fn defined(&self, index: u32) -> Option<u32> {
        let defined = self.info().defined_func(index)?;
        ((defined as usize) < self.info().func_bodies.len()).then_some(defined)
    }

    /// The code that a defined function is in, which is compiled if it is not; none if that fails.
    pub(crate) fn piece(&self, defined: u32) -> Option<&Piece> {
        match &self.0.code {
            ModuleCode::None => None,
            ModuleCode::Whole(piece) => Some(piece),
            ModuleCode::Lazy(lazy) => lazy.piece(defined).ok(),
        }
    }

    /// Its functions, if they are compiled lazily.
    pub(crate) fn lazy(&self) -> Option<&LazyCode> {
        match &self.0.code {
            ModuleCode::Lazy(lazy) => Some(lazy),
            ModuleCode::None | ModuleCode::Whole(_) => None,
        }
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

    /// Where a defined function, counted without imports, is called.
    pub(crate) fn func_code(&self, defined: u32) -> *const u8 {
        let address = match &self.0.code {
            ModuleCode::None => unreachable!("a function that is defined"),
            ModuleCode::Whole(piece) => {
                piece
                    .func(defined + self.info().counts.imported_funcs)
                    .start
            }
            ModuleCode::Lazy(lazy) => lazy.entry(defined),
        };
        address as *const u8
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

/// The code of a module that defines functions, from the cache if it is there.
fn make_code(
    engine: &Engine,
    wasm: &[u8],
    bodies: Vec<FunctionBodyData<'_>>,
    info: &Arc<ModuleInfo>,
) -> Result<ModuleCode> {
    let defined = info.counts.imported_funcs..info.funcs.len() as u32;
    let publish = |text: Text| {
        let functions = Functions::Consecutive(defined.clone());
        let space = engine.code_space();
        Piece::publish(text, info, functions, space, |_| {
            unreachable!("all are there")
        })
    };
    let cache = engine.config().cache.as_ref();
    let entry = cache.and_then(|cache| Some((cache, Key::new(engine, wasm)?)));
    if engine.config().lazy_compilation {
        let source = BodySource::new(wasm, &bodies);
        let validate = || validate(engine, bodies);
        let stored = match entry {
            Some((cache, key)) => Some(StoredFunctions::load(cache, key, info, validate)?),
            None => {
                validate()?;
                None
            }
        };
        let lazy = LazyCode::new(engine, info, source, stored)?;
        return Ok(ModuleCode::Lazy(Box::new(lazy)));
    }
    let found = entry.as_ref().and_then(|(cache, key)| {
        cache.load(key, |contents| {
            let text = Text::from_bytes(contents, info, defined.clone())?;
            publish(text).ok()
        })
    });
    if let Some(piece) = found {
        return Ok(ModuleCode::Whole(piece));
    }
    let text = compile(engine, info, bodies)?;
    if let Some((cache, key)) = entry {
        cache.store(&key, &text.to_bytes());
    }
    Ok(ModuleCode::Whole(publish(text)?))
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
