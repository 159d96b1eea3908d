//! Instructions with all registers, sizes and shapes of operands.

use crate::PReg;
use crate::isa::x64::inst::{
    Alu, Base, BitCount, Cc, FAlu, FLogic, FSize, Inst, Mem, PRegIndex, RoundMode, Shift, Size,
    Unary,
};
use nopal_ir::{SourceLoc, TrapCode};

const SIZES: [Size; 4] = [Size::S8, Size::S16, Size::S32, Size::S64];
const FSIZES: [FSize; 2] = [FSize::F32, FSize::F64];
const ALUS: [Alu; 9] = [
    Alu::Add,
    Alu::Or,
    Alu::Adc,
    Alu::Sbb,
    Alu::And,
    Alu::Sub,
    Alu::Xor,
    Alu::Cmp,
    Alu::Test,
];
/// Those that can be atomic.
const LOCKED: [Alu; 7] = [
    Alu::Add,
    Alu::Or,
    Alu::Adc,
    Alu::Sbb,
    Alu::And,
    Alu::Sub,
    Alu::Xor,
];
const SHIFTS: [Shift; 5] = [Shift::Rol, Shift::Ror, Shift::Shl, Shift::Shr, Shift::Sar];
const BIT_COUNTS: [BitCount; 5] = [
    BitCount::Bsf,
    BitCount::Bsr,
    BitCount::Lzcnt,
    BitCount::Tzcnt,
    BitCount::Popcnt,
];
const FALUS: [FAlu; 7] = [
    FAlu::Add,
    FAlu::Sub,
    FAlu::Mul,
    FAlu::Div,
    FAlu::Min,
    FAlu::Max,
    FAlu::Sqrt,
];
const FLOGICS: [FLogic; 4] = [FLogic::And, FLogic::Andn, FLogic::Or, FLogic::Xor];
const MODES: [RoundMode; 4] = [
    RoundMode::Nearest,
    RoundMode::Floor,
    RoundMode::Ceil,
    RoundMode::Trunc,
];
pub(crate) const CCS: [Cc; 16] = [
    Cc::O,
    Cc::No,
    Cc::B,
    Cc::Ae,
    Cc::E,
    Cc::Ne,
    Cc::Be,
    Cc::A,
    Cc::S,
    Cc::Ns,
    Cc::P,
    Cc::Np,
    Cc::L,
    Cc::Ge,
    Cc::Le,
    Cc::G,
];
const IMMS: [i32; 15] = [
    0,
    1,
    -1,
    2,
    127,
    128,
    -128,
    -129,
    255,
    256,
    32767,
    65535,
    0x1234_5678,
    i32::MAX,
    i32::MIN,
];
const DISPS: [i32; 7] = [0, 1, 127, -128, 128, i32::MAX, i32::MIN];

fn ints() -> impl Iterator<Item = PReg> {
    (0..16).map(PReg::int)
}

fn floats() -> impl Iterator<Item = PReg> {
    (0..16).map(PReg::float)
}

fn pairs<A: Copy, B>(
    a: impl Iterator<Item = A>,
    b: impl Fn() -> B,
) -> impl Iterator<Item = (A, B::Item)>
where
    B: Iterator,
{
    a.flat_map(move |a| b().map(move |b| (a, b)))
}

/// Every memory operand made of these registers.
fn mems(registers: &[u8], shifts: &[u8], disps: &[i32]) -> Vec<Mem> {
    let bases = registers.iter().map(|&r| Base::Reg(PReg::int(r)));
    let indices = || registers.iter().filter(|&&r| r != 4).map(|&r| PReg::int(r));
    let mut mems = Vec::new();
    for base in bases.chain([Base::None, Base::StackSlots]) {
        for &disp in disps {
            // The area of stack slots is below `rbp`.
            let disp = if base == Base::StackSlots {
                disp.max(-128)
            } else {
                disp
            };
            mems.push(Mem {
                disp,
                base,
                index: None,
            });
            for (index, &shift) in pairs(indices(), || shifts.iter()) {
                mems.push(Mem {
                    disp,
                    base,
                    index: Some(PRegIndex::new(index, shift)),
                });
            }
        }
    }
    mems.extend([Mem::spill(0), Mem::spill(1)]);
    mems
}

