//! What patching costs: switching sites, and passing them.

mod code;
mod nopal;
mod page;
mod passes;
mod peers;
mod table;
mod ways;

use serde::Serialize;

use crate::report::Machine;
use crate::stats::median;
use code::Work;
use ways::{Runner, Samples, Way};

pub(crate) use page::files;
pub(crate) use table::render;

/// Sites whose calls of a busy thread fill a few microseconds, or more if there are more sites.
const PASSES_AT_ONCE: usize = 1000;

/// Identifiers of what is measured.
pub(crate) mod id {
    /// A store through another mapping, without a broadcast.
    pub(crate) const STORE: &str = "store";
    /// The floor: stores, and one broadcast.
    pub(crate) const STORE_BROADCAST: &str = "store-broadcast";
    /// Stores between two changes of protection.
    pub(crate) const PROTECT: &str = "mprotect";
    /// Wasmtime's breakpoint.
    pub(crate) const BREAKPOINT: &str = "wasmtime-breakpoint";
    /// A branch of the `static-keys` crate.
    pub(crate) const STATIC_KEYS: &str = "static-keys";
    /// Commits of Nopal, by memory mode and protocol.
    pub(crate) const DUAL_DIRECT: &str = "nopal-dual-direct";
    pub(crate) const DUAL_STRICT: &str = "nopal-dual-strict";
    pub(crate) const HIDDEN_DIRECT: &str = "nopal-hidden-direct";
    pub(crate) const HIDDEN_STRICT: &str = "nopal-hidden-strict";
    pub(crate) const SINGLE: &str = "nopal-single";

    /// What may be between instructions.
    pub(crate) const NOTHING: &str = "nothing";
    pub(crate) const SITE_OFF: &str = "site-off";
    pub(crate) const NOP: &str = "nop";
    pub(crate) const SLED: &str = "sled";

    /// What a site may call.
    pub(crate) const COUNT_PER_CPU: &str = "count-per-cpu";
    pub(crate) const COUNT_SHARED: &str = "count-shared";
    pub(crate) const ONCE: &str = "once";
    pub(crate) const CALL_XMM: &str = "call-xmm";
    pub(crate) const CALL_FULL: &str = "call-full";
    pub(crate) const CODE: &str = "code";
    /// A breakpoint in place of the site, and a signal handler.
    pub(crate) const INT3: &str = "int3-signal";
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// The largest number of sites that are switched together.
    pub(crate) sites: usize,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            rounds: 31,
            sites: 1_000_000,
        }
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct ToggleReport {
    pub(crate) rounds: usize,
    pub(crate) switching: Vec<Switching>,
    pub(crate) off: Vec<Off>,
    pub(crate) hits: Vec<Hit>,
}

/// Ways to switch a number of sites, beside threads that execute them.
#[derive(Debug, Serialize)]
pub(crate) struct Switching {
    pub(crate) sites: usize,
    pub(crate) busy_threads: usize,
    pub(crate) ways: Vec<Measured>,
}

/// What it takes to switch all sites once, in one commit.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) id: &'static str,
    /// The median of the rounds.
    pub(crate) nanoseconds: f64,
    pub(crate) least_nanoseconds: f64,
    pub(crate) nanoseconds_per_site: f64,
    /// The median of the rounds' ratios to a store and a broadcast.
    pub(crate) ratio_to_floor: Option<f64>,
    /// Of a commit that switches on, and of one that switches off; null if there is no telling.
    pub(crate) broadcasts: Option<[u32; 2]>,
    /// How many processors the threads used meanwhile: the median of the rounds.
    pub(crate) processors: f64,
}

/// A loop of 64 additions with something between them.
#[derive(Debug, Serialize)]
pub(crate) struct Off {
    /// Whether additions wait for each other.
    pub(crate) dependent: bool,
    /// From one insertion to the next.
    pub(crate) instructions: usize,
    pub(crate) insertion: &'static str,
    pub(crate) nanoseconds_per_round: f64,
    /// The median of the rounds' ratios to the same loop without anything.
    pub(crate) ratio_to_nothing: f64,
}

/// A pass of a site that is on.
#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    pub(crate) id: &'static str,
    /// Beyond those of a site that is off: the median of the rounds.
    pub(crate) nanoseconds: f64,
}

