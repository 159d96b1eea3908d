//! Which patchable call sites the compiled code has.

/// The construct a patch site stands at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SiteKind {
    /// The entry of a function, its parameters known.
    Entry,
    /// The exit of a function, its results known.
    Exit,
    /// The head of a loop: once per iteration.
    Loop,
}

impl SiteKind {
    /// Every kind; the position is the number of the kind in the name of the sites' callee.
    pub(crate) const ALL: [SiteKind; 3] = [SiteKind::Entry, SiteKind::Exit, SiteKind::Loop];
}

/// Which patch sites are compiled into the code. All are off until a hook is attached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sites {
    /// A site at every function entry.
    pub entries: bool,
    /// A site before every function return.
    pub exits: bool,
    /// A site at every loop head.
    pub loops: bool,
}

impl Sites {
    /// All sites.
    pub const ALL: Sites = Sites {
        entries: true,
        exits: true,
        loops: true,
    };
    /// No sites.
    pub const NONE: Sites = Sites {
        entries: false,
        exits: false,
        loops: false,
    };
}

impl Default for Sites {
    fn default() -> Self {
        Sites::ALL
    }
}
