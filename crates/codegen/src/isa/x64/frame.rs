//! The frame: what is where in it, how it is made and taken down.
//!
//! ```text
//! rbp + 16     incoming stack arguments
//! rbp + 8      return address
//! rbp          caller's rbp
//! rbp - 8      callee-saved registers, in the order of their numbers, vector registers last
//!              spill cells
//!              explicit stack slots, aligned to 16
//! rsp          outgoing stack arguments
//! ```

use super::encode::integer::{alu_mr, alu_ri, lea, load_zx, mov_ri, mov_rr, pop, push};
use super::encode::{control, float};
use super::inst::{Alu, Cc, Mem, Size};
use super::regs::{R11, RAX, RBP, RSP, VECTORS};
use crate::buffer::{Counter, EncodeError, MAX_FRAME, Sink};
use crate::selected::Frame;
use crate::{PReg, RegSet};
use nopal_ir::{SourceLoc, StackSlotData, TrapCode};

/// Alignment of the stack pointer at calls (System V ABI), and of the area of stack slots.
pub(crate) const STACK_ALIGNMENT: u64 = 16;

/// The least size of the guard below a stack, in bytes.
const GUARD: u32 = 4096;

/// Bytes of a vector register as far as it is saved.
const VECTOR_SIZE: i32 = 16;

/// Up to this many pages are probed without a loop.
const UNROLLED_PROBES: u32 = 4;

/// Offsets of everything in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLayout<'a> {
    /// Saved general registers, which are pushed.
    saved: RegSet,
    /// Saved vector registers.
    saved_vectors: RegSet,
    spill_cells: &'a [u32],
    /// Bytes of pushed registers, `rbp` aside.
    pushed: u32,
    /// Bytes of saved registers, `rbp` aside.
    saved_size: u32,
    /// The area of stack slots, from `rbp`.
    slots: i32,
    /// What is subtracted from `rsp` after the pushes.
    below_pushed: u32,
    /// Bytes of arguments that are taken off the stack on return.
    pub(super) popped: u16,
    pub(super) prologue_size: u32,
    pub(super) epilogue_size: u32,
}

impl<'a> FrameLayout<'a> {
    pub(super) fn new(frame: &'a Frame) -> Result<Self, EncodeError> {
        let saved_vectors = frame.saved.intersect(VECTORS);
        let saved = frame.saved.minus(VECTORS);
        let pushed = 8 * u64::from(saved.len());
        let saved_size = pushed + VECTOR_SIZE as u64 * u64::from(saved_vectors.len());
        let cells_end = saved_size + 8 * u64::from(frame.num_cells);
        let mut end = cells_end;
        if frame.stack_slots != 0 {
            end = (end + u64::from(frame.stack_slots)).next_multiple_of(STACK_ALIGNMENT);
        }
        let slots = end;
        end = (end + u64::from(frame.outgoing)).next_multiple_of(8);
        if frame.has_calls {
            end = end.next_multiple_of(STACK_ALIGNMENT);
        }
        if end > MAX_FRAME {
            return Err(EncodeError::FrameTooLarge);
        }
        let mut layout = FrameLayout {
            saved,
            saved_vectors,
            spill_cells: &frame.spill_cells,
            pushed: pushed as u32,
            saved_size: saved_size as u32,
            slots: -(slots as i32),
            below_pushed: (end - pushed) as u32,
            popped: u16::try_from(frame.popped).map_err(|_| EncodeError::FrameTooLarge)?,
            prologue_size: 0,
            epilogue_size: 0,
        };
        let mut counter = Counter::default();
        prologue(&layout, &mut counter);
        layout.prologue_size = counter.len;
        let mut counter = Counter::default();
        epilogue(&layout, &mut counter);
        layout.epilogue_size = counter.len;
        Ok(layout)
    }

    /// Bytes of stack the frame takes, return address included.
    pub(super) fn size(&self) -> u32 {
        16 + self.pushed + self.below_pushed
    }

    /// Bytes of the instruction that returns.
    pub(super) fn ret_size(&self) -> u32 {
        let mut counter = Counter::default();
        control::ret(&mut counter, self.popped);
        counter.len
    }

    /// Each saved vector register and where it is.
    fn vectors(&self) -> impl Iterator<Item = (PReg, Mem)> + use<> {
        let pushed = self.pushed as i32;
        (1..)
            .zip(self.saved_vectors.iter())
            .map(move |(n, r)| (r, Mem::base(RBP, -(pushed + VECTOR_SIZE * n))))
    }

    /// The offset of a spill slot from `rbp`.
    #[inline(always)]
    pub(super) fn spill(&self, slot: u32) -> i32 {
        let cell = self.spill_cells[slot as usize];
        -((self.saved_size + 8 * (cell + 1)) as i32)
    }

    /// The offset from `rbp` of `offset` in the area of stack slots, if it can be expressed.
    pub(super) fn stack_slots(&self, offset: i32) -> Option<i32> {
        self.slots.checked_add(offset)
    }
}

