//! Code while it is written: bytes, labels, and the places filled in when all offsets are known.

use crate::label::Label;
use crate::selected::Constant;
use crate::{Bypass, CallSite, CompiledCode, Reloc, RelocKind, Trap};
use core::fmt;
use nopal_ir::{ExternalName, FuncRef, Function, SourceLoc, TrapCode};

/// Why a function cannot be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EncodeError {
    /// The code, with its constants and tables, is larger than 2 GiB.
    TooLarge,
    /// The frame is larger than [`MAX_FRAME`].
    FrameTooLarge,
    /// An address in the frame is more than 2 GiB away from the frame pointer.
    FrameOffset,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLarge => f.write_str("the code is larger than 2 GiB"),
            EncodeError::FrameTooLarge => f.write_str("the frame is larger than 1 GiB"),
            EncodeError::FrameOffset => f.write_str("an offset into a stack slot is out of range"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// The largest frame in bytes. Leaves room for offsets that step out of it.
pub(crate) const MAX_FRAME: u64 = 1 << 30;

/// The largest size of the code of one function with its constants and tables.
pub(crate) const MAX_CODE: u64 = i32::MAX as u64;

/// How a place in the code depends on the offset it refers to. Each target defines its own forms
/// and applies them in [`crate::encode::Encode::apply`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FixupForm(u8);

impl FixupForm {
    pub(crate) const fn new(number: u8) -> FixupForm {
        FixupForm(number)
    }
}

/// What a place in the code refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Label(Label),
    /// A trap out of line, by its number.
    Trap(u32),
    /// A constant of the pool.
    Constant(u32),
    /// A jump table.
    Table(u32),
}

/// A place to be filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixup {
    pub(crate) at: u32,
    pub(crate) form: FixupForm,
    pub(crate) addend: i8,
    pub(crate) target: Target,
}

/// How a branch is to be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Branch {
    /// Not at all: it leads to what follows.
    Omitted,
    /// Forward, by the short form.
    Short,
    /// Forward, by the long form.
    Long,
    /// To code already written.
    Backward,
}

/// Takes the bytes of instructions.
pub(crate) trait Sink {
    /// Append the low `len` bytes of `bytes`, 1 to 8.
    fn put(&mut self, bytes: u64, len: u32);
    /// Append an instruction, or what comes first of one.
    fn put_piece(&mut self, piece: Piece);
    /// What begins `back` bytes back depends on the offset of `target`, and `addend`.
    fn refer(&mut self, back: u32, addend: i8, form: FixupForm, target: Target);
    /// The instruction appended next may trap.
    fn trap(&mut self, code: TrapCode, srcloc: SourceLoc);
    /// An address cannot be expressed.
    fn fail(&mut self, error: EncodeError);
}

/// Counts bytes.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) len: u32,
}

impl Sink for Counter {
    #[inline(always)]
    fn put(&mut self, _bytes: u64, len: u32) {
        self.len += len;
    }
    #[inline(always)]
    fn put_piece(&mut self, piece: Piece) {
        self.len += piece.len();
    }
    #[inline(always)]
    fn refer(&mut self, _back: u32, _addend: i8, _form: FixupForm, _target: Target) {}
    #[inline(always)]
    fn trap(&mut self, _code: TrapCode, _srcloc: SourceLoc) {}
    #[inline(always)]
    fn fail(&mut self, _error: EncodeError) {}
}

/// An instruction of up to 14 bytes. The byte after the last has their number, and whether it is open: it
/// depends on something that is known later, or cannot be expressed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Piece(u128);

/// A [`Piece`] that is closed, small enough to take the place of the instruction whose bytes it has.
pub(crate) type PackedPiece = [u8; 15];

impl Piece {
    /// The most bytes.
    const MAX: u32 = 14;
    const LEN_SHIFT: u32 = 8 * Self::MAX;
    const OPEN: u128 = 1 << (Self::LEN_SHIFT + 7);

