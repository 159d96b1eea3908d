//! Which registers and flags an instruction reads and writes.

use super::inst::{Alu, Base, FAlu, FLogic, Inst, Mem, Size, Unary};
use super::regs::{RAX, RBX, RCX, RDX, RSP};
use crate::{PReg, RegSet};

/// What an instruction does to registers and flags.
///
/// - A register of which only a part is written is not read for the sake of the rest.
/// - `bsf` and `bsr` write their destination; for a source of 0, the manual leaves it undefined.
/// - `rbp` as the base of spill slots and stack slots is not counted.
/// - Of calls, patch sites, `Ret`, `Leave` and `RestoreSaved`, only what the instruction itself names is counted: what is
///   passed, returned and overwritten follows from the signature and the calling convention.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Effects {
    pub(crate) reads: RegSet,
    pub(crate) writes: RegSet,
    /// Any condition flag may be written or become undefined.
    pub(crate) writes_flags: bool,
    pub(crate) reads_flags: bool,
}

impl Effects {
    fn reads(mut self, r: PReg) -> Self {
        self.reads.insert(r);
        self
    }

    fn writes(mut self, r: PReg) -> Self {
        self.writes.insert(r);
        self
    }

    /// Read and written.
    fn modifies(self, r: PReg) -> Self {
        self.reads(r).writes(r)
    }

    /// The address of `mem` is read.
    fn address(mut self, mem: Mem) -> Self {
        if let Base::Reg(r) = mem.base {
            self.reads.insert(r);
        }
        if let Some(index) = mem.index {
            self.reads.insert(index.reg());
        }
        self
    }

    fn writes_flags(mut self) -> Self {
        self.writes_flags = true;
        self
    }

    fn reads_flags(mut self) -> Self {
        self.reads_flags = true;
        self
    }

    /// The flags `op` reads and writes.
    fn alu_flags(self, op: Alu) -> Self {
        match op {
            Alu::Adc | Alu::Sbb => self.reads_flags().writes_flags(),
            _ => self.writes_flags(),
        }
    }

    /// The destination of `op`, which is also a source.
    fn alu_dst(self, op: Alu, dst: PReg) -> Self {
        match op {
            Alu::Cmp | Alu::Test => self.reads(dst),
            _ => self.modifies(dst),
        }
    }

    /// The destination of `op`, a source but for square roots.
    fn falu_dst(self, op: FAlu, dst: PReg) -> Self {
        if op == FAlu::Sqrt {
            self.writes(dst)
        } else {
            self.modifies(dst)
        }
    }
}

