//! Published code of a module, with what is known about it.

use crate::Result;
use crate::code_tables::{CodeTables, Functions};
use crate::module_info::ModuleInfo;
use crate::site_table::Site;
use crate::text::Text;
use nopal_live::{Code, CodeSpace, SiteId};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The code of some functions of a module, in one place.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Dropped before the tables, which it is tagged with.
    code: Code,
    tables: Box<CodeTables>,
    sites: OnceLock<Box<[Site]>>,
}

impl Piece {
    /// Make the text of these functions executable. `callee` gives the address of a defined function
    /// outside of it.
    pub(crate) fn publish(
        mut text: Text,
        info: &Arc<ModuleInfo>,
        functions: Functions,
        space: &Arc<CodeSpace>,
        callee: impl Fn(u32) -> usize,
    ) -> Result<Piece> {
        // The tables come to rest before the code is published, which is tagged with their address.
        let tables = Box::new(CodeTables::new(
            Arc::clone(info),
            functions,
            text.take_maps(),
        ));
        let imported = info.counts.imported_funcs;
        let entry = |base, defined: u32| match tables.func(defined + imported) {
            Some(func) => base + func.start as usize,
            None => callee(defined),
        };
        let code = text.publish(space, tables.maps(), tables.tag(), entry)?;
        Ok(Piece {
            code,
            tables,
            sites: OnceLock::new(),
        })
    }

    /// Where the code is.
    pub(crate) fn range(&self) -> Range<usize> {
        self.code.base()..self.code.base() + self.code.len()
    }

    /// What is known about the code.
    pub(crate) fn tables(&self) -> &CodeTables {
        &self.tables
    }

    /// Where the code of the function with this index in the module is; empty if it is not here.
    pub(crate) fn func(&self, index: u32) -> Range<usize> {
        let range = self.tables.func(index).unwrap_or_default();
        let base = self.code.base();
        base + range.start as usize..base + range.end as usize
    }

    /// The index in the module of the function whose code is at an address.
    pub(crate) fn function_at(&self, pc: usize) -> Option<u32> {
        let offset = pc.checked_sub(self.code.base())?;
        self.tables.function_at(u32::try_from(offset).ok()?)
    }

    /// The patch sites, in address order.
    pub(crate) fn sites(&self) -> &[Site] {
        self.sites.get_or_init(|| self.make_sites())
    }

    /// The patch site with this id.
    pub(crate) fn site(&self, id: SiteId) -> Option<&Site> {
        let first = self.code.site(0)?;
        let at = id.index().checked_sub(first.index())?;
        self.sites().get(at as usize)
    }

    /// The patch sites of the function with this index in the module, in address order.
    pub(crate) fn sites_of(&self, index: u32) -> &[Site] {
        let (sites, range) = (self.sites(), self.func(index));
        let from = sites.partition_point(|site| site.return_address() <= range.start);
        let to = sites.partition_point(|site| site.return_address() <= range.end);
        &sites[from..to]
    }

    fn make_sites(&self) -> Box<[Site]> {
        let raw = self.tables.maps().sites.sites().zip(self.code.sites());
        raw.map(|(site, id)| {
            // The region of a site is inside its function, its end possibly not.
            let func = self.tables.function_at(site.ret_offset - 1);
            let func = func.expect("a site is in a function");
            Site {
                id,
                kind: site.kind,
                func,
                wasm_offset: site.wasm_offset,
                ret_addr: self.code.base() + site.ret_offset as usize,
                values: site.values(self.tables.info.observed_types(func, site.kind)),
            }
        })
        .collect()
    }
}
