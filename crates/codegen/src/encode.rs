//! The second walk: from selected instructions to bytes, top to bottom.
//!
//! Before it, the instructions are measured from the last to the first. At a forward branch the
//! distance to its target is then known up to an upper bound that is nearly exact, so the branch
//! gets its short form whenever that is sure to reach. A backward branch is decided when it is
//! written, by its exact distance; until its target is met, it is measured as long.

use crate::buffer::{
    BackwardBranch, Branch, Buffer, EncodeError, EncodeScratch, FixupForm, MAX_CODE, NO_BRANCH,
    NearSite, PackedPiece, Piece, Sink,
};
use crate::label::Label;
use crate::selected::{Chunk, Frame, Selected, SelectedHandler, SelectedLoc};
use crate::{CompiledCode, Handler, ObservedValue, PatchableCallSite, TryCallSite, ValueLoc};
use core::ops::Range;
use nopal_ir::Function;

/// The size of an instruction, or what it depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Measure {
    /// This many bytes.
    Size(u32),
    /// Binds a label.
    Bind(Label),
    /// A branch to a label.
    Branch { target: Label, forms: BranchForms },
    /// An unconditional branch to a label, omitted if it leads to what follows.
    Jump { target: Label, forms: BranchForms },
    /// A branch to a trap out of line.
    TrapBranch { forms: BranchForms },
    /// A patch site of this many bytes; padding comes on top.
    Site(u32),
}

/// The encodings of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BranchForms {
    /// Bytes of the short form.
    pub(crate) short: u32,
    /// Bytes of the long form.
    pub(crate) long: u32,
    /// How far beyond its own end the short form reaches.
    pub(crate) reach: u32,
    /// How far back from its own end the short form reaches.
    pub(crate) reach_back: u32,
}

/// An instruction set that can be encoded, implemented by its instruction type.
pub(crate) trait Encode: Copy {
    /// Where everything in the frame is.
    type Frame<'a>: Copy;

    /// Alignment of a function.
    const ALIGNMENT: u32;
    /// Alignment of where innermost loops go round to, at most that of a function; 1 is none.
    const LOOP_ALIGNMENT: u32;
    /// An instruction that traps.
    const TRAP: &'static [u8];
    /// A byte between the code and its constants; executed, it should trap.
    const FILLER: u8;
    /// The most padding a patch site needs.
    const MAX_SITE_PADDING: u32;

