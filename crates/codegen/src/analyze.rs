//! The linear pass before selection: block order, loops, uses and extents of values.
//!
//! Blocks are walked in an order in which every block but the entry has a predecessor before it;
//! so each value's definition precedes its uses. The order the front end filled the blocks in is
//! kept if it is such an order, else reverse postorder is taken. A *loop* here is the stretch of
//! blocks from the target of a backward edge to the last source of one; stretches that overlap
//! are merged, so that loops nest. On reducible control flow laid out with contiguous loops these
//! are the natural loops; on other graphs they cover more blocks, never fewer.

use crate::selected::reserve;
use core::ops::Range;
use nopal_ir::{
    Block, BlockCall, EntityRef, Function, Inst, InstData, Opcode, Type, Value, ValueDef,
};

/// No loop.
pub(crate) const NO_LOOP: u32 = u32::MAX;
/// No position: the block is not reachable.
pub(crate) const NO_POS: u32 = u32::MAX;
/// How many exits of a loop are remembered.
const MAX_EXITS: u32 = 8;
/// Program points from one entry of [`Analysis::calls_before`] to the next.
const CALLS_STEP: u32 = 32;

/// What is known about a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct ValueInfo {
    /// Number of uses, edge arguments and observations included.
    pub(crate) uses: u32,
    /// Uses weighted by loop depth.
    pub(crate) weight: u32,
    /// Program point of the definition.
    pub(crate) def: u32,
    /// Last program point at which the value is live; a loop that it is live through counts whole.
    pub(crate) end: u32,
}

impl ValueInfo {
    fn defined_at(point: u32) -> Self {
        ValueInfo {
            def: point,
            ..Default::default()
        }
    }
}

/// A loop: a stretch of blocks in the order of [`Analysis::order`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loop {
    /// Position of the header.
    pub(crate) first: u32,
    /// One past the position of the last block.
    pub(crate) end: u32,
    /// The innermost other stretch around this one.
    outer: u32,
    /// The innermost natural loop around this one.
    pub(crate) parent: u32,
    /// Number of natural loops around and including this one.
    pub(crate) depth: u32,
    /// Program point at which it starts.
    pub(crate) first_point: u32,
    /// Program point at which it ends.
    pub(crate) end_point: u32,
    /// Whether it holds a call that does not preserve all registers.
    pub(crate) has_call: bool,
    /// Where its uses of outer values begin and end in [`Analysis::outer_uses`].
    pub(crate) outer_uses: (u32, u32),
    /// Blocks outside that are reached from inside: the first few, in [`Analysis::exits`].
    pub(crate) num_exits: u32,
}

/// An edge out of a block.
#[derive(Clone, Copy)]
pub(crate) struct Succ {
    /// Position of the block it leads to.
    pub(crate) to: u32,
    pub(crate) edge: BlockCall,
}

/// Facts about a function, and the memory to hold them.
#[derive(Default)]
pub(crate) struct Analysis {
    /// Reachable blocks in the order in which they are laid out.
    pub(crate) order: Vec<Block>,
    /// Position of each block in `order`, or [`NO_POS`].
    pub(crate) pos: Vec<u32>,
    /// The edges out of the block at each position, in operand order: those of one position after those of
    /// the one before.
    pub(crate) succs: Vec<Succ>,
    /// Where in `succs` the edges of each position begin, and at the end where the last ones end.
    first_succ: Vec<u32>,
    /// Innermost natural loop of each position, or [`NO_LOOP`]: blocks on a stretch from which its
    /// header cannot be reached again do not count.
    pub(crate) loop_of: Vec<u32>,
    /// Innermost stretch that covers each position.
    stretch_of: Vec<u32>,
    /// Loops in order of their headers: outer before inner.
    pub(crate) loops: Vec<Loop>,
    /// Facts about each value.
    pub(crate) values: Vec<ValueInfo>,
    /// The value that holds the same bits in a register: the value itself unless it is an alias
    /// or an extension or reduction that needs no instruction.
    pub(crate) repr: Vec<Value>,
    /// The values that are constants.
    pub(crate) constants: Vec<Value>,
    /// The first result of each call without handlers that has one.
    pub(crate) call_results: Vec<Value>,
    /// Number of memory effects before each instruction, wrapping; only compared within a block.
    pub(crate) color: Vec<u32>,
    /// For each loop, the values used in it and defined before it, with the weight of their uses: one
    /// for each, and eight times as much for each loop in between.
    pub(crate) outer_uses: Vec<(Value, u32)>,
    /// The same for the loops that have not ended yet.
    open_uses: Vec<(Value, u32)>,
    /// For each value, its place in the list that is being made, from 1; 0 outside of that.
    use_marks: Vec<u32>,
    /// Program points of the calls that clobber registers, ascending.
    pub(crate) calls: Vec<u32>,
    /// How many of them come before each program point that is a multiple of [`CALLS_STEP`].
    calls_before: Vec<u32>,
    /// Up to [`MAX_EXITS`] exit targets for each loop.
    exits: Vec<Block>,
    /// Program point of the start of each position.
    points: Vec<u32>,
    /// For each position, the program point of the first terminator that leads to it.
    first_pred: Vec<u32>,
    stack: Vec<(u32, u32)>,
    marks: Vec<u32>,
}

