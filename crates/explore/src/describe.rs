//! Steps in words.

use crate::inst::{Event, Inst};
use crate::machine::{Machine, State, Step};

impl Machine {
    /// What a step does in a state.
    pub(crate) fn describe(&self, state: &State, step: &Step) -> String {
        match *step {
            Step::Fetch { core, inst } => format!("core {core} fetches {}", self.inst(&inst)),
            Step::Guess { core, next } => {
                format!("core {core} guesses that a branch goes to {next}")
            }
            Step::Execute { core, index } => match state.executed(step) {
                Some((core, Event { site, form })) => {
                    format!("core {core} executes site {site}: {form}")
                }
                None => format!("core {core}: {}", self.inst(&state.inst(core, index))),
            },
            Step::Reach { core, index, at } => {
                let inst = self.inst(&state.inst(core, index));
                format!("core {core}: {inst} takes effect on core {at}")
            }
        }
    }

    fn inst(&self, inst: &Inst) -> String {
        match *inst {
            Inst::Nop => "a nop".into(),
            Inst::Branch { to } => format!("a branch to {to}"),
            Inst::BranchIf { .. } => "a conditional branch".into(),
            Inst::Set { reg, value } => format!("r{reg} = {value}"),
            Inst::Zero { reg, from } => format!("r{reg} = r{from} ^ r{from}"),
            Inst::Load { reg, loc, .. } => format!("load of {} to r{reg}", self.name(loc)),
            Inst::Store { loc, mask, value } => match mask {
                u32::MAX => format!("store of {value:#x} to {}", self.name(loc)),
                _ => format!(
                    "store of {value:#x} to the bits {mask:#x} of {}",
                    self.name(loc)
                ),
            },
            Inst::Clean { .. } => "clean of data".into(),
            Inst::Invalidate { .. } => "invalidation of instructions".into(),
            Inst::Fence(kind) => format!("fence ({kind:?})"),
            Inst::Sync => "context synchronization".into(),
            Inst::Rendezvous => "broadcast".into(),
            Inst::Site(Event { site, form }) => format!("site {site}: {form}"),
            Inst::Jump { site, reg, low } => format!("second half of site {site}: r{reg}, {low}"),
        }
    }

    fn name(&self, loc: u8) -> String {
        match self.names.get(loc as usize) {
            Some(name) => name.clone(),
            None => format!("[{loc}]"),
        }
    }
}
