//! What cores execute: just enough of an instruction set for litmus tests and patching.

use std::fmt;

/// A location: a naturally aligned unit of memory that is stored and fetched as a whole.
pub type Loc = u8;
/// The contents of a location.
pub type Word = u32;
/// A register of a core; there are [`REGS`].
pub type Reg = u8;
/// A position in the text of a core.
pub type Pc = u8;

/// Registers of a core.
pub const REGS: usize = 4;

/// A set of locations, one bit each: what a cache line holds of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Locs(pub u16);

impl Locs {
    /// The set of one location.
    pub fn one(loc: Loc) -> Locs {
        Locs(1 << loc)
    }

    /// Whether a location is in the set.
    pub fn contains(self, loc: Loc) -> bool {
        self.0 >> loc & 1 != 0
    }
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// Does nothing.
    Nop,
    /// Goes on elsewhere.
    Branch {
        /// Where.
        to: Pc,
    },
    /// Goes to `to` if the register holds `equals`, else to `or`. Fetch goes on, on either path,
    /// before the register is known.
    BranchIf {
        /// The register compared.
        reg: Reg,
        /// The value it is compared with.
        equals: Word,
        /// The next instruction if equal.
        to: Pc,
        /// The next instruction if not.
        or: Pc,
    },
    /// Puts a constant into a register.
    Set {
        /// The register written.
        reg: Reg,
        /// What it gets.
        value: Word,
    },
    /// Puts zero into a register once another one is known: the usual way to make a dependency.
    Zero {
        /// The register written.
        reg: Reg,
        /// The register waited for.
        from: Reg,
    },
    /// Loads a location.
    Load {
        /// The register written.
        reg: Reg,
        /// The location read.
        loc: Loc,
        /// A register that the address depends on.
        address: Option<Reg>,
    },
    /// Stores to a location: the bits of `value` that `mask` has.
    Store {
        /// The location written.
        loc: Loc,
        /// The bits written.
        mask: Word,
        /// What they get.
        value: Word,
    },
    /// Cleans data-cache lines to the point of unification (`dc cvau`).
    Clean {
        /// What the lines hold.
        locs: Locs,
        /// A register that the address depends on.
        address: Option<Reg>,
    },
    /// Invalidates instruction-cache lines of all cores (`ic ivau`).
    Invalidate {
        /// What the lines hold.
        locs: Locs,
    },
    /// Orders memory accesses.
    Fence(Fence),
    /// Context synchronization on this core: `isb`, a serializing instruction, `fence.i`.
    Sync,
    /// Has every core synchronize its context, and waits until all have: what
    /// `membarrier(PRIVATE_EXPEDITED_SYNC_CORE)` does between its two memory barriers.
    Rendezvous,
    /// Executes a patch site that was found to have a form.
    Site(Event),
    /// Executes a branch that leads around a patch site: as if the site were off.
    Around {
        /// The site.
        site: u8,
        /// Where it leads.
        to: Pc,
    },
    /// Executes the second instruction of a site of two, the target of which is made of a register
    /// and of its own bits: equal parts make a whole target.
    Jump {
        /// The site.
        site: u8,
        /// The register with one part.
        reg: Reg,
        /// The other part.
        low: Word,
    },
    /// Executes a patch site that calls an island, and the jump there to the target that a location holds.
    /// That is loaded at any time from the fetch on.
    Through {
        /// The site.
        site: u8,
        /// The location with the target.
        loc: Loc,
    },
}

/// Kinds of fences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fence {
    /// Earlier stores before later stores (`dmb ishst`).
    Stores,
    /// Earlier loads before later accesses (`dmb ishld`).
    Loads,
    /// Earlier accesses before later ones (`dmb ish`, `mfence`, `fence rw, rw`).
    Full,
    /// Completion of earlier accesses and maintenance operations before anything later (`dsb ish`).
    Completion,
}

/// What a core executes at a patch site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Which site.
    pub site: u8,
    /// The form it was found in.
    pub form: Form,
}

/// The form of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A call of a target.
    On(u8),
    /// No effect.
    Off,
    /// A breakpoint, after which the thread goes on behind the site: no effect either.
    Trap,
    /// A call of something that was never asked for.
    Torn,
    /// The processor promises nothing about what is executed.
    Unpredictable,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::On(target) => write!(f, "call {target}"),
            Form::Off => f.write_str("off"),
            Form::Trap => f.write_str("trap"),
            Form::Torn => f.write_str("call of a mixture"),
            Form::Unpredictable => f.write_str("unpredictable"),
        }
    }
}

impl Inst {
    /// The register written.
    pub(crate) fn writes(&self) -> Option<Reg> {
        match *self {
            Inst::Set { reg, .. } | Inst::Zero { reg, .. } | Inst::Load { reg, .. } => Some(reg),
            _ => None,
        }
    }

    /// The register that the address depends on.
    pub(crate) fn address(&self) -> Option<Reg> {
        match *self {
            Inst::Load { address, .. } | Inst::Clean { address, .. } => address,
            _ => None,
        }
    }

    /// Whether nothing is fetched beyond it before it is done: what was fetched would be discarded.
    pub(crate) fn stops_fetch(&self) -> bool {
        matches!(self, Inst::Sync | Inst::Rendezvous)
    }
}
