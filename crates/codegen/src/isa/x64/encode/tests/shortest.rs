//! The bytes of instructions that have encodings of different lengths, as the manual has them.

use super::{encode_alone, frame};
use crate::PReg;
use crate::encode::Encode;
use crate::isa::x64::inst::{Alu, Base, BitCount, FAlu, FSize, Inst, Mem, PRegIndex, Shift, Size};
use crate::isa::x64::regs::{R8, R9, R12, R13, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, XMM0, XMM1};

fn check(inst: Inst, bytes: &[u8]) {
    let frame = frame();
    let layout = Inst::layout(&frame).expect("a small frame");
    let encoded = encode_alone(&inst, &layout);
    assert_eq!(encoded, bytes, "{inst:?}: {encoded:02x?}, not {bytes:02x?}");
}

#[test]
fn moves() {
    let mov = |dst, imm| Inst::MovRI { dst, imm };
    check(mov(RCX, 5), &[0xb9, 5, 0, 0, 0]);
    check(mov(R9, 0xffff_ffff), &[0x41, 0xb9, 0xff, 0xff, 0xff, 0xff]);
    check(
        mov(RCX, u64::MAX),
        &[0x48, 0xc7, 0xc1, 0xff, 0xff, 0xff, 0xff],
    );
    let large = [0x48, 0xb9, 8, 7, 6, 5, 4, 3, 2, 1];
    check(mov(RCX, 0x0102_0304_0506_0708), &large);
    let rr = |size, dst, src| Inst::MovRR { size, dst, src };
    check(rr(Size::S32, RAX, RCX), &[0x89, 0xc8]);
    check(rr(Size::S64, RAX, R9), &[0x4c, 0x89, 0xc8]);
    let sx = |from, to, r| Inst::MovsxRR {
        from,
        to,
        dst: r,
        src: r,
    };
    check(sx(Size::S32, Size::S64, RAX), &[0x48, 0x98]);
    check(sx(Size::S16, Size::S32, RAX), &[0x98]);
    check(sx(Size::S32, Size::S64, RCX), &[0x48, 0x63, 0xc9]);
    check(Inst::Xchg { a: RCX, b: RAX }, &[0x48, 0x91]);
    check(Inst::Xchg { a: R9, b: RAX }, &[0x49, 0x91]);
    check(Inst::Push { src: R12 }, &[0x41, 0x54]);
}

#[test]
fn byte_registers() {
    let zx = |src| Inst::MovzxRR {
        from: Size::S8,
        dst: RAX,
        src,
    };
    check(zx(RBX), &[0x0f, 0xb6, 0xc3]);
    check(zx(RSI), &[0x40, 0x0f, 0xb6, 0xc6]);
    check(zx(R9), &[0x41, 0x0f, 0xb6, 0xc1]);
    // The destination is no byte register.
    let wide = Inst::MovzxRR {
        from: Size::S8,
        dst: RDI,
        src: RBX,
    };
    check(wide, &[0x0f, 0xb6, 0xfb]);
    let mem = Mem::base(RDI, 0);
    check(
        Inst::StoreMR {
            size: Size::S8,
            mem,
            src: RDX,
        },
        &[0x88, 0x17],
    );
    check(
        Inst::StoreMR {
            size: Size::S8,
            mem,
            src: RSI,
        },
        &[0x40, 0x88, 0x37],
    );
}

#[test]
fn immediates() {
    let ri = |op, size, dst, imm| Inst::AluRI { op, size, dst, imm };
    check(ri(Alu::Add, Size::S32, RAX, 127), &[0x83, 0xc0, 0x7f]);
    check(ri(Alu::Add, Size::S32, RAX, 128), &[0x05, 0x80, 0, 0, 0]);
    check(
        ri(Alu::Add, Size::S32, RCX, 128),
        &[0x81, 0xc1, 0x80, 0, 0, 0],
    );
    check(ri(Alu::Sub, Size::S64, RSP, 16), &[0x48, 0x83, 0xec, 0x10]);
    check(ri(Alu::Xor, Size::S8, RAX, 5), &[0x34, 5]);
    check(ri(Alu::Xor, Size::S8, RSI, 5), &[0x40, 0x80, 0xf6, 5]);
    check(
        ri(Alu::Or, Size::S16, RCX, 0xffff),
        &[0x66, 0x83, 0xc9, 0xff],
    );
    check(ri(Alu::And, Size::S64, RCX, 15), &[0x83, 0xe1, 0x0f]);
    check(ri(Alu::And, Size::S64, RCX, -16), &[0x48, 0x83, 0xe1, 0xf0]);
    check(ri(Alu::Cmp, Size::S64, RCX, 0), &[0x48, 0x85, 0xc9]);
    check(ri(Alu::Test, Size::S64, RAX, 1), &[0xa8, 1]);
    check(
        ri(Alu::Test, Size::S64, RSI, 127),
        &[0x40, 0xf6, 0xc6, 0x7f],
    );
    check(
        ri(Alu::Test, Size::S64, RCX, 128),
        &[0xf7, 0xc1, 0x80, 0, 0, 0],
    );
    check(ri(Alu::Test, Size::S32, RAX, 128), &[0xa9, 0x80, 0, 0, 0]);
    check(
        ri(Alu::Test, Size::S64, RAX, -1),
        &[0x48, 0xa9, 0xff, 0xff, 0xff, 0xff],
    );
    let imul = |imm| Inst::ImulRRI {
        size: Size::S32,
        dst: RAX,
        src: RCX,
        imm,
    };
    check(imul(10), &[0x6b, 0xc1, 10]);
    check(imul(1000), &[0x69, 0xc1, 0xe8, 0x03, 0, 0]);
    let shl = |imm| Inst::ShiftRI {
        op: Shift::Shl,
        size: Size::S64,
        dst: RDX,
        imm,
    };
    check(shl(1), &[0x48, 0xd1, 0xe2]);
    check(shl(2), &[0x48, 0xc1, 0xe2, 2]);
}

