//! Calls with handlers: they return, or what they call goes to a handler instead.

use super::calls::{import, signature};
use crate::support::unit::{Unit, entry, function, input, output, targets};
use nopal_codegen::{CompiledCode, Context, Handler, Target, ValueLoc};
use nopal_fuzzgen::Outcome;
use nopal_ir::{
    CallConv, EdgeArg, ExternalName, Function, FunctionBuilder, InstData, IntCC, Opcode, TryItem,
    Type, Value,
};

core::arch::global_asm!(
    // fn(handler, stack pointer, two words): go to the handler with the words, and nothing else.
    "nopal_test_throw:",
    "mov r11, rdi",
    "mov rax, rdx",
    "mov rdx, rcx",
    "mov rsp, rsi",
    "movabs rcx, 0xdeadbeefdeadbeef",
    "mov rbx, rcx",
    "mov rsi, rcx",
    "mov rdi, rcx",
    "mov r8, rcx",
    "mov r9, rcx",
    "mov r10, rcx",
    "mov r12, rcx",
    "mov r13, rcx",
    "mov r14, rcx",
    "mov r15, rcx",
    "movq xmm0, rcx",
    "movdqa xmm1, xmm0",
    "movdqa xmm2, xmm0",
    "movdqa xmm3, xmm0",
    "movdqa xmm4, xmm0",
    "movdqa xmm5, xmm0",
    "movdqa xmm6, xmm0",
    "movdqa xmm7, xmm0",
    "jmp r11",
    // The same parameters; returns the second word plus one.
    "nopal_test_no_throw:",
    "lea rax, [rcx + 1]",
    "movabs rcx, 0xdeadbeefdeadbeef",
    "mov rsi, rcx",
    "mov rdi, rcx",
    "mov rdx, rcx",
    "mov r8, rcx",
    "mov r9, rcx",
    "mov r10, rcx",
    "mov r11, rcx",
    "movq xmm0, rcx",
    "movdqa xmm1, xmm0",
    "movdqa xmm2, xmm0",
    "ret",
);

unsafe extern "C" {
    fn nopal_test_throw();
    fn nopal_test_no_throw();
}

fn user(index: u32) -> ExternalName {
    let namespace = 0;
    ExternalName::User { namespace, index }
}

fn compiled(func: &Function, target: &Target) -> CompiledCode {
    let mut context = Context::new();
    context.compile(func, target).expect("it compiles").clone()
}

/// The offsets of the handlers, in order.
fn offsets(code: &CompiledCode) -> Vec<u32> {
    let place = |h: &Handler| match *h {
        Handler::Tag { offset, .. } | Handler::Default { offset } => Some(offset),
        Handler::Context(_) => None,
    };
    code.handlers.iter().filter_map(place).collect()
}

/// Input 0 says whom to call, 1 which handler it goes to; those from 4 on are live across the call.
fn thrower() -> Function {
    let sig = signature(CallConv::SystemV, &[Type::I64; 4], &[Type::I64]);
    entry(|b, data| {
        let callee = input(b, data, 0, Type::I64);
        let handler = input(b, data, 1, Type::I64);
        let words = [2, 3].map(|n| input(b, data, n, Type::I64));
        let kept: Vec<Value> = (4..18)
            .map(|n| input(b, data, n, if n % 4 == 3 { Type::F64 } else { Type::I64 }))
            .collect();
        let context = b.iadd(words[0], words[1]);
        let opcode = Opcode::GetStackPointer;
        let sp = b.func.push_inst_with_result(
            InstData::NullAry { opcode },
            Type::I64,
            nopal_ir::SourceLoc::NONE,
        );
        let blocks = [(); 3].map(|()| b.create_block());
        let [normal, tagged, other] = blocks;
        let result = b.append_block_param(normal, Type::I64);
        let constant = b.append_block_param(normal, Type::I64);
        let tagged_params =
            [Type::I64, Type::I64, Type::F64].map(|ty| b.append_block_param(tagged, ty));
        let other_params = [Type::I64, Type::I64].map(|ty| b.append_block_param(other, ty));
        let sig = b.func.import_signature(sig.clone());
        let forty = b.iconst(Type::I64, 40);
        b.try_call_indirect(
            sig,
            callee,
            &[handler, sp, words[0], words[1]],
            (normal, &[EdgeArg::Ret(0), EdgeArg::Value(forty)]),
            &[
                TryItem::Tag(
                    7,
                    tagged,
                    &[EdgeArg::Exn(1), EdgeArg::Exn(0), EdgeArg::Value(kept[3])],
                ),
                TryItem::Context(context),
                TryItem::Default(other, &[EdgeArg::Value(kept[0]), EdgeArg::Exn(0)]),
            ],
        );
        let store = |b: &mut FunctionBuilder<'_>, which: i64, values: &[Value]| {
            let which = b.iconst(Type::I64, which);
            output(b, data, 0, which);
            for (n, &v) in values.iter().chain(&kept).enumerate() {
                output(b, data, n as i32 + 1, v);
            }
            b.return_(&[]);
        };
        b.switch_to_block(normal);
        store(b, 1, &[result, constant]);
        b.switch_to_block(tagged);
        store(b, 2, &tagged_params);
        b.switch_to_block(other);
        store(b, 3, &other_params);
    })
}

