//! Nopal against Cranelift and against the interpreter.

use crate::CompareArgs;
use crate::opcodes::Met;
use crate::oracle::{self, Oracle};
use crate::quiet::quietly;
use crate::strip::strip;
use nopal_codegen::{CompiledCode, Context, Target, X64Features};
use nopal_filetest::exec::{Ended, Module, PlainSite, Runner, Seen};
use nopal_fuzzgen::{
    HookEntry, Memory, OBSERVED, Options, Outcome, Rng, data, generate, interpret, ops, reduce,
};
use nopal_ir::{Function, Type, verify};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Steps after which the interpreter gives up.
const FUEL: u64 = 100_000;
/// CPU time that code may take.
const TIME_LIMIT: Duration = Duration::from_millis(500);
/// Runs of each module.
const INPUTS: usize = 2;
/// The start of an error that is one of the program, not of a compiler.
const INVALID: &str = "the program";

/// Whether the module of a seed may have operations that Cranelift does not compile.
pub(crate) fn has_everything(seed: u64) -> bool {
    seed % 8 == 5
}

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
    /// Functions that Cranelift has compiled as well.
    compared: u64,
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
    runner: Runner,
    figures: Figures,
    met: Met,
}

impl Compare {
    fn new() -> Result<Compare, String> {
        Ok(Compare {
            context: Context::new(),
            targets: [
                Target::host().map_err(|e| e.to_string())?,
                Target::x64(X64Features::default()),
            ],
            oracle: Oracle::new()?,
            runner: Runner::new(data::SIZE, TIME_LIMIT, &OBSERVED)?,
            figures: Figures::default(),
            met: Met::default(),
        })
    }

    fn seeds(mut self, args: &CompareArgs) -> ExitCode {
        let begin = Instant::now();
        let mut last = begin;
        for seed in args.start..args.start.saturating_add(args.seeds) {
            let options = Options {
                largest: args.size,
                everything: has_everything(seed),
                ..Options::default()
            };
            let funcs = generate(seed, &options);
            let all = self.met.look(&funcs);
            if let Err(error) = self.check(&funcs, seed) {
                return self.failed(args, &funcs, seed, &error);
            }
            if all {
                self.met.compared(&funcs);
                self.figures.compared += funcs.len() as u64;
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
        self.met.print();
        ExitCode::SUCCESS
    }

    fn progress(&self, seed: u64, begin: Instant) {
        let f = &self.figures;
        println!(
            "seed {seed}: {} functions in {} modules agree in {:.0} s, {} of them with Cranelift; {} runs, {} traps, {} out of fuel, {} hook calls; \
             {} bytes of code, Cranelift {}",
            f.functions,
            f.modules,
            begin.elapsed().as_secs_f64(),
            f.compared,
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
        // What Cranelift does not compile is compared with the interpreter alone.
        let theirs = match Met::default().look(funcs) {
            true => Some(self.compile_oracle(funcs, seed.is_multiple_of(2))?),
            false => None,
        };
        self.figures.own_bytes += own.iter().map(|c| c.code.len() as u64).sum::<u64>();
        self.figures.oracle_bytes += theirs
            .iter()
            .flatten()
            .map(|c| c.0.code.len() as u64)
            .sum::<u64>();
        let own = self.runner.load(funcs, own)?;
        for sites_on in [false, true] {
            if sites_on && !own.has_sites() {
                break;
            }
            let theirs = match &theirs {
                Some(theirs) => Some(self.load_oracle(funcs, theirs, sites_on)?),
                None => None,
            };
            self.runner.switch(&own, sites_on)?;
            let mut rng = Rng::new(seed);
            for _ in 0..INPUTS {
                self.compare(funcs, &own, theirs.as_ref(), sites_on, &mut rng)?;
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

    fn load_oracle(&self, funcs: &[Function], code: &[Theirs], on: bool) -> Result<Module, String> {
        let functions = code.iter().map(|(code, sites)| {
            let mut code = code.clone();
            if !on {
                oracle::disable(&mut code, sites);
            }
            (code, &**sites)
        });
        self.runner.load_plain(funcs, functions.collect())
    }

    fn compare(
        &mut self,
        funcs: &[Function],
        own: &Module,
        theirs: Option<&Module>,
        sites_on: bool,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let before = data::random(rng, own.entries());
        let mut want_data = before.clone();
        let memory = Memory {
            address: self.runner.address(),
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
        let modules = [("Nopal", Some(own)), ("Cranelift", theirs)];
        for (name, module) in modules.into_iter().filter_map(|(n, m)| Some((n, m?))) {
            let got = self.execute(module, &before);
            let on = if sites_on { "on" } else { "off" };
            let who = |e: String| format!("{name}, sites {on}: {e}");
            let (ended, log) = got.map_err(who)?;
            let outcome = match ended {
                Ended::Returned => Outcome::Return,
                Ended::Trapped(code) => Outcome::Trap(code),
            };
            if outcome != want.outcome {
                let text = format!("the outcome is {outcome:?}, not {:?}", want.outcome);
                return Err(who(text));
            }
            let mut want_data = want_data.clone();
            if name == "Cranelift" {
                // The addresses of functions are others.
                retable(&mut want_data, module);
            }
            if let Some(difference) = data::difference(&want_data, &self.runner.bytes(data::SIZE)) {
                return Err(who(difference));
            }
            compare_logs(&want_log, &log, name == "Nopal").map_err(who)?;
        }
        Ok(())
    }

    /// Run function 0 on a copy of `before`.
    fn execute(&self, module: &Module, before: &[u8]) -> Result<(Ended, Vec<Seen>), String> {
        let mut data = before.to_vec();
        retable(&mut data, module);
        self.runner.set_bytes(&data);
        // SAFETY: function 0 has this signature; it accesses the data, as the interpreter has shown
        // of the program; if that is not so, it is a fault, or what is being looked for.
        unsafe { self.runner.run(module) }
    }
}

type Theirs = (CompiledCode, Vec<PlainSite>);

/// Replace the addresses of functions at the beginning of the data.
fn retable(bytes: &mut [u8], module: &Module) {
    for (n, address) in module.entries().iter().enumerate() {
        let at = data::TABLE + 8 * n;
        bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
    }
}

fn compare_logs(want: &[HookEntry], got: &[Seen], observed: bool) -> Result<(), String> {
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
