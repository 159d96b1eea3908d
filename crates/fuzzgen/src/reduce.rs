//! Making a failing module smaller: leave out instructions, edges and parameters as long as it
//! still fails.

use nopal_ir::{
    Block, BlockCall, EntityRef, Function, Inst, InstData, JumpTableData, Opcode, SourceLoc, Type,
    Value,
};

/// The location of instructions that are never left out, as the program would mean nothing
/// without them.
pub const KEEP: u32 = 0xffff;

/// What to leave out of a function.
#[derive(Clone, Default)]
struct Cut {
    /// Instructions whose results become zero.
    insts: Vec<Inst>,
    /// Branches that become a jump along one of their edges.
    jumps: Vec<(Inst, BlockCall)>,
    /// Parameters that become zero.
    params: Vec<(Block, usize)>,
}

/// The smallest variant of `funcs` found for which `fails` holds. If it is to be run, instructions
/// at [`KEEP`] are kept.
pub fn reduce(
    funcs: &[Function],
    runs: bool,
    mut fails: impl FnMut(&[Function]) -> bool,
) -> Vec<Function> {
    let mut best = funcs.to_vec();
    for _ in 0..20 {
        let before = size(&best);
        for i in 0..best.len() {
            reduce_function(&mut best, i, runs, &mut fails);
        }
        if size(&best) == before {
            break;
        }
    }
    best
}

fn size(funcs: &[Function]) -> usize {
    funcs
        .iter()
        .map(|f| f.num_insts() + f.num_values() + f.num_blocks())
        .sum()
}

/// Try to apply `cut`; keep it if the module still fails.
fn attempt(
    best: &mut Vec<Function>,
    i: usize,
    cut: &Cut,
    fails: &mut impl FnMut(&[Function]) -> bool,
) -> bool {
    let mut next = best.clone();
    next[i] = rebuild(&best[i], cut);
    if size(&next) < size(best) && fails(&next) {
        *best = next;
        return true;
    }
    false
}

fn reduce_function(
    best: &mut Vec<Function>,
    i: usize,
    runs: bool,
    fails: &mut impl FnMut(&[Function]) -> bool,
) {
    // Branches first: whole parts of the function go away with them.
    let mut n = 0;
    loop {
        let func = &best[i];
        let candidates: Vec<(Inst, BlockCall)> = (func.layout().iter())
            .filter_map(|&b| func.terminator(b))
            .flat_map(|t| edges(func, t).into_iter().map(move |e| (t, e)))
            .filter(|&(t, _)| func.opcode(t) != Opcode::Jump)
            .collect();
        let Some(&candidate) = candidates.get(n) else {
            break;
        };
        let cut = Cut {
            jumps: vec![candidate],
            ..Cut::default()
        };
        if !attempt(best, i, &cut, fails) {
            n += 1;
        }
    }
    // Instructions, in runs of halving length, from the end.
    let mut run = best[i].num_insts().next_power_of_two();
    while run > 0 {
        let mut last = best[i].num_insts();
        while last > 0 {
            let end = last;
            let start = end.saturating_sub(run);
            let best_func = &best[i];
            let cut = Cut {
                insts: (start..end)
                    .map(Inst::new)
                    .filter(|&n| !runs || best_func.srcloc(n).bits() != KEEP)
                    .collect(),
                ..Cut::default()
            };
            attempt(best, i, &cut, fails);
            // Dead code has gone with what was left out.
            last = start.min(best[i].num_insts());
        }
        run /= 2;
    }
    let mut n = 0;
    loop {
        let func = &best[i];
        let entry = func.layout()[0];
        let candidate = (func.layout().iter())
            .filter(|&&b| b != entry)
            .flat_map(|&b| (0..func.block_params(b).len()).map(move |k| (b, k)))
            .nth(n);
        let Some(candidate) = candidate else {
            break;
        };
        let cut = Cut {
            params: vec![candidate],
            ..Cut::default()
        };
        if !attempt(best, i, &cut, fails) {
            n += 1;
        }
    }
}

fn edges(func: &Function, inst: Inst) -> Vec<BlockCall> {
    let mut out = Vec::new();
    func.for_each_edge(inst, |e| out.push(e));
    out
}

