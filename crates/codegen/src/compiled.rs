//! What compiling a function gives: bytes and what must be known about them.

use crate::PReg;
use nopal_ir::{ExternalName, TrapCode, Type};

/// The machine code of one function and its metadata. All offsets count from its first byte.
#[derive(Clone, Debug, Default)]
pub struct CompiledCode {
    /// The code, position-independent but for `relocs`. It starts at a multiple of
    /// [`CompiledCode::alignment`]; constants and jump tables follow the instructions.
    pub code: Vec<u8>,
    /// The alignment the first byte needs.
    pub alignment: u32,
    /// Places that depend on the address of something else.
    pub relocs: Vec<Reloc>,
    /// Instructions that may trap, in address order.
    pub traps: Vec<Trap>,
    /// Return addresses of calls that are not patch sites, in address order.
    pub call_sites: Vec<CallSite>,
    /// Calls with handlers, in address order; they are among `call_sites`, too.
    pub try_calls: Vec<TryCallSite>,
    /// The handlers, referred to by `try_calls`.
    pub handlers: Vec<Handler>,
    /// Patch sites, in address order.
    pub patch_sites: Vec<PatchableCallSite>,
    /// Branches that may lead around a patch site while it is off, in address order.
    pub bypasses: Vec<Bypass>,
    /// The locations of observed values, referred to by `patch_sites`.
    pub observed: Vec<ObservedValue>,
    /// Bytes of stack a frame takes, return address included.
    pub frame_size: u32,
}

impl CompiledCode {
    /// Empty all tables, keeping their memory.
    pub fn clear(&mut self) {
        self.code.clear();
        self.alignment = 1;
        self.relocs.clear();
        self.traps.clear();
        self.call_sites.clear();
        self.try_calls.clear();
        self.handlers.clear();
        self.patch_sites.clear();
        self.bypasses.clear();
        self.observed.clear();
        self.frame_size = 0;
    }

    /// The handlers of a call, in the order in which they are looked at.
    pub fn handlers_of(&self, call: &TryCallSite) -> &[Handler] {
        &self.handlers[call.handlers.0 as usize..call.handlers.1 as usize]
    }

    /// The value map of a patch site, in the order of its `observe` attribute.
    pub fn value_map(&self, site: &PatchableCallSite) -> &[ObservedValue] {
        &self.observed[site.observed.0 as usize..site.observed.1 as usize]
    }
}

/// How a relocation is computed. `S` is the symbol's address, `A` the addend, `P` the address of
/// the relocated bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocKind {
    /// x86-64 near call: 4 bytes, `S + A - P` with `A = -4`.
    X64CallPcRel4,
    /// 8 bytes, `S + A`.
    Abs8,
}

/// A place in the code that depends on the address of a symbol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reloc {
    /// Offset of the first byte to be written.
    pub offset: u32,
    /// What is written.
    pub kind: RelocKind,
    /// The symbol.
    pub target: ExternalName,
    /// The addend.
    pub addend: i64,
}

/// An instruction that may trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// Offset of the instruction's first byte.
    pub offset: u32,
    /// Why it traps.
    pub code: TrapCode,
    /// Source location, `u32::MAX` if none.
    pub srcloc: u32,
}

/// A call that is not a patch site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSite {
    /// Offset of the instruction after the call.
    pub ret_addr: u32,
    /// Source location, `u32::MAX` if none.
    pub srcloc: u32,
}

/// A call that may throw to a handler in its own function.
///
/// Whoever throws goes to the handler with the frame pointer of the frame, the stack pointer
/// `frame_size - 16` below it, and the two words that are thrown where results come back: `rax` and
/// `rdx` on x86-64. No other register matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TryCallSite {
    /// Offset of the instruction after the call.
    pub ret_addr: u32,
    /// Range in [`CompiledCode::handlers`].
    pub handlers: (u32, u32),
}

/// An entry of what is looked at, one by one, when a call throws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handler {
    /// What has this tag goes to this offset.
    Tag {
        /// The tag.
        tag: u32,
        /// Where the handler is.
        offset: u32,
    },
    /// Everything goes to this offset.
    Default {
        /// Where the handler is.
        offset: u32,
    },
    /// The entries that follow are about the context that this value means.
    Context(ValueLoc),
}

/// A call to a patchable function, emitted in its off form. Its bytes are
/// `[ret_addr - len, ret_addr)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PatchableCallSite {
    /// Offset of the instruction after the site.
    pub ret_addr: u32,
    /// Length in bytes.
    pub len: u8,
    /// The number the front end attached, `u32::MAX` if none.
    pub site: u32,
    /// The callee, an index into the function's table of external functions.
    pub callee: u32,
    /// Source location, `u32::MAX` if none.
    pub srcloc: u32,
    /// Range of its value map in [`CompiledCode::observed`].
    pub observed: (u32, u32),
}

/// A branch to a patch site, as that of a loop to the site at its head. While the site is off, it may as well lead
/// around it, so that going round the loop does not pass the site.
///
/// In the code as compiled it leads to the site, or to moves in front of it, so whoever ignores these is right. It is a
/// relative branch, on x86-64 `jmp` or `jcc` with one or four bytes of displacement, of which only the lowest byte needs
/// to be changed: branches for which that is not enough are not listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bypass {
    /// Offset of the branch's first byte.
    pub branch: u32,
    /// Offset of where it may lead.
    pub around: u32,
    /// [`PatchableCallSite::ret_addr`] of the site.
    pub ret_addr: u32,
}

/// An observed value at a patch site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedValue {
    /// The value's type.
    pub ty: Type,
    /// Where it is.
    pub loc: ValueLoc,
}

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueLoc {
    /// In a register.
    Reg(PReg),
    /// In memory, this many bytes from the frame pointer.
    Frame(i32),
    /// It is this constant (the bits of a float).
    Const(u64),
}
