//! Shifts and rotates.

use super::operands::{Op, Vex, digit_r, pair, rr, vex_rr};
use crate::PReg;
use crate::buffer::Sink;
use crate::isa::x64::inst::{Shift, Size};

pub(super) fn shift_ri<S: Sink>(s: &mut S, op: Shift, size: Size, dst: PReg, imm: u8) {
    if imm == 1 {
        digit_r(s, pair(0xd0, size), op as u8, dst.hw());
    } else {
        digit_r(s, pair(0xc0, size), op as u8, dst.hw());
        s.put(imm.into(), 1);
    }
}

pub(super) fn shift_rc<S: Sink>(s: &mut S, op: Shift, size: Size, dst: PReg) {
    digit_r(s, pair(0xd2, size), op as u8, dst.hw());
}

pub(super) fn shift_x<S: Sink>(
    s: &mut S,
    op: Shift,
    size: Size,
    dst: PReg,
    src: PReg,
    amount: PReg,
) {
    debug_assert!(size >= Size::S32);
    let pp = match op {
        Shift::Shl => 1,
        Shift::Sar => 2,
        Shift::Shr => 3,
        Shift::Rol | Shift::Ror => unreachable!("BMI2 has no rotate by a register"),
    };
    let op = Vex {
        map: 2,
        pp,
        w: size == Size::S64,
        code: 0xf7,
    };
    vex_rr(s, op, dst.hw(), amount.hw(), src.hw());
}

pub(super) fn rorx<S: Sink>(s: &mut S, size: Size, dst: PReg, src: PReg, imm: u8) {
    debug_assert!(size >= Size::S32);
    let op = Vex {
        map: 3,
        pp: 3,
        w: size == Size::S64,
        code: 0xf0,
    };
    vex_rr(s, op, dst.hw(), 0, src.hw());
    s.put(imm.into(), 1);
}

pub(super) fn shift_double_ri<S: Sink>(
    s: &mut S,
    left: bool,
    size: Size,
    dst: PReg,
    src: PReg,
    imm: u8,
) {
    debug_assert!(size >= Size::S16);
    let code = if left { 0xa4 } else { 0xac };
    rr(s, Op::of(code).size(size), src.hw(), dst.hw());
    s.put(imm.into(), 1);
}

pub(super) fn shift_double_rc<S: Sink>(s: &mut S, left: bool, size: Size, dst: PReg, src: PReg) {
    debug_assert!(size >= Size::S16);
    let code = if left { 0xa5 } else { 0xad };
    rr(s, Op::of(code).size(size), src.hw(), dst.hw());
}