/// The memory operand of an instruction.
pub(super) fn memory(inst: &Inst) -> Option<Mem> {
    match *inst {
        Inst::LoadZx { mem, .. }
        | Inst::LoadSx { mem, .. }
        | Inst::StoreMR { mem, .. }
        | Inst::StoreMI { mem, .. }
        | Inst::Lea { mem, .. }
        | Inst::PushM { mem }
        | Inst::PopM { mem }
        | Inst::AluRM { mem, .. }
        | Inst::AluMR { mem, .. }
        | Inst::AluMI { mem, .. }
        | Inst::ImulRM { mem, .. }
        | Inst::CmovRM { mem, .. }
        | Inst::FLoad { mem, .. }
        | Inst::FStore { mem, .. }
        | Inst::FAluRM { mem, .. }
        | Inst::FAluRRM { mem, .. }
        | Inst::FLogicRM { mem, .. }
        | Inst::UcomisRM { mem, .. }
        | Inst::LockAluMR { mem, .. }
        | Inst::LockXadd { mem, .. }
        | Inst::XchgMR { mem, .. }
        | Inst::LockCmpxchg { mem, .. }
        | Inst::LockCmpxchg16b { mem } => Some(mem),
        _ => None,
    }
}

/// Call `f` with every instruction that stands for itself alone.
pub(super) fn each(f: &mut dyn FnMut(Inst)) {
    let all: Vec<u8> = (0..16).collect();
    // The addresses do not depend on the instruction; one goes through all of them.
    for mem in mems(&all, &[0, 1, 2, 3], &DISPS) {
        f(Inst::LoadZx {
            from: Size::S32,
            dst: PReg::int(2),
            mem,
        });
        f(Inst::LoadZx {
            from: Size::S64,
            dst: PReg::int(11),
            mem,
        });
    }
    integer_registers(f);
    integer_immediates(f);
    float_registers(f);
    for mem in mems(&[0, 4, 5, 9, 12, 13], &[0, 2], &[0, -8, 1000]) {
        with_memory(mem, f);
    }
    for mem in [Mem::base(PReg::int(3), 64), Mem::base(PReg::int(12), 0)] {
        with_memory_all(mem, f);
    }
    f(Inst::Int3);
    f(Inst::Mfence);
    f(Inst::Ud2 {
        code: TrapCode::STACK_OVERFLOW,
        srcloc: SourceLoc::NONE,
    });
}

