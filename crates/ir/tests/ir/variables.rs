//! Random programs over variables mean the same after SSA construction.

use crate::common::{Outcome, Rng, arithmetic, interpret};
use nopal_ir::{
    AbiParam, Block, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, Opcode,
    Signature, Type, Variable, verify,
};

#[derive(Clone, Debug)]
enum Op {
    Const(usize, i64),
    Add(usize, usize, usize),
    Copy(usize, usize),
}

#[derive(Clone, Debug)]
enum End {
    Return(Vec<usize>),
    Jump(usize),
    Brif(usize, usize, usize),
    Table(usize, usize, Vec<usize>),
}

/// A program: blocks of operations on 32-bit variables. The first is the entry; the first two
/// variables hold the arguments at first.
#[derive(Debug)]
struct Program {
    vars: usize,
    blocks: Vec<(Vec<Op>, End)>,
}

impl Program {
    fn random(rng: &mut Rng) -> Self {
        let (vars, num) = (2 + rng.below(4), 1 + rng.below(12));
        // Targets near the block itself make loops that end and merges of different shapes.
        let local = rng.below(2) == 0;
        let mut blocks = Vec::new();
        for at in 0..num {
            let target = |rng: &mut Rng| match local && num > 2 {
                true => (at + rng.below(4)).clamp(2, num) - 1,
                false if num > 1 => 1 + rng.below(num - 1),
                false => 0,
            };
            let ops = (0..rng.below(4))
                .map(|_| {
                    let [x, y, z] = [0; 3].map(|_| rng.below(vars));
                    match rng.below(3) {
                        0 => Op::Const(x, rng.below(5) as i64 - 2),
                        1 => Op::Add(x, y, z),
                        _ => Op::Copy(x, y),
                    }
                })
                .collect();
            let end = match rng.below(8) {
                _ if num == 1 => End::Return((0..vars).collect()),
                0 | 1 => End::Return((0..vars).map(|_| rng.below(vars)).collect()),
                2 | 3 => End::Jump(target(rng)),
                4 => {
                    let targets = (0..rng.below(5)).map(|_| target(rng)).collect();
                    End::Table(rng.below(vars), target(rng), targets)
                }
                _ => End::Brif(rng.below(vars), target(rng), target(rng)),
            };
            blocks.push((ops, end));
        }
        Self { vars, blocks }
    }

    fn successors(&self, at: usize) -> Vec<usize> {
        match &self.blocks[at].1 {
            End::Return(_) => Vec::new(),
            End::Jump(to) => vec![*to],
            End::Brif(_, a, b) => vec![*a, *b],
            End::Table(_, default, table) => [&[*default], &table[..]].concat(),
        }
    }

    fn run(&self, args: [i64; 2]) -> Outcome {
        let mut vars = vec![0; self.vars];
        vars[..2].copy_from_slice(&args);
        let mut at = 0;
        for _ in 0..200 {
            let (ops, end) = &self.blocks[at];
            for op in ops {
                match *op {
                    Op::Const(x, n) => vars[x] = n,
                    Op::Copy(x, y) => vars[x] = vars[y],
                    Op::Add(x, y, z) => {
                        let sum = arithmetic(Opcode::Iadd, Type::I32, vars[y], vars[z]);
                        vars[x] = sum.unwrap();
                    }
                }
            }
            at = match end {
                End::Return(results) => {
                    return Outcome::Returned(results.iter().map(|&x| vars[x]).collect());
                }
                End::Jump(to) => *to,
                End::Brif(x, a, b) => [*b, *a][usize::from(vars[*x] != 0)],
                End::Table(x, default, table) => {
                    let index = vars[*x] as u32 as usize;
                    table.get(index).copied().unwrap_or(*default)
                }
            };
        }
        Outcome::OutOfFuel
    }

