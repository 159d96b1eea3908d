//! From instructions to bytes.

mod atomic;
pub(super) mod control;
pub(super) mod float;
pub(super) mod integer;
mod operands;
mod shift;
#[cfg(test)]
mod tests;

use super::abi::PINNED;
use super::frame::{self, FrameLayout};
use super::inst::{Alu, FLogic, FSize, Inst, Mem, Size};
use crate::buffer::{Buffer, Counter, EncodeError, FixupForm, PackedPiece, Piece, Sink};
use crate::encode::{Context, Encode, Measure};
use crate::selected::Frame;
use crate::{PReg, RegClass, RelocKind};
use nopal_ir::{GlobalValue, GlobalValueData};

impl Encode for Inst {
    type Frame<'a> = FrameLayout<'a>;

    const ALIGNMENT: u32 = 32;
    /// Where a loop lies in the windows that instructions are fetched and kept in decides up to a tenth of
    /// the time of a short one: see `docs/performance.md`.
    const LOOP_ALIGNMENT: u32 = 32;
    /// `ud2`
    const TRAP: &'static [u8] = &[0x0f, 0x0b];
    /// `int3`
    const FILLER: u8 = 0xcc;
    const MAX_SITE_PADDING: u32 = control::MAX_SITE_PADDING;

    fn layout(frame: &Frame) -> Result<FrameLayout<'_>, EncodeError> {
        FrameLayout::new(frame)
    }

    fn frame_size(frame: &FrameLayout<'_>) -> u32 {
        frame.size()
    }

    fn spill_offset(frame: &FrameLayout<'_>, slot: u32) -> i32 {
        frame.spill(slot)
    }

    fn prologue_size(frame: &FrameLayout<'_>) -> u32 {
        frame.prologue_size
    }

    fn prologue(frame: &FrameLayout<'_>, buffer: &mut Buffer<'_>) {
        frame::prologue(frame, buffer);
    }

    #[inline(always)]
    fn known(bytes: PackedPiece) -> Inst {
        Inst::Known { bytes }
    }

    #[inline(always)]
    fn bytes(&self) -> Option<&PackedPiece> {
        match self {
            Inst::Known { bytes } => Some(bytes),
            _ => None,
        }
    }

    #[inline(always)]
    fn measure(&self, frame: &FrameLayout<'_>, piece: &mut Piece) -> Measure {
        match *self {
            Inst::Bind { label } => Measure::Bind(label),
            Inst::Jcc { target, .. } => Measure::Branch {
                target,
                forms: control::JCC,
            },
            Inst::Jmp { target } => Measure::Jump {
                target,
                forms: control::JMP,
            },
            Inst::TrapIf { .. } => Measure::TrapBranch {
                forms: control::JCC,
            },
            Inst::PatchSite { .. } => Measure::Site(control::SITE_SIZE),
            Inst::Known { bytes } => Measure::Size(Piece::unpack(&bytes).len()),
            Inst::Call { .. } => Measure::Size(5),
            Inst::FuncAddr { .. } | Inst::SymbolAddr { .. } => Measure::Size(10),
            Inst::JmpFunc { .. } => Measure::Size(5),
            Inst::Ret => Measure::Size(frame.epilogue_size + frame.ret_size()),
            Inst::Leave => Measure::Size(frame.epilogue_size),
            Inst::RestoreSaved => {
                let mut counter = Counter::default();
                frame::restore_saved(frame, &mut counter);
                Measure::Size(counter.len)
            }
            Inst::MayTrap { .. } | Inst::Handlers { .. } => Measure::Size(0),
            // More than one instruction, or metadata.
            Inst::JmpTable { index, tmp, table } => {
                let mut counter = Counter::default();
                control::jmp_table(&mut counter, index, tmp, table, frame);
                Measure::Size(counter.len)
            }
            Inst::CopySlot { .. } => {
                let mut counter = Counter::default();
                plain(self, frame, &mut counter);
                Measure::Size(counter.len)
            }
            Inst::CallR { target, .. } => {
                let mut counter = Counter::default();
                control::call_r(&mut counter, target);
                Measure::Size(counter.len)
            }
            Inst::Ud2 { .. } => Measure::Size(2),
            _ => {
                plain(self, frame, piece);
                Measure::Size(piece.len())
            }
        }
    }

    #[inline]
    fn emit(&self, cx: &mut Context<'_, '_, Self>) {
        match *self {
            Inst::Bind { label } => cx.buffer.bind(label),
            Inst::Jcc { cc, target } => control::jcc(cx, cc, target),
            Inst::Jmp { target } => control::jmp(cx, target),
            Inst::TrapIf { cc, code, srcloc } => {
                let trap = cx.buffer.defer_trap(code, srcloc);
                control::jcc_trap(&mut cx.buffer, cc, trap);
            }
            Inst::PatchSite { site } => {
                cx.pad_site();
                control::site_off(&mut cx.buffer);
                cx.patch_site(site, control::SITE_SIZE as u8);
            }
            Inst::Call { func, srcloc } => {
                control::call(&mut cx.buffer);
                cx.buffer.reloc(RelocKind::X64CallPcRel4, cx.func, func, -4);
                cx.buffer.put(0, 4);
                cx.buffer.call_site(srcloc);
            }
            Inst::JmpFunc { func } => {
                control::jmp_far(&mut cx.buffer);
                cx.buffer.reloc(RelocKind::X64CallPcRel4, cx.func, func, -4);
                cx.buffer.put(0, 4);
            }
            Inst::CallR { srcloc, .. } => {
                plain(self, &cx.frame, &mut cx.buffer);
                cx.buffer.call_site(srcloc);
            }
            Inst::FuncAddr { dst, func } => {
                integer::movabs(&mut cx.buffer, dst);
                cx.buffer.reloc(RelocKind::Abs8, cx.func, func, 0);
                cx.buffer.put(0, 8);
            }
            Inst::SymbolAddr { dst, global } => {
                integer::movabs(&mut cx.buffer, dst);
                let global = cx.func.global_value(GlobalValue::from_u32(global));
                let GlobalValueData::Symbol { name, offset, .. } = global else {
                    unreachable!("only the addresses of symbols are taken")
                };
                cx.buffer.reloc_to(RelocKind::Abs8, name, *offset);
                cx.buffer.put(0, 8);
            }
            Inst::Handlers { number } => cx.handlers(number),
            Inst::MayTrap { code, srcloc } => cx.buffer.trap(code, srcloc),
            Inst::Ud2 { code, srcloc } => {
                cx.buffer.trap(code, srcloc);
                plain(self, &cx.frame, &mut cx.buffer);
            }
            _ => plain(self, &cx.frame, &mut cx.buffer),
        }
    }

    fn site_padding(offset: u32) -> u32 {
        control::site_padding(offset)
    }

    fn jump_over_size(len: u32) -> u32 {
        control::jump_over_size(len)
    }

    fn jump_over(buffer: &mut Buffer<'_>, len: u32) {
        control::jump_over(buffer, len);
    }

    fn pad(buffer: &mut Buffer<'_>, len: u32) {
        control::pad(buffer, len);
    }

    fn apply(form: FixupForm, code: &mut [u8], at: u32, target: i64) {
        operands::apply(form, code, at, target);
    }
}