/// The effects of `inst`.
pub(crate) fn effects(inst: &Inst) -> Effects {
    let e = Effects::default();
    match *inst {
        Inst::MovRR { dst, src, .. }
        | Inst::MovzxRR { dst, src, .. }
        | Inst::MovsxRR { dst, src, .. } => e.reads(src).writes(dst),
        // The pinned register is not one that the walk knows.
        Inst::MovRI { dst, .. }
        | Inst::FuncAddr { dst, .. }
        | Inst::SymbolAddr { dst, .. }
        | Inst::GetPinned { dst } => e.writes(dst),
        Inst::SetPinned { src } => e.reads(src),
        Inst::ZeroR { dst } => e.writes(dst).writes_flags(),
        Inst::LoadZx { dst, mem, .. }
        | Inst::LoadSx { dst, mem, .. }
        | Inst::Lea { dst, mem, .. } => e.address(mem).writes(dst),
        Inst::StoreMR { mem, src, .. } => e.address(mem).reads(src),
        Inst::StoreMI { mem, .. } => e.address(mem),
        Inst::Xchg { a, b } => e.modifies(a).modifies(b),
        Inst::Push { src } => e.reads(src).modifies(RSP),
        Inst::Pop { dst } => e.writes(dst).modifies(RSP),
        Inst::PushM { mem } | Inst::PopM { mem } => e.address(mem).modifies(RSP),

        // Whatever they held, the result is the same.
        Inst::AluRR {
            op: Alu::Xor | Alu::Sub,
            dst,
            src,
            ..
        } if dst == src => e.writes(dst).writes_flags(),
        Inst::AluRR { op, dst, src, .. } => e.reads(src).alu_dst(op, dst).alu_flags(op),
        Inst::AluRI { op, dst, .. } => e.alu_dst(op, dst).alu_flags(op),
        Inst::AluRM { op, dst, mem, .. } => e.address(mem).alu_dst(op, dst).alu_flags(op),
        Inst::AluMR { op, mem, src, .. } => e.address(mem).reads(src).alu_flags(op),
        Inst::AluMI { op, mem, .. } => e.address(mem).alu_flags(op),
        Inst::UnaryR {
            op: Unary::Neg,
            dst,
            ..
        } => e.modifies(dst).writes_flags(),
        Inst::UnaryR {
            op: Unary::Not | Unary::Bswap,
            dst,
            ..
        } => e.modifies(dst),
        Inst::ImulRR { dst, src, .. } => e.reads(src).modifies(dst).writes_flags(),
        Inst::ImulRM { dst, mem, .. } => e.address(mem).modifies(dst).writes_flags(),
        Inst::ImulRRI { dst, src, .. } => e.reads(src).writes(dst).writes_flags(),
        Inst::MulWide {
            size: Size::S8,
            src,
            ..
        }
        | Inst::Div {
            size: Size::S8,
            src,
            ..
        } => e.reads(src).modifies(RAX).writes_flags(),
        Inst::MulWide { src, .. } => e.reads(src).modifies(RAX).writes(RDX).writes_flags(),
        Inst::Div { src, .. } => e.reads(src).modifies(RAX).modifies(RDX).writes_flags(),
        Inst::SignRax { size: Size::S8 } => e.modifies(RAX),
        Inst::SignRax { .. } => e.reads(RAX).writes(RDX),
        Inst::ShiftRI { imm: 0, dst, .. } => e.modifies(dst),
        Inst::ShiftRI { dst, .. } => e.modifies(dst).writes_flags(),
        Inst::ShiftRC { dst, .. } => e.reads(RCX).modifies(dst).writes_flags(),
        Inst::ShiftX {
            dst, src, amount, ..
        } => e.reads(src).reads(amount).writes(dst),
        Inst::Rorx { dst, src, .. } => e.reads(src).writes(dst),
        Inst::Andn {
            dst, inverted, src, ..
        } => e.reads(inverted).reads(src).writes(dst).writes_flags(),
        Inst::BitCountRR { dst, src, .. } => e.reads(src).writes(dst).writes_flags(),
        Inst::ShiftDoubleRI { dst, src, .. } => e.reads(src).modifies(dst).writes_flags(),
        Inst::ShiftDoubleRC { dst, src, .. } => {
            e.reads(RCX).reads(src).modifies(dst).writes_flags()
        }
        Inst::Setcc { dst, .. } => e.writes(dst).reads_flags(),
        Inst::CmovRR { dst, src, .. } => e.reads(src).modifies(dst).reads_flags(),
        Inst::CmovRM { dst, mem, .. } => e.address(mem).modifies(dst).reads_flags(),

        Inst::LockAluMR { op, mem, src, .. } => e.address(mem).reads(src).alu_flags(op),
        Inst::LockXadd { mem, reg, .. } => e.address(mem).modifies(reg).writes_flags(),
        Inst::XchgMR { mem, reg, .. } => e.address(mem).modifies(reg),
        Inst::LockCmpxchg { mem, src, .. } => {
            e.address(mem).reads(src).modifies(RAX).writes_flags()
        }
        Inst::LockCmpxchg16b { mem } => e
            .address(mem)
            .reads(RBX)
            .reads(RCX)
            .modifies(RAX)
            .modifies(RDX)
            .writes_flags(),
        Inst::Mfence => e,

        Inst::FMovRR { dst, src }
        | Inst::Round { dst, src, .. }
        | Inst::CvtIntToF { dst, src, .. }
        | Inst::CvtFToInt { dst, src, .. }
        | Inst::CvtFToF { dst, src, .. }
        | Inst::MovIntToF { dst, src, .. }
        | Inst::MovFToInt { dst, src, .. } => e.reads(src).writes(dst),
        Inst::FLoad { dst, mem, .. } => e.address(mem).writes(dst),
        Inst::FStore { mem, src, .. } => e.address(mem).reads(src),
        Inst::FAluRR { op, dst, src, .. } => e.reads(src).falu_dst(op, dst),
        Inst::FAluRM { op, dst, mem, .. } => e.address(mem).falu_dst(op, dst),
        // Of the first source, a square root takes only the upper part.
        Inst::FAluRRR {
            op: FAlu::Sqrt,
            dst,
            b,
            ..
        } => e.reads(b).writes(dst),
        Inst::FAluRRR { dst, a, b, .. } => e.reads(a).reads(b).writes(dst),
        Inst::FAluRRM {
            op: FAlu::Sqrt,
            dst,
            mem,
            ..
        } => e.address(mem).writes(dst),
        Inst::FAluRRM { dst, a, mem, .. } => e.address(mem).reads(a).writes(dst),
        Inst::FmaRRR { dst, a, b, .. } => e.reads(a).reads(b).modifies(dst),
        Inst::FLogicRR {
            op: FLogic::Xor,
            dst,
            src,
        } if dst == src => e.writes(dst),
        Inst::FLogicRR { dst, src, .. } => e.reads(src).modifies(dst),
        Inst::FLogicRM { dst, mem, .. } => e.address(mem).modifies(dst),
        Inst::FZero { dst } => e.writes(dst),
        Inst::UcomisRR { a, b, .. } => e.reads(a).reads(b).writes_flags(),
        Inst::UcomisRM { a, mem, .. } => e.address(mem).reads(a).writes_flags(),

        Inst::Jcc { .. } | Inst::TrapIf { .. } => e.reads_flags(),
        Inst::JmpTable { index, tmp, .. } => e.modifies(index).writes(tmp).writes_flags(),
        Inst::CallR { target, .. } => e.reads(target).writes_flags(),
        Inst::JmpR { target } => e.reads(target),
        Inst::Call { .. } | Inst::PatchSite { .. } => e.writes_flags(),
        Inst::CopySlot { via, .. } => match via {
            Some(via) => e.writes(via),
            None => e.modifies(RSP),
        },
        Inst::Known { .. } => unreachable!("only measuring leaves it"),
        Inst::Omitted
        | Inst::Bind { .. }
        | Inst::Jmp { .. }
        | Inst::JmpFunc { .. }
        | Inst::Handlers { .. }
        | Inst::RestoreSaved
        | Inst::Leave
        | Inst::Ret
        | Inst::Ud2 { .. }
        | Inst::MayTrap { .. }
        | Inst::Int3 => e,
    }
}