/// What goes into the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    pub(crate) format: u32,
    pub(crate) machine: Machine,
    pub(crate) toggle: ToggleReport,
}

impl ToggleReport {
    /// A way to switch sites, if it was measured.
    pub(crate) fn way(&self, sites: usize, busy_threads: usize, id: &str) -> Option<&Measured> {
        let mut all = self.switching.iter();
        let found = all.find(|one| one.sites == sites && one.busy_threads == busy_threads)?;
        found.ways.iter().find(|way| way.id == id)
    }

    pub(crate) fn hit(&self, id: &str) -> Option<f64> {
        let hit = self.hits.iter().find(|hit| hit.id == id)?;
        Some(hit.nanoseconds)
    }
}

/// Measures all of it.
pub(crate) fn run(plan: Plan) -> Result<ToggleReport, String> {
    let mut switching = Vec::new();
    let powers = std::iter::successors(Some(1usize), |sites| sites.checked_mul(10));
    for sites in powers.take_while(|&sites| sites <= plan.sites) {
        for busy_threads in [0, 1] {
            eprintln!("{sites} sites, {busy_threads} busy threads");
            switching.push(switch(sites, busy_threads, plan.rounds)?);
        }
    }
    eprintln!("sites that are off");
    let off = off(&passes::off(plan.rounds)?);
    eprintln!("sites that are on");
    let hits = passes::hits(plan.rounds)?.into_iter();
    let hits = hits.filter_map(|(id, samples)| {
        let nanoseconds = median(&samples)?;
        Some(Hit { id, nanoseconds })
    });
    Ok(ToggleReport {
        rounds: plan.rounds,
        switching,
        off,
        hits: hits.collect(),
    })
}

fn switch(sites: usize, busy_threads: usize, rounds: usize) -> Result<Switching, String> {
    let mut ways = peers::of_many(sites)?;
    ways.extend(nopal::all(sites)?);
    if sites == 1 {
        ways.extend(peers::of_one()?);
    }
    let samples = match busy_threads {
        0 => ways::measure(&mut ways, rounds, None)?,
        _ => {
            let passes = (PASSES_AT_ONCE / sites).max(1) as u32;
            Runner::with(passes, |runner| {
                ways::measure(&mut ways, rounds, Some(runner))
            })?
        }
    };
    Ok(Switching {
        sites,
        busy_threads,
        ways: summary(sites, &ways, &samples),
    })
}

fn summary(sites: usize, ways: &[Box<dyn Way>], samples: &[Samples]) -> Vec<Measured> {
    let floor = ways.iter().position(|way| way.id() == id::STORE_BROADCAST);
    let floor = floor.map_or(&[][..], |index| &samples[index].nanoseconds);
    let measured = ways.iter().zip(samples).filter_map(|(way, samples)| {
        let times = &samples.nanoseconds;
        let nanoseconds = median(times)?;
        Some(Measured {
            id: way.id(),
            nanoseconds,
            least_nanoseconds: times.iter().copied().fold(f64::INFINITY, f64::min),
            nanoseconds_per_site: nanoseconds / sites as f64,
            ratio_to_floor: median(&ratios(times, floor)),
            broadcasts: way.broadcasts(),
            processors: median(&samples.processors)?,
        })
    });
    measured.collect()
}

fn off(loops: &[passes::Passes]) -> Vec<Off> {
    let without = |of: &passes::Passes| {
        let mut alike = loops.iter();
        alike.find(|one| {
            one.insertion == id::NOTHING
                && one.work == of.work
                && one.instructions == of.instructions
        })
    };
    let measured = loops.iter().filter_map(|passes| {
        Some(Off {
            dependent: passes.work == Work::Dependent,
            instructions: passes.instructions,
            insertion: passes.insertion,
            nanoseconds_per_round: passes.nanoseconds()?,
            ratio_to_nothing: median(&ratios(&passes.samples, &without(passes)?.samples))?,
        })
    });
    measured.collect()
}

/// Round by round.
fn ratios(samples: &[f64], others: &[f64]) -> Vec<f64> {
    let pairs = samples.iter().zip(others);
    pairs.map(|(sample, other)| sample / other).collect()
}

#[cfg(test)]
mod tests;
