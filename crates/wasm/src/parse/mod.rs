//! From the bytes of a module to a [`ModuleInfo`] and function bodies.

mod const_expr;
mod convert;
mod features;
mod names;

use crate::error::{Error, Result};
use crate::module_info::{
    DataMode, DataSegment, ElementItems, ElementMode, ElementSegment, ExternIndex, Import,
    ModuleInfo,
};
use crate::vm_offsets::{Counts, VMOffsets};
use const_expr::{const_expr, for_each_func_ref};
pub(crate) use convert::val_type;
pub(crate) use features::refuse;
use features::{SUPPORTED, refuse_module};
use std::ops::Range;
use wasmparser::{
    BinaryReader, ExternalKind, FuncToValidate, FunctionBody, KnownCustom, Parser, Payload,
    TypeRef, ValidPayload, Validator, ValidatorResources,
};

/// The largest module, in bytes.
const MAX_MODULE_SIZE: usize = 1 << 30;

/// A module whose function bodies are not validated yet.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) info: ModuleInfo,
    /// The bodies of the defined functions, in order.
    pub(crate) bodies: Vec<FunctionBodyData<'a>>,
}

/// A function body and what it takes to validate it.
#[derive(Debug)]
pub(crate) struct FunctionBodyData<'a> {
    /// The function's index, imports counted.
    pub(crate) index: u32,
    pub(crate) body: FunctionBody<'a>,
    pub(crate) validate: FuncToValidate<ValidatorResources>,
}

/// What the bodies of a module's functions can be had from again.
#[derive(Debug)]
pub(crate) struct BodySource {
    /// The part of the module that the bodies are in.
    bytes: Box<[u8]>,
    /// Where it is in the module.
    start: u32,
    resources: ValidatorResources,
}

impl BodySource {
    /// The source of these bodies of a module, of which there is one at least.
    pub(crate) fn new(wasm: &[u8], bodies: &[FunctionBodyData<'_>]) -> BodySource {
        let (first, last) = (&bodies[0], &bodies[bodies.len() - 1]);
        let (start, end) = (first.body.range().start, last.body.range().end);
        BodySource {
            bytes: wasm[start as usize..end as usize].into(),
            start: start as u32,
            resources: first.validate.resources.clone(),
        }
    }

    /// The body of the function with this index, imports counted, and this type, which is at `range`
    /// in the module.
    pub(crate) fn body(&self, index: u32, ty: u32, range: Range<u32>) -> FunctionBodyData<'_> {
        let bytes = (range.start - self.start) as usize..(range.end - self.start) as usize;
        FunctionBodyData {
            index,
            body: FunctionBody::new(BinaryReader::new(&self.bytes[bytes], range.start.into())),
            validate: FuncToValidate {
                resources: self.resources.clone(),
                index,
                ty,
                features: SUPPORTED,
            },
        }
    }
}

/// Parse and validate everything but function bodies.
///
/// Fails if the module is malformed, invalid, uses an unsupported feature, or is too large.
pub(crate) fn parse(wasm: &[u8]) -> Result<Parsed<'_>> {
    if wasm.len() > MAX_MODULE_SIZE {
        return Err(Error::limit(format!(
            "a module of {} bytes; at most {MAX_MODULE_SIZE} are supported",
            wasm.len()
        )));
    }
    let mut reader = Reader::new();
    match reader.read(wasm) {
        Ok(()) => reader.finish(),
        Err(Failure::Parser(err)) => Err(refuse_module(&err, wasm)),
        Err(Failure::Other(err)) => Err(err),
    }
}

/// Why parsing stops.
enum Failure {
    Parser(wasmparser::Error),
    Other(Error),
}

impl From<wasmparser::Error> for Failure {
    fn from(err: wasmparser::Error) -> Self {
        Failure::Parser(err)
    }
}

impl From<Error> for Failure {
    fn from(err: Error) -> Self {
        Failure::Other(err)
    }
}

type Step = Result<(), Failure>;

fn range_u32(range: Range<u64>) -> Range<u32> {
    // No module is larger than `MAX_MODULE_SIZE`.
    range.start as u32..range.end as u32
}

struct Reader<'a> {
    info: ModuleInfo,
    bodies: Vec<FunctionBodyData<'a>>,
    /// For each function whether a reference to it can exist.
    escapes: Vec<bool>,
}

