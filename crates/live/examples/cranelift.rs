//! Runs code that Cranelift compiled, and switches the patchable call in it.
//!
//! `cargo run -p nopal-live --features cranelift --example cranelift`

use std::error::Error;
use std::sync::{Arc, Mutex};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, Function, InstBuilder, Signature, UserExternalName,
    UserFuncName,
};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Flags};
use nopal_live::cranelift::Compiled;
use nopal_live::{Code, CodeSpace, SpaceConfig};

/// `fn(n)`: the sum of the numbers from 1 to `n`, added up from above. After each addition there is
/// a patchable call with the sum so far.
fn summing() -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(I64));
    signature.returns.push(AbiParam::new(I64));
    let mut func = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut watching = Signature::new(CallConv::PreserveAll);
    watching.params.push(AbiParam::new(I64));
    let watching = func.import_signature(watching);
    let name = func.declare_imported_user_function(UserExternalName::new(0, 1));
    let watch = func.import_function(ExtFuncData {
        name: ExternalName::user(name),
        signature: watching,
        colocated: true,
        patchable: true,
    });

    let [entry, around, exit] = [(); 3].map(|()| func.dfg.make_block());
    let n = func.dfg.append_block_param(entry, I64);
    let sum = func.dfg.append_block_param(around, I64);
    let next = func.dfg.append_block_param(around, I64);
    let mut at = FuncCursor::new(&mut func);
    at.insert_block(entry);
    let zero = at.ins().iconst(I64, 0);
    at.ins().jump(around, &[zero.into(), n.into()]);
    at.insert_block(around);
    let sum = at.ins().iadd(sum, next);
    at.ins().call(watch, &[sum]);
    let next = at.ins().iadd_imm_s(next, -1);
    at.ins()
        .brif(next, around, &[sum.into(), next.into()], exit, &[]);
    at.insert_block(exit);
    at.ins().return_(&[sum]);
    func
}

fn host() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let isa = isa::lookup_by_name("x86_64-unknown-linux-gnu")?;
    Ok(isa.finish(Flags::new(settings::builder()))?)
}

fn compile_and_publish(space: &Arc<CodeSpace>) -> Result<Code, Box<dyn Error>> {
    let mut context = Context::for_function(summing());
    let compiled = context
        .compile(&*host()?, &mut ControlPlane::default())
        .map_err(|error| error.inner)?;
    let Compiled {
        bytes,
        sites,
        relocs,
    } = Compiled::new(&compiled.buffer)?;
    // The patchable call was the only one.
    assert!(relocs.is_empty());
    Ok(space.allocate(bytes.len(), 64)?.publish(&bytes, &sites)?)
}

/// What came out.
pub(crate) struct Outcome {
    /// What the function returned while its site was off, counted and watched.
    pub(crate) results: [u64; 3],
    /// How often the site was passed while it was counted.
    pub(crate) count: u64,
    /// The sums seen while it was watched.
    pub(crate) seen: Vec<u64>,
}

pub(crate) fn demonstrate() -> Result<Outcome, Box<dyn Error>> {
    let space = CodeSpace::new(&SpaceConfig::new())?;
    let code = compile_and_publish(&space)?;
    // SAFETY: Cranelift compiled a function of this type.
    let sum: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(code.base()) };
    let site = code.site(0).ok_or("the function has a site")?;

    let off = sum(4);
    let counter = space.count_hook()?;
    space.patch().enable(site, &counter).commit()?;
    let counted = sum(4);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watcher = space.call_hook({
        let seen = Arc::clone(&seen);
        // The argument is where the calling convention has it: in rdi.
        move |_, frame| seen.lock().unwrap().push(frame.gpr(7))
    })?;
    space.patch().retarget(site, &watcher).commit()?;
    let watched = sum(4);
    space.patch().disable(site).commit()?;
    sum(4);
    let seen = seen.lock().unwrap().clone();
    Ok(Outcome {
        results: [off, counted, watched],
        count: counter.count(site),
        seen,
    })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let Outcome {
        results,
        count,
        seen,
    } = demonstrate()?;
    println!("results {results:?}, counted {count}, sums seen {seen:?}");
    Ok(())
}
