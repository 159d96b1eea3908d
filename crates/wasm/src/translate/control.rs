//! Blocks, loops, branches and returns.
//!
//! A block of the IR is made where branches meet: for a loop at its head, for other constructs at
//! their end, and there only if some branch leads to it. A `return` is a branch to the end of the
//! function, so that there is one exit.

use super::{MAX_OPERANDS, Stop, Translator};
use crate::sites::SiteKind;
use crate::trap_codes;
use crate::types::ValType;
use nopal_ir::{Block, Value};
use wasmparser::{BlockType, BrTable};

/// A construct around the current instruction.
pub(super) struct Frame {
    kind: FrameKind,
    ty: BlockType,
    /// Number of parameters.
    params: u32,
    /// Number of results.
    results: u32,
    /// Where branches to the construct lead, once there is one.
    target: Option<Block>,
    /// Number of operands below the parameters.
    height: u32,
    /// Number of branches to the construct.
    branches: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum FrameKind {
    /// Begun in unreachable code.
    Dead,
    /// A `block`, or the function.
    Block,
    Loop,
    /// An `if` before its `else`: the block to go to if the condition is zero. It has the
    /// parameters of the construct.
    If(Block),
    /// An `if` after its `else`.
    Else,
}

impl Translator<'_> {
    /// The frame of the function itself.
    pub(super) fn begin_function_frame(&mut self, index: u32) {
        let ty = BlockType::FuncType(self.info.funcs[index as usize]);
        let results = self.info.func_type(index).results().len() as u32;
        self.state.frames.push(Frame {
            kind: FrameKind::Block,
            ty,
            params: 0,
            results,
            target: None,
            height: 0,
            branches: 0,
        });
    }

    fn push_frame(&mut self, kind: FrameKind, ty: BlockType, target: Option<Block>) {
        let (params, results) = self.block_type(ty);
        let (params, results) = (params.len() as u32, results.len() as u32);
        let height = match kind {
            FrameKind::Dead => 0,
            _ => self.state.stack.len() as u32 - params,
        };
        self.state.frames.push(Frame {
            kind,
            ty,
            params,
            results,
            target,
            height,
            branches: 0,
        });
    }

    /// Parameters and results of a construct.
    fn block_type(&self, ty: BlockType) -> (&[ValType], &[ValType]) {
        match ty {
            BlockType::Empty => (&[], &[]),
            BlockType::Type(ty) => (&[], one(ty)),
            BlockType::FuncType(index) => {
                let ty = &self.info.types[index as usize];
                (ty.params(), ty.results())
            }
        }
    }

    /// A new block with the parameters or the results of a construct as parameters.
    fn create_block_for(&mut self, ty: BlockType, results: bool) -> Block {
        let block = self.b.create_block();
        let len = match (self.block_type(ty), results) {
            ((params, _), false) => params.len(),
            ((_, results), true) => results.len(),
        };
        for i in 0..len {
            let ty = match (self.block_type(ty), results) {
                ((params, _), false) => params[i],
                ((_, results), true) => results[i],
            };
            self.b.append_block_param(block, ty.ir());
        }
        block
    }

    /// Where a branch out of `depth` constructs leads, and how many operands it takes along.
    fn branch_target(&mut self, depth: u32) -> (Block, usize) {
        let at = self.state.frames.len() - 1 - depth as usize;
        let frame = &self.state.frames[at];
        let ty = frame.ty;
        let len = match frame.kind {
            FrameKind::Loop => frame.params,
            _ => frame.results,
        } as usize;
        let block = frame.target.unwrap_or_else(|| {
            let block = self.create_block_for(ty, true);
            self.state.frames[at].target = Some(block);
            block
        });
        (block, len)
    }

    /// Account for an edge out of `depth` constructs: each local may have to be merged where such
    /// edges meet.
    fn count_branch(&mut self, depth: u32) {
        let at = self.state.frames.len() - 1 - depth as usize;
        let branches = &mut self.state.frames[at].branches;
        *branches += 1;
        if u64::from(*branches) * u64::from(self.locals) > MAX_OPERANDS {
            self.budget = -1;
        }
    }

    /// Go to `block`, taking the top `n` operands along.
    fn jump(&mut self, block: Block, n: usize) {
        self.spend(n);
        let args = self.state.stack.top(n, &mut self.b);
        self.b.jump(block, args);
    }

    /// Go on in `block`, which is sealed: operands are those below `height` and its parameters.
    fn go_on_in(&mut self, block: Block, height: u32) {
        self.b.seal_block(block);
        self.b.switch_to_block(block);
        self.replace_operands(block, height);
        self.reachable = true;
    }

    fn replace_operands(&mut self, block: Block, height: u32) {
        self.state.stack.truncate(height as usize);
        self.state.stack.extend(self.b.block_params(block));
    }

    pub(super) fn visit_unreachable(&mut self) {
        self.b.trap(trap_codes::UNREACHABLE);
        self.reachable = false;
    }

    pub(super) fn visit_nop(&mut self) {}

    pub(super) fn visit_block(&mut self, ty: BlockType) {
        let kind = match self.reachable {
            true => FrameKind::Block,
            false => FrameKind::Dead,
        };
        self.push_frame(kind, ty, None);
    }

