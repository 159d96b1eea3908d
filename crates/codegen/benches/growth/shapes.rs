//! Functions that can be made larger in one dimension.

use nopal_ir::{
    AbiParam, BuilderContext, CallConv, ExtFunc, ExternalName, FuncRef, Function, FunctionBuilder,
    MemFlags, Signature, Type, Value, verify,
};

/// A family of functions `(i64, i64) -> i64`.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The smallest size.
    pub(crate) start: usize,
    body: fn(&mut FunctionBuilder<'_>, Ends, usize),
}

/// What a body starts with.
#[derive(Clone, Copy)]
struct Ends {
    /// The parameters.
    args: [Value; 2],
    /// A function like this one.
    callee: FuncRef,
    /// A hook.
    hook: FuncRef,
}

pub(crate) const ALL: &[Shape] = &[
    Shape {
        name: "one block",
        start: 500,
        body: one_block,
    },
    Shape {
        name: "blocks",
        start: 100,
        body: diamonds,
    },
    Shape {
        name: "live values",
        start: 100,
        body: live_values,
    },
    Shape {
        name: "loops in a row",
        start: 50,
        body: loops_in_a_row,
    },
    Shape {
        name: "loop depth",
        start: 8,
        body: loop_depth,
    },
    Shape {
        name: "calls",
        start: 50,
        body: calls,
    },
    Shape {
        name: "targets of br_table",
        start: 50,
        body: table_targets,
    },
    Shape {
        name: "targets of br_table with arguments",
        start: 50,
        body: table_arguments,
    },
    Shape {
        name: "block parameters",
        start: 20,
        body: block_params,
    },
    Shape {
        name: "block parameters around a loop",
        start: 20,
        body: loop_params,
    },
    Shape {
        name: "patchable calls",
        start: 50,
        body: sites,
    },
];

impl Shape {
    pub(crate) fn build(&self, size: usize) -> Function {
        let mut sig = Signature::new(CallConv::Fast);
        sig.params = vec![AbiParam::new(Type::I64); 2];
        sig.returns = vec![AbiParam::new(Type::I64)];
        let mut func = Function::new(ExternalName::Named("f".into()), sig.clone());
        let signature = func.import_signature(sig);
        let callee = func.import_function(ExtFunc {
            name: ExternalName::Named("g".into()),
            signature,
            colocated: true,
            patchable: false,
        });
        let signature = func.import_signature(Signature::new(CallConv::PreserveAll));
        let hook = func.import_function(ExtFunc {
            name: ExternalName::Named("hook".into()),
            signature,
            colocated: true,
            patchable: true,
        });
        let mut ctx = BuilderContext::new();
        let mut b = FunctionBuilder::new(&mut func, &mut ctx);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let args = [0, 1].map(|n| b.block_param(entry, n));
        (self.body)(&mut b, Ends { args, callee, hook }, size);
        b.seal_all_blocks();
        b.finalize();
        assert_eq!(verify(&func), Ok(()), "{}", self.name);
        func
    }
}

fn one_block(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [mut x, mut y] = ends.args;
    for _ in 0..n {
        let sum = b.iadd(x, y);
        x = b.bxor(sum, x);
        y = sum;
    }
    b.return_(&[y]);
}

fn diamonds(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [mut x, y] = ends.args;
    for _ in 0..n {
        let (left, right, join) = (b.create_block(), b.create_block(), b.create_block());
        let merged = b.append_block_param(join, Type::I64);
        b.brif(x, left, &[], right, &[]);
        b.switch_to_block(left);
        let more = b.iadd(x, y);
        b.jump(join, &[more]);
        b.switch_to_block(right);
        let less = b.isub(y, x);
        b.jump(join, &[less]);
        b.switch_to_block(join);
        x = merged;
    }
    b.return_(&[x]);
}

/// Values loaded from memory, all needed at the end.
fn loaded(b: &mut FunctionBuilder<'_>, base: Value, n: usize) -> Vec<Value> {
    (0..n)
        .map(|i| b.load(Type::I64, MemFlags::trusted(), base, 8 * i as i32))
        .collect()
}

fn sum(b: &mut FunctionBuilder<'_>, values: &[Value]) -> Value {
    let (&first, rest) = values.split_first().expect("there are values");
    rest.iter().fold(first, |sum, &v| b.iadd(sum, v))
}

fn live_values(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let values = loaded(b, ends.args[0], n);
    let sum = sum(b, &values);
    b.return_(&[sum]);
}