    /// Blocks filled in a random order, the entry first; sealed as soon as possible or at the end.
    fn build(&self, rng: &mut Rng, ctx: &mut BuilderContext) -> Function {
        let mut sig = Signature::new(CallConv::Fast);
        sig.params = vec![AbiParam::new(Type::I32); 2];
        sig.returns = vec![AbiParam::new(Type::I32); self.vars];
        let mut func = Function::new(ExternalName::Named("f".into()), sig);
        let mut b = FunctionBuilder::new(&mut func, ctx);
        let vars: Vec<_> = (0..self.vars).map(|_| b.declare_var(Type::I32)).collect();
        let blocks: Vec<_> = self.blocks.iter().map(|_| b.create_block()).collect();
        let mut order: Vec<_> = (0..blocks.len()).collect();
        if rng.below(2) == 0 {
            for i in 1..order.len() {
                let j = i + rng.below(order.len() - i);
                order.swap(i, j);
            }
        }
        let early = rng.below(3) != 0;
        let mut waiting = vec![0; blocks.len()];
        for at in 0..blocks.len() {
            for to in self.successors(at) {
                waiting[to] += 1;
            }
        }
        for at in 0..blocks.len() {
            if early && waiting[at] == 0 {
                b.seal_block(blocks[at]);
            }
        }
        for at in order {
            self.fill(&mut b, at, &vars, &blocks);
            for to in self.successors(at) {
                waiting[to] -= 1;
                if early && waiting[to] == 0 {
                    b.seal_block(blocks[to]);
                }
            }
        }
        b.seal_all_blocks();
        b.finalize();
        func
    }

    fn fill(&self, b: &mut FunctionBuilder<'_>, at: usize, vars: &[Variable], blocks: &[Block]) {
        if at == 0 {
            b.append_block_params_for_function_params(blocks[0]);
        }
        b.switch_to_block(blocks[at]);
        if at == 0 {
            for (n, &var) in vars[..2].iter().enumerate() {
                let v = b.block_param(blocks[0], n);
                b.def_var(var, v);
            }
        }
        let (ops, end) = &self.blocks[at];
        for op in ops {
            let (to, v) = match *op {
                Op::Const(x, n) => (x, b.iconst(Type::I32, n)),
                Op::Copy(x, y) => (x, b.use_var(vars[y])),
                Op::Add(x, y, z) => {
                    let (y, z) = (b.use_var(vars[y]), b.use_var(vars[z]));
                    (x, b.iadd(y, z))
                }
            };
            b.def_var(vars[to], v);
        }
        match end {
            End::Return(results) => {
                let values: Vec<_> = results.iter().map(|&x| b.use_var(vars[x])).collect();
                b.return_(&values);
            }
            End::Jump(to) => {
                b.jump(blocks[*to], &[]);
            }
            End::Brif(x, then, otherwise) => {
                let c = b.use_var(vars[*x]);
                b.brif(c, blocks[*then], &[], blocks[*otherwise], &[]);
            }
            End::Table(x, default, table) => {
                let index = b.use_var(vars[*x]);
                let table: Vec<_> = table.iter().map(|&to| (blocks[to], &[][..])).collect();
                b.br_table(index, (blocks[*default], &[]), &table);
            }
        }
    }
}

#[test]
fn random_programs_have_the_same_outcome() {
    let mut ctx = BuilderContext::new();
    let mut returned = 0;
    for seed in 0..20_000 {
        let mut rng = Rng(seed);
        let program = Program::random(&mut rng);
        let func = program.build(&mut rng, &mut ctx);
        assert_eq!(verify(&func), Ok(()), "seed {seed}: {func}");
        for args in [[0, 0], [1, 0], [-1, 3]] {
            let want = program.run(args);
            if want != Outcome::OutOfFuel {
                returned += 1;
                let got = interpret(&func, &args, 10_000);
                assert_eq!(got, want, "seed {seed}: {program:#?}");
            }
        }
    }
    assert!(returned > 20_000, "{returned} runs returned");
}