#[test]
fn each_way_out_of_a_call() {
    for target in targets() {
        let func = thrower();
        let code = compiled(&func, &target);
        assert_eq!(code.try_calls.len(), 1);
        let call = code.try_calls[0];
        assert!(code.call_sites.iter().any(|c| c.ret_addr == call.ret_addr));
        assert!(matches!(
            code.handlers_of(&call),
            [
                Handler::Tag { tag: 7, .. },
                Handler::Context(ValueLoc::Frame(_)),
                Handler::Default { .. }
            ]
        ));
        let handlers = offsets(&code);
        let mut unit = Unit::new(target);
        let program = unit.load(&[func]);
        let base = program.loaded.addresses()[0];
        let kept: Vec<u64> = (0..14).map(|n| 0x1000 + 3 * n).collect();
        let throw = nopal_test_throw as *const () as u64;
        let no_throw = nopal_test_no_throw as *const () as u64;
        let cases = [
            (no_throw, 0, vec![1, 56, 40]),
            (throw, u64::from(handlers[0]), vec![2, 55, 44, kept[3]]),
            (throw, u64::from(handlers[1]), vec![3, kept[0], 44]),
        ];
        for (callee, handler, mut want) in cases {
            let mut inputs = vec![callee, base + handler, 44, 55];
            inputs.extend(&kept);
            let (outcome, results) = program.run(&inputs);
            assert_eq!(outcome, Outcome::Return);
            want.extend(&kept);
            assert_eq!(results[..want.len()], want);
        }
    }
}

/// A loop around a call whose handler goes on with it, and a direct call that always returns, with more
/// results than registers.
#[test]
fn handlers_in_loops() {
    let sig = signature(CallConv::SystemV, &[Type::I64; 4], &[Type::I64]);
    let many = signature(CallConv::Tail, &[Type::I64; 9], &[Type::I64; 4]);
    let func = entry(|b, data| {
        let callee = import(b, user(1), &many, false);
        let thrower = input(b, data, 0, Type::I64);
        let handler = input(b, data, 1, Type::I64);
        let opcode = Opcode::GetStackPointer;
        let sp = b.func.push_inst_with_result(
            InstData::NullAry { opcode },
            Type::I64,
            nopal_ir::SourceLoc::NONE,
        );
        let sig = b.func.import_signature(sig.clone());
        let (header, body, after, caught, exit) = (
            b.create_block(),
            b.create_block(),
            b.create_block(),
            b.create_block(),
            b.create_block(),
        );
        let [i, sum] = [(); 2].map(|()| b.append_block_param(header, Type::I64));
        let results: Vec<Value> = (0..4)
            .map(|_| b.append_block_param(body, Type::I64))
            .collect();
        let word = b.append_block_param(caught, Type::I64);
        let [ten, zero] = [10, 0].map(|k| b.iconst(Type::I64, k));
        b.jump(header, &[ten, zero]);
        b.switch_to_block(header);
        let args = [i, sum, i, sum, i, sum, i, sum, i];
        let rets = [0, 1, 2, 3].map(EdgeArg::Ret);
        b.try_call(callee, &args, (body, &rets), &[]);
        b.switch_to_block(body);
        let mut total = sum;
        for &r in &results {
            total = b.iadd(total, r);
        }
        b.try_call_indirect(
            sig,
            thrower,
            &[handler, sp, total, i],
            (after, &[]),
            &[TryItem::Default(caught, &[EdgeArg::Exn(0)])],
        );
        b.switch_to_block(after);
        b.jump(exit, &[]);
        b.switch_to_block(caught);
        let one = b.iconst(Type::I64, 1);
        let next = b.isub(i, one);
        let done = b.icmp(IntCC::Equal, next, zero);
        output(b, data, 0, word);
        b.brif(done, exit, &[], header, &[next, word]);
        b.switch_to_block(exit);
        output(b, data, 1, i);
    });
    let callee = function(1, many.clone(), |b, params| {
        // The last comes on the stack.
        let twice = b.iadd(params[8], params[0]);
        let one = b.iconst(Type::I64, 1);
        b.return_(&[params[8], twice, one, params[6]]);
    });
    for target in targets() {
        let handlers = offsets(&compiled(&func, &target));
        let mut unit = Unit::new(target);
        let program = unit.load(&[func.clone(), callee.clone()]);
        let base = program.loaded.addresses()[0];
        let throw = nopal_test_throw as *const () as u64;
        let (outcome, results) = program.run(&[throw, base + u64::from(handlers[0])]);
        assert_eq!(outcome, Outcome::Return);
        let want = (1..=10u64).rev().fold(0, |sum, i| sum + i + 2 * i + 1 + i);
        assert_eq!(results[..2], [want, 1]);
    }
}
