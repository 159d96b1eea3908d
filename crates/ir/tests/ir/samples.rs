//! Functions that several tests look at.

use nopal_ir::{
    AbiParam, ArgumentExtension, ArgumentPurpose, Block, BuilderContext, CallConv, Endianness,
    ExtFunc, ExternalName, FloatCC, FuncRef, Function, FunctionBuilder, IntCC, MemFlags, SigRef,
    Signature, SourceLoc, StackSlotData, TrapCode, Type,
};

pub(crate) fn signature(params: &[Type], returns: &[Type], call_conv: CallConv) -> Signature {
    let mut sig = Signature::new(call_conv);
    sig.params = params.iter().copied().map(AbiParam::new).collect();
    sig.returns = returns.iter().copied().map(AbiParam::new).collect();
    sig
}

pub(crate) fn import(
    func: &mut Function,
    name: &str,
    sig: Signature,
    patchable: bool,
) -> (SigRef, FuncRef) {
    let signature = func.import_signature(sig);
    let callee = func.import_function(ExtFunc {
        name: ExternalName::Named(name.into()),
        signature,
        colocated: patchable,
        patchable,
    });
    (signature, callee)
}

fn user_trap(n: u8) -> TrapCode {
    TrapCode::user(n).unwrap()
}

/// A function that has every opcode at least once.
pub(crate) fn every_opcode() -> Function {
    let mut sig = signature(
        &[Type::I64, Type::I32, Type::F32, Type::F64, Type::I8],
        &[Type::I32, Type::F64],
        CallConv::Fast,
    );
    sig.params[0] = AbiParam::special(Type::I64, ArgumentPurpose::VMContext);
    sig.params[4].extension = ArgumentExtension::Uext;
    let name = ExternalName::User {
        namespace: 0,
        index: 3,
    };
    let mut func = Function::new(name, sig);
    func.create_stack_slot(StackSlotData {
        size: 16,
        align_shift: 4,
    });
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    constants_and_integers(&mut b, entry);
    floats_and_conversions(&mut b, entry);
    memory(&mut b, entry);
    control(&mut b, entry);
    b.seal_all_blocks();
    b.finalize();
    func
}

fn constants_and_integers(b: &mut FunctionBuilder<'_>, entry: Block) {
    let x = b.block_param(entry, 1);
    b.set_srcloc(SourceLoc::new(0x1a));
    let y = b.iconst(Type::I32, -5);
    b.iconst(Type::I64, 0x1234_5678_9abc);
    b.iconst(Type::I8, 0xff);
    b.f32const(0x7fc0_0001);
    b.f64const((-1.5f64).to_bits());
    b.set_srcloc(SourceLoc::NONE);
    b.iadd(x, y);
    b.isub(x, y);
    b.imul(x, y);
    b.umulhi(x, y);
    b.smulhi(x, y);
    b.udiv(x, y);
    b.sdiv(x, y);
    b.urem(x, y);
    b.srem(x, y);
    b.ineg(x);
    b.band(x, y);
    b.bor(x, y);
    b.bxor(x, y);
    b.bnot(x);
    b.rotl(x, y);
    b.rotr(x, y);
    b.ishl(x, y);
    b.ushr(x, y);
    b.sshr(x, y);
    b.clz(x);
    b.ctz(x);
    b.popcnt(x);
    let c = b.icmp(IntCC::UnsignedLessThan, x, y);
    b.select(c, x, y);
    b.trapz(c, TrapCode::INTEGER_OVERFLOW);
    b.trapnz(c, user_trap(3));
}

fn floats_and_conversions(b: &mut FunctionBuilder<'_>, entry: Block) {
    let [long, int, single, double] = [0, 1, 2, 3].map(|n| b.block_param(entry, n));
    b.fcmp(FloatCC::UnorderedOrEqual, single, single);
    b.fadd(single, single);
    b.fsub(single, single);
    b.fmul(double, double);
    b.fdiv(double, double);
    b.fcopysign(double, double);
    b.fmin(double, double);
    b.fmax(double, double);
    b.sqrt(double);
    b.fneg(double);
    b.fabs(double);
    b.ceil(double);
    b.floor(double);
    b.trunc(double);
    b.nearest(single);
    b.bitcast(Type::F32, int);
    b.ireduce(Type::I16, long);
    b.uextend(Type::I64, int);
    b.sextend(Type::I64, int);
    b.fpromote(Type::F64, single);
    b.fdemote(Type::F32, double);
    b.fcvt_to_uint(Type::I64, single);
    b.fcvt_to_sint(Type::I32, double);
    b.fcvt_to_uint_sat(Type::I32, single);
    b.fcvt_to_sint_sat(Type::I64, double);
    b.fcvt_from_uint(Type::F32, int);
    b.fcvt_from_sint(Type::F64, long);
}

fn memory(b: &mut FunctionBuilder<'_>, entry: Block) {
    let (addr, int) = (b.block_param(entry, 0), b.block_param(entry, 1));
    let plain = MemFlags::new();
    let trusted = MemFlags::trusted().with_readonly().with_can_move();
    let little = plain
        .with_trap_code(TrapCode::user(9))
        .with_endianness(Endianness::Little);
    b.load(Type::F64, trusted, addr, 8);
    b.uload8(Type::I32, plain, addr, -1);
    b.sload8(Type::I16, plain, addr, 0);
    b.uload16(Type::I32, little, addr, 65536);
    b.sload16(Type::I64, plain, addr, 0);
    b.uload32(Type::I64, plain, addr, 0);
    b.sload32(Type::I64, plain, addr, i32::MIN);
    b.store(MemFlags::trusted(), int, addr, 16);
    b.istore8(plain, int, addr, 0);
    b.istore16(plain, int, addr, 2);
    b.istore32(little, addr, addr, 4);
    let slot = nopal_ir::StackSlot::from_u32(0);
    b.stack_addr(Type::I64, slot, 8);
}

fn control(b: &mut FunctionBuilder<'_>, entry: Block) {
    let [long, int, single, double, byte] = [0, 1, 2, 3, 4].map(|n| b.block_param(entry, n));
    let (sig, plain) = import(
        b.func,
        "host",
        signature(
            &[Type::I64, Type::I32],
            &[Type::I32, Type::F64],
            CallConv::SystemV,
        ),
        false,
    );
    let hook = signature(&[Type::I64], &[], CallConv::PreserveAll);
    let (_, hook) = import(b.func, "hook", hook, true);
    let call = b.call(plain, &[long, int]);
    let results: Vec<_> = b.inst_results(call).collect();
    b.call_indirect(sig, long, &[long, results[0]]);
    b.patchable_call(hook, &[long], 7, &[int, single]);
    b.patchable_call(hook, &[long], 8, &[]);

    let [table, merge, end, trap] = [0; 4].map(|_| b.create_block());
    let param = b.append_block_param(merge, Type::F64);
    b.func.set_cold(trap);
    b.brif(byte, table, &[], merge, &[double]);
    b.switch_to_block(table);
    b.br_table(
        int,
        (trap, &[]),
        &[(merge, &[double]), (end, &[]), (merge, &[double])],
    );
    b.switch_to_block(merge);
    // The operand is defined in another block.
    b.isub(int, int);
    b.return_(&[int, param]);
    b.switch_to_block(end);
    b.jump(trap, &[]);
    b.switch_to_block(trap);
    b.trap(TrapCode::STACK_OVERFLOW);
}
