//! Opcodes, prefixes, ModRM, SIB and displacements (Intel SDM volume 2, chapter 2).

use crate::buffer::{FixupForm, Sink, Target};
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Base, Mem, Size};
use crate::isa::x64::regs::RBP;

/// A distance in 1 byte, from the end of that byte.
pub(crate) const REL8: FixupForm = FixupForm::new(0);
/// A distance in 4 bytes, from their end; what they hold is added.
pub(crate) const REL32: FixupForm = FixupForm::new(1);

/// An opcode with its prefixes.
#[derive(Clone, Copy)]
pub(super) struct Op {
    /// The opcode, first byte lowest.
    bytes: u32,
    /// Prefixes other than REX, first byte lowest.
    prefixes: u16,
    len: u8,
    num_prefixes: u8,
    /// 64-bit operands.
    w: bool,
    /// The `reg` field is a byte register.
    byte_reg: bool,
    /// The `rm` field, if a register, is a byte register.
    byte_rm: bool,
}

impl Op {
    const fn from_bytes(bytes: u32, len: u8) -> Op {
        let (prefixes, num_prefixes) = (0, 0);
        Op {
            bytes,
            prefixes,
            len,
            num_prefixes,
            w: false,
            byte_reg: false,
            byte_rm: false,
        }
    }

    /// One-byte opcode.
    pub(super) const fn new(code: u8) -> Op {
        Op::from_bytes(code as u32, 1)
    }

    /// `0F code`
    pub(super) const fn of(code: u8) -> Op {
        Op::from_bytes(0x0f | (code as u32) << 8, 2)
    }

    /// `0F 3A code`
    pub(super) const fn of3a(code: u8) -> Op {
        Op::from_bytes(0x3a0f | (code as u32) << 16, 3)
    }

    /// After the other prefixes, `prefix`.
    pub(super) const fn prefix(mut self, prefix: u8) -> Op {
        self.prefixes |= (prefix as u16) << (8 * self.num_prefixes);
        self.num_prefixes += 1;
        self
    }

    /// REX.W if `w`.
    pub(super) const fn wide(mut self, w: bool) -> Op {
        self.w = w;
        self
    }

    /// Operands of 16, 32 or 64 bits.
    #[inline(always)]
    pub(super) const fn size(mut self, size: Size) -> Op {
        let operand_size = size as u8 == Size::S16 as u8;
        self.prefixes |= (operand_size as u16 * 0x66) << (8 * self.num_prefixes);
        self.num_prefixes += operand_size as u8;
        self.w = size as u8 == Size::S64 as u8;
        self
    }

    /// The `reg` field is a byte register if `is`.
    pub(super) const fn byte_reg(mut self, is: bool) -> Op {
        self.byte_reg = is;
        self
    }

    /// The `rm` field is a byte register if `is` (and it is a register).
    pub(super) const fn byte_rm(mut self, is: bool) -> Op {
        self.byte_rm = is;
        self
    }

    /// Prefixes, REX (its low bits are `rex`) and opcode, and their length.
    #[inline(always)]
    fn head(self, rex: u8, force_rex: bool) -> (u64, u32) {
        let rex = rex | u8::from(self.w) << 3;
        let with_rex = u32::from((rex != 0) | force_rex);
        let rex = u64::from(rex | 0x40) * u64::from(with_rex);
        let prefixes = u32::from(self.num_prefixes);
        let bytes = u64::from(self.bytes) << (8 * with_rex) | rex;
        let bytes = bytes << (8 * prefixes) | u64::from(self.prefixes);
        (bytes, u32::from(self.len) + with_rex + prefixes)
    }
}

/// An opcode that comes in two, `code` for bytes and `code + 1` for larger operands. Its register
/// operands have that size.
#[inline(always)]
pub(super) fn pair(code: u8, size: Size) -> Op {
    let byte = size == Size::S8;
    Op::new(code | u8::from(!byte))
        .size(size)
        .byte_reg(byte)
        .byte_rm(byte)
}

/// Whether a byte access to register `hw` needs a REX prefix; without, 4 to 7 are `ah` and kin.
#[inline(always)]
fn needs_rex(hw: u8) -> bool {
    hw & !3 == 4
}

/// `op` with the registers `reg` and `rm`.
#[inline(always)]
pub(super) fn rr<S: Sink>(s: &mut S, op: Op, reg: u8, rm: u8) {
    let force = (op.byte_reg & needs_rex(reg)) | (op.byte_rm & needs_rex(rm));
    let (head, len) = op.head(reg >> 3 << 2 | rm >> 3, force);
    let modrm = 0xc0 | (reg & 7) << 3 | rm & 7;
    s.put(head | u64::from(modrm) << (8 * len), len + 1);
}

