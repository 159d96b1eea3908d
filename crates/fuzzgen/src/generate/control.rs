//! Control flow.

use super::{Body, Loop};
use nopal_ir::{Block, TrapCode, Type, Value};

impl Body<'_, '_> {
    pub(super) fn control(&mut self) {
        self.depth += 1;
        match self.rng.below(12) {
            0..=3 => self.diamond(),
            4 | 5 => self.triangle(),
            6 => self.switch(),
            7 if !self.loops.is_empty() => self.leave_loop(),
            8 if self.rng.chance(30) => self.early_end(),
            9 => self.same_target(),
            _ if self.loops.len() < 3 => self.a_loop(),
            _ => self.diamond(),
        }
        self.depth -= 1;
    }

    fn types(&mut self, most: usize) -> Vec<Type> {
        (0..self.rng.below(most + 1))
            .map(|_| self.any_type())
            .collect()
    }

    fn block_with(&mut self, types: &[Type]) -> Block {
        let block = self.b.create_block();
        for &ty in types {
            self.b.append_block_param(block, ty);
        }
        if self.rng.chance(5) {
            self.b.func.set_cold(block);
        }
        block
    }

    fn values(&mut self, types: &[Type]) -> Vec<Value> {
        types.iter().map(|&ty| self.value(ty)).collect()
    }

    /// Go on in a block; its parameters become available.
    fn enter(&mut self, block: Block) {
        self.b.switch_to_block(block);
        let params: Vec<Value> = self.b.block_params(block).collect();
        for p in params {
            self.push(p);
        }
    }

    fn diamond(&mut self) {
        let types = self.types(3);
        let merge = self.block_with(&types);
        let arms = [0, 1].map(|_| {
            let most = self.rng.pick(&[0, 0, 2]);
            self.types(most)
        });
        let blocks = [self.block_with(&arms[0]), self.block_with(&arms[1])];
        let args = [self.values(&arms[0]), self.values(&arms[1])];
        let cond = self.condition();
        self.b.brif(cond, blocks[0], &args[0], blocks[1], &args[1]);
        for block in blocks {
            let marks = self.marks();
            self.enter(block);
            let n = self.rng.below(6);
            self.some_statements(n);
            let args = self.values(&types);
            self.b.jump(merge, &args);
            self.forget(marks);
        }
        self.enter(merge);
    }

    /// A conditional part; one edge is critical.
    fn triangle(&mut self) {
        let types = self.types(4);
        let merge = self.block_with(&types);
        let part = self.block_with(&[]);
        let skip = self.values(&types);
        let cond = self.condition();
        if self.rng.chance(50) {
            self.b.brif(cond, part, &[], merge, &skip);
        } else {
            self.b.brif(cond, merge, &skip, part, &[]);
        }
        let marks = self.marks();
        self.enter(part);
        let n = self.rng.below(6);
        self.some_statements(n);
        let args = self.values(&types);
        self.b.jump(merge, &args);
        self.forget(marks);
        self.enter(merge);
    }

    /// Both edges lead to the same block.
    fn same_target(&mut self) {
        let types = self.types(4);
        let merge = self.block_with(&types);
        let args = [self.values(&types), self.values(&types)];
        let cond = self.condition();
        self.b.brif(cond, merge, &args[0], merge, &args[1]);
        self.enter(merge);
    }

    fn switch(&mut self) {
        let types = self.types(3);
        let merge = self.block_with(&types);
        let arms: Vec<(Block, Vec<Type>)> = (0..1 + self.rng.below(4))
            .map(|_| {
                let types = self.types(2);
                (self.block_with(&types), types)
            })
            .collect();
        let mut targets: Vec<(Block, Vec<Value>)> = Vec::new();
        for _ in 0..1 + self.rng.below(9) {
            if self.rng.chance(20) {
                let args = self.values(&types);
                targets.push((merge, args));
            } else {
                let (block, types) = self.rng.pick(&arms.iter().collect::<Vec<_>>());
                let args = self.values(types);
                targets.push((*block, args));
            }
        }
        // Every arm is reachable.
        for (block, types) in &arms {
            if !targets.iter().any(|t| t.0 == *block) {
                let args = self.values(types);
                targets.push((*block, args));
            }
        }
        let index = self.value(Type::I32);
        let index = if self.rng.chance(80) {
            let mask = self.b.iconst(Type::I32, 15);
            self.b.band(index, mask)
        } else {
            index
        };
        let default = self.rng.below(targets.len());
        let refs: Vec<(Block, &[Value])> = targets
            .iter()
            .map(|(block, args)| (*block, &args[..]))
            .collect();
        let table: Vec<_> = if self.rng.chance(10) {
            Vec::new()
        } else {
            refs.clone()
        };
        if table.is_empty() {
            // Arms without an edge would not be reachable.
            let (block, args) = refs[default];
            self.b.br_table(index, (block, args), &[]);
        } else {
            self.b.br_table(index, refs[default], &table);
        }
        for (block, _) in &arms {
            let marks = self.marks();
            self.enter(*block);
            let n = self.rng.below(5);
            self.some_statements(n);
            let args = self.values(&types);
            self.b.jump(merge, &args);
            self.forget(marks);
        }
        self.enter(merge);
    }

