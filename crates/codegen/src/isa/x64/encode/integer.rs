//! Moves and integer arithmetic.

use super::operands::{Op, Vex, bare, digit_m, digit_r, pair, plus_r, rm, rr, vex_rr};
use crate::PReg;
use crate::buffer::Sink;
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Alu, BitCount, Cc, Mem, Size, Unary};
use crate::isa::x64::regs::RAX;

pub(crate) fn mov_rr<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S32);
    rr(s, Op::new(0x89).wide(size == Size::S64), src.hw(), dst.hw());
}

pub(crate) fn mov_ri<S: Sink>(s: &mut S, dst: PReg, imm: u64) {
    if u32::try_from(imm).is_ok() {
        plus_r(s, Op::new(0xb8), dst.hw());
        s.put(imm, 4);
    } else if i32::try_from(imm as i64).is_ok() {
        digit_r(s, Op::new(0xc7).wide(true), 0, dst.hw());
        s.put(imm, 4);
    } else {
        movabs(s, dst);
        s.put(imm, 8);
    }
}

/// `movabs dst, …`: the 8 bytes of the immediate follow.
pub(crate) fn movabs<S: Sink>(s: &mut S, dst: PReg) {
    plus_r(s, Op::new(0xb8).wide(true), dst.hw());
}

/// The opcode that zero-extends from each size to 64 bits.
const ZERO_EXTEND: [Op; 4] = [
    Op::of(0xb6),
    Op::of(0xb7),
    Op::new(0x8b),
    Op::new(0x8b).wide(true),
];

pub(super) fn movzx_rr<S: Sink>(s: &mut S, from: Size, dst: PReg, src: PReg) {
    rr(
        s,
        ZERO_EXTEND[from as usize].byte_rm(from == Size::S8),
        dst.hw(),
        src.hw(),
    );
}

pub(crate) fn load_zx<S: Sink>(
    s: &mut S,
    from: Size,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, ZERO_EXTEND[from as usize], dst.hw(), mem, frame, 0);
}

/// The opcode that sign-extends from each size; from 32 bits only to 64.
const SIGN_EXTEND: [Op; 4] = [Op::of(0xbe), Op::of(0xbf), Op::new(0x63), Op::new(0x8b)];

/// The opcode that sign-extends from `from` to `to`.
#[inline(always)]
fn sign_extend(from: Size, to: Size) -> Op {
    debug_assert!(to >= Size::S32 && from < to);
    SIGN_EXTEND[from as usize].wide(to == Size::S64)
}

pub(super) fn movsx_rr<S: Sink>(s: &mut S, from: Size, to: Size, dst: PReg, src: PReg) {
    let rax = dst == RAX && src == RAX;
    match (from, to) {
        // cwde, cdqe
        (Size::S16, Size::S32) | (Size::S32, Size::S64) if rax => {
            bare(s, Op::new(0x98).wide(to == Size::S64));
        }
        _ => rr(
            s,
            sign_extend(from, to).byte_rm(from == Size::S8),
            dst.hw(),
            src.hw(),
        ),
    }
}

pub(super) fn load_sx<S: Sink>(
    s: &mut S,
    from: Size,
    to: Size,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    rm(s, sign_extend(from, to), dst.hw(), mem, frame, 0);
}

pub(super) fn store_mr<S: Sink>(
    s: &mut S,
    size: Size,
    mem: Mem,
    src: PReg,
    frame: &FrameLayout<'_>,
) {
    rm(s, pair(0x88, size), src.hw(), mem, frame, 0);
}

pub(super) fn store_mi<S: Sink>(
    s: &mut S,
    size: Size,
    mem: Mem,
    imm: i32,
    frame: &FrameLayout<'_>,
) {
    let len = imm_len(size);
    digit_m(s, pair(0xc6, size), 0, mem, frame, len as i8);
    s.put(imm as u64, len.into());
}

pub(crate) fn lea<S: Sink>(s: &mut S, size: Size, dst: PReg, mem: Mem, frame: &FrameLayout<'_>) {
    debug_assert!(size >= Size::S32);
    rm(
        s,
        Op::new(0x8d).wide(size == Size::S64),
        dst.hw(),
        mem,
        frame,
        0,
    );
}

pub(super) fn xchg<S: Sink>(s: &mut S, a: PReg, b: PReg) {
    if a == RAX || b == RAX {
        let other = if a == RAX { b } else { a };
        plus_r(s, Op::new(0x90).wide(true), other.hw());
    } else {
        rr(s, Op::new(0x87).wide(true), b.hw(), a.hw());
    }
}

