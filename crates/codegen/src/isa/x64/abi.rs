//! The calling conventions of System V and Windows, and the building blocks of the walk.
//!
//! Sources: System V Application Binary Interface, AMD64 Architecture Processor Supplement,
//! section 3.2; Microsoft, "x64 calling convention". Extension: where a signature has more results than fit in `rax`, `rdx`, `xmm0` and
//! `xmm1`, the caller passes the address of an area with one cell per result in `rdi`.

use super::inst::{Alu, Base, FSize, Inst, Mem, Size};
use super::regs::*;
use super::select;
use crate::buffer::EncodeError;
use crate::context::CodegenError;
use crate::label::Label;
use crate::select::{
    AbiLoc, CondBranch, INCOMING, Isa, ParamLocs, Place, Selector, TailCall, needs_ret_area,
};
use crate::selected::{Constant, Selected};
use crate::{PReg, RegClass, RegSet};
use nopal_ir::{CallConv, FuncRef, GlobalValue, Signature, Type, Value};

/// x86-64.
pub(crate) struct X64;

/// What the CPU can do beyond SSE2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct X64Features {
    /// `roundsd` and kin.
    pub sse41: bool,
    /// `vaddsd` and kin.
    pub avx: bool,
    /// `vfmadd213sd` and kin.
    pub fma: bool,
    /// `shlx`, `rorx` and kin.
    pub bmi2: bool,
    /// `lzcnt`.
    pub lzcnt: bool,
    /// `tzcnt`.
    pub bmi1: bool,
    /// `popcnt`.
    pub popcnt: bool,
    /// `cmpxchg16b`.
    pub cmpxchg16b: bool,
}

/// What selection depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct X64Flags {
    pub(crate) cpu: X64Features,
    /// Whether `r15` is the pinned register, which holds no other value.
    pub(crate) pinned_reg: bool,
}

/// The pinned register.
pub(crate) const PINNED: PReg = R15;

const fn xmm(n: u8) -> PReg {
    PReg::float(n)
}

const INT_ARGS: [PReg; 6] = [RDI, RSI, RDX, RCX, R8, R9];
const FLOAT_ARGS: usize = 8;

/// The memory operand for a place of the frame.
pub(crate) fn place_mem(place: Place) -> Mem {
    match place {
        Place::Slot(n) if n & INCOMING != 0 => Mem::base(RBP, (n & !INCOMING) as i32),
        Place::Slot(n) => Mem::spill(n),
        Place::Outgoing(at) => Mem::base(RSP, at as i32),
        Place::StackArea(at) => Mem {
            disp: at as i32,
            base: Base::StackSlots,
            index: None,
        },
        Place::At(base, at) => Mem::base(base, at),
    }
}

/// The number in the constant pool of 4 or 8 bytes of a float.
pub(crate) fn float_constant(out: &mut Selected<Inst>, bits: u64, ty: Type) -> Mem {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&bits.to_le_bytes());
    Mem::constant(out.constant(Constant {
        bytes,
        size: ty.bytes() as u8,
    }))
}

/// A 16-byte constant that repeats `bits`.
pub(crate) fn vector_constant(out: &mut Selected<Inst>, bits: u64, ty: Type) -> Mem {
    let lane = if ty == Type::F32 {
        bits | bits << 32
    } else {
        bits
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&lane.to_le_bytes());
    bytes[8..].copy_from_slice(&lane.to_le_bytes());
    Mem::constant(out.constant(Constant { bytes, size: 16 }))
}

/// Each of the first four parameters has its register of either class; above the return address there is
/// room for them all the same.
fn windows_param_locs(sig: &Signature, out: &mut ParamLocs) {
    const INTS: [PReg; 4] = [RCX, RDX, R8, R9];
    out.ret_area = false;
    out.stack = 8 * INTS.len() as u32;
    for (n, p) in sig.params.iter().enumerate() {
        out.locs.push(match INTS.get(n) {
            Some(_) if p.ty.is_float() => AbiLoc::Reg(xmm(n as u8)),
            Some(&r) => AbiLoc::Reg(r),
            None => {
                out.stack += 8;
                AbiLoc::Stack(out.stack - 8)
            }
        });
    }
}

impl Isa for X64 {
    type Inst = Inst;
    type Flags = X64Flags;