    /// A conditional part that does not come back.
    fn early_end(&mut self) {
        let part = self.block_with(&[]);
        let rest = self.block_with(&[]);
        let cond = self.condition();
        self.b.brif(cond, part, &[], rest, &[]);
        let marks = self.marks();
        self.enter(part);
        let n = self.rng.below(4);
        self.some_statements(n);
        if self.rng.chance(20) {
            let code = TrapCode::user(33).expect("a code for users");
            self.b.trap(code);
        } else {
            self.return_here();
        }
        self.forget(marks);
        self.enter(rest);
    }

    fn a_loop(&mut self) {
        let count_type = self.rng.pick(&[Type::I32, Type::I64]);
        let mut header_types = self.types(4);
        header_types.insert(0, count_type);
        let exit_types = self.types(3);
        let header = self.block_with(&header_types);
        let exit = self.block_with(&exit_types);
        let mut args = self.values(&header_types[1..]);
        let trips = self.b.iconst(count_type, 1 + self.rng.below(5) as i64);
        args.insert(0, trips);
        self.b.jump(header, &args);
        self.enter(header);
        let counter = self.b.block_param(header, 0);
        self.loops.push(Loop {
            header,
            exit,
            header_types,
            exit_types,
            counter,
            at_exit: [usize::MAX; 6],
        });
        if self.rng.chance(40) {
            self.top_tested();
        } else {
            self.bottom_tested();
        }
        let l = self.loops.pop().expect("the loop just pushed");
        self.forget(l.at_exit);
        self.enter(exit);
    }

    fn note_exit(&mut self, at: usize) {
        let marks = self.marks();
        for (a, &n) in self.loops[at].at_exit.iter_mut().zip(&marks) {
            *a = n.min(*a);
        }
    }

    /// Test at the top, body, unconditional jump back.
    fn top_tested(&mut self) {
        let at = self.loops.len() - 1;
        let n = self.rng.below(3);
        self.some_statements(n);
        let body = self.block_with(&[]);
        let exit_types = self.loops[at].exit_types.clone();
        let args = self.values(&exit_types);
        self.note_exit(at);
        let (exit, counter) = (self.loops[at].exit, self.loops[at].counter);
        self.b.brif(counter, body, &[], exit, &args);
        self.enter(body);
        let n = self.rng.below(8);
        self.some_statements(n);
        let args = self.back_args(at);
        let header = self.loops[at].header;
        self.b.jump(header, &args);
    }

    /// Body, then a test that leads back.
    fn bottom_tested(&mut self) {
        let at = self.loops.len() - 1;
        let n = self.rng.below(8);
        self.some_statements(n);
        let back = self.back_args(at);
        let exit_types = self.loops[at].exit_types.clone();
        let out = self.values(&exit_types);
        self.note_exit(at);
        let (header, exit) = (self.loops[at].header, self.loops[at].exit);
        // The counter runs from its start to 1.
        match self.rng.below(3) {
            0 => self.b.brif(back[0], header, &back, exit, &out),
            1 => {
                let ty = self.loops[at].header_types[0];
                let zero = self.b.iconst(ty, 0);
                let done = self.b.icmp(nopal_ir::IntCC::Equal, back[0], zero);
                self.b.brif(done, exit, &out, header, &back)
            }
            _ => {
                let ty = self.loops[at].header_types[0];
                let zero = self.b.iconst(ty, 0);
                let more = self
                    .b
                    .icmp(nopal_ir::IntCC::SignedGreaterThan, back[0], zero);
                self.b.brif(more, header, &back, exit, &out)
            }
        };
    }

