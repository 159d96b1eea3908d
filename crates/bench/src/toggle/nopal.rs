//! Nopal's commits, by memory mode and protocol.

use std::sync::Arc;

use nopal_live::{
    Code, CodeSpace, Commit, CountHook, Error, MemoryMode, Protocol, SiteId, SpaceConfig,
};

use super::code::{Function, row_of_sites};
use super::id;
use super::ways::Way;

/// The settings of a space.
struct Mode {
    id: &'static str,
    memory: MemoryMode,
    hidden: bool,
    protocol: Protocol,
}

/// With a single mapping, protocols make no difference.
const MODES: [Mode; 5] = [
    Mode {
        id: id::DUAL_DIRECT,
        memory: MemoryMode::Dual,
        hidden: false,
        protocol: Protocol::Direct,
    },
    Mode {
        id: id::DUAL_STRICT,
        memory: MemoryMode::Dual,
        hidden: false,
        protocol: Protocol::Strict,
    },
    Mode {
        id: id::HIDDEN_DIRECT,
        memory: MemoryMode::Dual,
        hidden: true,
        protocol: Protocol::Direct,
    },
    Mode {
        id: id::HIDDEN_STRICT,
        memory: MemoryMode::Dual,
        hidden: true,
        protocol: Protocol::Strict,
    },
    Mode {
        id: id::SINGLE,
        memory: MemoryMode::Single,
        hidden: false,
        protocol: Protocol::Direct,
    },
];

/// A commit that switches a row of sites on, and one that switches them off.
struct Commits {
    id: &'static str,
    space: Arc<CodeSpace>,
    code: Code,
    hook: CountHook,
    /// The site, if there is but one.
    only: Option<SiteId>,
    broadcasts: [u32; 2],
}

/// Every mode, with so many sites.
pub(super) fn all(sites: usize) -> Result<Vec<Box<dyn Way>>, String> {
    let modes = MODES.iter().map(|mode| {
        let way = Commits::new(mode, sites).map_err(|error| format!("{}: {error}", mode.id))?;
        way.check()
            .map_err(|error| format!("{}: {error}", mode.id))?;
        Ok(Box::new(way) as Box<dyn Way>)
    });
    modes.collect()
}

impl Commits {
    fn new(mode: &Mode, sites: usize) -> Result<Commits, Error> {
        let mut config = SpaceConfig::new();
        config
            .memory_mode(mode.memory)
            .hide_writable(mode.hidden)
            .protocol(mode.protocol);
        let space = CodeSpace::new(&config)?;
        let (bytes, sites) = row_of_sites(sites);
        let code = space.allocate(bytes.len(), 64)?.publish(&bytes, &sites)?;
        let hook = space.count_hook()?;
        let mut commits = Commits {
            id: mode.id,
            only: code.site(0).filter(|_| code.site_count() == 1),
            space,
            code,
            hook,
            broadcasts: [0; 2],
        };
        // Only from then on does each site have its stub: what a first commit costs is another matter.
        commits.on()?;
        commits.off()?;
        let before = u32::from(mode.memory == MemoryMode::Single);
        commits.broadcasts =
            [commits.on()?, commits.off()?].map(|commit| before + commit.broadcasts);
        Ok(commits)
    }

    fn on(&self) -> Result<Commit, Error> {
        let mut patch = self.space.patch();
        match self.only {
            Some(site) => patch.enable(site, &self.hook),
            None => patch.enable_all(self.code.sites(), &self.hook),
        };
        patch.commit()
    }

    fn off(&self) -> Result<Commit, Error> {
        let mut patch = self.space.patch();
        match self.only {
            Some(site) => patch.disable(site),
            None => patch.disable_all(self.code.sites()),
        };
        patch.commit()
    }

    fn function(&self) -> Function {
        // SAFETY: `row_of_sites` is a function of this type.
        unsafe { std::mem::transmute(self.code.base()) }
    }

    /// Every site counts while it is on, and only then.
    fn check(&self) -> Result<(), String> {
        let wrong = |error: Error| error.to_string();
        self.function()();
        self.on().map_err(wrong)?;
        self.function()();
        self.off().map_err(wrong)?;
        self.function()();
        let counts = self.hook.counts();
        let right = counts.len() == self.code.site_count();
        match right && counts.iter().all(|&(_, count)| count == 1) {
            true => Ok(()),
            false => Err(String::from("sites do not do what they were switched to")),
        }
    }
}

impl Way for Commits {
    fn id(&self) -> &'static str {
        self.id
    }

    fn code(&self) -> Option<Function> {
        Some(self.function())
    }

    fn toggle(&mut self, pairs: u32) -> Result<(), String> {
        for _ in 0..pairs {
            self.on()
                .and_then(|_| self.off())
                .map_err(|error| format!("{}: {error}", self.id))?;
        }
        Ok(())
    }

    fn broadcasts(&self) -> Option<[u32; 2]> {
        Some(self.broadcasts)
    }
}