impl<'a> Reader<'a> {
    fn new() -> Self {
        let counts = Counts::default();
        Reader {
            info: ModuleInfo {
                types: Vec::new(),
                imports: Vec::new(),
                funcs: Vec::new(),
                tables: Vec::new(),
                memories: Vec::new(),
                globals: Vec::new(),
                exports: Vec::new(),
                start: None,
                global_inits: Vec::new(),
                elements: Vec::new(),
                data: Vec::new(),
                func_ref_index: Vec::new(),
                counts,
                offsets: VMOffsets::new(&counts).expect("an empty context is small"),
                module_name: None,
                func_names: Vec::new(),
                func_bodies: Vec::new(),
            },
            bodies: Vec::new(),
            escapes: Vec::new(),
        }
    }

    fn read(&mut self, wasm: &'a [u8]) -> Step {
        let mut validator = Validator::new_with_features(SUPPORTED);
        let mut parser = Parser::new(0);
        parser.set_features(SUPPORTED);
        for payload in parser.parse_all(wasm) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Func(validate, body) => self.body(validate, body),
                _ => self.section(payload)?,
            }
        }
        Ok(())
    }

    /// Take what is needed from a section that is valid.
    fn section(&mut self, payload: Payload<'a>) -> Step {
        match payload {
            Payload::TypeSection(s) => self.types(s),
            Payload::ImportSection(s) => self.imports(s),
            Payload::FunctionSection(s) => self.functions(s),
            Payload::TableSection(s) => self.tables(s),
            Payload::MemorySection(s) => self.memories(s),
            Payload::GlobalSection(s) => self.globals(s),
            Payload::ExportSection(s) => self.exports(s),
            Payload::StartSection { func, .. } => {
                self.info.start = Some(func);
                Ok(())
            }
            Payload::ElementSection(s) => self.elements(s),
            Payload::DataSection(s) => self.data(s),
            Payload::CustomSection(s) => {
                if let KnownCustom::Name(names) = s.as_known() {
                    names::read_names(names, &mut self.info);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn types(&mut self, section: wasmparser::TypeSectionReader<'a>) -> Step {
        let offset = section.range().start;
        for ty in section.into_iter_err_on_gc_types() {
            self.info.types.push(convert::func_type(&ty?, offset)?);
        }
        Ok(())
    }

    fn imports(&mut self, section: wasmparser::ImportSectionReader<'a>) -> Step {
        for import in section.into_imports_with_offsets() {
            let (offset, import) = import?;
            let info = &mut self.info;
            let index = match import.ty {
                TypeRef::Func(ty) => {
                    info.counts.imported_funcs += 1;
                    info.funcs.push(ty);
                    ExternIndex::Func(info.funcs.len() as u32 - 1)
                }
                TypeRef::Table(ty) => {
                    info.counts.imported_tables += 1;
                    info.tables.push(convert::table_type(ty, offset)?);
                    ExternIndex::Table(info.tables.len() as u32 - 1)
                }
                TypeRef::Memory(ty) => {
                    info.counts.imported_memories += 1;
                    info.memories.push(convert::memory_type(ty, offset)?);
                    ExternIndex::Memory(info.memories.len() as u32 - 1)
                }
                TypeRef::Global(ty) => {
                    info.counts.imported_globals += 1;
                    info.globals.push(convert::global_type(ty, offset)?);
                    ExternIndex::Global(info.globals.len() as u32 - 1)
                }
                TypeRef::Tag(_) => return Err(Error::unsupported(offset, "exceptions").into()),
                TypeRef::FuncExact(_) => {
                    return Err(Error::unsupported(offset, "custom-descriptors").into());
                }
            };
            info.imports.push(Import {
                module: import.module.into(),
                name: import.name.into(),
                index,
            });
        }
        Ok(())
    }

    fn functions(&mut self, section: wasmparser::FunctionSectionReader<'a>) -> Step {
        for ty in section {
            self.info.funcs.push(ty?);
        }
        Ok(())
    }

    fn tables(&mut self, section: wasmparser::TableSectionReader<'a>) -> Step {
        for table in section.into_iter_with_offsets() {
            let (offset, table) = table?;
            if let wasmparser::TableInit::Expr(_) = table.init {
                return Err(Error::unsupported(offset, "function-references").into());
            }
            self.info.counts.defined_tables += 1;
            self.info
                .tables
                .push(convert::table_type(table.ty, offset)?);
        }
        Ok(())
    }

    fn memories(&mut self, section: wasmparser::MemorySectionReader<'a>) -> Step {
        for memory in section.into_iter_with_offsets() {
            let (offset, memory) = memory?;
            self.info.counts.defined_memories += 1;
            self.info
                .memories
                .push(convert::memory_type(memory, offset)?);
        }
        Ok(())
    }

    fn globals(&mut self, section: wasmparser::GlobalSectionReader<'a>) -> Step {
        for global in section.into_iter_with_offsets() {
            let (offset, global) = global?;
            self.info.counts.defined_globals += 1;
            self.info
                .globals
                .push(convert::global_type(global.ty, offset)?);
            let init = const_expr(&global.init_expr)?;
            for_each_func_ref(&init, |f| self.escape(f));
            self.info.global_inits.push(init);
        }
        Ok(())
    }

    fn exports(&mut self, section: wasmparser::ExportSectionReader<'a>) -> Step {
        for export in section.into_iter_with_offsets() {
            let (offset, export) = export?;
            let index = match export.kind {
                ExternalKind::Func => {
                    self.escape(export.index);
                    ExternIndex::Func(export.index)
                }
                ExternalKind::Table => ExternIndex::Table(export.index),
                ExternalKind::Memory => ExternIndex::Memory(export.index),
                ExternalKind::Global => ExternIndex::Global(export.index),
                ExternalKind::Tag => return Err(Error::unsupported(offset, "exceptions").into()),
                ExternalKind::FuncExact => {
                    return Err(Error::unsupported(offset, "custom-descriptors").into());
                }
            };
            self.info.exports.push((export.name.into(), index));
        }
        Ok(())
    }

    fn elements(&mut self, section: wasmparser::ElementSectionReader<'a>) -> Step {
        for segment in section {
            let segment = segment?;
            let mode = match segment.kind {
                wasmparser::ElementKind::Passive => ElementMode::Passive,
                wasmparser::ElementKind::Declared => ElementMode::Declared,
                wasmparser::ElementKind::Active {
                    table_index,
                    offset_expr,
                } => ElementMode::Active {
                    table: table_index.unwrap_or(0),
                    offset: const_expr(&offset_expr)?,
                },
            };
            let items = self.element_items(segment.items)?;
            self.info.elements.push(ElementSegment { mode, items });
        }
        Ok(())
    }

    fn element_items(
        &mut self,
        items: wasmparser::ElementItems<'a>,
    ) -> Result<ElementItems, Failure> {
        Ok(match items {
            wasmparser::ElementItems::Functions(funcs) => {
                let funcs = funcs.into_iter().collect::<Result<Box<[u32]>, _>>()?;
                funcs.iter().for_each(|&f| self.escape(f));
                ElementItems::Functions(funcs)
            }
            wasmparser::ElementItems::Expressions(_, exprs) => {
                let exprs = exprs
                    .into_iter()
                    .map(|expr| const_expr(&expr?))
                    .collect::<Result<Box<[_]>, _>>()?;
                for expr in &exprs {
                    for_each_func_ref(expr, |f| self.escape(f));
                }
                ElementItems::Expressions(exprs)
            }
        })
    }

    fn data(&mut self, section: wasmparser::DataSectionReader<'a>) -> Step {
        for segment in section {
            let segment = segment?;
            let mode = match segment.kind {
                wasmparser::DataKind::Passive => DataMode::Passive,
                wasmparser::DataKind::Active {
                    memory_index,
                    offset_expr,
                } => DataMode::Active {
                    memory: memory_index,
                    offset: const_expr(&offset_expr)?,
                },
            };
            let end = segment.range.end;
            let range = range_u32(end - segment.data.len() as u64..end);
            self.info.data.push(DataSegment { mode, range });
        }
        Ok(())
    }

    fn body(&mut self, validate: FuncToValidate<ValidatorResources>, body: FunctionBody<'a>) {
        self.info.func_bodies.push(range_u32(body.range()));
        self.bodies.push(FunctionBodyData {
            index: validate.index,
            body,
            validate,
        });
    }

    /// A reference to function `index` can exist.
    fn escape(&mut self, index: u32) {
        let index = index as usize;
        if self.escapes.len() <= index {
            self.escapes.resize(index + 1, false);
        }
        self.escapes[index] = true;
    }

    fn finish(mut self) -> Result<Parsed<'a>> {
        let info = &mut self.info;
        self.escapes.resize(info.funcs.len(), false);
        let counts = &mut info.counts;
        info.func_ref_index = self
            .escapes
            .iter()
            .map(|&escapes| {
                escapes.then(|| {
                    counts.func_refs += 1;
                    counts.func_refs - 1
                })
            })
            .collect();
        info.offsets = VMOffsets::new(counts)
            .ok_or_else(|| Error::limit("the module's context would exceed 1 GiB"))?;
        Ok(Parsed {
            info: self.info,
            bodies: self.bodies,
        })
    }
}
