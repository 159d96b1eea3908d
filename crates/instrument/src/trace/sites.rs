//! What must be known of a site to record and to read its records.

use crate::FunctionNames;
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
    /// The entries and exits of these functions, given in ascending order.
    pub(super) fn new(module: &Module, functions: &[u32]) -> TracedSites {
        let all = module.sites();
        let sites = all.iter().map(|site| {
            let traced =
                site.kind() != SiteKind::Loop && functions.binary_search(&site.func()).is_ok();
            traced.then(|| TracedSite {
                site: site.clone(),
                types: site.values().iter().map(|value| value.ty).collect(),
            })
        });
        TracedSites {
            names: FunctionNames::new(module),
            first: all.first().map_or(0, |site| site.id().index()),
            sites: sites.collect(),
        }
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