    #[inline(always)]
    pub(crate) fn pack(self) -> PackedPiece {
        debug_assert!(self.is_closed());
        let mut packed = PackedPiece::default();
        packed.copy_from_slice(&self.0.to_le_bytes()[..15]);
        packed
    }

    #[inline(always)]
    pub(crate) fn unpack(packed: &PackedPiece) -> Piece {
        // Two loads that overlap.
        let [low, high] = [0, 7].map(|at| {
            let bytes = packed[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        });
        Piece(u128::from(low) | u128::from(high >> 8) << 64)
    }

    /// The low `len` bytes of `bytes`, up to 8; the others are 0.
    #[inline(always)]
    pub(crate) fn new(bytes: u64, len: u32) -> Piece {
        Piece(u128::from(bytes) | u128::from(len) << Self::LEN_SHIFT)
    }

    /// The low `len` bytes of `bytes`, 1 to 7, then the low `then_len` of `then`, up to 8. The
    /// others are 0.
    #[inline(always)]
    pub(crate) fn pair(bytes: u64, len: u32, then: u64, then_len: u32) -> Piece {
        let low = bytes | then << (8 * len);
        let high = then >> (64 - 8 * len) | u64::from(len + then_len) << (Self::LEN_SHIFT - 64);
        Piece(u128::from(low) | u128::from(high) << 64)
    }

    /// Append the low `len` bytes of `bytes`, 1 to 8. No more than 14 may be there then.
    #[inline(always)]
    fn append(&mut self, bytes: u64, len: u32) {
        debug_assert!(self.len() + len <= Self::MAX);
        let bytes = bytes & (u64::MAX >> (64 - 8 * len));
        self.0 |= u128::from(bytes) << (8 * self.len());
        self.0 += u128::from(len) << Self::LEN_SHIFT;
    }

    /// The same, but open.
    #[inline]
    #[must_use]
    pub(crate) fn open(self) -> Piece {
        Piece(self.0 | Self::OPEN)
    }

    #[inline(always)]
    pub(crate) fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    /// Whether it has bytes, and they are all there is.
    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        (1 << Self::LEN_SHIFT..Self::OPEN).contains(&self.0)
    }

    #[inline(always)]
    pub(crate) fn len(self) -> u32 {
        (self.0 >> Self::LEN_SHIFT) as u32 & 15
    }

    #[cfg(test)]
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.to_le_bytes()[..self.len() as usize].to_vec()
    }
}

/// The sink of one instruction.
impl Sink for Piece {
    #[inline(always)]
    fn put(&mut self, bytes: u64, len: u32) {
        self.append(bytes, len);
    }
    #[inline(always)]
    fn put_piece(&mut self, piece: Piece) {
        debug_assert_eq!(self.0, 0);
        *self = piece;
    }
    fn refer(&mut self, _back: u32, _addend: i8, _form: FixupForm, _target: Target) {
        *self = self.open();
    }
    fn trap(&mut self, _code: TrapCode, _srcloc: SourceLoc) {
        *self = self.open();
    }
    fn fail(&mut self, _error: EncodeError) {
        *self = self.open();
    }
}

/// Not bound yet.
const UNBOUND: u32 = u32::MAX;

/// What is known of a label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelState {
    /// Its offset in the code.
    offset: u32,
    /// At most this many bytes are between it and the end of the last chunk.
    pub(crate) from_end: u32,
    /// The number of instructions between it and the end of the last chunk that have bytes.
    pub(crate) insts_from_end: u32,
    /// The last of [`EncodeScratch::backward`] that leads to it, or [`NO_BRANCH`].
    pub(crate) backward: u32,
    /// Where branches to it may lead while a site is off, and the end of that.
    around: u32,
    ret_addr: u32,
}

/// No backward branch.
pub(crate) const NO_BRANCH: u32 = u32::MAX;

/// A branch whose target had not been met when it was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackwardBranch {
    /// At most this many bytes are between its end and the end of the last chunk.
    pub(crate) from_end: u32,
    /// How much smaller the short form is.
    pub(crate) saving: u32,
    /// How far back from its end the short form reaches.
    pub(crate) reach: u32,
    /// The number of labels met before it.
    pub(crate) labels: u32,
    /// Another one to the same label, or [`NO_BRANCH`].
    pub(crate) next: u32,
}

