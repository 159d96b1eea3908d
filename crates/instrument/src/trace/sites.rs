//! What must be known of a site to record and to read its records.

use crate::{Error, FunctionNames, Result};
use nopal_live::SiteId;
use nopal_wasm::{Module, Site, SiteKind, ValType};

/// The traced sites of a module, found by id.
#[derive(Debug)]
pub(super) struct TracedSites {
    names: FunctionNames,
    first: u32,
    /// By distance from `first`; none for sites that are not traced.
    sites: Vec<Option<TracedSite>>,
}

/// An entry or exit.
#[derive(Debug)]
pub(super) struct TracedSite {
    pub(super) site: Site,
    pub(super) types: Box<[ValType]>,
}

impl TracedSites {
    /// The entries and exits of these functions, which are compiled if they are not.
    pub(super) fn new(module: &Module, functions: &[u32]) -> Result<TracedSites> {
        (module.compile_functions(functions.iter().copied())).map_err(Error::Compile)?;
        let functions = functions.iter().filter_map(|&index| module.function(index));
        let traced: Vec<&Site> = functions
            .flat_map(|function| function.sites())
            .filter(|site| site.kind() != SiteKind::Loop)
            .collect();
        let ids = || traced.iter().map(|site| site.id().index());
        let first = ids().min().unwrap_or(0);
        let mut sites = Vec::new();
        sites.resize_with(
            ids().max().map_or(0, |last| (last - first) as usize + 1),
            || None,
        );
        for site in traced {
            sites[(site.id().index() - first) as usize] = Some(TracedSite {
                site: site.clone(),
                types: site.values().iter().map(|value| value.ty).collect(),
            });
        }
        Ok(TracedSites {
            names: FunctionNames::new(module),
            first,
            sites,
        })
    }

    /// The traced site with this id.
    pub(super) fn get(&self, id: SiteId) -> Option<&TracedSite> {
        let at = id.index().checked_sub(self.first)?;
        self.sites.get(at as usize)?.as_ref()
    }

    /// The name of a function.
    pub(super) fn name(&self, func: u32) -> &str {
        self.names.get(func).unwrap_or_default()
    }

    /// The ids of all.
    pub(super) fn ids(&self) -> Vec<SiteId> {
        let traced = self.sites.iter().flatten();
        traced.map(|traced| traced.site.id()).collect()
    }
}
