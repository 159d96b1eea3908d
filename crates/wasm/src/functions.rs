//! What is known about the functions of a compiled module: for listings, debuggers, profilers.

use crate::FuncType;
use crate::module::Module;
use crate::module_info::ModuleInfo;
use crate::piece::Piece;
use crate::site_table::Site;
use crate::trap::TrapKind;
use std::ops::Range;

/// A function that a module defines.
#[derive(Clone, Copy, Debug)]
pub struct FunctionInfo<'a> {
    module: &'a Module,
    defined: u32,
}

/// An instruction that may trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapSite {
    /// The address of the instruction.
    pub address: usize,
    /// Why it traps.
    pub kind: TrapKind,
    /// The position of the Wasm instruction in the module, in bytes.
    pub wasm_offset: Option<u32>,
}

impl<'a> FunctionInfo<'a> {
    pub(crate) fn new(module: &'a Module, defined: u32) -> Self {
        FunctionInfo { module, defined }
    }

    fn info(&self) -> &'a ModuleInfo {
        self.module.info()
    }

    /// Its index in the module, imports included.
    pub fn index(&self) -> u32 {
        self.defined + self.info().counts.imported_funcs
    }

    /// Its name in the name section.
    pub fn name(&self) -> Option<&'a str> {
        self.info().func_name(self.index())
    }

    /// The names under which it is exported.
    pub fn export_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let index = crate::module_info::ExternIndex::Func(self.index());
        let exports = self.info().exports.iter();
        exports.filter_map(move |(name, at)| (*at == index).then_some(&**name))
    }

    /// Its type.
    pub fn ty(&self) -> &'a FuncType {
        self.info().func_type(self.index())
    }

    /// Where its body is in the module, in bytes.
    pub fn wasm_range(&self) -> Range<u32> {
        self.info().func_bodies[self.defined as usize].clone()
    }

    /// The code it is in; none if it is compiled lazily and cannot be.
    fn piece(&self) -> Option<&'a Piece> {
        self.module.piece(self.defined)
    }

    /// Where its machine code is. Like everything about it, this has the function compiled if it is not;
    /// it is empty if that fails, for the reason that [`Module::compile_functions`] gives.
    pub fn code_range(&self) -> Range<usize> {
        let piece = self.piece();
        piece.map_or(0..0, |piece| piece.func(self.index()))
    }

    /// A copy of its machine code. Sites that are switched while it is made are caught in either state.
    pub fn code(&self) -> Vec<u8> {
        // SAFETY: the code is readable and stays mapped as long as the module. Sites may be
        // changed by other threads, one byte at a time or whole, hence the volatile reads.
        let read = |addr: usize| unsafe { std::ptr::read_volatile(addr as *const u8) };
        self.code_range().map(read).collect()
    }

    /// Its patch sites, in address order.
    pub fn sites(&self) -> &'a [Site] {
        let piece = self.piece();
        piece.map_or(&[], |piece| piece.sites_of(self.index()))
    }

    /// Its instructions that may trap, in address order.
    pub fn traps(&self) -> impl Iterator<Item = TrapSite> + use<'a> {
        let index = self.index();
        self.piece().into_iter().flat_map(move |piece| {
            let range = piece.tables().func(index).unwrap_or_default();
            let traps = piece.tables().maps().traps.within(range);
            traps.filter_map(|(offset, code, srcloc)| {
                Some(TrapSite {
                    address: piece.range().start + offset as usize,
                    kind: TrapKind::from_code(code)?,
                    wasm_offset: (srcloc != u32::MAX).then_some(srcloc),
                })
            })
        })
    }
}