    /// Arguments of an edge back to the header: the counter less 1, and often the header's own
    /// parameters in another order.
    fn back_args(&mut self, at: usize) -> Vec<Value> {
        let types = self.loops[at].header_types.clone();
        let (header, counter) = (self.loops[at].header, self.loops[at].counter);
        let step = self.b.iconst(types[0], -1);
        let mut args = vec![self.b.iadd(counter, step)];
        let own: Vec<Value> = self.b.block_params(header).skip(1).collect();
        let rotate = self.rng.chance(50);
        for (i, &ty) in types[1..].iter().enumerate() {
            let rotated = (1..=own.len())
                .map(|k| own[(i + k) % own.len()])
                .find(|&v| self.b.func.value_type(v) == ty);
            match rotated {
                Some(v) if rotate => args.push(v),
                _ if self.rng.chance(20) => args.push(own[i]),
                _ => {
                    let v = self.value(ty);
                    args.push(v);
                }
            }
        }
        args
    }

    /// A conditional edge to the exit or the header of a loop around this point.
    fn leave_loop(&mut self) {
        let at = self.loops.len() - 1 - self.rng.below(self.loops.len().min(2));
        let rest = self.block_with(&[]);
        let (target, args) = if self.rng.chance(60) {
            let types = self.loops[at].exit_types.clone();
            let args = self.values(&types);
            self.note_exit(at);
            (self.loops[at].exit, args)
        } else {
            self.again(at)
        };
        let cond = self.condition();
        if self.rng.chance(50) {
            self.b.brif(cond, target, &args, rest, &[]);
        } else {
            self.b.brif(cond, rest, &[], target, &args);
        }
        self.enter(rest);
    }

    /// The next trip of a loop, entered early. Its counter must not pass zero.
    fn again(&mut self, at: usize) -> (Block, Vec<Value>) {
        let args = self.back_args(at);
        let ty = self.loops[at].header_types[0];
        let zero = self.b.iconst(ty, 0);
        let cond = self
            .b
            .icmp(nopal_ir::IntCC::SignedLessThanOrEqual, args[0], zero);
        let types = self.loops[at].exit_types.clone();
        let out = self.values(&types);
        self.note_exit(at);
        let more = self.block_with(&[]);
        let exit = self.loops[at].exit;
        self.b.brif(cond, exit, &out, more, &[]);
        self.enter(more);
        (self.loops[at].header, args)
    }

    /// Blocks connected at random; a variable counts the steps.
    pub(super) fn tangle(&mut self) {
        let fuel = self.b.declare_var(Type::I32);
        let steps = self.b.iconst(Type::I32, 5 + self.rng.below(30) as i64);
        self.b.def_var(fuel, steps);
        let n = 2 + self.rng.below(8);
        let blocks: Vec<(Block, Vec<Type>)> = (0..n)
            .map(|_| {
                let most = self.rng.pick(&[0, 0, 3]);
                let types = self.types(most);
                (self.block_with(&types), types)
            })
            .collect();
        let end = self.block_with(&[]);
        self.random_branch(&blocks);
        let mut order: Vec<usize> = (0..n).collect();
        if self.rng.chance(50) {
            for i in (1..n).rev() {
                order.swap(i, self.rng.below(i + 1));
            }
        }
        let each = (self.budget.max(0) as usize).div_ceil(n);
        for i in order {
            let marks = self.marks();
            self.enter(blocks[i].0);
            let left = self.b.use_var(fuel);
            let step = self.b.iconst(Type::I32, -1);
            let left = self.b.iadd(left, step);
            self.b.def_var(fuel, left);
            let body = self.block_with(&[]);
            self.b.brif(left, body, &[], end, &[]);
            self.enter(body);
            let count = self.rng.below(2 * each + 1);
            self.some_statements(count);
            self.random_branch(&blocks);
            self.forget(marks);
        }
        self.enter(end);
        self.budget = 0;
    }

    fn random_branch(&mut self, blocks: &[(Block, Vec<Type>)]) {
        let mut targets: Vec<(Block, Vec<Value>)> = Vec::new();
        for _ in 0..5 {
            let n = self.rng.below(blocks.len());
            let args = self.values(&blocks[n].1);
            targets.push((blocks[n].0, args));
        }
        match self.rng.below(5) {
            0 => self.b.jump(targets[0].0, &targets[0].1),
            1 => {
                let index = self.value(Type::I32);
                let mask = self.b.iconst(Type::I32, 7);
                let index = self.b.band(index, mask);
                let refs: Vec<(Block, &[Value])> = targets
                    .iter()
                    .map(|(block, args)| (*block, &args[..]))
                    .collect();
                self.b.br_table(index, refs[0], &refs[1..])
            }
            _ => {
                let cond = self.condition();
                let [(a, x), (b, y), ..] = &targets[..] else {
                    unreachable!("there are five targets")
                };
                self.b.brif(cond, *a, x, *b, y)
            }
        };
    }
}