/// Write an instruction whose bytes depend on nothing but itself and the frame: all but the
/// branches, `Bind`, `PatchSite`, and those with a relocation, which write nothing here.
#[rustfmt::skip]
#[inline(always)]
fn plain<S: Sink>(inst: &Inst, f: &FrameLayout<'_>, s: &mut S) {
    match *inst {
        Inst::MovRR { size, dst, src } => integer::mov_rr(s, size, dst, src),
        Inst::MovRI { dst, imm } => integer::mov_ri(s, dst, imm),
        Inst::ZeroR { dst } => integer::alu_rr(s, Alu::Xor, Size::S32, dst, dst),
        Inst::MovzxRR { from, dst, src } => integer::movzx_rr(s, from, dst, src),
        Inst::LoadZx { from, dst, mem } => integer::load_zx(s, from, dst, mem, f),
        Inst::MovsxRR { from, to, dst, src } => integer::movsx_rr(s, from, to, dst, src),
        Inst::LoadSx { from, to, dst, mem } => integer::load_sx(s, from, to, dst, mem, f),
        Inst::StoreMR { size, mem, src } => integer::store_mr(s, size, mem, src, f),
        Inst::StoreMI { size, mem, imm } => integer::store_mi(s, size, mem, imm, f),
        Inst::Lea { size, dst, mem } => integer::lea(s, size, dst, mem, f),
        Inst::Xchg { a, b } => integer::xchg(s, a, b),
        Inst::Push { src } => integer::push(s, src),
        Inst::Pop { dst } => integer::pop(s, dst),
        Inst::CopySlot { dst, src, via: Some(via), single } => {
            copy_slot(s, Mem::spill(dst), Mem::spill(src), via, single, f);
        }
        Inst::CopySlot { dst, src, via: None, .. } => {
            integer::push_m(s, Mem::spill(src), f);
            integer::pop_m(s, Mem::spill(dst), f);
        }
        Inst::PushM { mem } => integer::push_m(s, mem, f),
        Inst::PopM { mem } => integer::pop_m(s, mem, f),

        Inst::GetPinned { dst } => integer::mov_rr(s, Size::S64, dst, PINNED),
        Inst::SetPinned { src } => integer::mov_rr(s, Size::S64, PINNED, src),

        Inst::AluRR { op, size, dst, src } => integer::alu_rr(s, op, size, dst, src),
        Inst::AluRI { op, size, dst, imm } => integer::alu_ri(s, op, size, dst, imm),
        Inst::AluRM { op, size, dst, mem } => integer::alu_rm(s, op, size, dst, mem, f),
        Inst::AluMR { op, size, mem, src } => integer::alu_mr(s, op, size, mem, src, f),
        Inst::AluMI { op, size, mem, imm } => integer::alu_mi(s, op, size, mem, imm, f),
        Inst::UnaryR { op, size, dst } => integer::unary(s, op, size, dst),
        Inst::ImulRR { size, dst, src } => integer::imul_rr(s, size, dst, src),
        Inst::ImulRM { size, dst, mem } => integer::imul_rm(s, size, dst, mem, f),
        Inst::ImulRRI { size, dst, src, imm } => integer::imul_rri(s, size, dst, src, imm),
        Inst::MulWide { signed, size, src } => integer::mul_wide(s, signed, size, src),
        Inst::Div { signed, size, src } => integer::div(s, signed, size, src),
        Inst::SignRax { size } => integer::sign_rax(s, size),
        Inst::ShiftRI { op, size, dst, imm } => shift::shift_ri(s, op, size, dst, imm),
        Inst::ShiftRC { op, size, dst } => shift::shift_rc(s, op, size, dst),
        Inst::ShiftX { op, size, dst, src, amount } => shift::shift_x(s, op, size, dst, src, amount),
        Inst::Andn { size, dst, inverted, src } => integer::andn(s, size, dst, inverted, src),
        Inst::Rorx { size, dst, src, imm } => shift::rorx(s, size, dst, src, imm),
        Inst::BitCountRR { op, size, dst, src } => integer::bit_count(s, op, size, dst, src),
        Inst::Setcc { cc, dst } => integer::setcc(s, cc, dst),
        Inst::ShiftDoubleRI { left, size, dst, src, imm } => shift::shift_double_ri(s, left, size, dst, src, imm),
        Inst::ShiftDoubleRC { left, size, dst, src } => shift::shift_double_rc(s, left, size, dst, src),
        Inst::CmovRR { cc, size, dst, src } => integer::cmov_rr(s, cc, size, dst, src),
        Inst::CmovRM { cc, size, dst, mem } => integer::cmov_rm(s, cc, size, dst, mem, f),

        Inst::LockAluMR { op, size, mem, src } => atomic::lock_alu_mr(s, op, size, mem, src, f),
        Inst::LockXadd { size, mem, reg } => atomic::lock_xadd(s, size, mem, reg, f),
        Inst::XchgMR { size, mem, reg } => atomic::xchg_mr(s, size, mem, reg, f),
        Inst::LockCmpxchg { size, mem, src } => atomic::lock_cmpxchg(s, size, mem, src, f),
        Inst::LockCmpxchg16b { mem } => atomic::lock_cmpxchg16b(s, mem, f),
        Inst::Mfence => atomic::mfence(s),

        Inst::FMovRR { dst, src } => float::mov_rr(s, dst, src),
        Inst::FLoad { size, dst, mem } => float::load(s, size, dst, mem, f),
        Inst::FStore { size, mem, src } => float::store(s, size, mem, src, f),
        Inst::FAluRR { op, size, dst, src } => float::alu_rr(s, op, size, dst, src),
        Inst::FAluRM { op, size, dst, mem } => float::alu_rm(s, op, size, dst, mem, f),
        Inst::FAluRRR { op, size, dst, a, b } => float::alu_rrr(s, op, size, dst, a, b),
        Inst::FAluRRM { op, size, dst, a, mem } => float::alu_rrm(s, op, size, dst, a, mem, f),
        Inst::FmaRRR { size, dst, a, b } => float::fma_rrr(s, size, dst, a, b),
        Inst::FLogicRR { op, dst, src } => float::logic_rr(s, op, dst, src),
        Inst::FLogicRM { op, dst, mem } => float::logic_rm(s, op, dst, mem, f),
        Inst::FZero { dst } => float::logic_rr(s, FLogic::Xor, dst, dst),
        Inst::UcomisRR { size, a, b } => float::ucomis_rr(s, size, a, b),
        Inst::UcomisRM { size, a, mem } => float::ucomis_rm(s, size, a, mem, f),
        Inst::Round { size, mode, dst, src } => float::round(s, size, mode, dst, src),
        Inst::CvtIntToF { from, to, dst, src } => float::cvt_int_to_f(s, from, to, dst, src),
        Inst::CvtFToInt { from, to, dst, src } => float::cvt_f_to_int(s, from, to, dst, src),
        Inst::CvtFToF { from, dst, src } => float::cvt_f_to_f(s, from, dst, src),
        Inst::MovIntToF { size, dst, src } => float::mov_int_to_f(s, size, dst, src),
        Inst::MovFToInt { size, dst, src } => float::mov_f_to_int(s, size, dst, src),

        Inst::JmpTable { index, tmp, table } => control::jmp_table(s, index, tmp, table, f),
        Inst::CallR { target, .. } => control::call_r(s, target),
        Inst::JmpR { target } => control::jmp_r(s, target),
        Inst::RestoreSaved => frame::restore_saved(f, s),
        Inst::Leave => frame::epilogue(f, s),
        Inst::Ret => {
            frame::epilogue(f, s);
            control::ret(s, f.popped);
        }
        Inst::Ud2 { .. } => control::ud2(s),
        Inst::Int3 => control::int3(s),

        Inst::Omitted | Inst::Bind { .. } | Inst::Jcc { .. } | Inst::Jmp { .. } | Inst::TrapIf { .. }
        | Inst::MayTrap { .. } | Inst::PatchSite { .. } | Inst::Call { .. }
        | Inst::FuncAddr { .. } | Inst::SymbolAddr { .. } | Inst::JmpFunc { .. }
        | Inst::Handlers { .. } | Inst::Known { .. } => {}
    }
}

/// Copy a spill slot by way of a register.
fn copy_slot<S: Sink>(s: &mut S, dst: Mem, src: Mem, via: PReg, single: bool, f: &FrameLayout<'_>) {
    match via.class() {
        RegClass::Int => {
            let size = if single { Size::S32 } else { Size::S64 };
            integer::load_zx(s, size, via, src, f);
            integer::store_mr(s, Size::S64, dst, via, f);
        }
        RegClass::Float => {
            let size = if single { FSize::F32 } else { FSize::F64 };
            float::load(s, size, via, src, f);
            float::store(s, FSize::F64, dst, via, f);
        }
    }
}