impl Analysis {
    /// Analyse `func`.
    pub(crate) fn run(&mut self, func: &Function) {
        self.find_order(func);
        self.find_loops(func);
        self.scan_values(func);
    }

    /// Find the order of the blocks.
    pub(crate) fn find_order(&mut self, func: &Function) {
        if !self.order_as_filled(func) {
            self.reverse_postorder(func);
        }
        self.first_succ.push(self.succs.len() as u32);
        for succ in &mut self.succs {
            succ.to = self.pos[succ.to as usize];
        }
    }

    /// Append a block to the order, with the edges out of it. These lead to blocks, not to positions, until
    /// all have one.
    fn append(&mut self, func: &Function, block: Block) {
        self.pos[block.index()] = self.order.len() as u32;
        self.order.push(block);
        self.first_succ.push(self.succs.len() as u32);
        let term = func
            .terminator(block)
            .expect("a block ends with a terminator");
        func.for_each_edge(term, |edge| {
            let to = func.block_call(edge).block.as_u32();
            reserve(&mut self.succs, 1);
            self.succs.push(Succ { to, edge });
        });
    }

    /// The edges out of the block at a position are these in [`Analysis::succs`].
    #[inline]
    pub(crate) fn succs_of(&self, pos: usize) -> Range<usize> {
        self.first_succ[pos] as usize..self.first_succ[pos + 1] as usize
    }

    /// Begin an order of at most `blocks` blocks.
    fn clear_order(&mut self, blocks: usize) {
        self.order.clear();
        self.order.reserve_exact(blocks);
        self.succs.clear();
        self.first_succ.clear();
        self.first_succ.reserve_exact(blocks + 1);
    }

    /// Keep the order of the front end. False if some block has no predecessor before it.
    fn order_as_filled(&mut self, func: &Function) -> bool {
        const REACHED: u32 = u32::MAX - 1;
        self.clear_order(func.layout().len());
        self.pos.clear();
        self.pos.resize(func.num_blocks(), NO_POS);
        let Some(&entry) = func.layout().first() else {
            return true;
        };
        self.pos[entry.index()] = REACHED;
        for &block in func.layout() {
            if self.pos[block.index()] != REACHED {
                continue;
            }
            let first = self.succs.len();
            self.append(func, block);
            for succ in &self.succs[first..] {
                let at = &mut self.pos[succ.to as usize];
                if *at == NO_POS {
                    *at = REACHED;
                }
            }
        }
        // A block that was reached only after its turn in the layout has no position yet.
        self.pos.iter().all(|&p| p != REACHED)
    }

    fn reverse_postorder(&mut self, func: &Function) {
        const VISITED: u32 = u32::MAX - 1;
        self.clear_order(func.layout().len());
        self.pos.fill(NO_POS);
        let mut postorder = Vec::new();
        self.stack.clear();
        let entry = func.layout()[0];
        self.pos[entry.index()] = VISITED;
        self.stack.push((entry.as_u32(), 0));
        while let Some(&mut (block, ref mut next)) = self.stack.last_mut() {
            let block = Block::from_u32(block);
            let term = func
                .terminator(block)
                .expect("a block ends with a terminator");
            let mut at = 0;
            let mut succ = None;
            func.for_each_edge(term, |edge| {
                let to = func.block_call(edge).block;
                if succ.is_none() && at >= *next && self.pos[to.index()] == NO_POS {
                    succ = Some((to, at + 1));
                }
                at += 1;
            });
            match succ {
                Some((to, resume)) => {
                    *next = resume;
                    self.pos[to.index()] = VISITED;
                    self.stack.push((to.as_u32(), 0));
                }
                None => {
                    self.stack.pop();
                    postorder.push(block);
                }
            }
        }
        for block in postorder.into_iter().rev() {
            self.append(func, block);
        }
    }