/// The offset of each stack slot in their area, appended to `offsets`, and the area's size. A slot
/// that needs more alignment than the stack has gets as much room as it can take to find it; see
/// [`excess_alignment`].
pub(crate) fn stack_slot_offsets(
    slots: &[StackSlotData],
    offsets: &mut Vec<u32>,
) -> Result<u32, EncodeError> {
    let mut end = 0u64;
    for slot in slots {
        let alignment = 1u64
            .checked_shl(slot.align_shift.into())
            .unwrap_or(u64::MAX);
        end = end.next_multiple_of(alignment.min(STACK_ALIGNMENT));
        offsets.push(end as u32);
        let excess = alignment.saturating_sub(STACK_ALIGNMENT);
        end = end.saturating_add(excess).saturating_add(slot.size.into());
        if end > MAX_FRAME {
            return Err(EncodeError::FrameTooLarge);
        }
    }
    Ok(end as u32)
}

/// By how many bytes the alignment of a slot exceeds that of the stack, if it does: so far after
/// its offset it begins at the latest.
pub(crate) fn excess_alignment(slot: &StackSlotData) -> Option<i32> {
    let alignment = 1u64.checked_shl(slot.align_shift.into())?;
    let excess = alignment.checked_sub(STACK_ALIGNMENT)?;
    i32::try_from(excess).ok().filter(|&e| e != 0)
}

/// Make the frame.
pub(super) fn prologue<S: Sink>(frame: &FrameLayout<'_>, s: &mut S) {
    push(s, RBP);
    mov_rr(s, Size::S64, RBP, RSP);
    for r in frame.saved.iter() {
        push(s, r);
    }
    // A call pushes 8 bytes below what is reserved here.
    if frame.below_pushed + 8 <= GUARD {
        reserve(frame.below_pushed, s);
    } else if frame.below_pushed / GUARD <= UNROLLED_PROBES {
        for page in 1..=frame.below_pushed / GUARD {
            probe(Mem::base(RSP, -((page * GUARD) as i32)), frame, s);
        }
        reserve(frame.below_pushed, s);
    } else {
        probe_loop(frame, s);
        reserve(frame.below_pushed % GUARD, s);
    }
    for (r, mem) in frame.vectors() {
        float::store_vector(s, mem, r, frame);
    }
}

/// Subtract `bytes` from the stack pointer. All registers but it are kept.
fn reserve<S: Sink>(bytes: u32, s: &mut S) {
    match bytes {
        0 => {}
        8 => push(s, RAX),
        _ => alu_ri(s, Alu::Sub, Size::S64, RSP, bytes as i32),
    }
}

/// Read a word of the stack, so that a step over its guard cannot go unnoticed.
fn probe<S: Sink>(mem: Mem, frame: &FrameLayout<'_>, s: &mut S) {
    s.trap(TrapCode::STACK_OVERFLOW, SourceLoc::NONE);
    alu_mr(s, Alu::Test, Size::S32, mem, RSP, frame);
}

/// Reserve and probe all whole pages, one by one. `r11` is neither an argument nor preserved.
fn probe_loop<S: Sink>(frame: &FrameLayout<'_>, s: &mut S) {
    mov_ri(s, R11, u64::from(frame.below_pushed / GUARD));
    let mut page = Counter::default();
    probe_page(frame, &mut page);
    probe_page(frame, s);
    control::jcc_rel8(s, Cc::Ne, -(page.len as i8 + control::JCC_REL8_SIZE));
}

/// Reserve and probe a page, and count it.
fn probe_page<S: Sink>(frame: &FrameLayout<'_>, s: &mut S) {
    alu_ri(s, Alu::Sub, Size::S64, RSP, GUARD as i32);
    probe(Mem::base(RSP, 0), frame, s);
    alu_ri(s, Alu::Sub, Size::S32, R11, 1);
}

/// Take the frame down.
pub(super) fn epilogue<S: Sink>(frame: &FrameLayout<'_>, s: &mut S) {
    for (r, mem) in frame.vectors() {
        float::load_vector(s, r, mem, frame);
    }
    if frame.below_pushed != 0 {
        if frame.saved.is_empty() {
            mov_rr(s, Size::S64, RSP, RBP);
        } else {
            lea(
                s,
                Size::S64,
                RSP,
                Mem::base(RBP, -(frame.pushed as i32)),
                frame,
            );
        }
    }
    // Down from the register with the highest number, which was pushed last.
    let mut saved = frame.saved;
    while !saved.is_empty() {
        let last = PReg::from_index(63 - saved.bits().leading_zeros() as usize);
        pop(s, last);
        saved.remove(last);
    }
    pop(s, RBP);
}

/// Load the saved registers from where they are, and leave the frame.
pub(super) fn restore_saved<S: Sink>(frame: &FrameLayout<'_>, s: &mut S) {
    for (n, r) in frame.saved.iter().enumerate() {
        let mem = Mem::base(RBP, -8 * (n as i32 + 1));
        load_zx(s, Size::S64, r, mem, frame);
    }
    for (r, mem) in frame.vectors() {
        float::load_vector(s, r, mem, frame);
    }
}
