//! Build a function, run it, and look into it while it runs.
//!
//! `cargo run --release -p nopal-codegen --example watch`
//!
//! The function sums the numbers below `n`. At the head of its loop is a patchable call that observes the counter and
//! the sum. Another thread switches it on now and then, for one pass, and prints what the hook found.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use nopal_codegen::{Context, ObservedValue, RegClass, Target, ValueLoc};
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, ExtFunc, ExternalName, Function, FunctionBuilder, IntCC,
    Signature, Type, verify,
};
use nopal_live::{Bypass, Code, CodeSpace, SiteDesc, SiteFrame, SpaceConfig};

/// `fn sum(n: i64) -> i64`, with a patchable call in its loop.
fn build() -> Function {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(Type::I64));
    sig.returns.push(AbiParam::new(Type::I64));
    let mut func = Function::new(ExternalName::Named("sum".into()), sig);
    let signature = func.import_signature(Signature::new(CallConv::PreserveAll));
    let hook = func.import_function(ExtFunc {
        name: ExternalName::Named("hook".into()),
        signature,
        colocated: true,
        patchable: true,
    });

    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let (entry, head, body, exit) = (
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
    );
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let (i, sum) = (b.declare_var(Type::I64), b.declare_var(Type::I64));
    let n = b.block_param(entry, 0);
    let zero = b.iconst(Type::I64, 0);
    b.def_var(i, zero);
    b.def_var(sum, zero);
    b.jump(head, &[]);

    b.switch_to_block(head);
    let (i_now, sum_now) = (b.use_var(i), b.use_var(sum));
    b.patchable_call(hook, &[], 0, &[i_now, sum_now]);
    let more = b.icmp(IntCC::SignedLessThan, i_now, n);
    b.brif(more, body, &[], exit, &[]);

    b.switch_to_block(body);
    let next_sum = b.iadd(sum_now, i_now);
    let one = b.iconst(Type::I64, 1);
    let next_i = b.iadd(i_now, one);
    b.def_var(sum, next_sum);
    b.def_var(i, next_i);
    b.jump(head, &[]);

    b.switch_to_block(exit);
    b.return_(&[sum_now]);
    b.seal_all_blocks();
    b.finalize();
    func
}

/// Compile `func` and make it executable. Returns the code and what its first site observes.
fn publish(
    space: &Arc<CodeSpace>,
    func: &Function,
) -> Result<(Code, Vec<ObservedValue>), Box<dyn Error>> {
    let mut context = Context::new();
    let compiled = context.compile(func, &Target::host()?)?;
    // Nothing else is called or referred to; otherwise the addresses would go into `code` here.
    assert!(compiled.relocs.is_empty());
    let sites: Vec<_> = compiled
        .patch_sites
        .iter()
        .map(|site| SiteDesc {
            ret_offset: site.ret_addr,
            len: site.len,
        })
        .collect();
    // Branches that lead around sites as long as these are off: here, the one that ends the loop.
    let bypasses: Vec<_> = compiled
        .bypasses
        .iter()
        .map(|bypass| Bypass {
            branch: bypass.branch,
            around: bypass.around,
            ret_offset: bypass.ret_addr,
        })
        .collect();
    let observed = compiled.value_map(&compiled.patch_sites[0]).to_vec();
    let memory = space.allocate(compiled.code.len(), compiled.alignment as usize)?;
    let code = memory.publish_with(&compiled.code, &sites, &bypasses)?;
    Ok((code, observed))
}

/// An observed integer, at a site that is being passed.
fn read(frame: &SiteFrame, value: &ObservedValue) -> u64 {
    match value.loc {
        ValueLoc::Reg(reg) => {
            assert_eq!(reg.class(), RegClass::Int);
            frame.gpr(reg.hw())
        }
        // SAFETY: the compiler says that the value is there, and the frame is that of the function that passes the site.
        ValueLoc::Frame(offset) => unsafe { frame.slot(offset) },
        ValueLoc::Const(bits) => bits,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let func = build();
    verify(&func).map_err(|errors| format!("{errors:?}"))?;
    print!("{func}");

    let space = CodeSpace::new(&SpaceConfig::new())?;
    let (code, observed) = publish(&space, &func)?;
    let site = code.site(0).ok_or("the function has a site")?;
    // SAFETY: this is the signature the function was built with.
    let sum: extern "C" fn(i64) -> i64 = unsafe { std::mem::transmute(code.base()) };

    // A hook runs on the thread that passes the site, so it should be short: this one hands the values over.
    let (sender, receiver) = sync_channel(1);
    let hook = space.call_hook(move |_, frame| {
        let values: Vec<u64> = observed.iter().map(|v| read(frame, v)).collect();
        // If the last ones have not been fetched, these are dropped.
        let _ = sender.try_send(values);
    })?;

    let n = 1_000_000_000;
    thread::scope(|scope| {
        let running = scope.spawn(|| sum(n));
        while !running.is_finished() {
            space.patch().enable(site, &hook).commit()?;
            let values = receiver.recv_timeout(Duration::from_millis(100));
            space.patch().disable(site).commit()?;
            // What came after that is old by the next time.
            receiver.try_iter().for_each(drop);
            if let Ok(values) = values {
                println!("i = {}, sum = {}", values[0], values[1]);
                assert_eq!(values[1], values[0] * values[0].saturating_sub(1) / 2);
            }
            thread::sleep(Duration::from_millis(100));
        }
        let total = running.join().map_err(|_| "the thread panicked")?;
        println!("sum({n}) = {total}");
        assert_eq!(total, n * (n - 1) / 2);
        Ok(())
    })
}