    /// Find the stretches spanned by backward edges, make them nest, and number them.
    fn find_loops(&mut self, func: &Function) {
        let n = self.order.len();
        self.points.clear();
        // For each position, one past the last position of the loop it is the header of.
        self.marks.clear();
        self.marks.resize(n, 0);
        self.first_pred.clear();
        self.first_pred.resize(n, u32::MAX);
        let mut point = 0;
        for p in 0..n {
            let block = self.order[p];
            self.points.push(point);
            let data = func.block(block);
            point += data.end - data.first + 1;
            let term_point = point - 1;
            for succ in &self.succs[self.succs_of(p)] {
                let to = succ.to as usize;
                self.first_pred[to] = self.first_pred[to].min(term_point);
                if to <= p {
                    self.marks[to] = self.marks[to].max(p as u32 + 1);
                }
            }
        }
        self.points.push(point);
        self.nest_loops();
        self.number_loops();
        self.find_natural_loops();
        self.find_exits();
    }

    /// A stretch that begins inside another and ends after it lengthens that one.
    fn nest_loops(&mut self) {
        self.stack.clear();
        for p in 0..self.marks.len() as u32 {
            let end = self.marks[p as usize];
            while self.stack.last().is_some_and(|&(_, e)| e <= p) {
                self.stack.pop();
            }
            if end == 0 {
                continue;
            }
            for (first, e) in self.stack.iter_mut().rev() {
                if *e >= end {
                    break;
                }
                *e = end;
                self.marks[*first as usize] = end;
            }
            self.stack.push((p, end));
        }
    }

    fn number_loops(&mut self) {
        self.loops.clear();
        self.stretch_of.clear();
        let mut current = NO_LOOP;
        for p in 0..self.marks.len() as u32 {
            while current != NO_LOOP && self.loops[current as usize].end <= p {
                current = self.loops[current as usize].outer;
            }
            let end = self.marks[p as usize];
            if end != 0 {
                self.loops.push(Loop {
                    first: p,
                    end,
                    outer: current,
                    parent: NO_LOOP,
                    depth: 0,
                    first_point: self.points[p as usize],
                    end_point: self.points[end as usize],
                    has_call: false,
                    outer_uses: (0, 0),
                    num_exits: 0,
                });
                current = self.loops.len() as u32 - 1;
            }
            self.stretch_of.push(current);
        }
    }

    /// The deeper of two loops around the same block.
    fn inner(a: u32, b: u32) -> u32 {
        // Inner loops have higher numbers than those around them.
        match (a, b) {
            (NO_LOOP, l) | (l, NO_LOOP) => l,
            _ => a.max(b),
        }
    }

    /// Assign blocks to natural loops, from the last block to the first: a block is in a loop if
    /// one of its successors is, or is the header.
    fn find_natural_loops(&mut self) {
        self.loop_of.clear();
        self.loop_of.resize(self.order.len(), NO_LOOP);
        if self.loops.is_empty() {
            return;
        }
        for p in (0..self.order.len()).rev() {
            // A header is in the loop it heads.
            let own = self.stretch_of[p];
            let heads = own != NO_LOOP && self.loops[own as usize].first == p as u32;
            let mut inside = if heads { own } else { NO_LOOP };
            for succ in &self.succs[self.succs_of(p)] {
                inside = Self::inner(inside, self.seen_from(p as u32, succ.to));
            }
            for n in self.succs_of(p) {
                let seen = self.seen_from(p as u32, self.succs[n].to);
                let mut l = inside;
                // The edge leaves every loop it does not stay in; what it reaches is around them.
                while l != seen && l != NO_LOOP && (seen == NO_LOOP || l > seen) {
                    if seen != NO_LOOP {
                        let parent = self.loops[l as usize].parent;
                        self.loops[l as usize].parent = Self::inner(parent, seen);
                    }
                    l = self.loops[l as usize].outer;
                }
            }
            self.loop_of[p] = inside;
        }
        for l in 0..self.loops.len() {
            let parent = self.loops[l].parent;
            let around = if parent == NO_LOOP {
                0
            } else {
                self.loops[parent as usize].depth
            };
            self.loops[l].depth = around + 1;
        }
    }