    pub(super) fn visit_loop(&mut self, ty: BlockType) {
        if !self.reachable {
            return self.push_frame(FrameKind::Dead, ty, None);
        }
        let head = self.create_block_for(ty, false);
        self.push_frame(FrameKind::Loop, ty, Some(head));
        let (params, height) = match self.state.frames.last() {
            Some(frame) => (frame.params, frame.height),
            None => (0, 0),
        };
        self.jump(head, params as usize);
        self.b.switch_to_block(head);
        self.replace_operands(head, height);
        if self.sites.loops {
            self.state.args.clear();
            self.site(SiteKind::Loop);
        }
    }

    pub(super) fn visit_if(&mut self, ty: BlockType) {
        if !self.reachable {
            return self.push_frame(FrameKind::Dead, ty, None);
        }
        let condition = self.pop_condition();
        let then = self.b.create_block();
        let otherwise = self.create_block_for(ty, false);
        self.push_frame(FrameKind::If(otherwise), ty, None);
        let params = self.block_type(ty).0.len();
        self.spend(params);
        let args = self.state.stack.top(params, &mut self.b);
        self.b.brif(condition, then, &[], otherwise, args);
        self.b.seal_block(then);
        self.b.switch_to_block(then);
    }

    pub(super) fn visit_else(&mut self) {
        let Some(frame) = self.state.frames.last_mut() else {
            return;
        };
        let FrameKind::If(otherwise) = frame.kind else {
            return;
        };
        frame.kind = FrameKind::Else;
        let height = frame.height;
        if self.reachable {
            let (end, results) = self.branch_target(0);
            self.jump(end, results);
        }
        self.go_on_in(otherwise, height);
    }

    pub(super) fn visit_end(&mut self) {
        let Some(frame) = self.state.frames.pop() else {
            return;
        };
        match frame.kind {
            FrameKind::Dead => {}
            FrameKind::Loop => {
                if let Some(head) = frame.target {
                    self.b.seal_block(head);
                }
            }
            FrameKind::Block | FrameKind::Else => self.join(frame.target, &frame),
            FrameKind::If(otherwise) => {
                // There is no `else`: the parameters are the results.
                self.join(Some(otherwise), &frame);
                self.join(frame.target, &frame);
            }
        }
        if self.state.frames.is_empty() {
            self.end_function(frame.results as usize);
        }
    }

    /// The end of a construct: go on in `target` if anything leads there.
    fn join(&mut self, target: Option<Block>, frame: &Frame) {
        let Some(target) = target else { return };
        if self.reachable {
            self.jump(target, frame.results as usize);
        }
        self.go_on_in(target, frame.height);
    }

    fn end_function(&mut self, results: usize) {
        if !self.reachable {
            return;
        }
        self.state.args.clear();
        self.pop_args(results);
        if self.sites.exits {
            self.site(SiteKind::Exit);
        }
        self.b.return_(&self.state.args);
        self.reachable = false;
    }

    pub(super) fn visit_br(&mut self, depth: u32) {
        self.count_branch(depth);
        let (target, n) = self.branch_target(depth);
        self.jump(target, n);
        self.reachable = false;
    }

    pub(super) fn visit_return(&mut self) {
        self.visit_br(self.state.frames.len() as u32 - 1);
    }

    pub(super) fn visit_br_if(&mut self, depth: u32) {
        let condition = self.pop_condition();
        self.count_branch(depth);
        let (target, n) = self.branch_target(depth);
        let next = self.b.create_block();
        self.spend(n);
        let args = self.state.stack.top(n, &mut self.b);
        self.b.brif(condition, target, args, next, &[]);
        self.b.seal_block(next);
        self.b.switch_to_block(next);
    }

    pub(super) fn visit_br_table(&mut self, targets: &BrTable<'_>) -> Result<(), Stop> {
        let index = self.pop();
        let (default, n) = self.branch_target(targets.default());
        let mut blocks = Vec::with_capacity(targets.len() as usize);
        for depth in targets.targets() {
            let depth = depth?;
            let block = self.branch_target(depth).0;
            // Equal targets share an edge.
            if blocks.last() != Some(&block) {
                self.count_branch(depth);
            }
            blocks.push(block);
        }
        self.spend(blocks.len() * (n + 1));
        if self.budget >= 0 {
            let args: &[Value] = self.state.stack.top(n, &mut self.b);
            let edges: Vec<_> = blocks.iter().map(|&block| (block, args)).collect();
            self.b.br_table(index, (default, args), &edges);
        }
        self.reachable = false;
        Ok(())
    }
}

/// A list of one type.
fn one(ty: wasmparser::ValType) -> &'static [ValType] {
    use ValType::{ExternRef, F32, F64, FuncRef, I32, I64};
    match ty {
        wasmparser::ValType::I32 => &[I32],
        wasmparser::ValType::I64 => &[I64],
        wasmparser::ValType::F32 => &[F32],
        wasmparser::ValType::F64 => &[F64],
        wasmparser::ValType::Ref(ty) if ty.is_extern_ref() => &[ExternRef],
        wasmparser::ValType::Ref(_) => &[FuncRef],
        wasmparser::ValType::V128 => unreachable!("the validator refuses vectors"),
    }
}