    const ORDER: [&'static [PReg]; 2] = [
        // Scratch registers without REX prefix first, callee-saved ones last; `rcx`, `rax` and
        // `rdx` after others that are equally good, as shifts and divisions want them.
        &[
            RSI, RDI, RCX, RDX, RAX, R8, R9, R10, R11, RBX, R12, R14, R15, R13,
        ],
        &[
            xmm(0),
            xmm(1),
            xmm(2),
            xmm(3),
            xmm(4),
            xmm(5),
            xmm(6),
            xmm(7),
            xmm(8),
            xmm(9),
            xmm(10),
            xmm(11),
            xmm(12),
            xmm(13),
            xmm(14),
            xmm(15),
        ],
    ];
    const CALLEE_SAVED: RegSet = CALLEE_SAVED;

    fn preserved(conv: CallConv) -> RegSet {
        match conv {
            CallConv::WindowsFastcall => CALLEE_SAVED.union(WINDOWS_CALLEE_SAVED),
            _ => CALLEE_SAVED,
        }
    }

    fn param_locs(sig: &Signature, out: &mut ParamLocs) {
        out.locs.clear();
        out.stack = 0;
        if sig.call_conv == CallConv::WindowsFastcall {
            return windows_param_locs(sig, out);
        }
        out.ret_area = needs_ret_area::<X64>(sig);
        let mut ints = INT_ARGS[usize::from(out.ret_area)..].iter();
        let mut floats = (0..FLOAT_ARGS as u8).map(xmm);
        for p in &sig.params {
            if p.ty == Type::I128 {
                // Both halves in registers, or both on the stack, at a multiple of 16.
                let halves = match *ints.as_slice() {
                    [lo, hi, ..] => [AbiLoc::Reg(lo), AbiLoc::Reg(hi)],
                    _ => {
                        let at = out.stack.next_multiple_of(16);
                        out.stack = at + 16;
                        [AbiLoc::Stack(at), AbiLoc::Stack(at + 8)]
                    }
                };
                if let AbiLoc::Reg(_) = halves[0] {
                    ints.nth(1);
                }
                out.locs.extend(halves);
                continue;
            }
            let reg = if p.ty.is_float() {
                floats.next()
            } else {
                ints.next().copied()
            };
            out.locs.push(reg.map_or_else(
                || {
                    out.stack += 8;
                    AbiLoc::Stack(out.stack - 8)
                },
                AbiLoc::Reg,
            ));
        }
        if sig.call_conv == CallConv::Tail {
            // The callee takes them off the stack, which stays aligned.
            out.stack = out.stack.next_multiple_of(16);
        }
    }

    fn reserved(flags: &X64Flags) -> RegSet {
        if flags.pinned_reg {
            RegSet::of(PINNED)
        } else {
            RegSet::EMPTY
        }
    }

