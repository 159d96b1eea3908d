//! Which instructions of one core wait for which earlier ones.
//!
//! Instructions are executed in any order that these rules and the flow of registers leave. For
//! AArch64 they are those of the Arm Architecture Reference Manual (DDI 0487), chapter B2 "The AArch64
//! Application Level Memory Model" and section D7.5 "Ordering and completion of data and instruction
//! cache instructions"; relations named below are those of Arm's machine-readable version of it
//! (`aarch64hwreqs.cat` in herdtools7).

use crate::inst::{Fence as Kind, Inst, Locs};
use crate::machine::Arch;

/// Whether `later` has to wait until `earlier`, which is before it in the program, is done.
pub(crate) fn waits(arch: Arch, earlier: &Inst, later: &Inst) -> bool {
    match (earlier, later) {
        // Sites are executed in the order of the program: what they call shows.
        (_, Inst::Site(_) | Inst::Around { .. } | Inst::Jump { .. } | Inst::Through { .. }) => true,
        // A site calls code that may do anything. (Targets are loaded before: `CoreState::ready`.) Context synchronization is before what is
        // fetched behind it. Who makes a broadcast goes on when all cores have answered.
        (Inst::Site(_) | Inst::Around { .. } | Inst::Jump { .. } | Inst::Through { .. }, _) => true,
        (Inst::Sync | Inst::Rendezvous, _) => true,
        // DSB-ob: DSB completes when everything before it has, and nothing but fetches begins
        // before that.
        (Inst::Fence(Kind::Completion), _) => true,
        (_, Inst::Fence(Kind::Completion)) => is_access(earlier) || is_fence(earlier),
        // Effects that cannot be undone wait for branches (dob; `CSE-ob` for ISB). For maintenance
        // this is the verdict of MP.RF+dc.cvau-dmb.ish+ctrl-ic.ivau-dsb.ish-isb.
        (Inst::BranchIf { .. }, _) => is_effect(later),
        (_, Inst::Sync) => sync_waits(arch, earlier),
        // An interrupt is sent after the fences before it, but by itself after no access: none of
        // the architectures orders the store of its request with others without a fence.
        (_, Inst::Rendezvous) => is_fence(earlier),
        // bob: DMB concerns data accesses and, if it is a full one, the cleaning of data caches, but
        // not the invalidation of instruction caches.
        (Inst::Fence(kind), _) => fence_holds(*kind, later),
        (_, Inst::Fence(kind)) => fence_waits(*kind, earlier),
        // Total store order (Intel SDM vol. 3A §9.2.2, AMD APM vol. 2 §7.2): only loads pass
        // earlier stores.
        (Inst::Store { .. }, Inst::Load { .. }) => same(earlier, later),
        _ if arch == Arch::X86 => true,
        _ => same(earlier, later),
    }
}

/// What must not happen on a path that is only guessed.
fn is_effect(inst: &Inst) -> bool {
    let maintenance = matches!(inst, Inst::Clean { .. } | Inst::Invalidate { .. });
    maintenance || matches!(inst, Inst::Store { .. } | Inst::Sync | Inst::Rendezvous)
}

/// Whether both access a common location: data accesses and the cleaning of data caches by address are
/// in order then.
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
        // ISB waits neither for accesses nor for DMB, but for their addresses: `CoreState::ready`.
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
