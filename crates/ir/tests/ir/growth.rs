//! Big functions: no recursion, and no more values than the code needs.

use crate::samples::signature;
use nopal_ir::{
    Block, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, Type, Value,
    Variable, verify,
};

/// A function `(i32) -> i32` with `vars` variables that hold different values at first.
fn build(
    ctx: &mut BuilderContext,
    vars: usize,
    body: impl FnOnce(&mut FunctionBuilder<'_>, &[Variable]),
) -> Function {
    let sig = signature(&[Type::I32], &[Type::I32], CallConv::Fast);
    let mut func = Function::new(ExternalName::Named("f".into()), sig);
    let mut b = FunctionBuilder::new(&mut func, ctx);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let vars: Vec<_> = (0..vars).map(|_| b.declare_var(Type::I32)).collect();
    for (n, &var) in vars.iter().enumerate() {
        let v = b.iconst(Type::I32, n as i64);
        b.def_var(var, v);
    }
    body(&mut b, &vars);
    let sum = sum(&mut b, &vars);
    b.return_(&[sum]);
    b.seal_all_blocks();
    b.finalize();
    assert_eq!(verify(&func), Ok(()));
    func
}

/// The sum of all variables.
fn sum(b: &mut FunctionBuilder<'_>, vars: &[Variable]) -> Value {
    let first = b.use_var(vars[0]);
    vars[1..].iter().fold(first, |sum, &var| {
        let v = b.use_var(var);
        b.iadd(sum, v)
    })
}

fn increment(b: &mut FunctionBuilder<'_>, var: Variable) -> Value {
    let v = b.use_var(var);
    let next = b.iadd(v, v);
    b.def_var(var, next);
    next
}

fn go_on(b: &mut FunctionBuilder<'_>) -> Block {
    let next = b.create_block();
    b.jump(next, &[]);
    b.switch_to_block(next);
    next
}

fn num_params(func: &Function) -> usize {
    let params = func.layout().iter().map(|&b| func.block_params(b).len());
    params.sum::<usize>() - func.signature.params.len()
}

#[test]
fn chain_of_blocks() {
    let mut ctx = BuilderContext::new();
    for early in [true, false] {
        let func = build(&mut ctx, 3, |b, _| {
            for _ in 0..100_000 {
                let block = go_on(b);
                if early {
                    b.seal_block(block);
                }
            }
        });
        assert_eq!(func.layout().len(), 100_001);
        assert_eq!(num_params(&func), 0);
    }
}

#[test]
fn many_variables_through_many_conditionals() {
    let mut ctx = BuilderContext::new();
    let func = build(&mut ctx, 10_000, |b, vars| {
        for chunk in vars.chunks(10) {
            let (then, end) = (b.create_block(), b.create_block());
            let condition = b.use_var(vars[0]);
            b.brif(condition, then, &[], end, &[]);
            b.seal_block(then);
            b.switch_to_block(then);
            for &var in chunk {
                increment(b, var);
            }
            b.jump(end, &[]);
            b.seal_block(end);
            b.switch_to_block(end);
        }
    });
    assert_eq!(num_params(&func), 10_000);
}

#[test]
fn many_variables_in_loops() {
    let mut ctx = BuilderContext::new();
    // One after another: each changes some variables and reads others.
    let func = build(&mut ctx, 1000, |b, vars| {
        for n in 0..1000 {
            let head = go_on(b);
            increment(b, vars[n]);
            let next = b.use_var(vars[(n + 500) % 1000]);
            let end = b.create_block();
            b.brif(next, head, &[], end, &[]);
            b.seal_block(head);
            b.seal_block(end);
            b.switch_to_block(end);
        }
    });
    assert_eq!(num_params(&func), 1000);
    // Within each other: the innermost reads all and changes one.
    let func = build(&mut ctx, 300, |b, vars| {
        let heads: Vec<_> = (0..300).map(|_| go_on(b)).collect();
        sum(b, vars);
        let condition = increment(b, vars[7]);
        for &head in heads.iter().rev() {
            let end = b.create_block();
            b.brif(condition, head, &[], end, &[]);
            b.seal_block(head);
            b.seal_block(end);
            b.switch_to_block(end);
        }
    });
    assert_eq!(num_params(&func), 300);
}

#[test]
fn many_ways_to_one_block() {
    let mut ctx = BuilderContext::new();
    // Branches out of a chain of blocks.
    let func = build(&mut ctx, 4, |b, vars| {
        let end = b.create_block();
        for _ in 0..50_000 {
            let condition = increment(b, vars[1]);
            let next = b.create_block();
            b.brif(condition, end, &[], next, &[]);
            b.seal_block(next);
            b.switch_to_block(next);
        }
        b.jump(end, &[]);
        b.seal_block(end);
        b.switch_to_block(end);
    });
    assert_eq!(num_params(&func), 1);
    // A table whose targets all go on in one block.
    let func = build(&mut ctx, 4, |b, vars| {
        let cases: Vec<_> = (0..20_000).map(|_| b.create_block()).collect();
        let end = b.create_block();
        let index = b.use_var(vars[0]);
        let targets: Vec<_> = cases.iter().map(|&case| (case, &[][..])).collect();
        b.br_table(index, (end, &[]), &targets);
        for case in cases {
            b.seal_block(case);
            b.switch_to_block(case);
            increment(b, vars[2]);
            b.jump(end, &[]);
        }
        b.seal_block(end);
        b.switch_to_block(end);
    });
    assert_eq!(num_params(&func), 1);
}

#[test]
fn an_edge_of_a_table_is_shared_by_equal_targets() {
    let mut ctx = BuilderContext::new();
    let func = build(&mut ctx, 2, |b, vars| {
        let (one, two) = (b.create_block(), b.create_block());
        let param = b.append_block_param(two, Type::I32);
        let index = b.use_var(vars[1]);
        let other = b.use_var(vars[0]);
        let targets = [
            (one, &[][..]),
            (two, &[index]),
            (one, &[]),
            (two, &[other]),
            (two, &[other]),
        ];
        b.br_table(index, (one, &[]), &targets);
        b.seal_block(one);
        b.switch_to_block(one);
        b.jump(two, &[index]);
        b.seal_block(two);
        b.switch_to_block(two);
        b.def_var(vars[0], param);
    });
    let mut edges = Vec::new();
    func.for_each_edge(func.terminator(func.layout()[0]).unwrap(), |e| {
        edges.push(e.as_u32());
    });
    assert_eq!(edges, [0, 0, 1, 0, 2, 2]);
}