    /// The loop that the block at `from` shares with its successor at `to`.
    fn seen_from(&self, from: u32, to: u32) -> u32 {
        let l = self.stretch_of[to as usize];
        if to <= from {
            return l;
        }
        // An edge may enter a loop anywhere; what it comes from is outside all the same.
        let mut l = self.loop_of[to as usize];
        while l != NO_LOOP && self.loops[l as usize].first > from {
            l = self.loops[l as usize].parent;
        }
        l
    }

    fn find_exits(&mut self) {
        self.exits.clear();
        self.exits
            .resize(self.loops.len() * MAX_EXITS as usize, Block::from_u32(0));
        if self.loops.is_empty() {
            return;
        }
        for p in 0..self.order.len() {
            if self.loop_of[p] == NO_LOOP {
                continue;
            }
            for n in self.succs_of(p) {
                let to = self.succs[n].to;
                let target = self.order[to as usize];
                let mut l = self.loop_of[p];
                while l != NO_LOOP {
                    if self.contains(l, to) {
                        break;
                    }
                    let info = &mut self.loops[l as usize];
                    let base = (l * MAX_EXITS) as usize;
                    let known = &self.exits[base..base + info.num_exits as usize];
                    if info.num_exits < MAX_EXITS && !known.contains(&target) {
                        self.exits[base + info.num_exits as usize] = target;
                        info.num_exits += 1;
                    }
                    l = info.parent;
                }
            }
        }
    }

    /// Whether the block at `pos` is in natural loop `l`.
    pub(crate) fn contains(&self, l: u32, pos: u32) -> bool {
        let mut inner = self.loop_of[pos as usize];
        while inner != NO_LOOP && inner > l {
            inner = self.loops[inner as usize].parent;
        }
        inner == l
    }

    /// The first few blocks that loop `l` exits to.
    pub(crate) fn exits(&self, l: u32) -> &[Block] {
        let base = (l * MAX_EXITS) as usize;
        &self.exits[base..base + self.loops[l as usize].num_exits as usize]
    }

    /// One walk over all instructions: uses, extents, effects, aliases, calls.
    fn scan_values(&mut self, func: &Function) {
        // Each entry is written where the value or the instruction is met, before it is read.
        make_room(&mut self.values, func.num_values());
        make_room(&mut self.color, func.num_insts());
        self.repr.clear();
        self.repr.extend((0..func.num_values()).map(Value::new));
        self.outer_uses.clear();
        self.open_uses.clear();
        if !self.loops.is_empty() {
            self.use_marks
                .resize(func.num_values().max(self.use_marks.len()), 0);
        }
        self.calls.clear();
        self.constants.clear();
        self.call_results.clear();
        let mut color = 0u32;
        let mut next_loop = 0;
        for p in 0..self.order.len() {
            let block = self.order[p];
            while self
                .loops
                .get(next_loop)
                .is_some_and(|l| l.first == p as u32)
            {
                self.loops[next_loop].outer_uses.0 = self.open_uses.len() as u32;
                next_loop += 1;
            }
            let mut point = self.points[p];
            for v in func.block_params(block) {
                self.values[v.index()] = ValueInfo::defined_at(point);
            }
            let loop_id = self.loop_of[p];
            for inst in func.block_insts(block) {
                point += 1;
                self.color[inst.index()] = color;
                if self.note_alias(func, inst) {
                    continue;
                }
                func.for_each_operand(inst, |v| self.note_use(func, v, point, p));
                let opcode = func.opcode(inst);
                if opcode.is_call() {
                    color = color.wrapping_add(1);
                    self.note_call_result(func, inst);
                    if clobbers_registers(func, inst) {
                        self.calls.push(point);
                        self.note_call(loop_id);
                    }
                } else if opcode.has_side_effect() {
                    color = color.wrapping_add(1);
                } else if let InstData::UnaryImm { .. }
                | InstData::UnaryIeee32 { .. }
                | InstData::UnaryIeee64 { .. } = func.inst(inst)
                {
                    reserve(&mut self.constants, 1);
                    self.constants.push(func.first_result(inst));
                }
                for v in func.inst_results(inst) {
                    self.values[v.index()] = ValueInfo::defined_at(point);
                }
            }
            let mut l = self.stretch_of[p];
            while l != NO_LOOP && self.loops[l as usize].end == p as u32 + 1 {
                self.close_uses(l);
                l = self.loops[l as usize].outer;
            }
        }
        self.count_calls();
    }

