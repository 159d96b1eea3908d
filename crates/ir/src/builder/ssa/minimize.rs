//! Parameters that turn out to be superfluous after they have been attached.
//!
//! A parameter may have another parameter among its arguments. If that becomes an alias of another
//! argument, the former parameter has a single source after all.

use super::{NONE, Ssa};
use crate::{Block, EntityRef, Function, Value, ValueDef};

/// How often all candidates are looked at, forwards and backwards by turns: inner loops come before
/// outer ones or after, depending on the order in which blocks are sealed. Each pass removes a
/// parameter or is the last.
const MAX_PASSES: usize = 8;

impl Ssa {
    /// Remove parameters that have a single source by now.
    pub(super) fn remove_trivial_params(&mut self, func: &mut Function) {
        let mut affected = Vec::new();
        for pass in 0..MAX_PASSES {
            let mut changed = false;
            let num = self.candidates.len();
            for i in 0..num {
                let param = self.candidates[if pass % 2 == 0 { i } else { num - 1 - i }];
                let ValueDef::Param(block, num) = func.value_def(param) else {
                    continue;
                };
                if let Some(value) = self.single_source(func, block, num as usize, param) {
                    func.make_alias(param, value);
                    self.aliases = true;
                    affected.push(block);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        affected.sort_unstable();
        affected.dedup();
        for block in affected {
            self.drop_aliased_params(func, block);
        }
    }

    /// The only argument for a parameter, itself aside.
    fn single_source(
        &self,
        func: &Function,
        block: Block,
        num: usize,
        param: Value,
    ) -> Option<Value> {
        let mut common = None;
        let mut node = self.blocks[block.index()].preds.0;
        while node != NONE {
            let pred = self.preds[node as usize];
            node = pred.next;
            let args = func.block_call(pred.edge).args;
            let arg = func.resolve(func.lists.get(args, num));
            if arg != param && common.replace(arg).is_some_and(|c| c != arg) {
                return None;
            }
        }
        common
    }

    /// Take the parameters that have become aliases out of a block, and their arguments out of the
    /// edges into it.
    fn drop_aliased_params(&self, func: &mut Function, block: Block) {
        let old: Vec<bool> = func
            .block_params(block)
            .map(|v| matches!(func.value_def(v), ValueDef::Alias(_)))
            .collect();
        let mut node = self.blocks[block.index()].preds.0;
        while node != NONE {
            let pred = self.preds[node as usize];
            node = pred.next;
            func.retain_args(pred.edge, |num| !old[num]);
        }
        func.retain_params(block, |num| !old[num]);
    }
}