/// `op` with the register `rm`; `digit` extends the opcode.
#[inline(always)]
pub(super) fn digit_r<S: Sink>(s: &mut S, mut op: Op, digit: u8, rm: u8) {
    op.byte_reg = false;
    rr(s, op, digit, rm);
}

/// `op` with memory; `digit` extends the opcode. See [`rm`].
#[inline(always)]
pub(super) fn digit_m<S: Sink>(
    s: &mut S,
    mut op: Op,
    digit: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
    trailing: u32,
) {
    op.byte_reg = false;
    rm(s, op, digit, mem, frame, trailing);
}

/// `op` with a register in the low bits of its last byte.
#[inline(always)]
pub(super) fn plus_r<S: Sink>(s: &mut S, mut op: Op, r: u8) {
    op.bytes |= u32::from(r & 7) << (8 * (op.len - 1));
    let (head, len) = op.head(r >> 3, false);
    s.put(head, len);
}

/// `op` alone.
#[inline(always)]
pub(super) fn bare<S: Sink>(s: &mut S, op: Op) {
    let (head, len) = op.head(0, false);
    s.put(head, len);
}

/// `op` with the register `reg` and memory. An immediate of `trailing` bytes follows.
pub(super) fn rm<S: Sink>(
    s: &mut S,
    op: Op,
    reg: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
    trailing: u32,
) {
    let address = Address::new(mem, frame, s);
    let rex = reg >> 3 << 2 | address.rex;
    let (head, len) = op.head(rex, op.byte_reg & needs_rex(reg));
    s.put(head, len);
    address.put(s, reg, trailing);
}

/// `op` with the register `reg` and what is at `target`.
pub(super) fn rip<S: Sink>(s: &mut S, op: Op, reg: u8, target: Target) {
    let (head, len) = op.head(reg >> 3 << 2, false);
    s.put(head, len);
    Address::rip(target).put(s, reg, 0);
}

/// A memory operand as encoded. Its computation avoids branches, which would be unpredictable.
#[derive(Clone, Copy)]
struct Address {
    /// ModRM without its `reg` field, SIB and displacement.
    bytes: u64,
    len: u32,
    /// The bits X and B of a REX prefix.
    rex: u8,
    /// What the displacement, the last 4 of the bytes, leads to.
    rip: Option<Target>,
}

/// In ModRM, a SIB byte follows; in SIB, there is no index.
const SIB: u8 = 4;
/// In ModRM or SIB with mod 0, a 4-byte displacement and no base.
const NO_BASE: u8 = 5;

impl Address {
    /// The address of `mem`, in the form with the shortest encoding.
    #[inline(always)]
    fn new<S: Sink>(mem: Mem, frame: &FrameLayout<'_>, s: &mut S) -> Address {
        let (base, disp) = match mem.base {
            Base::Reg(r) => (r.hw(), mem.disp),
            Base::Spill => (RBP.hw(), frame.spill(mem.disp as u32)),
            Base::StackSlots => (RBP.hw(), frame.stack_slots(mem.disp, s)),
            Base::Const => return Address::rip(Target::Constant(mem.disp as u32)),
            Base::None => return Address::without_base(mem),
        };
        let (index, shift) = mem.index.map_or((SIB, 0), |i| (i.reg().hw(), i.shift()));
        // A base of 5 or 13 needs a displacement, an index does not.
        let swap = (disp == 0) & (shift == 0) & (base & 7 == NO_BASE) & (index & 7 != NO_BASE);
        if swap && mem.index.is_some() {
            return Address::based(index, base, shift, disp);
        }
        Address::based(base, index, shift, disp)
    }

    /// `[base + index << shift + disp]`; there is no index if it is [`SIB`].
    #[inline(always)]
    fn based(base: u8, index: u8, shift: u8, disp: i32) -> Address {
        let zero = (disp == 0) & (base & 7 != NO_BASE);
        let large = i32::from(disp as i8) != disp;
        // No displacement, 1 byte or 4.
        let mode = u8::from(!zero) + u8::from(large);
        let disp_len = u32::from(mode * mode);
        let with_sib = (index != SIB) | (base & 7 == SIB);
        let sib_len = u32::from(with_sib);
        let modrm = mode << 6 | if with_sib { SIB } else { base & 7 };
        let sib = shift << 6 | (index & 7) << 3 | base & 7;
        let disp = u64::from(disp as u32) << (8 * sib_len);
        Address {
            bytes: u64::from(modrm) | (u64::from(sib) * u64::from(with_sib) | disp) << 8,
            len: 1 + sib_len + disp_len,
            rex: index >> 3 << 1 | base >> 3,
            rip: None,
        }
    }