pub(crate) fn push<S: Sink>(s: &mut S, src: PReg) {
    plus_r(s, Op::new(0x50), src.hw());
}

pub(crate) fn pop<S: Sink>(s: &mut S, dst: PReg) {
    plus_r(s, Op::new(0x58), dst.hw());
}

pub(super) fn push_m<S: Sink>(s: &mut S, mem: Mem, frame: &FrameLayout<'_>) {
    digit_m(s, Op::new(0xff), 6, mem, frame, 0);
}

pub(super) fn pop_m<S: Sink>(s: &mut S, mem: Mem, frame: &FrameLayout<'_>) {
    digit_m(s, Op::new(0x8f), 0, mem, frame, 0);
}

/// The opcode of `op rm, reg` for bytes.
#[inline(always)]
pub(super) fn alu_code(op: Alu) -> u8 {
    if op == Alu::Test {
        0x84
    } else {
        (op as u8) << 3
    }
}

/// Bytes of an immediate that is as large as the operand, up to 4.
#[inline(always)]
fn imm_len(size: Size) -> u8 {
    1 << (size as u8).min(2)
}

/// The value of an immediate as the operand sees it, sign-extended.
#[inline(always)]
fn truncate(imm: i32, size: Size) -> i32 {
    match size {
        Size::S8 => (imm as i8).into(),
        Size::S16 => (imm as i16).into(),
        Size::S32 | Size::S64 => imm,
    }
}

pub(super) fn alu_rr<S: Sink>(s: &mut S, op: Alu, size: Size, dst: PReg, src: PReg) {
    rr(s, pair(alu_code(op), size), src.hw(), dst.hw());
}

pub(super) fn alu_rm<S: Sink>(
    s: &mut S,
    op: Alu,
    size: Size,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    // `test` has no direction.
    let code = if op == Alu::Test {
        0x84
    } else {
        alu_code(op) | 2
    };
    rm(s, pair(code, size), dst.hw(), mem, frame, 0);
}

pub(crate) fn alu_mr<S: Sink>(
    s: &mut S,
    op: Alu,
    size: Size,
    mem: Mem,
    src: PReg,
    frame: &FrameLayout<'_>,
) {
    rm(s, pair(alu_code(op), size), src.hw(), mem, frame, 0);
}

pub(crate) fn alu_ri<S: Sink>(s: &mut S, op: Alu, size: Size, dst: PReg, imm: i32) {
    let imm = truncate(imm, size);
    match op {
        Alu::Test => test_ri(s, size, dst, imm),
        // The same flags but for AF, which no condition reads.
        Alu::Cmp if imm == 0 => alu_rr(s, Alu::Test, size, dst, dst),
        // The upper half of the result is 0 in both, and so is the sign.
        Alu::And if size == Size::S64 && imm >= 0 => group_ri(s, op, Size::S32, dst, imm),
        _ => group_ri(s, op, size, dst, imm),
    }
}

/// An operation of the immediate group.
#[inline(always)]
fn group_ri<S: Sink>(s: &mut S, op: Alu, size: Size, dst: PReg, imm: i32) {
    if size != Size::S8 && i8::try_from(imm).is_ok() {
        digit_r(s, Op::new(0x83).size(size), op as u8, dst.hw());
        s.put(imm as u64, 1);
        return;
    }
    if dst == RAX {
        bare(s, pair((op as u8) << 3 | 4, size));
    } else {
        digit_r(s, pair(0x80, size), op as u8, dst.hw());
    }
    s.put(imm as u64, imm_len(size).into());
}

fn test_ri<S: Sink>(s: &mut S, size: Size, dst: PReg, imm: i32) {
    // If the immediate and its sign fit in fewer bytes, the result and its sign do.
    let size = match size {
        _ if (0..=i32::from(i8::MAX)).contains(&imm) => Size::S8,
        Size::S64 if imm >= 0 => Size::S32,
        _ => size,
    };
    if dst == RAX {
        bare(s, pair(0xa8, size));
    } else {
        digit_r(s, pair(0xf6, size), 0, dst.hw());
    }
    s.put(imm as u64, imm_len(size).into());
}

