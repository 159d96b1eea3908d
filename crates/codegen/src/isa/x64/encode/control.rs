//! Control flow, patch sites and padding.

use super::integer::alu_rr;
use super::operands::{Op, REL8, REL32, bare, digit_r, rip, rm};
use crate::PReg;
use crate::buffer::{Branch, Buffer, Sink, Target};
use crate::encode::{BranchForms, Context};
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Alu, Cc, Inst, Mem, Size};
use crate::label::Label;

pub(super) const JCC: BranchForms = forms(6);
pub(super) const JMP: BranchForms = forms(5);

/// The short form has 1 byte of distance.
const fn forms(long: u32) -> BranchForms {
    BranchForms {
        short: 2,
        long,
        reach: i8::MAX as u32,
        reach_back: i8::MIN.unsigned_abs() as u32,
    }
}

/// Bytes of [`jcc_rel8`].
pub(crate) const JCC_REL8_SIZE: i8 = 2;

/// `jcc` over a distance known, from its end.
pub(crate) fn jcc_rel8<S: Sink>(s: &mut S, cc: Cc, distance: i8) {
    s.put((0x70 | cc as u64) | u64::from(distance as u8) << 8, 2);
}

/// Return, and take this many bytes of arguments off the stack.
pub(crate) fn ret<S: Sink>(s: &mut S, popped: u16) {
    if popped == 0 {
        return bare(s, Op::new(0xc3));
    }
    bare(s, Op::new(0xc2));
    s.put(popped.into(), 2);
}

pub(super) fn ud2<S: Sink>(s: &mut S) {
    bare(s, Op::of(0x0b));
}

pub(super) fn int3<S: Sink>(s: &mut S) {
    bare(s, Op::new(0xcc));
}

/// The opcode bytes of a branch in both forms, and their lengths.
struct BranchOpcodes {
    short: u64,
    long: u64,
    long_len: u32,
}

fn jcc_opcodes(cc: Cc) -> BranchOpcodes {
    BranchOpcodes {
        short: 0x70 | cc as u64,
        long: (0x80 | cc as u64) << 8 | 0x0f,
        long_len: 2,
    }
}

const JMP_OPCODES: BranchOpcodes = BranchOpcodes {
    short: 0xeb,
    long: 0xe9,
    long_len: 1,
};

pub(super) fn jcc(cx: &mut Context<'_, '_, Inst>, cc: Cc, target: Label) {
    branch(cx, &jcc_opcodes(cc), target);
}

pub(super) fn jmp(cx: &mut Context<'_, '_, Inst>, target: Label) {
    branch(cx, &JMP_OPCODES, target);
}

fn branch(cx: &mut Context<'_, '_, Inst>, opcodes: &BranchOpcodes, target: Label) {
    let target = cx.selected.resolve(target);
    let buffer = &mut cx.buffer;
    match buffer.next_branch() {
        Branch::Omitted => {}
        Branch::Short => {
            buffer.branch_to(target, 1, true);
            forward_short(buffer, opcodes, Target::Label(target));
        }
        Branch::Long => {
            buffer.branch_to(target, opcodes.long_len, false);
            forward_long(buffer, opcodes, Target::Label(target));
        }
        Branch::Backward => {
            let start = i64::from(buffer.offset());
            let distance = i64::from(buffer.label_offset(target)) - start;
            if let Ok(short) = i8::try_from(distance - 2) {
                buffer.branch_to(target, 1, true);
                buffer.put(opcodes.short | u64::from(short as u8) << 8, 2);
            } else {
                buffer.branch_to(target, opcodes.long_len, false);
                let distance = distance - i64::from(opcodes.long_len) - 4;
                buffer.put(opcodes.long, opcodes.long_len);
                buffer.put(distance as u64, 4);
            }
        }
    }
}

fn forward_short(buffer: &mut Buffer<'_>, opcodes: &BranchOpcodes, target: Target) {
    buffer.put(opcodes.short, 2);
    buffer.refer(1, 0, REL8, target);
}

