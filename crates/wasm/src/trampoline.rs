//! Code between host and guest, one piece per function type and direction.
//!
//! Arguments and results cross in an array of 64-bit cells, a value in the low bytes of its cell,
//! results over the arguments.

use crate::host_func::HostRecord;
use crate::translate::signature;
use crate::{FuncType, ValType};
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, Function, FunctionBuilder, MemFlags, Signature,
    StackSlotData, Type, Value,
};
use std::mem::offset_of;

/// Calls `code`, a function of the guest, with `context` and the arguments in `args`, and leaves
/// the results there.
pub(crate) type EnterTrampoline =
    unsafe extern "C" fn(context: *mut u8, code: *const u8, args: *mut u64);

const FLAGS: MemFlags = MemFlags::trusted();

/// Build the code that the host calls to call a function of type `ty`: an [`EnterTrampoline`].
pub(crate) fn build_enter(func: &mut Function, ctx: &mut BuilderContext, ty: &FuncType) {
    func.clear();
    func.signature = c_signature(3);
    let callee = func.import_signature(signature(ty));
    let mut b = FunctionBuilder::new(func, ctx);
    let entry = begin(&mut b);
    let [context, code, cells] = [0, 1, 2].map(|i| b.block_param(entry, i));
    let mut args = vec![context];
    load_cells(&mut b, ty.params(), cells, &mut args);
    let call = b.call_indirect(callee, code, &args);
    let results: Vec<Value> = b.inst_results(call).collect();
    store_cells(&mut b, &results, cells);
    b.return_(&[]);
    b.finalize();
}

/// Build the code that the guest calls to call a host function of type `ty`. Its context is a
/// [`HostRecord`].
pub(crate) fn build_exit(func: &mut Function, ctx: &mut BuilderContext, ty: &FuncType) {
    func.clear();
    func.signature = signature(ty);
    let callee = func.import_signature(c_signature(2));
    let cells = ty.params().len().max(ty.results().len()).max(1);
    let slot = func.create_stack_slot(StackSlotData {
        size: cells as u32 * 8,
        align_shift: 3,
    });
    let mut b = FunctionBuilder::new(func, ctx);
    let entry = begin(&mut b);
    let record = b.block_param(entry, 0);
    let params: Vec<Value> = (1..=ty.params().len())
        .map(|i| b.block_param(entry, i))
        .collect();
    let cells = b.stack_addr(Type::I64, slot, 0);
    store_cells(&mut b, &params, cells);
    let shim = offset_of!(HostRecord, shim) as i32;
    let shim = b.load(Type::I64, FLAGS.with_readonly(), record, shim);
    b.call_indirect(callee, shim, &[record, cells]);
    let mut results = Vec::new();
    load_cells(&mut b, ty.results(), cells, &mut results);
    b.return_(&results);
    b.finalize();
}

/// The signature of C functions of `params` pointers without result.
fn c_signature(params: usize) -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.resize(params, AbiParam::new(Type::I64));
    sig
}

fn begin(b: &mut FunctionBuilder<'_>) -> nopal_ir::Block {
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    entry
}

fn load_cells(b: &mut FunctionBuilder<'_>, types: &[ValType], cells: Value, out: &mut Vec<Value>) {
    for (i, ty) in types.iter().enumerate() {
        out.push(b.load(ty.ir(), FLAGS, cells, i as i32 * 8));
    }
}

fn store_cells(b: &mut FunctionBuilder<'_>, values: &[Value], cells: Value) {
    for (i, &value) in values.iter().enumerate() {
        b.store(FLAGS, value, cells, i as i32 * 8);
    }
}
