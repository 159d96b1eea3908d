//! The crate's error type.

use std::io;

use crate::SiteId;

/// `std::result::Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a code space.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused memory or a mapping.
    #[error("cannot {operation}: {source}")]
    Memory {
        /// What was attempted.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The configuration cannot be honoured.
    #[error("bad code space configuration: {0}")]
    Config(&'static str),
    /// This processor or kernel lacks something the request needs.
    #[error("not supported here: {0}")]
    Unsupported(&'static str),
    /// The reserved range has no room for this many bytes of code or stubs.
    #[error("the code space has no room for {0} more bytes of code")]
    CodeSpaceFull(usize),
    /// The reserved range has no room for more counters and flags.
    #[error("the code space has no room for more hook data")]
    DataSpaceFull,
    /// An alignment that is not a power of two, or above 4096.
    #[error("alignment {0} is not a power of two of at most 4096")]
    BadAlignment(usize),
    /// More bytes were published than allocated.
    #[error("{len} bytes of code do not fit an allocation of {allocated}")]
    TooLong {
        /// Bytes to publish.
        len: usize,
        /// Bytes allocated.
        allocated: usize,
    },
    /// A site description does not fit the code it came with.
    #[error("site {index} (ending at offset {ret_offset}) {defect}")]
    BadSite {
        /// Position in the slice of descriptions.
        index: usize,
        /// The description's end.
        ret_offset: u32,
        /// What is wrong with it.
        defect: SiteDefect,
    },
    /// The description of a branch does not fit the code it came with.
    #[error("bypass {index} (branch at offset {branch}) {defect}")]
    BadBypass {
        /// Position in the slice of descriptions.
        index: usize,
        /// The branch's offset.
        branch: u32,
        /// What is wrong with it.
        defect: BypassDefect,
    },
    /// The space has handed out every site id there is.
    #[error("the code space has no site ids left")]
    TooManySites,
    /// No published code of this space has the site.
    #[error("no code of this space has {0}")]
    UnknownSite(SiteId),
    /// The site already calls another hook; nothing was changed.
    #[error("{0} already calls another hook")]
    SiteInUse(SiteId),
    /// The hook was created by another space; nothing was changed.
    #[error("the hook belongs to another code space")]
    ForeignHook,
    /// The last handle of a hook was dropped before sites were made to call it; nothing was changed.
    #[error("the hook was dropped before the patch was committed")]
    DroppedHook,
    /// Threads could not be made to see new code. Nothing was changed, except that a site whose
    /// hook was being replaced may be left off.
    #[error("code changes cannot be made visible to all threads: {0}")]
    Coherence(#[from] nopal_icache::Error),
    /// All sites were changed, but the last broadcast failed: threads may execute the old form for
    /// a while. The next commit repeats the broadcast first.
    #[error("the sites were changed, but not all threads may see it yet: {0}")]
    Unsettled(#[source] nopal_icache::Error),
    /// A signal handler that the strict protocol or code memory with one mapping needs could not be
    /// installed.
    #[error("cannot install the {signal} handler: {source}")]
    SignalHandler {
        /// The signal.
        signal: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Neither way to write executable memory works here.
    #[error(
        "the system forbids executable memory that can be written: with two mappings: {dual}; with one: {single}"
    )]
    NoCodeMemory {
        /// What is wrong with [`MemoryMode::Dual`](crate::MemoryMode::Dual).
        dual: Box<Error>,
        /// What is wrong with [`MemoryMode::Single`](crate::MemoryMode::Single).
        single: Box<Error>,
    },
    /// This process is a forked child; the code belongs to its parent.
    #[error("a forked child cannot change the code of its parent")]
    Forked,
}

/// What is wrong with a site description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteDefect {
    /// It reaches outside the published bytes.
    #[error("lies outside the code")]
    OutOfRange,
    /// It overlaps the one before it, or comes before it.
    #[error("overlaps or precedes the site described before it")]
    Overlap,
    /// It is not aligned as sites on this architecture must be.
    #[error("is not aligned")]
    Misaligned,
    /// Its length is not that of a site on this architecture.
    #[error("has a length that is not that of a site on this architecture")]
    Length,
    /// The code there is nothing that can become a site: neither an off form, nor a call, nor a NOP.
    #[error("holds neither an off form nor a call nor a NOP")]
    Bytes,
    /// Its call is too short for where there is room for what it has to call. Only on RISC-V, where sites of
    /// 8 bytes reach any room.
    #[error("is too far from free memory of the code space for a call of its length")]
    OutOfReach,
}

/// What is wrong with the description of a branch that leads around a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BypassDefect {
    /// No site ends there.
    #[error("goes with no site of the code")]
    NoSite,
    /// It overlaps the one before it, or comes before it.
    #[error("overlaps or precedes the one described before it")]
    Order,
    /// It overlaps a site.
    #[error("overlaps a site")]
    Overlap,
    /// It is not inside the code, or no branch that can be changed.
    #[error("is neither `jmp` nor `jcc`")]
    Bytes,
    /// It leads out of the code, or would while the site is off.
    #[error("leads out of the code")]
    Target,
    /// It cannot be led around the site by changing one byte.
    #[error("needs more than another lowest byte of its displacement to lead around its site")]
    Carry,
    /// Only branches of x86-64 can be changed so far.
    #[error("is not supported on this architecture")]
    Unsupported,
}