/// A copy of a function without what `cut` leaves out, and without what is then not reachable or
/// not used.
fn rebuild(func: &Function, cut: &Cut) -> Function {
    let jump_of = |inst: Inst| cut.jumps.iter().find(|j| j.0 == inst).map(|j| j.1);
    let out_edges = |inst: Inst| match jump_of(inst) {
        Some(edge) => vec![edge],
        None => edges(func, inst),
    };
    let mut reachable = vec![false; func.num_blocks()];
    let mut stack = vec![func.layout()[0]];
    while let Some(block) = stack.pop() {
        if !std::mem::replace(&mut reachable[block.index()], true) {
            let term = func.terminator(block).expect("a terminator");
            stack.extend(out_edges(term).iter().map(|&e| func.block_call(e).block));
        }
    }
    let used = uses(func, &reachable, &jump_of);
    let mut copy = Copy {
        func,
        cut,
        out: Function::new(func.name.clone(), func.signature.clone()),
        map: vec![None; func.num_values()],
        used,
    };
    copy.preamble();
    // Numbers of values are known before any is made, as uses may come before definitions.
    let blocks: Vec<Block> = (func.layout().iter().copied())
        .filter(|b| reachable[b.index()])
        .collect();
    copy.number(&blocks);
    for &block in &blocks {
        copy.block(block, jump_of);
    }
    copy.out
}

fn uses(
    func: &Function,
    reachable: &[bool],
    jump_of: &impl Fn(Inst) -> Option<BlockCall>,
) -> Vec<bool> {
    let mut used = vec![false; func.num_values()];
    for &block in func.layout().iter().filter(|b| reachable[b.index()]) {
        for inst in func.block_insts(block) {
            match jump_of(inst) {
                Some(edge) => func
                    .block_call_args(edge)
                    .for_each(|v| used[v.index()] = true),
                None => func.for_each_operand(inst, |v| used[func.resolve(v).index()] = true),
            }
        }
    }
    used
}

struct Copy<'a> {
    func: &'a Function,
    cut: &'a Cut,
    out: Function,
    map: Vec<Option<Value>>,
    used: Vec<bool>,
}