pub(super) fn alu_mi<S: Sink>(
    s: &mut S,
    op: Alu,
    size: Size,
    mem: Mem,
    imm: i32,
    frame: &FrameLayout<'_>,
) {
    let imm = truncate(imm, size);
    let len = imm_len(size);
    if op == Alu::Test {
        digit_m(s, pair(0xf6, size), 0, mem, frame, len as i8);
        s.put(imm as u64, len.into());
    } else if size != Size::S8 && i8::try_from(imm).is_ok() {
        digit_m(s, Op::new(0x83).size(size), op as u8, mem, frame, 1);
        s.put(imm as u64, 1);
    } else {
        digit_m(s, pair(0x80, size), op as u8, mem, frame, len as i8);
        s.put(imm as u64, len.into());
    }
}

pub(super) fn unary<S: Sink>(s: &mut S, op: Unary, size: Size, dst: PReg) {
    match op {
        Unary::Not => digit_r(s, pair(0xf6, size), 2, dst.hw()),
        Unary::Neg => digit_r(s, pair(0xf6, size), 3, dst.hw()),
        Unary::Bswap => {
            debug_assert!(size >= Size::S32);
            plus_r(s, Op::of(0xc8).wide(size == Size::S64), dst.hw());
        }
    }
}

pub(super) fn imul_rr<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S16);
    rr(s, Op::of(0xaf).size(size), dst.hw(), src.hw());
}

pub(super) fn imul_rm<S: Sink>(
    s: &mut S,
    size: Size,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    debug_assert!(size >= Size::S16);
    rm(s, Op::of(0xaf).size(size), dst.hw(), mem, frame, 0);
}

pub(super) fn imul_rri<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg, imm: i32) {
    debug_assert!(size >= Size::S16);
    let imm = truncate(imm, size);
    if i8::try_from(imm).is_ok() {
        rr(s, Op::new(0x6b).size(size), dst.hw(), src.hw());
        s.put(imm as u64, 1);
    } else {
        rr(s, Op::new(0x69).size(size), dst.hw(), src.hw());
        s.put(imm as u64, imm_len(size).into());
    }
}

pub(super) fn mul_wide<S: Sink>(s: &mut S, signed: bool, size: Size, src: PReg) {
    digit_r(s, pair(0xf6, size), 4 | u8::from(signed), src.hw());
}

pub(super) fn div<S: Sink>(s: &mut S, signed: bool, size: Size, src: PReg) {
    digit_r(s, pair(0xf6, size), 6 | u8::from(signed), src.hw());
}

pub(super) fn sign_rax<S: Sink>(s: &mut S, size: Size) {
    match size {
        Size::S8 => bare(s, Op::new(0x98).prefix(0x66)),
        _ => bare(s, Op::new(0x99).size(size)),
    }
}

pub(super) fn andn<S: Sink>(s: &mut S, size: Size, dst: PReg, inverted: PReg, src: PReg) {
    debug_assert!(size >= Size::S32);
    let op = Vex {
        map: 2,
        pp: 0,
        w: size == Size::S64,
        code: 0xf2,
    };
    vex_rr(s, op, dst.hw(), inverted.hw(), src.hw());
}

pub(super) fn bit_count<S: Sink>(s: &mut S, op: BitCount, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S16);
    let (code, f3) = match op {
        BitCount::Bsf => (0xbc, false),
        BitCount::Bsr => (0xbd, false),
        BitCount::Tzcnt => (0xbc, true),
        BitCount::Lzcnt => (0xbd, true),
        BitCount::Popcnt => (0xb8, true),
    };
    let sized = Op::of(code).size(size);
    rr(
        s,
        if f3 { sized.prefix(0xf3) } else { sized },
        dst.hw(),
        src.hw(),
    );
}

pub(super) fn setcc<S: Sink>(s: &mut S, cc: Cc, dst: PReg) {
    digit_r(s, Op::of(0x90 | cc as u8).byte_rm(true), 0, dst.hw());
}

pub(super) fn cmov_rr<S: Sink>(s: &mut S, cc: Cc, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S16);
    rr(s, Op::of(0x40 | cc as u8).size(size), dst.hw(), src.hw());
}

pub(super) fn cmov_rm<S: Sink>(
    s: &mut S,
    cc: Cc,
    size: Size,
    dst: PReg,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    debug_assert!(size >= Size::S16);
    rm(
        s,
        Op::of(0x40 | cc as u8).size(size),
        dst.hw(),
        mem,
        frame,
        0,
    );
}
