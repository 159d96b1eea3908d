//! Steps in words.

use crate::inst::{Event, Fence, Inst, Locs};
use crate::machine::{Machine, State, Step};

impl Machine {
    /// What a step does in a state, and what follows from it at once, one a line.
    pub(crate) fn describe(&self, state: &State, step: &Step) -> Vec<String> {
        let mut lines = vec![self.step(state, step)];
        self.apply_noting(state, step, &mut |core, inst| {
            if !matches!(inst, Inst::BranchIf { .. }) {
                lines.push(format!("core {core}: {}", self.inst(&inst)));
            }
        });
        lines
    }

    fn step(&self, state: &State, step: &Step) -> String {
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
            Step::Evict { core, loc } => {
                format!(
                    "the instruction cache of core {core} loses {}",
                    self.name(loc)
                )
            }
            Step::WriteBack { loc } => format!("{} is written back", self.name(loc)),
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
            Inst::Clean { locs, .. } => format!("clean of {}", self.line(locs)),
            Inst::Invalidate { locs } => format!("invalidation of {}", self.line(locs)),
            Inst::Fence(kind) => match kind {
                Fence::Stores => "fence of stores".into(),
                Fence::Loads => "fence of loads".into(),
                Fence::Full => "fence".into(),
                Fence::Completion => "completion".into(),
            },
            Inst::Sync => "context synchronization".into(),
            Inst::Rendezvous => "broadcast".into(),
            Inst::Site(Event { site, form }) => format!("site {site}: {form}"),
            Inst::Around { site, .. } => format!("branch around site {site}"),
            Inst::Through { site, loc } => {
                format!("call in site {site}, by way of {}", self.name(loc))
            }
            Inst::Jump { site, reg, low } => format!("second half of site {site}: r{reg}, {low}"),
        }
    }

    fn line(&self, locs: Locs) -> String {
        let inside = (0..self.memory.len() as u8).filter(|&loc| locs.contains(loc));
        inside
            .map(|loc| self.name(loc))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn name(&self, loc: u8) -> String {
        match self.names.get(loc as usize) {
            Some(name) => name.clone(),
            None => format!("[{loc}]"),
        }
    }
}
