//! Atomic operations on memory, and fences.

use super::integer::alu_code;
use super::operands::{Op, bare, digit_m, pair, rm};
use crate::PReg;
use crate::buffer::Sink;
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Alu, Mem, Size};

/// `op` of two, `code` for bytes and `code + 1`, after `lock`.
#[inline(always)]
fn locked(op: Op, size: Size) -> Op {
    let byte = size == Size::S8;
    op.lock().size(size).byte_reg(byte)
}

/// `0F code` for bytes, `0F code + 1` for larger operands.
#[inline(always)]
fn of_pair(code: u8, size: Size) -> Op {
    Op::of(code | u8::from(size != Size::S8))
}

pub(super) fn lock_alu_mr<S: Sink>(
    s: &mut S,
    op: Alu,
    size: Size,
    mem: Mem,
    src: PReg,
    frame: &FrameLayout<'_>,
) {
    debug_assert!(!matches!(op, Alu::Cmp | Alu::Test));
    let op = Op::new(alu_code(op) | u8::from(size != Size::S8));
    rm(s, locked(op, size), src.hw(), mem, frame, 0);
}

pub(super) fn lock_xadd<S: Sink>(
    s: &mut S,
    size: Size,
    mem: Mem,
    reg: PReg,
    frame: &FrameLayout<'_>,
) {
    let op = locked(of_pair(0xc0, size), size);
    rm(s, op, reg.hw(), mem, frame, 0);
}

pub(super) fn xchg_mr<S: Sink>(
    s: &mut S,
    size: Size,
    mem: Mem,
    reg: PReg,
    frame: &FrameLayout<'_>,
) {
    rm(s, pair(0x86, size), reg.hw(), mem, frame, 0);
}

pub(super) fn lock_cmpxchg<S: Sink>(
    s: &mut S,
    size: Size,
    mem: Mem,
    src: PReg,
    frame: &FrameLayout<'_>,
) {
    let op = locked(of_pair(0xb0, size), size);
    rm(s, op, src.hw(), mem, frame, 0);
}

pub(super) fn lock_cmpxchg16b<S: Sink>(s: &mut S, mem: Mem, frame: &FrameLayout<'_>) {
    let op = Op::of(0xc7).lock().wide(true);
    digit_m(s, op, 1, mem, frame, 0);
}

pub(super) fn mfence<S: Sink>(s: &mut S) {
    bare(s, Op::of_two(0xae, 0xf0));
}
