//! Runs hand-assembled loops and toggles the sites in them; prints what it costs here.
//!
//! `cargo run --release -p nopal-live --example toggle`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "s390x", path = "s390x.rs")]
#[cfg_attr(target_arch = "x86_64", path = "x64.rs")]
mod arch;

use arch::{NOP, SITE, STRIDE};
use nopal_live::{Code, CodeSpace, Error, Hook, Protocol, SiteDesc, SpaceConfig, VectorState};

/// `fn(n)`: a loop of `n` rounds over `middle`, which is a site if `site` says so.
fn publish_loop(space: &Arc<CodeSpace>, middle: &[u8], site: bool) -> Result<Code, Error> {
    let (bytes, end) = arch::loop_over(middle);
    let sites = [description(end)];
    let sites = if site { &sites[..] } else { &[] };
    space.allocate(bytes.len(), 64)?.publish(&bytes, sites)
}

fn description(end: usize) -> SiteDesc {
    SiteDesc {
        ret_offset: end as u32,
        len: SITE.len() as u8,
    }
}

/// `count` sites in a row, never run.
fn publish_many(space: &Arc<CodeSpace>, count: usize) -> Result<Code, Error> {
    let mut bytes = vec![0; count * STRIDE];
    let mut sites = Vec::new();
    for (i, site) in bytes.chunks_exact_mut(STRIDE).enumerate() {
        site[..SITE.len()].copy_from_slice(SITE);
        sites.push(description(i * STRIDE + SITE.len()));
    }
    space.allocate(bytes.len(), 64)?.publish(&bytes, &sites)
}

fn call(code: &Code, argument: u64) {
    // SAFETY: `publish_loop` publishes functions of this type.
    let function: extern "C" fn(u64) = unsafe { std::mem::transmute(code.base()) };
    function(argument);
}

/// The best of many short runs, in nanoseconds per round of the loop.
fn per_round(code: &Code) -> f64 {
    const ROUNDS: u64 = 20_000;
    let times = (0..500).map(|_| {
        let start = Instant::now();
        call(code, ROUNDS);
        start.elapsed()
    });
    let best = times.min().unwrap_or(Duration::ZERO);
    best.as_nanos() as f64 / ROUNDS as f64
}

/// The best of many runs of `action`, in nanoseconds.
fn best(runs: usize, mut action: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        action()?;
        best = best.min(start.elapsed());
    }
    Ok(best.as_nanos() as f64)
}

fn with_hook(code: &Code, hook: &dyn Hook) -> Result<f64, Error> {
    let space = code.space();
    space.patch().enable_all(code.sites(), hook).commit()?;
    let cost = per_round(code);
    space.patch().disable_all(code.sites()).commit()?;
    Ok(cost)
}

fn passes() -> Result<(), Error> {
    let space = CodeSpace::new(&SpaceConfig::new())?;
    let nop = publish_loop(&space, NOP, false)?;
    let bare = publish_loop(&space, &[], false)?;
    let site = publish_loop(&space, SITE, true)?;
    println!("a round of a loop with");
    println!("  nothing in it       {:8.2} ns", per_round(&bare));
    println!("  a NOP of its size   {:8.2} ns", per_round(&nop));
    println!("  a site, off         {:8.2} ns", per_round(&site));
    println!(
        "  a site, counted     {:8.2} ns",
        with_hook(&site, &space.count_hook()?)?
    );
    println!(
        "  a site, once        {:8.2} ns",
        with_hook(&site, &space.once_hook()?)?
    );
    for state in [VectorState::Xmm, VectorState::Full] {
        let space = CodeSpace::new(SpaceConfig::new().vector_state(state))?;
        let site = publish_loop(&space, SITE, true)?;
        let hook = space.call_hook(|site, _| {
            black_box(site);
        })?;
        let cost = with_hook(&site, &hook)?;
        println!("  a site, call, {:5} {cost:8.2} ns", format!("{state:?}"));
    }
    Ok(())
}

fn toggles(busy: bool) -> Result<(), Error> {
    for protocol in [Protocol::Direct, Protocol::Strict] {
        let space = CodeSpace::new(SpaceConfig::new().protocol(protocol))?;
        let running = publish_loop(&space, SITE, true)?;
        let hook = space.count_hook()?;
        let stop = AtomicBool::new(!busy);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    call(&running, 1000);
                }
            });
            let outcome = measure_toggles(protocol, &running, &hook);
            stop.store(true, Ordering::Relaxed);
            outcome
        })?;
    }
    Ok(())
}

fn measure_toggles(protocol: Protocol, running: &Code, hook: &dyn Hook) -> Result<(), Error> {
    let space = running.space();
    let on = |code: &Code| space.patch().enable_all(code.sites(), hook).commit();
    let off = |code: &Code| space.patch().disable_all(code.sites()).commit();
    on(running)?;
    let name = format!("{protocol:?}");
    let byte = AtomicU8::new(0);
    // In turns, so that both see the same machine.
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..5000 {
        let start = Instant::now();
        for value in [0x3d, 0xe8] {
            byte.store(value, Ordering::SeqCst);
            nopal_icache::sync_core_mt()?;
        }
        let middle = Instant::now();
        off(running)?;
        on(running)?;
        times[0].push(middle - start);
        times[1].push(middle.elapsed());
    }
    let [floor, pair] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_nanos() as f64
    });
    println!("  one store and one broadcast {:10.2} µs", floor / 2e3);
    println!("  {name:6}       1 site        {:10.2} µs", pair / 2e3);
    for (count, runs) in [(1000, 500), (100_000, 50)] {
        let many = publish_many(space, count)?;
        on(&many)?;
        let pair = best(runs, || {
            off(&many)?;
            on(&many).map(drop)
        })?;
        let each = pair / 2.0 / count as f64;
        println!(
            "  {name:6} {count:7} sites       {:10.2} µs = {each:.1} ns each",
            pair / 2e3
        );
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    println!("{}", nopal_icache::requirements());
    passes()?;
    println!("a commit that toggles, nobody else running");
    toggles(false)?;
    println!("a commit that toggles, another thread running through a site");
    toggles(true)
}
