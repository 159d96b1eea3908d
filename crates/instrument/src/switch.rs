//! Sites that are switched on and off together.

use crate::Result;
use nopal_live::{CodeSpace, Hook, SiteId};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A hook and the sites it is for, which any thread can switch while guests run.
pub struct Switch {
    space: Arc<CodeSpace>,
    hook: Box<dyn Hook + Send + Sync>,
    sites: Vec<SiteId>,
    windows: Arc<AtomicU32>,
}

impl Switch {
    /// A hook for these sites of `space`, off as yet.
    pub fn new(
        space: &Arc<CodeSpace>,
        hook: impl Hook + Send + Sync + 'static,
        sites: Vec<SiteId>,
    ) -> Switch {
        Switch {
            space: Arc::clone(space),
            hook: Box::new(hook),
            sites,
            windows: Arc::default(),
        }
    }

    /// The number of times it was switched on, to be read from inside the hook.
    pub(crate) fn with_windows(mut self, windows: Arc<AtomicU32>) -> Switch {
        self.windows = windows;
        self
    }

    /// The sites.
    pub fn sites(&self) -> &[SiteId] {
        &self.sites
    }

    /// Switch all sites on. Those that are on stay so.
    ///
    /// # Errors
    /// If a site calls another hook or the code cannot be changed; nothing is on then.
    pub fn on(&self) -> Result<()> {
        self.windows.fetch_add(1, Ordering::Relaxed);
        let sites = self.sites.iter().copied();
        self.space.patch().enable_all(sites, &*self.hook).commit()?;
        Ok(())
    }

    /// Switch all sites off. A thread may still be inside the hook when this returns.
    ///
    /// # Errors
    /// If the code cannot be changed.
    pub fn off(&self) -> Result<()> {
        let sites = self.sites.iter().copied();
        self.space
            .patch()
            .release_all(sites, &*self.hook)
            .commit()?;
        Ok(())
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("sites", &self.sites.len())
            .finish_non_exhaustive()
    }
}
