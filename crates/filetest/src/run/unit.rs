//! The functions of a file, compiled, linked, and callable with values.

use super::{symbols, throw};
use crate::commands::compile_one;
use crate::config::Config;
use crate::exec::{Fault, Guard, Linked, link};
use crate::file::beyond;
use nopal_codegen::CompiledCode;
use nopal_ir::reader::TestFile;
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, DataValue, EntityRef, ExtFunc, ExternalName, Function,
    FunctionBuilder, Inst, InstData, MemFlags, Signature, Type, Value,
};
use nopal_live::{CodeSpace, SpaceConfig};

/// Bytes between the arguments, and between the results, of a trampoline.
const CELL: usize = 16;

/// Why a function cannot be called.
#[derive(Clone, Debug)]
pub(crate) enum Unusable {
    /// It is beyond the compiler for a named reason.
    Beyond(String),
    /// It should be usable.
    Broken(String),
}

/// A patchable call of the file.
#[derive(Clone, Debug)]
pub(crate) struct SiteInst {
    pub(crate) function: usize,
    /// Its `site=` attribute.
    pub(crate) attribute: Option<u32>,
    /// The callee, if it is a function of the file.
    pub(crate) callee: Option<usize>,
    /// The types of the arguments of the call.
    pub(crate) args: Vec<Type>,
}

/// Functions ready to be called.
pub(crate) struct Unit {
    pub(crate) guard: Guard,
    pub(crate) functions: Vec<Result<Callable, Unusable>>,
    /// The patchable calls of the file in the order of its text; the number of each is its `site`
    /// in the compiled code.
    pub(crate) sites: Vec<SiteInst>,
    pub(crate) linked: Linked,
    /// Which function of the file each linked one is.
    pub(crate) linked_functions: Vec<usize>,
}

/// A function that can be called.
pub(crate) struct Callable {
    pub(crate) signature: Signature,
    trampoline: u64,
}

/// How a call ended that did not return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It trapped where the compiler says it may.
    Trap(nopal_ir::TrapCode),
    /// Anything else.
    Fault(String),
}

impl Unit {
    /// # Errors
    ///
    /// There is no memory for code.
    pub(crate) fn new(file: &TestFile<'_>, config: Config) -> Result<Unit, String> {
        let mut guard = Guard::new(|| CodeSpace::new(SpaceConfig::new().reserve(64 << 20)))
            .map_err(|e| e.to_string())?;
        guard.pinned = config.settings.enable_pinned_reg;
        let mut sites = Vec::new();
        let mut functions: Vec<Function> = Vec::new();
        for n in 0..file.functions.len() {
            let mut func = file.functions[n].function.clone();
            number_sites(&mut func, n, file, &mut sites);
            functions.push(func);
        }
        let mut code: Vec<Result<CompiledCode, Unusable>> = (functions.iter().enumerate())
            .map(|(n, func)| match beyond(file, n) {
                Some(reason) => Err(Unusable::Beyond(reason)),
                None => compile_one(func, config).map_err(Unusable::Broken),
            })
            .collect();
        exclude(&functions, &mut code);
        let trampolines: Vec<Option<(Function, CompiledCode)>> = (functions.iter().zip(&mut code))
            .map(|(func, code)| {
                code.as_ref().ok()?;
                let trampoline = trampoline(func);
                match compile_one(&trampoline, config) {
                    Ok(compiled) => Some((trampoline, compiled)),
                    Err(e) => {
                        *code = Err(Unusable::Broken(format!("calling it: {e}")));
                        None
                    }
                }
            })
            .collect();
        Unit::link(guard, functions, code, trampolines, sites)
    }

    fn link(
        guard: Guard,
        functions: Vec<Function>,
        code: Vec<Result<CompiledCode, Unusable>>,
        trampolines: Vec<Option<(Function, CompiledCode)>>,
        sites: Vec<SiteInst>,
    ) -> Result<Unit, String> {
        let mut parts = Vec::new();
        let mut linked_functions = Vec::new();
        let mut errors: Vec<Option<Unusable>> = Vec::new();
        for (n, (func, code)) in functions.iter().zip(code).enumerate() {
            match code {
                Ok(code) => {
                    linked_functions.push(n);
                    parts.push((func, code));
                    errors.push(None);
                }
                Err(e) => errors.push(Some(e)),
            }
        }
        let usable = parts.len();
        let with_trampoline: Vec<&(Function, CompiledCode)> =
            trampolines.iter().flatten().collect();
        parts.extend(
            with_trampoline
                .iter()
                .map(|(func, code)| (func, code.clone())),
        );
        let linked = link(guard.space(), parts, symbols::address)?;
        let mut entries = linked.entries()[usable..].iter();
        let functions = (functions.iter().zip(errors))
            .map(|(func, error)| match error {
                Some(e) => Err(e),
                None => Ok(Callable {
                    signature: func.signature.clone(),
                    trampoline: entries.next().copied().unwrap_or_default(),
                }),
            })
            .collect();
        Ok(Unit {
            guard,
            functions,
            sites,
            linked,
            linked_functions,
        })
    }

