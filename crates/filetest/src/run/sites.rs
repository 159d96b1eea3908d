//! The patch sites of a file: switching them, and what their hooks have seen.

use super::directive::{HookKind, Seen, Selector, Switch};
use super::unit::{SiteInst, Unit};
use nopal_codegen::{ObservedValue, ValueLoc};
use nopal_ir::{DataValue, ExternalName, Type};
use nopal_live::{CallHook, CodeSpace, CountHook, OnceHook, SiteFrame, SiteId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Hits of a file that are recorded; those after are only counted.
const RECORDS: usize = 1 << 20;

/// A site.
struct Site {
    inst: SiteInst,
    /// None if it is in code that is not reachable.
    id: Option<SiteId>,
    observed: Vec<ObservedValue>,
    /// Hits seen by the call hook.
    hits: AtomicU64,
    /// Hits seen by the count hook before the last reset.
    counted_before: AtomicU64,
}

/// What a hook saw.
#[derive(Clone)]
struct Record {
    site: usize,
    args: Vec<DataValue>,
    observed: Vec<DataValue>,
}

/// Switches to be made from inside a hook.
struct Trigger {
    hit: u64,
    site: usize,
    switches: Vec<Switch>,
}

struct Hooks {
    count: CountHook,
    once: OnceHook,
    call: CallHook,
}

/// The sites of a file.
pub(crate) struct Sites {
    space: Arc<CodeSpace>,
    names: Vec<ExternalName>,
    sites: Vec<Site>,
    by_id: HashMap<SiteId, usize>,
    hooks: OnceLock<Hooks>,
    /// What the call hook does at each site: also call the callee.
    callees: Mutex<HashMap<usize, usize>>,
    /// Sites whose hit by the once hook was before the last reset.
    noted_before: Mutex<HashSet<usize>>,
    records: Mutex<Vec<Record>>,
    triggers: Mutex<Vec<Trigger>>,
    /// What went wrong inside a hook.
    errors: Mutex<Vec<String>>,
    unit: Weak<Unit>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes hold is whole at all times.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sites {
    /// The sites of a unit, all off, but for those whose callee is a function of the file: they call
    /// it.
    ///
    /// # Errors
    ///
    /// There is no room for hooks.
    pub(crate) fn new(unit: &Arc<Unit>, names: Vec<ExternalName>) -> Result<Arc<Sites>, String> {
        let mut ids = HashMap::new();
        for (id, n, site) in unit.linked.sites() {
            let observed = unit.linked.compiled(n).value_map(site).to_vec();
            ids.insert(site.site as usize, (id, observed, site.callee, n));
        }
        let mut sites = Vec::new();
        for (n, inst) in unit.sites.iter().enumerate() {
            let (id, observed) = match ids.remove(&n) {
                Some((id, observed, ..)) => (Some(id), observed),
                None => (None, Vec::new()),
            };
            sites.push(Site {
                inst: inst.clone(),
                id,
                observed,
                hits: AtomicU64::new(0),
                counted_before: AtomicU64::new(0),
            });
        }
        let by_id = (sites.iter().enumerate())
            .filter_map(|(n, s)| Some((s.id?, n)))
            .collect();
        let sites = Arc::new(Sites {
            space: Arc::clone(unit.guard.space()),
            names,
            sites,
            by_id,
            hooks: OnceLock::new(),
            callees: Mutex::default(),
            noted_before: Mutex::default(),
            records: Mutex::default(),
            triggers: Mutex::default(),
            errors: Mutex::default(),
            unit: Arc::downgrade(unit),
        });
        sites.make_hooks()?;
        let own: Vec<Switch> = (sites.sites.iter().enumerate())
            .filter(|(_, s)| s.inst.callee.is_some() && s.id.is_some())
            .map(|(n, _)| Switch {
                sites: Selector::Number(n),
                on: Some(Some(HookKind::Callee)),
            })
            .collect();
        sites.switch(&own)?;
        Ok(sites)
    }

    fn make_hooks(self: &Arc<Sites>) -> Result<(), String> {
        if self.sites.is_empty() {
            return Ok(());
        }
        let weak = Arc::downgrade(self);
        let call = self.space.call_hook(move |id, frame| {
            if let Some(sites) = weak.upgrade() {
                sites.hit(id, frame);
            }
        });
        let hooks = Hooks {
            count: self.space.count_hook().map_err(|e| e.to_string())?,
            once: self.space.once_hook().map_err(|e| e.to_string())?,
            call: call.map_err(|e| e.to_string())?,
        };
        self.hooks.get_or_init(|| hooks);
        Ok(())
    }

    /// The numbers of the sites that a selector means.
    pub(crate) fn select(&self, selector: &Selector) -> Result<Vec<usize>, String> {
        let all = 0..self.sites.len();
        let named = |name: &str, n: &usize| {
            let function = self.sites[*n].inst.function;
            self.names
                .get(function)
                .is_some_and(|f| f.to_string().trim_start_matches('%') == name)
        };
        let found: Vec<usize> = match selector {
            Selector::All => all.collect(),
            Selector::Number(n) => all.filter(|m| m == n).collect(),
            Selector::Attribute(a) => all
                .filter(|&n| self.sites[n].inst.attribute == Some(*a))
                .collect(),
            Selector::Function(name, None) => all.filter(|n| named(name, n)).collect(),
            Selector::Function(name, Some(nth)) => {
                all.filter(|n| named(name, n)).skip(*nth).take(1).collect()
            }
        };
        match found.is_empty() {
            true => Err(format!(
                "there is no such site; the file has {}",
                self.sites.len()
            )),
            false => Ok(found),
        }
    }

    /// Make switches, in one transaction.
    pub(crate) fn switch(&self, switches: &[Switch]) -> Result<(), String> {
        let Some(hooks) = self.hooks.get() else {
            return match switches.is_empty() {
                true => Ok(()),
                false => Err("the file has no sites".into()),
            };
        };
        let mut patch = self.space.patch();
        for switch in switches {
            for n in self.select(&switch.sites)? {
                let site = &self.sites[n];
                let Some(id) = site.id else {
                    continue;
                };
                let Some(kind) = switch.on else {
                    patch.disable(id);
                    continue;
                };
                let usual = match site.inst.callee {
                    Some(_) => HookKind::Callee,
                    None => HookKind::Count,
                };
                match kind.unwrap_or(usual) {
                    HookKind::Count => _ = patch.retarget(id, &hooks.count),
                    HookKind::Once => {
                        lock(&self.noted_before).remove(&n);
                        patch.retarget(id, &hooks.once);
                    }
                    HookKind::Call => {
                        lock(&self.callees).remove(&n);
                        patch.retarget(id, &hooks.call);
                    }
                    HookKind::Callee => {
                        let callee = site.inst.callee;
                        let callee = callee
                            .ok_or_else(|| format!("the callee of site {n} is not in the file"))?;
                        lock(&self.callees).insert(n, callee);
                        patch.retarget(id, &hooks.call);
                    }
                }
            }
        }
        patch.commit().map(|_| ()).map_err(|e| e.to_string())
    }

    /// Make switches when a site is hit for the `hit`th time, inside its hook.
    pub(crate) fn trigger(
        &self,
        hit: u64,
        site: &Selector,
        switches: &[Switch],
    ) -> Result<(), String> {
        for switch in switches {
            self.select(&switch.sites)?;
        }
        for site in self.select(site)? {
            lock(&self.triggers).push(Trigger {
                hit,
                site,
                switches: switches.to_vec(),
            });
        }
        Ok(())
    }

    /// Forget all hits and triggers.
    pub(crate) fn reset(&self) {
        for site in &self.sites {
            site.hits.store(0, Ordering::Relaxed);
            let counted = self.counted(site);
            site.counted_before.fetch_add(counted, Ordering::Relaxed);
        }
        lock(&self.records).clear();
        lock(&self.triggers).clear();
        let noted = (0..self.sites.len()).filter(|&n| self.noted(n));
        let noted: Vec<usize> = noted.collect();
        lock(&self.noted_before).extend(noted);
    }

    /// Switch off the sites that the once hook has noted.
    pub(crate) fn drain(&self) {
        if let Some(Err(e)) = self.hooks.get().map(|h| h.once.drain()) {
            lock(&self.errors).push(e.to_string());
        }
    }

    /// Whether the once hook has noted a hit of a site since the last reset.
    fn noted(&self, n: usize) -> bool {
        match (self.hooks.get(), self.sites[n].id) {
            (Some(hooks), Some(id)) => {
                hooks.once.was_hit(id) && !lock(&self.noted_before).contains(&n)
            }
            _ => false,
        }
    }

    fn counted(&self, site: &Site) -> u64 {
        let (Some(hooks), Some(id)) = (self.hooks.get(), site.id) else {
            return 0;
        };
        let before = site.counted_before.load(Ordering::Relaxed);
        hooks.count.count(id).saturating_sub(before)
    }

    /// How often sites have been hit since the last reset, with whatever hook; one that notes only
    /// whether counts as one.
    pub(crate) fn hits(&self, selector: &Selector) -> Result<u64, String> {
        let one = |n: usize| {
            let site = &self.sites[n];
            site.hits.load(Ordering::Relaxed) + self.counted(site) + u64::from(self.noted(n))
        };
        Ok(self.select(selector)?.into_iter().map(one).sum())
    }

    /// What a site's call hook saw at its last hit, or at hit `nth` from 1.
    pub(crate) fn values(
        &self,
        seen: Seen,
        selector: &Selector,
        nth: Option<usize>,
    ) -> Result<Vec<DataValue>, String> {
        let sites = self.select(selector)?;
        let records = lock(&self.records);
        let mut of_sites = records.iter().filter(|r| sites.contains(&r.site));
        let record = match nth {
            Some(n) => of_sites.nth(n.saturating_sub(1)),
            None => of_sites.next_back(),
        };
        let record = record.ok_or("no such hit has been recorded; is the site on with `call`?")?;
        Ok(match seen {
            Seen::Arguments => record.args.clone(),
            Seen::Observed => record.observed.clone(),
        })
    }

    /// The types of what [`Sites::values`] gives.
    pub(crate) fn types(&self, seen: Seen, selector: &Selector) -> Result<Vec<Type>, String> {
        let first = self.select(selector)?[0];
        let site = &self.sites[first];
        Ok(match seen {
            Seen::Arguments => site.inst.args.clone(),
            Seen::Observed => site.observed.iter().map(|o| o.ty).collect(),
        })
    }

    /// The sites that were hit with the call hook, in order.
    pub(crate) fn trace(&self) -> Vec<usize> {
        lock(&self.records).iter().map(|r| r.site).collect()
    }

    /// What went wrong inside hooks since this was last asked.
    pub(crate) fn errors(&self) -> Vec<String> {
        let mut errors = std::mem::take(&mut *lock(&self.errors));
        errors.extend(self.hooks.get().and_then(|h| h.call.panic_message()));
        errors
    }

    /// The call hook.
    fn hit(&self, id: SiteId, frame: &mut SiteFrame) {
        let Some(&n) = self.by_id.get(&id) else {
            return;
        };
        let site = &self.sites[n];
        let hits = 1 + site.hits.fetch_add(1, Ordering::Relaxed);
        let args = arguments(frame, &site.inst.args);
        let callee = lock(&self.callees).get(&n).copied();
        if let (Some(callee), Some(unit)) = (callee, self.unit.upgrade()) {
            let result = match &unit.functions[callee] {
                Ok(callable) => unit
                    .call(callable, &args)
                    .map(|_| ())
                    .map_err(|e| format!("{e:?}")),
                Err(e) => Err(format!("{e:?}")),
            };
            if let Err(e) = result {
                lock(&self.errors).push(format!("the callee of site {n}: {e}"));
            }
        }
        let record = Record {
            site: n,
            observed: site.observed.iter().map(|o| observed(frame, o)).collect(),
            args,
        };
        let mut records = lock(&self.records);
        if records.len() < RECORDS {
            records.push(record);
        }
        drop(records);
        let due: Vec<Switch> = {
            let triggers = lock(&self.triggers);
            let due = triggers.iter().filter(|t| t.site == n && t.hit == hits);
            due.flat_map(|t| t.switches.clone()).collect()
        };
        if !due.is_empty()
            && let Err(e) = self.switch(&due)
        {
            lock(&self.errors).push(e);
        }
    }
}

/// The arguments of a call in the C convention.
fn arguments(frame: &SiteFrame, types: &[Type]) -> Vec<DataValue> {
    let mut ints = [7, 6, 2, 1, 8, 9].into_iter();
    let mut floats = 0..8;
    let mut stack = 0;
    let word = |stack: &mut usize| {
        let at = frame.sp() + 8 * *stack;
        *stack += 1;
        // SAFETY: the caller has put the argument there.
        u128::from(unsafe { (at as *const u64).read() })
    };
    let mut one = |ty: Type| {
        let bits = if ty.is_float() {
            match floats.next() {
                Some(n) => u128::from_le_bytes(frame.xmm(n)),
                None => word(&mut stack),
            }
        } else if ty.bits() == 128 {
            let mut half = || match ints.next() {
                Some(n) => u128::from(frame.gpr(n)),
                None => word(&mut stack),
            };
            half() | half() << 64
        } else {
            match ints.next() {
                Some(n) => u128::from(frame.gpr(n)),
                None => word(&mut stack),
            }
        };
        DataValue::new(ty, bits)
    };
    types.iter().map(|&ty| one(ty)).collect()
}

fn observed(frame: &SiteFrame, value: &ObservedValue) -> DataValue {
    let bits = match value.loc {
        ValueLoc::Reg(r) if r.index() < 32 => u128::from(frame.gpr(r.hw())),
        ValueLoc::Reg(r) => u128::from_le_bytes(frame.xmm(r.hw())),
        // SAFETY: an offset into the frame of the code that called; slots have 8 bytes at least.
        ValueLoc::Frame(at) => unsafe { u128::from(frame.slot::<u64>(at)) },
        ValueLoc::Const(bits) => bits.into(),
        #[allow(unreachable_patterns, reason = "the compiler may get more locations")]
        _ => 0,
    };
    DataValue::new(value.ty, bits)
}
