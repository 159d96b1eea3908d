//! Every use of a value is dominated by its definition.
//!
//! Where control never comes, order means nothing: there an operand just has to exist. A builder
//! cannot do better, as a loop that nothing leads to has no value to begin with.

use super::{Entity, Verifier};
use crate::{Block, Dominators, EntityRef, Inst, Value, ValueDef};

impl Verifier<'_> {
    pub(super) fn check_uses(&mut self) {
        let dominators = Dominators::of(self.func);
        let mut block_of: Vec<Option<Block>> = vec![None; self.func.num_insts()];
        for &block in self.func.layout() {
            for inst in self.func.block_insts(block) {
                block_of[inst.index()] = Some(block);
            }
        }
        for &block in self.func.layout() {
            for inst in self.func.block_insts(block) {
                let mut found = Vec::new();
                self.func.for_each_valid_operand(inst, |v| {
                    if let Err(message) = self.check_use(&dominators, &block_of, block, inst, v) {
                        found.push(message);
                    }
                });
                for message in found {
                    self.error(Entity::Inst(inst), message);
                }
            }
        }
    }

    fn check_use(
        &self,
        dominators: &Dominators,
        block_of: &[Option<Block>],
        block: Block,
        inst: Inst,
        v: Value,
    ) -> Result<(), String> {
        let Some((_, def)) = self.func.get_value(v) else {
            return Err(format!("{v} does not exist"));
        };
        let v = self.func.resolve(v);
        let def_block = match def {
            ValueDef::Result(def, _) => {
                let Some(def_block) = block_of[def.index()] else {
                    return Err(format!("{v} is defined by {def}, which is in no block"));
                };
                if self.func.opcode(def).is_branch() {
                    if def == inst {
                        return Ok(());
                    }
                    return Err(format!("{v} is a result of {def}, for its own edges only"));
                }
                if def_block == block && def >= inst && dominators.is_reachable(block) {
                    return Err(format!("{v} is defined by {def}, which is not before it"));
                }
                def_block
            }
            ValueDef::Param(def_block, n) => {
                let is_param = self
                    .func
                    .get_block(def_block)
                    .and_then(|b| self.func.lists.get_list(b.params)?.nth(n as usize))
                    == Some(v);
                if !is_param {
                    return Err(format!("{v} is not a parameter of {def_block}"));
                }
                if !self.placed[def_block.index()] {
                    return Err(format!(
                        "{v} is a parameter of {def_block}, which is not in the layout"
                    ));
                }
                def_block
            }
            ValueDef::Alias(_) | ValueDef::None => {
                return Err(format!("{v} is an alias of nothing"));
            }
        };
        if def_block != block && !dominators.dominates(def_block, block) {
            return Err(format!(
                "{v} is defined in {def_block}, which does not dominate {block}"
            ));
        }
        Ok(())
    }
}