    /// Without a base the displacement takes 4 bytes, so one is made of the index if possible.
    fn without_base(mem: Mem) -> Address {
        let disp = mem.disp;
        let (index, shift) = mem.index.map_or((SIB, 0), |i| (i.reg().hw(), i.shift()));
        match shift {
            0 if index != SIB => Address::based(index, SIB, 0, disp),
            1 => Address::based(index, index, 0, disp),
            _ => Address {
                bytes: u64::from(SIB)
                    | u64::from(shift << 6 | (index & 7) << 3 | NO_BASE) << 8
                    | u64::from(disp as u32) << 16,
                len: 6,
                rex: index >> 3 << 1,
                rip: None,
            },
        }
    }

    /// The address of `target`.
    fn rip(target: Target) -> Address {
        Address {
            bytes: NO_BASE.into(),
            len: 5,
            rex: 0,
            rip: Some(target),
        }
    }

    /// ModRM with `reg`, SIB and displacement. An immediate of `trailing` bytes follows.
    #[inline(always)]
    fn put<S: Sink>(self, s: &mut S, reg: u8, trailing: u32) {
        let bytes = self.bytes | u64::from((reg & 7) << 3);
        match self.rip {
            None => s.put(bytes, self.len),
            Some(target) => {
                s.put(bytes, 1);
                // The processor counts from the end of the instruction.
                s.refer(REL32, target);
                s.put(u64::from(trailing.wrapping_neg()), 4);
            }
        }
    }
}

/// The opcode of a VEX-encoded instruction, 128 bits or scalar.
#[derive(Clone, Copy)]
pub(super) struct Vex {
    /// Opcode map: 1 is `0F`, 2 `0F 38`, 3 `0F 3A`.
    pub(super) map: u8,
    /// Mandatory prefix: 0 none, 1 `66`, 2 `F3`, 3 `F2`.
    pub(super) pp: u8,
    pub(super) w: bool,
    pub(super) code: u8,
}

impl Vex {
    /// The prefix and opcode; `rex` has the bits R, X and B.
    #[inline(always)]
    fn put<S: Sink>(self, s: &mut S, rex: u8, vvvv: u8) {
        let last = (!vvvv & 15) << 3 | self.pp;
        let code = u64::from(self.code);
        if rex & 3 == 0 && !self.w && self.map == 1 {
            let second = (!rex & 4) << 5 | last;
            s.put(0xc5 | u64::from(second) << 8 | code << 16, 3);
        } else {
            let second = (!rex & 7) << 5 | self.map;
            let third = u8::from(self.w) << 7 | last;
            s.put(
                0xc4 | u64::from(second) << 8 | u64::from(third) << 16 | code << 24,
                4,
            );
        }
    }
}

/// VEX-encoded with registers.
pub(super) fn vex_rr<S: Sink>(s: &mut S, op: Vex, reg: u8, vvvv: u8, rm: u8) {
    op.put(s, reg >> 3 << 2 | rm >> 3, vvvv);
    s.put((0xc0 | (reg & 7) << 3 | rm & 7).into(), 1);
}

/// VEX-encoded with memory.
pub(super) fn vex_rm<S: Sink>(
    s: &mut S,
    op: Vex,
    reg: u8,
    vvvv: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    let address = Address::new(mem, frame, s);
    op.put(s, reg >> 3 << 2 | address.rex, vvvv);
    address.put(s, reg, 0);
}

/// Fill in a place that refers to offset `target`; see [`REL8`] and [`REL32`].
pub(super) fn apply(form: FixupForm, code: &mut [u8], at: u32, target: u32) {
    let place = at as usize;
    if form == REL8 {
        let distance = i64::from(target) - i64::from(at) - 1;
        code[place] = i8::try_from(distance).expect("a short branch reaches") as u8;
    } else {
        debug_assert_eq!(form, REL32);
        let bytes: &mut [u8; 4] = (&mut code[place..place + 4]).try_into().expect("4 bytes");
        let addend = i32::from_le_bytes(*bytes);
        let distance = target.wrapping_sub(at + 4).wrapping_add(addend as u32);
        *bytes = distance.to_le_bytes();
    }
}