fn integer_registers(f: &mut dyn FnMut(Inst)) {
    for dst in ints() {
        f(Inst::ZeroR { dst });
        f(Inst::Push { src: dst });
        f(Inst::Pop { dst });
        f(Inst::JmpR { target: dst });
        f(Inst::CallR {
            target: dst,
            srcloc: SourceLoc::NONE,
        });
        for cc in CCS {
            f(Inst::Setcc { cc, dst });
        }
        for size in SIZES {
            f(Inst::UnaryR {
                op: Unary::Not,
                size,
                dst,
            });
            f(Inst::UnaryR {
                op: Unary::Neg,
                size,
                dst,
            });
            for signed in [false, true] {
                f(Inst::MulWide {
                    signed,
                    size,
                    src: dst,
                });
                f(Inst::Div {
                    signed,
                    size,
                    src: dst,
                });
            }
            for op in SHIFTS {
                f(Inst::ShiftRC { op, size, dst });
            }
        }
    }
    for size in SIZES {
        f(Inst::SignRax { size });
    }
    for (dst, src) in pairs(ints(), ints) {
        f(Inst::Xchg { a: dst, b: src });
        for size in SIZES {
            f(Inst::MovzxRR {
                from: size,
                dst,
                src,
            });
            for op in ALUS {
                f(Inst::AluRR { op, size, dst, src });
            }
        }
        for size in [Size::S16, Size::S32, Size::S64] {
            f(Inst::ImulRR { size, dst, src });
            for left in [false, true] {
                f(Inst::ShiftDoubleRC {
                    left,
                    size,
                    dst,
                    src,
                });
                for imm in [1, 15] {
                    f(Inst::ShiftDoubleRI {
                        left,
                        size,
                        dst,
                        src,
                        imm,
                    });
                }
            }
            for cc in CCS {
                f(Inst::CmovRR { cc, size, dst, src });
            }
            for op in BIT_COUNTS {
                f(Inst::BitCountRR { op, size, dst, src });
            }
        }
        for size in [Size::S32, Size::S64] {
            f(Inst::MovRR { size, dst, src });
            f(Inst::UnaryR {
                op: Unary::Bswap,
                size,
                dst,
            });
            for from in [Size::S8, Size::S16] {
                f(Inst::MovsxRR {
                    from,
                    to: size,
                    dst,
                    src,
                });
            }
            for inverted in ints() {
                f(Inst::Andn {
                    size,
                    dst,
                    inverted,
                    src,
                });
            }
            for (amount, op) in pairs(ints(), || [Shift::Shl, Shift::Shr, Shift::Sar].into_iter()) {
                f(Inst::ShiftX {
                    op,
                    size,
                    dst,
                    src,
                    amount,
                });
            }
        }
        f(Inst::MovsxRR {
            from: Size::S32,
            to: Size::S64,
            dst,
            src,
        });
    }
}

fn integer_immediates(f: &mut dyn FnMut(Inst)) {
    let imms64 = [
        0,
        1,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        u64::MAX,
        0xffff_ffff_8000_0000,
        0xffff_ffff_7fff_ffff,
        0x0123_4567_89ab_cdef,
    ];
    for dst in ints() {
        for imm in imms64 {
            f(Inst::MovRI { dst, imm });
        }
        for (imm, size) in pairs(IMMS.into_iter(), || SIZES.into_iter()) {
            for op in ALUS {
                f(Inst::AluRI { op, size, dst, imm });
            }
        }
        for (op, size) in pairs(SHIFTS.into_iter(), || SIZES.into_iter()) {
            for imm in 0..8 << size as u8 {
                f(Inst::ShiftRI { op, size, dst, imm });
            }
        }
    }
    for (dst, src) in pairs(ints(), ints) {
        for (imm, size) in pairs(IMMS.into_iter(), || SIZES[1..].iter().copied()) {
            f(Inst::ImulRRI {
                size,
                dst,
                src,
                imm,
            });
        }
        for size in [Size::S32, Size::S64] {
            f(Inst::Rorx {
                size,
                dst,
                src,
                imm: 31,
            });
        }
    }
}

fn float_registers(f: &mut dyn FnMut(Inst)) {
    for (dst, src) in pairs(floats(), floats) {
        f(Inst::FMovRR { dst, src });
        f(Inst::FZero { dst });
        for op in FLOGICS {
            f(Inst::FLogicRR { op, dst, src });
        }
        for size in FSIZES {
            f(Inst::UcomisRR {
                size,
                a: dst,
                b: src,
            });
            f(Inst::CvtFToF {
                from: size,
                dst,
                src,
            });
            for op in FALUS {
                f(Inst::FAluRR { op, size, dst, src });
                for b in floats() {
                    f(Inst::FAluRRR {
                        op,
                        size,
                        dst,
                        a: src,
                        b,
                    });
                }
            }
            for b in floats() {
                f(Inst::FmaRRR {
                    size,
                    dst,
                    a: src,
                    b,
                });
            }
            for mode in MODES {
                f(Inst::Round {
                    size,
                    mode,
                    dst,
                    src,
                });
            }
        }
    }
    for (float, int) in pairs(floats(), ints) {
        for size in [Size::S32, Size::S64] {
            f(Inst::MovIntToF {
                size,
                dst: float,
                src: int,
            });
            f(Inst::MovFToInt {
                size,
                dst: int,
                src: float,
            });
            for fsize in FSIZES {
                f(Inst::CvtIntToF {
                    from: size,
                    to: fsize,
                    dst: float,
                    src: int,
                });
                f(Inst::CvtFToInt {
                    from: fsize,
                    to: size,
                    dst: int,
                    src: float,
                });
            }
        }
    }
}

