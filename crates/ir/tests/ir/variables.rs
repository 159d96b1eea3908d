//! Random programs over variables mean the same after SSA construction.

use crate::common::{Outcome, Rng, arithmetic, interpret};
use nopal_ir::{
    AbiParam, Block, BuilderContext, CallConv, Dominators, ExternalName, Function, FunctionBuilder,
    Opcode, Signature, Type, Value, Variable, verify,
};
use std::collections::{HashMap, HashSet};

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
    /// The order in which the blocks are filled; those left out are not reached.
    order: Vec<usize>,
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
        let mut order: Vec<_> = (0..num).collect();
        if rng.below(2) == 0 {
            for i in 1..num {
                let j = i + rng.below(num - i);
                order.swap(i, j);
            }
        }
        Self {
            vars,
            blocks,
            order,
        }
    }

    /// Blocks that come from nested constructs, in their order.
    fn structured(rng: &mut Rng) -> Self {
        let vars = 2 + rng.below(6);
        let mut nesting = Nesting {
            rng,
            program: Self {
                vars,
                blocks: Vec::new(),
                order: Vec::new(),
            },
            labels: Vec::new(),
            current: None,
            budget: 40,
        };
        let entry = nesting.new_block();
        nesting.begin(entry);
        nesting.statements();
        nesting.end(End::Return((0..vars).collect()));
        nesting.program
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
        let early = rng.below(3) != 0;
        let mut waiting = vec![0; blocks.len()];
        for &at in &self.order {
            for to in self.successors(at) {
                waiting[to] += 1;
            }
        }
        for at in 0..blocks.len() {
            if early && waiting[at] == 0 {
                b.seal_block(blocks[at]);
            }
        }
        for &at in &self.order {
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

/// Makes a program of nested constructs, each with a label to branch to: its head if it is a loop,
/// else its end.
struct Nesting<'a> {
    rng: &'a mut Rng,
    program: Program,
    labels: Vec<usize>,
    /// The block that takes operations; none where control does not come.
    current: Option<usize>,
    budget: usize,
}

impl Nesting<'_> {
    fn new_block(&mut self) -> usize {
        self.program
            .blocks
            .push((Vec::new(), End::Jump(usize::MAX)));
        self.program.blocks.len() - 1
    }

    fn begin(&mut self, block: usize) {
        self.current = Some(block);
        self.program.order.push(block);
    }

    fn end(&mut self, end: End) {
        if let Some(block) = self.current.take() {
            self.program.blocks[block].1 = end;
        }
    }

    /// Go on in a block if anything leads there.
    fn join(&mut self, block: usize) {
        self.end(End::Jump(block));
        let program = &self.program;
        if program
            .order
            .iter()
            .any(|&at| program.successors(at).contains(&block))
        {
            self.begin(block);
        }
    }

    fn var(&mut self) -> usize {
        self.rng.below(self.program.vars)
    }

    fn statements(&mut self) {
        for _ in 0..1 + self.rng.below(5) {
            let Some(current) = self.current.filter(|_| self.budget > 0) else {
                return;
            };
            self.budget -= 1;
            let (x, y, z) = (self.var(), self.var(), self.var());
            match self.rng.below(11) {
                0 => {
                    let n = self.rng.below(4) as i64 - 1;
                    self.program.blocks[current].0.push(Op::Const(x, n));
                }
                1 | 2 => self.program.blocks[current].0.push(Op::Add(x, y, z)),
                3 => self.program.blocks[current].0.push(Op::Copy(x, y)),
                4 | 5 => self.conditional(x),
                6 => {
                    let end = self.new_block();
                    self.nested(end);
                    self.join(end);
                }
                7 | 8 => {
                    let head = self.new_block();
                    self.join(head);
                    self.nested(head);
                }
                n => self.branch(n, x),
            }
        }
    }

    fn nested(&mut self, label: usize) {
        self.labels.push(label);
        self.statements();
        self.labels.pop();
    }

    fn conditional(&mut self, x: usize) {
        let [then, otherwise, end] = [0; 3].map(|_| self.new_block());
        let has_else = self.rng.below(2) == 0;
        let second = if has_else { otherwise } else { end };
        self.end(End::Brif(x, then, second));
        self.begin(then);
        self.nested(end);
        if has_else {
            self.end(End::Jump(end));
            self.begin(otherwise);
            self.nested(end);
        }
        self.join(end);
    }

    fn branch(&mut self, kind: usize, x: usize) {
        let Some(label) = self.labels.len().checked_sub(1).map(|last| {
            let up = self.rng.below(3).min(last);
            self.labels[last - up]
        }) else {
            return;
        };
        match (kind, self.rng.below(3)) {
            (9, 0) => self.end(End::Jump(label)),
            (9, 1) => {
                let table = self.labels.clone();
                self.end(End::Table(x, label, table));
            }
            _ => {
                let next = self.new_block();
                self.end(End::Brif(x, label, next));
                self.begin(next);
            }
        }
    }
}

/// Parameters of blocks with predecessors that all give the same value.
fn trivial_params(func: &Function) -> usize {
    let dominators = Dominators::of(func);
    let mut sources: HashMap<Value, HashSet<Value>> = HashMap::new();
    for &block in func.layout() {
        func.for_each_edge(func.terminator(block).unwrap(), |edge| {
            let to = func.block_call(edge).block;
            for (param, arg) in func.block_params(to).zip(func.block_call_args(edge)) {
                let sources = sources.entry(param).or_default();
                if arg != param && dominators.is_reachable(to) {
                    sources.insert(arg);
                }
            }
        });
    }
    sources.values().filter(|s| s.len() == 1).count()
}

/// Builds and compares with the program; the number of runs that returned.
fn check(program: &Program, rng: &mut Rng, ctx: &mut BuilderContext, seed: u64) -> usize {
    let func = program.build(rng, ctx);
    assert_eq!(verify(&func), Ok(()), "seed {seed}: {func}");
    assert_eq!(trivial_params(&func), 0, "seed {seed}: {func}");
    let mut returned = 0;
    for args in [[0, 0], [1, 0], [-1, 3]] {
        let want = program.run(args);
        if want != Outcome::OutOfFuel {
            returned += 1;
            let got = interpret(&func, &args, 10_000);
            assert_eq!(got, want, "seed {seed}: {program:#?}");
        }
    }
    returned
}

#[test]
fn random_graphs_mean_the_same() {
    let mut ctx = BuilderContext::new();
    let returned: usize = (0..10_000)
        .map(|seed| {
            let mut rng = Rng(seed);
            let program = Program::random(&mut rng);
            check(&program, &mut rng, &mut ctx, seed)
        })
        .sum();
    assert!(returned > 10_000, "{returned} runs returned");
}

#[test]
fn random_nested_code_means_the_same() {
    let mut ctx = BuilderContext::new();
    let returned: usize = (0..10_000)
        .map(|seed| {
            let mut rng = Rng(seed);
            let program = Program::structured(&mut rng);
            check(&program, &mut rng, &mut ctx, seed)
        })
        .sum();
    assert!(returned > 10_000, "{returned} runs returned");
}