impl Copy<'_> {
    fn preamble(&mut self) {
        for sig in self.func.sigs() {
            self.out.import_signature(sig.clone());
        }
        for ext in self.func.ext_funcs() {
            self.out.import_function(ext.clone());
        }
        for &slot in self.func.stack_slots() {
            self.out.create_stack_slot(slot);
        }
        for n in 0..self.func.num_blocks() {
            self.out.create_block();
            if self.func.block(Block::new(n)).cold {
                self.out.set_cold(Block::new(n));
            }
        }
    }

    fn keeps_param(&self, block: Block, num: usize) -> bool {
        !self.cut.params.contains(&(block, num))
    }

    /// Whether an instruction is copied; if not, its used results become zero.
    fn keeps(&self, inst: Inst) -> bool {
        let opcode = self.func.opcode(inst);
        let types = |v| self.func.value_type(v);
        // There is no constant of the type.
        let wide = || self.func.inst_results(inst).any(|v| types(v) == Type::I128);
        opcode.is_terminator() || !self.cut.insts.contains(&inst) || wide()
    }

    fn is_dead(&self, inst: Inst) -> bool {
        let opcode = self.func.opcode(inst);
        !opcode.has_side_effect() && self.func.inst_results(inst).all(|v| !self.used[v.index()])
    }

    fn number(&mut self, blocks: &[Block]) {
        let mut next = 0;
        let mut number = |map: &mut Vec<Option<Value>>, v: Value| {
            map[v.index()] = Some(Value::new(next));
            next += 1;
        };
        for &block in blocks {
            for (num, p) in self.func.block_params(block).enumerate() {
                if self.keeps_param(block, num) {
                    number(&mut self.map, p);
                }
            }
        }
        for &block in blocks {
            for (num, p) in self.func.block_params(block).enumerate() {
                if !self.keeps_param(block, num) {
                    number(&mut self.map, p);
                }
            }
            for inst in self.func.block_insts(block) {
                if self.is_dead(inst) {
                    continue;
                }
                let keeps = self.keeps(inst);
                for v in self.func.inst_results(inst) {
                    if keeps || self.used[v.index()] {
                        number(&mut self.map, v);
                    }
                }
            }
        }
        for &block in blocks {
            for (num, p) in self.func.block_params(block).enumerate() {
                if self.keeps_param(block, num) {
                    let ty = self.func.value_type(p);
                    let v = self.out.append_block_param(block, ty);
                    assert_eq!(self.map[p.index()], Some(v));
                }
            }
        }
    }

    fn zero(&mut self, v: Value) {
        let ty = self.func.value_type(v);
        let data = match ty {
            Type::F32 => InstData::UnaryIeee32 {
                opcode: Opcode::F32const,
                bits: 0,
            },
            Type::F64 => InstData::UnaryIeee64 {
                opcode: Opcode::F64const,
                bits: 0,
            },
            _ => InstData::UnaryImm {
                opcode: Opcode::Iconst,
                imm: 0,
            },
        };
        let inst = self.out.push_inst_with_results(data, ty, SourceLoc::NONE);
        assert_eq!(self.map[v.index()], Some(self.out.first_result(inst)));
    }

    fn block(&mut self, block: Block, jump_of: impl Fn(Inst) -> Option<BlockCall>) {
        let func = self.func;
        self.out.begin_block(block);
        for (num, p) in func.block_params(block).enumerate() {
            if !self.keeps_param(block, num) {
                self.zero(p);
            }
        }
        for inst in func.block_insts(block) {
            if self.is_dead(inst) {
                continue;
            }
            if !self.keeps(inst) {
                for v in func.inst_results(inst) {
                    if self.used[v.index()] {
                        self.zero(v);
                    }
                }
                continue;
            }
            let data = match jump_of(inst) {
                Some(edge) => InstData::Jump {
                    opcode: Opcode::Jump,
                    dest: self.edge(edge),
                },
                None => self.data(*func.inst(inst)),
            };
            // Operands may be defined later in the layout, so their types are not known here.
            let copy = self.out.push_inst(data, func.srcloc(inst));
            for v in func.inst_results(inst) {
                self.out.push_result(copy, func.value_type(v));
            }
        }
    }

    fn value(&self, v: Value) -> Value {
        self.map[self.func.resolve(v).index()].expect("an operand is defined")
    }

    fn edge(&mut self, edge: BlockCall) -> BlockCall {
        let to = self.func.block_call(edge).block;
        let args: Vec<Value> = (self.func.block_call_args(edge).enumerate())
            .filter(|&(num, _)| self.keeps_param(to, num))
            .map(|(_, v)| self.value(v))
            .collect();
        self.out.create_block_call(to, &args)
    }

    fn list(&mut self, list: nopal_ir::ValueList) -> nopal_ir::ValueList {
        let values: Vec<Value> = self.func.lists.iter(list).map(|v| self.value(v)).collect();
        self.out.lists.list(&values)
    }

    /// The instruction with its operands renamed.
    fn data(&mut self, mut data: InstData) -> InstData {
        match &mut data {
            InstData::NullAry { .. }
            | InstData::UnaryImm { .. }
            | InstData::UnaryIeee32 { .. }
            | InstData::UnaryIeee64 { .. }
            | InstData::StackAddr { .. }
            | InstData::FuncAddr { .. }
            | InstData::Trap { .. } => {}
            InstData::Unary { arg, .. }
            | InstData::Load { arg, .. }
            | InstData::LoadNoOffset { arg, .. }
            | InstData::CondTrap { arg, .. } => *arg = self.value(*arg),
            InstData::Binary { args, .. }
            | InstData::IntCompare { args, .. }
            | InstData::FloatCompare { args, .. }
            | InstData::IntAddTrap { args, .. }
            | InstData::Store { args, .. }
            | InstData::StoreNoOffset { args, .. }
            | InstData::AtomicRmw { args, .. } => *args = args.map(|v| self.value(v)),
            InstData::Ternary { args, .. } | InstData::AtomicCas { args, .. } => {
                *args = args.map(|v| self.value(v))
            }
            InstData::Jump { dest, .. } => *dest = self.edge(*dest),
            InstData::Brif { arg, dests, .. } => {
                *arg = self.value(*arg);
                *dests = dests.map(|d| self.edge(d));
            }
            InstData::BranchTable { arg, table, .. } => {
                *arg = self.value(*arg);
                let old = self.func.jump_table(*table);
                let default = self.edge(old.default);
                let edges = old.table.iter().map(|&e| self.edge(e)).collect();
                *table = self.out.create_jump_table(JumpTableData {
                    default,
                    table: edges,
                });
            }
            InstData::Call { args, attrs, .. } => {
                *args = self.list(*args);
                if let Some(attr) = attrs.expand() {
                    let attr = self.func.site_attr(attr);
                    let observe: Vec<Value> = (self.func.lists.iter(attr.observe))
                        .map(|v| self.value(v))
                        .collect();
                    *attrs = self.out.create_site_attr(attr.site, &observe).into();
                }
            }
            InstData::CallIndirect { args, .. } | InstData::MultiAry { args, .. } => {
                *args = self.list(*args);
            }
            #[allow(unreachable_patterns, reason = "the instruction set grows")]
            _ => unreachable!("{} is not generated", data.opcode()),
        }
        data
    }
}