/// A patch site near the start of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NearSite {
    /// Bytes before it.
    pub(crate) distance: u32,
    /// Bytes of it.
    pub(crate) len: u32,
}

impl LabelState {
    /// Whether the walk that measures has met it.
    pub(crate) fn is_measured(&self) -> bool {
        self.from_end != UNBOUND
    }
}

/// A trap out of line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct DeferredTrap {
    code: TrapCode,
    srcloc: SourceLoc,
}

/// A branch to a label, written.
#[derive(Clone, Copy, Debug)]
struct ListedBranch {
    /// The offset of its first byte.
    branch: u32,
    label: Label,
    opcode_len: u8,
    /// Whether the displacement has one byte, not four.
    short: bool,
}

/// Tables used while encoding, kept from function to function.
#[derive(Default)]
pub(crate) struct EncodeScratch {
    pub(crate) labels: Vec<LabelState>,
    /// The decision for each branch, last branch first.
    pub(crate) branches: Vec<Branch>,
    /// The labels measured, last label first.
    pub(crate) measured: Vec<Label>,
    /// Backward branches, last branch first.
    pub(crate) backward: Vec<BackwardBranch>,
    /// The patch site near the start of each chunk, last chunk first. Empty if there are no sites at all.
    pub(crate) near_sites: Vec<Option<NearSite>>,
    /// Whether there are patch sites.
    pub(crate) has_sites: bool,
    /// Branches to labels in code order, if there are patch sites.
    listed: Vec<ListedBranch>,
    fixups: Vec<Fixup>,
    traps: Vec<DeferredTrap>,
    trap_offsets: Vec<u32>,
    /// Numbers of constants in the order of the pool.
    constant_order: Vec<u32>,
    constant_offsets: Vec<u32>,
    table_offsets: Vec<u32>,
}

impl EncodeScratch {
    /// Empty all tables, and prepare for `num_labels` labels.
    pub(crate) fn reset(&mut self, num_labels: usize) {
        let unbound = LabelState {
            offset: UNBOUND,
            from_end: UNBOUND,
            insts_from_end: 0,
            backward: NO_BRANCH,
            around: UNBOUND,
            ret_addr: UNBOUND,
        };
        self.labels.clear();
        self.labels.resize(num_labels, unbound);
        self.branches.clear();
        self.measured.clear();
        self.backward.clear();
        self.near_sites.clear();
        self.listed.clear();
        self.fixups.clear();
        self.traps.clear();
        self.trap_offsets.clear();
        self.constant_order.clear();
        self.constant_offsets.clear();
        self.table_offsets.clear();
    }
}

/// A function's code while it is written.
pub(crate) struct Buffer<'a> {
    pub(crate) out: &'a mut CompiledCode,
    pub(crate) scratch: &'a mut EncodeScratch,
    /// The number of bytes written; there is room for more behind them.
    len: usize,
    error: Option<EncodeError>,
}

/// Room at the end of the code, so that writes of a fixed size fit.
const MARGIN: usize = 16;

impl Sink for Buffer<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: u64, len: u32) {
        // A fixed-size copy is one store; what lies past `len` is overwritten by what follows.
        self.out.code[self.len..self.len + 8].copy_from_slice(&bytes.to_le_bytes());
        self.len += len as usize;
    }

    #[inline(always)]
    fn put_piece(&mut self, piece: Piece) {
        self.out.code[self.len..self.len + 16].copy_from_slice(&piece.0.to_le_bytes());
        self.len += piece.len() as usize;
    }

    #[inline]
    fn refer(&mut self, back: u32, addend: i8, form: FixupForm, target: Target) {
        let at = self.offset() - back;
        self.scratch.fixups.push(Fixup {
            at,
            form,
            addend,
            target,
        });
    }

    #[inline]
    fn trap(&mut self, code: TrapCode, srcloc: SourceLoc) {
        let offset = self.offset();
        self.out.traps.push(Trap {
            offset,
            code,
            srcloc: srcloc.bits(),
        });
    }

    #[cold]
    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