    /// Count the calls before every so many program points, as far as there are calls.
    fn count_calls(&mut self) {
        self.calls_before.clear();
        for (before, &point) in self.calls.iter().enumerate() {
            let steps = (point / CALLS_STEP) as usize + 1;
            if self.calls_before.len() < steps {
                self.calls_before.resize(steps, before as u32);
            }
        }
    }

    /// If `inst` needs no code, make its result stand for its operand.
    fn note_alias(&mut self, func: &Function, inst: Inst) -> bool {
        let InstData::Unary {
            opcode: opcode @ (Opcode::Uextend | Opcode::Ireduce),
            arg,
        } = *func.inst(inst)
        else {
            return false;
        };
        let result = func.first_result(inst);
        let (from, to) = (func.value_type(arg), func.value_type(result));
        let free = match opcode {
            // The upper half of a register that holds an `i32` is zero.
            Opcode::Uextend if from == Type::I32 => true,
            // A comparison's result is extended to the whole register.
            Opcode::Uextend => self.is_bool(func, arg),
            // The upper bits of narrower integers are undefined.
            Opcode::Ireduce => to != Type::I32 || self.is_bool(func, arg),
            _ => false,
        };
        if free {
            self.repr[result.index()] = self.resolve(func, arg);
            self.values[result.index()] = ValueInfo::default();
        }
        free
    }

    fn is_bool(&self, func: &Function, v: Value) -> bool {
        let v = self.resolve(func, v);
        matches!(func.value_def(v), ValueDef::Result(i, _)
            if matches!(func.opcode(i), Opcode::Icmp | Opcode::Fcmp))
    }

    #[inline]
    fn resolve(&self, func: &Function, v: Value) -> Value {
        let r = self.repr[v.index()];
        if r != v {
            return r;
        }
        match func.value_def(v) {
            ValueDef::Alias(_) => self.repr[func.resolve(v).index()],
            _ => v,
        }
    }

    #[inline]
    fn note_use(&mut self, func: &Function, v: Value, point: u32, pos: usize) {
        let r = self.resolve(func, v);
        if r != v {
            self.repr[v.index()] = r;
        }
        let info = &mut self.values[r.index()];
        info.uses += 1;
        info.end = info.end.max(point);
        let mut around = self.stretch_of[pos];
        if around == NO_LOOP {
            info.weight = info.weight.saturating_add(1);
            return;
        }
        // A value from before a stretch is live to its end. If an earlier use has made it so already, it
        // has for those around; stretches around each other may end at the same point.
        let mut extended = false;
        while around != NO_LOOP && self.loops[around as usize].first_point > info.def {
            let end = self.loops[around as usize].end_point;
            if info.end > end || (info.end == end && !extended) {
                break;
            }
            info.end = end;
            extended = true;
            around = self.loops[around as usize].outer;
        }
        let mut weight = 1;
        let l = self.loop_of[pos];
        if l != NO_LOOP {
            let inner = &self.loops[l as usize];
            weight = 1 << (3 * inner.depth.min(6));
            if info.def < inner.first_point {
                self.open_uses.push((r, 1));
            }
        }
        info.weight = info.weight.saturating_add(weight);
    }