/// `jmp` over `len` bytes, of as many bytes as [`jump_over_size`] says.
pub(super) fn jump_over<S: Sink>(s: &mut S, len: u32) {
    match jump_over_size(len) {
        2 => s.put(JMP_OPCODES.short | u64::from(len) << 8, 2),
        size => s.put(JMP_OPCODES.long | u64::from(len) << 8, size),
    }
}

pub(super) fn jump_over_size(len: u32) -> u32 {
    if len <= JMP.reach {
        JMP.short
    } else {
        JMP.long
    }
}

fn forward_long(buffer: &mut Buffer<'_>, opcodes: &BranchOpcodes, target: Target) {
    buffer.put(opcodes.long, opcodes.long_len + 4);
    buffer.refer(4, 0, REL32, target);
}

/// A conditional branch to a trap out of line.
pub(super) fn jcc_trap(buffer: &mut Buffer<'_>, cc: Cc, trap: Target) {
    let opcodes = jcc_opcodes(cc);
    match buffer.next_branch() {
        Branch::Short => forward_short(buffer, &opcodes, trap),
        Branch::Long | Branch::Omitted | Branch::Backward => {
            forward_long(buffer, &opcodes, trap);
        }
    }
}

pub(super) fn jmp_table<S: Sink>(
    s: &mut S,
    index: PReg,
    tmp: PReg,
    table: u32,
    frame: &FrameLayout<'_>,
) {
    let lea = Op::new(0x8d).wide(true);
    rip(s, lea, tmp.hw(), Target::Table(table));
    let entry = Mem::base_index(tmp, index, 2, 0);
    rm(s, Op::new(0x63).wide(true), index.hw(), entry, frame, 0);
    alu_rr(s, Alu::Add, Size::S64, tmp, index);
    jmp_r(s, tmp);
}

/// `call rel32`; the 4 bytes follow.
pub(super) fn call<S: Sink>(s: &mut S) {
    bare(s, Op::new(0xe8));
}

/// `jmp rel32`; the 4 bytes follow.
pub(super) fn jmp_far<S: Sink>(s: &mut S) {
    bare(s, Op::new(0xe9));
}

pub(super) fn call_r<S: Sink>(s: &mut S, target: PReg) {
    digit_r(s, Op::new(0xff), 2, target.hw());
}

pub(super) fn jmp_r<S: Sink>(s: &mut S, target: PReg) {
    digit_r(s, Op::new(0xff), 4, target.hw());
}

/// Bytes of a patch site: `call rel32` when on, `cmp eax, imm32` when off.
pub(super) const SITE_SIZE: u32 = 5;
/// A site lies within this many bytes, aligned.
const SITE_WINDOW: u32 = 32;
/// The most padding a site needs.
pub(super) const MAX_SITE_PADDING: u32 = SITE_SIZE - 1;

/// The off form of a patch site.
pub(super) fn site_off<S: Sink>(s: &mut S) {
    s.put(0x3d, SITE_SIZE);
}

/// The padding a site at `offset` needs so that it does not cross into the next window. Functions
/// start at a multiple of the window's size, so a site stays within a cache line.
pub(super) fn site_padding(offset: u32) -> u32 {
    let left = SITE_WINDOW - offset % SITE_WINDOW;
    if left < SITE_SIZE { left } else { 0 }
}

/// The recommended forms of `nop`, 1 to 8 bytes (Intel SDM volume 2, NOP).
const NOPS: [[u8; 8]; 8] = [
    [0x90, 0, 0, 0, 0, 0, 0, 0],
    [0x66, 0x90, 0, 0, 0, 0, 0, 0],
    [0x0f, 0x1f, 0x00, 0, 0, 0, 0, 0],
    [0x0f, 0x1f, 0x40, 0x00, 0, 0, 0, 0],
    [0x0f, 0x1f, 0x44, 0x00, 0x00, 0, 0, 0],
    [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0, 0],
    [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00, 0],
    [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// Bytes that do nothing.
pub(super) fn pad<S: Sink>(s: &mut S, mut len: u32) {
    while len > 0 {
        let nop = len.min(8);
        s.put(u64::from_le_bytes(NOPS[nop as usize - 1]), nop);
        len -= nop;
    }
}