#[test]
fn addresses() {
    let load = |mem| Inst::LoadZx {
        from: Size::S32,
        dst: RAX,
        mem,
    };
    check(load(Mem::base(RCX, 0)), &[0x8b, 0x01]);
    check(load(Mem::base(RCX, -128)), &[0x8b, 0x41, 0x80]);
    check(load(Mem::base(RCX, 128)), &[0x8b, 0x81, 0x80, 0, 0, 0]);
    check(load(Mem::base(RBP, 0)), &[0x8b, 0x45, 0]);
    check(load(Mem::base(R13, 0)), &[0x41, 0x8b, 0x45, 0]);
    check(load(Mem::base(RSP, 0)), &[0x8b, 0x04, 0x24]);
    check(load(Mem::base(R12, 8)), &[0x41, 0x8b, 0x44, 0x24, 8]);
    check(load(Mem::base_index(RCX, RDX, 2, 0)), &[0x8b, 0x04, 0x91]);
    check(
        load(Mem::base_index(R8, R9, 3, 1)),
        &[0x43, 0x8b, 0x44, 0xc8, 1],
    );
    // The base and the index change places.
    check(load(Mem::base_index(RBP, RCX, 0, 0)), &[0x8b, 0x04, 0x29]);
    check(
        load(Mem::base_index(RBP, RCX, 1, 0)),
        &[0x8b, 0x44, 0x4d, 0],
    );
    check(
        load(Mem::base_index(RBP, R13, 0, 0)),
        &[0x42, 0x8b, 0x44, 0x2d, 0],
    );
    let index = |shift, disp| Mem {
        disp,
        base: Base::None,
        index: Some(PRegIndex::new(RCX, shift)),
    };
    check(load(index(0, 4)), &[0x8b, 0x41, 4]);
    check(load(index(1, 4)), &[0x8b, 0x44, 0x09, 4]);
    check(load(index(2, 4)), &[0x8b, 0x04, 0x8d, 4, 0, 0, 0]);
    let absolute = Mem {
        disp: 4,
        base: Base::None,
        index: None,
    };
    check(load(absolute), &[0x8b, 0x04, 0x25, 4, 0, 0, 0]);
}

#[test]
fn prefixes() {
    let count = |size, op| Inst::BitCountRR {
        op,
        size,
        dst: RAX,
        src: R9,
    };
    check(
        count(Size::S64, BitCount::Popcnt),
        &[0xf3, 0x49, 0x0f, 0xb8, 0xc1],
    );
    check(
        count(Size::S16, BitCount::Lzcnt),
        &[0x66, 0xf3, 0x41, 0x0f, 0xbd, 0xc1],
    );
    let add = |a, b| Inst::FAluRRR {
        op: FAlu::Add,
        size: FSize::F64,
        dst: XMM0,
        a,
        b,
    };
    let high = PReg::float(9);
    check(add(XMM0, XMM1), &[0xc5, 0xfb, 0x58, 0xc1]);
    check(add(high, XMM1), &[0xc5, 0xb3, 0x58, 0xc1]);
    check(add(XMM1, high), &[0xc4, 0xc1, 0x73, 0x58, 0xc1]);
    let shlx = Inst::ShiftX {
        op: Shift::Shl,
        size: Size::S64,
        dst: RAX,
        src: RCX,
        amount: RDX,
    };
    check(shlx, &[0xc4, 0xe2, 0xe9, 0xf7, 0xc1]);
}