    /// Lay out the frame.
    fn layout(frame: &Frame) -> Result<Self::Frame<'_>, EncodeError>;
    /// Bytes of stack the frame takes, return address included.
    fn frame_size(frame: &Self::Frame<'_>) -> u32;
    /// The offset of a spill slot from the frame pointer.
    fn spill_offset(frame: &Self::Frame<'_>, slot: u32) -> i32;
    /// The size of the prologue.
    fn prologue_size(frame: &Self::Frame<'_>) -> u32;
    /// Write the prologue.
    fn prologue(frame: &Self::Frame<'_>, buffer: &mut Buffer<'_>);

    /// What stands in the place of an instruction whose bytes are known.
    fn known(bytes: PackedPiece) -> Self;
    /// The bytes, if [`Encode::known`] made it.
    fn bytes(&self) -> Option<&PackedPiece>;
    /// Measure the instruction. Its bytes go to `piece`, which is empty, and left so or open if more is
    /// needed than they.
    fn measure(&self, frame: &Self::Frame<'_>, piece: &mut Piece) -> Measure;
    /// Write the instruction. Each one measured as a branch takes [`Buffer::next_branch`].
    fn emit(&self, cx: &mut Context<'_, '_, Self>);

    /// The padding a patch site at `offset` needs before it.
    fn site_padding(offset: u32) -> u32;
    /// The size of a jump over `len` bytes.
    fn jump_over_size(len: u32) -> u32;
    /// Write a jump over the `len` bytes that follow it.
    fn jump_over(buffer: &mut Buffer<'_>, len: u32);
    /// Write `len` bytes that do nothing.
    fn pad(buffer: &mut Buffer<'_>, len: u32);
    /// Fill in the place `at` that refers to offset `target`.
    fn apply(form: FixupForm, code: &mut [u8], at: u32, target: i64);
}

/// What instructions are written with.
pub(crate) struct Context<'a, 'b, I: Encode> {
    pub(crate) buffer: Buffer<'b>,
    pub(crate) frame: I::Frame<'a>,
    pub(crate) selected: &'a Selected<I>,
    pub(crate) func: &'a Function,
}

/// How many instructions into a chunk a patch site is looked for, to pad before the chunk.
const SITE_LOOKAHEAD: usize = 8;

/// No instruction is measured larger than this.
const MAX_INST_SIZE: u64 = 64;

/// Encode a selected function. Measuring leaves bytes in the place of most instructions. `out` is empty but for
/// memory to be used again; after an error its content is unspecified.
pub(crate) fn encode<I: Encode>(
    selected: &mut Selected<I>,
    func: &Function,
    out: &mut CompiledCode,
    scratch: &mut EncodeScratch,
) -> Result<(), EncodeError> {
    let mut insts = core::mem::take(&mut selected.insts);
    let bound = I::layout(&selected.frame).and_then(|frame| {
        scratch.reset(selected.labels.len());
        measure(selected, &mut insts, &frame, scratch)
    });
    selected.insts = insts;
    let bound = bound?;
    let frame = I::layout(&selected.frame)?;
    out.alignment = I::ALIGNMENT;
    out.frame_size = I::frame_size(&frame);

    let buffer = Buffer::new(out, scratch, bound);
    let mut cx = Context {
        buffer,
        frame,
        selected,
        func,
    };
    I::prologue(&frame, &mut cx.buffer);
    cx.chunks();
    cx.finish();
    cx.buffer.finish()
}

/// Measure all instructions from the last to the first, and decide the forms of forward branches.
/// Gives an upper bound of the size of everything.
fn measure<I: Encode>(
    selected: &Selected<I>,
    all: &mut [I],
    frame: &I::Frame<'_>,
    scratch: &mut EncodeScratch,
) -> Result<u32, EncodeError> {
    let tables = selected.jump_table_labels.len() + selected.jump_tables.len() + 1;
    let data = 16 * (selected.constants.len() as u64 + 1) + 4 * tables as u64;
    let chunks = (MAX_INST_SIZE + u64::from(I::LOOP_ALIGNMENT)) * selected.chunks.len() as u64;
    // Moves of backward edges may be written twice.
    if 2 * MAX_INST_SIZE * (all.len() as u64 + 8) + chunks + data > 2 * MAX_CODE {
        return Err(EncodeError::TooLarge);
    }
    let has_sites = !selected.sites.is_empty();
    scratch.has_sites = has_sites;
    let mut walk = MeasureWalk {
        selected,
        scratch,
        size: 0,
        insts: 0,
        traps: 0,
    };
    for chunk in selected.chunks.iter().rev() {
        let range = chunk.insts.start as usize..chunk.insts.end as usize;
        let (mut size, mut insts) = (walk.size, walk.insts);
        for inst in &mut all[range] {
            let mut piece = Piece::default();
            match inst.measure(frame, &mut piece) {
                Measure::Size(inst_size) => {
                    size += inst_size;
                    insts += u32::from(inst_size != 0);
                    if piece.is_closed() {
                        *inst = I::known(piece.pack());
                    }
                }
                special => {
                    (walk.size, walk.insts) = (size, insts);
                    walk.special::<I>(special);
                    (size, insts) = (walk.size, walk.insts);
                }
            }
        }
        let chunk_size = size - walk.size;
        (walk.size, walk.insts) = (size, insts);
        if let Some(Some(site)) = walk.scratch.near_sites.last()
            && is_led_around(chunk, site)
        {
            // Written twice: see `Context::latch`.
            walk.size += jump_over_size::<I>(chunk_size) + chunk_size;
        }
        let mut padded = false;
        if has_sites {
            let site = near_site(all, chunk, frame);
            padded = site.is_some();
            walk.scratch.near_sites.push(site);
        }
        if padded {
            // The site needs no padding of its own; see `Context::chunk`.
            walk.size -= I::MAX_SITE_PADDING;
        }
        walk.bind(chunk.label);
        if padded {
            walk.size += I::MAX_SITE_PADDING;
        }
        if chunk.loop_header {
            walk.size += I::LOOP_ALIGNMENT - 1;
        }
    }
    let (size, traps) = (walk.size, walk.traps);
    let traps = u64::from(traps) * I::TRAP.len() as u64;
    let total = u64::from(size) + u64::from(I::prologue_size(frame)) + traps + data;
    if total > MAX_CODE {
        Err(EncodeError::TooLarge)
    } else {
        Ok(total as u32)
    }
}

/// The state of [`measure`]: what lies between here and the end of the last chunk.
struct MeasureWalk<'a, I> {
    selected: &'a Selected<I>,
    scratch: &'a mut EncodeScratch,
    /// At most this many bytes.
    size: u32,
    /// Instructions that have bytes.
    insts: u32,
    /// Branches to traps.
    traps: u32,
}

impl<S> MeasureWalk<'_, S> {
    fn special<I: Encode>(&mut self, measure: Measure) {
        let size = match measure {
            Measure::Size(size) => size,
            Measure::Bind(label) => return self.bind(label),
            Measure::Site(size) => size + I::MAX_SITE_PADDING,
            Measure::Branch { target, forms } => self.branch(target, forms, false),
            Measure::Jump { target, forms } => self.branch(target, forms, true),
            Measure::TrapBranch { forms } => {
                let distance = self.size + self.traps * I::TRAP.len() as u32;
                self.traps += 1;
                let short = distance <= forms.reach;
                self.decide(if short { Branch::Short } else { Branch::Long }, forms)
            }
        };
        debug_assert!(u64::from(size) <= MAX_INST_SIZE);
        self.size += size;
        self.insts += u32::from(size != 0);
    }

    #[inline]
    fn bind(&mut self, label: Label) {
        let backward = self.scratch.labels[label.index()].backward;
        if backward != NO_BRANCH {
            self.shrink_backward(backward);
        }
        let state = &mut self.scratch.labels[label.index()];
        state.from_end = self.size;
        state.insts_from_end = self.insts;
        self.scratch.measured.push(label);
    }

    /// The target of a list of backward branches is here. Those that are sure to be short have
    /// been measured too large, and so has all between them and here. That is no more than the
    /// short form reaches, so there is little to correct.
    #[cold]
    fn shrink_backward(&mut self, mut branch: u32) {
        while branch != NO_BRANCH {
            let BackwardBranch {
                from_end,
                saving,
                reach,
                labels,
                next,
            } = self.scratch.backward[branch as usize];
            if self.size - saving - from_end <= reach {
                self.size -= saving;
                for label in &self.scratch.measured[labels as usize..] {
                    self.scratch.labels[label.index()].from_end -= saving;
                }
                for later in &mut self.scratch.backward[branch as usize + 1..] {
                    later.from_end -= saving;
                }
            }
            branch = next;
        }
    }

    /// Decide the form of a branch; gives its size.
    #[inline]
    fn branch(&mut self, target: Label, forms: BranchForms, jump: bool) -> u32 {
        let target = self.selected.resolve(target).index();
        let state = self.scratch.labels[target];
        let branch = if !state.is_measured() {
            self.scratch.labels[target].backward = self.scratch.backward.len() as u32;
            self.scratch.backward.push(BackwardBranch {
                from_end: self.size,
                saving: forms.long - forms.short,
                reach: forms.reach_back,
                labels: self.scratch.measured.len() as u32,
                next: state.backward,
            });
            Branch::Backward
        } else if jump && state.insts_from_end == self.insts {
            Branch::Omitted
        } else if self.size - state.from_end <= forms.reach {
            Branch::Short
        } else {
            Branch::Long
        };
        self.decide(branch, forms)
    }

    /// Note the decision; gives the size.
    #[inline]
    fn decide(&mut self, branch: Branch, forms: BranchForms) -> u32 {
        self.scratch.branches.push(branch);
        match branch {
            Branch::Omitted => 0,
            Branch::Short => forms.short,
            Branch::Long | Branch::Backward => forms.long,
        }
    }
}

/// Whether a chunk is moves of backward edges to a patch site, the first one of the next chunk.
fn is_led_around(chunk: &Chunk, next: &NearSite) -> bool {
    chunk.latch && next.distance == 0
}

/// The size of a jump over `len` bytes, which is left out if there are none.
fn jump_over_size<I: Encode>(len: u32) -> u32 {
    if len == 0 { 0 } else { I::jump_over_size(len) }
}

/// The patch site near the start of a chunk whose instructions have been measured.
fn near_site<I: Encode>(insts: &[I], chunk: &Chunk, frame: &I::Frame<'_>) -> Option<NearSite> {
    let mut distance = 0;
    for n in chunk.insts.clone().rev().take(SITE_LOOKAHEAD) {
        let inst = &insts[n as usize];
        if let Some(bytes) = inst.bytes() {
            distance += Piece::unpack(bytes).len();
            continue;
        }
        match inst.measure(frame, &mut Piece::default()) {
            Measure::Site(len) => return Some(NearSite { distance, len }),
            Measure::Size(size) => distance += size,
            _ => return None,
        }
    }
    None
}

impl<'a, I: Encode> Context<'a, '_, I> {
    fn chunks(&mut self) {
        let mut chunks = self.selected.chunks.iter();
        while let Some(chunk) = chunks.next() {
            let site = self.buffer.scratch.near_sites.pop().flatten();
            if let Some(&Some(next)) = self.buffer.scratch.near_sites.last()
                && is_led_around(chunk, &next)
                && let Some(header) = chunks.next()
            {
                self.buffer.scratch.near_sites.pop();
                self.latch(chunk, header, next);
            } else {
                self.chunk(chunk, site);
            }
        }
    }

    fn chunk(&mut self, chunk: &Chunk, site: Option<NearSite>) {
        if chunk.loop_header {
            // While a site at its top is off, a loop goes round to what follows: see `Bypass`.
            let at_top = site.filter(|site| site.distance == 0);
            let offset = self.buffer.offset() + at_top.map_or(0, |site| site.len);
            let padding = offset.next_multiple_of(I::LOOP_ALIGNMENT) - offset;
            I::pad(&mut self.buffer, padding);
        }
        // Padding before the label is executed less often than padding before the site: not by
        // the back edge of a loop, and not at all after a jump.
        if let Some(site) = site {
            let padding = I::site_padding(self.buffer.offset() + site.distance);
            I::pad(&mut self.buffer, padding);
        }
        self.buffer.bind(chunk.label);
        if let Some(NearSite { distance: 0, len }) = site {
            let end = self.buffer.offset() + len;
            self.buffer.bypass(chunk.label, end, end);
        }
        self.insts(chunk.insts.clone());
    }

    /// Moves of backward edges to a site, which is the first instruction of the chunk that follows.
    ///
    /// While the site is off, backward edges lead to moves that run on into what is behind the site. Others like
    /// these, in front of the site, are for when it is on, and both paths join by a jump:
    ///
    /// ```text
    /// latch:      moves
    /// header:     site
    ///             jump to `behind`
    /// around:     moves
    /// behind:     the rest of the chunk
    /// ```
    fn latch(&mut self, latch: &Chunk, header: &Chunk, site: NearSite) {
        let size = self.size_of(latch);
        let around = size + site.len + jump_over_size::<I>(size);
        if latch.loop_header {
            let offset = self.buffer.offset() + around;
            let padding = offset.next_multiple_of(I::LOOP_ALIGNMENT) - offset;
            I::pad(&mut self.buffer, padding);
        }
        let padding = I::site_padding(self.buffer.offset() + size);
        I::pad(&mut self.buffer, padding);
        self.buffer.bind(latch.label);
        self.insts(latch.insts.clone());
        self.buffer.bind(header.label);
        let first = header.insts.end - 1;
        self.insts(first..header.insts.end);
        let ret_addr = self.buffer.offset();
        if size != 0 {
            I::jump_over(&mut self.buffer, size);
        }
        let around = self.buffer.offset();
        self.buffer.bypass(latch.label, around, ret_addr);
        self.insts(latch.insts.clone());
        let behind = self.buffer.offset();
        debug_assert_eq!(behind - around, size, "the moves measured");
        self.buffer.bypass(header.label, behind, ret_addr);
        self.insts(header.insts.start..first);
    }

    /// Bytes of a chunk without branches.
    fn size_of(&self, chunk: &Chunk) -> u32 {
        let range = chunk.insts.start as usize..chunk.insts.end as usize;
        let size = |inst: &I| match inst.bytes() {
            Some(bytes) => Piece::unpack(bytes).len(),
            None => match inst.measure(&self.frame, &mut Piece::default()) {
                Measure::Size(size) => size,
                special => unreachable!("{special:?} among moves"),
            },
        };
        self.selected.insts[range].iter().map(size).sum()
    }

    /// Write instructions, which are stored last first.
    fn insts(&mut self, range: Range<u32>) {
        let range = range.start as usize..range.end as usize;
        for inst in self.selected.insts[range].iter().rev() {
            match inst.bytes() {
                Some(bytes) => self.buffer.put_piece(Piece::unpack(bytes)),
                None => self.emit(inst),
            }
        }
    }

    /// Write an instruction that is not known by its bytes.
    fn emit(&mut self, inst: &I) {
        let start = self.buffer.offset();
        inst.emit(self);
        if cfg!(debug_assertions)
            && let Measure::Size(size) = inst.measure(&self.frame, &mut Piece::default())
        {
            assert_eq!(self.buffer.offset() - start, size, "the size measured");
        }
    }

    /// Write what follows the last chunk, and fill in all references.
    fn finish(&mut self) {
        let selected = self.selected;
        self.buffer.place_traps(I::TRAP);
        self.buffer.place_constants(&selected.constants, I::FILLER);
        for table in &selected.jump_tables {
            let labels = &selected.jump_table_labels[table.start as usize..table.end as usize];
            self.buffer
                .place_table(labels.iter().map(|&l| selected.resolve(l)), I::FILLER);
        }
        self.place_handlers();
        self.buffer.apply_fixups(I::apply);
        self.buffer.list_bypasses();
    }

    /// The call just written has handlers. Labels stand for their offsets until all are bound.
    pub(crate) fn handlers(&mut self, number: u32) {
        let range = self.selected.try_calls[number as usize].clone();
        let first = self.buffer.out.handlers.len() as u32;
        for handler in &self.selected.handlers[range.start as usize..range.end as usize] {
            let offset_of = |label| self.selected.resolve(label).index() as u32;
            let handler = match *handler {
                SelectedHandler::Tag(tag, label) => Handler::Tag {
                    tag,
                    offset: offset_of(label),
                },
                SelectedHandler::Default(label) => Handler::Default {
                    offset: offset_of(label),
                },
                SelectedHandler::Context(loc) => Handler::Context(self.value_loc(loc)),
            };
            self.buffer.out.handlers.push(handler);
        }
        let handlers = (first, self.buffer.out.handlers.len() as u32);
        let ret_addr = self.buffer.offset();
        self.buffer
            .out
            .try_calls
            .push(TryCallSite { ret_addr, handlers });
    }

    /// Replace the labels of handlers by their offsets.
    fn place_handlers(&mut self) {
        let mut handlers = core::mem::take(&mut self.buffer.out.handlers);
        for handler in &mut handlers {
            if let Handler::Tag { offset, .. } | Handler::Default { offset } = handler {
                *offset = self.buffer.label_offset(Label::new(*offset as usize));
            }
        }
        self.buffer.out.handlers = handlers;
    }

    /// Where a value is, in the frame as laid out.
    fn value_loc(&self, loc: SelectedLoc) -> ValueLoc {
        match loc {
            SelectedLoc::Reg(r) => ValueLoc::Reg(r),
            SelectedLoc::Spill(slot) => ValueLoc::Frame(I::spill_offset(&self.frame, slot)),
            SelectedLoc::Frame(offset) => ValueLoc::Frame(offset),
            SelectedLoc::Const(bits) => ValueLoc::Const(bits),
        }
    }

    /// Make sure that a patch site can be written here.
    pub(crate) fn pad_site(&mut self) {
        let padding = I::site_padding(self.buffer.offset());
        if padding != 0 {
            I::pad(&mut self.buffer, padding);
        }
    }

    /// The last `len` bytes written are patch site number `site`.
    pub(crate) fn patch_site(&mut self, site: u32, len: u8) {
        let site = &self.selected.sites[site as usize];
        let ret_addr = self.buffer.offset();
        let first = self.buffer.out.observed.len() as u32;
        let range = site.observed.start as usize..site.observed.end as usize;
        for &(ty, loc) in &self.selected.observed[range] {
            let loc = self.value_loc(loc);
            self.buffer.out.observed.push(ObservedValue { ty, loc });
        }
        self.buffer.out.patch_sites.push(PatchableCallSite {
            ret_addr,
            len,
            site: site.site,
            callee: site.callee.as_u32(),
            srcloc: site.srcloc.bits(),
            observed: (first, self.buffer.out.observed.len() as u32),
        });
    }
}

#[cfg(test)]
mod tests;