    /// Loop `l` ends: list the values from before it that are used in it, and count those for the loop
    /// around it.
    fn close_uses(&mut self, l: u32) {
        let info = &mut self.loops[l as usize];
        let from = info.outer_uses.0 as usize;
        let start = self.outer_uses.len();
        for &(v, weight) in &self.open_uses[from..] {
            if self.values[v.index()].def >= info.first_point {
                continue;
            }
            let mark = &mut self.use_marks[v.index()];
            if *mark == 0 {
                self.outer_uses.push((v, weight));
                *mark = (self.outer_uses.len() - start) as u32;
            } else {
                let known = &mut self.outer_uses[start + *mark as usize - 1].1;
                *known = known.saturating_add(weight);
            }
        }
        info.outer_uses = (start as u32, self.outer_uses.len() as u32);
        self.open_uses.truncate(from);
        let around = info.outer != NO_LOOP;
        for &(v, weight) in &self.outer_uses[start..] {
            self.use_marks[v.index()] = 0;
            if around {
                self.open_uses.push((v, weight.saturating_mul(8)));
            }
        }
    }

    fn note_call_result(&mut self, func: &Function, inst: Inst) {
        if let InstData::Call { .. } | InstData::CallIndirect { .. } = func.inst(inst) {
            reserve(&mut self.call_results, 1);
            self.call_results.extend(func.inst_results(inst).next());
        }
    }

    fn note_call(&mut self, mut l: u32) {
        while l != NO_LOOP && !self.loops[l as usize].has_call {
            self.loops[l as usize].has_call = true;
            l = self.loops[l as usize].parent;
        }
    }

    /// Whether a call lies inside the extent of `v`.
    pub(crate) fn crosses_call(&self, v: Value) -> bool {
        let info = &self.values[v.index()];
        let Some(&before) = self.calls_before.get((info.def / CALLS_STEP) as usize) else {
            return false;
        };
        let mut after = self.calls[before as usize..].iter();
        after
            .find(|&&c| c > info.def)
            .is_some_and(|&c| c < info.end)
    }

    /// Depth of the innermost loop at a position.
    pub(crate) fn depth(&self, pos: u32) -> u32 {
        match self.loop_of[pos as usize] {
            NO_LOOP => 0,
            l => self.loops[l as usize].depth,
        }
    }

    /// The program point of an instruction of the block at `pos`.
    pub(crate) fn point(&self, func: &Function, pos: u32, inst: Inst) -> u32 {
        let first = func.block(self.order[pos as usize]).first;
        self.points[pos as usize] + inst.as_u32() - first + 1
    }

    /// The program point of the terminator of the block at a position.
    pub(crate) fn branch_point(&self, pos: usize) -> u32 {
        self.points[pos + 1] - 1
    }

    /// Two stretches, in twice the program points, plus one where a result is written and where the last
    /// use reads: in which `v` is needed, and during which a stack cell that holds it must not hold anything else. The
    /// cell of a block parameter is written on the edges that lead to the block.
    pub(crate) fn extents(&self, func: &Function, v: Value) -> [(u32, u32); 2] {
        let info = &self.values[v.index()];
        let last = info.end.max(info.def);
        let ValueDef::Param(block, _) = func.value_def(v) else {
            return [(2 * info.def + 1, 2 * last + 1); 2];
        };
        let pos = self.pos[block.index()];
        let start = self.first_pred[pos as usize].min(info.def);
        let end = match self.stretch_of[pos as usize] {
            l if l != NO_LOOP && self.loops[l as usize].first == pos => {
                self.loops[l as usize].end_point.max(info.end)
            }
            _ => last,
        };
        [(2 * info.def, 2 * last + 1), (2 * start, 2 * end + 1)]
    }

    /// Whether the value was defined before loop `l`.
    pub(crate) fn defined_before(&self, v: Value, l: u32) -> bool {
        self.values[v.index()].def < self.loops[l as usize].first_point
    }
}

/// Make `table` have at least `len` entries, whatever they are.
fn make_room<T: Clone + Default>(table: &mut Vec<T>, len: usize) {
    if table.len() < len {
        table.clear();
        table.resize(len, T::default());
    }
}

/// Whether a call leaves the registers of the caller changed.
pub(crate) fn clobbers_registers(func: &Function, inst: Inst) -> bool {
    let sig = match *func.inst(inst) {
        InstData::Call { func: callee, .. } => func.ext_func(callee).signature,
        InstData::CallIndirect { sig, .. } => sig,
        InstData::TryCall { table, .. } | InstData::TryCallIndirect { table, .. } => {
            func.exception_table(table).sig
        }
        _ => return false,
    };
    func.sig(sig).call_conv != nopal_ir::CallConv::PreserveAll
}
