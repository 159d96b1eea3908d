//! What it costs to pass a site: off, beside what else could be there, and on, by what it calls.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nopal_live::{Code, CodeSpace, Counters, Error, Hook, SpaceConfig, VectorState};

use super::code::{SITE, Work, plain_loop, site_ending_at, working_loop};
use super::id;
use crate::stats::median;

/// Rounds of a loop in a sample.
pub(super) const ROUNDS: u64 = 20_000;

/// What is between the instructions of a loop.
const INSERTIONS: [(&str, &[u8]); 4] = [
    (id::NOTHING, &[]),
    (id::SITE_OFF, &SITE),
    (id::NOP, &[0x0f, 0x1f, 0x44, 0x00, 0x00]),
    // jmp short +9 over a NOP of nine bytes: room for a call with its argument, as XRay has it.
    (
        id::SLED,
        &[0xeb, 0x09, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    ),
];

/// A loop with something between its instructions.
pub(super) struct Passes {
    pub(super) work: Work,
    /// From one insertion to the next.
    pub(super) instructions: usize,
    pub(super) insertion: &'static str,
    /// By round: nanoseconds for a round of the loop.
    pub(super) samples: Vec<f64>,
}

/// Loops with insertions of each kind at several distances.
pub(super) fn off(rounds: usize) -> Result<Vec<Passes>, String> {
    let space = CodeSpace::new(&SpaceConfig::new()).map_err(describe)?;
    let mut loops = Vec::new();
    for work in [Work::Independent, Work::Dependent] {
        for instructions in [4, 16, 64] {
            for (insertion, bytes) in INSERTIONS {
                let (bytes, ends) = working_loop(work, bytes, instructions);
                let sites = match insertion {
                    id::SITE_OFF => ends.into_iter().map(site_ending_at).collect(),
                    _ => Vec::new(),
                };
                let passes = Passes {
                    work,
                    instructions,
                    insertion,
                    samples: Vec::new(),
                };
                let code = space.allocate(bytes.len(), 64).map_err(describe)?;
                loops.push((passes, code.publish(&bytes, &sites).map_err(describe)?));
            }
        }
    }
    // The first round is not counted.
    for round in 0..=rounds {
        for turn in 0..loops.len() {
            let count = loops.len();
            let (passes, code) = &mut loops[(turn + round) % count];
            let time = time_of_round(code);
            if round > 0 {
                passes.samples.push(time);
            }
        }
    }
    Ok(loops.into_iter().map(|(passes, _)| passes).collect())
}

/// Nanoseconds for a round of a loop.
fn time_of_round(code: &Code) -> f64 {
    // SAFETY: the loops are functions of this type.
    let function: extern "C" fn(u64) = unsafe { std::mem::transmute(code.base()) };
    let start = Instant::now();
    function(ROUNDS);
    start.elapsed().as_secs_f64() * 1e9 / ROUNDS as f64
}

/// A loop over one site, and what was measured while the site called something.
struct Hit {
    id: &'static str,
    code: Code,
    hook: Option<Box<dyn Hook>>,
    /// A breakpoint where others have a site.
    breakpoint: bool,
    samples: Vec<f64>,
}

/// By what a site calls: nanoseconds for a pass, beyond that of a site that is off; a sample a round.
pub(super) fn hits(rounds: usize) -> Result<Vec<(&'static str, Vec<f64>)>, String> {
    let mut hits = all_hits().map_err(describe)?;
    let mut off = Vec::new();
    for round in 0..=rounds {
        for turn in 0..hits.len() {
            let count = hits.len();
            let hit = &mut hits[(turn + round) % count];
            let time = hit.time().map_err(describe)?;
            if round > 0 {
                hit.samples.push(time);
            }
        }
        if round > 0 {
            off.extend(hits[0].samples.last().copied());
        }
    }
    let beyond_off = |hit: Hit| {
        let pairs = hit.samples.iter().zip(&off);
        (hit.id, pairs.map(|(on, off)| on - off).collect())
    };
    Ok(hits.into_iter().skip(1).map(beyond_off).collect())
}

/// The first has its site off.
fn all_hits() -> Result<Vec<Hit>, Error> {
    let with = |counters, vectors| {
        let mut config = SpaceConfig::new();
        if let Some(counters) = counters {
            config.counters(counters);
        }
        CodeSpace::new(config.vector_state(vectors))
    };
    let [full, xmm] = [VectorState::Full, VectorState::Xmm].map(|vectors| with(None, vectors));
    let (full, xmm) = (full?, xmm?);
    let shared = with(Some(Counters::Shared), VectorState::Full)?;
    let hit = |id, space: &Arc<CodeSpace>, hook| Hit::new(id, space, &SITE, hook);
    let mut hits = vec![hit(id::SITE_OFF, &full, None)?];
    let mut add = |id, space: &Arc<CodeSpace>, hook: Box<dyn Hook>| {
        hits.push(hit(id, space, Some(hook))?);
        Ok::<(), Error>(())
    };
    if full.counters() == Counters::PerCpu {
        add(id::COUNT_PER_CPU, &full, Box::new(full.count_hook()?))?;
    }
    add(id::COUNT_SHARED, &shared, Box::new(shared.count_hook()?))?;
    add(id::ONCE, &full, Box::new(full.once_hook()?))?;
    for (id, space) in [(id::CALL_XMM, &xmm), (id::CALL_FULL, &full)] {
        let hook = space.call_hook(|site, _| {
            black_box(site);
        })?;
        add(id, space, Box::new(hook))?;
    }
    let callee = full.allocate(1, 64)?.publish(&[0xc3], &[])?; // ret
    // SAFETY: the code does nothing, and stays as long as the space, as nobody drops it.
    let hook = unsafe { full.code_hook(callee.base())? };
    std::mem::forget(callee);
    add(id::CODE, &full, Box::new(hook))?;
    // int3, and NOPs where a site has its displacement.
    let breakpoint = [0xcc, 0x90, 0x90, 0x90, 0x90];
    hits.push(Hit {
        breakpoint: true,
        ..Hit::new(id::INT3, &full, &breakpoint, None)?
    });
    Ok(hits)
}

impl Hit {
    fn new(
        id: &'static str,
        space: &Arc<CodeSpace>,
        body: &[u8; SITE.len()],
        hook: Option<Box<dyn Hook>>,
    ) -> Result<Hit, Error> {
        let bytes = plain_loop(body);
        let site = site_ending_at(body.len());
        let sites = if *body == SITE { &[site][..] } else { &[] };
        Ok(Hit {
            id,
            code: space.allocate(bytes.len(), 64)?.publish(&bytes, sites)?,
            hook,
            breakpoint: false,
            samples: Vec::new(),
        })
    }

    /// Nanoseconds for a round of the loop.
    fn time(&self) -> Result<f64, Error> {
        let space = self.code.space();
        if let Some(hook) = &self.hook {
            let mut patch = space.patch();
            patch.enable_all(self.code.sites(), &**hook).commit()?;
        }
        let time = match self.breakpoint {
            true => handling_breakpoints(|| time_of_round(&self.code)),
            false => time_of_round(&self.code),
        };
        space.patch().disable_all(self.code.sites()).commit()?;
        Ok(time)
    }
}

/// Breakpoints that were met.
pub(super) static BREAKPOINTS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_breakpoint(_: libc::c_int) {
    BREAKPOINTS.fetch_add(1, Ordering::Relaxed);
}

/// Does `work` with a handler for breakpoints that counts them and goes on after them.
fn handling_breakpoints<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: an all-zero sigaction is valid; the handler has the type that is asked for without flags, and is
    // async-signal-safe; what was there before is put back.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_breakpoint as *const () as usize;
        libc::sigaction(libc::SIGTRAP, &action, &mut before);
        let result = work();
        libc::sigaction(libc::SIGTRAP, &before, std::ptr::null_mut());
        result
    }
}

fn describe(error: Error) -> String {
    error.to_string()
}

impl Passes {
    pub(super) fn nanoseconds(&self) -> Option<f64> {
        median(&self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_is_measured_with_every_insertion() {
        let passes = off(1).unwrap();
        assert_eq!(passes.len(), 2 * 3 * INSERTIONS.len());
        for passes in &passes {
            assert_eq!(passes.samples.len(), 1);
            assert!(passes.nanoseconds().unwrap() > 0.0);
        }
    }
}
