//! Scalar floating point: SSE2, `round` of SSE4.1, and AVX where there are three operands.

use super::operands::{Op, Vex, rm, rr, vex_rm, vex_rr};
use crate::PReg;
use crate::buffer::Sink;
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{FAlu, FLogic, FSize, Mem, RoundMode, Size};

/// `0F code` of scalars of this precision.
#[inline(always)]
fn scalar(code: u8, size: FSize) -> Op {
    Op::of(code).prefix(0xf3 - size as u8)
}

#[inline(always)]
fn alu_code(op: FAlu) -> u8 {
    match op {
        FAlu::Sqrt => 0x51,
        FAlu::Add => 0x58,
        FAlu::Mul => 0x59,
        FAlu::Sub => 0x5c,
        FAlu::Min => 0x5d,
        FAlu::Div => 0x5e,
        FAlu::Max => 0x5f,
    }
}

#[inline(always)]
fn alu_vex(op: FAlu, size: FSize) -> Vex {
    Vex {
        map: 1,
        pp: 2 + size as u8,
        w: false,
        code: alu_code(op),
    }
}

#[inline(always)]
fn logic(op: FLogic) -> Op {
    Op::of(match op {
        FLogic::And => 0x54,
        FLogic::Andn => 0x55,
        FLogic::Or => 0x56,
        FLogic::Xor => 0x57,
    })
}

#[inline(always)]
fn ucomis(size: FSize) -> Op {
    match size {
        FSize::F32 => Op::of(0x2e),
        FSize::F64 => Op::of(0x2e).prefix(0x66),
    }
}

pub(super) fn mov_rr<S: Sink>(s: &mut S, dst: PReg, src: PReg) {
    rr(s, Op::of(0x28), dst.hw(), src.hw());
}

pub(super) fn load<S: Sink>(s: &mut S, size: FSize, dst: PReg, mem: Mem, frame: &FrameLayout<'_>) {
    rm(s, scalar(0x10, size), dst.hw(), mem, frame, 0);
}

pub(super) fn store<S: Sink>(s: &mut S, size: FSize, mem: Mem, src: PReg, frame: &FrameLayout<'_>) {
    rm(s, scalar(0x11, size), src.hw(), mem, frame, 0);
}

/// `movups` from memory.
pub(in crate::isa::x64) fn load_vector<S: Sink>(
    s: &mut S,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, Op::of(0x10), dst.hw(), mem, frame, 0);
}

/// `movups` to memory.
pub(in crate::isa::x64) fn store_vector<S: Sink>(
    s: &mut S,
    mem: Mem,
    src: PReg,
    frame: &FrameLayout<'_>,
) {
    rm(s, Op::of(0x11), src.hw(), mem, frame, 0);
}

pub(super) fn alu_rr<S: Sink>(s: &mut S, op: FAlu, size: FSize, dst: PReg, src: PReg) {
    rr(s, scalar(alu_code(op), size), dst.hw(), src.hw());
}

pub(super) fn alu_rm<S: Sink>(
    s: &mut S,
    op: FAlu,
    size: FSize,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, scalar(alu_code(op), size), dst.hw(), mem, frame, 0);
}

pub(super) fn alu_rrr<S: Sink>(s: &mut S, op: FAlu, size: FSize, dst: PReg, a: PReg, b: PReg) {
    vex_rr(s, alu_vex(op, size), dst.hw(), a.hw(), b.hw());
}

pub(super) fn alu_rrm<S: Sink>(
    s: &mut S,
    op: FAlu,
    size: FSize,
    dst: PReg,
    a: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    vex_rm(s, alu_vex(op, size), dst.hw(), a.hw(), mem, frame);
}

pub(super) fn fma_rrr<S: Sink>(s: &mut S, size: FSize, dst: PReg, a: PReg, b: PReg) {
    let op = Vex {
        map: 2,
        pp: 1,
        w: size == FSize::F64,
        code: 0xa9,
    };
    vex_rr(s, op, dst.hw(), a.hw(), b.hw());
}

pub(super) fn logic_rr<S: Sink>(s: &mut S, op: FLogic, dst: PReg, src: PReg) {
    rr(s, logic(op), dst.hw(), src.hw());
}

pub(super) fn logic_rm<S: Sink>(
    s: &mut S,
    op: FLogic,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, logic(op), dst.hw(), mem, frame, 0);
}

pub(super) fn ucomis_rr<S: Sink>(s: &mut S, size: FSize, a: PReg, b: PReg) {
    rr(s, ucomis(size), a.hw(), b.hw());
}

pub(super) fn ucomis_rm<S: Sink>(
    s: &mut S,
    size: FSize,
    a: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, ucomis(size), a.hw(), mem, frame, 0);
}

pub(super) fn round<S: Sink>(s: &mut S, size: FSize, mode: RoundMode, dst: PReg, src: PReg) {
    let code = match size {
        FSize::F32 => 0x0a,
        FSize::F64 => 0x0b,
    };
    rr(s, Op::of3a(code).prefix(0x66), dst.hw(), src.hw());
    s.put(mode as u64, 1);
}

pub(super) fn cvt_int_to_f<S: Sink>(s: &mut S, from: Size, to: FSize, dst: PReg, src: PReg) {
    debug_assert!(from >= Size::S32);
    rr(
        s,
        scalar(0x2a, to).wide(from == Size::S64),
        dst.hw(),
        src.hw(),
    );
}

pub(super) fn cvt_f_to_int<S: Sink>(s: &mut S, from: FSize, to: Size, dst: PReg, src: PReg) {
    debug_assert!(to >= Size::S32);
    rr(
        s,
        scalar(0x2c, from).wide(to == Size::S64),
        dst.hw(),
        src.hw(),
    );
}

pub(super) fn cvt_f_to_f<S: Sink>(s: &mut S, from: FSize, dst: PReg, src: PReg) {
    rr(s, scalar(0x5a, from), dst.hw(), src.hw());
}

pub(super) fn mov_int_to_f<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S32);
    rr(
        s,
        Op::of(0x6e).prefix(0x66).wide(size == Size::S64),
        dst.hw(),
        src.hw(),
    );
}

pub(super) fn mov_f_to_int<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S32);
    rr(
        s,
        Op::of(0x7e).prefix(0x66).wide(size == Size::S64),
        src.hw(),
        dst.hw(),
    );
}