    /// Call a function.
    pub(crate) fn call(
        &self,
        callable: &Callable,
        args: &[DataValue],
    ) -> Result<Vec<DataValue>, Ended> {
        let sig = &callable.signature;
        let mut cells = vec![0u128; sig.params.len().max(sig.returns.len()).max(1)];
        for (cell, arg) in cells.iter_mut().zip(args) {
            *cell = arg.bits();
        }
        let argument = cells.as_mut_ptr() as u64;
        // SAFETY: a trampoline takes the address of as many cells as there are arguments and
        // results. What the function behind it does is what is being tested.
        let result = throw::with(self, || unsafe {
            self.guard.call(callable.trampoline, argument)
        });
        match result {
            Ok(()) => {
                let results = sig.returns.iter().zip(&cells);
                Ok(results
                    .map(|(r, &bits)| DataValue::new(r.ty, bits))
                    .collect())
            }
            Err(fault) => Err(self.ended(fault)),
        }
    }

    fn ended(&self, fault: Fault) -> Ended {
        let Fault::Signal { pc, .. } = fault else {
            return Ended::Fault(fault.to_string());
        };
        if let Some(code) = self.linked.trap_at(pc) {
            return Ended::Trap(code);
        }
        let place = self.linked.function_at(pc).and_then(|(n, offset)| {
            let n = self.linked_functions.get(n)?;
            Some(format!(", at {offset:#x} in function {n} of the file"))
        });
        let place = place.unwrap_or_else(|| ", outside of the functions of the file".into());
        Ended::Fault(format!("{fault}{place}"))
    }
}

/// Number the patchable calls of a function, so that they are found in its code.
fn number_sites(func: &mut Function, n: usize, file: &TestFile<'_>, sites: &mut Vec<SiteInst>) {
    let insts: Vec<Inst> = (0..func.num_insts()).map(Inst::new).collect();
    for inst in insts {
        let InstData::Call {
            opcode,
            func: callee,
            args,
            attrs,
        } = *func.inst(inst)
        else {
            continue;
        };
        let Some(ext) = func.get_ext_func(callee).filter(|e| e.patchable) else {
            continue;
        };
        let name = ext.name.clone();
        let sig = func.get_sig(ext.signature);
        let types = sig.map_or(Vec::new(), |s| s.params.iter().map(|p| p.ty).collect());
        let old = attrs.expand().and_then(|a| func.get_site_attr(a));
        let observed: Vec<Value> = match old {
            Some(old) => func.lists.iter(old.observe).collect(),
            None => Vec::new(),
        };
        let attrs = func.create_site_attr(sites.len() as u32, &observed).into();
        let data = InstData::Call {
            opcode,
            func: callee,
            args,
            attrs,
        };
        func.replace_inst(inst, data);
        sites.push(SiteInst {
            function: n,
            attribute: old.map(|a| a.site).filter(|&site| site != u32::MAX),
            callee: file.functions.iter().position(|f| f.function.name == name),
            args: types,
        });
    }
}

/// What refers to something that is not usable is not usable either.
fn exclude(functions: &[Function], code: &mut [Result<CompiledCode, Unusable>]) {
    let by_name = |name: &ExternalName| functions.iter().position(|f| f.name == *name);
    loop {
        let mut changed = false;
        for n in 0..code.len() {
            let Ok(compiled) = &code[n] else {
                continue;
            };
            let error = compiled
                .relocs
                .iter()
                .find_map(|r| match by_name(&r.target) {
                    Some(other) => match &code[other] {
                        Ok(_) => None,
                        Err(Unusable::Beyond(reason)) => Some(Unusable::Beyond(reason.clone())),
                        Err(Unusable::Broken(e)) => {
                            Some(Unusable::Broken(format!("it needs {}: {e}", r.target)))
                        }
                    },
                    None if symbols::address(&r.target).is_some() => None,
                    None => Some(Unusable::Broken(format!("{} is not known", r.target))),
                });
            if let Some(error) = error {
                code[n] = Err(error);
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// A function of the address of cells, which calls `func` with what is in them and puts there what
/// it returns.
fn trampoline(func: &Function) -> Function {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(Type::I64));
    let name = ExternalName::Named(format!("trampoline for {}", func.name).into());
    let mut out = Function::new(name, sig);
    let mut context = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut out, &mut context);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let cells = b.block_param(block, 0);
    let flags = MemFlags::trusted();
    let at = |n: usize| (n * CELL) as i32;
    let args: Vec<Value> = (func.signature.params.iter().enumerate())
        .map(|(n, p)| b.load(p.ty, flags, cells, at(n)))
        .collect();
    let signature = b.func.import_signature(func.signature.clone());
    let callee = b.func.import_function(ExtFunc {
        name: func.name.clone(),
        signature,
        colocated: true,
        patchable: false,
    });
    let call = b.call(callee, &args);
    let results: Vec<Value> = b.inst_results(call).collect();
    for (n, v) in results.into_iter().enumerate() {
        b.store(flags, v, cells, at(n));
    }
    b.return_(&[]);
    b.seal_all_blocks();
    b.finalize();
    out
}
