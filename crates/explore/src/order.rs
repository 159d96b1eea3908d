//! Which instructions of one core wait for which earlier ones.
//!
//! Instructions are executed in any order that these rules and the flow of registers leave. Sections
//! are of the Arm Architecture Reference Manual (DDI 0487), if nothing else is said.

use crate::inst::{Fence as Kind, Inst, Locs};
use crate::machine::Arch;

/// Whether `later` has to wait until `earlier`, which is before it in the program, is done.
pub(crate) fn waits(arch: Arch, earlier: &Inst, later: &Inst) -> bool {
    match (earlier, later) {
        // Sites are executed in the order of the program: what they call shows.
        (_, Inst::Site(_) | Inst::Jump { .. }) => true,
        // Nothing begins before the caller of a broadcast knows that all cores answered; a site
        // calls code that may do anything.
        (Inst::Rendezvous | Inst::Sync | Inst::Site(_) | Inst::Jump { .. }, _) => true,
        // DSB (B2.3.12 "Data Synchronization Barrier"): completes when what is before it has, and
        // no later instruction but fetches begins before.
        (Inst::Fence(Kind::Completion), _) => true,
        (_, Inst::Fence(Kind::Completion)) => is_access(earlier) || is_fence(earlier),
        // Effects that cannot be undone wait for branches (B2.3.9, "control dependency"), also
        // ISB (B2.3.11 "Instruction Synchronization Barrier").
        (
            Inst::BranchIf { .. },
            Inst::Store { .. }
            | Inst::Clean { .. }
            | Inst::Invalidate { .. }
            | Inst::Sync
            | Inst::Rendezvous,
        ) => true,
        (_, Inst::Sync) => sync_waits(arch, earlier),
        // An interrupt is sent after the fences before it, but after no other access by itself.
        (Inst::Fence(_), Inst::Rendezvous) => true,
        (_, Inst::Rendezvous) => false,
        // DMB (B2.3.11): data accesses and the cleaning of data caches, which is ordered like a
        // store, but not the invalidation of instruction caches (D7.5 "Ordering and completion").
        (Inst::Fence(kind), _) => fence_holds(*kind, later),
        (_, Inst::Fence(kind)) => fence_waits(*kind, earlier),
        _ => match arch {
            // Total store order (Intel SDM vol. 3A §9.2.2, AMD APM vol. 2 §7.2): only loads pass
            // earlier stores.
            Arch::X86 => {
                !matches!((earlier, later), (Inst::Store { .. }, Inst::Load { .. }))
                    || same(earlier, later)
            }
            Arch::Arm { .. } | Arch::RiscV => same(earlier, later),
        },
    }
}

/// Whether both access a common location, one of them as data: such accesses, and the cleaning of
/// data by address (D7.5), are in order.
fn same(earlier: &Inst, later: &Inst) -> bool {
    match (data(earlier), data(later)) {
        (Some(a), Some(b)) => a.0 & b.0 != 0,
        _ => false,
    }
}

fn data(inst: &Inst) -> Option<Locs> {
    match *inst {
        Inst::Load { loc, .. } | Inst::Store { loc, .. } => Some(Locs::one(loc)),
        Inst::Clean { locs, .. } => Some(locs),
        _ => None,
    }
}

fn is_access(inst: &Inst) -> bool {
    data(inst).is_some() || matches!(inst, Inst::Invalidate { .. })
}

fn is_fence(inst: &Inst) -> bool {
    matches!(inst, Inst::Fence(_))
}

/// What context synchronization waits for beyond branches and earlier completion.
fn sync_waits(arch: Arch, earlier: &Inst) -> bool {
    match arch {
        // Neither accesses nor DMB; that addresses are known is seen to by the machine.
        Arch::Arm { .. } => false,
        // Serializing instructions drain the store buffer (Intel SDM vol. 3A §9.3).
        Arch::X86 => is_access(earlier) || is_fence(earlier),
        // FENCE.I: stores of this hart before its fetches (unprivileged ISA, "Zifencei").
        Arch::RiscV => matches!(earlier, Inst::Store { .. }),
    }
}

/// Whether a fence has to wait for an earlier instruction.
fn fence_waits(kind: Kind, earlier: &Inst) -> bool {
    match kind {
        Kind::Stores => matches!(earlier, Inst::Store { .. }),
        Kind::Loads => matches!(earlier, Inst::Load { .. }),
        Kind::Full | Kind::Completion => data(earlier).is_some(),
    }
}

/// Whether a fence holds back a later instruction.
fn fence_holds(kind: Kind, later: &Inst) -> bool {
    match kind {
        Kind::Stores => matches!(later, Inst::Store { .. }),
        Kind::Loads => matches!(later, Inst::Load { .. } | Inst::Store { .. }) || is_fence(later),
        Kind::Full | Kind::Completion => data(later).is_some() || is_fence(later),
    }
}
