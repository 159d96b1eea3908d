//! The builder's methods for every format of operands, and zeros of every type.

use crate::samples::{import, signature};
use nopal_ir::{
    AtomicRmwOp, BuilderContext, CallConv, EdgeArg, ExternalName, Function, FunctionBuilder,
    GlobalValueData, IntCC, MemFlags, StackSlotData, TrapCode, TryItem, Type, verify,
};

/// Builds a function that begins with its entry block.
fn start(
    func: &mut Function,
    ctx: &mut BuilderContext,
    body: impl FnOnce(&mut FunctionBuilder<'_>),
) {
    let mut b = FunctionBuilder::new(func, ctx);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    body(&mut b);
    b.seal_all_blocks();
    b.finalize();
}

#[test]
fn variables_of_every_type_begin_as_zero() {
    for ty in Type::every() {
        let name = ExternalName::Named("f".into());
        let mut func = Function::new(name, signature(&[], &[ty], CallConv::Fast));
        let mut ctx = BuilderContext::new();
        start(&mut func, &mut ctx, |b| {
            let var = b.declare_var(ty);
            let (next, dead) = (b.create_block(), b.create_block());
            b.jump(next, &[]);
            b.seal_block(dead);
            b.switch_to_block(dead);
            let zero = b.use_var(var);
            b.return_(&[zero]);
            b.switch_to_block(next);
            let zero = b.use_var(var);
            b.return_(&[zero]);
        });
        assert_eq!(verify(&func), Ok(()), "{func}");
        assert!(func.num_insts() >= 5, "{func}");
    }
}

#[test]
fn methods_of_all_formats() {
    let types = [
        Type::I64,
        Type::I32,
        Type::I8X16,
        Type::I128,
        Type::F64,
        Type::I8,
    ];
    let name = ExternalName::Named("f".into());
    let mut func = Function::new(name, signature(&types, &[Type::I64], CallConv::Tail));
    func.create_stack_slot(StackSlotData {
        size: 8,
        align_shift: 3,
    });
    let symbol = func.create_global_value(GlobalValueData::Symbol {
        name: ExternalName::Named("s".into()),
        offset: 0,
        colocated: false,
        tls: false,
    });
    let bytes = func.create_constant([1; 16].into());
    let sig = signature(&[Type::I64], &[Type::I64], CallConv::Tail);
    let (sig, callee) = import(&mut func, "g", sig, false);
    let mut ctx = BuilderContext::new();
    start(&mut func, &mut ctx, |b| {
        let entry = b.current_block().unwrap();
        let [addr, int, vector, wide, float, byte] =
            [0, 1, 2, 3, 4, 5].map(|n| b.block_param(entry, n));
        b.debugtrap();
        b.get_frame_pointer(Type::I64);
        b.f16const(0x3c00);
        b.f128const(bytes);
        b.vconst(Type::I32X4, bytes);
        b.symbol_value(Type::I64, symbol);
        b.set_pinned_reg(addr);
        b.vany_true(vector);
        let (low, high) = b.isplit(wide);
        let joined = b.iconcat(low, high);
        let (sum, overflow) = b.sadd_overflow(joined, wide);
        b.uadd_overflow_cin(sum, wide, overflow);
        b.uadd_overflow_trap(int, int, TrapCode::INTEGER_OVERFLOW);
        b.extractlane(vector, 3);
        b.insertlane(vector, byte, 15);
        b.shuffle(vector, vector, [31; 16]);
        b.fma(float, float, float);
        b.swizzle(vector, vector);
        b.icmp(IntCC::Equal, vector, vector);
        b.splat(Type::F64X2, float);
        let flags = MemFlags::new();
        let old = b.atomic_rmw(Type::I32, flags, AtomicRmwOp::Nand, addr, int);
        b.atomic_cas(flags, addr, old, int);
        b.atomic_load(Type::I128, flags, addr);
        b.atomic_store(flags, wide, addr);
        b.fence();
        b.func_addr(Type::I64, callee);
        let [normal, handler, tail] = [0; 3].map(|_| b.create_block());
        let result = b.append_block_param(normal, Type::I64);
        b.append_block_param(normal, Type::I32);
        let thrown = b.append_block_param(handler, Type::I64);
        let items = [
            TryItem::Tag(4, handler, &[EdgeArg::Exn(1)]),
            TryItem::Context(addr),
            TryItem::Default(tail, &[]),
        ];
        let args = [EdgeArg::Ret(0), EdgeArg::Value(int)];
        b.try_call(callee, &[addr], (normal, &args), &items);
        b.switch_to_block(normal);
        b.try_call_indirect(sig, addr, &[result], (tail, &[]), &[]);
        b.switch_to_block(handler);
        b.get_exception_handler_address(Type::I64, entry, 1);
        b.return_call(callee, &[thrown]);
        b.switch_to_block(tail);
        b.return_call_indirect(sig, addr, &[addr]);
    });
    assert_eq!(verify(&func), Ok(()), "{func}");
    let text = func.to_string();
    let again = nopal_ir::reader::parse_functions(&text).unwrap();
    assert_eq!(again[0].to_string(), text);
    crate::print::check_golden("formats.clif", &text);
}
