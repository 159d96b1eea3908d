//! Executing the directives of a file, one after the other.

use super::directive::{Directive, Relation, Seen, Selector, Switch};
use super::sites::Sites;
use super::unit::{Callable, Ended, Unit, Unusable};
use crate::config::Config;
use crate::report::Outcome;
use nopal_ir::reader::{Comparison, Invocation, RunCommand, TestFile, parse_run_command};
use nopal_ir::{AbiParam, CallConv, DataValue, Signature, TrapCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time after which a run that is to be switched a number of times is not repeated.
const DURING_LIMIT: Duration = Duration::from_secs(10);

/// The state between directives.
pub(crate) struct Session<'a> {
    file: &'a TestFile<'a>,
    unit: Arc<Unit>,
    sites: Arc<Sites>,
    /// What is to happen during the next run.
    during: Option<(Switch, Duration, u64)>,
}

impl<'a> Session<'a> {
    /// # Errors
    ///
    /// The code of the file has no place.
    pub(crate) fn new(file: &'a TestFile<'a>, config: Config) -> Result<Session<'a>, String> {
        let unit = Arc::new(Unit::new(file, config)?);
        let names = file
            .functions
            .iter()
            .map(|f| f.function.name.clone())
            .collect();
        let sites = Sites::new(&unit, names)?;
        Ok(Session {
            file,
            unit,
            sites,
            during: None,
        })
    }

    /// Execute the directive of a comment of a function.
    pub(crate) fn step(&mut self, function: usize, directive: &Directive<'_>) -> Outcome {
        let outcome = match directive {
            Directive::Run(text) => return self.run(function, text),
            Directive::Call(call) => match self.named(call) {
                Ok(function) => return self.run(function, &format!("run: {call}")),
                Err(e) => Err(e),
            },
            Directive::Trap(call, code) => return self.trap(call, code),
            Directive::Patch(switches) => self.sites.switch(switches),
            Directive::At(hit, site, switches) => self.sites.trigger(*hit, site, switches),
            Directive::During(switch, every, until) => {
                self.during = Some((switch.clone(), *every, *until));
                self.sites.select(&switch.sites).map(|_| ())
            }
            Directive::Reset => {
                self.sites.reset();
                Ok(())
            }
            Directive::Hits(sites, relation, want) => self.hits(sites, *relation, *want),
            Directive::Values(seen, site, nth, want) => self.values(*seen, site, *nth, want),
            Directive::Trace(want) => match self.sites.trace() {
                got if got == *want => Ok(()),
                got => Err(format!("the trace is {got:?}, not {want:?}")),
            },
        };
        match outcome {
            Ok(()) => Outcome::Passed,
            Err(e) => Outcome::Failed(e),
        }
    }

    /// The function that a call names.
    fn named(&self, call: &str) -> Result<usize, String> {
        let name = call.split('(').next().unwrap_or_default().trim();
        let mut functions = self.file.functions.iter();
        functions
            .position(|f| f.function.name.to_string() == name)
            .ok_or_else(|| format!("there is no function `{name}` in this file"))
    }

    /// How the function above a command is called. As with Cranelift, the name in the command means nothing.
    fn command(&self, function: usize, text: &str) -> Result<RunCommand, String> {
        let sig = &self.file.functions[function].function.signature;
        let command = parse_run_command(text, sig)
            .map_err(|e| format!("column {}: {}", e.column, e.message))?;
        command.ok_or_else(|| "not a run command".into())
    }

    fn callable(&self, n: usize) -> Result<&Callable, Outcome> {
        self.unit.functions[n].as_ref().map_err(|e| match e {
            Unusable::Beyond(reason) => Outcome::Skipped(reason.clone()),
            Unusable::Broken(e) => Outcome::Failed(e.clone()),
        })
    }

    fn run(&mut self, function: usize, text: &str) -> Outcome {
        let during = self.during.take();
        let command = match self.command(function, text) {
            Ok(command) => command,
            Err(e) => return Outcome::Failed(e),
        };
        let callable = match self.callable(function) {
            Ok(callable) => callable,
            Err(outcome) => return outcome,
        };
        let once = || self.once(callable, &command);
        let result = match during {
            None => once(),
            Some((switch, every, until)) => self.toggling(&switch, every, until, once),
        };
        self.sites.drain();
        let mut errors = self.sites.errors();
        errors.extend(result.err());
        match errors.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed(errors.join("; ")),
        }
    }

    fn once(&self, callable: &Callable, command: &RunCommand) -> Result<(), String> {
        let (RunCommand::Run { invocation, .. } | RunCommand::Print(invocation)) = command;
        match self.unit.call(callable, &invocation.args) {
            Ok(results) if command.accepts(&results) => Ok(()),
            Ok(results) => Err(format!(
                "got {}, expected {}",
                list(&results),
                expected(command)
            )),
            Err(Ended::Trap(code)) => Err(format!("trap {code}, expected {}", expected(command))),
            Err(Ended::Fault(e)) => Err(format!("{e}, expected {}", expected(command))),
        }
    }

    fn trap(&self, call: &str, code: &str) -> Outcome {
        let Some(want) = TrapCode::from_name(code) else {
            return Outcome::Failed(format!("there is no trap code `{code}`"));
        };
        let command = self
            .named(call)
            .and_then(|n| Ok((n, self.command(n, &format!("print: {call}"))?)));
        let (function, invocation): (usize, Invocation) = match command {
            Ok((function, RunCommand::Print(invocation))) => (function, invocation),
            Ok(_) => return Outcome::Failed("expected a call".into()),
            Err(e) => return Outcome::Failed(e),
        };
        let callable = match self.callable(function) {
            Ok(callable) => callable,
            Err(outcome) => return outcome,
        };
        match self.unit.call(callable, &invocation.args) {
            Err(Ended::Trap(got)) if got == want => Outcome::Passed,
            Err(Ended::Trap(got)) => Outcome::Failed(format!("trap {got}, expected {want}")),
            Err(Ended::Fault(e)) => Outcome::Failed(format!("{e}, expected trap {want}")),
            Ok(results) => Outcome::Failed(format!("got {}, expected trap {want}", list(&results))),
        }
    }

    /// Call `once` again and again while another thread switches, until it has done so often enough.
    fn toggling(
        &self,
        switch: &Switch,
        every: Duration,
        until: u64,
        once: impl Fn() -> Result<(), String>,
    ) -> Result<(), String> {
        let stop = AtomicBool::new(false);
        let switched = AtomicU64::new(0);
        let off = Switch {
            sites: switch.sites.clone(),
            on: None,
        };
        let toggle = || {
            let mut on = true;
            while !stop.load(Ordering::Relaxed) {
                let now = if on { switch } else { &off };
                self.sites.switch(std::slice::from_ref(now))?;
                on = !on;
                switched.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(every);
            }
            self.sites.switch(std::slice::from_ref(&off))
        };
        std::thread::scope(|scope| {
            let toggler = scope.spawn(toggle);
            let begin = Instant::now();
            let mut result = Ok(());
            while result.is_ok() {
                result = once();
                if switched.load(Ordering::Relaxed) >= until || toggler.is_finished() {
                    break;
                }
                if begin.elapsed() > DURING_LIMIT {
                    let n = switched.load(Ordering::Relaxed);
                    result = result.and(Err(format!("only {n} switches in {DURING_LIMIT:?}")));
                }
            }
            stop.store(true, Ordering::Relaxed);
            let toggled = toggler
                .join()
                .unwrap_or_else(|_| Err("the switching thread panics".into()));
            result.and(toggled)
        })
    }

    fn hits(&self, sites: &Selector, relation: Relation, want: u64) -> Result<(), String> {
        let got = self.sites.hits(sites)?;
        match relation.holds(got, want) {
            true => Ok(()),
            false => Err(format!("got {got} hits")),
        }
    }

    fn values(
        &self,
        seen: Seen,
        site: &Selector,
        nth: Option<usize>,
        want: &str,
    ) -> Result<(), String> {
        let got = self.sites.values(seen, site, nth)?;
        if got.is_empty() && want == "[]" {
            return Ok(());
        }
        // Values are read as the results of a function.
        let mut sig = Signature::new(CallConv::SystemV);
        let types = self.sites.types(seen, site)?;
        sig.returns.extend(types.into_iter().map(AbiParam::new));
        let command = parse_run_command(&format!("run: %values() == {want}"), &sig);
        match command {
            Ok(Some(command)) if command.accepts(&got) => Ok(()),
            Ok(_) => Err(format!("got {}", list(&got))),
            Err(e) => Err(format!("`{want}`: {}", e.message)),
        }
    }
}

fn list(values: &[DataValue]) -> String {
    match values {
        [value] => value.to_string(),
        values => {
            let values: Vec<String> = values.iter().map(DataValue::to_string).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

fn expected(command: &RunCommand) -> String {
    match command {
        RunCommand::Print(_) => "any results".into(),
        RunCommand::Run {
            comparison,
            expected,
            ..
        } => match comparison {
            Comparison::Equals => list(expected),
            Comparison::NotEquals => format!("anything but {}", list(expected)),
        },
    }
}
