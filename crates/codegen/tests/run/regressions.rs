//! Functions that were compiled wrongly once.

use super::calls::{import, signature};
use crate::support::unit::{Unit, entry, input, output, targets};
use nopal_codegen::Context;
use nopal_fuzzgen::Outcome;
use nopal_ir::reader::parse_functions;
use nopal_ir::{CallConv, ExternalName, Function, IntCC, Type, Value};

fn agree(func: &Function, inputs: &[u64]) -> Vec<u64> {
    let mut all = Vec::new();
    for target in targets() {
        let mut unit = Unit::new(target);
        let (outcome, results) = unit.load(std::slice::from_ref(func)).agree(inputs);
        assert_eq!(outcome, Outcome::Return);
        all = results;
    }
    all
}

/// Compile the function, with the checker on.
fn compiles(text: &str) {
    let funcs = parse_functions(text).expect("it reads");
    for target in targets() {
        let mut context = Context::new();
        let code = context.compile(&funcs[0], &target).expect("it compiles");
        assert!(!code.code.is_empty());
    }
}

/// An observed value that is moved out of the way of an argument.
#[test]
fn observed_value_in_an_argument_register() {
    let sig = signature(CallConv::PreserveAll, &[Type::I64; 6], &[]);
    let func = entry(|b, data| {
        let hook = import(b, ExternalName::Named("hook".into()), &sig, true);
        let kept: Vec<Value> = (0..6).map(|n| input(b, data, n, Type::I64)).collect();
        let args: Vec<Value> = (0..6).map(|n| b.iconst(Type::I64, 1000 + n)).collect();
        b.patchable_call(hook, &args, 1, &kept);
        for (n, &v) in kept.iter().enumerate() {
            output(b, data, n as i32, v);
        }
    });
    agree(&func, &[1, 2, 3, 4, 5, 6]);
}

/// More arguments than there are registers, none of which is used later.
#[test]
fn more_arguments_than_registers() {
    let sig = signature(CallConv::PreserveAll, &[Type::I32; 40], &[]);
    let func = entry(|b, data| {
        let hook = import(b, ExternalName::Named("hook".into()), &sig, true);
        let args: Vec<Value> = (0..40).map(|n| input(b, data, n, Type::I32)).collect();
        b.patchable_call(hook, &args, 1, &[]);
    });
    agree(&func, &(0..40).collect::<Vec<u64>>());
}

/// A sum that is merged into a later one reads its operands there, so their stack cells must
/// not be given to others before.
#[test]
fn operands_of_merged_instructions_stay_in_their_cells() {
    let types = [Type::I64, Type::I32, Type::F64, Type::F32];
    let sig = signature(CallConv::SystemV, &types, &types);
    let func = entry(|b, data| {
        let callee = import(b, ExternalName::Named("clobber".into()), &sig, false);
        let x: Vec<Value> = (0..16).map(|n| input(b, data, n, Type::I32)).collect();
        let sums: Vec<Value> = x.chunks(2).map(|p| b.iadd(p[0], p[1])).collect();
        let y: Vec<Value> = (0..16).map(|n| input(b, data, n, Type::I64)).collect();
        let floats = [0, 1].map(|n| input(b, data, n, types[2 + n as usize]));
        b.call(callee, &[y[0], x[0], floats[0], floats[1]]);
        for (n, &s) in sums.iter().enumerate() {
            let k = b.iconst(Type::I32, 511);
            let sum = b.iadd(s, k);
            output(b, data, n as i32, sum);
        }
        for (n, &v) in y.iter().enumerate() {
            output(b, data, 16 + n as i32, v);
        }
    });
    let results = agree(&func, &(0..16).map(|n| 3 * n).collect::<Vec<u64>>());
    assert_eq!(results[1], 6 + 9 + 511);
}

/// A loop whose exit enters another loop in the middle.
#[test]
fn a_loop_before_one_with_two_entries() {
    let n = 30;
    let func = entry(|b, data| {
        let (header, exit) = (b.create_block(), b.create_block());
        let (top, middle, end) = (b.create_block(), b.create_block(), b.create_block());
        let count = b.append_block_param(header, Type::I32);
        let params: Vec<Value> = (0..n)
            .map(|_| b.append_block_param(header, Type::I64))
            .collect();
        let mut args = vec![input(b, data, 0, Type::I32)];
        args.extend((0..n).map(|k| input(b, data, 1 + k, Type::I64)));
        b.jump(header, &args);
        b.switch_to_block(header);
        let step = b.iconst(Type::I32, -1);
        let one = b.iconst(Type::I64, 1);
        let mut next = vec![b.iadd(count, step)];
        for k in 0..n as usize {
            let before = (k + n as usize - 1) % n as usize;
            next.push(b.iadd(params[before], one));
        }
        let zero = b.iconst(Type::I32, 0);
        let more = b.icmp(IntCC::SignedGreaterThan, next[0], zero);
        b.brif(more, header, &next, exit, &[]);
        let fuel = b.append_block_param(middle, Type::I32);
        let again = b.append_block_param(top, Type::I32);
        b.switch_to_block(exit);
        let five = b.iconst(Type::I32, 5);
        b.brif(args[0], middle, &[five], top, &[five]);
        b.switch_to_block(top);
        b.jump(middle, &[again]);
        b.switch_to_block(middle);
        for (k, &v) in next[1..].iter().enumerate() {
            output(b, data, k as i32, v);
        }
        let left = b.iadd(fuel, step);
        b.brif(left, top, &[left], end, &[]);
        b.switch_to_block(end);
    });
    let inputs: Vec<u64> = [4].into_iter().chain(100..130).collect();
    let results = agree(&func, &inputs);
    assert_eq!(results[0], 126 + 4);
}

/// A loop within one instruction that begins with reading a stack slot, written or not.
#[test]
fn an_atomic_operation_on_a_slot() {
    for store in ["", "store v1, v2"] {
        let text = format!(
            "function %f(i64, i64) -> i64, i64 {{
                ss0 = explicit_slot 8, align = 8
            block0(v0: i64, v1: i64):
                v2 = stack_addr.i64 ss0
                {store}
                v3 = atomic_rmw.i64 or v2, v0
                return v3, v0
            }}"
        );
        compiles(&text);
    }
}

/// A sum whose flag chooses between it and another value right below, and that has no register
/// further down: it is defined, stored to its slot, and used within one group of instructions.
#[test]
fn a_spilled_sum_that_its_flag_selects() {
    compiles(include_str!("spilled-sum.clif"));
}