    fn result_regs(class: RegClass) -> &'static [PReg] {
        match class {
            RegClass::Int => &[RAX, RDX],
            RegClass::Float => &[XMM0, XMM1],
        }
    }

    fn first_int_arg() -> PReg {
        RDI
    }

    fn ret_area_temp() -> PReg {
        R11
    }

    fn mov(dst: PReg, src: PReg) -> Inst {
        match dst.class() {
            RegClass::Int => Inst::MovRR {
                size: Size::S64,
                dst,
                src,
            },
            RegClass::Float => Inst::FMovRR { dst, src },
        }
    }

    fn load(dst: PReg, src: Place, ty: Type) -> Inst {
        let mem = place_mem(src);
        match ty {
            Type::F32 => Inst::FLoad {
                size: FSize::F32,
                dst,
                mem,
            },
            Type::F64 => Inst::FLoad {
                size: FSize::F64,
                dst,
                mem,
            },
            Type::I64 => Inst::LoadZx {
                from: Size::S64,
                dst,
                mem,
            },
            _ => Inst::LoadZx {
                from: Size::S32,
                dst,
                mem,
            },
        }
    }

    fn store(dst: Place, src: PReg) -> Inst {
        let mem = place_mem(dst);
        match src.class() {
            RegClass::Int => Inst::StoreMR {
                size: Size::S64,
                mem,
                src,
            },
            RegClass::Float => Inst::FStore {
                size: FSize::F64,
                mem,
                src,
            },
        }
    }

    fn copy_slot(dst: u32, src: u32, ty: Type, via: Option<PReg>) -> Inst {
        Inst::CopySlot {
            dst,
            src,
            via,
            single: !matches!(ty, Type::I64 | Type::F64),
        }
    }

    fn copied_slots(inst: &Inst) -> [u32; 2] {
        match *inst {
            Inst::CopySlot { dst, src, .. } => [dst, src],
            _ => unreachable!("{inst:?} copies no slot"),
        }
    }

    fn copy_place(out: &mut Vec<Inst>, dst: Place, src: Place) {
        out.push(Inst::PopM {
            mem: place_mem(dst),
        });
        out.push(Inst::PushM {
            mem: place_mem(src),
        });
    }

    fn store_const(dst: Place, bits: u64) -> Option<Inst> {
        let imm = i32::try_from(bits as i64).ok()?;
        Some(Inst::StoreMI {
            size: Size::S64,
            mem: place_mem(dst),
            imm,
        })
    }

    fn load_const(out: &mut Selected<Inst>, dst: PReg, bits: u64, ty: Type, keep_flags: bool) {
        let inst = match (dst.class(), bits) {
            (RegClass::Int, 0) if !keep_flags => Inst::ZeroR { dst },
            (RegClass::Int, _) => Inst::MovRI { dst, imm: bits },
            (RegClass::Float, 0) => Inst::FZero { dst },
            (RegClass::Float, _) => {
                let mem = float_constant(out, bits, ty);
                let size = if ty == Type::F32 {
                    FSize::F32
                } else {
                    FSize::F64
                };
                Inst::FLoad { size, dst, mem }
            }
        };
        out.insts.push(inst);
    }

    fn jump(target: Label) -> Inst {
        Inst::Jmp { target }
    }

    fn ret() -> Inst {
        Inst::Ret
    }

    fn zero_extend_32(dst: PReg) -> Inst {
        Inst::MovRR {
            size: Size::S32,
            dst,
            src: dst,
        }
    }

    fn extend(reg: PReg, ty: Type, signed: bool) -> Inst {
        let (from, dst, src) = (select::mem_size(ty), reg, reg);
        if signed {
            let to = Size::S64;
            Inst::MovsxRR { from, to, dst, src }
        } else {
            Inst::MovzxRR { from, dst, src }
        }
    }

    fn place_addr(dst: PReg, place: Place) -> Inst {
        Inst::Lea {
            size: Size::S64,
            dst,
            mem: place_mem(place),
        }
    }

    fn stack_slot_offsets(
        slots: &[nopal_ir::StackSlotData],
        offsets: &mut Vec<u32>,
    ) -> Result<u32, EncodeError> {
        super::frame::stack_slot_offsets(slots, offsets)
    }

    fn lower(cx: &mut Selector<'_, Self>, inst: nopal_ir::Inst) -> Result<(), CodegenError> {
        select::lower(cx, inst)
    }

    fn lower_cond_branch(cx: &mut Selector<'_, Self>, branch: CondBranch) {
        select::branch::cond_branch(cx, branch);
    }

    fn lower_table_branch(
        cx: &mut Selector<'_, Self>,
        index: Value,
        table: &[Label],
        default: Label,
        temps: [PReg; 2],
    ) {
        select::branch::table_branch(cx, index, table, default, temps);
    }

    fn call(cx: &mut Selector<'_, Self>, func: FuncRef) {
        let srcloc = cx.srcloc();
        if cx.func.ext_func(func).colocated {
            let func = func.as_u32();
            return cx.emit(Inst::Call { func, srcloc });
        }
        // No argument comes in this register, and none of the linker's stubs is needed.
        cx.scratch_fixed(R11);
        Self::call_reg(cx, R11);
        cx.emit(Inst::FuncAddr {
            dst: R11,
            func: func.as_u32(),
        });
    }

    fn call_reg(cx: &mut Selector<'_, Self>, target: PReg) {
        let srcloc = cx.srcloc();
        cx.emit(Inst::CallR { target, srcloc });
    }

    fn check_stack(
        cx: &mut Selector<'_, Self>,
        limit: GlobalValue,
        vmctx: Option<AbiLoc>,
    ) -> Result<(), CodegenError> {
        select::check_stack(cx, limit, vmctx)
    }

    fn lower_stack(bytes: u32) -> Inst {
        Inst::AluRI {
            op: Alu::Sub,
            size: Size::S64,
            dst: RSP,
            imm: bytes as i32,
        }
    }

    fn tail_target() -> PReg {
        R11
    }

    fn tail_call(cx: &mut Selector<'_, Self>, call: TailCall) {
        super::tail::tail_call(cx, call);
    }

    fn exception_payload() -> [PReg; 2] {
        [RAX, RDX]
    }

    fn handlers(number: u32) -> Inst {
        Inst::Handlers { number }
    }

    fn patch_site(site: u32) -> Inst {
        Inst::PatchSite { site }
    }
}

/// `test r, r` of the given size.
pub(crate) fn test(size: Size, r: PReg) -> Inst {
    Inst::AluRR {
        op: Alu::Test,
        size,
        dst: r,
        src: r,
    }
}
