//! Compile a module, run it, and compare with the interpreter.

use super::exec::Memory;
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use nopal_codegen::{CompiledCode, Context, Target};
use nopal_fuzzgen::data::INTS;
use nopal_fuzzgen::{HookEntry, Outcome, Rng, data, interpret, ops};
use nopal_ir::{Function, Type, verify};
use std::cell::Cell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Steps after which the interpreter gives up.
const FUEL: u64 = 100_000;

/// The start of an error that is one of the program, not of the compiler.
pub const INVALID: &str = "the program";

/// Memory to load modules into, and the compiler.
pub struct Checker {
    memory: Memory,
    context: Context,
    pub runs: u64,
    pub out_of_fuel: u64,
    pub traps: u64,
    pub hooks: u64,
    pub code_bytes: u64,
}

impl Checker {
    pub fn new() -> Checker {
        Checker {
            memory: Memory::new(),
            context: Context::new(),
            runs: 0,
            out_of_fuel: 0,
            traps: 0,
            hooks: 0,
            code_bytes: 0,
        }
    }

    /// Compile and run a module on inputs that `seed` determines. What goes wrong is described.
    pub fn check(
        &mut self,
        funcs: &[Function],
        target: &Target,
        seed: u64,
        inputs: usize,
    ) -> Result<(), String> {
        for (i, func) in funcs.iter().enumerate() {
            if let Err(errors) = verify(func) {
                return Err(format!("function {i} is not valid: {}", errors[0]));
            }
        }
        let code = self.compile(funcs, target)?;
        self.code_bytes += code.iter().map(|c| c.code.len() as u64).sum::<u64>();
        let has_sites = code.iter().any(|c| !c.patch_sites.is_empty());
        let loaded = self.memory.load(funcs, &code);
        for sites_on in [false, true] {
            if sites_on && !has_sites {
                break;
            }
            loaded.switch(sites_on);
            let mut rng = Rng::new(seed);
            for _ in 0..inputs {
                let before = data::random(&mut rng, loaded.addresses());
                let mut want_data = before.clone();
                let memory = nopal_fuzzgen::Memory {
                    address: self.memory.address(),
                    bytes: &mut want_data,
                };
                let run = interpret(funcs, loaded.addresses(), memory, FUEL);
                let want = run.outcome;
                if want == Outcome::Invalid {
                    return Err(format!("{INVALID} accesses memory it must not"));
                }
                if want == Outcome::OutOfFuel {
                    self.out_of_fuel += 1;
                    continue;
                }
                self.runs += 1;
                self.traps += u64::from(want != Outcome::Return);
                let mut want_log = run.log;
                want_log.retain(|e| sites_on || e.site == u32::MAX);
                self.hooks += want_log.len() as u64;
                self.memory.restore(&before);
                let (got, got_log) = loaded.run().map_err(|e| describe(&before, sites_on, &e))?;
                let got_data = self.memory.snapshot();
                compare(want, &want_data, &want_log, got, &got_data, &got_log)
                    .map_err(|e| describe(&before, sites_on, &e))?;
            }
        }
        Ok(())
    }

    /// Compile every function, twice: the output must not depend on what was compiled before.
    pub fn compile(
        &mut self,
        funcs: &[Function],
        target: &Target,
    ) -> Result<Vec<CompiledCode>, String> {
        let mut once = Vec::new();
        for round in 0..2 {
            for (i, func) in funcs.iter().enumerate() {
                let context = &mut self.context;
                let result = quietly(|| context.compile(func, target).cloned());
                let code = match result {
                    Err(panic) => {
                        self.context = Context::new();
                        let text = panic
                            .downcast_ref::<String>()
                            .map(String::as_str)
                            .or(panic.downcast_ref::<&str>().copied());
                        let text = text.unwrap_or_default();
                        return Err(format!("compiling function {i} panics: {text}"));
                    }
                    Ok(Err(e)) => return Err(format!("compiling function {i}: {e}")),
                    Ok(Ok(code)) => code,
                };
                if round == 0 {
                    once.push(code);
                } else if format!("{code:?}") != format!("{:?}", once[i]) {
                    return Err(format!(
                        "function {i} is compiled differently the second time"
                    ));
                }
            }
        }
        Ok(once)
    }
}

fn describe(data: &[u8], sites_on: bool, error: &str) -> String {
    let mut text = String::new();
    let on = if sites_on { "on" } else { "off" };
    let _ = writeln!(text, "{error}\nwith sites {on} and the integers");
    for (i, cell) in data[INTS..INTS + 64].chunks(8).enumerate() {
        let x = u64::from_le_bytes(cell.try_into().expect("8 bytes"));
        let _ = writeln!(text, "  [{:#x}] = {x:#x}", INTS + 8 * i);
    }
    text
}

fn compare(
    want: Outcome,
    want_data: &[u8],
    want_log: &[HookEntry],
    got: Outcome,
    got_data: &[u8],
    got_log: &[HookEntry],
) -> Result<(), String> {
    if want != got {
        return Err(format!("the outcome is {got:?}, not {want:?}"));
    }
    if let Some(difference) = data::difference(want_data, got_data) {
        return Err(difference);
    }
    if want_log.len() != got_log.len() {
        let (got, want) = (got_log.len(), want_log.len());
        return Err(format!("{got} hooks were called, not {want}"));
    }
    for (n, (w, g)) in want_log.iter().zip(got_log).enumerate() {
        let same = |w: &[(Type, u64)], g: &[(Type, u64)]| {
            w.len() == g.len()
                && w.iter()
                    .zip(g)
                    .all(|(w, g)| w.0 == g.0 && ops::same(w.0, w.1, g.1))
        };
        if w.site != g.site || !same(&w.args, &g.args) || !same(&w.observed, &g.observed) {
            return Err(format!("call {n} of a hook is\n  {g:x?}, not\n  {w:x?}"));
        }
    }
    Ok(())
}

/// Call `f`; if it panics, nothing is printed.
fn quietly<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                print(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(false);
    result
}

/// The instructions of a function as text.
pub fn disassemble(code: &CompiledCode) -> String {
    let mut text = String::new();
    let mut formatter = IntelFormatter::new();
    for inst in Decoder::with_ip(64, &code.code, 0, DecoderOptions::NONE) {
        if inst.is_invalid() {
            break;
        }
        let mut line = String::new();
        formatter.format(&inst, &mut line);
        let _ = writeln!(text, "{:6x}  {line}", inst.ip());
    }
    text
}

/// The report of a failure: the functions as text, their code, and what is wrong.
pub fn report(funcs: &[Function], target: &Target, error: &str) -> String {
    let mut text = String::new();
    for (i, func) in funcs.iter().enumerate() {
        let _ = writeln!(text, "{func}");
        let code = quietly(|| Context::new().compile(func, target).cloned());
        if let Ok(Ok(code)) = code {
            let _ = writeln!(text, "function {i}:\n{}", disassemble(&code));
        }
    }
    text + error
}