/// Every instruction with memory, with a few registers.
pub(super) fn with_memory(mem: Mem, f: &mut dyn FnMut(Inst)) {
    for r in [0, 6, 13] {
        with_memory_and(mem, PReg::int(r), f);
        with_memory_and_float(mem, PReg::float(r), PReg::float(15 - r), f);
    }
    f(Inst::PushM { mem });
    f(Inst::PopM { mem });
    f(Inst::LockCmpxchg16b { mem });
    for size in SIZES {
        for imm in [0, -1, 127, 128, 0x1234_5678] {
            f(Inst::StoreMI { size, mem, imm });
            for op in ALUS {
                f(Inst::AluMI { op, size, mem, imm });
            }
        }
    }
}

/// Every instruction with memory, with every register and immediate.
fn with_memory_all(mem: Mem, f: &mut dyn FnMut(Inst)) {
    for r in ints() {
        with_memory_and(mem, r, f);
    }
    for (dst, a) in pairs(floats(), floats) {
        with_memory_and_float(mem, dst, a, f);
    }
    for (imm, size) in pairs(IMMS.into_iter(), || SIZES.into_iter()) {
        f(Inst::StoreMI { size, mem, imm });
        for op in ALUS {
            f(Inst::AluMI { op, size, mem, imm });
        }
    }
}

fn with_memory_and(mem: Mem, r: PReg, f: &mut dyn FnMut(Inst)) {
    for size in SIZES {
        f(Inst::LoadZx {
            from: size,
            dst: r,
            mem,
        });
        f(Inst::StoreMR { size, mem, src: r });
        f(Inst::LockXadd { size, mem, reg: r });
        f(Inst::XchgMR { size, mem, reg: r });
        f(Inst::LockCmpxchg { size, mem, src: r });
        for op in LOCKED {
            f(Inst::LockAluMR {
                op,
                size,
                mem,
                src: r,
            });
        }
        for op in ALUS {
            f(Inst::AluRM {
                op,
                size,
                dst: r,
                mem,
            });
            f(Inst::AluMR {
                op,
                size,
                mem,
                src: r,
            });
        }
    }
    for size in [Size::S16, Size::S32, Size::S64] {
        f(Inst::ImulRM { size, dst: r, mem });
        for cc in CCS {
            f(Inst::CmovRM {
                cc,
                size,
                dst: r,
                mem,
            });
        }
    }
    for size in [Size::S32, Size::S64] {
        f(Inst::Lea { size, dst: r, mem });
        for from in [Size::S8, Size::S16] {
            f(Inst::LoadSx {
                from,
                to: size,
                dst: r,
                mem,
            });
        }
    }
    f(Inst::LoadSx {
        from: Size::S32,
        to: Size::S64,
        dst: r,
        mem,
    });
}

fn with_memory_and_float(mem: Mem, dst: PReg, a: PReg, f: &mut dyn FnMut(Inst)) {
    for size in FSIZES {
        f(Inst::FLoad { size, dst, mem });
        f(Inst::FStore {
            size,
            mem,
            src: dst,
        });
        f(Inst::UcomisRM { size, a: dst, mem });
        for op in FALUS {
            f(Inst::FAluRM { op, size, dst, mem });
            f(Inst::FAluRRM {
                op,
                size,
                dst,
                a,
                mem,
            });
        }
    }
    for op in FLOGICS {
        f(Inst::FLogicRM { op, dst, mem });
    }
}
