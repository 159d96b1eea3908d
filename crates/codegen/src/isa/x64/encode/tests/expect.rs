//! What instructions mean, in the terms of the disassembler and apart from the encoder.

use super::{SLOTS, SPILL_0, SPILL_1};
use crate::PReg;
use crate::isa::x64::inst::{
    Alu, Base, BitCount, Cc, FAlu, FLogic, FSize, Inst, Mem, RoundMode, Shift, Size, Unary,
};
use iced_x86::{Mnemonic, Register};
use std::collections::BTreeMap;

/// A sum of registers, each times a factor, and a displacement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    factors: BTreeMap<u32, u32>,
    disp: i64,
}

impl Address {
    pub(super) fn new(disp: i64) -> Address {
        Address {
            factors: BTreeMap::new(),
            disp,
        }
    }

    /// Add `factor` times `r`, if there is one.
    pub(super) fn add(&mut self, r: Register, factor: u32) {
        if r != Register::None {
            *self.factors.entry(r as u32).or_default() += factor;
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Operand {
    Reg(Register),
    Mem { address: Address, bytes: usize },
    Imm(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Meaning {
    mnemonic: Mnemonic,
    operands: Vec<Operand>,
}

impl Meaning {
    pub(super) fn is(&self, mnemonic: Mnemonic, operands: &[Operand]) -> bool {
        self.mnemonic == mnemonic && self.operands == operands
    }
}

fn bytes(size: Size) -> usize {
    1 << size as usize
}

fn fbytes(size: FSize) -> usize {
    4 << size as usize
}

/// The names of the integer registers at each size.
#[rustfmt::skip]
const GPRS: [[Register; 16]; 4] = {
    use Register::*;
    [
        [AL, CL, DL, BL, SPL, BPL, SIL, DIL, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L],
        [AX, CX, DX, BX, SP, BP, SI, DI, R8W, R9W, R10W, R11W, R12W, R13W, R14W, R15W],
        [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, R8D, R9D, R10D, R11D, R12D, R13D, R14D, R15D],
        [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15],
    ]
};

/// An integer register of this size.
fn gpr(r: PReg, size: Size) -> Operand {
    Operand::Reg(GPRS[size as usize][r.index()])
}

fn r64(r: PReg) -> Register {
    GPRS[Size::S64 as usize][r.index()]
}

fn xmm(r: PReg) -> Operand {
    Operand::Reg(Register::XMM0 + u32::from(r.hw()))
}

/// Memory of this many bytes.
fn memory(mem: Mem, bytes: usize) -> Operand {
    let disp = i64::from(mem.disp);
    let mut address = match mem.base {
        Base::Reg(_) | Base::None => Address::new(disp),
        Base::Spill => Address::new(if disp == 0 { SPILL_0 } else { SPILL_1 }),
        Base::StackSlots => Address::new(SLOTS + disp),
        Base::Const => unreachable!("constants are tested in whole functions"),
    };
    match mem.base {
        Base::Reg(r) => address.add(r64(r), 1),
        Base::Spill | Base::StackSlots => address.add(Register::RBP, 1),
        Base::None | Base::Const => {}
    }
    if let Some(index) = mem.index {
        address.add(r64(index.reg()), 1 << index.shift());
    }
    Operand::Mem { address, bytes }
}

/// An immediate of this size, sign-extended.
fn imm(value: i32, size: Size) -> Operand {
    Operand::Imm(match size {
        Size::S8 => (value as i8).into(),
        Size::S16 => (value as i16).into(),
        Size::S32 | Size::S64 => value.into(),
    })
}

fn alu(op: Alu) -> Mnemonic {
    match op {
        Alu::Add => Mnemonic::Add,
        Alu::Or => Mnemonic::Or,
        Alu::Adc => Mnemonic::Adc,
        Alu::Sbb => Mnemonic::Sbb,
        Alu::And => Mnemonic::And,
        Alu::Sub => Mnemonic::Sub,
        Alu::Xor => Mnemonic::Xor,
        Alu::Cmp => Mnemonic::Cmp,
        Alu::Test => Mnemonic::Test,
    }
}

fn shift(op: Shift) -> Mnemonic {
    match op {
        Shift::Rol => Mnemonic::Rol,
        Shift::Ror => Mnemonic::Ror,
        Shift::Shl => Mnemonic::Shl,
        Shift::Shr => Mnemonic::Shr,
        Shift::Sar => Mnemonic::Sar,
    }
}

/// Shifts that keep flags.
fn shift_x(op: Shift) -> Mnemonic {
    match op {
        Shift::Shl => Mnemonic::Shlx,
        Shift::Shr => Mnemonic::Shrx,
        Shift::Sar => Mnemonic::Sarx,
        Shift::Rol | Shift::Ror => unreachable!("not generated"),
    }
}

fn shift_double(left: bool) -> Mnemonic {
    if left { Mnemonic::Shld } else { Mnemonic::Shrd }
}

/// Whether the bus is locked by a prefix.
pub(super) fn locked(inst: &Inst) -> bool {
    matches!(
        inst,
        Inst::LockAluMR { .. }
            | Inst::LockXadd { .. }
            | Inst::LockCmpxchg { .. }
            | Inst::LockCmpxchg16b { .. }
    )
}

fn bit_count(op: BitCount) -> Mnemonic {
    match op {
        BitCount::Bsf => Mnemonic::Bsf,
        BitCount::Bsr => Mnemonic::Bsr,
        BitCount::Lzcnt => Mnemonic::Lzcnt,
        BitCount::Tzcnt => Mnemonic::Tzcnt,
        BitCount::Popcnt => Mnemonic::Popcnt,
    }
}

#[rustfmt::skip]
fn setcc(cc: Cc) -> Mnemonic {
    use Mnemonic::*;
    [Seto, Setno, Setb, Setae, Sete, Setne, Setbe, Seta,
     Sets, Setns, Setp, Setnp, Setl, Setge, Setle, Setg][cc as usize]
}

#[rustfmt::skip]
fn cmov(cc: Cc) -> Mnemonic {
    use Mnemonic::*;
    [Cmovo, Cmovno, Cmovb, Cmovae, Cmove, Cmovne, Cmovbe, Cmova,
     Cmovs, Cmovns, Cmovp, Cmovnp, Cmovl, Cmovge, Cmovle, Cmovg][cc as usize]
}

#[rustfmt::skip]
fn falu(op: FAlu, size: FSize) -> Mnemonic {
    use Mnemonic::*;
    let (single, double) = match op {
        FAlu::Add => (Addss, Addsd),
        FAlu::Sub => (Subss, Subsd),
        FAlu::Mul => (Mulss, Mulsd),
        FAlu::Div => (Divss, Divsd),
        FAlu::Min => (Minss, Minsd),
        FAlu::Max => (Maxss, Maxsd),
        FAlu::Sqrt => (Sqrtss, Sqrtsd),
    };
    by(size, single, double)
}

#[rustfmt::skip]
fn vfalu(op: FAlu, size: FSize) -> Mnemonic {
    use Mnemonic::*;
    let (single, double) = match op {
        FAlu::Add => (Vaddss, Vaddsd),
        FAlu::Sub => (Vsubss, Vsubsd),
        FAlu::Mul => (Vmulss, Vmulsd),
        FAlu::Div => (Vdivss, Vdivsd),
        FAlu::Min => (Vminss, Vminsd),
        FAlu::Max => (Vmaxss, Vmaxsd),
        FAlu::Sqrt => (Vsqrtss, Vsqrtsd),
    };
    by(size, single, double)
}

fn flogic(op: FLogic) -> Mnemonic {
    match op {
        FLogic::And => Mnemonic::Andps,
        FLogic::Andn => Mnemonic::Andnps,
        FLogic::Or => Mnemonic::Orps,
        FLogic::Xor => Mnemonic::Xorps,
    }
}

fn by(size: FSize, single: Mnemonic, double: Mnemonic) -> Mnemonic {
    match size {
        FSize::F32 => single,
        FSize::F64 => double,
    }
}

fn round_mode(mode: RoundMode) -> Operand {
    // Bits 0 and 1: nearest, down, up, towards 0; bit 3: no precision exception.
    Operand::Imm(match mode {
        RoundMode::Nearest => 0b1000,
        RoundMode::Floor => 0b1001,
        RoundMode::Ceil => 0b1010,
        RoundMode::Trunc => 0b1011,
    })
}

/// All that an instruction may be decoded to. There is more than one where the same is done by a
/// shorter encoding that the disassembler has another name for.
pub(super) fn meanings(inst: &Inst) -> Vec<Meaning> {
    let mut meanings = vec![plain(inst)];
    let mut or = |mnemonic, operands| meanings.push(Meaning { mnemonic, operands });
    match *inst {
        Inst::MovRI { dst, imm } if imm <= u32::MAX.into() => {
            or(
                Mnemonic::Mov,
                vec![gpr(dst, Size::S32), Operand::Imm((imm as i32).into())],
            );
        }
        Inst::MovsxRR {
            from: Size::S16,
            to: Size::S32,
            dst,
            src,
        } if both_rax(dst, src) => {
            or(Mnemonic::Cwde, vec![]);
        }
        Inst::MovsxRR {
            from: Size::S32,
            to: Size::S64,
            dst,
            src,
        } if both_rax(dst, src) => {
            or(Mnemonic::Cdqe, vec![]);
        }
        Inst::Xchg { a, b } => {
            or(Mnemonic::Xchg, vec![gpr(b, Size::S64), gpr(a, Size::S64)]);
            if both_rax(a, b) {
                or(Mnemonic::Nop, vec![]);
            }
        }
        // The flags of a comparison with 0 are those of the value.
        Inst::AluRI {
            op: Alu::Cmp,
            size,
            dst,
            imm: value,
        } if imm(value, size) == imm(0, size) => {
            or(Mnemonic::Test, vec![gpr(dst, size), gpr(dst, size)]);
        }
        // What a positive immediate clears need not be looked at.
        Inst::AluRI {
            op: Alu::And,
            size: Size::S64,
            dst,
            imm: value @ 0..,
        } => {
            or(
                Mnemonic::And,
                vec![gpr(dst, Size::S32), imm(value, Size::S32)],
            );
        }
        Inst::AluRI {
            op: Alu::Test,
            size,
            dst,
            imm: value,
        } => {
            for narrow in [Size::S8, Size::S16, Size::S32] {
                let all = imm(value, size);
                if narrow < size && imm(value, narrow) == all && matches!(all, Operand::Imm(0..)) {
                    or(Mnemonic::Test, vec![gpr(dst, narrow), imm(value, narrow)]);
                }
            }
        }
        _ => {}
    }
    meanings
}

fn both_rax(a: PReg, b: PReg) -> bool {
    a.index() == 0 && b.index() == 0
}

/// What an instruction literally is.
#[rustfmt::skip]
fn plain(inst: &Inst) -> Meaning {
    use Size::{S8, S16, S32, S64};
    let (mnemonic, operands) = match *inst {
        Inst::MovRR { size, dst, src } => (Mnemonic::Mov, vec![gpr(dst, size), gpr(src, size)]),
        Inst::MovRI { dst, imm } => (Mnemonic::Mov, vec![gpr(dst, S64), Operand::Imm(imm as i64)]),
        Inst::ZeroR { dst } => (Mnemonic::Xor, vec![gpr(dst, S32), gpr(dst, S32)]),
        Inst::MovzxRR { from: from @ (S8 | S16), dst, src } => (Mnemonic::Movzx, vec![gpr(dst, S32), gpr(src, from)]),
        Inst::MovzxRR { from, dst, src } => (Mnemonic::Mov, vec![gpr(dst, from), gpr(src, from)]),
        Inst::LoadZx { from: from @ (S8 | S16), dst, mem } => (Mnemonic::Movzx, vec![gpr(dst, S32), memory(mem, bytes(from))]),
        Inst::LoadZx { from, dst, mem } => (Mnemonic::Mov, vec![gpr(dst, from), memory(mem, bytes(from))]),
        Inst::MovsxRR { from, to, dst, src } => (movsx(from), vec![gpr(dst, to), gpr(src, from)]),
        Inst::LoadSx { from, to, dst, mem } => (movsx(from), vec![gpr(dst, to), memory(mem, bytes(from))]),
        Inst::StoreMR { size, mem, src } => (Mnemonic::Mov, vec![memory(mem, bytes(size)), gpr(src, size)]),
        Inst::StoreMI { size, mem, imm: value } => (Mnemonic::Mov, vec![memory(mem, bytes(size)), imm(value, size)]),
        Inst::Lea { size, dst, mem } => (Mnemonic::Lea, vec![gpr(dst, size), memory(mem, 0)]),
        Inst::Xchg { a, b } => (Mnemonic::Xchg, vec![gpr(a, S64), gpr(b, S64)]),
        Inst::Push { src } => (Mnemonic::Push, vec![gpr(src, S64)]),
        Inst::Pop { dst } => (Mnemonic::Pop, vec![gpr(dst, S64)]),
        Inst::PushM { mem } => (Mnemonic::Push, vec![memory(mem, 8)]),
        Inst::PopM { mem } => (Mnemonic::Pop, vec![memory(mem, 8)]),

        Inst::AluRR { op, size, dst, src } => (alu(op), vec![gpr(dst, size), gpr(src, size)]),
        Inst::AluRI { op, size, dst, imm: value } => (alu(op), vec![gpr(dst, size), imm(value, size)]),
        Inst::AluRM { op: Alu::Test, size, dst, mem } => (Mnemonic::Test, vec![memory(mem, bytes(size)), gpr(dst, size)]),
        Inst::AluRM { op, size, dst, mem } => (alu(op), vec![gpr(dst, size), memory(mem, bytes(size))]),
        Inst::AluMR { op, size, mem, src } => (alu(op), vec![memory(mem, bytes(size)), gpr(src, size)]),
        Inst::AluMI { op, size, mem, imm: value } => (alu(op), vec![memory(mem, bytes(size)), imm(value, size)]),
        Inst::UnaryR { op: Unary::Not, size, dst } => (Mnemonic::Not, vec![gpr(dst, size)]),
        Inst::UnaryR { op: Unary::Neg, size, dst } => (Mnemonic::Neg, vec![gpr(dst, size)]),
        Inst::UnaryR { op: Unary::Bswap, size, dst } => (Mnemonic::Bswap, vec![gpr(dst, size)]),
        Inst::ImulRR { size, dst, src } => (Mnemonic::Imul, vec![gpr(dst, size), gpr(src, size)]),
        Inst::ImulRM { size, dst, mem } => (Mnemonic::Imul, vec![gpr(dst, size), memory(mem, bytes(size))]),
        Inst::ImulRRI { size, dst, src, imm: value } => (Mnemonic::Imul, vec![gpr(dst, size), gpr(src, size), imm(value, size)]),
        Inst::MulWide { signed, size, src } => (if signed { Mnemonic::Imul } else { Mnemonic::Mul }, vec![gpr(src, size)]),
        Inst::Div { signed, size, src } => (if signed { Mnemonic::Idiv } else { Mnemonic::Div }, vec![gpr(src, size)]),
        Inst::SignRax { size } => (match size { S8 => Mnemonic::Cbw, S16 => Mnemonic::Cwd, S32 => Mnemonic::Cdq, S64 => Mnemonic::Cqo }, vec![]),
        Inst::ShiftRI { op, size, dst, imm } => (shift(op), vec![gpr(dst, size), Operand::Imm(imm.into())]),
        Inst::ShiftRC { op, size, dst } => (shift(op), vec![gpr(dst, size), Operand::Reg(Register::CL)]),
        Inst::ShiftX { op, size, dst, src, amount } => (shift_x(op), vec![gpr(dst, size), gpr(src, size), gpr(amount, size)]),
        Inst::Andn { size, dst, inverted, src } => (Mnemonic::Andn, vec![gpr(dst, size), gpr(inverted, size), gpr(src, size)]),
        Inst::Rorx { size, dst, src, imm } => (Mnemonic::Rorx, vec![gpr(dst, size), gpr(src, size), Operand::Imm(imm.into())]),
        Inst::BitCountRR { op, size, dst, src } => (bit_count(op), vec![gpr(dst, size), gpr(src, size)]),
        Inst::Setcc { cc, dst } => (setcc(cc), vec![gpr(dst, S8)]),
        Inst::ShiftDoubleRI { left, size, dst, src, imm } => (shift_double(left), vec![gpr(dst, size), gpr(src, size), Operand::Imm(imm.into())]),
        Inst::ShiftDoubleRC { left, size, dst, src } => (shift_double(left), vec![gpr(dst, size), gpr(src, size), Operand::Reg(Register::CL)]),
        Inst::CmovRR { cc, size, dst, src } => (cmov(cc), vec![gpr(dst, size), gpr(src, size)]),
        Inst::CmovRM { cc, size, dst, mem } => (cmov(cc), vec![gpr(dst, size), memory(mem, bytes(size))]),

        Inst::LockAluMR { op, size, mem, src } => (alu(op), vec![memory(mem, bytes(size)), gpr(src, size)]),
        Inst::LockXadd { size, mem, reg } => (Mnemonic::Xadd, vec![memory(mem, bytes(size)), gpr(reg, size)]),
        Inst::XchgMR { size, mem, reg } => (Mnemonic::Xchg, vec![memory(mem, bytes(size)), gpr(reg, size)]),
        Inst::LockCmpxchg { size, mem, src } => (Mnemonic::Cmpxchg, vec![memory(mem, bytes(size)), gpr(src, size)]),
        Inst::LockCmpxchg16b { mem } => (Mnemonic::Cmpxchg16b, vec![memory(mem, 16)]),
        Inst::Mfence => (Mnemonic::Mfence, vec![]),

        Inst::FMovRR { dst, src } => (Mnemonic::Movaps, vec![xmm(dst), xmm(src)]),
        Inst::FLoad { size, dst, mem } => (by(size, Mnemonic::Movss, Mnemonic::Movsd), vec![xmm(dst), memory(mem, fbytes(size))]),
        Inst::FStore { size, mem, src } => (by(size, Mnemonic::Movss, Mnemonic::Movsd), vec![memory(mem, fbytes(size)), xmm(src)]),
        Inst::FAluRR { op, size, dst, src } => (falu(op, size), vec![xmm(dst), xmm(src)]),
        Inst::FAluRM { op, size, dst, mem } => (falu(op, size), vec![xmm(dst), memory(mem, fbytes(size))]),
        Inst::FAluRRR { op, size, dst, a, b } => (vfalu(op, size), vec![xmm(dst), xmm(a), xmm(b)]),
        Inst::FAluRRM { op, size, dst, a, mem } => (vfalu(op, size), vec![xmm(dst), xmm(a), memory(mem, fbytes(size))]),
        Inst::FmaRRR { size, dst, a, b } => (by(size, Mnemonic::Vfmadd213ss, Mnemonic::Vfmadd213sd), vec![xmm(dst), xmm(a), xmm(b)]),
        Inst::FLogicRR { op, dst, src } => (flogic(op), vec![xmm(dst), xmm(src)]),
        Inst::FLogicRM { op, dst, mem } => (flogic(op), vec![xmm(dst), memory(mem, 16)]),
        Inst::FZero { dst } => (Mnemonic::Xorps, vec![xmm(dst), xmm(dst)]),
        Inst::UcomisRR { size, a, b } => (by(size, Mnemonic::Ucomiss, Mnemonic::Ucomisd), vec![xmm(a), xmm(b)]),
        Inst::UcomisRM { size, a, mem } => (by(size, Mnemonic::Ucomiss, Mnemonic::Ucomisd), vec![xmm(a), memory(mem, fbytes(size))]),
        Inst::Round { size, mode, dst, src } => (by(size, Mnemonic::Roundss, Mnemonic::Roundsd), vec![xmm(dst), xmm(src), round_mode(mode)]),
        Inst::CvtIntToF { from, to, dst, src } => (by(to, Mnemonic::Cvtsi2ss, Mnemonic::Cvtsi2sd), vec![xmm(dst), gpr(src, from)]),
        Inst::CvtFToInt { from, to, dst, src } => (by(from, Mnemonic::Cvttss2si, Mnemonic::Cvttsd2si), vec![gpr(dst, to), xmm(src)]),
        Inst::CvtFToF { from, dst, src } => (by(from, Mnemonic::Cvtss2sd, Mnemonic::Cvtsd2ss), vec![xmm(dst), xmm(src)]),
        Inst::MovIntToF { size, dst, src } => (if size == S64 { Mnemonic::Movq } else { Mnemonic::Movd }, vec![xmm(dst), gpr(src, size)]),
        Inst::MovFToInt { size, dst, src } => (if size == S64 { Mnemonic::Movq } else { Mnemonic::Movd }, vec![gpr(dst, size), xmm(src)]),

        Inst::JmpR { target } => (Mnemonic::Jmp, vec![gpr(target, S64)]),
        Inst::CallR { target, .. } => (Mnemonic::Call, vec![gpr(target, S64)]),
        Inst::Ud2 { .. } => (Mnemonic::Ud2, vec![]),
        Inst::Int3 => (Mnemonic::Int3, vec![]),

        Inst::Omitted | Inst::Known { .. } | Inst::CopySlot { .. } | Inst::Bind { .. } | Inst::Jcc { .. } | Inst::Jmp { .. } | Inst::JmpTable { .. } | Inst::Call { .. }
        | Inst::PatchSite { .. } | Inst::FuncAddr { .. } | Inst::SymbolAddr { .. } | Inst::JmpFunc { .. } | Inst::Handlers { .. } | Inst::RestoreSaved | Inst::Leave | Inst::GetPinned { .. } | Inst::SetPinned { .. } | Inst::Ret | Inst::TrapIf { .. }
        | Inst::MayTrap { .. } => unreachable!("tested in whole functions"),
    };
    Meaning { mnemonic, operands }
}

fn movsx(from: Size) -> Mnemonic {
    if from == Size::S32 {
        Mnemonic::Movsxd
    } else {
        Mnemonic::Movsx
    }
}
