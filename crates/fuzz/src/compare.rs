//! Nopal against Cranelift and against the interpreter.

use crate::CompareArgs;
use crate::hooks::{self, LOG, Log, Registers};
use crate::oracle::{self, Oracle};
use crate::quiet::quietly;
use crate::strip::strip;
use nopal_codegen::{CompiledCode, Context, Target, ValueLoc, X64Features};
use nopal_filetest::exec::{Fault, Guard, Linked, link};
use nopal_fuzzgen::{
    HookEntry, Memory, Options, Outcome, Rng, data, generate, interpret, ops, reduce,
};
use nopal_ir::{ExternalName, Function, InstData, Type, verify};
use nopal_live::{CallHook, CodeSpace, SiteFrame, SiteId, SpaceConfig};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Steps after which the interpreter gives up.
const FUEL: u64 = 100_000;
/// Runs of each module.
const INPUTS: usize = 2;
/// The start of an error that is one of the program, not of a compiler.
const INVALID: &str = "the program";

/// Run the command.
pub(crate) fn run(args: &CompareArgs) -> ExitCode {
    match Compare::new().map(|c| c.seeds(args)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

/// What has been compared.
#[derive(Default)]
struct Figures {
    modules: u64,
    functions: u64,
    runs: u64,
    traps: u64,
    out_of_fuel: u64,
    hooks: u64,
    own_bytes: u64,
    oracle_bytes: u64,
}

struct Compare {
    context: Context,
    targets: [Target; 2],
    oracle: Oracle,
    guard: Guard,
    hook: CallHook,
    data: Box<[u64]>,
    figures: Figures,
}

/// What a hook must know of a site of Nopal's code.
struct OwnSite {
    site: u32,
    args: Vec<Type>,
    observed: Vec<nopal_codegen::ObservedValue>,
}

thread_local! {
    static OWN_SITES: RefCell<HashMap<SiteId, OwnSite>> = RefCell::default();
}

/// The hook at sites of Nopal's code.
fn on_site(id: SiteId, frame: &mut SiteFrame) {
    let xmm = |n: u8| {
        let bytes = frame.xmm(n);
        u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default())
    };
    let mut stack = [0; 24];
    for (n, word) in stack.iter_mut().enumerate() {
        // SAFETY: the generated code is far from the base of its thread's stack.
        *word = unsafe { ((frame.sp() + 8 * n) as *const u64).read() };
    }
    let registers = Registers {
        gpr: std::array::from_fn(|n| frame.gpr(n as u8)),
        xmm: std::array::from_fn(|n| xmm(n as u8)),
        stack,
    };
    OWN_SITES.with_borrow(|sites| {
        let Some(own) = sites.get(&id) else {
            return;
        };
        let observed = own.observed.iter().map(|o| {
            let bits = match o.loc {
                ValueLoc::Reg(r) if r.index() < 32 => registers.gpr[r.hw() as usize],
                ValueLoc::Reg(r) => registers.xmm[r.hw() as usize],
                // SAFETY: an offset into the frame of the code that called.
                ValueLoc::Frame(at) => unsafe { frame.slot::<u64>(at) },
                ValueLoc::Const(bits) => bits,
                #[allow(unreachable_patterns, reason = "more locations may come")]
                _ => 0,
            };
            (o.ty, bits)
        });
        let entry = HookEntry {
            site: own.site,
            args: registers.arguments(&own.args),
            observed: observed.collect(),
        };
        LOG.with_borrow_mut(|log| log.entries.push(entry));
    });
}

impl Compare {
    fn new() -> Result<Compare, String> {
        let mut guard = Guard::new(|| CodeSpace::new(SpaceConfig::new().reserve(256 << 20)))
            .map_err(|e| e.to_string())?;
        guard.limit = Duration::from_millis(500);
        let hook = guard
            .space()
            .call_hook(on_site)
            .map_err(|e| e.to_string())?;
        Ok(Compare {
            context: Context::new(),
            targets: [
                Target::host().map_err(|e| e.to_string())?,
                Target::x64(X64Features::default()),
            ],
            oracle: Oracle::new()?,
            guard,
            hook,
            data: vec![0; data::SIZE / 8].into(),
            figures: Figures::default(),
        })
    }

    fn seeds(mut self, args: &CompareArgs) -> ExitCode {
        let options = Options {
            largest: args.size,
            everything: false,
            ..Options::default()
        };
        let begin = Instant::now();
        let mut last = begin;
        for seed in args.start..args.start.saturating_add(args.seeds) {
            let funcs = generate(seed, &options);
            if let Err(error) = self.check(&funcs, seed) {
                return self.failed(args, &funcs, seed, &error);
            }
            self.figures.modules += 1;
            self.figures.functions += funcs.len() as u64;
            if last.elapsed() > Duration::from_secs(10) {
                last = Instant::now();
                self.progress(seed, begin);
            }
            if args.time.is_some_and(|t| begin.elapsed() >= t) {
                break;
            }
        }
        self.progress(args.start + self.figures.modules, begin);
        ExitCode::SUCCESS
    }

    fn progress(&self, seed: u64, begin: Instant) {
        let f = &self.figures;
        println!(
            "seed {seed}: {} functions in {} modules agree in {:.0} s; {} runs, {} traps, {} out of fuel, {} hook calls; \
             {} bytes of code, Cranelift {}",
            f.functions,
            f.modules,
            begin.elapsed().as_secs_f64(),
            f.runs,
            f.traps,
            f.out_of_fuel,
            f.hooks,
            f.own_bytes,
            f.oracle_bytes
        );
    }

    fn failed(
        &mut self,
        args: &CompareArgs,
        funcs: &[Function],
        seed: u64,
        error: &str,
    ) -> ExitCode {
        let reduced = reduce(funcs, true, |funcs| {
            let error_now = self.check(funcs, seed).err();
            error_now.is_some_and(|e| !e.starts_with(INVALID) && kind(&e) == kind(error))
        });
        let now = self.check(&reduced, seed).err().unwrap_or_default();
        let mut text = format!(
            "; Seed {seed} of nopal-fuzz compare --size {}.\n",
            args.size
        );
        for line in now.lines() {
            let _ = writeln!(text, "; {line}");
        }
        text.push_str("test compile\ntarget x86_64\n\n");
        for func in &reduced {
            let _ = writeln!(text, "{func}");
        }
        let path = args.out.join(format!("seed-{seed}.clif"));
        let written =
            std::fs::create_dir_all(&args.out).and_then(|()| std::fs::write(&path, &text));
        eprintln!("seed {seed}: {error}\n\n{text}");
        match written {
            Ok(()) => eprintln!("written to {}", path.display()),
            Err(e) => eprintln!("cannot write {}: {e}", path.display()),
        }
        ExitCode::from(1)
    }

    /// Compare everything about a module; what differs is described.
    fn check(&mut self, funcs: &[Function], seed: u64) -> Result<(), String> {
        for (i, func) in funcs.iter().enumerate() {
            verify(func).map_err(|e| format!("function {i} is not valid: {}", e[0]))?;
        }
        let target = self.targets[usize::from(seed % 4 == 3)];
        let own = self.compile(funcs, &target)?;
        let theirs = self.compile_oracle(funcs, seed.is_multiple_of(2))?;
        self.figures.own_bytes += own.iter().map(|c| c.code.len() as u64).sum::<u64>();
        self.figures.oracle_bytes += theirs.iter().map(|c| c.0.code.len() as u64).sum::<u64>();
        let has_sites = own.iter().any(|c| !c.patch_sites.is_empty());
        let own = self.load(funcs, own)?;
        for sites_on in [false, true] {
            if sites_on && !has_sites {
                break;
            }
            let theirs = self.load_oracle(funcs, &theirs, sites_on)?;
            self.switch(&own, sites_on)?;
            let mut rng = Rng::new(seed);
            for _ in 0..INPUTS {
                self.compare(funcs, &own, &theirs, sites_on, &mut rng)?;
            }
        }
        Ok(())
    }

    fn compile(
        &mut self,
        funcs: &[Function],
        target: &Target,
    ) -> Result<Vec<CompiledCode>, String> {
        let mut out = Vec::new();
        for (i, func) in funcs.iter().enumerate() {
            let context = &mut self.context;
            let result = quietly(|| context.compile(func, target).cloned());
            match result {
                Ok(Ok(code)) => out.push(code),
                Ok(Err(e)) => return Err(format!("compiling function {i}: {e}")),
                Err(panic) => {
                    self.context = Context::new();
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or(panic.downcast_ref::<&str>().copied());
                    return Err(format!(
                        "panic in function {i}: {}",
                        text.unwrap_or_default()
                    ));
                }
            }
        }
        Ok(out)
    }

    fn compile_oracle(&self, funcs: &[Function], fast: bool) -> Result<Vec<Theirs>, String> {
        let one = |func: &Function| {
            let func = self.oracle.read(&strip(&func.to_string()));
            let func = func.map_err(|e| format!("Cranelift does not read it: {e}"))?;
            let code = quietly(|| self.oracle.compile(func, fast))
                .unwrap_or_else(|_| Err("it panics".into()));
            code.map_err(|e| format!("Cranelift does not compile it: {e}"))
        };
        funcs.iter().map(one).collect()
    }

    fn load(&self, funcs: &[Function], code: Vec<CompiledCode>) -> Result<Linked, String> {
        let linked = link(self.guard.space(), funcs.iter().zip(code).collect(), symbol)?;
        let mut own_sites = HashMap::new();
        for (id, n, site) in linked.sites() {
            let callee = &funcs[n].ext_funcs()[site.callee as usize];
            let own = OwnSite {
                site: site.site,
                args: params(&funcs[n], callee.signature),
                observed: linked.compiled(n).value_map(site).to_vec(),
            };
            own_sites.insert(id, own);
        }
        OWN_SITES.set(own_sites);
        Ok(linked)
    }

    fn load_oracle(&self, funcs: &[Function], code: &[Theirs], on: bool) -> Result<Linked, String> {
        let functions = funcs.iter().zip(code).map(|(func, (code, sites))| {
            let mut code = code.clone();
            if !on {
                oracle::disable(&mut code, sites);
            }
            (func, code)
        });
        let linked = link(self.guard.space(), functions.collect(), symbol)?;
        let mut log = Log::default();
        for ((func, (_, sites)), entry) in funcs.iter().zip(code).zip(linked.entries()) {
            let types = site_types(func);
            for s in sites {
                let types = types.get(&s.site).cloned().unwrap_or_default();
                log.sites
                    .insert(entry + u64::from(s.ret_addr), (s.site, types));
            }
        }
        LOG.set(log);
        Ok(linked)
    }

    fn switch(&self, own: &Linked, on: bool) -> Result<(), String> {
        let mut patch = self.guard.space().patch();
        for (id, ..) in own.sites() {
            if on {
                patch.enable(id, &self.hook);
            } else {
                patch.disable(id);
            }
        }
        patch.commit().map(|_| ()).map_err(|e| e.to_string())
    }

    fn compare(
        &mut self,
        funcs: &[Function],
        own: &Linked,
        theirs: &Linked,
        sites_on: bool,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let before = data::random(rng, own.entries());
        let mut want_data = before.clone();
        let memory = Memory {
            address: self.data.as_ptr() as u64,
            bytes: &mut want_data,
        };
        let want = interpret(funcs, own.entries(), memory, FUEL);
        match want.outcome {
            Outcome::Invalid => return Err(format!("{INVALID} accesses memory it must not")),
            Outcome::OutOfFuel => {
                self.figures.out_of_fuel += 1;
                return Ok(());
            }
            Outcome::Trap(_) => self.figures.traps += 1,
            Outcome::Return => {}
        }
        self.figures.runs += 1;
        let mut want_log = want.log;
        want_log.retain(|e| sites_on || e.site == u32::MAX);
        self.figures.hooks += want_log.len() as u64;
        for (name, linked) in [("Nopal", own), ("Cranelift", theirs)] {
            let got = self.execute(linked, &before);
            let on = if sites_on { "on" } else { "off" };
            let who = |e: String| format!("{name}, sites {on}: {e}");
            let (outcome, log) = got.map_err(who)?;
            if outcome != want.outcome {
                let text = format!("the outcome is {outcome:?}, not {:?}", want.outcome);
                return Err(who(text));
            }
            let mut want_data = want_data.clone();
            if name == "Cranelift" {
                // The addresses of functions are others.
                retable(&mut want_data, linked);
            }
            if let Some(difference) = data::difference(&want_data, self.bytes()) {
                return Err(who(difference));
            }
            compare_logs(&want_log, &log, name == "Nopal").map_err(who)?;
        }
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the words are all initialized, and bytes need no alignment.
        unsafe {
            std::slice::from_raw_parts_mut(self.data.as_mut_ptr().cast(), 8 * self.data.len())
        }
    }

    /// Run function 0 on a copy of `before`.
    fn execute(
        &mut self,
        linked: &Linked,
        before: &[u8],
    ) -> Result<(Outcome, Vec<HookEntry>), String> {
        self.bytes().copy_from_slice(before);
        retable(self.bytes(), linked);
        LOG.with_borrow_mut(|log| log.entries.clear());
        let argument = self.data.as_mut_ptr() as u64;
        // SAFETY: function 0 has this signature; it accesses the data, as the interpreter has shown
        // of the program; if that is not so, it is a fault, or what is being looked for.
        let result = unsafe { self.guard.call(linked.entries()[0], argument) };
        let log = LOG.with_borrow_mut(|log| std::mem::take(&mut log.entries));
        match result {
            Ok(()) => Ok((Outcome::Return, log)),
            Err(fault @ Fault::Signal { pc, .. }) => match linked.trap_at(pc) {
                Some(code) => Ok((Outcome::Trap(code), log)),
                None => Err(format!("{fault}, where no trap is")),
            },
            Err(fault) => Err(fault.to_string()),
        }
    }
}

type Theirs = (CompiledCode, Vec<oracle::Site>);

fn symbol(name: &ExternalName) -> Option<u64> {
    match name {
        ExternalName::Named(name) => hooks::address(name),
        _ => None,
    }
}

/// Replace the addresses of functions at the beginning of the data.
fn retable(bytes: &mut [u8], linked: &Linked) {
    for (n, address) in linked.entries().iter().enumerate() {
        let at = data::TABLE + 8 * n;
        bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
    }
}

fn params(func: &Function, sig: nopal_ir::SigRef) -> Vec<Type> {
    func.sig(sig).params.iter().map(|p| p.ty).collect()
}

/// The types of the arguments at each site.
fn site_types(func: &Function) -> HashMap<u32, Vec<Type>> {
    let insts = func.layout().iter().flat_map(|&b| func.block_insts(b));
    let of = |inst| match *func.inst(inst) {
        InstData::Call {
            func: callee,
            attrs,
            ..
        } => {
            let site = func.site_attr(attrs.expand()?).site;
            Some((site, params(func, func.ext_func(callee).signature)))
        }
        _ => None,
    };
    insts.filter_map(of).collect()
}

fn compare_logs(want: &[HookEntry], got: &[HookEntry], observed: bool) -> Result<(), String> {
    let same = |w: &[(Type, u64)], g: &[(Type, u64)]| {
        let same = |(w, g): (&(Type, u64), &(Type, u64))| w.0 == g.0 && ops::same(w.0, w.1, g.1);
        w.len() == g.len() && w.iter().zip(g).all(same)
    };
    for (n, (w, g)) in want.iter().zip(got).enumerate() {
        let observed = !observed || same(&w.observed, &g.observed);
        if w.site != g.site || !same(&w.args, &g.args) || !observed {
            return Err(format!("call {n} of a hook is\n  {g:x?}, not\n  {w:x?}"));
        }
    }
    if want.len() != got.len() {
        return Err(format!(
            "{} hooks are called, not {}",
            got.len(),
            want.len()
        ));
    }
    Ok(())
}

/// What fails, but for the numbers in it.
fn kind(error: &str) -> String {
    error
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(32)
        .collect()
}