/// A loop that counts `from` down and has `body` in it; what follows it is current afterwards.
fn count_down(
    b: &mut FunctionBuilder<'_>,
    from: Value,
    body: impl FnOnce(&mut FunctionBuilder<'_>, Value),
) {
    let (head, after) = (b.create_block(), b.create_block());
    let i = b.append_block_param(head, Type::I64);
    b.jump(head, &[from]);
    b.switch_to_block(head);
    body(b, i);
    let one = b.iconst(Type::I64, 1);
    let next = b.isub(i, one);
    b.brif(next, head, &[next], after, &[]);
    b.switch_to_block(after);
}

fn loops_in_a_row(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [x, y] = ends.args;
    for k in 0..n {
        count_down(b, y, |b, i| {
            b.store(MemFlags::trusted(), i, x, 8 * k as i32);
        });
    }
    b.return_(&[x]);
}

fn loop_depth(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    fn nest(b: &mut FunctionBuilder<'_>, [x, y]: [Value; 2], depth: usize) {
        count_down(b, y, |b, i| {
            b.store(MemFlags::trusted(), i, x, 0);
            if depth > 1 {
                nest(b, [x, i], depth - 1);
            }
        });
    }
    nest(b, ends.args, n);
    b.return_(&[ends.args[0]]);
}

fn calls(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [mut x, y] = ends.args;
    for _ in 0..n {
        let call = b.call(ends.callee, &[x, y]);
        let result = b.inst_results(call).next().expect("it has one");
        x = b.iadd(result, x);
    }
    b.return_(&[x]);
}

fn table_targets(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [x, y] = ends.args;
    let index = b.ireduce(Type::I32, x);
    let blocks: Vec<_> = (0..n).map(|_| b.create_block()).collect();
    let edges: Vec<_> = blocks[1..].iter().map(|&block| (block, &[][..])).collect();
    b.br_table(index, (blocks[0], &[]), &edges);
    for (k, block) in blocks.into_iter().enumerate() {
        b.switch_to_block(block);
        let k = b.iconst(Type::I64, k as i64);
        let result = b.imul(y, k);
        b.return_(&[result]);
    }
}

/// A state machine: every state passes eight values on to the next, and the table passes them to each.
fn table_arguments(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    const VALUES: usize = 24;
    let [x, y] = ends.args;
    let values = loaded(b, y, VALUES);
    let index = b.ireduce(Type::I32, x);
    let blocks: Vec<_> = (0..n).map(|_| b.create_block()).collect();
    for &block in &blocks {
        for _ in 0..VALUES {
            b.append_block_param(block, Type::I64);
        }
    }
    let edges: Vec<_> = blocks[1..]
        .iter()
        .map(|&block| (block, &values[..]))
        .collect();
    b.br_table(index, (blocks[0], &values), &edges);
    for (k, &block) in blocks.iter().enumerate() {
        b.switch_to_block(block);
        let mut values: Vec<_> = (0..VALUES).map(|i| b.block_param(block, i)).collect();
        values[k % VALUES] = b.iadd(values[k % VALUES], x);
        if let Some(&next) = blocks.get(k + 1) {
            b.jump(next, &values);
        } else {
            let sum = sum(b, &values);
            b.return_(&[sum]);
        }
    }
}

fn block_params(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [x, y] = ends.args;
    let values = loaded(b, y, n);
    let (left, right, join) = (b.create_block(), b.create_block(), b.create_block());
    let params: Vec<_> = (0..n)
        .map(|_| b.append_block_param(join, Type::I64))
        .collect();
    b.brif(x, left, &[], right, &[]);
    b.switch_to_block(left);
    b.jump(join, &values);
    b.switch_to_block(right);
    let turned: Vec<_> = values.iter().rev().copied().collect();
    b.jump(join, &turned);
    b.switch_to_block(join);
    let sum = sum(b, &params);
    b.return_(&[sum]);
}

fn loop_params(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [x, y] = ends.args;
    let mut values = loaded(b, y, n);
    let (head, after) = (b.create_block(), b.create_block());
    let params: Vec<_> = (0..n)
        .map(|_| b.append_block_param(head, Type::I64))
        .collect();
    b.jump(head, &values);
    b.switch_to_block(head);
    values.clone_from(&params);
    values.rotate_left(1);
    values[0] = b.iadd(values[0], x);
    b.brif(values[0], head, &values, after, &[]);
    b.switch_to_block(after);
    let sum = sum(b, &params);
    b.return_(&[sum]);
}

fn sites(b: &mut FunctionBuilder<'_>, ends: Ends, n: usize) {
    let [mut x, y] = ends.args;
    let others = loaded(b, y, 6);
    for k in 0..n {
        b.patchable_call(ends.hook, &[], k as u32, &[x, y, others[k % 6]]);
        x = b.iadd(x, others[(k + 1) % 6]);
    }
    b.return_(&[x]);
}