impl<'a> Buffer<'a> {
    /// A buffer for at most `bound` bytes.
    pub(crate) fn new(
        out: &'a mut CompiledCode,
        scratch: &'a mut EncodeScratch,
        bound: u32,
    ) -> Self {
        out.code.resize(bound as usize + MARGIN, 0);
        Self {
            out,
            scratch,
            len: 0,
            error: None,
        }
    }

    /// The code is complete.
    pub(crate) fn finish(self) -> Result<(), EncodeError> {
        self.out.code.truncate(self.len);
        self.error.map_or(Ok(()), Err)
    }

    /// Append any number of bytes.
    fn append(&mut self, bytes: &[u8]) {
        self.out.code[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The offset of the next byte.
    #[inline(always)]
    pub(crate) fn offset(&self) -> u32 {
        self.len as u32
    }

    /// Bind `label` here.
    #[inline]
    pub(crate) fn bind(&mut self, label: Label) {
        let offset = self.offset();
        self.scratch.labels[label.index()].offset = offset;
    }

    /// The offset of a label that is bound.
    #[inline]
    pub(crate) fn label_offset(&self, label: Label) -> u32 {
        let offset = self.scratch.labels[label.index()].offset;
        assert!(offset != UNBOUND, "a branch to a label that is not bound");
        offset
    }

    /// A branch to a label begins here: this many bytes of opcode, then one or four of displacement.
    #[inline]
    pub(crate) fn branch_to(&mut self, label: Label, opcode_len: u32, short: bool) {
        if self.scratch.has_sites {
            let branch = self.offset();
            self.scratch.listed.push(ListedBranch {
                branch,
                label,
                opcode_len: opcode_len as u8,
                short,
            });
        }
    }

    /// While the site that ends at `ret_addr` is off, branches to `label` may lead to `around`.
    pub(crate) fn bypass(&mut self, label: Label, around: u32, ret_addr: u32) {
        let state = &mut self.scratch.labels[label.index()];
        (state.around, state.ret_addr) = (around, ret_addr);
    }

    /// List the branches that may lead around sites. All displacements are in place.
    pub(crate) fn list_bypasses(&mut self) {
        for listed in &self.scratch.listed {
            let state = &self.scratch.labels[listed.label.index()];
            if state.around == UNBOUND {
                continue;
            }
            let at = listed.branch as usize + usize::from(listed.opcode_len);
            let displacement = self.out.code[at];
            let farther = u8::try_from(state.around - state.offset).ok();
            let is_enough = farther.is_some_and(|farther| match listed.short {
                true => (displacement as i8).checked_add_unsigned(farther).is_some(),
                false => displacement.checked_add(farther).is_some(),
            });
            if is_enough {
                self.out.bypasses.push(Bypass {
                    branch: listed.branch,
                    around: state.around,
                    ret_addr: state.ret_addr,
                });
            }
        }
    }

    /// The decision for the next branch in code order.
    #[inline]
    pub(crate) fn next_branch(&mut self) -> Branch {
        self.scratch
            .branches
            .pop()
            .expect("every branch has been measured")
    }

    /// A trap to be placed after the last chunk.
    pub(crate) fn defer_trap(&mut self, code: TrapCode, srcloc: SourceLoc) -> Target {
        self.scratch.traps.push(DeferredTrap { code, srcloc });
        Target::Trap(self.scratch.traps.len() as u32 - 1)
    }

    /// The instruction written last is a call.
    pub(crate) fn call_site(&mut self, srcloc: SourceLoc) {
        let ret_addr = self.offset();
        self.out.call_sites.push(CallSite {
            ret_addr,
            srcloc: srcloc.bits(),
        });
    }

    /// The bytes that follow depend on the address of an external function.
    pub(crate) fn reloc(&mut self, kind: RelocKind, func: &Function, callee: u32, addend: i64) {
        self.reloc_to(kind, &func.ext_func(FuncRef::from_u32(callee)).name, addend);
    }

    /// The bytes that follow depend on the address of a symbol.
    pub(crate) fn reloc_to(&mut self, kind: RelocKind, target: &ExternalName, addend: i64) {
        self.out.relocs.push(Reloc {
            offset: self.offset(),
            kind,
            target: target.clone(),
            addend,
        });
    }

    /// Place the traps out of line, the last first: that keeps each close to its branch, and its
    /// distance known before those of earlier branches are. Neighbours that are alike share one.
    pub(crate) fn place_traps(&mut self, bytes: &[u8]) {
        /// How many traps back a like one is looked for.
        const WINDOW: usize = 8;
        let traps = core::mem::take(&mut self.scratch.traps);
        self.scratch.trap_offsets.resize(traps.len(), UNBOUND);
        for (number, trap) in traps.iter().enumerate().rev() {
            let later = &traps[number + 1..traps.len().min(number + 1 + WINDOW)];
            let offset = match later.iter().position(|t| t == trap) {
                Some(n) => self.scratch.trap_offsets[number + 1 + n],
                None => {
                    self.trap(trap.code, trap.srcloc);
                    let offset = self.offset();
                    self.append(bytes);
                    offset
                }
            };
            self.scratch.trap_offsets[number] = offset;
        }
        self.scratch.traps = traps;
    }

    /// Place the constants, largest first so that no room is lost to alignment, equal ones once.
    pub(crate) fn place_constants(&mut self, constants: &[Constant], filler: u8) {
        let mut order = core::mem::take(&mut self.scratch.constant_order);
        order.extend(0..constants.len() as u32);
        let key = |&n: &u32| {
            let c = &constants[n as usize];
            (core::cmp::Reverse(c.size), c.bytes)
        };
        order.sort_unstable_by_key(|n| (key(n), *n));
        self.scratch
            .constant_offsets
            .resize(constants.len(), UNBOUND);
        let mut previous = None;
        for &n in &order {
            let constant = &constants[n as usize];
            let offset = match previous {
                Some((same, offset)) if same == key(&n) => offset,
                _ => {
                    self.align(constant.size.into(), filler);
                    let offset = self.offset();
                    let bytes = &constant.bytes[..constant.size.into()];
                    self.append(bytes);
                    offset
                }
            };
            previous = Some((key(&n), offset));
            self.scratch.constant_offsets[n as usize] = offset;
        }
        self.scratch.constant_order = order;
    }

    /// Place a jump table: for each target its distance from the table, in 4 bytes.
    pub(crate) fn place_table(&mut self, targets: impl Iterator<Item = Label>, filler: u8) {
        self.align(4, filler);
        let table = self.offset();
        self.scratch.table_offsets.push(table);
        for target in targets {
            let distance = self.label_offset(target).wrapping_sub(table);
            self.append(&distance.to_le_bytes());
        }
    }

    /// Fill in all places; `apply` is given the code, the place and the offset it refers to, with
    /// the addend.
    pub(crate) fn apply_fixups(&mut self, apply: impl Fn(FixupForm, &mut [u8], u32, i64)) {
        let fixups = core::mem::take(&mut self.scratch.fixups);
        for fixup in &fixups {
            let target = match fixup.target {
                Target::Label(label) => self.label_offset(label),
                Target::Trap(n) => self.scratch.trap_offsets[n as usize],
                Target::Constant(n) => self.scratch.constant_offsets[n as usize],
                Target::Table(n) => self.scratch.table_offsets[n as usize],
            };
            let target = i64::from(target) + i64::from(fixup.addend);
            apply(fixup.form, &mut self.out.code, fixup.at, target);
        }
        self.scratch.fixups = fixups;
    }

    /// Append `filler` up to a multiple of `alignment`.
    fn align(&mut self, alignment: usize, filler: u8) {
        let len = self.len.next_multiple_of(alignment);
        self.out.code[self.len..len].fill(filler);
        self.len = len;
    }
}
